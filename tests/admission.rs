//! Who is let in: lists of networks, over TCP and UDP, and how many connections one address may have.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use socket2::{Domain, Socket, Type};
use socklab::engine::Engine;
use support::run::socklab;
use support::{PATIENCE, Process, echoes, eventually, on_both_engines};

/// A caller whose address is this one.
fn call_from(source: IpAddr, server: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
    socket.connect(&server.into()).expect("the kernel accepts");
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.into()
}

fn loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, last).into()
}

/// The server has closed the connection without a word.
fn is_closed(mut client: TcpStream) -> bool {
    match client.read(&mut [0; 1]) {
        Ok(n) => n == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// What the server says before it closes the connection.
fn last_words(mut client: TcpStream) -> String {
    let mut words = String::new();
    client.read_to_string(&mut words).expect("it is closed in peace");
    words
}

fn is_served(mut client: TcpStream) -> bool {
    client.write_all(b"hello").is_ok() && client.read_exact(&mut [0; 5]).is_ok()
}

/// A server in all of this machine's loopback addresses of IPv4.
fn listening(engine: Engine, arguments: &[&str]) -> Process {
    let mut command = Process::command(engine, &["--host", "127.0.0.1"]);
    Process::spawn(command.args(arguments).stderr(Stdio::piped()))
}

on_both_engines! {
    fn who_is_denied_is_closed_at_once_and_others_are_served(engine) {
        let server = listening(engine, &["--deny", "127.0.0.2,127.0.0.64/26", "--max-clients", "1"]);
        for _ in 0..20 {
            // No seat is lost to them.
            for denied in [2, 64, 127] {
                assert!(is_closed(call_from(loopback(denied), server.address())), "{denied}");
            }
            for served in [1, 3, 63, 128] {
                assert!(is_served(call_from(loopback(served), server.address())), "{served}");
            }
        }
        let log = server.log();
        let told = log.lines().filter(|line| line.contains("--allow and --deny keep it out"));
        // Whatever the second, it has one line; and this took no minute.
        assert!((1..60).contains(&told.count()), "{log}");
        let met = log.lines().any(|line| line.contains("127.0.0.2:") && line.contains("connected"));
        assert!(!met, "{log}");
    }

    fn where_some_are_allowed_nobody_else_is_and_deny_wins(engine) {
        let server =
            listening(engine, &["--allow", "127.0.0.0/29", "--allow", "127.0.0.99", "--deny", "127.0.0.2"]);
        for (last, served) in [(1, true), (7, true), (99, true), (8, false), (98, false), (2, false)] {
            let client = call_from(loopback(last), server.address());
            assert!(if served { is_served(client) } else { is_closed(client) }, "{last}");
        }
    }

    fn a_caller_by_ipv4_is_one_on_a_socket_of_ipv6(engine) {
        let server = Process::start(engine, &["--host", "::", "--deny", "127.0.0.2,::1"]);
        let port = server.address().port();
        let four = |last| call_from(loopback(last), SocketAddr::new(loopback(1), port));
        assert!(is_served(four(1)));
        assert!(is_closed(four(2)));
        let six: IpAddr = "::1".parse().unwrap();
        assert!(is_closed(call_from(six, SocketAddr::new(six, port))));
        let mapped = Process::start(engine, &["--host", "::", "--allow", "::ffff:127.0.0.0/127"]);
        let port = mapped.address().port();
        let four = |last| call_from(loopback(last), SocketAddr::new(loopback(1), port));
        assert!(is_served(four(1)));
        assert!(is_closed(four(2)));
    }

    fn lists_hold_for_datagrams_too(engine) {
        let server = listening(engine, &["--udp-only", "--deny", "127.0.0.2"]);
        let bound = |last| {
            let socket = UdpSocket::bind(SocketAddr::new(loopback(last), 0)).unwrap();
            socket.connect(server.address()).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket
        };
        let (denied, served) = (bound(2), bound(3));
        for _ in 0..5 {
            denied.send(b"let me in").unwrap();
            served.send(b"hi").unwrap();
            assert_eq!(served.recv(&mut [0; 9]).unwrap(), 2);
        }
        // Answers leave in order, so none is on its way to the other one.
        denied.set_nonblocking(true).unwrap();
        assert_eq!(denied.recv(&mut [0; 9]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let log = server.log();
        assert!(log.contains("received 10, answered 5, refused 5"), "{log}");
        assert!(log.contains("is not answered: --allow and --deny keep it out"), "{log}");
    }

    fn a_flood_of_the_denied_costs_no_session_and_no_thread(engine) {
        let server = listening(engine, &["--deny", "127.0.0.2", "--explain"]);
        for _ in 0..200 {
            assert!(is_closed(call_from(loopback(2), server.address())));
        }
        echoes(&mut server.connect(), b"the first");
        let log = server.log();
        // Serial numbers are given to connections, and threads are for them.
        assert!(log.contains(" #1 ") && !log.contains("#2"), "{log}");
        let threads = log.matches("a thread is spawned").count();
        assert_eq!(threads, usize::from(engine == Engine::Threads), "{log}");
    }

    fn loopback_addresses_are_not_counted(engine) {
        let server = Process::start(engine, &["--clients-per-address", "1"]);
        let mut clients: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
        for client in &mut clients {
            echoes(client, b"many of us");
        }
    }

    #[ignore = "needs ip(8), and root for a network namespace"]
    fn an_address_has_its_share_of_connections(engine) {
        in_own_network(move || {
            for (service, arguments, share) in [
                ("echo", &["--clients-per-address", "3"][..], 3),
                ("chat", &["chat", "--clients-per-address", "2"], 2),
                ("chat", &["chat"], 64),
            ] {
                let here: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse().unwrap());
                let server = Process::start(engine, &[arguments, &["--host", "192.0.2.9"]].concat());
                has_its_share(&server, service, here[0], here[0], here[1], share);
            }
            // Before there is a session within TLS, there are no words.
            let arguments = ["--host", "192.0.2.9", "--clients-per-address", "1", "--tls"];
            let server = Process::start(engine, &[&["chat"], &arguments[..]].concat());
            let here: IpAddr = "192.0.2.1".parse().unwrap();
            let _seated = call_from(here, server.address());
            assert_eq!(last_words(call_from(here, server.address())), "");
            let [one, same, other] =
                ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1"].map(|ip| ip.parse().unwrap());
            let arguments = ["--host", "2001:db8::1", "--clients-per-address", "2"];
            let server = Process::start(engine, &arguments);
            has_its_share(&server, "echo", one, same, other, 2);
        });
    }
}

/// `one` and `same` are of one address, as far as this is counted, and `other` is not.
fn has_its_share(
    server: &Process,
    service: &str,
    one: IpAddr,
    same: IpAddr,
    other: IpAddr,
    share: usize,
) {
    let (words, refusal): (&[u8], _) = match service {
        "chat" => {
            (b"CAP LS\r\n", "ERROR :Closing Link: (Too many connections from your address)\r\n")
        }
        _ => (b"hello", ""),
    };
    let is_served = |client: &mut TcpStream| {
        client.write_all(words).is_ok() && client.read(&mut [0; 1]).is_ok_and(|n| n > 0)
    };
    let mut seated: Vec<TcpStream> = (0..share).map(|_| call_from(one, server.address())).collect();
    assert!(seated.iter_mut().all(is_served), "{service}: {one} has its share");
    for _ in 0..20 {
        let told = last_words(call_from(same, server.address()));
        assert_eq!(told, refusal, "{service}: no more for {same}");
    }
    assert!(is_served(&mut call_from(other, server.address())), "{service}: {other} is another");
    drop(seated.pop());
    // Its place is free once the server has seen that it has left.
    eventually("its place is free", || is_served(&mut call_from(same, server.address())));
}

/// Runs it where this machine has the addresses of the examples, and nobody else.
fn in_own_network(test: impl FnOnce() + Send + 'static) {
    let test = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("root may have a network of its own");
        let ip = |arguments: &str| {
            let status = Command::new("ip").args(arguments.split(' ')).status();
            assert!(status.expect("ip is installed").success(), "ip {arguments}");
        };
        ip("link set lo up");
        for address in ["192.0.2.1/32", "192.0.2.2/32", "192.0.2.9/32"] {
            ip(&format!("address add {address} dev lo"));
        }
        for address in ["2001:db8::1/128", "2001:db8::2/128", "2001:db8:0:1::1/128"] {
            ip(&format!("address add {address} dev lo nodad"));
        }
        test();
    });
    test.join().expect("it does not fail");
}

#[test]
fn what_is_no_network_is_told_with_status_2() {
    for (list, part) in [
        ("10.0.0.0/33", "32 at most"),
        ("10.0.0.1/8", "10.0.0.0/8 is the network"),
        ("10.0.0.0/8,example.org", "not an address or a network"),
        ("", "not an address or a network"),
    ] {
        for option in ["--allow", "--deny"] {
            let (status, printed, complaint) = socklab(&["server", option, list]);
            assert_eq!((status, printed.as_str()), (2, ""), "{complaint}");
            let first = complaint.lines().next().expect("something is said");
            assert!(first.contains(option) && first.contains(part), "{complaint}");
        }
    }
}

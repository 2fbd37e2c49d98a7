//! Datagrams, on both engines: what comes back, to whom, and to whom not.

mod support;

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socklab::engine::{Endpoint, Engine, Limits, listen_both, listen_datagrams};
use socklab::service::{Chargen, Discard, Echo};
use socklab::session::{Reply, Responder};
use support::{PATIENCE, Process, Server, connect, on_both_engines};

/// A client with an address of its own, which hears `server` only.
fn client(server: SocketAddr) -> UdpSocket {
    let any = match server {
        SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).unwrap();
    socket.connect(server).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn ask(socket: &UdpSocket, datagram: &[u8]) -> Vec<u8> {
    socket.send(datagram).unwrap();
    hear(socket).unwrap()
}

fn hear(socket: &UdpSocket) -> io::Result<Vec<u8>> {
    let mut answer = vec![0; 70_000];
    let length = socket.recv(&mut answer)?;
    answer.truncate(length);
    Ok(answer)
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8).collect()
}

/// Echoes, and counts what it was asked.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Counting {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

impl Responder for Counting {
    fn respond(&self, from: SocketAddr, datagram: &[u8], reply: &mut Vec<u8>) -> Reply {
        self.0.fetch_add(1, Ordering::SeqCst);
        Echo.respond(from, datagram, reply)
    }
}

on_both_engines! {
    fn every_size_comes_back_whole(engine) {
        for (host, largest) in [("127.0.0.1", 65_507), ("::1", 65_527)] {
            let server = Server::of_datagrams(engine, host, Echo, Limits::default());
            let client = client(server.address);
            for size in [0, 1, 2, 63, 64, 511, 512, 1472, 1473, 8192, 65_506, largest] {
                assert_eq!(ask(&client, &pattern(size)), pattern(size), "{size} bytes to {host}");
            }
        }
    }

    fn a_datagram_of_no_bytes_is_answered_by_one_and_ends_nothing(engine) {
        let server = Server::of_datagrams(engine, "127.0.0.1", Echo, Limits::default());
        let client = client(server.address);
        for datagram in ["", "", "a", "", "b"] {
            assert_eq!(ask(&client, datagram.as_bytes()), datagram.as_bytes());
        }
    }

    fn many_at_once_are_each_answered(engine) {
        let server = Server::of_datagrams(engine, "127.0.0.1", Echo, Limits::default());
        let clients: Vec<UdpSocket> = (0..20).map(|_| client(server.address)).collect();
        for round in 0..5_u8 {
            for (number, client) in clients.iter().enumerate() {
                client.send(&[round, number as u8]).unwrap();
            }
            for (number, client) in clients.iter().enumerate() {
                assert_eq!(hear(client).unwrap(), [round, number as u8]);
            }
        }
    }

    fn discard_answers_nothing(engine) {
        let server = Server::of_datagrams(engine, "127.0.0.1", Discard, Limits::default());
        let client = client(server.address);
        for size in [0, 1, 512] {
            client.send(&pattern(size)).unwrap();
        }
        server.request_stop();
        server.wait();
        client.set_nonblocking(true).unwrap();
        assert_eq!(hear(&client).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    fn chargen_gives_as_much_as_it_was_given_and_512_at_most(engine) {
        let server = Server::of_datagrams(engine, "127.0.0.1", Chargen, Limits::default());
        let client = client(server.address);
        for (given, got) in [(0, 0), (1, 1), (74, 74), (512, 512), (513, 512), (65_507, 512)] {
            let answer = ask(&client, &pattern(given));
            assert_eq!(answer.len(), got);
            assert!(answer.iter().all(|byte| (b' '..=b'~').contains(byte) || b"\r\n".contains(byte)));
        }
    }

    fn an_answer_leaves_from_the_address_that_was_asked(engine) {
        let server = Server::of_datagrams(engine, "::", Echo, Limits::default());
        let port = server.address.port();
        for asked in ["127.0.0.1", "127.0.0.5", "127.200.0.1", "::1"] {
            let asked = SocketAddr::new(asked.parse().unwrap(), port);
            // A connected socket drops what comes from anywhere else.
            assert_eq!(ask(&client(asked), b"hi"), b"hi", "{asked}");
        }
    }

    fn what_was_sent_to_many_is_not_answered(engine) {
        for host in ["::", "127.255.255.255"] {
            let counting = Counting::default();
            let server = Server::of_datagrams(engine, host, counting.clone(), Limits::default());
            let port = server.address.port();
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            client.set_broadcast(true).unwrap();
            client.send_to(b"all", ("127.255.255.255", port)).unwrap();
            server.request_stop();
            server.wait();
            assert_eq!(counting.count(), 0, "{host}");
        }
    }

    fn streams_and_datagrams_share_a_port(engine) {
        let (mut listeners, mut sockets) = listen_both("127.0.0.1", 0).unwrap();
        let address = listeners[0].local_addr().unwrap();
        assert_eq!(sockets[0].local_addr().unwrap(), address);
        let endpoints = vec![
            Endpoint::Datagram { socket: sockets.remove(0), responder: Arc::new(Echo) },
            Endpoint::Stream { listener: listeners.remove(0), service: Arc::new(Echo) },
        ];
        let server = Server::with_endpoints(engine, endpoints, Limits::default(), address);
        let (mut stream, datagrams) = (server.connect(), client(address));
        for _ in 0..3 {
            stream.write_all(b"stream").unwrap();
            assert_eq!(ask(&datagrams, b"datagram"), b"datagram");
            let mut answer = [0; 6];
            stream.read_exact(&mut answer).unwrap();
            assert_eq!(&answer, b"stream");
        }
    }

    fn two_servers_pointed_at_each_other_fall_silent(engine) {
        for other in [Engine::Threads, Engine::Poll] {
            let counting = Counting::default();
            let first =
                Server::of_datagrams(engine, "127.0.0.1", counting.clone(), Limits::default());
            let socket = listen_datagrams("127.0.0.1", 0).unwrap().remove(0);
            let second = socket.local_addr().unwrap();
            let forger = socket.try_clone().unwrap();
            let endpoint = Endpoint::Datagram { socket, responder: Arc::new(counting.clone()) };
            let second = Server::with_endpoints(other, vec![endpoint], Limits::default(), second);
            // As if the second server had asked the first one.
            forger.set_ttl(64).unwrap();
            forger.send_to(b"ping", first.address).unwrap();
            let since = Instant::now();
            while counting.count() < 63 && since.elapsed() < PATIENCE {
                thread::yield_now();
            }
            // Each answers these after whatever was before them.
            for _ in 0..3 {
                for server in [first.address, second.address] {
                    assert_eq!(ask(&client(server), b"still there?"), b"still there?");
                }
            }
            assert_eq!(counting.count(), 63 + 6, "63 answers have a hop left");
        }
    }

    fn a_server_does_not_answer_itself(engine) {
        let counting = Counting::default();
        let sockets = ["127.0.0.1", "127.0.0.2"]
            .map(|host| listen_datagrams(host, 0).unwrap().remove(0));
        let forgers = sockets.each_ref().map(|socket| socket.try_clone().unwrap());
        let address = sockets[0].local_addr().unwrap();
        let endpoints = sockets.map(|socket| Endpoint::Datagram {
            socket,
            responder: Arc::new(counting.clone()),
        });
        let _server = Server::with_endpoints(engine, endpoints.into(), Limits::default(), address);
        for forger in forgers {
            forger.send_to(b"ping", address).unwrap();
        }
        assert_eq!(ask(&client(address), b"other"), b"other");
        assert_eq!(counting.count(), 1);
    }

    fn a_flood_of_datagrams_does_not_starve_a_stream(engine) {
        /// Takes its time, so that datagrams are always waiting.
        struct Slow;
        impl Responder for Slow {
            fn respond(&self, _: SocketAddr, _: &[u8], _: &mut Vec<u8>) -> Reply {
                thread::sleep(Duration::from_micros(50));
                Reply::None
            }
        }
        let (mut listeners, mut sockets) = listen_both("127.0.0.1", 0).unwrap();
        let address = listeners[0].local_addr().unwrap();
        let endpoints = vec![
            Endpoint::Datagram { socket: sockets.remove(0), responder: Arc::new(Slow) },
            Endpoint::Stream { listener: listeners.remove(0), service: Arc::new(Echo) },
        ];
        let server = Server::with_endpoints(engine, endpoints, Limits::default(), address);
        let flood = client(address);
        let burst = || (0..100).for_each(|_| drop(flood.send(&pattern(100))));
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            burst();
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    burst();
                    // Ten times as many as are taken; more would crowd out the stream in the kernel.
                    thread::sleep(Duration::from_millis(1));
                }
            });
            let mut stream = server.connect();
            let outcome = (0..50).try_for_each(|_| {
                stream.write_all(b"stream")?;
                stream.read_exact(&mut [0; 6])
            });
            over.store(true, Ordering::Relaxed);
            outcome.unwrap();
        });
    }

    fn peers_that_have_left_disturb_nobody(engine) {
        let server = Server::of_datagrams(engine, "127.0.0.1", Echo, Limits::default());
        let stays = client(server.address);
        for _ in 0..200 {
            // The answer finds a closed port, and the kernel sends an ICMP error back.
            client(server.address).send(b"bye").unwrap();
            assert_eq!(ask(&stays, b"hi"), b"hi");
        }
    }

    fn an_answer_longer_than_its_datagram_is_not_sent(engine) {
        struct Longer;
        impl Responder for Longer {
            fn respond(&self, _: SocketAddr, datagram: &[u8], reply: &mut Vec<u8>) -> Reply {
                reply.extend_from_slice(datagram);
                reply.extend_from_slice(if datagram == b"more" { b"!" } else { b"" });
                Reply::Written
            }
        }
        let server = Server::of_datagrams(engine, "127.0.0.1", Longer, Limits::default());
        let client = client(server.address);
        client.send(b"more").unwrap();
        assert_eq!(ask(&client, b"same"), b"same");
    }

    fn a_responder_that_panics_fails_one_datagram(engine) {
        struct Panics;
        impl Responder for Panics {
            fn respond(&self, from: SocketAddr, datagram: &[u8], reply: &mut Vec<u8>) -> Reply {
                assert_ne!(datagram, b"panic", "as the test wants it");
                Echo.respond(from, datagram, reply)
            }
        }
        let server = Server::of_datagrams(engine, "127.0.0.1", Panics, Limits::default());
        let client = client(server.address);
        client.send(b"panic").unwrap();
        assert_eq!(ask(&client, b"fine"), b"fine");
    }

    fn what_has_arrived_before_the_stop_is_answered(engine) {
        let server = Server::of_datagrams(engine, "127.0.0.1", Echo, Limits::default());
        let client = client(server.address);
        for number in 0..100 {
            client.send(&[number]).unwrap();
        }
        server.request_stop();
        assert!(server.wait() < Limits::GRACE);
        for number in 0..100 {
            assert_eq!(hear(&client).unwrap(), [number]);
        }
    }

    fn a_source_is_answered_at_its_rate(engine) {
        let limits = Limits { rate_per_source: Some(7.0), ..Limits::default() };
        let counting = Counting::default();
        let since = Instant::now();
        let server = Server::of_datagrams(engine, "127.0.0.1", counting.clone(), limits);
        let client = client(server.address);
        for _ in 0..100 {
            client.send(b"hi").unwrap();
        }
        server.request_stop();
        server.wait();
        let most = 7.0 * (1.0 + since.elapsed().as_secs_f64()) + 1.0;
        assert!((7..=most as usize).contains(&counting.count()), "{}", counting.count());
    }

    fn the_command_serves_both_on_one_port(engine) {
        let server = Process::start(engine, &["--udp"]);
        assert_eq!(server.addresses.len() % 2, 0, "{:?}", server.addresses);
        let port = server.address().port();
        assert!(server.addresses.iter().all(|address| address.port() == port));
        assert_eq!(ask(&client(server.address()), "你好，服务器！".as_bytes()), "你好，服务器！".as_bytes());
        let mut stream = connect(server.address());
        stream.write_all(b"hi").unwrap();
        stream.read_exact(&mut [0; 2]).unwrap();
    }

    fn datagrams_alone_leave_the_port_to_others(engine) {
        let server = Process::start(engine, &["chargen", "--udp-only"]);
        assert_eq!(ask(&client(server.address()), b"12345").len(), 5);
        let refused = std::net::TcpStream::connect(server.address()).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }

    fn a_reflector_is_not_opened_to_others_unasked(engine) {
        let engine = engine.to_string();
        for (arguments, status) in [
            (&["echo", "--udp", "--host", "::"][..], Some(1)),
            (&["chargen", "--udp-only", "--host", "0.0.0.0"], Some(1)),
            (&["echo", "--udp", "--udp-only"], Some(2)),
        ] {
            let command = [&["server", "--port", "0", "--engine", &engine], arguments].concat();
            let (code, printed, complaint) = support::run::socklab(&command);
            assert_eq!((Some(code), printed.as_str()), (status, ""), "{arguments:?}");
            if status == Some(1) {
                assert!(complaint.contains("--allow-reflection"), "{complaint}");
                assert_eq!(complaint.lines().count(), 1, "{complaint}");
            }
        }
    }

    fn datagrams_exclude_tls(engine) {
        let engine = engine.to_string();
        for datagrams in ["--udp", "--udp-only"] {
            let command = ["server", "--port", "0", "--engine", &engine, datagrams, "--tls"];
            let (code, printed, complaint) = support::run::socklab(&command);
            assert_eq!((code, printed.as_str()), (2, ""), "{complaint}");
            let first = complaint.lines().next().unwrap();
            assert!(first.contains("'--tls' cannot be used with"), "{complaint}");
            assert!(complaint.contains(datagrams), "{complaint}");
        }
    }

    fn what_is_no_reflector_or_was_allowed_is_open_to_all(engine) {
        let discard = Process::start(engine, &["discard", "--udp-only", "--host", "0.0.0.0"]);
        assert!(discard.address().ip().is_unspecified());
        let echo = Process::start(engine, &["--udp-only", "--host", "::", "--allow-reflection"]);
        let port = echo.address().port();
        assert_eq!(ask(&client((Ipv4Addr::LOCALHOST, port).into()), b"hi"), b"hi");
    }
}

#[test]
fn a_socket_has_as_many_receivers_as_were_asked_for() {
    let server = Process::start(Engine::Threads, &["--udp-only", "--receivers", "3"]);
    let tasks = format!("/proc/{}/task", server.child.id());
    let receivers = || {
        let names = std::fs::read_dir(&tasks)
            .unwrap()
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.trim_end() == "receiver").count()
    };
    let all = 3 * server.addresses.len();
    support::eventually("all receivers are there", || receivers() == all);
    assert_eq!(ask(&client(server.address()), b"hi"), b"hi");
}

//! The cap: who finds no seat waits in the kernel's queue and is served when one is free; and what
//! happens when the machine runs out of something first.

mod support;

use std::env;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use socklab::engine::{Engine, Limits};
use socklab::service::Echo;
use support::{PATIENCE, Process, Server, echoes, eventually, finish, on_both_engines};

fn capped(engine: Engine, max_clients: usize) -> Server {
    Server::with_limits(engine, Echo, Limits { max_clients, ..Limits::default() })
}

/// Whether an answer to what was sent has come.
fn is_answered(client: &mut TcpStream) -> bool {
    client.set_nonblocking(true).unwrap();
    let answered = match client.peek(&mut [0; 1]) {
        Ok(n) => n > 0,
        Err(error) if error.kind() == ErrorKind::WouldBlock => false,
        Err(error) => panic!("it was not left in the queue: {error}"),
    };
    client.set_nonblocking(false).unwrap();
    answered
}

/// The user and group of a server that is not root's. A limit on processes does not hold for root.
const NOBODY: [&str; 4] = ["--reuid=64321", "--regid=64321", "--clear-groups", "--inh-caps=-all"];

/// Changes a limit of a running server, as prlimit(1) does. It may, being the same user.
fn prlimit(server: &Process, user: &[&str], limit: &str) {
    let status = Command::new("setpriv")
        .args(user)
        .args(["prlimit", "--pid", &server.child.id().to_string(), limit])
        .status()
        .expect("setpriv is installed");
    assert!(status.success());
}

on_both_engines! {
    fn callers_beyond_the_cap_are_served_in_turn_when_a_seat_is_free(engine) {
        let server = capped(engine, 2);
        let mut seated: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
        for client in &mut seated {
            echoes(client, b"seated");
        }
        let mut waiting: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
        for (turn, client) in waiting.iter_mut().enumerate() {
            client.write_all(&[turn as u8]).unwrap();
        }
        // Those with a seat are served again and again, and nobody else is.
        for _ in 0..100 {
            for client in &mut seated {
                echoes(client, b"still seated");
            }
        }
        assert!(!waiting.iter_mut().any(is_answered));
        for (turn, mut client) in waiting.into_iter().enumerate() {
            drop(seated.pop());
            let mut answer = [0; 1];
            client.read_exact(&mut answer).unwrap();
            assert_eq!(answer, [turn as u8]);
            seated.insert(0, client);
        }
    }

    fn a_seat_is_free_again_however_its_tenant_leaves(engine) {
        let server = capped(engine, 1);
        for round in 0..200 {
            let mut client = server.connect();
            match round % 3 {
                0 => assert_eq!(finish(&mut client), b""),
                1 => drop(client),
                _ => echoes(&mut client, b"hello"),
            }
        }
    }

    fn callers_on_another_listener_are_not_forgotten_at_the_cap(engine) {
        let server = Process::start(engine, &["--max-clients", "1"]);
        for _ in 0..20 {
            for address in &server.addresses {
                echoes(&mut support::connect(*address), b"my turn");
            }
        }
    }

    #[ignore = "needs prlimit and setpriv"]
    fn running_out_of_descriptors_is_survived_without_spinning(engine) {
        let mut command = Process::command(engine, &[]);
        let mut server = Process::spawn(command.stderr(Stdio::piped()));
        let files = |server: &Process| format!("--nofile={}:", server.files());
        outlasts(&mut server, &[], files, "--nofile=1000:", "cannot accept");
    }

    #[ignore = "needs prlimit and setpriv"]
    fn datagrams_need_no_descriptors(engine) {
        let server = Process::start(engine, &["--udp"]);
        // Once somebody is served, the server has all files that it needs itself.
        assert_eq!(finish(&mut server.connect()), b"");
        prlimit(&server, &[], &format!("--nofile={}:", server.files()));
        let _waiting: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        client.connect(server.address()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        for _ in 0..100 {
            client.send(b"hi").unwrap();
            assert_eq!(client.recv(&mut [0; 3]).unwrap(), 2);
        }
    }

    #[ignore = "needs prlimit and setpriv"]
    fn a_stop_is_not_held_up_by_a_shortage(engine) {
        let mut server = Process::start(engine, &["--grace", "60s"]);
        assert_eq!(finish(&mut server.connect()), b"");
        prlimit(&server, &[], &format!("--nofile={}:", server.files()));
        let _waiting: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait().code(), Some(0));
    }

    #[ignore = "needs prlimit, setpriv, and root to use them"]
    fn running_out_of_threads_is_survived_without_spinning(engine) {
        if engine == Engine::Poll {
            // It has one thread, whatever comes.
            let server = Process::start(engine, &[]);
            let _clients: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
            eventually("all are seated", || server.files() > 100);
            assert_eq!(server.status("Threads"), 1);
            return;
        }
        let inner = Process::command(engine, &[]);
        // Nobody may not look into every folder in which this may be built.
        let program = env::temp_dir().join(format!("socklab-{}", process::id()));
        fs::copy(inner.get_program(), &program).unwrap();
        let mut command = Command::new("setpriv");
        command.args(NOBODY).arg(&program).args(inner.get_args()).env_remove("RUST_LOG");
        let mut server = Process::spawn(command.stderr(Stdio::piped()));
        fs::remove_file(program).unwrap();
        let threads = |server: &Process| format!("--nproc={}:", server.status("Threads"));
        outlasts(&mut server, &NOBODY, threads, "--nproc=1000:", "cannot spawn");
    }
}

/// Takes away what the next caller would need, and gives it back: whoever is seated is served all the
/// while, nobody spins, everybody is served afterwards, and one line tells of it. Ends the server.
fn outlasts(
    server: &mut Process,
    user: &[&str],
    shortage: impl Fn(&Process) -> String,
    plenty: &str,
    line: &str,
) {
    let mut first = server.connect();
    echoes(&mut first, b"seated");
    prlimit(server, user, &shortage(server));
    let mut waiting: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    for client in &mut waiting {
        client.write_all(b"x").unwrap();
    }
    let (before, since) = (server.cpu(), Instant::now());
    for _ in 0..20 {
        echoes(&mut first, b"still served");
        thread::sleep(Duration::from_millis(25));
    }
    // Half a second, and more on a busy machine, where it tries to accept the more often.
    let (used, took) = (server.cpu() - before, since.elapsed());
    assert!(used < took / 5, "{used:?} of CPU time in {took:?}");
    // A few may have found gaps among the descriptors below the limit.
    assert!(!waiting.iter_mut().all(is_answered));
    prlimit(server, user, plenty);
    for client in &mut waiting {
        client.read_exact(&mut [0; 1]).unwrap();
    }
    assert_eq!(shortages(server, line), 1);
}

/// How many lines of its log tell of a shortage. Ends the server.
fn shortages(server: &mut Process, of: &str) -> usize {
    server.child.kill().unwrap();
    let mut log = String::new();
    let stderr = server.child.stderr.as_mut().expect("it is piped");
    stderr.read_to_string(&mut log).unwrap();
    log.lines().filter(|line| line.contains(of)).count()
}

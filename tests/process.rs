//! What a server costs its machine: nothing while nothing happens, little while many are connected,
//! and nothing that stays behind.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use socket2::{Domain, SockRef, Socket, Type};
use socklab::engine::{Engine, raise_open_files};
use support::{PATIENCE, Process, echoes, eventually, fill, finish, on_both_engines, pattern};

/// Tests that hold thousands of descriptors of this process take turns.
static MANY_FILES: Mutex<()> = Mutex::new(());

/// Clients for the largest crowd: what this process may open, less what it needs itself.
fn crowd_size(most: usize) -> usize {
    let open_files = raise_open_files().expect("the limit on open files can be raised");
    let size = most.min(open_files.saturating_sub(200));
    assert!(
        size == most || std::env::var_os("CI").is_none(),
        "{open_files} open files are too few"
    );
    size
}

/// Connects `n` clients, from several addresses, for looking for a free port takes the longer the
/// fewer are left. Each resets at its end, so that no port stays in TIME_WAIT for the next test.
fn crowd(server: &Process, n: usize) -> Vec<TcpStream> {
    (0..n)
        .map(|client| {
            let source = SocketAddr::from(([127, 0, 1, 1 + (client % 8) as u8], 0));
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.bind(&source.into()).unwrap();
            socket.connect(&server.address().into()).unwrap();
            socket.set_linger(Some(Duration::ZERO)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.into()
        })
        .collect()
}

/// Everybody speaks, then everybody listens; each byte is compared.
fn all_echo(clients: &mut [TcpStream], round: u64, length: usize) {
    for (seed, client) in clients.iter_mut().enumerate() {
        client.write_all(&pattern(seed as u64 + round, length)).unwrap();
    }
    for (seed, client) in clients.iter_mut().enumerate() {
        let mut back = vec![0; length];
        client.read_exact(&mut back).unwrap();
        assert!(back == pattern(seed as u64 + round, length), "client {seed}");
    }
}

on_both_engines! {
    fn with_nothing_to_do_it_uses_no_cpu(engine) {
        let mut server = Process::start(engine, &[]);
        let mut idle: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
        for client in &mut idle {
            echoes(client, b"then nothing");
        }
        let mut blocked: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
        for client in &mut blocked {
            fill(client);
        }
        let mut half_closed: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
        for client in &mut half_closed {
            fill(client);
            client.shutdown(Shutdown::Write).unwrap();
        }
        for _ in 0..5 {
            let mut gone = server.connect();
            fill(&mut gone);
            SockRef::from(&gone).set_linger(Some(Duration::ZERO)).unwrap();
        }
        let mut urgent = server.connect();
        SockRef::from(&urgent).send_out_of_band(b"!").unwrap();
        urgent.read_exact(&mut [0; 1]).unwrap();
        assert_quiet(&mut server);
    }

    fn with_the_cap_reached_and_callers_waiting_it_uses_no_cpu(engine) {
        let mut server = Process::start(engine, &["--max-clients", "2"]);
        let mut clients: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
        for client in &mut clients[..2] {
            echoes(client, b"seated");
        }
        for client in &mut clients[2..] {
            client.write_all(b"waiting").unwrap();
        }
        assert_quiet(&mut server);
    }

    fn while_it_waits_for_the_grace_period_it_uses_little_cpu(engine) {
        let mut server = Process::start(engine, &["--grace", "60s"]);
        let mut blocked = server.connect();
        fill(&mut blocked);
        server.signal(Signal::SIGTERM);
        eventually("callers are refused", || TcpStream::connect(server.address()).is_err());
        assert_quiet(&mut server);
    }

    fn the_soft_limit_on_open_files_is_no_limit(engine) {
        let inner = Process::command(engine, &["-q"]);
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -S -n 64; exec \"$0\" \"$@\""]).arg(inner.get_program());
        let server = Process::spawn(command.args(inner.get_args()));
        let mut clients: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
        all_echo(&mut clients, 0, 64);
    }

    fn churn_leaves_nothing_behind(engine) {
        let server = Process::start(engine, &["-q"]);
        let churn = |rounds| {
            for round in 0..rounds {
                let mut client = server.connect();
                echoes(&mut client, &pattern(round, 64));
                SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            }
        };
        churn(2000);
        eventually("the last one has left", || server.status("Threads") <= 3);
        let (files, threads) = (server.files(), server.status("Threads"));
        // The C library keeps the stacks of as many threads as ever ended at once, and on a busy
        // machine there may be more of them the next time. What leaks grows every time.
        let mut grown = Vec::new();
        let settles = (0..4).any(|_| {
            let memory = server.resident();
            churn(10_000);
            eventually("all descriptors are closed", || server.files() <= files);
            eventually("all threads have ended", || server.status("Threads") <= threads);
            grown.push(server.resident().saturating_sub(memory));
            grown.last() < Some(&256)
        });
        assert!(settles, "{grown:?} KiB stayed behind");
    }

    fn an_idle_connection_is_cheap(engine) {
        let _turn = MANY_FILES.lock();
        let server = Process::start(engine, &["-q"]);
        let n = crowd_size(10_000);
        assert_eq!(finish(&mut server.connect()), b"");
        let before = server.resident();
        let mut clients = crowd(&server, n);
        all_echo(&mut clients, 0, 64);
        let each = server.resident().saturating_sub(before) * 1024 / n;
        match engine {
            Engine::Poll => assert!(each <= 160, "{each} bytes each"),
            Engine::Threads => assert!(each <= 24 * 1024, "{each} bytes each"),
        }
    }

    fn nineteen_thousand_clients_are_served_at_once(engine) {
        let _turn = MANY_FILES.lock();
        let server = Process::start(engine, &["-q"]);
        let mut clients = crowd(&server, crowd_size(19_000));
        let n = clients.len();
        all_echo(&mut clients, 1, 100);
        if engine == Engine::Threads {
            assert!(server.status("Threads") > n);
        }
        all_echo(&mut clients, 2, 1000);
        drop(clients);
        eventually("all have left", || server.files() < 32);
        echoes(&mut server.connect(), b"still here");
    }

    fn a_burst_of_connects_finds_room_in_the_queue(engine) {
        let _turn = MANY_FILES.lock();
        let server = Process::start(engine, &["-q"]);
        // It accepts nobody meanwhile, so all of them have to fit.
        server.signal(Signal::SIGSTOP);
        let mut clients = crowd(&server, crowd_size(2000));
        server.signal(Signal::SIGCONT);
        all_echo(&mut clients, 3, 64);
    }
}

/// Checks that it uses next to no CPU time, once it is done with what was still on its way when the
/// clients were. On a busy machine that may take a while; a loop that spins would never be.
fn assert_quiet(server: &mut Process) {
    eventually("it uses next to no CPU time in half a second", || {
        let before = server.cpu();
        thread::sleep(Duration::from_millis(500));
        server.cpu() - before < Duration::from_millis(5)
    });
}

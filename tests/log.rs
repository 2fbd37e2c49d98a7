//! The log: who came and who left, what the explain mode tells, and that it never stops serving.

mod support;

use std::io::{Read, Write};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use socket2::SockRef;
use socklab::engine::Engine;
use support::{Process, connect, echoes, finish, on_both_engines, pattern};

/// What a server logs that echoes one message and is stopped.
fn log_of_one_message(engine: Engine, arguments: &[&str], rust_log: Option<&str>) -> String {
    let mut command = Process::command(engine, arguments);
    if let Some(filter) = rust_log {
        command.env("RUST_LOG", filter);
    }
    let mut server = Process::spawn(command.stderr(Stdio::piped()));
    let mut client = server.connect();
    echoes(&mut client, b"hello");
    assert_eq!(finish(&mut client), b"");
    drop(client);
    server.signal(Signal::SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
    let mut log = String::new();
    server.child.stderr.as_mut().expect("it is piped").read_to_string(&mut log).unwrap();
    log
}

/// Checks that lines with these words come in this order.
fn tells(log: &str, words: &[&str]) {
    let mut lines = log.lines();
    for word in words {
        assert!(lines.any(|line| line.contains(word)), "{word:?} is not where it should be: {log}");
    }
}

on_both_engines! {
    fn it_tells_who_came_and_who_left_with_bytes_and_duration(engine) {
        let log = log_of_one_message(engine, &[], None);
        tells(&log, &[" connected", " s: 5 B in, 5 B out; finished", "stopped"]);
        assert!(!log.contains("TRACE"), "{log}");
    }

    fn quiet_is_quiet_and_the_environment_overrides_the_flags(engine) {
        assert_eq!(log_of_one_message(engine, &["-q"], None), "");
        assert_eq!(log_of_one_message(engine, &["-v"], Some("off")), "");
        let log = log_of_one_message(engine, &["-q"], Some("info"));
        tells(&log, &[" connected"]);
    }

    fn the_explain_mode_tells_what_the_readme_shows(engine) {
        let log = log_of_one_message(engine, &["--explain"], None);
        match engine {
            Engine::Poll => tells(&log, &[
                "asleep in epoll_wait until there is news",
                "epoll_wait: callers are waiting at listener 0",
                "as #1 into slot 0; registered once",
                "epoll_wait: #1 can be read",
                "turn: #1 read 5 bytes",
                "turn: #1 says 5 bytes and wants Read",
                "turn: #1 read 0 bytes: its peer has closed its sending half (FIN)",
                "turn: #1 says 0 bytes and wants Close",
                "#1 is closed; slot 0 is free for the next caller",
            ]),
            Engine::Threads => tells(&log, &[
                "acceptor: asleep in accept until somebody calls",
                "is #1; a thread is spawned for it",
                "#1: asleep in read until its peer says something or leaves",
                "#1: awake, read 5 bytes; its session is told",
                "#1: writes 5 bytes; if its peer does not read, it sleeps",
                "#1: read 0 bytes: its peer has closed its sending half (FIN)",
                "#1: its thread ends; slot 0 is free for the next caller",
            ]),
        }
    }

    fn a_log_that_nobody_reads_does_not_stop_it(engine) {
        let mut command = Process::command(engine, &["--explain"]);
        // A pipe holds 64 KiB; each connection writes some lines.
        let server = Process::spawn(command.stderr(Stdio::piped()));
        for round in 0..1000 {
            let mut client = server.connect();
            echoes(&mut client, &pattern(round, 100));
            assert_eq!(finish(&mut client), b"");
        }
    }

    fn a_log_that_is_gone_does_not_stop_it(engine) {
        let mut command = Process::command(engine, &["--explain"]);
        let mut server = Process::spawn(command.stderr(Stdio::piped()));
        drop(server.child.stderr.take());
        for round in 0..100 {
            echoes(&mut server.connect(), &pattern(round, 100));
        }
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait().code(), Some(0));
    }

    fn ten_thousand_bad_clients_do_not_write_ten_thousand_lines(engine) {
        let mut command = Process::command(engine, &[]);
        let mut server = Process::spawn(command.stderr(Stdio::piped()));
        let mut stderr = server.child.stderr.take().unwrap();
        let log = thread::spawn(move || {
            let mut log = String::new();
            stderr.read_to_string(&mut log).unwrap();
            log
        });
        for _ in 0..10_000 {
            let mut bad = connect(server.address());
            bad.write_all(b"and away").unwrap();
            SockRef::from(&bad).set_linger(Some(Duration::ZERO)).unwrap();
        }
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait().code(), Some(0));
        let log = log.join().unwrap();
        assert!(log.lines().count() < 5000, "{} lines", log.lines().count());
        assert!(log.contains("too many to list"));
    }
}

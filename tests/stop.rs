//! Stopping: what has arrived is answered, idle clients are not waited for, and nobody new comes in.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use socklab::engine::Limits;
use socklab::service::Echo;
use support::{PATIENCE, Process, Server, echoes, eventually, fill, on_both_engines, pattern};

on_both_engines! {
    fn nothing_that_has_arrived_is_lost(engine) {
        for round in 0..10 {
            let server = Server::start(engine, Echo);
            let mut clients: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
            let bytes = pattern(round, 50_000);
            for client in &mut clients {
                client.write_all(&bytes).unwrap();
            }
            server.request_stop();
            for client in &mut clients {
                let mut back = Vec::new();
                client.read_to_end(&mut back).unwrap();
                assert!(back == bytes);
            }
        }
    }

    fn who_is_in_the_queue_is_served_too(engine) {
        let server = Server::with_limits(engine, Echo, Limits { max_clients: 50, ..Limits::default() });
        let mut clients: Vec<TcpStream> = (0..50).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.write_all(b"just in time").unwrap();
        }
        server.request_stop();
        for client in &mut clients {
            let mut back = Vec::new();
            client.read_to_end(&mut back).unwrap();
            assert_eq!(back, b"just in time");
        }
    }

    fn who_streams_gets_a_prefix_and_a_clean_end(engine) {
        let server = Server::start(engine, Echo);
        let mut client = server.connect();
        let mut sender = client.try_clone().unwrap();
        let sent = AtomicU64::new(0);
        thread::scope(|scope| {
            scope.spawn(|| {
                // Pauses let the server find its socket empty; it fails once the server has left.
                while sender.write_all(&[7; 1000]).is_ok() {
                    sent.fetch_add(1000, Ordering::Relaxed);
                    thread::sleep(Duration::from_micros(200));
                    if sent.load(Ordering::Relaxed) == 100_000 {
                        server.request_stop();
                    }
                    if sent.load(Ordering::Relaxed) > 10_000_000 {
                        break;
                    }
                }
            });
            let mut back = Vec::new();
            client.read_to_end(&mut back).unwrap();
            assert!(back.len() >= 50_000, "{} bytes came back", back.len());
            assert!(back.iter().all(|byte| *byte == 7));
            client.shutdown(Shutdown::Both).unwrap();
        });
    }

    fn idle_clients_are_told_and_not_waited_for(engine) {
        let limits = Limits { grace: PATIENCE, ..Limits::default() };
        let server = Server::with_limits(engine, Echo, limits);
        let mut clients: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
        for client in &mut clients {
            echoes(client, b"seated");
        }
        server.request_stop();
        for client in &mut clients {
            assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
        }
        // None of them has closed its end.
        assert!(server.wait() < PATIENCE / 2);
    }

    fn a_peer_that_never_reads_holds_the_server_for_the_grace_period_only(engine) {
        let limits = Limits { grace: Duration::from_millis(300), ..Limits::default() };
        let server = Server::with_limits(engine, Echo, limits);
        let mut client = server.connect();
        fill(&mut client);
        server.request_stop();
        let since = Instant::now();
        server.wait();
        assert!(since.elapsed() >= Duration::from_millis(300));
    }

    fn a_slow_reader_gets_the_rest_within_the_grace_period(engine) {
        let server = Server::start(engine, Echo);
        let mut client = server.connect();
        // Small enough for the kernel's buffers on both sides.
        let bytes = pattern(5, 1 << 20);
        client.write_all(&bytes).unwrap();
        server.request_stop();
        let mut back = Vec::new();
        let mut piece = [0; 50_000];
        loop {
            match client.read(&mut piece).unwrap() {
                0 => break,
                n => back.extend_from_slice(&piece[..n]),
            }
            thread::sleep(Duration::from_millis(2));
        }
        assert!(back == bytes);
    }

    fn new_callers_are_refused_once_it_is_stopping(engine) {
        let limits = Limits { grace: PATIENCE, ..Limits::default() };
        let server = Server::with_limits(engine, Echo, limits);
        let mut holds_the_grace_period = server.connect();
        fill(&mut holds_the_grace_period);
        server.request_stop();
        eventually("callers are refused", || TcpStream::connect(server.address).is_err());
        drop(holds_the_grace_period);
    }

    fn a_stop_before_the_start_is_a_stop(engine) {
        let server = Server::start(engine, Echo);
        server.request_stop();
        server.wait();
    }

    fn the_signal_ends_the_process_with_status_0_and_loses_nothing(engine) {
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let mut server = Process::start(engine, &[]);
            let mut clients: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
            for client in &mut clients {
                client.write_all(&pattern(1, 10_000)).unwrap();
            }
            server.signal(signal);
            for client in &mut clients {
                let mut back = Vec::new();
                client.read_to_end(&mut back).unwrap();
                assert!(back == pattern(1, 10_000));
            }
            assert_eq!(server.wait().code(), Some(0));
        }
    }

    fn ten_signals_crash_nothing(engine) {
        let mut server = Process::start(engine, &["--grace", "60s"]);
        let mut blocked = server.connect();
        fill(&mut blocked);
        for _ in 0..10 {
            // Those that come while one is pending are one to the kernel.
            server.signal(Signal::SIGTERM);
        }
        eventually("a second signal has ended it", || {
            server.signal(Signal::SIGTERM);
            server.child.try_wait().unwrap().is_some()
        });
        assert_eq!(server.wait().code(), Some(130));
    }

    fn being_stopped_and_continued_loses_no_byte(engine) {
        let server = Process::start(engine, &[]);
        let mut client = server.connect();
        let mut sender = client.try_clone().unwrap();
        let bytes = pattern(6, 20 << 20);
        thread::scope(|scope| {
            scope.spawn(|| {
                sender.write_all(&bytes).unwrap();
                sender.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(|| {
                for _ in 0..20 {
                    server.signal(Signal::SIGSTOP);
                    thread::sleep(Duration::from_millis(5));
                    server.signal(Signal::SIGCONT);
                    thread::sleep(Duration::from_millis(5));
                }
            });
            let mut back = Vec::new();
            client.read_to_end(&mut back).unwrap();
            assert!(back == bytes);
        });
        echoes(&mut server.connect(), b"still here");
    }
}

//! Stopping: what has arrived is answered, idle clients are not waited for, and nobody new comes in.

mod support;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use socket2::SockRef;
use socklab::engine::{Endpoint, Limits, Stop, listen};
use socklab::service::Echo;
use support::way::{Peer, in_every_way};
use support::{
    PATIENCE, Process, Server, all_arrived, echoes, eventually, fill, on_both_engines, pattern,
};

in_every_way! {
    fn nothing_that_has_arrived_is_lost(way) {
        for round in 0..10 {
            let server = way.start(Echo);
            let mut clients: Vec<Peer> = (0..20).map(|_| server.call()).collect();
            let bytes = pattern(round, 50_000);
            for client in &mut clients {
                client.say(&bytes);
            }
            clients.iter().for_each(|client| all_arrived(&client.tcp));
            server.server.request_stop();
            for client in &mut clients {
                assert!(client.rest() == bytes);
            }
        }
    }

    fn who_streams_gets_a_prefix_and_a_clean_end_and_is_not_waited_for(way) {
        let limits = Limits { grace: PATIENCE, ..Limits::default() };
        let server = way.with_limits(Echo, limits);
        let mut client = server.call();
        let mut heard = Vec::new();
        // It never pauses for long, and goes on until the server has left.
        while !client.has_ended() {
            client.can_say(&[7; 1000]);
            heard.extend(client.take_heard());
            if heard.len() > 100_000 {
                server.server.request_stop();
            }
            thread::sleep(Duration::from_micros(200));
        }
        assert!(heard.iter().all(|byte| *byte == 7));
        assert!(server.server.wait() < PATIENCE / 2);
    }

    fn who_starts_to_read_late_gets_everything_though_it_goes_on_sending(way) {
        let limits = Limits { grace: PATIENCE, ..Limits::default() };
        let server = way.with_limits(Echo, limits);
        let mut client = server.call();
        // More than the client's kernel takes, and less than the server's holds for it.
        let bytes = pattern(9, 1 << 20);
        client.say(&bytes);
        all_arrived(&client.tcp);
        server.server.request_stop();
        for _ in 0..20 {
            client.say(b"!");
            thread::sleep(Duration::from_millis(50));
        }
        let back = client.rest();
        assert!(back.starts_with(&bytes), "{} bytes came back", back.len());
    }

    fn idle_clients_are_told_and_not_waited_for(way) {
        let limits = Limits { grace: PATIENCE, ..Limits::default() };
        let server = way.with_limits(Echo, limits);
        let mut clients: Vec<Peer> = (0..100).map(|_| server.call()).collect();
        for client in &mut clients {
            client.echoes(b"seated");
        }
        server.server.request_stop();
        for client in &mut clients {
            assert_eq!(client.rest(), b"");
        }
        // None of them has closed its end.
        assert!(server.server.wait() < PATIENCE / 2);
    }

    fn a_peer_that_never_reads_holds_the_server_for_the_grace_period_only(way) {
        let limits = Limits { grace: Duration::from_millis(300), ..Limits::default() };
        let server = way.with_limits(Echo, limits);
        let mut client = server.call();
        client.fill();
        server.server.request_stop();
        let since = Instant::now();
        server.server.wait();
        assert!(since.elapsed() >= Duration::from_millis(300));
    }

    fn being_stopped_and_continued_loses_no_byte(way) {
        let server = way.process(&[]);
        let mut client = server.call();
        let bytes = pattern(6, 20 << 20);
        thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..20 {
                    server.server.signal(Signal::SIGSTOP);
                    thread::sleep(Duration::from_millis(5));
                    server.server.signal(Signal::SIGCONT);
                    thread::sleep(Duration::from_millis(5));
                }
            });
            client.begin(&bytes);
            assert!(client.finish() == bytes);
        });
        server.call().echoes(b"still here");
    }
}

on_both_engines! {

    fn who_is_in_the_queue_is_served_too(engine) {
        let mut server = Process::start(engine, &[]);
        // It accepts nobody while it is stopped, so all of them are in the queue at the signal.
        server.signal(Signal::SIGSTOP);
        let mut clients: Vec<TcpStream> = (0..200).map(|_| server.connect()).collect();
        for client in &mut clients {
            client.write_all(b"just in time").unwrap();
        }
        server.signal(Signal::SIGTERM);
        server.signal(Signal::SIGCONT);
        for client in &mut clients {
            let mut back = Vec::new();
            client.read_to_end(&mut back).unwrap();
            assert_eq!(back, b"just in time");
        }
        assert_eq!(server.wait().code(), Some(0));
    }

    fn what_follows_an_urgent_byte_is_not_lost(engine) {
        let mut server = Process::start(engine, &[]);
        let mut clients: Vec<TcpStream> = (0..1500).map(|_| server.connect()).collect();
        for client in &mut clients {
            echoes(client, b"seated");
        }
        server.signal(Signal::SIGSTOP);
        for client in &mut clients {
            client.write_all(b"abc").unwrap();
            SockRef::from(&*client).send_out_of_band(b"!").unwrap();
            client.write_all(b"tail").unwrap();
        }
        server.signal(Signal::SIGTERM);
        server.signal(Signal::SIGCONT);
        for client in &mut clients {
            let mut back = Vec::new();
            client.read_to_end(&mut back).unwrap();
            assert_eq!(back, b"abc!tail");
        }
        assert_eq!(server.wait().code(), Some(0));
    }

    fn new_callers_are_refused_once_it_is_stopping(engine) {
        let limits = Limits { grace: PATIENCE, ..Limits::default() };
        let server = Server::with_limits(engine, Echo, limits);
        let mut holds_the_grace_period = server.connect();
        fill(&mut holds_the_grace_period);
        server.request_stop();
        let since = Instant::now();
        eventually("callers are refused", || TcpStream::connect(server.address).is_err());
        // The grace period, for which the server goes on, is not over.
        assert!(since.elapsed() < PATIENCE / 2);
        drop(holds_the_grace_period);
    }

    fn a_stop_before_the_start_is_a_stop(engine) {
        let stop = Arc::new(Stop::new().unwrap());
        stop.request();
        let listener = listen("127.0.0.1", 0).unwrap().remove(0);
        let endpoint = Endpoint::Stream { listener, service: Arc::new(Echo) };
        engine.run(vec![endpoint], Limits::default(), stop).unwrap();
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

}

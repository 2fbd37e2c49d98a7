//! Nobody harms anybody else: floods, silence, resets and churn, beside a client that is served.

mod support;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};
use socklab::engine::Limits;
use socklab::service::{Chargen, Discard, Echo};
use support::{
    Process, Server, connect, echoes, eventually, fill, finish, on_both_engines, pattern,
};

/// Leaves with a reset instead of an end.
fn reset(client: TcpStream) {
    SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
}

on_both_engines! {
    fn a_flooder_does_not_starve_its_neighbour(engine) {
        let server = Server::start(engine, Echo);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let mut sender = server.connect();
            let mut reader = sender.try_clone().unwrap();
            let over = &over;
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    sender.write_all(&[1; 65_536]).unwrap();
                }
                sender.shutdown(Shutdown::Write).unwrap();
            });
            scope.spawn(move || {
                let mut back = vec![0; 65_536];
                while reader.read(&mut back).unwrap() > 0 {}
            });
            let mut neighbour = server.connect();
            for round in 0..500 {
                echoes(&mut neighbour, &pattern(round, 64));
            }
            over.store(true, Ordering::Relaxed);
        });
    }

    fn nobody_waits_for_a_peer_that_never_reads(engine) {
        let server = Server::start(engine, Echo);
        let mut silent: Vec<TcpStream> = (0..8).map(|_| server.connect()).collect();
        let taken: Vec<usize> = silent.iter_mut().map(fill).collect();
        let mut neighbour = server.connect();
        for round in 0..100 {
            echoes(&mut neighbour, &pattern(round, 1000));
        }
        // It was only held up: when it reads, everything is there.
        for (client, taken) in silent.iter_mut().zip(taken) {
            client.shutdown(Shutdown::Write).unwrap();
            let mut back = Vec::new();
            client.read_to_end(&mut back).unwrap();
            assert_eq!(back.len(), taken);
            assert!(back.iter().all(|byte| *byte == 0x55));
        }
    }

    fn a_peer_that_never_reads_costs_a_bounded_amount(engine) {
        let server = Process::start(engine, &["--backlog-bytes", "64KiB"]);
        fill(&mut server.connect());
        let before = server.resident();
        let mut silent: Vec<TcpStream> = (0..50).map(|_| server.connect()).collect();
        for client in &mut silent {
            fill(client);
        }
        let each = server.resident().saturating_sub(before) * 1024 / silent.len();
        // What it may hold, and what a connection costs besides, thread and all.
        assert!(each < (64 + 32) * 1024, "{each} bytes each");
    }

    fn resets_at_every_stage_harm_nobody(engine) {
        let server = Server::start(engine, Echo);
        let mut neighbour = server.connect();
        for round in 0..100 {
            reset(server.connect());
            let mut sent = server.connect();
            sent.write_all(b"and away").unwrap();
            reset(sent);
            let mut unread = server.connect();
            echoes(&mut unread, b"one");
            unread.write_all(&pattern(round, 100_000)).unwrap();
            reset(unread);
            let half = server.connect();
            half.shutdown(Shutdown::Write).unwrap();
            reset(half);
            echoes(&mut neighbour, &pattern(round, 100));
        }
    }

    fn a_reset_ends_a_conversation_that_waits_for_its_reader(engine) {
        let server = Server::with_limits(engine, Echo, Limits { max_clients: 1, ..Limits::default() });
        for _ in 0..5 {
            let mut blocked = server.connect();
            fill(&mut blocked);
            reset(blocked);
        }
        echoes(&mut server.connect(), b"the seat is free again");
    }

    fn closing_at_once_harms_nobody(engine) {
        let server = Server::start(engine, Echo);
        let mut neighbour = server.connect();
        for round in 0..500 {
            drop(server.connect());
            if round % 10 == 0 {
                echoes(&mut neighbour, b"still here");
            }
        }
    }

    fn chargen_goes_on_after_the_peers_end_and_stops_when_it_leaves(engine) {
        let server = Process::start(engine, &["chargen"]);
        let mut client = server.connect();
        client.shutdown(Shutdown::Write).unwrap();
        let mut lines = vec![0; 1 << 20];
        client.read_exact(&mut lines).unwrap();
        assert_eq!(&lines[..74], b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n");
        let files = server.files();
        drop(client);
        eventually("its descriptor is closed", || server.files() == files - 1);
    }

    fn chargen_serves_many_slow_readers(engine) {
        let server = Server::start(engine, Chargen);
        let mut clients: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
        let mut texts = vec![Vec::new(); clients.len()];
        for _ in 0..50 {
            for (client, text) in clients.iter_mut().zip(&mut texts) {
                let mut piece = [0; 4099];
                client.read_exact(&mut piece).unwrap();
                text.extend_from_slice(&piece);
            }
        }
        assert!(texts.iter().all(|text| *text == texts[0]));
    }

    fn discard_takes_everything_and_says_nothing(engine) {
        let server = Server::start(engine, Discard);
        let mut client = server.connect();
        client.write_all(&pattern(9, 10 << 20)).unwrap();
        assert!(finish(&mut client).is_empty());
    }

    fn a_slow_but_steady_reader_is_not_idle(engine) {
        let idle_timeout = Some(Duration::from_secs(1));
        let server = Server::with_limits(engine, Echo, Limits { idle_timeout, ..Limits::default() });
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_recv_buffer_size(16 * 1024).unwrap();
        client.connect(&server.address.into()).unwrap();
        let mut client = TcpStream::from(client);
        fill(&mut client);
        // Two idle times and more, in which it reads a fraction of what the server's kernel holds for it.
        for _ in 0..50 {
            client.read_exact(&mut [0; 8192]).unwrap();
            thread::sleep(Duration::from_millis(50));
        }
        // What the server's engine holds still comes.
        client.shutdown(Shutdown::Write).unwrap();
        client.read_to_end(&mut Vec::new()).unwrap();
    }

    fn an_idle_connection_is_closed_and_a_busy_one_is_not(engine) {
        let idle_timeout = Some(Duration::from_millis(400));
        let server = Server::with_limits(engine, Echo, Limits { idle_timeout, ..Limits::default() });
        let mut idle = server.connect();
        let mut blocked = server.connect();
        fill(&mut blocked);
        let mut busy = server.connect();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    echoes(&mut busy, b"tick");
                    thread::sleep(Duration::from_millis(20));
                }
            });
            assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
            // The one that does not read makes no progress either, and is cut off.
            eventually("the blocked connection is cut off", || {
                blocked.write(&[1; 65_536]).is_err()
            });
            over.store(true, Ordering::Relaxed);
        });
    }
}

#[test]
fn both_loopback_addresses_of_localhost_serve_on_one_port() {
    for engine in [socklab::engine::Engine::Threads, socklab::engine::Engine::Poll] {
        let server = Process::start(engine, &[]);
        let ports: Vec<u16> = server.addresses.iter().map(SocketAddr::port).collect();
        assert!(ports.iter().all(|port| *port == ports[0]));
        for address in &server.addresses {
            echoes(&mut connect(*address), b"here");
        }
    }
}

#[test]
fn the_unspecified_ipv6_address_takes_ipv4_callers_too() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    for engine in [socklab::engine::Engine::Threads, socklab::engine::Engine::Poll] {
        let server = Process::start(engine, &["--host", "::"]);
        let port = server.address().port();
        for ip in ["127.0.0.1", "::1"] {
            echoes(&mut connect(SocketAddr::new(ip.parse().unwrap(), port)), b"here");
        }
    }
}

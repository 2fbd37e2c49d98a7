//! Nobody harms anybody else: floods, silence, resets and churn, beside a client that is served.

mod support;

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use socklab::engine::Limits;
use socklab::service::{Chargen, Discard, Echo};
use support::way::{Peer, in_every_way};
use support::{Process, connect, echoes, eventually, pattern};

/// Short enough to wait for twice, and long enough that a busy machine makes nobody idle.
const IDLE: Duration = Duration::from_secs(2);

in_every_way! {
    fn a_flooder_does_not_starve_its_neighbour(way) {
        let server = way.start(Echo);
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let mut flooder = server.call();
            let over = &over;
            scope.spawn(move || {
                let mut owed = 0;
                while !over.load(Ordering::Relaxed) {
                    flooder.begin(&[1; 65_536]);
                    owed += 65_536;
                    // It never waits for all that it has asked for, so that there is always more.
                    let half = owed / 2;
                    flooder.hear(half);
                    owed -= half;
                }
                assert_eq!(flooder.finish().len(), owed);
            });
            let mut neighbour = server.call();
            for round in 0..500 {
                neighbour.echoes(&pattern(round, 64));
            }
            over.store(true, Ordering::Relaxed);
        });
    }

    fn nobody_waits_for_a_peer_that_never_reads(way) {
        let server = way.start(Echo);
        let mut silent: Vec<Peer> = (0..8).map(|_| server.call()).collect();
        let said: Vec<usize> = silent.iter_mut().map(Peer::fill).collect();
        let mut neighbour = server.call();
        for round in 0..100 {
            neighbour.echoes(&pattern(round, 1000));
        }
        // It was only held up: when it reads, everything is there.
        for (client, said) in silent.iter_mut().zip(said) {
            assert_eq!(client.hear(said), vec![0x55; said]);
            assert!(client.finish().is_empty());
        }
    }

    fn a_peer_that_never_reads_costs_a_bounded_amount(way) {
        for service in ["echo", "chargen"] {
            let server = way.process(&[service, "--backlog-bytes", "64KiB"]);
            let mut first = server.call();
            if service == "echo" {
                first.fill();
            }
            let before = server.server.resident();
            let mut silent: Vec<Peer> = (0..50).map(|_| server.call()).collect();
            for client in silent.iter_mut().filter(|_| service == "echo") {
                client.fill();
            }
            let mut last = 0;
            eventually("all has gone where it can", || {
                let now = server.server.resident();
                std::mem::replace(&mut last, now) == now
            });
            let each = last.saturating_sub(before) * 1024 / silent.len();
            // What it may hold, and what a connection costs besides, thread and all. What is said
            // and not repeated has a buffer of its own; over TLS what was read has another one.
            let besides = match (way.tls, service) {
                (true, _) => 256,
                (false, "chargen") => 64,
                (false, _) => 32,
            };
            assert!(each < (64 + besides) * 1024, "{each} bytes each");
        }
    }

    fn resets_at_every_stage_harm_nobody(way) {
        let server = way.start(Echo);
        let mut neighbour = server.call();
        for round in 0..100 {
            let address = server.server.address;
            server.call_later(TcpStream::connect(address).unwrap()).reset();
            server.call().reset();
            let mut sent = server.call();
            sent.say(b"and away");
            sent.reset();
            let mut unread = server.call();
            unread.echoes(b"one");
            unread.say(&pattern(round, 100_000));
            unread.reset();
            let mut half = server.call();
            half.close();
            half.reset();
            neighbour.echoes(&pattern(round, 100));
        }
    }

    fn a_reset_ends_a_conversation_that_waits_for_its_reader(way) {
        let server = way.with_limits(Echo, Limits { max_clients: 1, ..Limits::default() });
        for _ in 0..5 {
            let mut blocked = server.call();
            blocked.fill();
            blocked.reset();
        }
        server.call().echoes(b"the seat is free again");
    }

    fn closing_at_once_harms_nobody(way) {
        let server = way.start(Echo);
        let mut neighbour = server.call();
        for round in 0..500 {
            drop(server.call_later(TcpStream::connect(server.server.address).unwrap()));
            if round % 10 == 0 {
                neighbour.echoes(b"still here");
            }
        }
    }

    fn chargen_goes_on_after_the_peers_end_and_stops_when_it_leaves(way) {
        let server = way.process(&["chargen"]);
        let mut client = server.call();
        client.close();
        let lines = client.hear(1 << 20);
        assert_eq!(&lines[..74], b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n");
        let files = server.server.files();
        drop(client);
        eventually("its descriptor is closed", || server.server.files() == files - 1);
    }

    fn chargen_serves_many_slow_readers(way) {
        let server = way.start(Chargen);
        let mut clients: Vec<Peer> = (0..20).map(|_| server.call()).collect();
        let mut texts = vec![Vec::new(); clients.len()];
        for _ in 0..50 {
            for (client, text) in clients.iter_mut().zip(&mut texts) {
                text.extend(client.hear(4099));
            }
        }
        assert!(texts.iter().all(|text| *text == texts[0]));
    }

    fn discard_takes_everything_and_says_nothing(way) {
        let server = way.start(Discard);
        let mut client = server.call();
        client.say(&pattern(9, 10 << 20));
        assert!(client.finish().is_empty());
    }

    fn a_slow_but_steady_reader_is_not_idle(way) {
        let idle_timeout = Some(IDLE);
        let server = way.with_limits(Echo, Limits { idle_timeout, ..Limits::default() });
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        client.set_recv_buffer_size(16 * 1024).unwrap();
        client.connect(&server.server.address.into()).unwrap();
        let mut client = server.call_with(client.into());
        client.fill();
        // Two idle times and more, in which it reads a fraction of what the server's kernel holds for it.
        for _ in 0..50 {
            client.read_once(8192);
            thread::sleep(IDLE / 20);
        }
        // What the server's engine holds still comes.
        client.finish();
    }

    fn an_idle_connection_is_closed_and_a_busy_one_is_not(way) {
        let idle_timeout = Some(IDLE);
        let server = way.with_limits(Echo, Limits { idle_timeout, ..Limits::default() });
        let mut idle = server.call();
        let mut blocked = server.call();
        blocked.fill();
        let mut busy = server.call();
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    busy.echoes(b"tick");
                    thread::sleep(Duration::from_millis(20));
                }
            });
            assert_eq!(idle.rest(), b"");
            // The one that does not read makes no progress either, and is cut off.
            eventually("the blocked connection is cut off", || !blocked.can_say(&[1; 65_536]));
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

//! Load on right servers: on both engines, and however they cut and delay what they answer, none has
//! a fault, and what is counted is right.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use socklab::load::callers::{Callers, Until};
use socklab::load::clients::Clients;
use socklab::load::driver::{Driver, Length, Party};
use socklab::load::pace::{Pace, Schedule};
use socklab::load::watch::Watch;
use socklab::load::work::Work;
use socklab::service::{Chargen, Discard, Echo};
use socklab::transport::Transport;
use support::load::{Counting, SEED, caller, load, load_as_json, party};
use support::post::Post;
use support::run::{number, parsed, socklab};
use support::{PATIENCE, Server, on_both_engines};

/// Two addresses, two threads.
fn spread(party: Party) -> Party {
    Party { threads: 2, sources: vec![caller(0), caller(1)], ..party }
}

on_both_engines! {
    fn a_right_server_has_no_fault(engine) {
        let echo = Server::start(engine, Echo);
        let discard = Server::start(engine, Discard);
        let ping = Server::start(
            engine,
            Counting { size: 6, reply: Some(b"+PONG\r\n"), messages: Arc::default() },
        );
        let said = Work::echo(64, SEED).saying(b"PING\r\n");
        let table = [
            (&echo, Work::echo(1, SEED)),
            (&echo, Work::echo(64, SEED)),
            (&echo, Work::echo(100_000, SEED)),
            (&echo, said.clone()),
            (&echo, Work::unchecked(64, SEED)),
            (&discard, Work::sink(64, SEED)),
            (&discard, Work::sink(100_000, SEED)),
            (&ping, said.answered_by(b"+PONG\r\n")),
        ];
        for (server, work) in table {
            for (depth, leaves_after) in [(16, None), (1, Some(7))] {
                let party = spread(party(server.address, 5, work.clone()));
                let pace = Pace { leaves_after, ..Pace::closed(depth) };
                let outcome = load(&party, pace, 300);
                assert_eq!(outcome.faults.total(), 0, "{work:?}: {:?}", outcome.faults);
                assert_eq!(outcome.tally.messages, 300, "{work:?}, {pace:?}");
                let bytes = 300 * work.message;
                assert_eq!(outcome.tally.sent, bytes, "{work:?}, {pace:?}");
                assert_eq!(outcome.times.service.len(), if work.reply == 0 { 0 } else { 300 });
                assert_eq!(outcome.tally.received, 300 * work.reply, "{work:?}, {pace:?}");
            }
        }
    }

    fn a_source_is_listened_to(engine) {
        let server = Server::start(engine, Chargen);
        let party = spread(party(server.address, 5, Work::source(1000)));
        let outcome = load(&party, Pace::closed(1), 300);
        assert_eq!(outcome.faults.total(), 0, "{:?}", outcome.faults);
        assert!(outcome.tally.messages >= 300 && outcome.tally.sent == 0, "{:?}", outcome.tally);
    }

    fn a_schedule_of_messages_is_kept_to_the_last_one(engine) {
        let server = Server::start(engine, Echo);
        for depth in [None, Some(1)] {
            let party = spread(party(server.address, 5, Work::echo(64, SEED)));
            let mut driver = Driver::new(&party, Arc::new(Watch::new())).unwrap();
            driver.connect().unwrap();
            let pace = Pace { depth, ..Pace::default() };
            let outcome = driver.slice(pace, Some(5_000.0), Length::Messages(501)).unwrap();
            assert_eq!((outcome.tally.messages, outcome.faults.total()), (501, 0));
            assert_eq!((outcome.times.latency.len(), outcome.times.service.len()), (501, 501));
            // 501 messages at 5,000 per second.
            assert!(outcome.tally.elapsed >= Duration::from_millis(98), "{:?}", outcome.tally);
            let (latency, service) = (outcome.times.latency.max(), outcome.times.service.max());
            assert!(latency >= service, "{latency} {service}");
        }
    }

    fn who_takes_up_a_slice_late_has_had_the_time_of_its_schedule(engine) {
        let (tcp, udp) = (Server::start(engine, Echo), Post::echo());
        for (transport, server) in [(Transport::Tcp, tcp.address), (Transport::Udp, udp.address)] {
            let age = Duration::from_secs(2);
            let watch = Watch { epoch: Instant::now() - age, ..Watch::new() };
            let callers = Callers {
                server,
                secure: None,
                clients: 2,
                first: 0,
                step: 1,
                of: 2,
                sources: vec![caller(0)],
                connect_rate: None,
                patience: PATIENCE,
                awake: false,
            };
            let work = Work::echo(64, SEED);
            let mut clients = Clients::new(transport, callers, work, Arc::new(watch)).unwrap();
            clients.connect().unwrap();
            // A second's messages, the last of which was due a second ago.
            let schedule = Some(Schedule { start: 0, rate: 20.0, clients: 2 });
            let until = Until { messages: Some(21), time: None };
            let tally = clients.slice(Pace { schedule, ..Pace::default() }, until).unwrap();
            assert_eq!((tally.messages, tally.late), (21, 21), "{transport:?}: {tally:?}");
            assert!(tally.elapsed >= age, "{transport:?}: {tally:?}");
        }
    }

    fn the_sum_over_clients_is_what_the_server_counts(engine) {
        let messages = Arc::new(AtomicU64::new(0));
        let counting = Counting { size: 64, reply: None, messages: messages.clone() };
        let server = Server::start(engine, counting);
        for (warmup, pipeline, churn) in [("0", "1", "1000000"), ("100ms", "16", "10")] {
            let before = messages.load(Ordering::SeqCst);
            let arguments = [
                "-c", "10", "-n", "1003", "--threads", "2", "--warmup", warmup,
                "--pipeline", pipeline, "--per-connection", churn,
            ];
            let target = format!("tcp://{}", server.address);
            let common = ["load", &target, "--json", "-"];
            let (code, printed, complaint) = socklab(&[&common[..], &arguments].concat());
            assert_eq!(code, 0, "{complaint}");
            let document = parsed(&printed);
            assert_eq!(document["messages"], 1003);
            assert_eq!(document["latency"]["count"], 1003);
            assert_eq!(document["sent_bytes"], 1003 * 64);
            assert_eq!(document["received_bytes"], 1003 * 64);
            let counted = messages.load(Ordering::SeqCst) - before;
            assert_eq!(document["messages_in_all"], counted, "{arguments:?}");
            assert!(counted >= 1013, "each client was answered once while connecting");
        }
    }

    fn every_expectation_can_be_asked_for(engine) {
        let echo = Server::start(engine, Echo);
        let discard = Server::start(engine, Discard);
        let chargen = Server::start(engine, Chargen);
        let ping = Server::start(
            engine,
            Counting { size: 6, reply: Some(b"+PONG\r\n"), messages: Arc::default() },
        );
        let table: [(_, &[&str]); 5] = [
            (&echo, &["--size", "100KB", "--pipeline", "4"]),
            (&discard, &["--expect", "sink"]),
            (&chargen, &["--expect", "source", "--size", "1KiB"]),
            (&echo, &["--expect", "none", "--threads", "2"]),
            (&ping, &["--message", r"PING\r\n", "--reply", r"+PONG\r\n", "--pipeline", "16"]),
        ];
        for (server, arguments) in table {
            let common = ["-c", "4", "-n", "400", "--source", "127.0.0.1,127.0.0.2"];
            let arguments = [&common[..], arguments, &["--fail-if", "errors>0"]].concat();
            let (code, document, complaint) = load_as_json(server.address, &arguments);
            assert_eq!(code, 0, "{arguments:?}: {complaint}");
            assert!(document["messages"].as_u64() >= Some(400), "{arguments:?}: {document}");
            assert_eq!(document["connected"], 4);
            assert!(number(&document["connect"]["count"]) == 4.0, "{document}");
        }
    }
}

/// Echoes in pieces that have nothing to do with messages.
fn chopped(cuts: Vec<usize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let cuts = cuts.clone();
            thread::spawn(move || chop(stream?, &cuts));
        }
    });
    address
}

fn chop(mut stream: TcpStream, cuts: &[usize]) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut input = [0; 8192];
    let mut cuts = cuts.iter().cycle();
    loop {
        let n = stream.read(&mut input)?;
        let mut rest = &input[..n];
        if n == 0 {
            return Ok(());
        }
        while !rest.is_empty() {
            let cut = *cuts.next().unwrap();
            let (piece, later) = rest.split_at(rest.len().min(cut));
            stream.write_all(piece)?;
            rest = later;
            if cut.is_multiple_of(3) {
                thread::sleep(Duration::from_micros(cut as u64 % 50));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn an_echo_is_right_however_it_is_cut_and_delayed(
        cuts in proptest::collection::vec(1..2000_usize, 1..20),
        size in 1..5000_u64,
        depth in 1..9_u64,
        clients in 1..4_usize,
        seed in any::<u64>(),
    ) {
        let party = party(chopped(cuts), clients, Work::echo(size, seed));
        let outcome = load(&party, Pace::closed(depth), 40);
        prop_assert_eq!(outcome.faults.total(), 0, "{:?}", outcome.faults);
        prop_assert_eq!(outcome.tally.messages, 40);
        prop_assert_eq!(outcome.messages_in_all, 40 + clients as u64);
    }
}

//! Load on IRC servers: each line comes to each member once, in order and unchanged, whatever
//! else the server says.

mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use socklab::engine::{Endpoint, Limits, listen};
use socklab::load::driver::{Driver, Length, Outcome, Party};
use socklab::load::pace::Pace;
use socklab::load::secure::Secure;
use socklab::load::watch::Watch;
use socklab::tls::{Connector, Tls, client};
use support::ircd::{Irc, Shape, Temper, load, room, rooms};
use support::secure::acceptor;
use support::{PATIENCE, Server, on_both_engines};

/// All lines were heard by all, each once.
#[track_caller]
fn is_whole(outcome: &Outcome, lines: u64, members: usize) {
    let deliveries = lines * (members as u64 - 1);
    let Outcome { tally, times, faults, .. } = outcome;
    assert_eq!(faults.total(), 0, "{faults:?}");
    assert_eq!((tally.begun, tally.lines, tally.messages), (lines, lines, deliveries), "{tally:?}");
    assert_eq!((times.service.len(), times.last.len()), (deliveries, lines));
    assert_eq!(faults.unanswered, 0);
}

on_both_engines! {
    fn a_right_server_delivers_each_line_once(engine) {
        let server = Server::start(engine, Irc::of(Temper::Right));
        let table: [(Shape, u64, u64, usize); 6] = [
            ((1, 2, 1), 1, 64, 1),
            ((1, 10, 10), 1, 64, 1),
            ((1, 10, 3), 16, 13, 1),
            ((3, 5, 5), 4, 400, 2),
            ((7, 2, 2), 1, 64, 3),
            ((2, 40, 1), 8, 100, 1),
        ];
        for (shape, depth, size, threads) in table {
            let party = Party { threads, ..rooms(server.address, shape, size) };
            is_whole(&load(&party, Pace::closed(depth), None, 403), 403, shape.1);
        }
    }

    fn a_schedule_of_lines_is_kept(engine) {
        let server = Server::start(engine, Irc::of(Temper::Right));
        for (shape, threads, depth) in [((1, 5, 2), 1, None), ((3, 4, 4), 2, Some(1))] {
            let party = Party { threads, ..rooms(server.address, shape, 64) };
            let pace = Pace { depth, ..Pace::default() };
            let outcome = load(&party, pace, Some(2_000.0), 201);
            is_whole(&outcome, 201, shape.1);
            assert_eq!(outcome.times.latency.len(), 201 * (shape.1 as u64 - 1));
            assert!(outcome.times.latency.max() >= outcome.times.service.max());
        }
    }

    fn what_else_a_server_says_is_no_fault(engine) {
        let tempers = [
            Temper::Chops, Temper::Chats, Temper::Tags, Temper::Terse, Temper::KnowsThatName,
        ];
        for temper in tempers {
            let irc = Irc::of(temper);
            let server = Server::start(engine, irc.clone());
            // Pieces of what several say at once would be mixed up.
            let talkers = if temper == Temper::Chops { 1 } else { 3 };
            let party = rooms(server.address, (1, 6, talkers), 64);
            is_whole(&load(&party, Pace::closed(4), None, 100), 100, 6);
            let [pings, pongs] = [&irc.pings, &irc.pongs].map(|count| count.load(Ordering::SeqCst));
            assert_eq!(pings > 0, temper == Temper::Chats, "{temper:?}");
            // All but what was said last was answered before it was asked whether that is all.
            assert_eq!(pings, pongs, "{temper:?}");
        }
    }

    fn a_password_opens_what_is_locked(engine) {
        let server = Server::start(engine, Irc::of(Temper::Locked("sesame")));
        let mut party = room(server.address);
        party.work = party.work.opened_by(Some("sesame".into()));
        is_whole(&load(&party, Pace::closed(1), None, 10), 10, 3);
    }

    fn who_is_cut_off_before_a_word_calls_again(engine) {
        let listener = listen("127.0.0.1", 0).unwrap().remove(0);
        let address = listener.local_addr().unwrap();
        let server = thread::spawn(move || {
            SockRef::from(&listener).set_nonblocking(false).unwrap();
            for _ in 0..2 {
                let (caller, _) = listener.accept().unwrap();
                SockRef::from(&caller).set_linger(Some(Duration::ZERO)).unwrap();
            }
            let service = Arc::new(Irc::of(Temper::Right));
            let endpoints = vec![Endpoint::Stream { listener, service }];
            Server::with_endpoints(engine, endpoints, Limits::default(), address)
        });
        is_whole(&load(&room(address), Pace::closed(1), None, 10), 10, 3);
        drop(server.join().unwrap());
    }

    fn two_loads_of_one_server_do_not_meet(engine) {
        let server = Server::start(engine, Irc::of(Temper::Right));
        let mut drivers = [0, 1].map(|_| {
            let party = rooms(server.address, (1, 4, 4), 64);
            Driver::new(&party, Arc::new(Watch::new())).unwrap()
        });
        for driver in &mut drivers {
            assert_eq!(driver.connect().unwrap().connected, 4);
        }
        for driver in &mut drivers {
            let outcome = driver.slice(Pace::closed(2), None, Length::Messages(50)).unwrap();
            is_whole(&outcome, 50, 4);
        }
    }

    fn it_is_all_the_same_over_tls(engine) {
        let irc = Tls::new(Arc::new(Irc::of(Temper::Right)), &acceptor(), PATIENCE);
        let server = Server::start(engine, irc);
        let options = client::Options { insecure: true, ..client::Options::default() };
        let connector = Connector::new(&options).unwrap();
        let host = "localhost".to_owned();
        let secure = Some(Secure { connector, host, resumes: true });
        for (shape, threads) in [((1, 10, 10), 1), ((3, 4, 2), 2)] {
            let party = Party {
                secure: secure.clone(),
                threads,
                ..rooms(server.address, shape, 64)
            };
            let outcome = load(&party, Pace::closed(4), None, 200);
            is_whole(&outcome, 200, shape.1);
            assert_eq!(outcome.handshakes_in_all.full, party.clients as u64);
        }
    }

    fn a_stall_is_felt_by_all_who_had_to_wait(engine) {
        let stall = Duration::from_millis(200);
        let server = Server::start(engine, Irc::of(Temper::Stalls(stall)));
        let party = room(server.address);
        // A line each millisecond: 100 of them and more were due in the first half of the stall.
        let outcome = load(&party, Pace::default(), Some(1_000.0), 300);
        is_whole(&outcome, 300, 3);
        let latency = &outcome.times.latency;
        assert!(latency.max() >= stall.as_nanos() as u64, "{}", latency.max());
        let waited = latency.count_between(stall.as_nanos() as u64 / 2, u64::MAX);
        assert!(waited >= 2 * 100, "{waited}");
    }
}

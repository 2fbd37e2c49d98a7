//! Load over UDP: whatever befalls a datagram is counted exactly, each kind apart, and is no error.

mod support;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use socklab::load::driver::{Driver, Length, Outcome, Party};
use socklab::load::fault::Kind;
use socklab::load::pace::Pace;
use socklab::load::watch::Watch;
use socklab::load::work::Work;
use socklab::report::document::Datagrams;
use socklab::transport::Transport;
use support::load::{SEED, caller};
use support::post::{Post, closed_port};

/// Long enough for a server on a busy machine, short enough to be waited for.
const PATIENCE: Duration = Duration::from_millis(600);

fn party(server: SocketAddr, clients: usize, work: Work) -> Party {
    let sources = match server.is_ipv4() {
        true => (0..clients).map(caller).collect(),
        false => Vec::new(),
    };
    Party {
        transport: Transport::Udp,
        patience: PATIENCE,
        sources,
        ..support::load::party(server, clients, work)
    }
}

/// What became of so many messages, stragglers included.
fn load(party: &Party, pace: Pace, rate: Option<f64>, messages: u64) -> Outcome {
    let mut driver = Driver::new(party, Arc::new(Watch::new())).unwrap();
    let connected = driver.connect().unwrap().connected;
    assert_eq!(connected, party.clients);
    let outcome = driver.slice(pace, rate, Length::Messages(messages)).unwrap();
    let left = driver.leave().unwrap();
    let mut tally = outcome.tally;
    tally.datagrams += left.tally.datagrams;
    Outcome { tally, faults: left.faults, messages_in_all: left.messages_in_all, ..outcome }
}

/// So many datagrams, and nothing befell them.
fn sent(sent: u64) -> Datagrams {
    Datagrams { sent, ..Datagrams::default() }
}

/// Both loops, as pace and rate.
fn loops(depth: u64) -> [(Pace, Option<f64>); 2] {
    [(Pace::closed(depth), None), (Pace::default(), Some(2_000.0))]
}

#[test]
fn a_right_server_answers_every_datagram() {
    let server = Post::echo();
    let mut table = Vec::new();
    for (size, clients, depth) in [(8, 5, 16), (9, 5, 1), (64, 5, 16), (1400, 5, 4), (65_507, 1, 1)]
    {
        table.extend(loops(depth).map(|pace| (size, clients, pace)));
    }
    for (size, clients, (pace, rate)) in table {
        let rate = rate.filter(|_| size < 65_507).or(rate.map(|_| 200.0));
        let work = Work::echo(size, SEED);
        let party = Party { threads: 2, ..party(server.address, clients, work) };
        let Outcome { tally, times, faults, messages_in_all, .. } = load(&party, pace, rate, 301);
        let what = format!("{size} bytes, {pace:?}, {rate:?}");
        assert_eq!((tally.messages, tally.begun), (301, 301), "{what}: {tally:?}");
        assert_eq!(tally.datagrams, sent(301), "{what}");
        assert_eq!(faults.total(), 0, "{what}: {faults:?}");
        assert_eq!((tally.sent, tally.received), (301 * size, 301 * size), "{what}");
        assert_eq!(messages_in_all, 301 + clients as u64, "{what}");
        assert_eq!(times.service.len(), 301);
        assert_eq!(times.latency.len(), if rate.is_some() { 301 } else { 0 });
        assert_eq!((times.connect.len(), times.first_byte.len()), (0, clients as u64));
        if let Some(rate) = rate {
            let schedule = Duration::from_secs_f64(300.0 / rate);
            assert!(tally.elapsed >= schedule, "{what}: {tally:?}");
        }
    }
}

#[test]
fn the_longest_datagrams_fit_on_both_kinds_of_address() {
    for (address, size) in [("127.0.0.1:0", 65_507), ("[::1]:0", 65_527)] {
        let echo = |heard: Option<&[u8]>| heard.map(<[u8]>::to_vec).into_iter().collect();
        let Ok(server) = Post::on(address.parse().unwrap(), echo) else {
            continue; // This machine has no IPv6.
        };
        let party = party(server.address, 1, Work::echo(size, SEED));
        let outcome = load(&party, Pace::closed(1), None, 20);
        assert_eq!(outcome.tally.messages, 20, "{address}: {:?}", outcome.tally);
    }
}

type Bend = fn(u64, Vec<u8>) -> Vec<Vec<u8>>;

/// Every tenth of them, but not the one that connects.
fn is_victim(number: u64) -> bool {
    number % 10 == 5
}

fn flipped(mut datagram: Vec<u8>, at: usize) -> Vec<u8> {
    datagram[at] ^= 0x10;
    datagram
}

#[test]
fn each_misfortune_is_counted_exactly_and_apart() {
    let none = sent(99);
    // 99 messages, of which 10 are victims.
    let table: [(&str, Bend, u64, Datagrams); 7] = [
        ("drops", |_, _| vec![], 89, Datagrams { lost: 10, ..none }),
        ("duplicates", |_, one| vec![one.clone(), one], 99, Datagrams { duplicated: 10, ..none }),
        ("corrupts", |_, one| vec![flipped(one, 40)], 89, Datagrams { corrupted: 10, ..none }),
        ("shortens", |_, one| vec![one[..30].to_vec()], 89, Datagrams { corrupted: 10, ..none }),
        (
            "lengthens",
            |_, one| vec![[&one[..], b"!"].concat()],
            89,
            Datagrams { corrupted: 10, ..none },
        ),
        (
            // Whose answer it is, nobody knows any more.
            "renumbers",
            |_, one| vec![flipped(one, 0)],
            89,
            Datagrams { corrupted: 10, lost: 10, ..none },
        ),
        (
            "adds what was never sent",
            |_, one| vec![one.clone(), vec![0xff; 64]],
            99,
            Datagrams { corrupted: 10, ..none },
        ),
    ];
    for (what, bend, messages, datagrams) in table {
        let server = Post::bending(move |number, datagram| match is_victim(number) {
            true => bend(number, datagram),
            false => vec![datagram],
        });
        for (pace, rate) in loops(4) {
            let party = party(server.address, 1, Work::echo(64, SEED));
            let outcome = load(&party, pace, rate, 99);
            let what = format!("{what}, {rate:?}: {:?}", outcome.tally);
            assert_eq!(outcome.tally.datagrams, datagrams, "{what}");
            assert_eq!(outcome.tally.messages, messages, "{what}");
            assert_eq!(outcome.times.service.len(), messages, "{what}: the lost have no latency");
            let wrong = outcome.faults.count(Kind::Wrong);
            assert_eq!((wrong, outcome.faults.total()), (datagrams.corrupted, wrong), "{what}");
        }
    }
}

#[test]
fn a_datagram_that_is_overtaken_is_reordered() {
    let mut held = None;
    let server = Post::bending(move |number, datagram| {
        if is_victim(number) {
            held = Some(datagram);
            return vec![];
        }
        [Some(datagram), held.take()].into_iter().flatten().collect()
    });
    for (pace, rate) in loops(4) {
        let party = party(server.address, 1, Work::echo(64, SEED));
        let outcome = load(&party, pace, rate, 99);
        let datagrams = Datagrams { reordered: 10, ..sent(99) };
        assert_eq!(outcome.tally.datagrams, datagrams, "{rate:?}");
        assert_eq!(outcome.tally.messages, 99);
    }
}

#[test]
fn what_comes_late_was_lost_and_stays_lost() {
    // Who waits for it sends the next one only when it is lost; on a schedule, much later ones come.
    for (depth, rate) in [(Some(1), None), (None, Some(20.0))] {
        let mut held: Option<(Instant, Vec<u8>)> = None;
        let server = Post::bending(move |number, datagram| {
            if number == 5 {
                held = Some((Instant::now(), datagram));
                return vec![];
            }
            let is_late = |(since, _): &mut (Instant, _)| since.elapsed() > PATIENCE;
            // Twice, for the second is a duplicate.
            let late = held.take_if(is_late).map(|(_, late)| [late.clone(), late]);
            late.into_iter().flatten().chain([datagram]).collect()
        });
        let party = party(server.address, 1, Work::echo(64, SEED));
        let outcome = load(&party, Pace { depth, ..Pace::default() }, rate, 30);
        let datagrams = Datagrams { lost: 1, late: 1, duplicated: 1, ..sent(30) };
        assert_eq!(outcome.tally.datagrams, datagrams, "{rate:?}");
        assert_eq!((outcome.tally.messages, outcome.times.service.len()), (29, 29));
        assert!(outcome.times.service.max() <= PATIENCE.as_nanos() as u64 * 1001 / 1000);
    }
}

#[test]
fn what_comes_for_an_earlier_slice_is_not_counted_in_this_one() {
    let mut held = None;
    let server = Post::bending(move |number, datagram| match number {
        3 => {
            held = Some(datagram);
            vec![]
        }
        8 => held.take().into_iter().chain([datagram]).collect(),
        _ => vec![datagram],
    });
    let party = party(server.address, 1, Work::echo(64, SEED));
    let mut driver = Driver::new(&party, Arc::new(Watch::new())).unwrap();
    driver.connect().unwrap();
    let mut slice = |messages| {
        let length = Length::Messages(messages);
        driver.slice(Pace::closed(1), None, length).unwrap().tally
    };
    let (first, second) = (slice(5), slice(10));
    assert_eq!((first.messages, first.datagrams), (4, Datagrams { lost: 1, ..sent(5) }));
    assert_eq!((second.messages, second.datagrams), (10, sent(10)));
}

#[test]
fn no_more_are_in_flight_than_were_asked_for() {
    for depth in [1, 7] {
        let most = Arc::new(AtomicU64::new(0));
        let seen = most.clone();
        let mut window: Vec<Vec<u8>> = Vec::new();
        // It answers only when nothing more comes.
        let server = Post::start(move |heard| match heard {
            Some(datagram) => {
                window.push(datagram.to_vec());
                seen.fetch_max(window.len() as u64, Ordering::SeqCst);
                Vec::new()
            }
            None => std::mem::take(&mut window),
        });
        let party = party(server.address, 1, Work::echo(64, SEED));
        let outcome = load(&party, Pace::closed(depth), None, 50);
        assert_eq!((outcome.tally.messages, outcome.tally.datagrams), (50, sent(50)));
        assert_eq!(most.load(Ordering::SeqCst), depth);
    }
}

#[test]
fn a_first_call_that_is_lost_is_made_again() {
    let server = Post::bending(|number, datagram| match number {
        0 | 1 => vec![],
        _ => vec![datagram],
    });
    let outcome = load(&party(server.address, 3, Work::echo(64, SEED)), Pace::closed(1), None, 30);
    assert_eq!((outcome.connected, outcome.tally.messages), (3, 30));
    assert_eq!(outcome.tally.datagrams, sent(30), "that was before");
}

#[test]
fn a_server_that_never_answers_is_known_while_connecting() {
    let (mute, closed) = (Post::mute(), closed_port());
    for (address, refuses) in [(mute.address, false), (closed.local_addr().unwrap(), true)] {
        let party = party(address, 3, Work::echo(64, SEED));
        let mut driver = Driver::new(&party, Arc::new(Watch::new())).unwrap();
        let outcome = driver.connect().unwrap();
        assert_eq!((outcome.connected, outcome.faults.total()), (0, 0));
        assert_eq!(outcome.tally.datagrams.refused > 0, refuses);
    }
}

#[test]
fn a_number_of_messages_is_not_waited_for_in_vain() {
    let server =
        Post::bending(|number, datagram| if number < 10 { vec![datagram] } else { vec![] });
    let party = Party {
        patience: Duration::from_millis(100),
        ..party(server.address, 2, Work::echo(64, SEED))
    };
    let outcome = load(&party, Pace::closed(2), None, 1_000_000);
    assert_eq!(outcome.tally.messages, 18, "the first of each was answered before");
    assert_eq!(outcome.tally.datagrams.lost, outcome.tally.begun - 18);
}

#[test]
fn what_is_taken_is_counted_as_it_is_sent() {
    let server = Post::mute();
    let heard = server.heard.clone();
    for (pace, rate) in loops(1) {
        let before = heard.load(Ordering::SeqCst);
        let outcome = load(&party(server.address, 3, Work::sink(64, SEED)), pace, rate, 300);
        assert_eq!((outcome.tally.messages, outcome.tally.sent), (300, 300 * 64));
        assert_eq!((outcome.tally.datagrams, outcome.tally.received), (sent(300), 0));
        support::eventually("all arrive", || heard.load(Ordering::SeqCst) - before >= 300);
    }
    let chatty = Post::echo();
    let outcome = load(&party(chatty.address, 1, Work::sink(64, SEED)), Pace::closed(1), None, 10);
    assert!(outcome.faults.count(Kind::Extra) > 0, "{outcome:?}");
}

#[test]
fn answers_of_another_kind_are_counted_without_being_compared() {
    // As chargen does: any length, and none of what was sent.
    let mut next = 0;
    let server = Post::start(move |heard| {
        next += 1;
        heard.map(|_| vec![b'x'; next % 500]).into_iter().collect()
    });
    for (pace, rate) in loops(4) {
        let outcome = load(&party(server.address, 3, Work::unchecked(64, SEED)), pace, rate, 300);
        assert_eq!((outcome.tally.messages, outcome.tally.datagrams.lost), (300, 0));
        assert_eq!(outcome.faults.total(), 0, "{:?}", outcome.faults);
    }
}

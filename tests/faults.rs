//! Faults: each is caught and called by its name, with client and offset; a stall is none.

mod support;

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use socklab::load::driver::{Driver, Length};
use socklab::load::fault::{Fault, Kind};
use socklab::load::pace::Pace;
use socklab::load::watch::Watch;
use socklab::load::work::Work;
use support::PATIENCE;
use support::load::{SEED, caller, load, load_as_json, party};
use support::run::{number, socklab};
use support::wrong::Temper::*;
use support::wrong::{Mixed, Temper, Wrong};

/// The client that meets the fault, of [`CLIENTS`]; each calls from an address of its own, so that
/// the server can tell who is who.
const VICTIM: usize = 1;
const CLIENTS: usize = 3;

/// The only fault that `temper` at `place` brings about.
fn fault(temper: Temper, place: u64, size: u64, depth: u64) -> Fault {
    let server = Wrong::start(temper, caller(VICTIM), place);
    let mut party = party(server.address, CLIENTS, Work::echo(size, SEED));
    if temper == FallsSilent || size == 1 {
        party.patience = Duration::from_millis(500);
    }
    let mut driver = Driver::new(&party, Arc::new(Watch::new())).unwrap();
    let mut outcome = driver.connect().unwrap();
    let since = Instant::now();
    // As often as it takes until the victim has come so far.
    while outcome.faults.total() == 0 && since.elapsed() < PATIENCE {
        let length = Length::Messages(2 * CLIENTS as u64 * depth);
        outcome = driver.slice(Pace::closed(depth), None, length).unwrap();
    }
    let outcome = driver.leave().unwrap();
    assert_eq!(outcome.faults.total(), 1, "{temper:?}: {:?}", outcome.faults);
    outcome.faults.examples().next().unwrap().clone()
}

/// Each fault is caught once, at its client and offset, and called by its name.
#[track_caller]
fn are_caught(size: u64, depth: u64, table: &[(Temper, u64, Kind, u64, &str)]) {
    for &(temper, place, kind, offset, words) in table {
        let fault = fault(temper, place, size, depth);
        let told = (fault.kind, fault.client, fault.offset);
        assert_eq!(told, (kind, VICTIM, offset), "{temper:?}: {fault}");
        assert!(fault.detail.contains(words), "{temper:?}: {fault}");
    }
}

#[test]
fn each_fault_is_named_with_client_and_offset() {
    are_caught(
        64,
        1,
        &[
            (Corrupts, 266, Kind::Wrong, 266, "1 byte corrupted (0x"),
            (Drops, 266, Kind::Wrong, 266, "1 byte dropped"),
            (Duplicates(16), 266, Kind::Wrong, 282, "16 bytes duplicated"),
            (Duplicates(64), 256, Kind::Extra, 320, "64 bytes duplicated"),
            (Reorders(16), 256, Kind::Wrong, 256, "the 16 bytes due here came after later ones"),
            (
                Adds(16),
                320,
                Kind::Extra,
                320,
                "came where nothing was due; what follows is nowhere",
            ),
            (Adds(16), 300, Kind::Wrong, 300, "nowhere in the stream"),
            (FallsSilent, 266, Kind::Lost, 266, "1 message unanswered for 500ms"),
            (FallsSilent, 320, Kind::Lost, 320, "1 message unanswered for 500ms"),
            (Closes, 266, Kind::Short, 266, "the server closed with 1 message unanswered"),
            (Resets, 266, Kind::Reset, 266, "connection reset by peer"),
        ],
    );
}

#[test]
fn each_fault_is_named_among_messages_in_flight() {
    are_caught(
        64,
        16,
        &[
            (Corrupts, 266, Kind::Wrong, 266, "1 byte corrupted (0x"),
            (Drops, 266, Kind::Wrong, 266, "1 byte dropped"),
            (Duplicates(64), 256, Kind::Wrong, 320, "64 bytes duplicated"),
            (Reorders(64), 256, Kind::Wrong, 256, "the 64 bytes due here came after later ones"),
            (Adds(16), 320, Kind::Wrong, 320, "nowhere in the stream"),
            (FallsSilent, 266, Kind::Lost, 266, "unanswered for 500ms"),
            (Closes, 266, Kind::Short, 266, "unanswered"),
            (Resets, 266, Kind::Reset, 266, "connection reset by peer"),
        ],
    );
}

#[test]
fn each_fault_of_a_single_byte_is_caught() {
    // Where a message is a byte, one that is dropped has not come: nothing can be told but that.
    are_caught(
        1,
        1,
        &[
            (Corrupts, 5, Kind::Wrong, 5, "too few bytes followed to tell why"),
            (Drops, 5, Kind::Lost, 5, "1 message unanswered for 500ms"),
            (Duplicates(1), 5, Kind::Extra, 6, "too few bytes followed to tell why"),
            (Adds(1), 5, Kind::Extra, 5, "too few bytes followed to tell why"),
            (FallsSilent, 5, Kind::Lost, 5, "1 message unanswered for 500ms"),
            (Closes, 5, Kind::Short, 5, ""),
            (Resets, 5, Kind::Reset, 5, "connection reset by peer"),
        ],
    );
    are_caught(
        1,
        16,
        &[
            (Corrupts, 5, Kind::Wrong, 5, ""),
            (Drops, 5, Kind::Wrong, 5, ""),
            (Duplicates(1), 5, Kind::Wrong, 6, ""),
            (Reorders(1), 5, Kind::Wrong, 5, ""),
            (Adds(1), 5, Kind::Wrong, 5, ""),
            (FallsSilent, 5, Kind::Lost, 5, ""),
            (Closes, 5, Kind::Short, 5, ""),
            (Resets, 5, Kind::Reset, 5, "connection reset by peer"),
        ],
    );
}

#[test]
fn each_fault_is_named_in_the_middle_of_long_messages() {
    for depth in [1, 16] {
        are_caught(
            100_000,
            depth,
            &[
                (Corrupts, 250_010, Kind::Wrong, 250_010, "1 byte corrupted (0x"),
                (Drops, 250_010, Kind::Wrong, 250_010, "1 byte dropped"),
                (Duplicates(1000), 250_010, Kind::Wrong, 251_010, "1000 bytes duplicated"),
                (Reorders(1000), 250_010, Kind::Wrong, 250_010, "the 1000 bytes due here came"),
                (Adds(16), 250_010, Kind::Wrong, 250_010, "nowhere in the stream"),
                (FallsSilent, 250_010, Kind::Lost, 250_010, "unanswered for 500ms"),
                (Closes, 250_010, Kind::Short, 250_010, "unanswered"),
            ],
        );
        // A reset throws away what the server's kernel still had to send.
        let fault = fault(Resets, 250_010, 100_000, depth);
        assert_eq!((fault.kind, fault.client), (Kind::Reset, VICTIM), "{fault}");
        assert!(fault.offset <= 250_010, "{fault}");
    }
}

#[test]
fn the_bytes_of_another_client_are_called_that() {
    for size in [64, 100_000] {
        let server = Mixed::start(1, size);
        let size = size as u64;
        let party = party(server.address, 2, Work::echo(size, SEED));
        let outcome = load(&party, Pace::closed(1), 2);
        assert_eq!((outcome.faults.total(), outcome.faults.count(Kind::Wrong)), (2, 2));
        let fault = outcome.faults.examples().next().unwrap();
        // Either may be seen first.
        let other = 1 - fault.client;
        assert_eq!(fault.offset, size);
        assert_eq!(fault.detail, format!("what came belongs to client {other}"));
    }
}

#[test]
fn a_server_that_is_wrong_to_all_from_the_first_byte_is_wrong() {
    let server = Wrong::to_all(Corrupts, 0);
    let party = party(server.address, CLIENTS, Work::echo(64, SEED));
    let outcome = load(&party, Pace::closed(1), 30);
    assert_eq!(outcome.faults.count(Kind::Wrong), CLIENTS as u64);
    let target = format!("tcp://{}", server.address);
    let (code, _, complaint) = socklab(&["load", &target, "-c", "3", "-n", "30"]);
    assert_eq!(code, 3, "{complaint}");
    assert!(complaint.contains("wrong: client 0 at offset 0: 1 byte corrupted"), "{complaint}");
}

#[test]
fn a_count_of_messages_is_not_waited_for_when_nobody_answers_any_more() {
    for (temper, kind) in
        [(Corrupts, Kind::Wrong), (FallsSilent, Kind::Lost), (Closes, Kind::Short)]
    {
        for rate in [None, Some(10_000.0)] {
            let server = Wrong::to_all(temper, 200);
            let mut party = party(server.address, CLIENTS, Work::echo(64, SEED));
            party.patience = Duration::from_millis(500);
            let mut driver = Driver::new(&party, Arc::new(Watch::new())).unwrap();
            driver.connect().unwrap();
            let length = Length::Messages(3_000);
            let outcome = driver.slice(Pace::closed(1), rate, length).unwrap();
            assert_eq!(outcome.faults.count(kind), CLIENTS as u64, "{:?}", outcome.faults);
            assert!(outcome.tally.driver_load() <= 1.1, "{:?}", outcome.tally);
        }
    }
}

#[test]
fn the_report_and_the_exit_status_say_what_went_wrong() {
    let table = [
        (Corrupts, 3, "wrong", "wrong: client 1 at offset 266: 1 byte corrupted (0x"),
        (Drops, 3, "wrong", "wrong: client 1 at offset 266: 1 byte dropped"),
        (Duplicates(16), 3, "wrong", "wrong: client 1 at offset 282: 16 bytes duplicated"),
        (Reorders(16), 3, "wrong", "wrong: client 1 at offset 266: reordered: the 16 bytes due"),
        (Duplicates(54), 3, "extra", "extra: client 1 at offset 320: 54 bytes duplicated"),
        (FallsSilent, 0, "lost", "lost: client 1 at offset 266: 1 message unanswered for 500ms"),
        (Closes, 0, "short", "short: client 1 at offset 266: the server closed with 1 message un"),
        (Resets, 0, "reset", "reset: client 1 at offset 266: connection reset by peer"),
        (Honest, 0, "wrong", ""),
    ];
    let source = "127.0.0.1,127.0.0.2,127.0.0.3";
    let common = ["-c", "3", "--source", source, "-d", "300ms", "--timeout", "500ms"];
    for (temper, status, kind, words) in table {
        let server = Wrong::start(temper, caller(VICTIM), 266);
        let (code, document, complaint) = load_as_json(server.address, &common);
        assert_eq!(code, status, "{temper:?}: {complaint}");
        let faults = &document["faults"];
        let lost = u64::from(temper != Honest);
        assert_eq!(faults[kind], lost, "{temper:?}: {faults}");
        let kinds = ["wrong", "extra", "lost", "short", "reset", "refused"];
        let all: u64 = kinds.iter().map(|kind| faults[kind].as_u64().unwrap()).sum();
        assert_eq!(all, lost, "{temper:?}: {faults}");
        let examples = faults["examples"].as_array().unwrap();
        assert_eq!(examples.len() as u64, lost);
        let first = examples.first().map_or("", |example| example.as_str().unwrap());
        assert!(first.starts_with(words), "{temper:?}: {first}");
        assert!(lost == 0 || faults["unanswered"].as_u64() >= Some(u64::from(kind != "extra")));
        let said = format!("socklab: the server sent what it should not: {first}\n");
        assert_eq!(complaint, if status == 3 { said } else { String::new() });

        if ![Honest, Drops, Closes].contains(&temper) {
            continue;
        }
        let server = Wrong::start(temper, caller(VICTIM), 266);
        let asked = [&common[..], &["--fail-if", "errors>0"]].concat();
        let (code, _, complaint) = load_as_json(server.address, &asked);
        let wanted = if status == 0 && lost > 0 { 4 } else { status };
        assert_eq!(code, wanted, "{temper:?}: {complaint}");
        assert!(code != 4 || complaint == "socklab: errors>0: it was 1\n", "{complaint}");
    }
}

#[test]
fn a_run_that_loses_every_client_has_failed() {
    for temper in [FallsSilent, Closes, Resets] {
        let server = Wrong::to_all(temper, 266);
        let arguments = ["-c", "2", "-n", "1000", "--timeout", "500ms"];
        let (code, document, complaint) = load_as_json(server.address, &arguments);
        assert_eq!((code, &document["connected"]), (1, &2.into()), "{temper:?}: {complaint}");
        assert!(complaint.starts_with("socklab: every client was lost before the end: "));
    }
}

#[test]
fn the_text_says_what_went_wrong() {
    let server = Wrong::to_all(Drops, 266);
    let target = format!("tcp://{}", server.address);
    let arguments = ["load", &target, "-c", "2", "-d", "300ms", "--warmup", "0"];
    let (code, text, _) = socklab(&arguments);
    assert_eq!(code, 3);
    assert!(text.contains("\nfaults      2 clients lost (2 wrong), "), "{text}");
    assert!(text.contains("            wrong: client 0 at offset 266: 1 byte dropped\n"), "{text}");
}

const STALL: Duration = Duration::from_millis(200);

#[test]
fn a_stall_is_as_large_as_it_was_in_an_open_loop() {
    let server = Wrong::to_all(Stalls(STALL), 64 * 300);
    let arguments = ["-c", "1", "--rate", "1000", "-d", "1500ms", "--pipeline", "1"];
    let (code, document, complaint) = load_as_json(server.address, &arguments);
    assert_eq!(code, 0, "{complaint}");
    let (latency, service) = (&document["latency"], &document["service_time"]);
    let least = Duration::from_millis(180).as_nanos() as f64;
    assert!(number(&latency["p99_9_ns"]) >= least, "{latency}");
    // As long as it lasted messages were due, and each of them waited; but only one was under way.
    assert!(number(&latency["p90_ns"]) >= least / 9.0, "{latency}");
    assert!(number(&service["max_ns"]) >= least, "{service}");
    assert!(number(&service["p90_ns"]) < number(&latency["p90_ns"]), "{service} {latency}");
    assert_eq!(latency["count"], service["count"]);
}

#[test]
fn a_stall_is_only_a_maximum_in_a_closed_loop() {
    let server = Wrong::to_all(Stalls(STALL), 64 * 100);
    let (code, document, complaint) = load_as_json(server.address, &["-c", "1", "-n", "500"]);
    assert_eq!(code, 0, "{complaint}");
    let latency = &document["latency"];
    assert_eq!(latency["count"], 500);
    assert!(number(&latency["max_ns"]) >= 190e6, "{latency}");
    assert!(number(&latency["p50_ns"]) < 100e6, "{latency}");
    assert!(document["service_time"].is_null());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_corrupted_byte_is_found_where_it_is(
        place in 0..20_000_u64,
        size in 1..5000_u64,
        depth in 1..9_u64,
        seed in any::<u64>(),
    ) {
        let server = Wrong::to_all(Corrupts, place);
        let party = party(server.address, 1, Work::echo(size, seed));
        let outcome = load(&party, Pace::closed(depth), 1 + place / size);
        let first = outcome.faults.examples().next().cloned();
        let told = first.map(|fault| (fault.kind, fault.client, fault.offset));
        prop_assert_eq!(told, Some((Kind::Wrong, 0, place)));
    }
}

//! Load over HTTP: a right server has no fault however it frames, cuts and closes, and each wrong one
//! is caught, at its client, by its name.

mod support;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use socklab::load::driver::{Driver, Length, Party};
use socklab::load::fault::{Fault, Kind};
use socklab::load::http::Page;
use socklab::load::pace::Pace;
use socklab::load::watch::Watch;
use socklab::load::work::Work;
use support::http_wrong::Manner::*;
use support::http_wrong::{Httpd, Manner, Site};
use support::load::{caller, load, party};
use support::run::{fails_in_one_line, number, parsed, printed, socklab};
use support::{PATIENCE, pattern};

const VICTIM: usize = 1;
const CLIENTS: usize = 3;

/// What is expected of a server of this body.
fn fetching(body: &[u8]) -> Work {
    Work::page(Arc::new(Page::new("localhost", "/file", body.to_vec())))
}

fn clients(server: &Httpd, site: &Site, clients: usize) -> Party {
    let secure = site.tls.then(Httpd::secure);
    Party { secure, ..party(server.address, clients, fetching(&site.body)) }
}

fn target(server: &Httpd) -> String {
    format!("http://{}/file", server.address)
}

/// Exit status, document and complaint of a load that is short.
fn loaded(server: &Httpd, arguments: &[&str]) -> (i32, Value, String) {
    let target = target(server);
    let common = ["load", &target, "--warmup", "0", "--json", "-"];
    let (code, printed, complaint) = socklab(&[&common[..], arguments].concat());
    (code, if printed.is_empty() { Value::Null } else { parsed(&printed) }, complaint)
}

#[test]
fn a_right_server_has_no_fault() {
    let table = [
        (Right, 0),
        (Right, 1000),
        (Right, 300_000),
        (Crumbles, 200),
        (Talkative, 10),
        (Chunks(7), 100),
        (Chunks(50_000), 300_000),
        (Chunks(1), 0),
        (Closes, 0),
        (Closes, 100_000),
        (ClosesAfter(3), 1000),
        (EndsWithConnection, 0),
        (EndsWithConnection, 100_000),
    ];
    for (tls, (manner, length)) in [false, true].map(|tls| table.map(|one| (tls, one))).concat() {
        let site = Site { tls, ..Site::new(manner, pattern(1, length)) };
        let server = site.clone().start();
        for (depth, leaves_after) in [(16, None), (1, Some(7))] {
            let before = server.requests();
            let party = Party { threads: 2, ..clients(&server, &site, 5) };
            let outcome = load(&party, Pace { leaves_after, ..Pace::closed(depth) }, 100);
            let told = format!("{manner:?} of {length}, TLS {tls}, {depth}, {leaves_after:?}");
            assert_eq!(outcome.faults.total(), 0, "{told}: {:?}", outcome.faults);
            assert_eq!(outcome.tally.messages, 100, "{told}");
            assert_eq!(outcome.tally.begun, 100, "{told}");
            assert_eq!(outcome.times.service.len(), 100, "{told}");
            assert_eq!(server.requests() - before, outcome.messages_in_all, "{told}");
            let closes = matches!(manner, Closes | ClosesAfter(_) | EndsWithConnection);
            assert_eq!(outcome.tally.closes > 0, closes, "{told}");
        }
    }
}

#[test]
fn a_schedule_is_kept_over_connections_that_the_server_closes() {
    for manner in [Right, Closes, ClosesAfter(4), EndsWithConnection] {
        let site = Site::new(manner, pattern(1, 100));
        let server = site.clone().start();
        let party = clients(&server, &site, CLIENTS);
        let mut driver = Driver::new(&party, Arc::new(Watch::new())).unwrap();
        driver.connect().unwrap();
        for _ in 0..2 {
            let length = Length::Messages(60);
            let outcome = driver.slice(Pace::default(), Some(600.0), length).unwrap();
            assert_eq!(outcome.faults.total(), 0, "{manner:?}: {:?}", outcome.faults);
            assert_eq!((outcome.tally.messages, outcome.tally.begun), (60, 60), "{manner:?}");
            assert_eq!(outcome.times.latency.len(), 60, "{manner:?}");
            // Each for its own time: had one been counted for another's, 100 ms would be near.
            assert!(outcome.tally.elapsed >= Duration::from_millis(90), "{manner:?}");
        }
        let outcome = driver.leave().unwrap();
        assert_eq!(server.requests(), outcome.messages_in_all, "{manner:?}");
    }
}

/// The only fault that this manner brings about, after five right answers.
fn fault(manner: Manner, tls: bool) -> Fault {
    let body = pattern(1, 1000);
    let site = Site { right: 5, victim: Some(caller(VICTIM)), tls, ..Site::new(manner, body) };
    let server = site.clone().start();
    let mut party = clients(&server, &site, CLIENTS);
    if matches!(manner, FallsSilent(_)) {
        party.patience = Duration::from_millis(500);
    }
    let mut driver = Driver::new(&party, Arc::new(Watch::new())).unwrap();
    let mut outcome = driver.connect().unwrap();
    let since = Instant::now();
    while outcome.faults.total() == 0 && since.elapsed() < PATIENCE {
        let length = Length::Messages(2 * CLIENTS as u64);
        outcome = driver.slice(Pace::closed(1), None, length).unwrap();
    }
    let outcome = driver.leave().unwrap();
    assert_eq!(outcome.faults.total(), 1, "{manner:?}: {:?}", outcome.faults);
    outcome.faults.examples().next().unwrap().clone()
}

#[test]
fn each_fault_is_named_with_client_and_offset_on_both_schemes() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".len() as u64 + 1000;
    // Where it is, in the sixth answer: in its head, after so much of its body, or in its framing.
    let (head, body, framing) = (Some(0), |at| Some(answer - 1000 + at), None);
    for (manner, kind, offset, words) in [
        (Corrupts(0), Kind::Wrong, body(0), "was due, at byte 0 of the body"),
        (Corrupts(999), Kind::Wrong, body(999), "was due, at byte 999 of the body"),
        (Shortens(1), Kind::Wrong, head, "Content-Length 999 came where 1000 was due"),
        (ShortensChunks(1), Kind::Wrong, framing, "the body ended after 999 of 1000 bytes"),
        (Adds(3), Kind::Extra, body(1000), "\"xxx\" came, though nothing more was due"),
        (AddsChunk(3), Kind::Extra, framing, "\"xxx\" came after the 1000 bytes of the body"),
        (Says(404), Kind::Wrong, head, "status 404 came where 200 was due"),
        (Says(206), Kind::Wrong, head, "status 206 came where 200 was due"),
        (CutsOff(0), Kind::Short, body(0), "the server closed with 1 message unanswered"),
        (CutsOff(999), Kind::Short, body(999), "the server closed with 1 message unanswered"),
        (FallsSilent(999), Kind::Lost, body(999), "1 message unanswered for 500ms"),
        (Resets(500), Kind::Reset, body(500), "connection reset"),
        (Mumbles, Kind::Wrong, head, "\"220 ready\\r\\n\" is no head of HTTP/1.1"),
    ] {
        for tls in [false, true] {
            let fault = fault(manner, tls);
            let told = (fault.kind, fault.client);
            assert_eq!(told, (kind, VICTIM), "{manner:?}, TLS {tls}: {fault}");
            assert!(fault.detail.contains(words), "{manner:?}, TLS {tls}: {fault}");
            if let Some(offset) = offset {
                assert_eq!(fault.offset, 5 * answer + offset, "{manner:?}, TLS {tls}: {fault}");
            }
        }
    }
}

#[test]
fn faults_among_pipelined_answers_are_caught() {
    for (manner, kinds) in [
        (Corrupts(5), &[Kind::Wrong][..]),
        // The next head begins with them, if it is there already.
        (Adds(1), &[Kind::Extra, Kind::Wrong]),
        (ShortensChunks(1), &[Kind::Wrong]),
        (CutsOff(10), &[Kind::Short, Kind::Reset]),
    ] {
        let site = Site { right: 20, ..Site::new(manner, pattern(1, 100)) };
        let server = site.clone().start();
        let outcome = load(&clients(&server, &site, 2), Pace::closed(8), 200);
        assert_eq!(outcome.faults.total(), 2, "{manner:?}: {:?}", outcome.faults);
        let told: Vec<Kind> = outcome.faults.examples().map(|fault| fault.kind).collect();
        assert!(told.iter().all(|kind| kinds.contains(kind)), "{manner:?}: {:?}", outcome.faults);
    }
}

#[test]
fn the_document_says_what_was_fetched_and_its_sums_are_the_servers() {
    for (manner, arguments) in [
        (Right, &["-n", "200", "-c", "4"][..]),
        (Chunks(99), &["-n", "200", "-c", "4", "--pipeline", "3", "--threads", "2"]),
        (Right, &["-n", "200", "-c", "4", "--rate", "2000"]),
        (Closes, &["-n", "200", "-c", "4", "--source", "127.0.0.1,127.0.0.2"]),
        (Right, &["-n", "200", "-c", "4", "--per-connection", "3"]),
    ] {
        let server = Site::new(manner, pattern(1, 5000)).start();
        let (code, result, complaint) = loaded(&server, arguments);
        assert_eq!(code, 0, "{arguments:?}: {complaint}");
        assert_eq!(result["messages"], 200);
        // Once before the run, to have something to compare with.
        assert_eq!(result["messages_in_all"], server.requests() - 1, "{arguments:?}");
        let (options, http) = (&result["options"], &result["http"]);
        assert_eq!(options["target"], Value::from(target(&server)));
        assert_eq!((&options["size_bytes"], &options["expect"]), (&5000.into(), &"file".into()));
        assert_eq!(http["body_bytes"], 5000);
        let rate = number(&result["messages_per_second"]);
        assert_eq!(number(&http["body_bytes_per_second"]), 5000.0 * rate);
        let closes = if manner == Closes { 200 } else { 0 };
        assert_eq!(http["closes"], closes, "{arguments:?}");
        assert!(number(&result["received_bytes"]) > 200.0 * 5000.0);
    }
}

#[test]
fn people_read_requests_and_bytes_per_second() {
    let server = Site::new(ClosesAfter(10), pattern(1, 2000)).start();
    let target = target(&server);
    let text = printed(&["load", &target, "-n", "100", "-c", "2", "--per-connection", "50"]);
    for part in [
        &format!("{target}, 2 clients, 2 KB fetched, 1 in flight, 50 requests per connection"),
        "requests    100 answered, every byte compared",
        "B/s, without heads",
        "connections ended by the server, which had said so",
        "faults      none",
    ] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn a_wrong_server_makes_the_run_fail() {
    for (manner, status, words) in [
        (Corrupts(7), 3, "was due, at byte 7 of the body"),
        (Adds(1), 3, "\"x\" came, though nothing more was due"),
        (CutsOff(7), 1, "every client was lost before the end: short: client"),
    ] {
        let server = Site { right: 3, ..Site::new(manner, pattern(1, 100)) }.start();
        let (code, result, complaint) = loaded(&server, &["-n", "100", "-c", "2"]);
        assert_eq!(code, status, "{manner:?}: {complaint}");
        assert!(complaint.contains(words), "{manner:?}: {complaint}");
        assert!(number(&result["faults"]["unanswered"]) <= 2.0, "{result}");
    }
    // The first answer of each connection is right, and that of a load is wrong.
    let server = Site { victim: Some(caller(4)), ..Site::new(Says(503), "hello") }.start();
    let arguments = ["-n", "10", "-c", "1", "--source", "127.0.0.5"];
    let (code, _, complaint) = loaded(&server, &arguments);
    assert_eq!(code, 3, "{complaint}");
    assert!(complaint.contains("does not serve what it served at first: wrong"), "{complaint}");
}

#[test]
fn what_need_not_be_compared_is_not() {
    let site = Site { victim: Some(caller(VICTIM)), ..Site::new(Corrupts(3), "hello, world") };
    let server = site.start();
    let source = ["--source", "127.0.0.2", "-c", "2", "-n", "20"];
    assert_eq!(loaded(&server, &source).0, 3);
    let (code, result, complaint) = loaded(&server, &[&source[..], &["--expect", "none"]].concat());
    assert_eq!((code, &result["messages"]), (0, &20.into()), "{complaint}");
    assert_eq!(result["options"]["expect"], "none");
    assert!(result["http"]["body_bytes_per_second"].is_null());
}

#[test]
fn a_server_that_does_not_serve_the_file_is_refused_in_one_line() {
    for (manner, words) in [
        (Says(404), "the server answers with status 404"),
        (CutsOff(3), "the server closed after 3 bytes of the body"),
        (Mumbles, "is no head of HTTP/1.1"),
        (FallsSilent(3), "no answer within 300ms"),
    ] {
        let server = Site::new(manner, "hello").start();
        let target = target(&server);
        let arguments = ["load", &target, "--timeout", "300ms"];
        fails_in_one_line(&arguments, &[&format!("cannot load {target}: "), words]);
    }
    let secret = Site { tls: true, ..Site::new(Right, "hello") }.start();
    let plain = target(&secret);
    fails_in_one_line(&["load", &plain], &["the server speaks TLS; use https:// or --tls"]);
    let untrusted = plain.replace("http:", "https:");
    let authority = "is not signed by an authority that is trusted here";
    fails_in_one_line(&["load", &untrusted], &[&format!("cannot load {untrusted}"), authority]);
    let trusted = ["load", &plain, "--tls", "--insecure", "-n", "10", "--json", "-"];
    let result = parsed(&printed(&trusted));
    assert_eq!(result["options"]["target"], Value::from(untrusted));
    assert_eq!(result["tls"]["handshakes_in_all"]["full"], 50);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = format!("http://{gone}/");
    fails_in_one_line(&["load", &gone], &["connection refused; is it running?"]);
}

#[test]
fn wrong_usage_is_named_and_exits_2() {
    let target = "http://127.0.0.1:9/file";
    for (arguments, words) in [
        (&[target, "--size", "1KiB"][..], "drop --size"),
        (&[target, "--message", "x"], "drop --message"),
        (&[target, "--expect", "sink"], "drop --expect"),
        (&[target, "--rooms", "2"], "--rooms is of rooms"),
        (&["http://127.0.0.1:9/a b"], "write %20 for a space"),
        (&[target, "--http", "/x"], "cannot be used with '--http"),
        (&["--server", "x {port}", "--http", "x"], "a path begins with /"),
        (&["--server", "x {port}", "--http", "/x", "--irc"], "--irc"),
    ] {
        let (code, _, complaint) = socklab(&[&["load"], arguments].concat());
        assert_eq!(code, 2, "{arguments:?}: {complaint}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
}

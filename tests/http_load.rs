//! Load over HTTP: a right server has no fault however it frames, cuts and closes, and each wrong one
//! is caught, at its client, by its name.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
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
use support::run::{
    Running, SOCKLAB, Scratch, array, fails_in_one_line, number, parsed, printed, socklab,
};
use support::{PATIENCE, eventually, pattern};

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
    let vast = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/", vast.local_addr().unwrap());
    let server = thread::spawn(move || {
        let (mut stream, _) = vast.accept().unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2147483649\r\n\r\n").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    fails_in_one_line(&["load", &address], &["2147483649 bytes", "ask for a smaller one"]);
    server.join().unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let gone = format!("http://{gone}/");
    fails_in_one_line(&["load", &gone], &["connection refused; is it running?"]);
}

#[test]
fn ctrl_c_does_not_wait_for_a_server_that_is_silent() {
    let server = Site::new(FallsSilent(3), "hello").start();
    let load = Running::start(&["load", &target(&server), "--timeout", "1h"]);
    eventually("it has asked", || server.requests() == 1);
    load.signal(Signal::SIGINT);
    assert_eq!(load.end(), (130, String::new(), String::new()));
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

/// A folder for temporary files, gone when this is dropped.
struct Folder(Scratch);

impl Folder {
    fn new() -> Folder {
        let folder = Scratch::file("folder of mine");
        fs::create_dir(folder.path()).unwrap();
        Folder(folder)
    }

    /// A bench of files that makes them here.
    fn bench(&self, arguments: &[&str]) -> Running {
        let mut command = Command::new(SOCKLAB);
        command.args(["bench", "files", "--slice", "5ms"]).args(arguments);
        Running::spawn(command.env("TMPDIR", self.0.path()).env_remove("RUST_LOG"))
    }

    fn is_empty(&self) -> bool {
        fs::read_dir(self.0.path()).unwrap().next().is_none()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.path());
    }
}

/// A server of files for a bench: this binary.
fn server(name: &str, manner: &str) -> String {
    let me = std::env::current_exe().unwrap();
    format!(
        "{name}=SOCKLAB_TEST_PORT={{port}} SOCKLAB_TEST_ROOT={{root}} SOCKLAB_TEST_MANNER={manner} \
         exec {} --exact this_binary_is_a_server_of_files_for_the_others --nocapture",
        me.display()
    )
}

#[test]
fn this_binary_is_a_server_of_files_for_the_others() {
    let Ok(port) = std::env::var("SOCKLAB_TEST_PORT") else { return };
    let manner = match std::env::var("SOCKLAB_TEST_MANNER").as_deref() {
        Ok("right") => Right,
        Ok("chunks") => Chunks(700),
        _ => Corrupts(7),
    };
    let root = std::env::var("SOCKLAB_TEST_ROOT").map(PathBuf::from).unwrap();
    assert!(Path::new(&root).is_dir());
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    let _server = Site { root: Some(root), right: 5, ..Site::new(manner, "") }.listen(listener);
    loop {
        thread::park();
    }
}

#[test]
fn servers_of_files_are_compared_by_size_and_clients_and_nothing_is_left() {
    let folder = Folder::new();
    let json = Scratch::file("files.json");
    let (a, b) = (server("a", "right"), server("b", "chunks"));
    let named = ["--server", &a, "--server", &b, "--json", json.path(), "--max-time", "4s"];
    let rows = ["--size", "1KiB,100B", "--clients", "1,2"];
    let (code, text, complaint) = folder.bench(&[&named[..], &rows].concat()).outlast();
    assert_eq!(code, 0, "{complaint}");
    assert!(folder.is_empty());
    let result = parsed(&json.read());
    assert_eq!(result["options"]["files_bytes"], Value::from([100, 1024].to_vec()));
    let rows: Vec<_> = array(&result["rows"])
        .iter()
        .map(|row| (row["file_bytes"].as_u64().unwrap(), row["clients"].as_u64().unwrap()))
        .collect();
    assert_eq!(rows, [(100, 1), (100, 2), (1024, 1), (1024, 2)]);
    for row in array(&result["rows"]) {
        for standing in array(&row["standings"]) {
            let rate = number(&standing["messages_per_second"]);
            assert!(rate > 0.0, "{standing}");
            let bytes = number(&row["file_bytes"]) * rate;
            assert_eq!(number(&standing["body_bytes_per_second"]), bytes);
        }
    }
    for part in ["\n2 clients, 1 KiB (", "CPU per request", "bytes of files per second"] {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
    assert!(text.contains("; files of 100 B and 1 KiB, over HTTP; "), "{text}");
    assert_eq!(printed(&["report", json.path()]), text);
}

#[test]
fn who_serves_another_file_is_out() {
    let folder = Folder::new();
    let (right, wrong) = (server("right", "right"), server("wrong", "wrong"));
    let named = ["--server", &right, "--server", &wrong, "--clients", "2", "--size", "100B"];
    let (code, _, complaint) = folder.bench(&named).outlast();
    assert_eq!(code, 3, "{complaint}");
    assert!(complaint.contains("wrong does not serve the file: wrong: client "), "{complaint}");
    assert!(complaint.contains("was due, at byte 7 of the body"), "{complaint}");
    assert!(folder.is_empty());
}

#[test]
fn an_interrupted_bench_removes_its_files() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let folder = Folder::new();
        let (a, b) = (server("a", "right"), server("b", "right"));
        let bench = folder.bench(&["--server", &a, "--server", &b, "--max-time", "1h"]);
        eventually("it has made them", || !folder.is_empty());
        bench.signal(signal);
        let (code, _, complaint) = bench.end();
        assert_eq!(code, 130, "{complaint}");
        assert!(folder.is_empty(), "{signal}");
    }
}

#[test]
fn a_bench_of_files_that_cannot_be_had_is_refused() {
    for (arguments, words) in [
        (&["files", "--udp"][..], "drop --udp"),
        (&["files", "--talkers", "2"], "--talkers is of rooms"),
        (&["--size", "1KiB,2KiB"], "several sizes are of `socklab bench files`"),
        (&["files", "--server", "a=x {port}", "--server", "b=x {port} {root}"], "a has no {root}"),
    ] {
        let (code, _, complaint) = socklab(&[&["bench"], arguments].concat());
        assert_eq!(code, 2, "{arguments:?}: {complaint}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
}

/// nginx as it is run at home, but for its folders, with one worker that logs what it answers.
fn nginx(root: &Folder, tls: bool) -> String {
    let root = root.0.path();
    let log = format!("{root}/access.log");
    let ssl = match tls {
        true => format!("ssl; ssl_certificate {root}/cert.pem; ssl_certificate_key {root}/key.pem"),
        false => String::new(),
    };
    let config = format!(
        "daemon off; pid {root}/pid; error_log {root}/error.log; user root;
         events {{}}
         http {{
            log_format short '$status $request'; access_log {log} short;
            client_body_temp_path {root}/a; proxy_temp_path {root}/b; fastcgi_temp_path {root}/c;
            uwsgi_temp_path {root}/d; scgi_temp_path {root}/e;
            server {{ listen 127.0.0.1:PORT {ssl}; root {root}; }}
         }}"
    );
    let path = format!("{root}/nginx.conf");
    fs::write(&path, config).unwrap();
    format!(
        "PATH=$PATH:/usr/sbin; sed -i s/PORT/{{port}}/ '{path}'; exec nginx -e /dev/null -c '{path}'"
    )
}

#[test]
#[ignore = "needs nginx (as root) and openssl"]
fn what_load_says_of_nginx_is_what_its_log_says() {
    let root = Folder(Scratch::file("nginx"));
    fs::create_dir(root.0.path()).unwrap();
    let path = |name: &str| format!("{}/{name}", root.0.path());
    fs::write(path("small"), pattern(1, 1000)).unwrap();
    fs::write(path("large"), pattern(2, 3_000_000)).unwrap();
    let arguments =
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost";
    let made = Command::new("openssl")
        .args(arguments.split(' '))
        .args(["-keyout", &path("key.pem"), "-out", &path("cert.pem")])
        .output();
    assert!(made.unwrap().status.success());
    for (tls, more) in [(None, "1"), (Some("--tls"), "1"), (None, "16")] {
        for (file, number) in [("/small", "5000"), ("/large", "20")] {
            let _ = fs::remove_file(path("access.log"));
            let server = nginx(&root, tls.is_some());
            let mut arguments = vec!["load", "--server", &server, "--http", file, "-n", number];
            arguments.extend(["-c", "3", "--pipeline", more, "--json", "-"]);
            arguments.extend(["--fail-if", "errors>0"]);
            arguments.extend(tls);
            let result = parsed(&printed(&arguments));
            assert_eq!(result["messages"].to_string(), number, "{arguments:?}");
            let log = fs::read_to_string(path("access.log")).unwrap();
            let asked = log.lines().filter(|line| line.starts_with(&format!("200 GET {file}")));
            // One before the run, to have something to compare with. Of those that are pipelined
            // some may have been read, and not answered, when 1,000 were enough.
            let all = asked.count() as u64 - 1;
            assert_eq!(result["messages_in_all"], all, "{arguments:?}");
            // nginx closes after 1,000 requests, and says so.
            let closes = if file == "/small" { 3 } else { 0 };
            assert!(result["http"]["closes"].as_u64() >= Some(closes), "{}", result["http"]);
        }
    }
}

#[test]
fn a_bench_of_files_compares_our_engines() {
    let folder = Folder::new();
    let rows = ["--size", "1KiB,100KiB", "--clients", "3", "--max-time", "6s"];
    let (code, text, complaint) = folder.bench(&rows).outlast();
    assert_eq!(code, 0, "{complaint}");
    for words in ["3 clients, 1 KiB", "3 clients, 100 KiB", "poll", "threads", "CPU per request"] {
        assert!(text.contains(words), "{text}");
    }
}

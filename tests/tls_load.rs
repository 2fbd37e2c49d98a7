//! Load over TLS: every byte is compared inside, handshakes are counted by their kind, and whoever
//! closes without a word is seen to.

mod support;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use socklab::load::driver::{Driver, Length, Outcome, Party};
use socklab::load::fault::{Fault, Kind};
use socklab::load::pace::Pace;
use socklab::load::secure::Secure;
use socklab::load::watch::Watch;
use socklab::load::work::Work;
use socklab::report::document::Handshakes;
use socklab::service::{Chargen, Discard, Echo};
use socklab::session::Service;
use socklab::tls::{Acceptor, Connector, Tls, client};
use support::load::{SEED, load, party};
use support::run::{
    Ending, Running as Program, SOCKLAB, Scratch, fails_in_one_line, number, parsed, socklab,
};
use support::secure::{Authority, acceptor};
use support::tls_host::Fault::*;
use support::tls_host::{Host, Manner, Running};
use support::wrong::{Temper, Wrong};
use support::{PATIENCE, Process, Server, on_both_engines};

fn secured(host: &Running, clients: usize, work: Work) -> Party {
    Party { secure: Some(host.secure(true)), ..party(host.address, clients, work) }
}

/// Versions of TLS, by whether it is 1.2.
const VERSIONS: [bool; 2] = [false, true];

#[test]
fn a_right_server_has_no_fault() {
    for tls12 in VERSIONS {
        let echo = Host { tls12, ..Host::of(Manner::Honest) }.start();
        let sink = Host { tls12, ..Host::of(Manner::Takes) }.start();
        let table = [
            (&echo, Work::echo(1, SEED)),
            (&echo, Work::echo(64, SEED)),
            // Longer than a record, and longer than what is sent or received at once.
            (&echo, Work::echo(20_000, SEED)),
            (&echo, Work::echo(300_000, SEED)),
            (&echo, Work::unchecked(64, SEED)),
            (&sink, Work::sink(64, SEED)),
            (&sink, Work::sink(300_000, SEED)),
        ];
        for (host, work) in table {
            for (depth, leaves_after) in [(16, None), (1, Some(3))] {
                let party = Party { threads: 2, ..secured(host, 5, work.clone()) };
                let pace = Pace { leaves_after, ..Pace::closed(depth) };
                let outcome = load(&party, pace, 60);
                assert_eq!(outcome.faults.total(), 0, "{work:?}: {:?}", outcome.faults);
                assert_eq!(outcome.tally.messages, 60, "{work:?}, {pace:?}");
                assert_eq!(outcome.tally.sent, 60 * work.message, "{work:?}, {pace:?}");
                assert_eq!(outcome.tally.received, 60 * work.reply, "{work:?}, {pace:?}");
                let version = if tls12 { "TLS 1.2, TLS_ECDHE_" } else { "TLS 1.3, TLS13_" };
                let [agreed] = &outcome.agreed[..] else { panic!("{:?}", outcome.agreed) };
                assert!(agreed.to_string().starts_with(version), "{agreed}");
            }
        }
    }
}

/// How clients speak with a server that has such a certificate.
fn pinned(acceptor: &Acceptor) -> Secure {
    let pin = Some(acceptor.certificates.fingerprint());
    let connector = Connector::new(&client::Options { pin, ..client::Options::default() });
    Secure { connector: connector.unwrap(), host: "localhost".into(), resumes: true }
}

on_both_engines! {
    fn every_service_is_loaded_without_fault(engine) {
        let acceptor = acceptor();
        let start = |service: Arc<dyn Service>| {
            Server::start(engine, Tls::new(service, &acceptor, PATIENCE))
        };
        let echo = start(Arc::new(Echo));
        let discard = start(Arc::new(Discard));
        let chargen = start(Arc::new(Chargen));
        let table = [
            (&echo, Work::echo(64, SEED)),
            (&echo, Work::echo(100_000, SEED)),
            (&discard, Work::sink(64, SEED)),
            (&discard, Work::sink(300_000, SEED)),
            (&chargen, Work::source(1000)),
        ];
        for (server, work) in table {
            for leaves_after in [None, Some(3)] {
                let secure = Some(pinned(&acceptor));
                let party =
                    Party { secure, threads: 2, ..party(server.address, 5, work.clone()) };
                let pace = Pace { leaves_after, ..Pace::closed(8) };
                let outcome = load(&party, pace, 300);
                assert_eq!(outcome.faults.total(), 0, "{work:?}: {:?}", outcome.faults);
                assert!(outcome.tally.messages >= 300, "{work:?}: {:?}", outcome.tally);
                let handshakes = outcome.tally.handshakes;
                let comes_again = leaves_after.is_some() && !work.listens_only();
                assert_eq!(handshakes.resumed >= 90, comes_again, "{work:?}: {handshakes:?}");
            }
        }
    }

    fn a_server_is_trusted_by_what_it_prints(engine) {
        let server = Process::start(engine, &["--tls"]);
        let target = format!("tls://{}", server.address());
        let pin = server.fingerprint.clone().unwrap();
        let (code, printed, complaint) = short(&target, &["--pin", &pin, "-n", "400"]);
        assert_eq!(code, 0, "{complaint}");
        assert!(printed.contains("\nfaults      none\n"), "{printed}");
        fails_in_one_line(
            &["load", &target, "--server-name", "localhost"],
            &["is not signed by an authority that is trusted here", &format!("--pin {pin}")],
        );
    }

    fn a_client_that_must_show_a_certificate_shows_it(engine) {
        let authority = Authority::new();
        let ca = authority.file();
        let server = Process::start(engine, &["--tls", "--tls-client-ca", &ca]);
        let target = format!("tls://{}", server.address());
        let identity = authority.identity();
        let (certificate, key) = (identity.certificate_file(), identity.key_file());
        let pin = server.fingerprint.clone().unwrap();
        let trust = ["--pin", &pin, "-n", "40"];
        let shown = ["--client-cert", &certificate, "--client-key", &key];
        let (code, _, complaint) = short(&target, &[&trust[..], &shown].concat());
        assert_eq!(code, 0, "{complaint}");
        fails_in_one_line(
            &[&["load", &target], &trust[..]].concat(),
            &["it demands a certificate", "--client-cert and --client-key"],
        );
    }
}

/// What is left of `messages` when each client leaves after one.
fn churned(host: &Running, resumes: bool, messages: u64) -> Outcome {
    let mut party = secured(host, 3, Work::echo(64, SEED));
    party.secure = Some(host.secure(resumes));
    // One after the other: what one was given is there when the next one comes.
    party.connect_rate = Some(20.0);
    let pace = Pace { leaves_after: Some(1), ..Pace::closed(1) };
    let outcome = load(&party, pace, messages);
    assert_eq!(outcome.faults.total(), 0, "{:?}", outcome.faults);
    assert_eq!(outcome.tally.messages, messages);
    outcome
}

#[test]
fn each_client_resumes_its_own_session() {
    for tls12 in VERSIONS {
        let host = Host { tls12, ..Host::of(Manner::Honest) }.start();
        let outcome = churned(&host, true, 30);
        let Handshakes { full, resumed } = outcome.tally.handshakes;
        // Who calls when the last messages are being said finds none left.
        assert!(full == 0 && (30..33).contains(&resumed), "{:?}", outcome.tally);
        let before = Handshakes { full: 3, resumed: 0 };
        let in_all = Handshakes { full: before.full, resumed: before.resumed + resumed };
        assert_eq!(outcome.handshakes_in_all, in_all, "the first ones had nothing to resume");
        assert_eq!(outcome.times.handshake.len(), 3 + resumed);
    }
}

#[test]
fn handshakes_are_full_where_none_can_be_resumed() {
    for tls12 in VERSIONS {
        let giver = Host { tls12, ..Host::of(Manner::Honest) }.start();
        let miser = Host { tls12, tickets: false, ..Host::of(Manner::Honest) }.start();
        let asked = [churned(&giver, false, 12), churned(&miser, tls12, 12)];
        // Without tickets, a server of TLS 1.2 may remember sessions itself.
        for outcome in asked.iter().take(if tls12 { 1 } else { 2 }) {
            let Handshakes { full, resumed } = outcome.tally.handshakes;
            assert!((12..15).contains(&full) && resumed == 0, "{:?}", outcome.tally);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() })]

    #[test]
    fn an_echo_is_right_however_records_are_cut(
        cuts in proptest::collection::vec(1..20_000_usize, 1..10),
        narrow in any::<bool>(),
        size in prop_oneof![1..100_u64, 1..40_000_u64],
        depth in 1..9_u64,
        clients in 1..4_usize,
    ) {
        // The handshake in tiny pieces takes long, and one of them is enough.
        let cuts: Vec<usize> = cuts.iter().map(|cut| cut.max(&50)).copied().collect();
        let host = Host { cuts, narrow, ..Host::of(Manner::Honest) }.start();
        let outcome = load(&secured(&host, clients, Work::echo(size, SEED)), Pace::closed(depth), 40);
        prop_assert_eq!(outcome.faults.total(), 0, "{:?}", outcome.faults);
        prop_assert_eq!(outcome.tally.messages, 40);
    }
}

#[test]
fn a_record_may_come_byte_by_byte() {
    let host = Host { cuts: vec![1], ..Host::of(Manner::Honest) }.start();
    let outcome = load(&secured(&host, 2, Work::echo(200, SEED)), Pace::closed(2), 10);
    assert_eq!((outcome.faults.total(), outcome.tally.messages), (0, 10), "{:?}", outcome.faults);
}

#[test]
fn a_server_that_only_speaks_may_change_its_key() {
    let host = Host::of(Manner::Speaks).start();
    let outcome = load(&secured(&host, 2, Work::source(1000)), Pace::closed(1), 400);
    assert_eq!(outcome.faults.total(), 0, "{:?}", outcome.faults);
    assert!(outcome.tally.messages >= 400 && outcome.tally.sent == 0, "{:?}", outcome.tally);
    // They have heard 400,000 bytes, and 10,000 come between two changes.
    let updates = host.seen.updates.load(Ordering::SeqCst);
    assert!(updates >= 20, "{updates} changes were answered");
}

#[test]
fn what_the_server_does_not_take_is_not_kept_without_bound() {
    const SIZE: u64 = 2_000_000;
    // Everybody is taken one message from.
    let host = Host { narrow: true, ..Host::of(Manner::StopsReading(SIZE)) }.start();
    let mut party = secured(&host, 2, Work::sink(SIZE, SEED));
    party.patience = Duration::from_millis(500);
    let mut driver = Driver::new(&party, Arc::new(Watch::new())).unwrap();
    let connected = driver.connect().unwrap();
    assert_eq!((connected.connected, connected.faults.total()), (2, 0), "{:?}", connected.faults);
    let outcome = driver.slice(Pace::closed(50), None, Length::Messages(100)).unwrap();
    assert_eq!(outcome.faults.count(Kind::Lost), 2, "{:?}", outcome.faults);
    // The kernel takes some megabytes from each.
    let sent = outcome.tally.sent;
    assert!(sent < 50 * SIZE, "{sent} bytes of {} count as sent", 100 * SIZE);
}

/// The only fault, of one client.
fn fault(manner: Manner, size: u64, depth: u64) -> Fault {
    let host = Host::of(manner).start();
    let mut party = secured(&host, 1, Work::echo(size, SEED));
    if matches!(manner, Manner::Fails(FallsSilent, _)) {
        party.patience = Duration::from_millis(500);
    }
    let mut driver = Driver::new(&party, Arc::new(Watch::new())).unwrap();
    let mut outcome = driver.connect().unwrap();
    let since = Instant::now();
    while outcome.faults.total() == 0 && since.elapsed() < PATIENCE {
        let slice = driver.slice(Pace::closed(depth), None, Length::Messages(2 * depth));
        outcome = slice.unwrap();
    }
    let outcome = driver.leave().unwrap();
    assert_eq!(outcome.faults.total(), 1, "{manner:?}: {:?}", outcome.faults);
    outcome.faults.examples().next().unwrap().clone()
}

#[test]
fn each_fault_is_named() {
    let unanswered = "1 message unanswered";
    let table = [
        (Corrupts, 266, Kind::Wrong, "1 byte corrupted (0x"),
        (Adds, 300, Kind::Wrong, "nowhere in the stream"),
        (FallsSilent, 266, Kind::Lost, "1 message unanswered for 500ms"),
        (Closes, 266, Kind::Short, "the server closed with 1 message unanswered"),
        (Closes, 320, Kind::Short, "the server closed with 1 message unanswered"),
        (CutsOff, 266, Kind::Short, "the server closed without close_notify, 1 message unanswered"),
        (CutsOff, 320, Kind::Short, unanswered),
        (Resets, 266, Kind::Reset, "connection reset by peer"),
        (Garbles, 256, Kind::Wrong, "cannot be decrypted"),
    ];
    for (fails, place, kind, words) in table {
        let fault = fault(Manner::Fails(fails, place), 64, 1);
        assert_eq!(fault.kind, kind, "{fails:?}: {fault}");
        assert!(fault.detail.contains(words), "{fails:?}: {fault}");
        let offset = if fails == Garbles { 256 } else { place };
        assert_eq!(fault.offset, offset, "{fails:?}: {fault}");
    }
    for (fails, kind) in [(Corrupts, Kind::Wrong), (Closes, Kind::Short), (CutsOff, Kind::Short)] {
        let fault = fault(Manner::Fails(fails, 250_010), 100_000, 4);
        assert_eq!((fault.kind, fault.offset), (kind, 250_010), "{fails:?}: {fault}");
    }
}

#[test]
fn who_does_not_say_that_it_closes_is_counted_where_all_was_answered() {
    let host = Host::of(Manner::CutsOff).start();
    let party = secured(&host, 3, Work::echo(64, SEED));
    let mut driver = Driver::new(&party, Arc::new(Watch::new())).unwrap();
    driver.connect().unwrap();
    driver.slice(Pace::closed(1), None, Length::Messages(30)).unwrap();
    let outcome = driver.leave().unwrap();
    assert_eq!((outcome.faults.total(), outcome.unannounced), (0, 3), "{:?}", outcome.faults);
}

/// A short load by the binary.
fn short(target: &str, arguments: &[&str]) -> Ending {
    socklab(&[&["load", target, "-c", "4", "--warmup", "0"], arguments].concat())
}

#[test]
fn the_report_tells_handshakes_of_both_kinds() {
    let host = Host::of(Manner::Honest).start();
    let target = host.target();
    let trust = ["--ca", host.ca.path(), "-n", "100", "--per-connection", "1"];
    let (code, printed, complaint) = short(&target, &[&trust[..], &["--json", "-"]].concat());
    assert_eq!(code, 0, "{complaint}");
    let document = parsed(&printed);
    assert_eq!(document["options"]["target"], target);
    assert_eq!(document["options"]["resumption"], true);
    let tls = &document["tls"];
    assert_eq!(
        (&tls["handshakes"]["full"], &tls["handshakes_in_all"]["full"]),
        (&0.into(), &4.into())
    );
    assert!(number(&tls["handshakes"]["resumed"]) >= 100.0, "{tls}");
    assert_eq!(
        number(&document["handshake"]["count"]),
        4.0 + number(&tls["handshakes"]["resumed"]),
        "{document}"
    );
    assert!(tls["agreed"][0].as_str().unwrap().starts_with("TLS 1.3, TLS13_"), "{tls}");
    // Bytes are those of messages, not those on the wire.
    assert_eq!(
        (&document["sent_bytes"], &document["received_bytes"]),
        (&6400.into(), &6400.into())
    );

    let (_, printed, _) = short(&target, &[&trust[..], &["--no-resumption"]].concat());
    let line = printed.lines().find(|line| line.starts_with("handshakes  ")).unwrap();
    assert!(
        line.contains(" full, 0 resumed in ") && line.contains("/s and 0/s; TLS 1.3"),
        "{line}"
    );
    assert!(printed.contains("\nhandshake   "), "{printed}");
    assert!(printed.contains(", full handshakes only, "), "{printed}");

    let staying = ["--pin", &host.fingerprint.to_string(), "-n", "100", "--fail-if", "errors>0"];
    let (code, printed, complaint) =
        short(&target.replace("tls", "tcp"), &[&staying[..], &["--tls"]].concat());
    assert_eq!(code, 0, "{complaint}");
    assert!(printed.starts_with(&format!("target      {target}, ")), "{printed}");
    assert!(
        printed.contains("\nhandshakes  4 full, 0 resumed, before it was measured; "),
        "{printed}"
    );
}

#[test]
fn whoever_cannot_be_trusted_is_not_loaded() {
    let host = Host::of(Manner::Honest).start();
    let other = Host::of(Manner::Honest).start();
    let target = host.target();
    let beginning = format!("socklab: cannot load {target}: ");
    fails_in_one_line(
        &["load", &target, "--ca", other.ca.path()],
        &[&beginning, "is not signed by an authority that is trusted here", "--pin"],
    );
    fails_in_one_line(
        &["load", &target, "--pin", &other.fingerprint.to_string()],
        &[&beginning, "not the one that was pinned", &host.fingerprint.to_string()],
    );
    let elsewhere = ["--ca", host.ca.path(), "--server-name", "elsewhere.example"];
    fails_in_one_line(
        &[&["load", &target], &elsewhere[..]].concat(),
        &[&beginning, "not for elsewhere.example but for localhost, 127.0.0.1"],
    );
}

#[test]
fn who_speaks_no_tls_is_told_from_who_is_absent() {
    // It takes connections, and says nothing.
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tls://{}", mute.local_addr().unwrap());
    fails_in_one_line(
        &["load", &target, "--insecure", "-q", "--timeout", "300ms"],
        &["cannot load", "did not finish the TLS handshake within 300ms", "does it speak TLS"],
    );
    // One closes at once, and one sends back what it hears.
    let closes = Wrong::to_all(Temper::Closes, 0);
    let echoes = Wrong::to_all(Temper::Honest, 0);
    for (server, words) in [(closes, "closed before"), (echoes, "does not speak TLS")] {
        let target = format!("tls://{}", server.address);
        fails_in_one_line(&["load", &target, "--insecure", "-q"], &["cannot load", words]);
    }
    // Bound and deaf, so that nobody else takes the port.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let target = format!("tls://{}", socket.local_addr().unwrap().as_socket().unwrap());
    fails_in_one_line(
        &["load", &target, "--insecure", "-q"],
        &["no client was served", "connection refused", "is it running?"],
    );
}

/// Whoever has the keys can read what was recorded. Only `socklab client` writes them.
#[test]
fn keys_are_never_written() {
    let host = Host::of(Manner::Honest).start();
    let keys = Scratch::file("keys");
    let target = host.target();
    let mut command = Command::new(SOCKLAB);
    command.args(["load", &target, "--ca", host.ca.path(), "-c", "1", "-n", "1"]);
    let (code, _, complaint) = Program::spawn(command.env("SSLKEYLOGFILE", keys.path())).end();
    assert_eq!(code, 0, "{complaint}");
    assert!(!Path::new(keys.path()).exists());
}

#[test]
#[ignore = "needs openssl"]
fn openssl_is_loaded_too() {
    let authority = Authority::new();
    let identity = authority.identity();
    for (version, spoken) in [("-tls1_2", "TLS 1.2"), ("-tls1_3", "TLS 1.3")] {
        // It sends each line back reversed.
        let mut openssl = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-rev", version, "-cert"])
            .arg(identity.certificate_file())
            .arg("-key")
            .arg(identity.key_file())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts");
        let mut lines = BufReader::new(openssl.stdout.take().unwrap()).lines();
        let address =
            lines.find_map(|line| Some(line.unwrap().strip_prefix("ACCEPT ")?.to_owned()));
        let target = format!("tls://{}", address.expect("it is ready"));
        // It has one client at a time.
        let ca = authority.file();
        let arguments = ["load", &target, "--ca", &ca, "-c", "1", "-n", "100"];
        let talk = ["--message", "hello\\n", "--reply", "olleh\\n", "--per-connection", "5"];
        let ending = socklab(&[&arguments[..], &talk, &["--fail-if", "errors>0"]].concat());
        let _ = openssl.kill();
        let _ = openssl.wait();
        let (code, printed, complaint) = ending;
        assert_eq!(code, 0, "{complaint}");
        let line = printed.lines().find(|line| line.starts_with("handshakes  ")).unwrap();
        assert!(line.starts_with("handshakes  0 full, ") && line.contains(spoken), "{line}");
    }
}

#[test]
fn what_is_wrong_usage_is_said_so() {
    let tcp = "tcp://127.0.0.1:1";
    let table: [(&[&str], &str); 8] = [
        (&[tcp, "--ca", "x.pem"], "--ca needs --tls"),
        (&[tcp, "--pin", &"0".repeat(64)], "--pin needs --tls"),
        (&[tcp, "--insecure"], "--insecure needs --tls"),
        (&[tcp, "--server-name", "a"], "--server-name needs --tls"),
        (&[tcp, "--no-resumption"], "--no-resumption needs --tls"),
        (&["udp://127.0.0.1:1", "--tls"], "datagrams have no TLS here"),
        (&["--udp", "--server", "x {port}", "--tls"], "datagrams have no TLS here"),
        (&["tls://127.0.0.1:1", "--insecure", "--pin", &"0".repeat(64)], "--pin"),
    ];
    for (arguments, words) in table {
        let (code, printed, complaint) = socklab(&[&["load"], arguments].concat());
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {complaint}");
        assert!(complaint.starts_with("error: ") && complaint.contains(words), "{complaint}");
    }
}

//! `socklab load udp://…` as its users meet it: what it says, what it refuses, its exit status.

mod support;

use nix::sys::signal::Signal;
use serde_json::{Value, json};
use support::eventually;
use support::post::{Post, closed_port};
use support::run::{Running, Scratch, fails_in_one_line, number, parsed, printed, socklab};

/// The lost ones of 200 messages: numbers 20 to 38, each second one.
fn lossy() -> Post {
    Post::bending(|number, datagram| match (20..40).contains(&number) && number % 2 == 0 {
        true => vec![],
        false => vec![datagram],
    })
}

const SHORT: [&str; 6] = ["-c", "1", "-n", "200", "--pipeline", "10"];

fn load(server: &Post, arguments: &[&str]) -> (i32, String, String) {
    let target = format!("udp://{}", server.address);
    socklab(&[&["load", &target], &SHORT[..], arguments].concat())
}

fn fates(document: &Value) -> &Value {
    &document["datagrams"]
}

#[test]
fn loss_is_a_figure_in_every_form_of_the_report() {
    let server = lossy();
    let [json, csv] = ["result.json", "result.csv"].map(Scratch::file);
    let files = ["--timeout", "500ms", "--json", json.path(), "--csv", csv.path()];
    let (code, text, complaint) = load(&server, &files);
    assert_eq!((code, complaint.as_str()), (0, ""), "{text}");

    assert!(text.contains(" 64 B echoed, 10 in flight, closed loop\n"), "{text}");
    assert!(text.contains("\nmessages    190 answered, every byte compared"), "{text}");
    let line = "\ndatagrams   10 lost (5 %), 0 duplicated, 0 reordered, 0 corrupted\n";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("latency is that of what was answered; what is lost has none"), "{text}");
    assert!(text.contains("\nfaults      none\n"), "{text}");
    assert!(!text.contains("\nconnect "), "{text}");
    assert!(text.contains("\nfirst byte "), "{text}");

    let document = parsed(&json.read());
    let expected = json!({
        "sent": 200, "lost": 10, "duplicated": 0, "reordered": 0, "corrupted": 0, "late": 0,
        "refused": 0, "overflowed": 0
    });
    assert_eq!(fates(&document), &expected);
    assert_eq!((&document["messages"], &document["latency"]["count"]), (&json!(190), &json!(190)));
    assert_eq!(document["connect"], Value::Null);
    assert_eq!(document["options"]["timeout_s"], 0.5);

    let csv = csv.read();
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let of = |name: &str| values[names.iter().position(|known| *known == name).unwrap()];
    assert_eq!((of("datagrams_sent"), of("datagrams_lost")), ("200", "10"));
    assert_eq!((of("datagrams_duplicated"), of("datagrams_overflowed")), ("0", "0"));

    // Rendered again, the same; merged, the sum.
    assert_eq!(printed(&["report", json.path()]), text);
    let (code, other, complaint) = load(&lossy(), &["--timeout", "500ms", "--json", "-"]);
    assert_eq!(code, 0, "{complaint}");
    let mut other = parsed(&other);
    other["options"]["target"] = document["options"]["target"].clone();
    let other = Scratch::of(&other);
    let merged = parsed(&printed(&["report", json.path(), other.path(), "--json", "-"]));
    assert_eq!((&fates(&merged)["lost"], &fates(&merged)["sent"]), (&json!(20), &json!(400)));
}

#[test]
fn a_document_without_datagrams_is_still_read() {
    let (_, text, _) = load(&Post::echo(), &["--json", "-"]);
    let mut older = parsed(&text);
    older.as_object_mut().unwrap().remove("datagrams");
    let older = Scratch::of(&older);
    assert!(!printed(&["report", older.path()]).contains("datagrams "));
    let schema = printed(&["report", "--schema"]);
    assert!(schema.contains("\"reordered\"") && schema.contains("\"overflowed\""));
}

#[test]
fn conditions_on_loss_set_the_exit_status() {
    let server = lossy();
    let table = [
        ("p90>400ms", 0, ""),
        ("p99<1h", 0, ""),
        ("p99>400ms", 4, "socklab: p99>400ms: it was infinite, for so many were lost"),
        ("corrupted>0", 0, ""),
        ("lost>10", 0, ""),
        ("lost>=10", 4, "socklab: lost>=10: it was 10"),
        ("loss>5%", 0, ""),
        ("loss>=0.05", 4, "socklab: loss>=0.05: it was 5 %"),
        ("duplicated>0", 0, ""),
        ("reordered>=0", 4, "socklab: reordered>=0: it was 0"),
        ("errors>0", 0, ""),
    ];
    for (condition, status, words) in table {
        let (code, _, complaint) = load(&server, &["--timeout", "300ms", "--fail-if", condition]);
        assert_eq!(code, status, "{condition}: {complaint}");
        assert!(complaint.starts_with(words), "{condition}: {complaint}");
    }
}

#[test]
fn wrong_bytes_exit_3_and_are_quoted() {
    let server = Post::bending(|number, mut datagram| {
        datagram[20] ^= u8::from(number == 7);
        vec![datagram]
    });
    let (code, text, complaint) = load(&server, &[]);
    assert_eq!(code, 3, "{text}");
    let words = "wrong: client 0 at offset 20: 1 byte of datagram 7 corrupted (0x";
    assert!(complaint.contains(words) && complaint.lines().count() == 1, "{complaint}");
    assert!(text.contains("0 reordered, 1 corrupted\n"), "{text}");
    assert!(text.contains("\nfaults      1 wrong\n"), "{text}");
}

#[test]
fn who_is_absent_silent_or_wrong_is_said_in_one_line() {
    let closed = closed_port();
    let target = format!("udp://{}", closed.local_addr().unwrap());
    let refused = ["cannot load udp://", "connection refused", "start `socklab server --udp`"];
    fails_in_one_line(&["load", &target, "--timeout", "300ms"], &refused);
    fails_in_one_line(&["load", &target, "--expect", "sink"], &refused);

    let mute = Post::mute();
    let target = format!("udp://{}", mute.address);
    let silent = ["cannot load udp://", "no answer within 1s", "does it echo?"];
    fails_in_one_line(&["load", &target, "-c", "200"], &silent);
    assert!(mute.heard() <= 64 * 5, "the others need not try: {}", mute.heard());

    let other = Post::bending(|_, _| vec![b"hello, world!".to_vec()]);
    let (code, _, complaint) = load(&other, &["--timeout", "300ms"]);
    assert_eq!((code, complaint.lines().count()), (3, 1), "{complaint}");
    assert!(complaint.contains("does not speak what --expect says"), "{complaint}");

    fails_in_one_line(
        &["load", &target, "--size", "65508"],
        &["cannot send datagrams of 65508 bytes", "65507 is the most", "lower --size"],
    );
    fails_in_one_line(&["load", &target, "--source", "::1"], &["cannot connect from ::1", "IPv6"]);
}

#[test]
fn what_datagrams_cannot_do_is_wrong_usage() {
    let (udp, tcp) = ("udp://127.0.0.1:9", "tcp://127.0.0.1:9");
    let table: [(&[&str], &str); 13] = [
        (&[udp, "--size", "7"], "8 to 65507 bytes"),
        (&[udp, "--size", "65528"], "65527 over IPv6"),
        (&[udp, "--message", "PING"], "--message"),
        (&[udp, "--message", "PING", "--reply", "PONG"], "--message"),
        (&[udp, "--per-connection", "5"], "--per-connection"),
        (&[udp, "--expect", "source"], "--expect none"),
        (&[udp, "--expect", "sink", "--fail-if", "lost>0"], "--expect sink"),
        (&[udp, "--expect", "sink", "--slo", "p99<1ms"], "--slo"),
        (&[tcp, "--fail-if", "loss>1%"], "use udp://"),
        (&[tcp, "--fail-if", "reordered>0"], "use udp://"),
        (&[udp, "--fail-if", "lost>1%"], "not a number"),
        (&["sctp://127.0.0.1:9"], "udp://HOST:PORT"),
        (&[udp, "--udp"], "--udp"),
    ];
    for (arguments, words) in table {
        let (code, printed, complaint) = socklab(&[&["load"], arguments].concat());
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {complaint}");
        assert!(complaint.starts_with("error: ") && complaint.contains(words), "{complaint}");
    }
}

#[test]
fn a_sink_says_that_nothing_is_known_of_what_arrived() {
    let server = Post::mute();
    let (code, text, complaint) = load(&server, &["--expect", "sink"]);
    assert_eq!(code, 0, "{complaint}");
    assert!(text.contains("\nmessages    200 sent, in "), "{text}");
    assert!(text.contains("\ndatagrams   nothing tells whether they arrived\n"), "{text}");
    eventually("all have come", || server.heard() == 201);
}

#[test]
fn answers_can_be_counted_without_being_compared() {
    let server = Post::start(|heard| heard.map(|_| b"any".to_vec()).into_iter().collect());
    let (code, text, complaint) = load(&server, &["--expect", "none"]);
    assert_eq!(code, 0, "{complaint}");
    assert!(text.contains("\nmessages    200 answered, not compared"), "{text}");
    let line = "\ndatagrams   0 lost, the rest cannot be told without comparing\n";
    assert!(text.contains(line), "{text}");
}

#[test]
fn a_count_of_messages_that_was_given_up_is_a_failure() {
    let server = Post::echo();
    let target = format!("udp://{}", server.address);
    let run = Running::start(&["load", &target, "-n", "1000000000", "--timeout", "100ms"]);
    eventually("it is under way", || server.heard() > 200);
    server.close();
    let (code, _, complaint) = run.end();
    assert_eq!(code, 1, "{complaint}");
    assert!(complaint.contains(" of 1000000000 messages were sent: nobody "), "{complaint}");
}

#[test]
fn a_server_that_leaves_is_loss_and_not_the_end() {
    let server = Post::echo();
    let target = format!("udp://{}", server.address);
    let arguments = ["-c", "3", "-d", "2s", "--warmup", "0", "--timeout", "200ms", "--json", "-"];
    let run = Running::start(&[&["load", &target], &arguments[..]].concat());
    eventually("it is under way", || server.heard() > 200);
    server.close();
    let (code, printed, complaint) = run.end();
    assert_eq!(code, 0, "{complaint}");
    let document = parsed(&printed);
    assert!(number(&fates(&document)["lost"]) > 0.0, "{document}");
    assert!(number(&fates(&document)["refused"]) > 0.0, "{document}");
    assert_eq!(document["faults"]["examples"], json!([]));
}

#[test]
fn ctrl_c_ends_a_run_with_a_report_of_what_was_measured() {
    let server = Post::echo();
    let target = format!("udp://{}", server.address);
    for more in [&["-d", "1h"][..], &["-d", "1h", "-r", "2000"], &["-n", "1000000000"]] {
        let before = server.heard();
        let json = Scratch::file("interrupted.json");
        let arguments = ["load", &target, "-c", "3", "--warmup", "0", "--json", json.path()];
        let run = Running::start(&[&arguments[..], more].concat());
        eventually("it is under way", || server.heard() > before + 200);
        run.signal(Signal::SIGINT);
        let (code, text, complaint) = run.end();
        assert_eq!((code, complaint.as_str()), (130, ""), "{more:?}");
        assert!(text.contains("\ninterrupted what follows is what was measured"), "{text}");
        let document = parsed(&json.read());
        let heard = server.heard() - before;
        let lost = number(&fates(&document)["lost"]);
        assert_eq!(number(&document["messages_in_all"]) + lost, heard as f64, "{document}");
    }
}

#[test]
fn the_highest_rate_that_keeps_an_objective_is_searched_over_datagrams() {
    let server = Post::echo();
    let target = format!("udp://{}", server.address);
    let objective = ["-c", "4", "-d", "100ms", "--rate", "200", "--slo", "p50<10s", "--json", "-"];
    let (code, printed, complaint) = socklab(&[&["load", &target], &objective[..]].concat());
    assert_eq!(code, 0, "{complaint}");
    let trials = parsed(&printed)["trials"].as_array().unwrap().len();
    assert!(trials > 1, "{printed}");
}

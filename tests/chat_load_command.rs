//! `socklab load irc://` and `socklab bench chat` as commands: what they print, write and refuse.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};
use socklab::engine::{Endpoint, Engine, Limits, Stop, listen};
use socklab::report::document::Document;
use socklab::report::{html, text};
use support::ircd::{Irc, Temper};
use support::run::{
    Ending, Running, Scratch, array, fails_in_one_line, number, parsed, printed, socklab,
};
use support::{Server, on_both_engines};

const PORT: &str = "SOCKLAB_TEST_PORT";
const TEMPER: &str = "SOCKLAB_TEST_TEMPER";

/// A server command of this test binary.
fn command(temper: &str) -> String {
    let me = std::env::current_exe().unwrap();
    format!(
        "{PORT}={{port}} {TEMPER}={temper} exec {} --exact this_binary_is_a_server_for_the_others \
         --nocapture",
        me.display()
    )
}

#[test]
fn this_binary_is_a_server_for_the_others() {
    let Ok(port) = std::env::var(PORT) else { return };
    let temper = match std::env::var(TEMPER).unwrap_or_default().as_str() {
        "corrupts" => Temper::Corrupts,
        "mute" => Temper::Greets("ERROR :Not today\r\n"),
        _ => Temper::Right,
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap()));
    let listeners = listen(&address.ip().to_string(), address.port()).unwrap();
    let service = Arc::new(Irc::of(temper));
    let endpoints = listeners
        .into_iter()
        .map(|listener| Endpoint::Stream { listener, service: service.clone() })
        .collect();
    let stop = Arc::new(Stop::new().unwrap());
    Engine::Poll.run(endpoints, Limits::default(), stop).unwrap();
    thread::park();
}

/// However long it takes: on a busy machine a bench lasts longer than our patience.
fn bench(arguments: &[&str]) -> Ending {
    let short = ["bench", "chat", "--clients", "4", "--max-time", "3s", "--slice", "5ms"];
    Running::start(&[&short[..], arguments].concat()).outlast()
}

on_both_engines! {
    fn what_was_delivered_is_in_every_form(engine) {
        let server = Server::start(engine, Irc::of(Temper::Right));
        let target = format!("irc://{}", server.address);
        let [document, csv] = ["chat.json", "chat.csv"].map(Scratch::file);
        let arguments = [
            "load", &target, "--rooms", "3", "--members", "5", "--talkers", "2", "-n", "300",
            "--threads", "2", "--fail-if", "errors>0", "--json", document.path(), "--csv", csv.path(),
        ];
        let text = printed(&arguments);
        let result = parsed(&document.read());
        let rooms = json!({"rooms": 3, "members": 5, "talkers": 2, "quick_acks": false});
        assert_eq!(result["options"]["rooms"], rooms);
        assert_eq!((&result["options"]["clients"], &result["connected"]), (&json!(15), &json!(15)));
        assert_eq!(result["options"]["expect"], "others");
        assert_eq!((&result["messages"], &result["chat"]["lines"]), (&json!(1200), &json!(300)));
        assert_eq!(result["latency"]["count"], 1200);
        assert_eq!(result["chat"]["last"]["count"], 300);
        assert_eq!(result["driver"]["sent"], 300);
        assert!(result["service_time"].is_null() && result["tls"].is_null(), "{result}");
        for words in [
            "3 rooms of 5 members, 2 of whom talk, 64 B said, 1 in flight, closed loop\n",
            "\ndeliveries  1,200 right, every byte compared, in ",
            "\nlines       300 heard by all: ",
            "\nlast  ",
            "\nfaults      none\n",
        ] {
            assert!(text.contains(words), "{words:?} is not in {text}");
        }
        let csv = csv.read();
        let (names, values) = csv.split_once("\r\n").unwrap();
        let column = names.split(',').position(|name| name == "lines").unwrap();
        assert_eq!(values.split(',').nth(column), Some("300"), "{csv}");
        assert_eq!(printed(&["report", document.path()]), text);
    }

    fn an_open_loop_and_the_search_for_its_rate_are_of_lines(engine) {
        let server = Server::start(engine, Irc::of(Temper::Right));
        let target = format!("irc://{}", server.address);
        let common = ["load", &target, "--members", "4", "--json", "-"];
        let open = ["--rate", "1000", "-n", "100", "--acks", "quick"];
        let result = parsed(&printed(&[&common[..], &open].concat()));
        assert_eq!((&result["chat"]["lines"], &result["messages"]), (&json!(100), &json!(300)));
        assert_eq!(result["service_time"]["count"], 300);
        let search = ["--rate", "50", "--slo", "p50<10m", "--duration", "100ms", "--warmup", "0"];
        let (code, printed, complaint) =
            Running::start(&[&common[..], &search].concat()).outlast();
        assert_eq!(code, 0, "{complaint}");
        let result = parsed(&printed);
        // What is asked for in lines is answered in lines.
        let kept = array(&result["trials"]).iter().find(|trial| trial["passed"] == true).unwrap();
        let (rate, achieved) = (number(&kept["rate"]), number(&kept["achieved"]));
        assert!(achieved < 1.5 * rate, "{kept}");
    }

    fn a_wrong_server_is_told_from_one_that_refuses(engine) {
        let server = Server::start(engine, Irc::of(Temper::Corrupts));
        let target = format!("irc://{}", server.address);
        let load = ["load", &target, "--members", "3", "--talkers", "1", "-n", "20"];
        let (code, _, complaint) = socklab(&load);
        assert_eq!(code, 3, "{complaint}");
        assert!(complaint.contains("wrong: client 2 at offset "), "{complaint}");
        assert!(complaint.contains("line 5 of client 0 corrupted in 1 of 64 bytes"), "{complaint}");
        let locked = Server::start(engine, Irc::of(Temper::Locked("sesame")));
        let target = format!("irc://{}", locked.address);
        let load = ["load", &target, "-n", "20"];
        let refused = ["was not let in: the server said \":irc.test 464", "give it --password"];
        fails_in_one_line(&load, &[&["cannot load irc://127.0.0.1:"], &refused[..]].concat());
        printed(&[&load[..], &["--password", "sesame"]].concat());
    }
}

#[test]
fn a_server_that_is_not_there_is_said_to_be_missing() {
    // Bound, so that nobody else gets it, and never listened at.
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let port = socket.local_addr().unwrap().as_socket().unwrap().port();
    let load = ["load", &format!("irc://127.0.0.1:{port}"), "-n", "1"];
    fails_in_one_line(&load, &["cannot load irc://", "connection refused", "is it running?"]);
}

#[test]
fn runs_of_the_same_rooms_are_added() {
    let server = Server::start(Engine::Poll, Irc::of(Temper::Right));
    let target = format!("irc://{}", server.address);
    let files = ["a.json", "b.json", "c.json"].map(Scratch::file);
    for (file, members) in files.iter().zip(["4", "4", "5"]) {
        let load = ["load", &target, "--members", members, "-n", "50", "--json", file.path()];
        printed(&load);
    }
    let merged = parsed(&printed(&["report", files[0].path(), files[1].path(), "--json", "-"]));
    assert_eq!((&merged["chat"]["lines"], &merged["messages"]), (&json!(100), &json!(300)));
    assert_eq!(merged["options"]["rooms"]["rooms"], 2);
    let others = ["report", files[0].path(), files[2].path()];
    fails_in_one_line(&others, &["--members, --talkers or --acks"]);
}

#[test]
fn a_server_can_be_started_and_observed() {
    let command = command("right");
    let load =
        ["load", "--irc", "--server", &command, "--members", "70", "-n", "50", "--json", "-"];
    let (code, printed, complaint) = Running::start(&load).outlast();
    assert_eq!(code, 0, "{complaint}");
    let result = parsed(&printed);
    assert!(result["options"]["target"].as_str().unwrap().starts_with("irc://127.0.0.1:"));
    assert_eq!(result["messages"], 50 * 69);
    assert!(number(&result["server"]["cpu_per_message_ns"]) > 0.0, "{result}");
    assert_eq!(result["server"]["memory"]["connections"], 70);
}

#[test]
fn what_makes_no_sense_is_wrong_usage() {
    let irc = "irc://127.0.0.1:1";
    let table: [(&[&str], &str); 20] = [
        (&["load", irc, "--clients", "5"], "drop --clients"),
        (&["load", irc, "--per-connection", "5"], "drop --per-connection"),
        (&["load", irc, "--message", "x"], "--message"),
        (&["load", irc, "--expect", "sink"], "drop --expect"),
        (&["load", irc, "--size", "12"], "13 to 400 bytes"),
        (&["load", irc, "--size", "401"], "13 to 400 bytes"),
        (&["load", irc, "--members", "1"], "from 2 to 1000000"),
        (&["load", irc, "--members", "3", "--talkers", "4"], "of 3 members 4 cannot talk"),
        (&["load", irc, "--rooms", "1000000", "--members", "2"], "more than there are names"),
        (&["load", irc, "--fail-if", "loss>1%"], "about datagrams"),
        (&["load", irc, "--udp"], "--udp"),
        (&["load", irc, "--ca", "x.pem"], "--ca needs --tls"),
        (&["load", "tcp://127.0.0.1:1", "--rooms", "2"], "--rooms is of rooms"),
        (&["load", "udp://127.0.0.1:1", "--acks", "quick"], "--acks is of rooms"),
        (&["bench", "--talkers", "2"], "--talkers is of rooms"),
        (&["bench", "echo", "--acks", "quick"], "--acks is of rooms"),
        (&["bench", "chat", "--udp"], "drop --udp"),
        (&["bench", "chat", "--per-connection", "1"], "drop --per-connection"),
        (&["bench", "chat", "--size", "4"], "13 to 400 bytes"),
        (&["bench", "chat", "--clients", "1,10"], "a room has 2 to "),
    ];
    for (arguments, words) in table {
        let (code, printed, complaint) = socklab(arguments);
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {complaint}");
        assert!(complaint.starts_with("error: "), "{arguments:?}: {complaint}");
        assert!(complaint.contains(words), "{arguments:?}: {complaint}");
    }
}

#[test]
fn a_bench_of_chats_counts_deliveries() {
    let [json, page, csv] = ["result.json", "page.html", "result.csv"].map(Scratch::file);
    let files = ["--json", json.path(), "--html", page.path(), "--csv", csv.path()];
    let servers = ["a", "b"].map(|name| format!("{name}={}", command("right")));
    let named = ["--server", &servers[0], "--server", &servers[1]];
    let (code, printed, complaint) = bench(&[&named[..], &files].concat());
    assert_eq!(code, 0, "{complaint}");
    let result = parsed(&json.read());
    assert_eq!(result["options"]["chat"], json!({"talkers": 10, "quick_acks": true}));
    let row = &result["rows"][0];
    assert_eq!(row["clients"], 4);
    let open: f64 = number(&row["open_rate"]);
    for standing in array(&row["standings"]) {
        assert!(number(&standing["cpu_per_message_ns"]) > 0.0, "{standing}");
        // Three deliveries to a line, at half of what the slowest can do.
        assert!(number(&standing["messages_per_second"]) > open, "{standing}");
    }
    for round in array(&row["rounds"]) {
        for side in array(&round["sides"]) {
            let of_three = |slice: &Value| slice["messages"].as_u64().unwrap().is_multiple_of(3);
            assert!(array(&side["slices"]).iter().all(of_three), "{side}");
            assert!(of_three(&side["open"]), "{side}");
        }
    }
    for words in [
        "\n4 members (",
        " lines/s)\n",
        "\n  CPU per delivery              a  ",
        "\n  deliveries per second         a  ",
        "\n  context switches per delivery a ",
        "; a room with 10 talkers at most, quick acks; ",
    ] {
        assert!(printed.contains(words), "{words:?} is not in {printed}");
    }
    let page = page.read();
    for text in [&printed, &page] {
        let is_of_echoes = |line: &&str| line.contains("message") || line.contains("client");
        let found: Vec<&str> = text.lines().filter(is_of_echoes).collect();
        assert!(found.is_empty(), "{found:?}");
    }
    assert!(csv.read().lines().next().unwrap().contains(",talkers"));
    let Document::Bench(document) = serde_json::from_value(result).unwrap() else {
        panic!("it is of a bench")
    };
    assert_eq!((printed, page), (text::bench(&document), html::page(&document)));
}

#[test]
fn who_does_not_deliver_is_out() {
    let good = format!("good={}", command("right"));
    let table = [
        ("corrupts", 3, "bad does not deliver what was said: wrong: client 2 at offset "),
        ("mute", 1, "bad does not answer: refused: client 0 at offset "),
    ];
    for (temper, status, words) in table {
        let bad = format!("bad={}", command(temper));
        let (code, printed, complaint) = bench(&["--server", &good, "--server", &bad]);
        assert_eq!((code, printed.as_str()), (status, ""), "{temper}: {complaint}");
        assert!(complaint.contains(words) && complaint.lines().count() == 1, "{complaint}");
    }
}

/// A server that people run.
fn real(server: &str) -> String {
    format!("benches/rivals/ircd.sh {server} {{port}}")
}

#[test]
#[ignore = "needs ngircd"]
fn ngircd_delivers_every_line() {
    for (more, scheme) in [(&[][..], ""), (&["--tls"], " tls")] {
        let command = real("ngircd") + scheme;
        let load = ["load", "--irc", "--server", &command, "--rooms", "2", "--members", "40"];
        let short = ["--threads", "2", "-n", "1000", "--acks", "quick", "--json", "-"];
        let (code, printed, complaint) =
            Running::start(&[&load[..], &short, more].concat()).outlast();
        assert_eq!(code, 0, "{complaint}");
        let result = parsed(&printed);
        assert_eq!(result["messages"], 1000 * 39);
        assert_eq!(result["faults"]["examples"], json!([]));
    }
}

#[test]
#[ignore = "needs ngircd and inspircd"]
fn ngircd_and_inspircd_are_compared() {
    let servers = ["ngircd", "inspircd"].map(|server| format!("{server}={}", real(server)));
    let (code, printed, complaint) = bench(&["--server", &servers[0], "--server", &servers[1]]);
    assert_eq!(code, 0, "{complaint}");
    assert!(printed.contains("CPU per delivery              ngircd "), "{printed}");
}

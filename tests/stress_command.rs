//! `socklab stress` as its users meet it: whom it visits, what it prints, its exit statuses, Ctrl-C.

mod support;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::run::{Running, fails_in_one_line, printed, socklab};
use support::tree::Tree;
use support::wrong::{Temper, Wrong};
use support::{Process, eventually, on_both_engines};

/// The lines of JSON that it writes.
fn visits(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

on_both_engines! {
    fn each_visit_is_a_line_of_json(engine) {
        let engine = engine.to_string();
        let text = printed(&[
            "stress", "--engine", &engine, "--service", "echo", "--only", "crowd,half-close", "-c",
            "50", "--json", "-",
        ]);
        let visits = visits(&text);
        let clients: Vec<&str> =
            visits.iter().map(|visit| visit["client"].as_str().unwrap()).collect();
        assert_eq!(clients, ["crowd", "half-close"]);
        for visit in &visits {
            assert_eq!(visit["verdict"], "pass", "{visit}");
            assert_eq!(visit["schema"], "socklab-stress/1");
            assert_eq!(visit["server"], format!("{engine}, echo"));
            let again = visit["reproduce"].as_str().unwrap();
            assert!(again.starts_with(&format!("socklab stress --engine {engine} ")), "{again}");
        }
        assert!(visits[0]["figure"].as_str().unwrap().starts_with("50 clients, "), "{text}");
    }

    fn a_mix_serves_the_good_ones_beside_the_hostile_ones(engine) {
        let engine = engine.to_string();
        for service in ["echo", "chat", "files"] {
            let text = printed(&[
                "stress", "--engine", &engine, "--service", service, "--mix", "--good", "40", "--only",
                "crowd,half-close", "-c", "20", "-d", "300ms", "--json", "-",
            ]);
            let visits = visits(&text);
            let good = visits.iter().find(|visit| visit["client"] == "good clients").unwrap();
            assert_eq!(good["verdict"], "pass", "{good}");
            assert!(good["figure"].as_str().unwrap().starts_with("40 clients, "), "{good}");
            let last = visits.last().unwrap();
            assert_eq!((&last["client"], &last["verdict"]), (&"afterwards".into(), &"pass".into()));
            let came = if service == "echo" { "pass" } else { "skip" };
            let hostile = visits.iter().filter(|visit| {
                ["crowd", "half-close"].contains(&visit["client"].as_str().unwrap())
            });
            assert!(hostile.clone().count() == 2 && visits.len() == 4, "{text}");
            assert!({ hostile }.all(|visit| visit["verdict"] == came), "{text}");
        }
    }

    fn somebody_elses_server_is_visited_where_it_stands(engine) {
        let server = Process::start(engine, &[]);
        let target = format!("tcp://{}", server.address());
        let pid = server.child.id().to_string();
        let text = printed(&["stress", &target, "--pid", &pid, "--only", "crowd", "-c", "20"]);
        assert!(text.starts_with(&format!("{target}\n  pass  crowd ")), "{text}");
        assert!(text.contains("nothing was left of them"), "{text}");
        assert!(text.ends_with("1 passed, 0 failed, 0 skipped\n"), "{text}");
    }

    fn ctrl_c_ends_it_with_what_was_seen(engine) {
        let engine = engine.to_string();
        let run = Running::start(&[
            "stress", "--engine", &engine, "--service", "echo", "--only", "flood", "-d", "10m",
        ]);
        eventually("the flood has begun", || {
            std::fs::read_to_string(format!("/proc/{}/task/{}/children", run.pid(), run.pid()))
                .is_ok_and(|children| !children.trim().is_empty())
        });
        run.signal(Signal::SIGINT);
        let (code, text, complaint) = run.end();
        assert_eq!((code, complaint.as_str()), (130, ""), "{text}");
        assert!(text.ends_with("0 passed, 0 failed, 0 skipped; interrupted\n"), "{text}");
    }

    fn a_process_that_is_none_of_the_servers_is_left_alone(engine) {
        let [server, other] = [Process::start(engine, &[]), Process::start(engine, &[])];
        let target = format!("tcp://{}", server.address());
        let pid = other.child.id().to_string();
        let (code, text, complaint) =
            socklab(&["stress", &target, "--pid", &pid, "--only", "files-exhausted"]);
        assert_eq!((code, text.as_str()), (2, ""), "{complaint}");
        let port = server.address().port();
        let why = format!("process {pid} does not listen on port {port}; check --pid");
        assert!(complaint.contains(&why), "{complaint}");
    }

    fn a_server_that_is_started_is_visited_as_what_it_speaks(engine) {
        let start = |service: &str| {
            let socklab = support::run::SOCKLAB;
            format!("exec {socklab} server {service} --engine {engine} --host 127.0.0.1 --port {{port}} -q")
        };
        let tree = Tree::new();
        tree.file("page", b"hello");
        let files = start(&format!("files --root '{}'", tree.at("").display()));
        let http = ["--http", "/page", "--only", "pipelined-flood"];
        let irc = ["--irc", "--only", "nick-storm"];
        for (command, words) in [(start("chat"), &irc[..]), (files, &http)] {
            let (code, text, complaint) =
                socklab(&[&["stress", "--server", &command], words].concat());
            assert_eq!(code, 0, "{text}{complaint}");
            assert!(text.ends_with("1 passed, 0 failed, 0 skipped\n"), "{text}");
        }
    }
}

#[test]
fn a_broken_promise_is_told_with_what_showed_it_and_how_to_see_it_again() {
    let server = Wrong::to_all(Temper::Corrupts, 200);
    let target = format!("tcp://{}", server.address);
    let (code, text, complaint) = socklab(&["stress", &target, "--only", "half-close"]);
    assert_eq!(code, 3, "{complaint}");
    assert!(complaint.contains("1 promise was broken of 1"), "{complaint}");
    assert!(text.contains("  FAIL  half-close         during data: byte 200 is 0x"), "{text}");
    let again =
        format!("again:    socklab stress {target} --only half-close --clients 1000 --seed 1");
    assert!(text.contains(&again), "{text}");
}

#[test]
fn what_cannot_be_is_said_in_one_line() {
    fails_in_one_line(&["stress", "tcp://127.0.0.1:1"], &["cannot connect to", "refused", "start"]);
    for (arguments, part) in [
        (vec!["stress", "--only", "nobody"], "there is no such client; there are crowd, "),
        (vec!["stress", "udp://127.0.0.1:1"], "datagrams have no connections"),
        (vec!["stress", "--pid", "1"], "TARGET"),
        (vec!["stress", "tcp://127.0.0.1:1", "--engine", "poll"], "cannot be used with"),
        (vec!["stress", "--good", "5"], "--mix"),
        (vec!["stress", "tcp://127.0.0.1:1", "--mix", "--expect", "none"], "--expect none"),
        (vec!["stress", "--server", "true"], "the command has no {port}"),
    ] {
        let (code, _, complaint) = socklab(&arguments);
        assert_eq!(code, 2, "{arguments:?}: {complaint}");
        assert!(complaint.contains(part), "{arguments:?}: {complaint}");
    }
    let server = Wrong::to_all(Temper::Honest, 0);
    let target = format!("tcp://{}", server.address);
    let (code, text, complaint) =
        socklab(&["stress", &target, "--expect", "none", "--only", "flood"]);
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("  skip  flood              it visits servers that echo\n"), "{text}");
    assert!(complaint.contains("nothing could be tried"), "{complaint}");
    let target = target.replace("tcp://", "irc://");
    let none = format!("{target} is none of the servers that speak IRC: ");
    fails_in_one_line(&["stress", &target], &[&none, "--help"]);
}

#[test]
fn whoever_was_named_and_sent_nowhere_is_told_of() {
    let places = ["stress", "--engine", "poll", "--service", "echo"];
    let (code, text, _) = socklab(&[&places[..], &["--only", "half-close,sendq,no-tls"]].concat());
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("  skip  no-tls             it visits servers of TLS\n"), "{text}");
    assert!(
        text.contains("  skip  sendq              it visits servers that speak IRC\n"),
        "{text}"
    );
    assert!(text.ends_with("1 passed, 0 failed, 2 skipped\n"), "{text}");
    let mix = ["--mix", "--good", "4", "-d", "1s", "--only", "half-close,sigterm"];
    let (code, text, _) = socklab(&[&places[..], &mix].concat());
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("  skip  sigterm            it takes all there is, or ends the server"),
        "{text}"
    );
}

#[test]
fn every_client_says_what_it_is_about() {
    let text = printed(&["stress", "--list"]);
    for line in ["  fault:    ", "  does:     ", "  promised: ", "  seen in:  "] {
        assert_eq!(text.matches(line).count(), text.matches("\n\n").count(), "{line:?} in {text}");
    }
    assert!(text.starts_with("crowd\n"), "{text}");
}

//! `socklab stress` as its users meet it: whom it visits, what it prints, its exit statuses, Ctrl-C.

mod support;

use nix::sys::signal::Signal;
use serde_json::Value;
use support::run::{Running, fails_in_one_line, printed, socklab};
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
            let good = &visits[0];
            assert_eq!((&good["client"], &good["verdict"]), (&"good clients".into(), &"pass".into()));
            assert!(good["figure"].as_str().unwrap().starts_with("40 clients, "), "{good}");
            let last = visits.last().unwrap();
            assert_eq!((&last["client"], &last["verdict"]), (&"afterwards".into(), &"pass".into()));
            let hostile = if service == "echo" { 2 } else { 0 };
            assert_eq!(visits.len(), 2 + hostile, "{text}");
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
        assert!(text.ends_with("0 passed, 0 failed, 0 skipped\n"), "{text}");
    }
}

#[test]
fn a_broken_promise_is_told_with_what_showed_it_and_how_to_see_it_again() {
    let server = Wrong::to_all(Temper::Corrupts, 200);
    let target = format!("tcp://{}", server.address);
    let (code, text, complaint) = socklab(&["stress", &target, "--only", "half-close"]);
    assert_eq!(code, 3, "{complaint}");
    assert!(complaint.contains("1 of 1 promises were broken"), "{complaint}");
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
    assert!(complaint.contains("nothing could be tried"), "{complaint}");
}

#[test]
fn every_client_says_what_it_is_about() {
    let text = printed(&["stress", "--list"]);
    for line in ["  fault:    ", "  does:     ", "  promised: ", "  seen in:  "] {
        assert_eq!(text.matches(line).count(), text.matches("\n\n").count(), "{line:?} in {text}");
    }
    assert!(text.starts_with("crowd\n"), "{text}");
}

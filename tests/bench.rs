//! A bench: a verdict for every comparison, servers that are wrong are out, and no child is left.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use socklab::report::document::Document;
use socklab::report::{html, text};
use support::eventually;
use support::run::{Ending, Marked, Running, SOCKLAB, Scratch, array, fails_in_one_line, parsed};
use support::wrong::{Temper, Wrong};

/// However long it takes: on a busy machine a bench lasts longer than our patience.
fn socklab(arguments: &[&str]) -> Ending {
    Running::start(arguments).outlast()
}

/// Two clients, short slices, and time for a round or two.
const SHORT: [&str; 7] = ["bench", "--clients", "2", "--max-time", "3s", "--slice", "5ms"];

#[test]
fn a_bench_of_both_engines_has_every_slice_and_a_verdict() {
    let [json, page] = ["result.json", "page.html"].map(Scratch::file);
    let files = ["--json", json.path(), "--html", page.path()];
    let arguments = ["bench", "--clients", "2", "--max-time", "6s", "--slice", "5ms"];
    let (code, printed, complaint) = socklab(&[&arguments[..], &files].concat());
    assert_eq!(code, 0, "{complaint}");
    let result = parsed(&json.read());
    assert_eq!((&result["kind"], &result["schema"]), (&"bench".into(), &1.into()));
    let names: Vec<&Value> = array(&result["contestants"]).iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["poll", "threads"]);
    assert_eq!(array(&result["rows"]).len(), 1);
    let row = &result["rows"][0];
    assert_eq!(row["clients"], 2);
    assert!(!array(&row["rounds"]).is_empty());
    for round in array(&row["rounds"]) {
        // Both, and the baseline once more.
        assert_eq!(array(&round["sides"]).len(), 3);
        let slices = array(&round["sides"][0]["slices"]).len();
        assert!(slices >= 2 && slices.is_multiple_of(2), "there and back: {slices}");
        for side in array(&round["sides"]) {
            assert_eq!(array(&side["slices"]).len(), slices);
            for slice in array(&side["slices"]) {
                assert!(slice["messages"].as_u64() > Some(0), "{slice}");
                assert!(slice["elapsed_s"].as_f64() > Some(0.0), "{slice}");
            }
            assert!(side["open"]["messages"].as_u64() > Some(0), "{side}");
        }
        // Nobody runs while another one does.
        let mut spans: Vec<(f64, f64)> = array(&round["sides"])
            .iter()
            .flat_map(|side| array(&side["slices"]))
            .map(|slice| (&slice["start_s"], &slice["elapsed_s"]))
            .map(|(start, elapsed)| (start.as_f64().unwrap(), elapsed.as_f64().unwrap()))
            .collect();
        spans.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert!(spans.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0), "{spans:?}");
    }
    let verdicts = ["better", "worse", "no_difference", "inconclusive"];
    let metrics: Vec<&str> = array(&row["comparisons"])
        .iter()
        .map(|comparison| {
            assert!(verdicts.contains(&comparison["verdict"].as_str().unwrap()), "{comparison}");
            assert!(comparison["noise"]["estimate"].is_number(), "{comparison}");
            comparison["metric"].as_str().unwrap()
        })
        .collect();
    // One round has no spread, and on a machine that is very busy there is time for no more.
    let compared = array(&row["rounds"]).len() > 1;
    for metric in ["cpu", "throughput", "p50", "p99"] {
        assert_eq!(metrics.contains(&metric), compared, "{metrics:?}");
    }

    // Printed now, and printed from the document: the same.
    let document: Document = serde_json::from_value(result.clone()).unwrap();
    let Document::Bench(document) = document else { panic!("it is of a bench") };
    assert_eq!(printed, text::bench(&document));
    assert_eq!(page.read(), html::page(&document));
    let (code, again, _) = socklab(&["report", json.path()]);
    assert_eq!((code, &again), (0, &printed));
    let (code, again, _) = socklab(&["report", json.path(), "--html", "-"]);
    assert_eq!((code, again), (0, page.read()));
    let headline = printed.lines().next().unwrap();
    let names = headline.contains("poll") && headline.contains("threads");
    assert!(names || headline.starts_with("Nothing was compared"), "{printed}");
    assert_eq!(names, compared, "{printed}");
    let lines: Vec<&str> = printed.lines().filter(|line| line.contains("noise [")).collect();
    assert_eq!(lines.len(), metrics.len(), "{printed}");
    let words = ["better", "worse", "no difference", "inconclusive", "too few rounds"];
    assert!(lines.iter().all(|line| words.iter().any(|word| line.contains(word))), "{printed}");
}

#[test]
fn a_server_can_compete_with_itself() {
    let [first, second] = ["poll", "poll"].map(Marked::echo);
    let servers = [format!("a={}", first.command), format!("b={}", second.command)];
    let more = ["--server", &servers[0], "--server", &servers[1], "--json", "-"];
    let (code, printed, complaint) = socklab(&[&SHORT[..], &more].concat());
    assert_eq!(code, 0, "{complaint}");
    let result = parsed(&printed);
    assert_eq!(result["rows"][0]["rounds"][0]["sides"].as_array().unwrap().len(), 3);
    for marked in [first, second] {
        assert_eq!(marked.processes(), [""; 0]);
    }
}

#[test]
fn clients_can_come_and_go() {
    let more = ["--per-connection", "5", "--pipeline", "4", "--json", "-"];
    let (code, printed, complaint) = socklab(&[&SHORT[..], &more].concat());
    assert_eq!(code, 0, "{complaint}");
    let side = &parsed(&printed)["rows"][0]["rounds"][0]["sides"][0];
    assert!(side["slices"][0]["messages"].as_u64() > Some(0), "{side}");
    assert!(side["open"].is_null(), "who leaves has no schedule");
}

/// A server command of this test binary, which is wrong from the 100th byte of a conversation on.
fn wrong_server(temper: &str) -> String {
    let me = std::env::current_exe().unwrap();
    format!(
        "{WRONG_PORT}={{port}} {WRONG_TEMPER}={temper} exec {} --exact \
         this_binary_is_a_wrong_server_for_the_others --nocapture",
        me.display()
    )
}

const WRONG_PORT: &str = "SOCKLAB_TEST_PORT";
const WRONG_TEMPER: &str = "SOCKLAB_TEST_TEMPER";

#[test]
fn this_binary_is_a_wrong_server_for_the_others() {
    let Ok(port) = std::env::var(WRONG_PORT) else { return };
    let temper = match std::env::var(WRONG_TEMPER).as_deref() {
        Ok("corrupts") => Temper::Corrupts,
        Ok("drops") => Temper::Drops,
        _ => Temper::Closes,
    };
    let listener = TcpListener::bind(("127.0.0.1", port.parse().unwrap())).unwrap();
    let _server = Wrong::serve(listener, temper, None, 1000);
    loop {
        thread::park();
    }
}

#[test]
fn who_does_not_echo_is_out() {
    let right = Marked::echo("poll");
    let good = format!("good={}", right.command);
    let table = [
        ("corrupts", "wrong: client ", "at offset 1000: 1 byte corrupted (0x"),
        ("drops", "wrong: client ", "at offset 1000: 1 byte dropped"),
    ];
    for (temper, kind, words) in table {
        let bad = format!("bad={}", wrong_server(temper));
        for servers in [[&good, &bad], [&bad, &good]] {
            let more = ["--server", servers[0], "--server", servers[1]];
            let (code, printed, complaint) = socklab(&[&SHORT[..], &more].concat());
            assert_eq!((code, printed.as_str()), (3, ""), "{temper}: {complaint}");
            assert!(complaint.starts_with("socklab: bad does not echo: "), "{complaint}");
            assert!(complaint.contains(kind) && complaint.contains(words), "{complaint}");
            assert_eq!(complaint.lines().count(), 1, "{complaint}");
        }
    }
    assert_eq!(right.processes(), [""; 0]);
}

#[test]
fn who_answers_nothing_is_out() {
    let right = Marked::echo("threads");
    let good = format!("good={}", right.command);
    let bad = "bad=socklab server discard --host 127.0.0.1 --port {port}";
    let more = ["--server", &good, "--server", bad];
    let (code, printed, complaint) = socklab(&[&SHORT[..], &more].concat());
    assert_eq!((code, printed.as_str()), (1, ""), "{complaint}");
    assert!(complaint.starts_with("socklab: bad does not answer: lost: client 0"), "{complaint}");
    assert_eq!(right.processes(), [""; 0]);
}

#[test]
fn who_speaks_unasked_is_out() {
    let bad = "bad=socklab server chargen --host 127.0.0.1 --port {port}";
    let good = format!("good={}", Marked::echo("poll").command);
    let more = ["--server", &good, "--server", bad];
    let (code, printed, complaint) = socklab(&[&SHORT[..], &more].concat());
    assert_eq!((code, printed.as_str()), (3, ""), "{complaint}");
    assert!(complaint.starts_with("socklab: bad does not echo: "), "{complaint}");
}

#[test]
fn a_server_that_cannot_start_is_quoted_with_its_last_words() {
    let right = Marked::echo("poll");
    let good = format!("good={}", right.command);
    let bad = "bad=echo no luck today >&2; exit 7; : {port}";
    let arguments = [&SHORT[..], &["--server", &good, "--server", bad]].concat();
    fails_in_one_line(&arguments, &["cannot start bad: ", "exit status 7: no luck today"]);
    assert_eq!(right.processes(), [""; 0]);
}

#[test]
fn a_server_that_dies_under_load_is_told_from_a_wrong_one() {
    let right = Marked::echo("poll");
    let mortal = Marked::echo("threads");
    let (good, bad) = (format!("good={}", right.command), format!("bad={}", mortal.command));
    let arguments = ["bench", "--clients", "2", "--max-time", "60s", "--server", &good];
    let bench = Running::start(&[&arguments[..], &["--server", &bad]].concat());
    // Its clients have come once it has a thread for each, beside an acceptor and the first one.
    // Between two rounds it has no process: then the next one is taken.
    let has_clients = |pid: &Pid| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let threads = status.lines().find_map(|line| line.strip_prefix("Threads:"));
        threads.is_some_and(|threads| threads.trim().parse::<usize>().unwrap() >= 4)
    };
    eventually("it is killed while it serves", || {
        let serving = mortal.servers().into_iter().find(has_clients);
        serving.is_some_and(|pid| kill(pid, Signal::SIGKILL).is_ok())
    });
    let (code, _, complaint) = bench.outlast();
    assert_eq!(code, 1, "{complaint}");
    assert!(complaint.contains("bad"), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    eventually("no process is left", || {
        right.processes().is_empty() && mortal.processes().is_empty()
    });
}

#[test]
fn whatever_ends_a_bench_leaves_no_child_behind() {
    for (signal, status) in [(Signal::SIGINT, 130), (Signal::SIGTERM, 130), (Signal::SIGKILL, -1)] {
        let [first, second] = ["poll", "threads"].map(Marked::echo);
        let servers = [format!("a={}", first.command), format!("b={}", second.command)];
        let json = Scratch::file("interrupted.json");
        let arguments = ["bench", "--clients", "2", "--max-time", "1h", "--precision", "0.0001%"];
        let named = ["--server", &servers[0], "--server", &servers[1], "--json", json.path()];
        let bench = Running::start(&[&arguments[..], &named].concat());
        eventually("its servers run", || first.servers().len() == 2 && second.servers().len() == 1);
        bench.signal(signal);
        let (code, text, _) = bench.end();
        assert_eq!(code, status, "{signal}");
        eventually("no process is left", || {
            first.processes().is_empty() && second.processes().is_empty()
        });
        if status == 130 {
            let result = parsed(&json.read());
            assert_eq!(result["interrupted"], true);
            assert!(text.contains("\nInterrupted: only rounds that were complete"), "{text}");
        }
    }
}

#[test]
fn a_bench_in_a_shell_that_is_killed_leaves_no_child_behind() {
    let marked = Marked::echo("threads");
    let script = format!(
        "{SOCKLAB} bench --max-time 1h --clients 2 --server 'a={0}' --server 'b={0}' & echo $!; wait",
        marked.command
    );
    let mut shell =
        Command::new("/bin/sh").args(["-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let bench = Pid::from_raw(line.trim().parse().unwrap());
    eventually("its servers run", || marked.servers().len() == 3);
    shell.kill().unwrap();
    shell.wait().unwrap();
    kill(bench, Signal::SIGKILL).unwrap();
    eventually("no process is left", || marked.processes().is_empty());
}

#[test]
fn what_cannot_be_had_is_told_before_the_run() {
    let arguments = ["bench", "--clients", "1000000"];
    fails_in_one_line(&arguments, &["cannot open 1000000 connections", "ulimit -n"]);
    let arguments = ["bench", "--json", "/nowhere/at-all"];
    fails_in_one_line(&arguments, &["cannot write /nowhere/at-all"]);
}

#[test]
fn wrong_usage_is_named_and_exits_2() {
    let mine = ["--server", "mine=./mine {port}", "--server", "mine=./other {port}"];
    let table: [(&[&str], &str); 11] = [
        (&mine[..2], "mine has nobody to compete with; give a second --server"),
        (&mine, "two servers are called mine; give each a name"),
        (&["--server", "mine=./mine"], "has no {port}"),
        (&["--server", "./mine {port}"], "NAME=COMMAND"),
        (&["--server", "=./mine {port}"], "NAME=COMMAND"),
        (&["--server", "mine="], "NAME=COMMAND"),
        (&["--clients", "0"], "'--clients"),
        (&["--clients", "1,,2"], "'--clients"),
        (&["--precision", "0%"], "a percentage"),
        (&["--cpus", "most"], "split, one or all"),
        (&["--max-time", "0"], "more than zero"),
    ];
    for (arguments, words) in table {
        let (code, printed, complaint) = socklab(&[&["bench"], arguments].concat());
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {complaint}");
        assert!(complaint.starts_with("error: ") && complaint.contains(words), "{complaint}");
    }
}

//! Hostile clients that speak a protocol: our servers outlast all of them, and each finds the fault
//! that it was made for.

mod support;

use std::process::Command;

use serde_json::Value;
use socklab::engine::Engine;
use socklab::stress::arena::Protocol;
use socklab::stress::hostile::ALL;
use support::misled::{Misled, Tongue};
use support::on_both_engines;
use support::run::SOCKLAB;
use support::way::in_every_way;

/// Sends `clients`, and gives the verdict and the figure of each.
fn visit(target: &[&str], clients: &[&str]) -> Vec<(String, String, String)> {
    let names = clients.join(",");
    let common = ["--only", &names, "-c", "60", "-d", "300ms", "--json", "-"];
    // Each visit is bounded by itself, and their sum may be more than what a test waits for.
    let arguments = [&["stress"], target, &common].concat();
    let output = Command::new(SOCKLAB).args(arguments).output().expect("it runs");
    let printed = String::from_utf8(output.stdout).expect("it is text");
    let visits: Vec<Value> =
        printed.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(visits.len(), clients.len(), "{printed}{errors}");
    let text = |visit: &Value, name: &str| visit[name].as_str().expect("it is text").to_owned();
    visits.iter().map(|v| (text(v, "client"), text(v, "verdict"), text(v, "figure"))).collect()
}

/// Our server of a service passes; a busy machine may take its time.
fn outlasts(engine: Engine, service: &str, tls: bool, clients: &[&str]) {
    let engine = engine.to_string();
    let mut target = vec!["--engine", &engine, "--service", service, "--timeout", "20s"];
    if tls {
        target.push("--tls");
    }
    for (client, verdict, figure) in visit(&target, clients) {
        assert_eq!(verdict, "pass", "{client}: {figure}");
    }
}

fn of(protocol: Protocol) -> Vec<&'static str> {
    let are_meant = ALL.iter().filter(|hostile| hostile.needs.protocol == Some(protocol));
    are_meant.map(|hostile| hostile.name).collect()
}

in_every_way! {
    fn a_chat_outlasts_them(way) {
        outlasts(way.engine, "chat", way.tls, &of(Protocol::Chat));
    }

    fn a_server_of_files_outlasts_them(way) {
        outlasts(way.engine, "files", way.tls, &of(Protocol::Files));
    }
}

on_both_engines! {
    fn who_does_not_read_leaves_with_the_word_for_it(engine) {
        let engine = engine.to_string();
        let target = ["--engine", &engine, "--service", "chat", "--timeout", "20s"];
        let (_, verdict, figure) = visit(&target, &["sendq"]).remove(0);
        assert_eq!(verdict, "pass", "{figure}");
        assert!(figure.ends_with("(\"SendQ exceeded\")"), "{figure}");
    }

    fn every_service_outlasts_those_who_speak_tls(engine) {
        let over_tls = ALL.iter().filter(|hostile| hostile.needs.tls);
        let names: Vec<&str> = over_tls.map(|hostile| hostile.name).collect();
        for service in ["echo", "chat", "files"] {
            outlasts(engine, service, true, &names);
            outlasts(engine, service, false, &["tls-to-plain"]);
        }
    }
}

/// Whom a misled server is visited as, with a patience that the right one does not need.
fn target(tongue: Tongue, address: std::net::SocketAddr, patience: &str) -> Vec<String> {
    let target = match tongue {
        Tongue::Files => format!("http://{address}/page"),
        Tongue::Chat => format!("irc://{address}"),
        Tongue::Tls => format!("tls://{address}"),
    };
    let mut words = vec![target, "--timeout".into(), patience.into()];
    if tongue == Tongue::Tls {
        words.push("--insecure".into());
    }
    words
}

/// The client made for it finds the fault, and says so in these words, or in others; and without the
/// fault it passes.
fn finds(fault: Misled, tongue: Tongue, client: &str, words: &str) {
    for (fault, verdict, patience) in [(Misled::Right, "pass", "20s"), (fault, "fail", "3s")] {
        let server = fault.start(tongue);
        let target = target(tongue, server.address, patience);
        let target: Vec<&str> = target.iter().map(String::as_str).collect();
        let (_, came, figure) = visit(&target, &[client]).remove(0);
        assert_eq!(came, verdict, "{fault:?}: {figure}");
        let is_told = words.split(" or ").any(|words| figure.contains(words));
        assert!(verdict == "pass" || is_told, "{fault:?}: {figure}");
    }
}

#[test]
fn a_request_in_a_request_is_found() {
    finds(Misled::AnswersTheHidden, Tongue::Files, "smuggling", "the answers were [200, 200");
}

#[test]
fn half_a_file_is_found() {
    finds(Misled::ShowsHalves, Tongue::Files, "aborted-upload", "behind 0 of 262144 bytes");
}

#[test]
fn a_head_without_a_deadline_is_found() {
    finds(Misled::WaitsForHeads, Tongue::Files, "slow-head", "still hold their seats");
}

#[test]
fn a_body_without_a_deadline_is_found() {
    finds(Misled::WaitsForBodies, Tongue::Files, "slow-body", "still hold their seats");
}

#[test]
fn a_head_without_a_bound_is_found() {
    finds(Misled::TakesLongHeads, Tongue::Files, "huge-head", "was answered with [200");
}

#[test]
fn chunks_that_are_lost_are_found() {
    finds(Misled::LosesChunks, Tongue::Files, "chunk-storm", "1,000 of 65,536 chunks are there");
}

#[test]
fn an_answer_of_which_some_is_dropped_is_found() {
    finds(
        Misled::DropsAnswers,
        Tongue::Files,
        "slow-download",
        "the server ended the conversation after or nothing moved",
    );
}

#[test]
fn nonsense_that_is_served_is_found() {
    finds(Misled::ServesNonsense, Tongue::Files, "tls-to-plain", "was served as a request");
}

#[test]
fn ranges_that_multiply_are_found() {
    finds(Misled::MultipliesRanges, Tongue::Files, "many-ranges", "were answered with");
}

#[test]
fn answers_out_of_order_are_found() {
    finds(Misled::AnswersOutOfOrder, Tongue::Files, "pipelined-flood", "in place of");
}

#[test]
fn lines_that_are_dropped_are_found() {
    finds(Misled::DropsLines, Tongue::Chat, "sendq", "who listens: nothing moved");
}

#[test]
fn a_nick_that_two_have_is_found() {
    finds(Misled::GivesNicksTwice, Tongue::Chat, "nick-storm", "was given to two");
}

#[test]
fn departures_that_are_heard_twice_are_found() {
    finds(Misled::RepeatsDepartures, Tongue::Chat, "disconnect-storm", "left 2 times");
}

#[test]
fn a_line_that_is_cut_in_two_is_found() {
    finds(Misled::CutsLines, Tongue::Chat, "long-line", "in the middle of another line");
}

#[test]
fn members_who_have_left_are_found() {
    finds(Misled::KeepsMembers, Tongue::Chat, "join-storm", "NAMES has");
}

#[test]
fn who_slows_down_everybody_is_found() {
    finds(Misled::SlowsAll, Tongue::Chat, "line-flood", "nothing moved");
}

#[test]
fn a_handshake_without_a_deadline_is_found() {
    finds(
        Misled::WaitsForHandshakes,
        Tongue::Tls,
        "unfinished-handshake",
        "still hold their seats",
    );
}

#[test]
fn who_waits_behind_the_end_is_found() {
    for client in ["truncation", "early-close", "no-tls", "garbage-record"] {
        finds(Misled::WaitsBehindTheEnd, Tongue::Tls, client, "nothing moved");
    }
}

#[test]
fn who_reads_a_hello_once_is_found() {
    finds(Misled::ReadsHellosOnce, Tongue::Tls, "slow-handshake", "nothing moved");
}

#[test]
fn who_takes_a_record_for_the_end_is_found() {
    finds(Misled::EndsAtNothing, Tongue::Tls, "key-updates", "behind 10 new keys");
}

#[test]
fn who_broods_over_warnings_is_found() {
    finds(Misled::BroodsOverWarnings, Tongue::Tls, "record-flood", "a neighbour: nothing moved");
}

/// A server that has none of these faults passes all of them.
#[test]
fn a_right_server_of_others_passes() {
    for (tongue, names) in [
        (Tongue::Files, of(Protocol::Files)),
        (Tongue::Chat, of(Protocol::Chat)),
        (Tongue::Tls, ALL.iter().filter(|one| one.needs.tls).map(|one| one.name).collect()),
    ] {
        let server = Misled::Right.start(tongue);
        let target = target(tongue, server.address, "20s");
        let target: Vec<&str> = target.iter().map(String::as_str).collect();
        for (client, verdict, figure) in visit(&target, &names) {
            let needs_more = ["aborted-download", "never-registers"].contains(&&*client);
            assert_eq!(verdict, if needs_more { "skip" } else { "pass" }, "{client}: {figure}");
        }
    }
}

//! The hostile clients can fail: servers that are wrong on purpose are found, each by the client made
//! for it, which says what was wrong; and one that is right in the same harness passes them all.

mod support;

use std::time::Duration;

use socklab::stress::arena::Arena;
use support::arena::{breaks, keeps, of_echo};
use support::faulty::Fault::*;
use support::faulty::{Fault, Faulty, serve_if_asked};

/// Not a test: what the others start.
#[test]
#[ignore = "the others start it as their server"]
fn server() {
    serve_if_asked();
}

/// The client finds the fault, and says so in these words.
#[track_caller]
fn finds(fault: Fault, client: &str, words: &[&str]) {
    let server = Faulty::start(fault);
    // So long they wait for one who will not answer.
    let patience = Duration::from_secs(5);
    let arena = Arena { patience, ..of_echo(server.address, Option::None, server.pid()) };
    let figure = breaks(&arena, client);
    assert!(words.iter().any(|words| figure.contains(words)), "{client}: {figure}");
}

#[test]
fn half_close_finds_who_takes_fin_for_a_departure() {
    finds(ClosesOnFin, "half-close", &["of 64 bytes", "connection reset"]);
}

#[test]
fn fin_with_data_finds_who_takes_fin_for_a_departure() {
    finds(
        ClosesOnFin,
        "fin-with-data",
        &["with FIN: the server ended the conversation after 0 of", "with FIN: connection reset"],
    );
}

#[test]
fn stopped_reader_finds_who_reads_on() {
    finds(ReadsOn, "stopped-reader", &["in memory for each of 4 who do not read"]);
}

#[test]
fn hang_up_finds_who_spins() {
    finds(Spins, "hang-up", &["% of the time beside ends that wait behind a backlog"]);
}

#[test]
fn slow_reader_finds_who_drops_what_does_not_fit() {
    finds(Drops, "slow-reader", &[" in place of 0x"]);
}

#[test]
fn slot_reuse_finds_bytes_of_a_former_tenant() {
    finds(LeavesBytes, "slot-reuse", &["a newcomer: byte 0 is 0x"]);
}

#[test]
fn slot_reuse_finds_the_end_of_a_former_tenant() {
    finds(
        LeavesEnds,
        "slot-reuse",
        &[
            "a newcomer: the server ended the conversation after 0 of 1,000 bytes",
            "a newcomer: connection reset",
        ],
    );
}

#[test]
fn churn_finds_leaks() {
    finds(Leaks, "churn", &["descriptors and 0 threads more than before"]);
}

#[test]
fn reset_finds_leaks() {
    finds(Leaks, "reset", &["descriptors and 0 threads more than before"]);
}

#[test]
fn many_idle_ends_finds_leaks() {
    finds(Leaks, "many-idle-ends", &["descriptors and 0 threads more than before"]);
}

#[test]
fn flood_finds_who_serves_one_until_it_is_silent() {
    finds(
        Starves,
        "flood",
        &["a neighbour: nothing moved for 5 s", "who floods: nothing moved for 5 s"],
    );
}

#[test]
fn silent_finds_who_serves_one_at_a_time() {
    finds(OneAtATime, "silent", &["nothing moved for 5 s"]);
}

#[test]
fn crowd_finds_who_serves_one_at_a_time() {
    finds(OneAtATime, "crowd", &["clients were lost: "]);
}

#[test]
fn urgent_finds_who_swallows() {
    finds(Swallows, "urgent", &["byte 0 was urgent, and was taken out of the stream"]);
}

#[test]
fn huge_message_finds_who_hoards() {
    finds(Hoards, "huge-message", &["of a message the server holds"]);
}

#[test]
fn slow_sender_finds_who_waits_for_more() {
    finds(WaitsForMore, "slow-sender", &["nothing moved for 5 s while waiting for its answer"]);
}

#[test]
fn tiny_segments_finds_who_waits_for_more() {
    finds(WaitsForMore, "tiny-segments", &["nothing moved for 5 s while waiting for its answer"]);
}

#[test]
fn immediate_close_finds_who_dies_of_callers() {
    finds(
        DiesOfCallers,
        "immediate-close",
        &["cannot connect: connection refused", "connection reset"],
    );
}

/// All that find something above.
const CLIENTS: [&str; 17] = [
    "crowd",
    "churn",
    "half-close",
    "fin-with-data",
    "immediate-close",
    "reset",
    "hang-up",
    "slot-reuse",
    "many-idle-ends",
    "silent",
    "slow-sender",
    "slow-reader",
    "stopped-reader",
    "flood",
    "huge-message",
    "tiny-segments",
    "urgent",
];

#[test]
fn who_is_right_passes_them_all() {
    let server = Faulty::start(None);
    let arena = of_echo(server.address, Option::None, server.pid());
    for client in CLIENTS {
        keeps(&arena, client);
    }
}

//! Our servers outlast the hostile clients of TCP, on both engines, with TLS and without; and where
//! nothing is known of a server's process, nothing is claimed about it.

mod support;

use socklab::stress::arena::{Arena, Protocol};
use socklab::stress::verdict::Breach;
use support::arena::{keeps, visited};
use support::way::{Way, in_every_way};

/// The figure of a client that visits an echo server of ours.
#[track_caller]
fn figure(way: Way, name: &str) -> String {
    let server = way.process(&["echo"]);
    keeps(&server.arena(), name)
}

#[track_caller]
fn says(figure: &str, parts: &[&str]) {
    for part in parts {
        assert!(figure.contains(part), "{part:?} is not in {figure:?}");
    }
}

in_every_way! {
    fn churn_leaves_nothing(way) {
        says(&figure(way, "churn"), &["nothing is left of them", "a neighbour was answered"]);
    }

    fn half_closes_are_answered(way) {
        says(&figure(way, "half-close"), &["0, 64 and 8,388,608 bytes"]);
    }

    fn data_with_fin_is_answered(way) {
        says(&figure(way, "fin-with-data"), &["100 messages"]);
    }

    fn who_leaves_at_once_harms_nobody(way) {
        says(&figure(way, "immediate-close"), &["2,420 came", "% of the time afterwards"]);
    }

    fn resets_harm_nobody(way) {
        says(&figure(way, "reset"), &["140 resets at 7 stages", "% of the time afterwards"]);
    }

    fn ends_behind_a_backlog_do_not_spin(way) {
        says(&figure(way, "hang-up"), &["unread, then reset", "% of the time after their resets"]);
    }

    fn newcomers_inherit_nothing(way) {
        says(&figure(way, "slot-reuse"), &["heard their own bytes only"]);
    }

    fn a_neighbour_talks_on_when_all_others_leave(way) {
        says(&figure(way, "many-idle-ends"), &["100 and 100 left at once, nothing was left"]);
    }

    fn who_says_nothing_keeps_nobody_waiting(way) {
        says(&figure(way, "silent"), &["beside 100 who said nothing 50 were served"]);
    }

    fn each_byte_of_a_slow_sender_is_answered(way) {
        says(&figure(way, "slow-sender"), &["2 bytes of each of 8"]);
    }

    fn a_slow_reader_misses_nothing(way) {
        says(&figure(way, "slow-reader"), &["4 times 2,097,152 bytes"]);
    }

    fn who_stops_reading_is_not_read_from(way) {
        says(&figure(way, "stopped-reader"), &["in memory for each", "while they do not read"]);
    }

    fn a_flood_leaves_room_for_a_neighbour(way) {
        says(&figure(way, "flood"), &["a neighbour was answered in p50"]);
    }

    fn a_huge_message_streams_through(way) {
        says(&figure(way, "huge-message"), &["67.1 MB came back", "the server held"]);
    }

    fn tiny_segments_are_put_together(way) {
        says(&figure(way, "tiny-segments"), &["pieces of 1, 2, 3 and 7"]);
    }

    fn urgent_bytes_stay_in_the_stream(way) {
        says(&figure(way, "urgent"), &["61 urgent bytes", "% of the time while it waits"]);
    }

    fn a_process_that_is_not_known_is_not_spoken_of(way) {
        let server = way.process(&["echo"]);
        let arena = Arena { process: None, ..server.arena() };
        for name in ["churn", "silent", "stopped-reader", "urgent"] {
            let figure = keeps(&arena, name);
            assert!(!figure.contains("busy") && !figure.contains("is left"), "{name}: {figure}");
        }
        let skipped = visited(&arena, "hang-up");
        assert!(matches!(&skipped, Err(Breach::Skipped(why)) if why.contains("--pid")), "{skipped:?}");
    }

    fn who_answers_nothing_is_visited_by_those_who_ask_for_nothing(way) {
        let server = way.process(&["discard"]);
        let arena = Arena { protocol: Protocol::Other, ..server.arena() };
        for name in ["churn", "immediate-close", "reset", "silent"] {
            keeps(&arena, name);
        }
    }
}

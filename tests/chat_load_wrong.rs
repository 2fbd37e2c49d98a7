//! Load on IRC servers that are wrong on purpose: whatever they do is caught and named, and whoever is
//! not let in knows why.

mod support;

use std::sync::Arc;
use std::time::Duration;

use socklab::load::driver::{Driver, Party};
use socklab::load::fault::Kind;
use socklab::load::pace::Pace;
use socklab::load::watch::Watch;
use socklab::service::{Chargen, Discard, Echo};
use socklab::tls::Tls;
use support::ircd::{Irc, Temper, load, room};
use support::secure::acceptor;
use support::{PATIENCE, Server, on_both_engines};

/// Why nobody is let in.
fn barred(party: &Party) -> String {
    let mut driver = Driver::new(party, Arc::new(Watch::new())).unwrap();
    let outcome = driver.connect().unwrap();
    assert_eq!(outcome.faults.count(Kind::Refused), outcome.faults.total(), "{:?}", outcome.faults);
    let fault = outcome.faults.examples().next().expect("nobody should be let in");
    fault.detail.clone()
}

/// As long as it takes, but where patience has to end.
fn patient(party: Party, words: &str) -> Party {
    let is_short = words.contains("within") || words.contains("no welcome");
    let patience = if is_short { Duration::from_millis(500) } else { PATIENCE };
    Party { patience, ..party }
}

on_both_engines! {
    fn a_wrong_server_is_caught_and_what_it_did_is_named(engine) {
        use Kind::{Extra, Lost, Short, Wrong};
        let flood = "ERROR :Closing Link: (Excess Flood)\r\n";
        let table: [(Temper, Kind, usize, &str); 13] = [
            (Temper::Loses, Wrong, 2, "line 5 of client 0 lost: line 6 came instead"),
            (Temper::Duplicates, Extra, 2, "line 5 of client 0 duplicated"),
            (Temper::Reorders, Wrong, 2, "line 5 of client 0 reordered: it came after line 6"),
            (Temper::Corrupts, Wrong, 2, "line 5 of client 0 corrupted in 1 of 64 bytes: 0x"),
            (Temper::Shortens, Wrong, 2, "line 5 of client 0 corrupted: only 63 of 64 bytes came"),
            (Temper::Renames, Wrong, 2, "line 5 of client 0 came from \"s"),
            (Temper::Moves, Wrong, 2, "!s@elsewhere\", not from \"s"),
            (Temper::Misdirects, Wrong, 2, "line 5 of client 0 came to #elsewhere, not to #s"),
            (Temper::Echoes, Extra, 0, "its own line 5 came back"),
            (Temper::Invents, Wrong, 2, "\"buy now\" came where line 6 of client 0 was due"),
            (
                Temper::Refuses(":irc.test 404 x #y :Cannot send to channel\r\n"),
                Lost,
                0,
                "the server did not take its line: \":irc.test 404 x #y :Cannot send",
            ),
            (Temper::Dismisses(flood), Short, 2, "start `socklab server chat --flood off`"),
            (Temper::Closes, Short, 2, "the server closed"),
        ];
        for (temper, kind, client, words) in table {
            let server = Server::start(engine, Irc::of(temper));
            // Of a line that was refused, its talker is to hear before a later one tells the others.
            let depth = if matches!(temper, Temper::Refuses(_)) { 1 } else { 4 };
            let outcome = load(&room(server.address), Pace::closed(depth), None, 60);
            let faults: Vec<_> = outcome.faults.examples().collect();
            let [fault] = &faults[..] else { panic!("{temper:?}: {faults:?}") };
            assert_eq!((fault.kind, fault.client), (kind, client), "{temper:?}: {fault}");
            assert!(fault.detail.contains(words), "{temper:?}: {fault}");
            assert_eq!(outcome.faults.total(), 1, "{temper:?}: the others go on");
            assert!(fault.offset > 0, "{temper:?}: {fault}");
        }
    }

    fn a_line_that_never_comes_is_lost(engine) {
        // One at a time: nobody says the next one, which could tell.
        let server = Server::start(engine, Irc::of(Temper::Loses));
        let party = Party { patience: Duration::from_secs(2), ..room(server.address) };
        let outcome = load(&party, Pace::closed(1), None, 60);
        let faults: Vec<_> = outcome.faults.examples().map(ToString::to_string).collect();
        assert_eq!(faults.len(), 1, "{faults:?}");
        let words = "line 5 of client 0 lost: it did not come within 2s";
        assert!(faults[0].starts_with("lost: client 2 at offset "), "{faults:?}");
        assert!(faults[0].ends_with(words), "{faults:?}");
        assert_eq!((outcome.faults.total(), outcome.faults.unanswered), (1, 1));
        // It was measured until then.
        assert_eq!(outcome.tally.messages, 11, "{:?}", outcome.tally);
    }

    fn a_server_that_falls_silent_has_lost_everybody_and_no_line_counts_that_was_missed(engine) {
        let silence = Duration::from_secs(3);
        let server = Server::start(engine, Irc::of(Temper::Stalls(silence)));
        let party = Party { patience: silence / 6, ..room(server.address) };
        let outcome = load(&party, Pace::default(), Some(200.0), 200);
        assert_eq!(outcome.faults.total(), 3, "{:?}", outcome.faults);
        let heard = outcome.tally.messages / 2;
        assert_eq!((outcome.tally.lines, outcome.times.last.len()), (heard, heard));
        assert!(heard < 200 && outcome.faults.unanswered > 0, "{heard}");
    }

    fn what_comes_too_much_at_the_end_is_seen(engine) {
        let server = Server::start(engine, Irc::of(Temper::Duplicates));
        // The line is the last one.
        let outcome = load(&room(server.address), Pace::closed(1), None, 6);
        assert_eq!(outcome.faults.count(Kind::Extra), 1, "{:?}", outcome.faults);
    }

    fn who_is_not_let_in_knows_why(engine) {
        let full = "ERROR :Too many connections\r\n";
        let flood = "ERROR :Excess Flood\r\n";
        let table = [
            (Temper::Mute, "no welcome (001) within 500ms; does it speak IRC?"),
            (Temper::Locked("sesame"), "464 * :Password incorrect\"; give it --password"),
            (Temper::Greets(full), "the server said \"ERROR :Too many connections\""),
            (Temper::Greets(flood), "the server limits how fast clients may talk"),
            (Temper::Greets(""), "the server closed before it had let it in"),
            (
                Temper::Greets("HTTP/1.1 400 Bad Request\r\n\r\n"),
                "it does not speak IRC, but said \"HTTP/1.1 400 Bad Request\"",
            ),
            (Temper::Greets("220 mail.test ESMTP\r\n"), "it does not speak IRC, but said \"220 "),
            (Temper::Greets("SSH-2.0-OpenSSH_9.2\r\n"), "but said \"SSH-2.0-OpenSSH_9.2\""),
            (
                Temper::Bars(":irc.test 471 x #y :Cannot join channel (+l)\r\n"),
                "the server said \":irc.test 471 x #y :Cannot join",
            ),
            (Temper::Bars(""), "it was not let into its room within 500ms"),
        ];
        for (temper, words) in table {
            let server = Server::start(engine, Irc::of(temper));
            let why = barred(&patient(room(server.address), words));
            assert!(why.contains(words), "{temper:?}: {why}");
        }
    }

    fn what_is_no_irc_server_is_said_to_be_none(engine) {
        let table = [
            (Server::start(engine, Echo), "it does not speak IRC, but said \"NICK s"),
            (Server::start(engine, Discard), "no welcome (001)"),
            (Server::start(engine, Chargen), "it does not speak IRC, but said "),
            (
                Server::start(
                    engine,
                    Tls::new(Arc::new(Irc::of(Temper::Right)), &acceptor(), PATIENCE),
                ),
                "the server speaks TLS; use ircs:// or --tls",
            ),
        ];
        for (server, words) in table {
            let why = barred(&patient(room(server.address), words));
            assert!(why.contains(words), "{why}");
        }
    }
}

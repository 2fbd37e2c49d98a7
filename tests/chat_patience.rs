//! Chat: those who are silent, those who talk too much, and those who do not listen.

mod support;

use std::time::Duration;

use socket2::SockRef;
use socklab::engine::Limits;
use socklab::service::chat::{self, settings::Flood};
use support::irc::{House, NAME, Settings, open};
use support::on_both_engines;
use support::way::Way;

const SOON: Duration = Duration::from_millis(100);
const NEVER: Duration = Duration::from_secs(3600);

/// A house that nobody is shown out of.
fn patient() -> chat::Settings {
    let settings = Settings::default().ours(false);
    chat::Settings {
        registration_timeout: NEVER,
        ping_interval: NEVER,
        ping_timeout: NEVER,
        ..settings
    }
}

fn house(way: impl Into<Way>, settings: chat::Settings) -> House {
    open(way, settings, Limits::default())
}

on_both_engines! {
    fn who_is_silent_is_asked_and_shown_out(engine) {
        let house = house(engine, chat::Settings { ping_interval: SOON, ping_timeout: SOON, ..patient() });
        let mut ann = house.talker("ann");
        // Every answer buys some time.
        for _ in 0..2 {
            let token = ann.hear("PING *").text();
            ann.say(&format!("PONG :{token}"));
        }
        ann.hear("PING *");
        let words = ann.last_words();
        assert!(words.last().unwrap().is("ERROR :*Ping timeout*"), "{words:?}");
        house.talker("ann");
    }

    fn any_word_is_a_sign_of_life(engine) {
        let house = house(engine, chat::Settings { ping_interval: SOON, ..patient() });
        let mut ann = house.talker("ann");
        ann.hear("PING *");
        ann.say("TIME");
        ann.hear(&format!("391 ann {NAME} *"));
        ann.hear("PING *");
    }

    fn who_does_not_say_who_they_are_is_shown_out(engine) {
        let house = house(engine, chat::Settings { registration_timeout: SOON, ..patient() });
        let mut silent = house.call();
        silent.is_shown_out();
        let mut busy = house.call();
        busy.say("CAP LS 302");
        busy.say("NICK busy");
        busy.is_shown_out();
        // Who has said it in time stays.
        let mut ann = house.talker("ann");
        let mut late = house.call();
        late.is_shown_out();
        ann.hear_nothing();
    }

    fn who_talks_fast_is_heard_slowly(engine) {
        let flood = Some(Flood { burst: 10, per_second: 100.0 });
        let house = house(engine, chat::Settings { flood, ..patient() });
        let mut ann = house.talker("ann");
        let mut bob = house.talker("bob");
        let lines: String = (0..60).map(|n| format!("PRIVMSG bob :{n}\r\n")).collect();
        ann.say_bytes(lines.as_bytes());
        for n in 0..60 {
            bob.hear(&format!(":ann PRIVMSG bob {n}"));
        }
        ann.hear_nothing();
    }

    fn who_floods_is_shown_out(engine) {
        let flood = Some(Flood { burst: 5, per_second: 0.001 });
        let house = house(engine, chat::Settings { flood, ..patient() });
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| {
            let mut talker = house.call();
            talker.introduce(nick);
            talker.skip_to(&format!("422 {nick} *"));
            talker
        });
        bob.say("JOIN #room");
        bob.skip_to("366 bob #room *");
        ann.say("JOIN #room");
        bob.hear(":ann JOIN #room");
        let words = "PRIVMSG #room :again and again and again\r\n".repeat(1000);
        ann.peer.try_say(words.as_bytes());
        ann.peer.remains();
        assert!(bob.skip_to(":ann QUIT *").text().contains("Excess Flood"));
    }

    fn who_does_not_listen_is_shown_out_and_the_others_go_on(engine) {
        let limits = Limits { backlog_bytes: 64 * 1024, ..Limits::default() };
        let house = open(engine, patient(), limits);
        let mut deaf = house.talker("deaf");
        SockRef::from(&deaf.peer.tcp).set_recv_buffer_size(4096).unwrap();
        let mut people = [house.talker("ann"), house.talker("bob")];
        support::irc::gather("#room", &mut people);
        let [mut ann, mut bob] = people;
        deaf.say("JOIN #room");
        ann.hear(":deaf JOIN #room");
        bob.hear(":deaf JOIN #room");
        let message = format!("PRIVMSG #room :{}", "x".repeat(400));
        // It has to come some time: its buffers and its backlog are full then.
        let (mut told_ann, mut told_bob) = (false, false);
        for round in 0.. {
            ann.say(&message);
            told_ann |= ann.flush().iter().any(|line| line.is(":deaf QUIT *"));
            loop {
                let line = bob.next();
                told_bob |= line.is(":deaf QUIT *");
                if line.is(&format!(":ann {message}")) {
                    break;
                }
            }
            told_bob |= bob.flush().iter().any(|line| line.is(":deaf QUIT *"));
            if told_ann && told_bob {
                break;
            }
            assert!(round < 100_000, "nobody notices");
        }
        // It is gone from everywhere.
        house.talker("deaf");
    }
}

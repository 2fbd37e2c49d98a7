//! Chat: tags, echoes and labels, for clients that ask for them (IRCv3).

mod support;

use support::irc::{Line, gather, house};
use support::on_both_engines;

const LABELS: &str = "batch echo-message labeled-response";

on_both_engines! {
    fn tags_of_clients_reach_those_who_asked(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", "message-tags");
        let mut bob = house.talker_with("bob", "message-tags echo-message");
        let mut eve = house.talker("eve");
        let mut tom = house.talker_with("tom", "server-time");
        for talker in [&mut ann, &mut bob, &mut eve, &mut tom] {
            talker.say("JOIN #room");
            talker.flush();
        }
        for talker in [&mut ann, &mut bob, &mut eve] {
            talker.flush();
        }
        ann.say("@+baz=bat;fizz=buzz;+empty PRIVMSG #room hi");
        ann.hear_nothing();
        let line = bob.hear("@+baz=bat;+empty= :ann PRIVMSG #room hi");
        assert_eq!(line.tag("fizz"), None);
        assert!(line.tag("msgid").is_some_and(|id| !id.is_empty()));
        assert!(eve.hear(":ann PRIVMSG #room hi").0.starts_with(b":ann"));
        let line = tom.hear(":ann PRIVMSG #room hi");
        assert!(line.tag("time").is_some() && line.tag("+baz").is_none());

        bob.say("@+bat=baz;+fizz=buzz PRIVMSG #room :hi yourself");
        let echo = bob.hear("@+bat=baz;+fizz=buzz :bob PRIVMSG #room :hi yourself");
        let heard = ann.hear("@+bat=baz;+fizz=buzz :bob PRIVMSG #room :hi yourself");
        assert_eq!(echo.tag("msgid"), heard.tag("msgid"));
        assert_ne!(echo.tag("msgid"), line.tag("msgid"));
    }

    fn tags_are_escaped_and_back(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker_with(nick, "message-tags"));
        ann.say("@+all=\\:\\s\\\\\\r\\n\\x;+smile=😃 PRIVMSG bob hi");
        let line = bob.hear(":ann PRIVMSG bob hi");
        assert_eq!(line.tag("+all").unwrap(), "; \\\r\nx");
        assert_eq!(line.tag("+smile").unwrap(), "😃");
    }

    fn a_message_can_be_tags_alone(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker_with(nick, "message-tags"));
        let mut eve = house.talker_with("eve", "server-time");
        for talker in [&mut ann, &mut bob, &mut eve] {
            talker.say("JOIN #room");
            talker.flush();
        }
        for talker in [&mut ann, &mut bob] {
            talker.flush();
        }
        ann.ask("@+typing=active;cat=dog TAGMSG #room", &[]);
        let line = bob.hear("@+typing=active;msgid=* :ann!*@* TAGMSG #room");
        assert_eq!(line.tag("cat"), None);
        eve.hear_nothing();
        ann.ask("@+typing=done TAGMSG bob", &[]);
        bob.hear("@+typing=done :ann TAGMSG bob");
        ann.ask("@+typing=done TAGMSG eve", &[]);
        eve.hear_nothing();
        ann.ask("@+typing=done TAGMSG nobody", &["401 ann nobody *"]);
    }

    fn tags_have_a_limit_of_their_own(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", "message-tags echo-message");
        let mut bob = house.talker_with("bob", "message-tags");
        // 4096 bytes with @ and space are the most.
        let (most, more) = ("a".repeat(4081), "a".repeat(4082));
        ann.say(&format!("@foo=bar;+baz={most} TAGMSG bob"));
        for talker in [&mut ann, &mut bob] {
            assert_eq!(talker.hear(":ann TAGMSG bob").tag("+baz").unwrap(), most);
        }
        ann.ask(&format!("@foo=bar;+baz={more} TAGMSG bob"), &["417 ann *"]);
        // Tags do not count among the 512 bytes of the rest.
        let text = "b".repeat(512 - "PRIVMSG bob \r\n".len());
        ann.say(&format!("@foo=bar;+baz={most} PRIVMSG bob {text}"));
        for talker in [&mut ann, &mut bob] {
            let line = talker.hear(":ann PRIVMSG bob *");
            assert_eq!(line.tag("+baz").unwrap(), most);
            assert!(text.starts_with(&line.text()) && line.text().len() > 400);
        }
        ann.ask(&format!("@foo=bar;+baz={more} PRIVMSG bob hi"), &["417 ann *"]);
        bob.hear_nothing();
    }

    fn an_echo_is_what_the_others_hear(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", "echo-message");
        let mut bob = house.talker("bob");
        for talker in [&mut ann, &mut bob] {
            talker.say("JOIN #room");
            talker.flush();
        }
        ann.flush();
        for line in ["PRIVMSG #room :hello", "NOTICE #room :hello", "PRIVMSG bob hello", "NOTICE bob hello"] {
            ann.ask(line, &[&format!(":ann!*@* {line}")]);
            bob.hear(&format!(":ann!*@* {line}"));
        }
        // What nobody hears has no echo.
        ann.ask("PRIVMSG nobody :hello", &["401 ann nobody *"]);
        ann.ask("NOTICE nobody :hello", &[]);
        ann.ask("PRIVMSG #room :", &["412 ann *"]);
    }

    fn a_message_to_oneself_comes_and_echoes(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", "echo-message");
        ann.ask("PRIVMSG ann :note", &[":ann PRIVMSG ann note", ":ann PRIVMSG ann note"]);
    }

    fn one_answer_carries_the_label(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", LABELS);
        ann.ask("@label=98765 PING token", &["@label=98765 PONG * token"]);
        ann.ask("@label=dead NONSENSE", &["@label=dead 421 ann NONSENSE *"]);
        ann.ask("@label=x PRIVMSG nobody hi", &["@label=x 401 ann nobody *"]);
        ann.ask("@label=y TOPIC #nowhere", &["@label=y 403 ann #nowhere *"]);
        ann.ask("@label=;other=1 TOPIC #nowhere", &["403 ann #nowhere *"]);
    }

    fn no_answer_is_acknowledged(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", LABELS);
        ann.ask("@label=98765 PONG token", &["@label=98765 ACK"]);
        ann.ask("@label=n NOTICE nobody :hello", &["@label=n ACK"]);
        ann.ask("@label=m MONITOR C", &["@label=m ACK"]);
        let mut bob = house.talker_with("bob", "batch labeled-response");
        bob.ask("@label=p PRIVMSG ann :hello", &["@label=p ACK"]);
        ann.hear(":bob PRIVMSG ann hello");
    }

    fn several_answers_come_as_a_batch(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", "batch labeled-response");
        ann.say("@label=12 JOIN #room,inv@lid");
        let lines = ann.flush();
        assert!(lines[0].is("@label=12 BATCH +* labeled-response"), "{}", lines[0]);
        let reference = lines[0].parameter(0)[1..].to_owned();
        assert!(reference.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'));
        let (end, inside) = lines[1..].split_last().unwrap();
        assert!(end.is(&format!("BATCH -{reference}")), "{end}");
        assert!(inside.iter().all(|line| line.tag("batch").as_ref() == Some(&reference)));
        let commands: Vec<String> = inside.iter().map(Line::command).collect();
        assert_eq!(commands[..3], ["JOIN", "353", "366"]);
        assert_eq!(commands.len(), 4);
        // Lines which are no answers are not in it.
        ann.say("@label=13 WHOIS ann");
        ann.say("@label=14 LUSERS");
        for label in ["13", "14"] {
            let begin = ann.hear(&format!("@label={label} BATCH +* labeled-response"));
            let next = begin.parameter(0)[1..].to_owned();
            assert_ne!(next, reference);
            ann.skip_to(&format!("BATCH -{next}"));
        }
        ann.hear_nothing();
    }

    fn an_echo_is_an_answer(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker_with(nick, LABELS));
        for line in ["PRIVMSG bob hi", "NOTICE bob hi"] {
            ann.ask(&format!("@label=l1 {line}"), &[&format!("@label=l1 :ann {line}")]);
            assert_eq!(bob.hear(&format!(":ann {line}")).tag("label"), None);
        }
        ann.say("@label=l2 PRIVMSG bob,bob,bob hi");
        ann.hear("@label=l2 BATCH +* labeled-response");
    }

    fn of_a_message_to_oneself_the_echo_is_labelled(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", &format!("{LABELS} message-tags"));
        for line in ["PRIVMSG ann hi", "NOTICE ann hi", "TAGMSG ann"] {
            ann.say(&format!("@label=self {line}"));
            let lines = ann.flush();
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert!(lines.iter().all(|heard| heard.is(&format!(":ann {line}"))), "{lines:?}");
            let labels = lines.iter().filter(|heard| heard.tag("label").is_some()).count();
            assert_eq!(labels, 1, "{lines:?}");
        }
    }

    fn without_the_capability_a_label_is_nothing(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", "message-tags");
        ann.say("@label=1 PING token");
        assert_eq!(ann.hear("PONG * token").tag("label"), None);
        ann.ask("@label=2 PONG token", &[]);
    }

    fn those_who_asked_are_told_who_goes_away(engine) {
        let house = house(engine);
        let mut people =
            [house.talker_with("ann", "away-notify"), house.talker("bob"), house.talker("eve")];
        gather("#room", &mut people);
        gather("#other", &mut people);
        let [mut ann, mut bob, mut eve] = people;
        bob.ask("AWAY :gone fishing", &["306 bob *"]);
        ann.hear(":bob!*@* AWAY :gone fishing");
        ann.hear_nothing();
        eve.hear_nothing();
        bob.ask("AWAY", &["305 bob *"]);
        ann.hear(":bob AWAY");
        // Nobody is told about themselves.
        ann.ask("AWAY :me, too", &["306 ann *"]);
        // Newcomers are away from the start.
        let mut tom = house.talker("tom");
        tom.ask("AWAY :asleep", &["306 tom *"]);
        tom.say("JOIN #room");
        ann.hear(":tom JOIN #room");
        ann.hear(":tom!*@* AWAY asleep");
        eve.hear(":tom JOIN #room");
        eve.hear_nothing();
    }

    fn those_who_asked_are_told_who_is_invited(engine) {
        let house = house(engine);
        let mut people =
            [house.talker("ann"), house.talker_with("bob", "invite-notify"), house.talker("eve")];
        gather("#room", &mut people);
        let [mut ann, mut bob, mut eve] = people;
        let mut tom = house.talker("tom");
        ann.ask("INVITE tom #room", &["341 ann tom #room"]);
        tom.hear(":ann INVITE tom #room");
        bob.hear(":ann!*@* INVITE tom #room");
        eve.hear_nothing();
    }

    fn those_who_asked_are_told_of_new_names(engine) {
        let house = house(engine);
        let mut people =
            [house.talker_with("ann", "setname"), house.talker_with("bob", "setname"), house.talker("eve")];
        gather("#room", &mut people);
        let [mut ann, mut bob, mut eve] = people;
        ann.ask("SETNAME :Ann of the Lake", &[":ann!*@* SETNAME :Ann of the Lake"]);
        bob.hear(":ann!*@* SETNAME :Ann of the Lake");
        eve.hear_nothing();
        eve.say("WHOIS ann");
        eve.hear("311 eve ann * * * :Ann of the Lake");
        ann.say("SETNAME");
        let refusal = ann.next();
        let known = ["461 ann SETNAME *", "FAIL SETNAME INVALID_REALNAME *"];
        assert!(known.iter().any(|known| refusal.is(known)), "{refusal}");
        let much = "x".repeat(400);
        ann.ask(&format!("SETNAME :{much}"), &["FAIL SETNAME INVALID_REALNAME *"]);
        bob.hear_nothing();
    }
}

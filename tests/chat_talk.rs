//! Chat: what people say to each other, and who hears it.

mod support;

use support::irc::{Talker, all_hear, gather, house};
use support::way::in_every_way;

in_every_way! {
    fn one_person_talks_to_another(way) {
        let house = house(way);
        let [mut ann, mut bob, mut eve] = ["ann", "bob", "eve"].map(|nick| house.talker(nick));
        ann.ask("PRIVMSG BOB :how are you?", &[]);
        bob.hear(":ann!*@* PRIVMSG bob :how are you?");
        ann.ask("NOTICE bob :just so you know", &[]);
        bob.hear(":ann!*@* NOTICE bob :just so you know");
        eve.hear_nothing();
        ann.say("PRIVMSG ann :a note to myself");
        ann.hear(":ann PRIVMSG ann :a note to myself");
        ann.hear_nothing();
    }

    fn a_room_hears_everybody_but_not_themselves(way) {
        let house = house(way);
        let [mut ann, mut bob, mut eve] = house.room("#room", ["ann", "bob", "eve"]);
        let mut tom = house.talker("tom");
        for command in ["PRIVMSG", "NOTICE"] {
            ann.ask(&format!("{command} #room :hello there"), &[]);
            bob.hear(&format!(":ann!*@* {command} #room :hello there"));
            eve.hear(&format!(":ann {command} #room :hello there"));
        }
        tom.hear_nothing();
    }

    fn words_arrive_as_they_are(way) {
        let house = house(way);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        for text in [":colons:first", " spaces  inside ", "\u{1}ACTION waves\u{1}", "tschüß 😃", "*"] {
            ann.say(&format!("PRIVMSG bob :{text}"));
            assert_eq!(bob.hear(":ann PRIVMSG bob *").text(), text);
        }
        ann.say("PRIVMSG bob plain");
        bob.hear(":ann PRIVMSG bob plain");
        ann.say("PRIVMSG bob one two three");
        bob.hear(":ann PRIVMSG bob one");
    }

    fn nothing_is_no_message(way) {
        let house = house(way);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        ann.ask("PRIVMSG #room :", &["412 ann *"]);
        ann.ask("PRIVMSG bob", &["412 ann *"]);
        ann.ask("PRIVMSG", &["411 ann *"]);
        ann.ask("NOTICE", &[]);
        ann.ask("NOTICE bob", &[]);
        ann.ask("NOTICE bob :", &[]);
        bob.hear_nothing();
    }

    fn who_is_not_there_hears_nothing(way) {
        let house = house(way);
        let mut ann = house.talker("ann");
        ann.ask("PRIVMSG nobody :hello?", &["401 ann nobody *"]);
        ann.say("PRIVMSG #nowhere :hello?");
        let refusal = ann.next();
        let code = ["401", "403", "404"].into_iter().find(|code| refusal.is(&format!("{code} ann #nowhere *")));
        assert!(code.is_some(), "{refusal}");
        ann.hear_nothing();
        // Nobody answers a notice.
        ann.ask("NOTICE nobody :hello?", &[]);
        ann.ask("NOTICE #nowhere :hello?", &[]);
    }

    fn several_are_talked_to_at_once(way) {
        let house = house(way);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        let mut eve = house.talker("eve");
        ann.ask("PRIVMSG eve,#room,nobody :hello", &["401 ann nobody *"]);
        eve.hear(":ann PRIVMSG eve hello");
        bob.hear(":ann PRIVMSG #room hello");
        bob.hear_nothing();
    }

    fn a_room_has_ears_for_operators_only(way) {
        let house = house(way);
        let mut people = house.room("#room", ["ann", "bob", "eve", "tom"]);
        people[0].say("MODE #room +ov bob eve");
        all_hear(&mut people, "MODE #room +ov bob eve");
        let [mut ann, mut bob, mut eve, mut tom] = people;
        bob.ask("privmsg @#room :psst", &[]);
        ann.hear(":bob PRIVMSG @#room psst");
        eve.hear_nothing();
        ann.ask("NOTICE +#room :psst", &[]);
        bob.hear(":ann NOTICE +#room psst");
        eve.hear(":ann NOTICE +#room psst");
        tom.hear_nothing();
    }

    fn who_is_away_is_told_about(way) {
        let house = house(way);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        ann.ask("AWAY :gone fishing", &["306 ann *"]);
        bob.ask("PRIVMSG ann :there?", &["301 bob ann :gone fishing"]);
        ann.hear(":bob PRIVMSG ann there?");
        bob.ask("NOTICE ann :there?", &[]);
        ann.hear(":bob NOTICE ann there?");
        ann.ask("AWAY", &["305 ann *"]);
        bob.ask("PRIVMSG ann :there?", &[]);
        ann.hear(":bob PRIVMSG ann there?");
        // Nothing is no reason.
        ann.ask("AWAY :gone fishing", &["306 ann *"]);
        ann.ask("AWAY :", &["305 ann *"]);
        bob.ask("PRIVMSG ann :there?", &[]);
    }

    fn nobody_speaks_for_others(way) {
        let house = house(way);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        let _eve = house.talker("eve");
        ann.say(":ann PRIVMSG bob :it is me");
        bob.hear(":ann!*@* PRIVMSG bob :it is me");
        // It is not heard, or heard from who it is from.
        ann.say(":eve!eve@127.0.0.1 PRIVMSG bob :it is eve");
        ann.flush();
        assert!(bob.flush().iter().all(|line| line.is(":ann PRIVMSG bob :it is eve")));
    }

    fn no_line_becomes_two(way) {
        let house = house(way);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        for text in [&b"one\rQUIT :two"[..], b"one\0two", b"one\r\rtwo"] {
            ann.say_bytes(&[b"PRIVMSG bob :", text, b"\r\n"].concat());
            ann.flush();
            // `Line` has no LF, and each has one CR at its end, which is taken off.
            for line in bob.flush() {
                assert!(line.is(":ann PRIVMSG bob *"), "{line}");
                assert!(!line.0.contains(&b'\r') && !line.0.contains(&0), "{line:?}");
            }
        }
        ann.hear_nothing();
    }

    fn spaces_where_none_belong_make_no_parameters(way) {
        let house = house(way);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        for (line, shapes) in [
            ("JOIN :#a b", &["403 ann * *", "476 ann * *"][..]),
            ("WHOIS :a b", &["401 ann * *", "318 ann * *"]),
            ("WHO :a b", &["315 ann * *"]),
            ("WHOWAS :a b", &["406 ann * *", "369 ann * *"]),
            ("NAMES :#a b", &["366 ann * *"]),
            ("TOPIC :#a b", &["403 ann * *"]),
            ("PART :#a b", &["403 ann * *"]),
            ("MODE :#a b", &["403 ann * *"]),
            ("MODE :a b", &["401 ann * *"]),
            ("INVITE :a b #room", &["401 ann * *", "461 ann INVITE *"]),
            ("KICK #room :a b", &["401 ann * *", "441 ann * #room *"]),
            ("NICK :a b", &["432 ann * *"]),
            ("CAP :a b", &["410 ann * *"]),
            ("MODE #room +v :a b", &["401 ann * *", "441 ann * #room *"]),
            ("MODE #room +b :a b", &["696 ann #room b * *", ":ann MODE #room +b *"]),
            ("MONITOR + :a b", &["731 ann *"]),
            ("STATS :a b", &["219 ann * *"]),
            ("VERSION :a b", &["402 ann * *"]),
            ("HELP :a b", &["524 ann * *"]),
        ] {
            ann.say(line);
            for answer in ann.flush() {
                assert!(shapes.iter().any(|shape| answer.is(shape)), "{line}: {answer}");
            }
        }
        assert!(bob.flush().iter().all(|line| line.is(":ann MODE #room +b *")));
    }

    /// Who has seen an answer may count on everybody having heard what was said before.
    fn what_was_said_before_an_answer_is_heard_before_another(way) {
        let house = house(way);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        for round in 0..200 {
            let (command, target) = [("PRIVMSG", "#room"), ("NOTICE", "bob")][round % 2];
            match round % 3 {
                0 => ann.ask(&format!("{command} {target} :{round}"), &[]),
                // Whether the server reads them together or not.
                _ => {
                    let both = format!("{command} {target} :{round}\r\nPING now\r\n");
                    ann.say_bytes(both.as_bytes());
                    ann.hear("PONG * now");
                }
            }
            let heard = bob.flush();
            assert!(heard.len() == 1, "{round}: {heard:?} was heard before the PONG");
            assert!(heard[0].is(&format!(":ann {command} {target} {round}")));
        }
    }

    fn a_crowd_hears_everything_in_order(way) {
        let house = house(way);
        let mut people: Vec<Talker> =
            (0..8).map(|n| house.talker(&format!("guest{n}"))).collect();
        gather("#room", &mut people);
        for round in 0..50 {
            for talker in &mut people {
                let text = format!("PRIVMSG #room :{round} of {}", talker.nick);
                talker.say(&text);
            }
        }
        let nicks: Vec<String> = people.iter().map(|talker| talker.nick.clone()).collect();
        for talker in &mut people {
            let mut rounds = vec![0; nicks.len()];
            for _ in 0..50 * (nicks.len() - 1) {
                let line = talker.hear("PRIVMSG #room *");
                let from = nicks.iter().position(|nick| line.is(&format!(":{nick} PRIVMSG #room *")));
                let from = from.expect("somebody says it");
                assert_eq!(line.text(), format!("{} of {}", rounds[from], nicks[from]));
                rounds[from] += 1;
            }
            talker.hear_nothing();
        }
    }
}

//! Chat: how much of everything there may be, and what happens to those who want more.

mod support;

use std::collections::BTreeMap;

use support::irc::{House, Talker, house};
use support::way::in_every_way;

/// Numbers that 005 announces.
fn limits(house: &House) -> BTreeMap<String, usize> {
    let mut reader = house.call();
    reader.introduce("reader");
    let mut limits = BTreeMap::new();
    for line in reader.flush() {
        for token in line.message().parameters() {
            let token = String::from_utf8_lossy(token);
            if let Some((key, Ok(value))) =
                token.split_once('=').map(|(key, value)| (key, value.parse()))
            {
                limits.insert(key.to_owned(), value);
            }
        }
    }
    limits
}

/// A PING with so many bytes in its line, its end included.
fn ping(length: usize) -> (String, String) {
    let token = "x".repeat(length - "PING \r\n".len());
    (format!("PING {token}"), token)
}

fn pair(house: &House) -> [Talker; 2] {
    ["ann", "bob"].map(|nick| house.talker(nick))
}

in_every_way! {
    fn a_line_has_512_bytes(way) {
        let house = house(way);
        let mut ann = house.talker("ann");
        let (line, token) = ping(512);
        ann.say(&line);
        let pong = ann.hear("PONG * *");
        assert!(token.starts_with(&pong.text()) && pong.text().len() > 450);
        assert!(pong.0.len() <= 510);
        let (line, _) = ping(513);
        ann.ask(&line, &["417 ann *"]);
        ann.ask(&ping(4000).0, &["417 ann *"]);
        ann.say("JOIN #room");
        ann.hear(":ann JOIN #room");
    }

    fn a_line_without_end_ends_the_conversation(way) {
        let house = house(way);
        let mut ann = house.talker("ann");
        // Whether the server is still there to take all of it is nobody's business.
        ann.peer.try_say(format!("PRIVMSG ann :{}\r\n", "a".repeat(100_000)).as_bytes());
        ann.peer.remains();
        house.talker("ann");
    }

    fn what_gets_too_long_with_its_source_is_cut(way) {
        let house = house(way);
        let [mut ann, mut bob] = pair(&house);
        for end in ["", "😃"] {
            let room = 512 - "PRIVMSG bob :\r\n".len() - end.len();
            // From short ones over those which fit with the source to the longest that may be said.
            for length in [1, room - 60, room - 40, room - 30, room - 20, room - 10, room - 1, room] {
                let text = format!("{}{end}", "a".repeat(length));
                for colon in [":", ""] {
                    ann.say(&format!("PRIVMSG bob {colon}{text}"));
                    let line = bob.hear(":ann!*@* PRIVMSG bob *");
                    assert!(line.0.len() <= 510, "{} bytes", line.0.len());
                    // On a character, and as late as possible.
                    let heard = std::str::from_utf8(line.message().parameters()[1]).expect("UTF-8");
                    assert!(text.starts_with(heard));
                    assert!(heard == text || line.0.len() > 510 - 4, "{} bytes", line.0.len());
                }
            }
        }
    }

    fn bytes_may_come_one_by_one(way) {
        let house = house(way);
        let [mut ann, mut bob] = pair(&house);
        ann.peer.tcp.set_nodelay(true).unwrap();
        for byte in "PRIVMSG bob :smile 😃 slowly\r\n".as_bytes() {
            ann.say_bytes(&[*byte]);
        }
        bob.hear(":ann PRIVMSG bob :smile 😃 slowly");
    }

    fn many_lines_may_come_at_once(way) {
        let house = house(way);
        let [mut ann, mut bob] = pair(&house);
        let lines: String = (0..50).map(|n| format!("PRIVMSG bob :{n}\r\n")).collect();
        ann.say_bytes(lines.as_bytes());
        for n in 0..50 {
            bob.hear(&format!(":ann PRIVMSG bob {n}"));
        }
    }

    fn only_utf_8_is_passed_on(way) {
        let house = house(way);
        let [mut ann, mut bob] = pair(&house);
        ann.say_bytes(b"PRIVMSG bob :hi\xAA\r\n");
        ann.hear("FAIL PRIVMSG INVALID_UTF8 *");
        ann.hear_nothing();
        bob.hear_nothing();
        let mut eve = house.talker_with("eve", "batch echo-message labeled-response");
        eve.say_bytes(b"@label=xyz PRIVMSG bob hi\xAA\r\n");
        eve.hear("@label=xyz FAIL PRIVMSG INVALID_UTF8 *");
        eve.hear_nothing();
        // Nor by those who are still coming in.
        let mut tom = house.call();
        tom.say_bytes(b"NICK tom\r\nUSER tom 0 * :i\xE8rc\xE9\r\n");
        let refusal = tom.next();
        assert!(refusal.is("FAIL USER INVALID_UTF8 *") || refusal.is("468 * *"), "{refusal}");
        tom.register("tom");
    }

    fn user_names_are_plain(way) {
        let house = house(way);
        let mut ann = house.call();
        ann.say("NICK ann");
        for bad in ["😊😊", "a@b", "a!b"] {
            ann.say(&format!("USER {bad} * * :Ann"));
            let first = ann.next();
            if first.is("001 ann *") {
                // Then it is made one that fits.
                assert!(ann.flush().iter().all(|line| !line.text().contains('😊')));
                return;
            }
            assert!(first.is("468 * *"), "{first}");
        }
        ann.register("ann");
    }

    fn a_name_of_a_room_has_an_end(way) {
        let house = house(way);
        let most = limits(&house)["CHANNELLEN"];
        let mut ann = house.talker("ann");
        for sign in ["#", "&"] {
            let longest = format!("{sign}{}", "a".repeat(most - 1));
            ann.say(&format!("JOIN {longest}"));
            ann.hear(&format!(":ann JOIN {longest}"));
            ann.flush();
            let longer = format!("{sign}{}", "b".repeat(most));
            ann.ask(&format!("JOIN {longer}"), &[&format!("403 ann {longer} *")]);
        }
    }

    fn long_topics_reasons_and_excuses_are_cut(way) {
        let house = house(way);
        let limits = limits(&house);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        let text = "ä".repeat(220);
        let fits = |heard: &str, limit: &str| {
            let most = limits[limit].min(text.len());
            assert!(text.starts_with(heard), "{limit}: {heard}");
            assert!(heard.len() <= most && heard.len() + 3 > most, "{limit}: {} bytes", heard.len());
        };
        ann.say(&format!("TOPIC #room :{text}"));
        fits(&bob.hear(":ann TOPIC #room *").text(), "TOPICLEN");
        ann.flush();
        bob.say(&format!("AWAY :{text}"));
        bob.hear("306 bob *");
        ann.say("PRIVMSG bob :there?");
        fits(&ann.hear("301 ann bob *").text(), "AWAYLEN");
        bob.hear(":ann PRIVMSG bob there?");
        ann.say(&format!("KICK #room bob :{text}"));
        fits(&bob.hear(":ann KICK #room bob *").text(), "KICKLEN");
    }

    fn a_list_of_bans_has_an_end(way) {
        let house = house(way);
        let [mut ann] = house.room("#room", ["ann"]);
        let mut most = 0;
        // It has to come some time.
        let refusal = loop {
            ann.say(&format!("MODE #room +b guest{most}!*@*"));
            let line = ann.next();
            if !line.is(&format!(":ann MODE #room +b guest{most}!*@*")) {
                break line;
            }
            most += 1;
            assert!(most < 1000, "there is no end to it");
        };
        assert!(refusal.is("478 ann #room * *"), "{refusal}");
        assert!(most >= 10);
        ann.hear_nothing();
        ann.ask("MODE #room -b guest0!*@*", &[":ann MODE #room -b guest0!*@*"]);
        ann.ask("MODE #room +b last!*@*", &[":ann MODE #room +b last!*@*"]);
    }

    fn nobody_is_everywhere(way) {
        let house = house(way);
        let mut reader = house.call();
        reader.introduce("reader");
        let token = reader.flush().iter().find_map(|line| {
            let message = line.message();
            let token = message.parameters().iter().find_map(|token| token.strip_prefix(b"CHANLIMIT="))?;
            Some(String::from_utf8_lossy(token).into_owned())
        });
        // `#&:50`, or `#:50,&:50`.
        let token = token.expect("it is announced");
        let (_, most) = token.split(',').next().unwrap().split_once(':').unwrap();
        let most: usize = most.parse().unwrap();
        let mut ann = house.talker("ann");
        for n in 0..most {
            ann.say(&format!("JOIN #room{n}"));
            ann.hear(&format!(":ann JOIN #room{n}"));
            ann.flush();
        }
        ann.ask("JOIN #more", &["405 ann #more *"]);
        ann.ask("JOIN #room0", &[]);
        ann.ask("PART #room0", &[":ann PART #room0"]);
        ann.say("JOIN #more");
        ann.hear(":ann JOIN #more");
    }
}

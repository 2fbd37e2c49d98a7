//! Chat: rooms. Who may enter and how they leave, what the topic is, and which rooms there are.

mod support;

use support::irc::{Settings, Talker, all_hear, gather, house, start};
use support::on_both_engines;

const RUN: Settings = Settings { password: None, operator: Some(("root", "toor")), motd: &[] };

/// The rooms that LIST shows, sorted, with their numbers of people.
fn rooms(talker: &mut Talker, line: &str) -> Vec<String> {
    talker.say(line);
    let mut rooms = Vec::new();
    for line in talker.flush() {
        match line.command().as_str() {
            "321" => {}
            "322" => rooms.push(format!("{} {}", line.parameter(1), line.parameter(2))),
            _ => assert!(line.is(&format!("323 {} *", talker.nick)), "{line}"),
        }
    }
    rooms.sort();
    rooms
}

on_both_engines! {
    fn the_first_one_in_is_the_operator(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        ann.ask("JOIN #room", &[":ann!*@* JOIN #room", "353 ann = #room @ann", "366 ann #room *"]);
        bob.say("JOIN #room");
        bob.hear(":bob!*@* JOIN #room");
        let names = bob.hear("353 bob = #room *").text();
        assert!(names == "@ann bob" || names == "bob @ann", "{names}");
        bob.hear("366 bob #room *");
        bob.hear_nothing();
        ann.hear(":bob!*@* JOIN #room");
        ann.hear_nothing();
        // The room that everybody has left is forgotten.
        for talker in [&mut ann, &mut bob] {
            talker.say("PART #room");
            talker.flush();
        }
        bob.ask("JOIN #room", &[":bob JOIN #room", "353 bob = #room @bob", "366 bob #room *"]);
    }

    fn names_of_rooms_are_compared_without_case(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        ann.say("JOIN #Room");
        ann.flush();
        bob.say("JOIN #rOOM");
        for talker in [&mut ann, &mut bob] {
            assert!(talker.hear(":bob JOIN *").parameter(0).eq_ignore_ascii_case("#room"));
        }
        bob.flush();
        bob.say("PRIVMSG #room :hello");
        assert_eq!(ann.hear(":bob PRIVMSG * hello").parameter(0).to_lowercase(), "#room");
        // ASCII, not RFC 1459.
        ann.say("JOIN #a{}|^");
        ann.flush();
        bob.say("JOIN #a[]\\~");
        bob.flush();
        ann.hear_nothing();
    }

    fn who_is_in_already_is_told_nothing(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        ann.ask("JOIN #room", &[]);
        bob.hear_nothing();
    }

    fn several_rooms_are_joined_at_once_each_with_its_key(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        ann.say("JOIN #a,#b,&c");
        ann.flush();
        ann.say("MODE #a +k one");
        ann.say("MODE &c +k three");
        ann.flush();
        bob.ask("JOIN #a,#b,&c one", &[
            ":bob JOIN #a", "353 bob = #a *", "366 bob #a *",
            ":bob JOIN #b", "353 bob = #b *", "366 bob #b *",
            "475 bob &c *",
        ]);
        bob.ask("JOIN &c,#d three", &[
            ":bob JOIN &c", "353 bob = &c *", "366 bob &c *",
            ":bob JOIN #d", "353 bob = #d @bob", "366 bob #d *",
        ]);
    }

    fn a_bad_name_among_good_ones_is_refused_alone(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        for bad in ["inv@lid", "#a\u{7}b"] {
            ann.say(&format!("JOIN #good,{bad}"));
            ann.hear_all(&[":ann JOIN #good", "353 ann = #good @ann", "366 ann #good *"]);
            let refusal = ann.next();
            let refused = ["403", "476"].iter().any(|code| refusal.is(&format!("{code} ann {bad} *")));
            assert!(refused, "{refusal}");
            ann.hear_nothing();
            ann.say("PART #good");
            ann.hear(":ann PART #good");
        }
        ann.ask("JOIN", &["461 ann JOIN *"]);
    }

    fn join_0_leaves_all_rooms(engine) {
        let house = house(engine);
        let mut people = house.room("#one", ["ann", "bob"]);
        gather("#two", &mut people);
        let [mut ann, mut bob] = people;
        ann.say("JOIN 0");
        for talker in [&mut ann, &mut bob] {
            let mut left: Vec<String> =
                talker.flush().iter().filter(|line| line.command() == "PART").map(|line| line.parameter(0)).collect();
            left.sort();
            assert_eq!(left, ["#one", "#two"]);
        }
    }

    fn everybody_in_the_room_sees_who_leaves(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob", "eve"]);
        people[0].say("PART #room :see you");
        all_hear(&mut people, ":ann!*@* PART #room :see you");
        people[1].say("PART #room");
        let [mut ann, mut bob, mut eve] = people;
        bob.hear(":bob PART #room");
        eve.hear(":bob PART #room");
        ann.hear_nothing();
        eve.ask("NAMES #room", &["353 eve = #room eve", "366 eve #room *"]);
    }

    fn nobody_leaves_where_they_are_not(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        ann.say("JOIN #room,#other");
        ann.flush();
        bob.ask("PART #room", &["442 bob #room *"]);
        bob.ask("PART #nowhere", &["403 bob #nowhere *"]);
        bob.ask("PART", &["461 bob PART *"]);
        ann.ask("PART #room,#nowhere,#other :bye", &[
            ":ann PART #room bye", "403 ann #nowhere *", ":ann PART #other bye",
        ]);
    }

    fn operators_kick(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob", "eve"]);
        people[0].say("KICK #room bob :mind the step");
        all_hear(&mut people, ":ann!*@* KICK #room bob :mind the step");
        let [mut ann, mut bob, mut eve] = people;
        bob.ask("PRIVMSG #room :hey", &["404 bob #room *"]);
        // Without a word of their own it is their name.
        ann.ask("KICK #ROOM EVE", &[":ann KICK #room eve ann"]);
        eve.hear(":ann KICK #room eve ann");
        ann.ask("NAMES #room", &["353 ann = #room @ann", "366 ann #room *"]);
    }

    fn several_are_kicked_one_by_one(engine) {
        let house = house(engine);
        let [mut ann, mut bob, mut eve, mut tom] = house.room("#room", ["ann", "bob", "eve", "tom"]);
        ann.say("KICK #room bob,eve :out");
        for talker in [&mut ann, &mut bob, &mut tom] {
            talker.hear(":ann KICK #room bob out");
        }
        eve.hear(":ann KICK #room bob out");
        for talker in [&mut ann, &mut eve, &mut tom] {
            talker.hear(":ann KICK #room eve out");
        }
        bob.hear_nothing();
    }

    fn rooms_and_people_to_be_kicked_are_paired(engine) {
        let house = house(engine);
        let mut people = house.room("#one", ["ann", "bob", "eve"]);
        gather("#two", &mut people);
        people[0].say("KICK #one,#two bob,eve :out");
        all_hear(&mut people, ":ann KICK #one bob out");
        all_hear(&mut people, ":ann KICK #two eve out");
        let [mut ann, mut bob, mut eve] = people;
        ann.ask("NAMES #one,#two", &[
            "353 ann = #one *", "353 ann = #two *", "366 ann #one,#two *",
        ]);
        bob.ask("PART #one,#two", &["442 bob #one *", ":bob PART #two"]);
        ann.hear(":bob PART #two");
        eve.hear_nothing();
    }

    fn others_do_not_kick(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        let mut eve = house.talker("eve");
        bob.ask("KICK #room ann", &["482 bob #room *"]);
        eve.ask("KICK #room ann", &["442 eve #room *"]);
        eve.ask("KICK #nowhere ann", &["403 eve #nowhere *"]);
        eve.ask("KICK #room", &["461 eve KICK *"]);
        ann.ask("KICK #room eve", &["441 ann eve #room *"]);
        ann.say("KICK #room nobody");
        let refusal = ann.next();
        assert!(refusal.is("401 ann nobody *") || refusal.is("441 ann nobody #room *"), "{refusal}");
        ann.hear_nothing();
    }

    fn a_topic_is_set_shown_and_cleared(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        people[1].ask("TOPIC #room", &["331 bob #room *"]);
        people[0].say("TOPIC #room :Tea at five");
        all_hear(&mut people, ":ann!*@* TOPIC #room :Tea at five");
        people[1].say("TOPIC #room");
        people[1].hear("332 bob #room :Tea at five");
        let about = people[1].hear("333 bob #room ann* *");
        assert!(about.text().parse::<u64>().unwrap() > 1_700_000_000);
        let mut eve = house.talker("eve");
        eve.ask("JOIN #room", &[
            ":eve JOIN #room", "332 eve #room :Tea at five", "333 eve #room ann* *",
            "353 eve = #room *", "366 eve #room *",
        ]);
        all_hear(&mut people, ":eve JOIN #room");
        people[0].say("TOPIC #room :");
        all_hear(&mut people, ":ann TOPIC #room :");
        people[1].ask("TOPIC #room", &["331 bob #room *"]);
    }

    fn only_operators_change_a_guarded_topic(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        people[1].ask("TOPIC #room :mine", &["482 bob #room *"]);
        people[0].say("MODE #room +v bob");
        all_hear(&mut people, ":ann MODE #room +v bob");
        people[1].ask("TOPIC #room :mine", &["482 bob #room *"]);
        people[0].say("MODE #room -t");
        all_hear(&mut people, ":ann MODE #room -t");
        people[1].say("TOPIC #room :mine");
        all_hear(&mut people, ":bob TOPIC #room mine");
        let mut eve = house.talker("eve");
        eve.ask("TOPIC #room :hers", &["442 eve #room *"]);
        eve.ask("TOPIC #nowhere", &["403 eve #nowhere *"]);
        eve.ask("TOPIC", &["461 eve TOPIC *"]);
    }

    fn an_invitation_is_told_to_two_people(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        let [mut eve, mut tom] = ["eve", "tom"].map(|nick| house.talker(nick));
        // Where everybody may enter, everybody may invite.
        bob.ask("INVITE Eve #ROOM", &["341 bob eve #room"]);
        eve.hear(":bob!*@* INVITE eve #room");
        ann.hear_nothing();
        tom.ask("INVITE eve #room", &["442 tom #room *"]);
        tom.ask("INVITE nobody #room", &["401 tom nobody *"]);
        tom.ask("INVITE eve #nowhere", &["403 tom #nowhere *"]);
        tom.ask("INVITE eve", &["461 tom INVITE *"]);
        ann.ask("INVITE bob #room", &["443 ann bob #room *"]);
        eve.hear_nothing();
    }

    fn an_invitation_opens_a_closed_room_once(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        let mut eve = house.talker("eve");
        people[0].say("MODE #room +i");
        all_hear(&mut people, ":ann MODE #room +i");
        eve.ask("JOIN #room", &["473 eve #room *"]);
        people[1].ask("INVITE eve #room", &["482 bob #room *"]);
        people[0].ask("INVITE eve #room", &["341 ann eve #room"]);
        eve.hear(":ann INVITE eve #room");
        eve.say("JOIN #room");
        eve.hear(":eve JOIN #room");
        eve.flush();
        all_hear(&mut people, ":eve JOIN #room");
        eve.say("PART #room");
        eve.hear(":eve PART #room");
        eve.ask("JOIN #room", &["473 eve #room *"]);
    }

    fn an_invitation_goes_before_limits_and_bans(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.say("JOIN #room");
        ann.flush();
        let mut eve = house.talker("eve");
        for mode in ["+l 1", "+b eve!*@*"] {
            ann.ask(&format!("MODE #room {mode}"), &[&format!(":ann MODE #room {mode}")]);
            eve.say("JOIN #room");
            let refusal = eve.next();
            assert!(refusal.is("471 eve #room *") || refusal.is("474 eve #room *"), "{refusal}");
            ann.ask("INVITE eve #room", &["341 ann eve #room"]);
            eve.hear(":ann INVITE eve #room");
            eve.say("JOIN #room");
            eve.hear(":eve JOIN #room");
            eve.flush();
            ann.hear(":eve JOIN #room");
            ann.ask("KICK #room eve", &[":ann KICK #room eve ann"]);
            eve.hear(":ann KICK #room eve ann");
            ann.say("MODE #room -l");
            ann.flush();
        }
    }

    fn names_of_nothing_end_at_once(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.ask("NAMES #nowhere", &["366 ann #nowhere *"]);
        ann.ask("NAMES invalid", &["366 ann invalid *"]);
        ann.ask("NAMES", &["366 ann * *"]);
    }

    fn names_of_everything_are_those_of_visible_rooms(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        ann.say("JOIN #one");
        bob.say("JOIN #two,#hidden");
        bob.say("MODE #hidden +s");
        ann.flush();
        bob.flush();
        ann.ask_unordered("NAMES", &["353 ann = #one @ann", "353 ann = #two @bob", "366 ann * *"]);
        ann.ask("NAMES #hidden", &["366 ann #hidden *"]);
        bob.ask("NAMES #hidden", &["353 bob @ #hidden @bob", "366 bob #hidden *"]);
    }

    fn many_names_take_several_lines(engine) {
        let house = house(engine);
        let nicks: Vec<String> = (0..40).map(|n| format!("a-rather-long-nick-{n:02}")).collect();
        let mut people: Vec<Talker> = nicks.iter().map(|nick| house.talker(nick)).collect();
        for talker in &mut people {
            talker.say("JOIN #room");
            talker.skip_to(&format!("366 {} #room *", talker.nick));
        }
        let first = &mut people[0];
        first.flush();
        first.say("NAMES #room");
        let mut names = Vec::new();
        for line in first.flush() {
            assert!(line.0.len() <= 510);
            if line.command() == "353" {
                names.extend(line.text().split(' ').map(|name| name.trim_start_matches('@').to_owned()));
            }
        }
        names.sort();
        assert_eq!(names, nicks);
    }

    fn the_list_shows_rooms_with_numbers_and_topics(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        people[0].say("TOPIC #room :Tea at five");
        all_hear(&mut people, "TOPIC #room :Tea at five");
        let [mut ann, _bob] = people;
        ann.say("JOIN #other");
        ann.flush();
        let mut eve = house.talker("eve");
        eve.say("LIST");
        let lines: Vec<_> = eve.flush().into_iter().filter(|line| !line.is("321 eve * *")).collect();
        assert_eq!(lines.len(), 3);
        assert!(lines.iter().any(|line| line.is("322 eve #room 2 :Tea at five")));
        assert!(lines.iter().any(|line| line.is("322 eve #other 1 :")));
        assert!(lines[2].is("323 eve *"));
        assert_eq!(rooms(&mut eve, "LIST #room"), ["#room 2"]);
        assert_eq!(rooms(&mut eve, "LIST #OTHER,#room"), ["#other 1", "#room 2"]);
        assert!(rooms(&mut eve, "LIST #nowhere").is_empty());
    }

    fn the_list_is_searched_by_name_and_number(engine) {
        let house = house(engine);
        let [_ann, mut bob] = house.room("#chan2", ["ann", "bob"]);
        bob.say("JOIN #chan1");
        bob.flush();
        let mut eve = house.talker("eve");
        let (one, two) = ("#chan1 1", "#chan2 2");
        for (line, expected) in [
            ("LIST *an1", &[one][..]),
            ("LIST #c*n2", &[two]),
            ("LIST *an3", &[]),
            ("LIST #CH*", &[one, two]),
            ("LIST !*an1", &[two]),
            ("LIST !#ch*", &[]),
            ("LIST !*an3", &[one, two]),
            ("LIST >0", &[one, two]),
            ("LIST <1", &[]),
            ("LIST >1", &[two]),
            ("LIST <2", &[one]),
            ("LIST <100", &[one, two]),
            ("LIST >0,<2", &[one]),
        ] {
            assert_eq!(rooms(&mut eve, line), expected, "{line}");
        }
    }

    fn secret_rooms_are_listed_to_those_inside(engine) {
        let house = start(engine, &RUN);
        let mut people = house.room("#room", ["ann", "bob"]);
        people[0].say("MODE #room +s");
        all_hear(&mut people, "MODE #room +s");
        let mut eve = house.talker("eve");
        assert_eq!(rooms(&mut people[1], "LIST"), ["#room 2"]);
        assert!(rooms(&mut eve, "LIST").is_empty());
        assert!(rooms(&mut eve, "LIST #room").is_empty());
        eve.say("JOIN #room");
        eve.flush();
        assert_eq!(rooms(&mut eve, "LIST"), ["#room 3"]);
    }
}

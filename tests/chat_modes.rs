//! Chat: modes of rooms and of people.

mod support;

use support::irc::{Talker, all_hear, house};
use support::on_both_engines;

/// The first one changes a mode of #room, and everybody sees it.
fn set(people: &mut [Talker], mode: &str) {
    people[0].say(&format!("MODE #room {mode}"));
    let by = people[0].nick.clone();
    all_hear(people, &format!(":{by}!*@* MODE #room {mode}"));
}

on_both_engines! {
    fn a_room_is_born_guarded(engine) {
        let house = house(engine);
        let [mut ann] = house.room("#room", ["ann"]);
        ann.say("MODE #room");
        let modes = ann.hear("324 ann #room *").parameter(2);
        assert!(modes == "+nt" || modes == "+tn", "{modes}");
        let born: u64 = ann.hear("329 ann #room *").text().parse().unwrap();
        assert!(born > 1_700_000_000);
        ann.hear_nothing();
    }

    fn modes_are_set_shown_and_taken_away(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        people[0].say("MODE #room +ims");
        let changed = people[1].hear(":ann MODE #room +*").parameter(1);
        people[0].hear(&format!(":ann MODE #room {changed}"));
        let sorted = |modes: &str| {
            let mut letters: Vec<char> = modes.chars().collect();
            letters.sort();
            String::from_iter(letters)
        };
        assert_eq!(sorted(&changed), "+ims");
        people[1].say("MODE #room");
        let modes = people[1].hear("324 bob #room *").parameter(2);
        assert_eq!(sorted(&modes), "+imnst");
        people[1].hear("329 bob #room *");
        people[0].say(&format!("MODE #room -{}", &modes[1..]));
        assert_eq!(sorted(&people[1].hear(":ann MODE #room -*").parameter(1)), "-imnst");
        people[0].flush();
        people[0].ask("MODE #room", &["324 ann #room +", "329 ann #room *"]);
    }

    fn what_changes_nothing_is_not_told(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        for nothing in ["+nt", "-im", "-l", "-k word", "+", "-b nobody!*@*", "+o ann", "-v bob"] {
            people[0].ask(&format!("MODE #room {nothing}"), &[]);
        }
        people[1].hear_nothing();
        // Of several changes those that change something are told.
        people[0].say("MODE #room +ntm-i");
        all_hear(&mut people, ":ann MODE #room +m");
    }

    fn several_changes_are_told_in_one_line(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob", "eve"]);
        set(&mut people, "-t+mov-n+l bob eve 10");
        let mut tom = house.talker("tom");
        tom.say("JOIN #room");
        let names = tom.skip_to("353 tom = #room *").text();
        let mut names: Vec<&str> = names.split(' ').collect();
        names.sort();
        assert_eq!(names, ["+eve", "@ann", "@bob", "tom"]);
        tom.flush();
        tom.say("MODE #room");
        assert_eq!(tom.hear("324 tom #room * 10").parameter(2).len(), "+ml".len());
    }

    fn an_unknown_letter_does_not_spoil_the_others(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        people[0].ask_unordered("MODE #room +Zmy", &[
            "472 ann Z *", "472 ann y *", ":ann MODE #room +m",
        ]);
        people[1].hear(":ann MODE #room +m");
        people[1].hear_nothing();
    }

    fn only_operators_change_modes(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        let mut eve = house.talker("eve");
        for change in ["+m", "-n", "+o bob", "+k word", "+b *!*@*"] {
            bob.ask(&format!("MODE #room {change}"), &["482 bob #room *"]);
        }
        eve.say("MODE #room +o eve");
        let refusal = eve.next();
        assert!(refusal.is("482 eve #room *") || refusal.is("442 eve #room *"), "{refusal}");
        eve.hear_nothing();
        eve.ask("MODE #nowhere", &["403 eve #nowhere *"]);
        eve.ask("MODE #nowhere +o eve", &["403 eve #nowhere *"]);
        eve.ask("MODE", &["461 eve MODE *"]);
        ann.hear_nothing();
    }

    fn operators_make_operators(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        let _eve = house.talker("eve");
        people[0].ask("MODE #room +o eve", &["441 ann eve #room *"]);
        people[0].ask("MODE #room +v nobody", &["401 ann nobody *"]);
        people[0].say("MODE #room +o BOB");
        all_hear(&mut people, ":ann!*@* MODE #room +o bob");
        people[1].say("MODE #room -o ann");
        all_hear(&mut people, ":bob!*@* MODE #room -o ann");
        people[0].ask("MODE #room +m", &["482 ann #room *"]);
    }

    fn a_key_is_needed_to_enter(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann"]);
        let mut eve = house.talker("eve");
        set(&mut people, "+k word");
        eve.ask("JOIN #room", &["475 eve #room *"]);
        eve.ask("JOIN #room sword", &["475 eve #room *"]);
        eve.say("JOIN #room word");
        eve.hear(":eve JOIN #room");
        eve.flush();
        people[0].hear(":eve JOIN #room");
        // With any key, for clients do not always know it.
        people[0].say("MODE #room -k *");
        people[0].hear(":ann MODE #room -k *");
        eve.hear(":ann MODE #room -k *");
        let mut tom = house.talker("tom");
        tom.say("JOIN #room");
        tom.hear(":tom JOIN #room");
    }

    fn a_bad_key_is_refused(engine) {
        let house = house(engine);
        let [mut ann] = house.room("#room", ["ann"]);
        for key in [":two words", ":", &"long".repeat(100), "a,b"] {
            ann.ask(&format!("MODE #room +k {key}"), &["696 ann #room k * *"]);
        }
        ann.ask("MODE #room +k", &[]);
        let mut eve = house.talker("eve");
        eve.say("JOIN #room");
        eve.hear(":eve JOIN #room");
    }

    fn a_limit_keeps_others_out(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        let mut eve = house.talker("eve");
        set(&mut people, "+l 1");
        eve.ask("JOIN #room", &["471 eve #room *"]);
        set(&mut people, "+l 2");
        eve.ask("JOIN #room", &["471 eve #room *"]);
        people[1].say("PART #room");
        all_hear(&mut people, ":bob PART #room");
        eve.say("JOIN #room");
        eve.hear(":eve JOIN #room");
        eve.flush();
        let [mut ann, mut bob] = people;
        ann.hear(":eve JOIN #room");
        bob.ask("JOIN #room", &["471 bob #room *"]);
        ann.ask("MODE #room -l", &[":ann MODE #room -l"]);
        bob.say("JOIN #room");
        bob.hear(":bob JOIN #room");
    }

    fn a_limit_is_a_positive_number(engine) {
        let house = house(engine);
        let [mut ann] = house.room("#room", ["ann"]);
        for bad in ["0", "-1", "abc", ":", "99999999999999999999"] {
            ann.ask(&format!("MODE #room +l {bad}"), &["696 ann #room l * *"]);
        }
        ann.ask("MODE #room +l", &[]);
        ann.ask("MODE #room", &["324 ann #room +*", "329 ann #room *"]);
    }

    fn the_banned_do_not_come_in(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann"]);
        let mut eve = house.talker("Eve");
        set(&mut people, "+b eve!*@*");
        eve.ask("JOIN #room", &["474 Eve #room *"]);
        set(&mut people, "+e *ve!*@*");
        eve.say("JOIN #room");
        eve.hear(":Eve JOIN #room");
        eve.say("PART #room");
        eve.skip_to(":Eve PART #room");
        people[0].flush();
        people[0].say("MODE #room -e *VE!*@*");
        assert!(people[0].hear(":ann MODE #room -e *").text().eq_ignore_ascii_case("*ve!*@*"));
        eve.ask("JOIN #room", &["474 Eve #room *"]);
        people[0].say("MODE #room -b EVE!*@*");
        people[0].hear(":ann MODE #room -b *");
        eve.say("JOIN #room");
        eve.hear(":Eve JOIN #room");
    }

    fn the_banned_do_not_speak(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        set(&mut people, "+b bob!*@*");
        people[1].ask("PRIVMSG #room :hello", &["404 bob #room *"]);
        people[1].ask("NOTICE #room :hello", &[]);
        people[0].hear_nothing();
        set(&mut people, "+v bob");
        people[1].ask("PRIVMSG #room :hello", &[]);
        people[0].hear(":bob PRIVMSG #room hello");
    }

    fn masks_are_completed(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann"]);
        for (short, whole) in [
            ("eve", "eve!*@*"), ("eve!evil", "eve!evil@*"), ("*@10.0.0.1", "*!*@10.0.0.1"),
            ("tom!*@*", "tom!*@*"),
        ] {
            people[0].say(&format!("MODE #room +b {short}"));
            assert_eq!(people[0].hear(":ann MODE #room +b *").text(), whole);
        }
    }

    fn lists_are_shown_to_everybody(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        for (letter, item, end) in [('b', "367", "368"), ('e', "348", "349"), ('I', "346", "347")] {
            people[1].ask(&format!("MODE #room +{letter}"), &[&format!("{end} bob #room *")]);
            set(&mut people, &format!("+{letter} one!*@*"));
            set(&mut people, &format!("+{letter} two!*@*"));
            // The sign may be left out.
            for query in [format!("MODE #room +{letter}"), format!("MODE #room {letter}")] {
                people[1].say(&query);
                for mask in ["one!*@*", "two!*@*"] {
                    let line = people[1].hear(&format!("{item} bob #room * ann* *"));
                    assert_eq!(line.parameter(2), mask);
                    assert!(line.text().parse::<u64>().unwrap() > 1_700_000_000);
                }
                people[1].hear(&format!("{end} bob #room *"));
                people[1].hear_nothing();
            }
            set(&mut people, &format!("-{letter} one!*@*"));
            people[1].say(&format!("MODE #room {letter}"));
            assert_eq!(people[1].hear(&format!("{item} bob #room * ann* *")).parameter(2), "two!*@*");
            people[1].hear(&format!("{end} bob #room *"));
        }
    }

    fn an_invitation_can_be_standing(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann"]);
        let mut eve = house.talker("Eve");
        set(&mut people, "+i");
        set(&mut people, "+I eve!*@*");
        for _ in 0..2 {
            eve.say("JOIN #room");
            eve.hear(":Eve JOIN #room");
            eve.say("PART #room");
            eve.skip_to(":Eve PART #room");
        }
        people[0].flush();
        set(&mut people, "-I eve!*@*");
        eve.ask("JOIN #room", &["473 Eve #room *"]);
    }

    fn a_moderated_room_hears_those_with_a_voice(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann", "bob"]);
        set(&mut people, "+m");
        people[1].ask("PRIVMSG #room :hello", &["404 bob #room *"]);
        people[0].hear_nothing();
        set(&mut people, "+v bob");
        people[1].ask("PRIVMSG #room :hello", &[]);
        people[0].hear(":bob PRIVMSG #room hello");
        people[0].ask("PRIVMSG #room :hello yourself", &[]);
        people[1].hear(":ann PRIVMSG #room :hello yourself");
        people[1].ask("NAMES #room", &["353 bob = #room *", "366 bob #room *"]);
    }

    fn a_closed_door_keeps_voices_out(engine) {
        let house = house(engine);
        let mut people = house.room("#room", ["ann"]);
        let mut eve = house.talker("eve");
        eve.ask("PRIVMSG #room :hello", &["404 eve #room *"]);
        people[0].hear_nothing();
        set(&mut people, "-n");
        eve.ask("PRIVMSG #room :hello", &[]);
        people[0].hear(":eve PRIVMSG #room hello");
    }

    fn people_have_modes_of_their_own(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        let _bob = house.talker("bob");
        ann.ask("MODE ann", &["221 ann +"]);
        ann.ask("MODE ann +i", &[":ann* MODE ann +i"]);
        ann.ask("MODE ANN", &["221 ann +i"]);
        ann.ask("MODE ann +i", &[]);
        ann.ask("MODE ann -i+w", &[":ann* MODE ann -i+w"]);
        ann.ask("MODE bob", &["502 ann *"]);
        ann.ask("MODE bob +i", &["502 ann *"]);
        ann.ask("MODE nobody +i", &["401 ann nobody *"]);
    }

    fn nobody_makes_themselves_an_operator(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.ask("MODE ann +o", &[]);
        ann.ask("MODE ann", &["221 ann +"]);
        ann.ask("WALLOPS :obey", &["481 ann *"]);
    }

    fn an_unknown_letter_of_a_user_is_told_once(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.ask_unordered("MODE ann +iZ", &[":ann* MODE ann +i", "501 ann *"]);
        ann.ask("MODE ann -Z", &["501 ann *"]);
    }
}

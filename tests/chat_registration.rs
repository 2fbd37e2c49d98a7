//! Chat: how people come in, what they may call themselves, and how they leave.

mod support;

use support::irc::{NAME, Settings, gather, house, start};
use support::way::in_every_way;

const GUARDED: Settings =
    Settings { password: Some("sesame"), operator: None, motd: &["Be kind.", "Be brief."] };

in_every_way! {
    fn newcomers_are_welcomed_in_the_order_that_clients_expect(way) {
        let house = start(way, &GUARDED);
        let mut ann = house.call();
        ann.say("PASS sesame");
        ann.introduce("ann");
        assert!(ann.hear("001 ann *").text().contains("ann"));
        ann.hear_all(&["002 ann *", "003 ann *"]);
        let mine = ann.next();
        assert!(mine.is(&format!("004 ann {NAME} * * *")) || mine.is(&format!("004 ann {NAME} * * * *")));
        let mut rest: Vec<String> = ann.flush().iter().map(|line| line.command()).collect();
        rest.dedup();
        let users = ["250", "251", "252", "253", "254", "255", "265", "266"];
        rest.retain(|command| !users.contains(&command.as_str()));
        assert_eq!(rest, ["005", "375", "372", "376"]);
    }

    fn a_house_without_a_message_of_the_day_says_so(way) {
        let house = house(way);
        let mut ann = house.call();
        ann.introduce("ann");
        ann.hear("001 ann *");
        assert!(ann.flush().last().unwrap().is("422 ann *"));
    }

    fn user_may_come_before_nick(way) {
        let house = house(way);
        let mut ann = house.call();
        ann.say("USER ann 0 * :Ann");
        ann.say("NICK ann");
        ann.hear("001 ann *");
    }

    fn commands_are_known_in_any_case(way) {
        let house = house(way);
        let mut ann = house.call();
        ann.say("nick ann");
        ann.say("uSeR ann 0 * :Ann");
        ann.hear("001 ann *");
        ann.flush();
        ann.ask("join #room", &[":ann JOIN #room", "353 ann = #room @ann", "366 ann #room *"]);
    }

    fn lines_come_in_pieces_with_or_without_cr(way) {
        let house = house(way);
        let mut ann = house.call();
        ann.peer.tcp.set_nodelay(true).unwrap();
        for byte in b"\r\n\nNICK ann\n\r\n   USER ann  0   *  :Ann\r\n" {
            ann.say_bytes(&[*byte]);
        }
        ann.hear("001 ann *");
    }

    fn a_nick_that_is_taken_is_refused_and_another_one_will_do(way) {
        let house = house(way);
        let _ann = house.talker("ann");
        for (taken, free) in [("ann", "bob"), ("ANN", "eve")] {
            let mut other = house.call();
            other.introduce(taken);
            other.hear(&format!("433 * {taken} *"));
            other.say(&format!("NICK {free}"));
            other.hear(&format!("001 {free} *"));
        }
    }

    fn of_two_who_want_one_nick_one_gets_it(way) {
        let house = house(way);
        let mut rivals = [house.call(), house.call()];
        rivals.iter_mut().for_each(|rival| rival.say("NICK ann"));
        rivals.iter_mut().for_each(|rival| rival.say("USER ann 0 * :Ann"));
        // Both stay until both were answered.
        let welcomed = rivals.each_mut().map(|rival| rival.next().is("001 ann *"));
        assert!(welcomed[0] != welcomed[1]);
    }

    fn nicks_are_letters_digits_and_a_few_signs(way) {
        let house = house(way);
        let mut ann = house.call();
        ann.say("USER ann 0 * :Ann");
        for bad in ["*", "#ann", "&ann", "ann!", "ann@home", "a,b", "a?b", "a.b", "ünn", "+ann", "@ann"] {
            ann.say(&format!("NICK {bad}"));
            ann.hear(&format!("432 * {bad} *"));
        }
        ann.say("NICK :a b");
        ann.hear("432 * * *");
        ann.say("NICK");
        ann.hear("431 * *");
        ann.say("NICK :");
        ann.hear("431 * *");
        ann.say("NICK [a]{b}\\|^_`-1");
        ann.hear("001 [a]{b}\\|^_`-1 *");
    }

    fn too_long_a_nick_is_refused_not_cut(way) {
        let house = house(way);
        let (longest, longer) = ("a".repeat(30), "b".repeat(31));
        let mut ann = house.call();
        ann.introduce(&longer);
        ann.hear(&format!("432 * {longer} *"));
        ann.register(&longest);
        ann.ask(&format!("NICK {longer}"), &[&format!("432 {longest} {longer} *")]);
    }

    fn user_wants_four_parameters_that_say_something(way) {
        let house = house(way);
        let mut ann = house.call();
        for bad in ["USER", "USER ann", "USER ann 0 *", "USER ann 0 * :", "USER : 0 * :Ann"] {
            ann.say(bad);
            ann.hear("461 * USER *");
        }
        ann.register("ann");
    }

    fn nobody_registers_twice(way) {
        let house = house(way);
        let mut ann = house.talker("ann");
        ann.ask("USER bob 0 * :Bob", &["462 ann *"]);
        ann.ask("PASS word", &["462 ann *"]);
    }

    fn strangers_can_do_nothing_but_come_in(way) {
        let house = house(way);
        let mut ann = house.call();
        for line in ["JOIN #room", "PRIVMSG ann :hello", "LIST", "WHOIS ann", "MODE #room", "OPER a b"] {
            ann.say(line);
            ann.hear("451 * *");
        }
        ann.register("ann");
    }

    fn an_unknown_command_is_named(way) {
        let house = house(way);
        house.talker("ann").ask("FROBNICATE now", &["421 ann FROBNICATE *"]);
    }

    fn a_password_opens_the_door(way) {
        let house = start(way, &GUARDED);
        let mut ann = house.call();
        ann.say("PASS sesame");
        ann.register("ann");
        // Of several the last one counts.
        let mut bob = house.call();
        bob.say("PASS wheat");
        bob.say("PASS sesame");
        bob.register("bob");
    }

    fn without_the_password_the_door_stays_shut(way) {
        let house = start(way, &GUARDED);
        let mut late = house.call();
        late.introduce("late");
        late.hear("464 late *");
        late.is_shown_out();
        let mut wrong = house.call();
        wrong.say("PASS wheat");
        wrong.introduce("wrong");
        wrong.hear("464 wrong *");
        wrong.is_shown_out();
        let mut silent = house.call();
        silent.say("PASS");
        silent.hear("461 * PASS *");
    }

    fn who_quits_is_told_so_and_shown_out(way) {
        let house = house(way);
        let mut ann = house.talker("ann");
        ann.say("QUIT :gone fishing");
        ann.is_shown_out();
        // The nick is free as soon as the connection is closed.
        let mut second = house.talker("ANN");
        second.say("QUIT");
        second.is_shown_out();
        house.talker("ann");
        // And one who never came in leaves nothing behind, either.
        let mut bob = house.call();
        bob.say("NICK bob");
        bob.say("QUIT");
        bob.is_shown_out();
        house.talker("bob");
    }

    fn words_after_the_farewell_do_not_drown_it(way) {
        let house = house(way);
        for _ in 0..50 {
            let mut ann = house.talker("ann");
            ann.say("QUIT");
            // The server may have closed by then. A reset would throw away what it has said last.
            for _ in 0..3 {
                ann.peer.try_say(b"PING anybody\r\n");
            }
            ann.is_shown_out();
            assert!(ann.peer.rest().is_empty());
        }
    }

    fn the_others_hear_who_quits_and_why(way) {
        let house = house(way);
        let [mut ann, mut bob, mut eve] = house.room("#room", ["ann", "bob", "eve"]);
        ann.say("QUIT :gone fishing");
        bob.hear(":ann!*@* QUIT :Quit: gone fishing");
        eve.hear(":ann QUIT :Quit: gone fishing");
        bob.say("QUIT");
        eve.hear(":bob QUIT :Quit: ");
        eve.ask("NAMES #room", &["353 eve = #room eve", "366 eve #room *"]);
    }

    fn the_others_hear_of_a_lost_connection(way) {
        let house = house(way);
        let [ann, mut bob] = house.room("#room", ["ann", "bob"]);
        drop(ann);
        let reason = bob.hear(":ann QUIT *").text();
        assert!(!reason.is_empty() && !reason.starts_with("Quit:"), "{reason}");
    }

    fn who_shares_several_rooms_hears_it_once(way) {
        let house = house(way);
        let mut people = house.room("#one", ["ann", "bob"]);
        gather("#two", &mut people);
        let [mut ann, mut bob] = people;
        ann.ask("NICK anna", &[":ann!*@* NICK anna"]);
        bob.hear(":ann NICK anna");
        bob.hear_nothing();
        ann.say("QUIT");
        bob.hear(":anna QUIT *");
        bob.hear_nothing();
    }

    fn a_change_of_case_is_a_change_and_no_change_is_none(way) {
        let house = house(way);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        ann.ask("NICK Ann", &[":ann NICK Ann"]);
        bob.hear(":ann NICK Ann");
        ann.ask("NICK Ann", &[]);
        bob.hear_nothing();
    }

    fn a_change_to_a_taken_nick_changes_nothing(way) {
        let house = house(way);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        bob.ask("NICK Ann", &["433 bob Ann *"]);
        bob.ask("NICK #ann", &["432 bob #ann *"]);
        ann.ask("PRIVMSG bob :still there?", &[]);
        bob.hear(":ann PRIVMSG bob :still there?");
        // A nick that was left is free.
        ann.ask("NICK anna", &[":ann NICK anna"]);
        bob.ask("NICK ann", &[":bob NICK ann"]);
    }

    fn ping_is_answered_with_its_token(way) {
        let house = house(way);
        let mut ann = house.talker("ann");
        ann.say("PING abc");
        ann.hear(&format!(":{NAME} PONG {NAME} abc"));
        ann.say("PING :two words");
        ann.hear(&format!("PONG {NAME} :two words"));
        ann.say("PING");
        let refusal = ann.next();
        assert!(refusal.is("409 ann *") || refusal.is("461 ann PING *"), "{refusal}");
        ann.ask("PONG whatever", &[]);
    }
}

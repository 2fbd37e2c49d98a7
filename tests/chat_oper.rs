//! Chat: operators of the server.

mod support;

use support::irc::{Settings, house, start};
use support::on_both_engines;

const RUN: Settings = Settings { password: None, operator: Some(("root", "toor")), motd: &[] };

on_both_engines! {
    fn the_password_makes_an_operator(engine) {
        let house = start(engine, &RUN);
        let mut ann = house.talker("ann");
        ann.ask_unordered("OPER root toor", &["381 ann *", ":* MODE ann +o"]);
        ann.ask("MODE ann", &["221 ann +o"]);
        ann.ask("MODE ann -o", &[":ann* MODE ann -o"]);
        ann.ask("WALLOPS :obey", &["481 ann *"]);
    }

    fn nothing_else_does(engine) {
        let house = start(engine, &RUN);
        let mut ann = house.talker("ann");
        for (name, password) in [("root", "root"), ("toor", "toor"), ("ROOT", "toor"), ("root", "toor1")] {
            ann.say(&format!("OPER {name} {password}"));
            let refusal = ann.next();
            assert!(refusal.is("464 ann *") || refusal.is("491 ann *"), "{refusal}");
            ann.hear_nothing();
        }
        ann.ask("OPER root", &["461 ann OPER *"]);
        ann.ask("OPER", &["461 ann OPER *"]);
        ann.ask("MODE ann", &["221 ann +"]);
    }

    fn a_house_without_operators_makes_none(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.say("OPER root toor");
        let refusal = ann.next();
        assert!(refusal.is("464 ann *") || refusal.is("491 ann *"), "{refusal}");
    }

    fn operators_close_connections(engine) {
        let house = start(engine, &RUN);
        let mut root = house.operator("root", &RUN);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        ann.ask("KILL bob :because", &["481 ann *"]);
        ann.ask("KILL ann :because", &["481 ann *"]);
        root.ask("KILL nobody :because", &["401 root nobody *"]);
        root.ask("KILL", &["461 root KILL *"]);
        root.ask("KILL BOB :enough of it", &[]);
        let words = bob.last_words();
        assert!(words.iter().any(|line| line.is(":root!*@* KILL bob *")), "{words:?}");
        assert!(words.last().unwrap().is("ERROR :*enough of it*"), "{words:?}");
        ann.hear(":bob!*@* QUIT :*enough of it*");
        ann.ask("NAMES #room", &["353 ann = #room @ann", "366 ann #room *"]);
        // A reason is polite, not needed.
        root.say("KILL ann");
        ann.is_shown_out();
        // The nick is free.
        house.talker("bob");
    }

    fn operators_call_those_who_listen(engine) {
        let house = start(engine, &RUN);
        let mut root = house.operator("root", &RUN);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        ann.ask("MODE ann +w", &[":ann* MODE ann +w"]);
        ann.ask("WALLOPS :me, too", &["481 ann *"]);
        root.say("WALLOPS :fire drill at noon");
        let echoed = root.flush();
        assert!(echoed.iter().all(|line| line.is(":root!*@* WALLOPS :*fire drill at noon")), "{echoed:?}");
        ann.hear(":root!*@* WALLOPS :*fire drill at noon");
        bob.hear_nothing();
        root.ask("WALLOPS", &["461 root WALLOPS *"]);
    }

    fn an_operator_of_the_server_is_none_of_rooms(engine) {
        let house = start(engine, &RUN);
        let mut root = house.operator("root", &RUN);
        let _people = house.room("#room", ["ann"]);
        root.say("JOIN #room");
        root.flush();
        root.ask("TOPIC #room :mine", &["482 root #room *"]);
        root.ask("KICK #room ann", &["482 root #room *"]);
    }
}

//! Chat: who is there, who was there, and who comes and goes.

mod support;

use support::irc::{Line, NAME, Settings, Talker, house, start};
use support::on_both_engines;
use support::way::Way;

const RUN: Settings = Settings { password: None, operator: Some(("root", "toor")), motd: &[] };

/// The answers to `line`, sorted by the nick they are about, and the end of them, which is `end`.
fn who(talker: &mut Talker, line: &str, end: &str) -> Vec<Line> {
    talker.say(line);
    let mut lines = talker.flush();
    assert!(lines.pop().is_some_and(|line| line.is(end)), "{lines:?}");
    lines.sort_by_key(|line| line.parameter(5));
    lines
}

on_both_engines! {
    fn who_shows_a_room(engine) {
        let house = start(engine, &RUN);
        let [mut ann, mut bob] = house.room("#room", ["ann", "bob"]);
        ann.say("AWAY :gone");
        ann.flush();
        bob.say("OPER root toor");
        bob.flush();
        for name in ["#room", "#ROOM"] {
            let lines = who(&mut bob, &format!("WHO {name}"), &format!("315 bob {name} *"));
            let [first, second] = &lines[..] else { panic!("{lines:?}") };
            assert!(first.is(&format!("352 bob #room *ann 127.0.0.1 {NAME} ann G@ :0 ANN in person")));
            assert!(second.is(&format!("352 bob #room *bob 127.0.0.1 {NAME} bob H* :0 BOB in person")));
        }
    }

    fn who_shows_somebody(engine) {
        let house = house(engine);
        let [_ann, mut bob] = house.room("#room", ["Ann", "bob"]);
        for mask in ["Ann", "aNN", "a*", "?nn"] {
            let lines = who(&mut bob, &format!("WHO {mask}"), &format!("315 bob {mask} *"));
            let [line] = &lines[..] else { panic!("{lines:?}") };
            assert!(line.is(&format!("352 bob * *Ann 127.0.0.1 {NAME} Ann H* :0 ANN in person")));
            // The sign goes with the room.
            let shown = (line.parameter(1), line.parameter(6));
            let fits = [("*", "H"), ("#room", "H@")].contains(&(&shown.0, &shown.1));
            assert!(fits, "{shown:?}");
        }
        assert_eq!(who(&mut bob, "WHO *", "315 bob * *").len(), 2);
        assert!(who(&mut bob, "WHO nobody", "315 bob nobody *").is_empty());
        assert!(who(&mut bob, "WHO #nowhere", "315 bob #nowhere *").is_empty());
    }

    fn the_invisible_are_seen_by_those_who_know_them(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        ann.ask("MODE ann +i", &[":ann MODE ann +i"]);
        assert!(who(&mut bob, "WHO an*", "315 bob an* *").is_empty());
        assert_eq!(who(&mut bob, "WHO ann", "315 bob ann *").len(), 1);
        ann.say("JOIN #room");
        ann.flush();
        assert!(who(&mut bob, "WHO #room", "315 bob #room *").is_empty());
        bob.ask("NAMES #room", &["366 bob #room *"]);
        bob.say("JOIN #room");
        bob.flush();
        assert_eq!(who(&mut bob, "WHO an*", "315 bob an* *").len(), 1);
        assert_eq!(who(&mut bob, "WHO #room", "315 bob #room *").len(), 2);
    }

    fn who_shows_what_is_asked_for(engine) {
        let house = house(engine);
        let [_ann, mut bob] = house.room("#room", ["ann", "bob"]);
        let fields = "tcuihsnfdlaor";
        let backwards: String = fields.chars().rev().collect();
        for fields in [fields, &backwards] {
            bob.say(&format!("WHO ann %{fields},123"));
            let line = bob.hear(&format!("354 bob 123 * *ann * 127.0.0.1 {NAME} ann H* * * 0 * :ANN in person"));
            assert!(["*", "#room"].contains(&line.parameter(2).as_str()));
            assert!(line.parameter(10).parse::<u64>().is_ok(), "idle for {line}");
            bob.hear("315 bob ann *");
        }
        bob.ask("WHO ann %tn,321", &["354 bob 321 ann", "315 bob ann *"]);
        bob.ask("WHO ann %na", &["354 bob ann 0", "315 bob ann *"]);
        bob.say("WHO #room %cnf");
        let mut lines = bob.flush();
        lines.sort_by_key(|line| line.parameter(2));
        assert!(lines[0].is("315 bob #room *"));
        assert!(lines[1].is("354 bob #room ann H@"));
        assert!(lines[2].is("354 bob #room bob H"));
    }

    fn who_can_be_asked_for_operators(engine) {
        let house = start(engine, &RUN);
        let _ann = house.operator("ann", &RUN);
        let mut bob = house.talker("bob");
        let lines = who(&mut bob, "WHO * o", "315 bob * *");
        assert!(lines.len() == 1 && lines[0].parameter(5) == "ann", "{lines:?}");
    }

    fn whois_tells_about_somebody(engine) {
        let house = start(engine, &RUN);
        let mut ann = house.operator("Ann", &RUN);
        ann.say("JOIN #one,#two,#hidden");
        ann.say("MODE #hidden +s");
        ann.say("AWAY :gone fishing");
        ann.flush();
        let mut bob = house.talker("bob");
        for question in ["ANN", &format!("{NAME} ANN"), "ann ANN"] {
            bob.say(&format!("WHOIS {question}"));
            let lines = bob.flush();
            assert!(lines[0].is("311 bob Ann *Ann 127.0.0.1 * :ANN in person"), "{lines:?}");
            assert!(lines.last().unwrap().is("318 bob ANN *"), "{lines:?}");
            let rooms = lines.iter().find(|line| line.is("319 bob Ann *")).expect("it is in rooms");
            let rooms = rooms.text();
            let mut rooms: Vec<&str> = rooms.split(' ').collect();
            rooms.sort();
            assert_eq!(rooms, ["@#one", "@#two"]);
            for due in [&format!("312 bob Ann {NAME} *"), "313 bob Ann *", "301 bob Ann :gone fishing"] {
                assert!(lines.iter().any(|line| line.is(due)), "no {due} in {lines:?}");
            }
            let idle = lines.iter().find(|line| line.is("317 bob Ann * * *")).expect("it is told");
            assert!(idle.parameter(2).parse::<u64>().unwrap() < 60);
            assert!(idle.parameter(3).parse::<u64>().unwrap() > 1_700_000_000);
            let known = ["301", "311", "312", "313", "317", "318", "319", "338", "378", "379", "671"];
            assert!(lines.iter().all(|line| known.contains(&line.command().as_str())), "{lines:?}");
        }
        // Those inside see the hidden room.
        ann.say("WHOIS ann");
        assert!(ann.flush().iter().any(|line| line.command() == "319" && line.text().contains("#hidden")));
    }

    fn whois_ends_with_what_was_asked(engine) {
        let house = house(engine);
        let [_ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        bob.say("WHOIS Ann,BOB");
        assert!(bob.flush().last().unwrap().is("318 bob Ann,BOB *"));
    }

    fn whois_tells_who_comes_over_tls(engine) {
        for tls in [false, true] {
            let house = house(Way { engine, tls });
            let [_ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
            bob.say("WHOIS ann");
            let told = bob.flush().iter().any(|line| line.is("671 bob ann *"));
            assert_eq!(told, tls);
        }
    }

    fn whois_tells_about_nobody(engine) {
        let house = house(engine);
        let mut bob = house.talker("bob");
        bob.ask("WHOIS nobody", &["401 bob nobody *", "318 bob nobody *"]);
        bob.ask("WHOIS", &["431 bob *"]);
        bob.say("WHOIS nowhere.example bob");
        bob.hear("402 bob nowhere.example *");
    }

    fn whowas_remembers_the_last_first(engine) {
        let house = house(engine);
        let mut bob = house.talker("bob");
        for user in ["first", "second"] {
            let mut ann = house.call();
            ann.say("NICK ann");
            ann.say(&format!("USER {user} 0 * :Ann the {user}"));
            ann.hear("001 ann *");
            ann.say("QUIT");
            ann.is_shown_out();
        }
        let (first, second) = ("314 bob ann *first 127.0.0.1 * :Ann the first", "314 bob ann *second 127.0.0.1 * :Ann the second");
        for (line, due) in [
            ("WHOWAS ann", &[second, first][..]),
            ("WHOWAS ann 1", &[second]),
            ("WHOWAS ann 2", &[second, first]),
            ("WHOWAS ann 0", &[second, first]),
            ("WHOWAS ann -1", &[second, first]),
            ("WHOWAS ANN 1", &[second]),
        ] {
            bob.say(line);
            let lines = bob.flush();
            let (end, lines) = lines.split_last().unwrap();
            assert!(end.is("369 bob ann *") || end.is("369 bob ANN *"), "{end}");
            let about = [&format!("312 bob ann {NAME} *"), "338 bob ann * *"];
            let entries: Vec<&Line> =
                lines.iter().filter(|line| !about.iter().any(|about| line.is(about))).collect();
            assert_eq!(entries.len(), due.len(), "{line}: {lines:?}");
            assert!(entries.iter().zip(due).all(|(line, due)| line.is(due)), "{lines:?}");
        }
        bob.ask("WHOWAS nobody", &["406 bob nobody *", "369 bob nobody *"]);
    }

    fn whowas_knows_former_nicks(engine) {
        let house = house(engine);
        let [mut ann, mut bob] = ["ann", "bob"].map(|nick| house.talker(nick));
        bob.ask("WHOWAS ann", &["406 bob ann *", "369 bob ann *"]);
        ann.ask("NICK anna", &[":ann NICK anna"]);
        bob.say("WHOWAS ann");
        bob.hear("314 bob ann *ann 127.0.0.1 * :ANN in person");
    }

    fn userhost_and_ison_tell_in_short(engine) {
        let house = start(engine, &RUN);
        let mut ann = house.operator("Ann", &RUN);
        let mut bob = house.talker("bob");
        bob.say("USERHOST ann nobody BOB");
        let hosts = bob.hear("302 bob *").text();
        let hosts: Vec<&str> = hosts.split_whitespace().collect();
        assert_eq!(hosts.len(), 2);
        assert!(hosts[0].starts_with("Ann*=+") && hosts[0].ends_with("Ann@127.0.0.1"), "{hosts:?}");
        assert!(hosts[1].starts_with("bob=+"), "{hosts:?}");
        ann.say("AWAY :gone");
        ann.flush();
        bob.say("USERHOST Ann");
        assert!(bob.hear("302 bob *").text().starts_with("Ann*=-"));
        bob.ask("USERHOST", &["461 bob USERHOST *"]);
        bob.say("ISON ann nobody bob");
        assert_eq!(bob.hear("303 bob *").text().trim_end(), "Ann bob");
        bob.say("ISON :nobody ann");
        assert_eq!(bob.hear("303 bob *").text().trim_end(), "Ann");
        bob.ask("ISON nobody", &["303 bob :"]);
        bob.ask("ISON", &["461 bob ISON *"]);
    }

    fn a_monitor_tells_who_comes_and_goes(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.ask("MONITOR + Bob", &["731 ann Bob"]);
        let mut bob = house.talker("bob");
        ann.hear("730 ann bob!*@127.0.0.1");
        bob.say("QUIT");
        bob.is_shown_out();
        ann.hear("731 ann bob");
        let mut eve = house.talker("eve");
        ann.ask_unordered("MONITOR + eve,tom", &["730 ann eve!*@*", "731 ann tom"]);
        ann.ask_unordered("MONITOR S", &["730 ann eve!*@*", "731 ann *"]);
        // A change of nick is a farewell and an arrival; a change of case is nothing.
        eve.ask("NICK bOB", &[":eve NICK bOB"]);
        let mut told: Vec<String> = ann.flush().iter().map(|line| format!("{} {}", line.command(), line.text())).collect();
        told.sort();
        assert!(told.len() == 2 && told[0].starts_with("730 bOB!") && told[1] == "731 eve", "{told:?}");
        eve.ask("NICK BOB", &[":bOB NICK BOB"]);
        ann.hear_nothing();
        eve.ask("NICK eva", &[":BOB NICK eva"]);
        ann.hear("731 ann BOB");
    }

    fn a_monitor_has_a_list(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        let list = |ann: &mut Talker| {
            ann.say("MONITOR L");
            let mut lines = ann.flush();
            assert!(lines.pop().unwrap().is("733 ann *"));
            assert!(lines.iter().all(|line| line.is("732 ann *")), "{lines:?}");
            let mut nicks: Vec<String> =
                lines.iter().flat_map(|line| line.text().split(',').map(str::to_owned).collect::<Vec<_>>()).collect();
            nicks.sort();
            nicks
        };
        assert!(list(&mut ann).is_empty());
        ann.say("MONITOR + bob,eve");
        ann.say("MONITOR + tom,BOB");
        ann.flush();
        assert_eq!(list(&mut ann).len(), 3);
        ann.ask("MONITOR - BOB,nobody", &[]);
        assert_eq!(list(&mut ann), ["eve", "tom"]);
        ann.ask("MONITOR C", &[]);
        assert!(list(&mut ann).is_empty());
        let _bob = house.talker("bob");
        ann.hear_nothing();
        // No masks: nobody is to be followed through their nicks.
        ann.say("MONITOR + *!bob@127.0.0.1");
        assert!(ann.flush().iter().all(|line| line.command() == "731"));
        let _eve = house.talker("eve");
        ann.hear_nothing();
    }

    fn a_monitor_has_an_end(engine) {
        let house = house(engine);
        let mut ann = house.call();
        ann.introduce("ann");
        let limit = ann.flush().iter().find_map(|line| {
            let tokens = line.message();
            let token = tokens.parameters().iter().find_map(|token| token.strip_prefix(b"MONITOR="))?;
            String::from_utf8_lossy(token).parse::<usize>().ok()
        });
        let limit = limit.expect("it is announced");
        for n in 0..limit {
            ann.say(&format!("MONITOR + guest{n}"));
            ann.hear(&format!("731 ann guest{n}"));
        }
        ann.ask("MONITOR + more,most", &[&format!("734 ann {limit} more,most *")]);
    }
}

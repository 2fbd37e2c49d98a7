//! Chat: what the server tells about itself.

mod support;

use std::collections::BTreeMap;

use support::irc::{House, Line, NAME, Settings, Talker, house, start};
use support::on_both_engines;

const RUN: Settings = Settings {
    password: None,
    operator: Some(("root", "toor")),
    motd: &["Be kind.", "", "  Be brief."],
};

/// What 005 announces.
fn tokens(house: &House) -> BTreeMap<String, String> {
    let mut ann = house.call();
    ann.introduce("token-reader");
    let mut tokens = BTreeMap::new();
    for line in ann.flush().iter().filter(|line| line.command() == "005") {
        let message = line.message();
        let [nick, some @ .., text] = message.parameters() else { panic!("{line}") };
        assert_eq!(nick, b"token-reader");
        assert!(!some.is_empty() && some.len() <= 13 && text.contains(&b' '), "{line}");
        for token in some {
            let token = String::from_utf8(token.to_vec()).expect("ASCII");
            assert!(token.is_ascii());
            let (key, value) = token.split_once('=').unwrap_or((&token, ""));
            assert!(!value.contains('='), "{token}");
            let before = tokens.insert(key.to_owned(), value.to_owned());
            assert_eq!(before, None, "{key} comes twice");
        }
    }
    ann.say("QUIT");
    ann.is_shown_out();
    tokens
}

/// The numbers in the answers to LUSERS.
#[derive(Debug, PartialEq)]
struct Users {
    visible: usize,
    invisible: usize,
    operators: usize,
    unknown: usize,
    rooms: usize,
    here: usize,
    most: usize,
}

fn users(talker: &mut Talker) -> Users {
    talker.say("LUSERS");
    let lines = talker.flush();
    let find = |code: &str| lines.iter().find(|line| line.command() == code);
    let number = |code: &str, at| find(code).map_or(0, |line| line.parameter(at).parse().unwrap());
    let numbers = |line: &Line| -> Vec<usize> {
        line.text().split(' ').filter_map(|word| word.parse().ok()).collect()
    };
    let nick = talker.nick.clone();
    assert!(lines.iter().all(|line| line.parameter(0) == nick), "{lines:?}");
    let everybody = numbers(find("251").expect("251 is due"));
    assert_eq!(everybody.len(), 3);
    assert_eq!(everybody[2], 1);
    for code in ["265", "266"] {
        let line = find(code).expect("it is due");
        assert!(line.is(&format!("{code} {nick} * * *")), "{line}");
        assert_eq!(number(code, 1), everybody[0] + everybody[1]);
    }
    assert_eq!(numbers(find("255").expect("255 is due"))[0], number("265", 1));
    Users {
        visible: everybody[0],
        invisible: everybody[1],
        operators: number("252", 1),
        unknown: number("253", 1),
        rooms: number("254", 1),
        here: number("265", 1),
        most: number("265", 2),
    }
}

on_both_engines! {
    fn its_features_are_announced(engine) {
        let house = house(engine);
        let tokens = tokens(&house);
        for (key, value) in [
            ("CASEMAPPING", "ascii"), ("CHANTYPES", "#&"), ("PREFIX", "(ov)@+"),
            ("CHANMODES", "beI,k,l,imnst"), ("NICKLEN", "30"), ("STATUSMSG", "@+"),
            ("UTF8ONLY", ""), ("WHOX", ""),
        ] {
            assert_eq!(tokens.get(key).map(String::as_str), Some(value), "{key}");
        }
        for length in ["CHANNELLEN", "TOPICLEN", "KICKLEN", "AWAYLEN", "MONITOR", "MODES"] {
            assert!(tokens[length].parse::<usize>().unwrap() > 0, "{length}");
        }
        for (key, letter) in [("EXCEPTS", "e"), ("INVEX", "I")] {
            assert!(["", letter].contains(&tokens[key].as_str()), "{key}");
        }
        for pair in tokens["TARGMAX"].split(',').chain(tokens["CHANLIMIT"].split(',')).chain(tokens["MAXLIST"].split(',')) {
            let (_, number) = pair.split_once(':').expect("a colon");
            assert!(number.is_empty() || number.parse::<usize>().unwrap() > 0, "{pair}");
        }
        assert!(tokens["ELIST"].chars().all(|letter| "CMNTU".contains(letter)));
    }

    fn the_message_of_the_day_is_told_line_by_line(engine) {
        let house = start(engine, &RUN);
        let mut ann = house.talker("ann");
        for question in ["MOTD", &format!("MOTD {NAME}"), "MOTD ann"] {
            ann.say(question);
            let lines = ann.flush();
            assert!(lines[0].is("375 ann *") && lines[lines.len() - 1].is("376 ann *"), "{lines:?}");
            let words: Vec<String> = lines[1..lines.len() - 1].iter().map(Line::text).collect();
            assert_eq!(words.len(), 3);
            assert!(words[0].contains("Be kind.") && words[2].contains("  Be brief."));
        }
        ann.ask("MOTD elsewhere.example", &["402 ann elsewhere.example *"]);
    }

    fn its_version_and_features_are_told(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.say("VERSION");
        let lines = ann.flush();
        assert!(lines[0].is(&format!("351 ann * {NAME} *")), "{lines:?}");
        assert!(lines.len() > 1 && lines[1..].iter().all(|line| line.command() == "005"));
        ann.ask("VERSION elsewhere.example", &["402 ann elsewhere.example *"]);
    }

    fn its_time_is_told(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.ask("TIME", &[&format!("391 ann {NAME} *")]);
        ann.ask("TIME chat.*", &[&format!("391 ann {NAME} *")]);
        ann.ask("TIME elsewhere.example", &["402 ann elsewhere.example *"]);
    }

    fn who_runs_it_is_told(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.say("ADMIN");
        let first = ann.next();
        assert!(first.is("256 ann *") || first.is(&format!("256 ann {NAME} *")), "{first}");
        ann.hear_all(&["257 ann *", "258 ann *", "259 ann *"]);
        ann.hear_nothing();
        ann.ask("ADMIN elsewhere.example", &["402 ann elsewhere.example *"]);
    }

    fn it_tells_about_itself(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        for question in ["INFO", &format!("INFO {NAME}"), "INFO chat*", "INFO ann"] {
            ann.say(question);
            let lines = ann.flush();
            let (end, lines) = lines.split_last().unwrap();
            assert!(end.is("374 ann *"), "{end}");
            assert!(lines.iter().all(|line| line.is("371 ann *")), "{lines:?}");
        }
        ann.ask("INFO elsewhere.example", &["402 ann elsewhere.example *"]);
    }

    fn help_is_given(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        for (question, subject) in [("HELP", "*"), ("HELP PRIVMSG", "PRIVMSG"), ("HELP privmsg", "????*")] {
            ann.say(question);
            let lines = ann.flush();
            assert!(lines[0].is(&format!("704 ann {subject} *")), "{lines:?}");
            let shown = lines[0].parameter(1);
            let (end, middle) = lines[1..].split_last().unwrap();
            assert!(end.is(&format!("706 ann {shown} *")), "{end}");
            assert!(middle.iter().all(|line| line.is(&format!("705 ann {shown} *"))), "{middle:?}");
        }
        ann.ask("HELP NONSENSE", &["524 ann NONSENSE *"]);
        // What is no parameter in the middle of a line cannot be repeated there.
        ann.say("HELP :two words");
        assert_eq!(ann.hear("524 ann * *").parameter(1), "*");
    }

    fn it_is_alone(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.say("LINKS");
        let lines = ann.flush();
        let (end, lines) = lines.split_last().unwrap();
        assert_eq!(end.parameter(1), "*");
        assert!(end.is("365 ann * *"), "{end}");
        assert!(lines.iter().all(|line| line.is(&format!("364 ann {NAME} {NAME} :0 *"))), "{lines:?}");
    }

    fn statistics_end_with_their_letter(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.say("STATS u");
        assert!(ann.flush().last().unwrap().is("219 ann u *"));
        ann.say("STATS Z");
        assert!(ann.flush().last().unwrap().is("219 ann Z *"));
        ann.ask("STATS", &["461 ann STATS *"]);
    }

    fn everybody_is_counted(engine) {
        let house = start(engine, &RUN);
        let mut ann = house.talker("ann");
        let mut due = Users { visible: 1, invisible: 0, operators: 0, unknown: 0, rooms: 0, here: 1, most: 1 };
        assert_eq!(users(&mut ann), due);

        let mut bob = house.call();
        bob.say("NICK bob");
        bob.say("CAP LIST");
        bob.hear("CAP * LIST *");
        due.unknown = 1;
        assert_eq!(users(&mut ann), due);

        bob.register("bob");
        bob.ask("MODE bob +i", &[":bob MODE bob +i"]);
        bob.say("JOIN #one,#two");
        bob.flush();
        due = Users { visible: 1, invisible: 1, operators: 0, unknown: 0, rooms: 2, here: 2, most: 2 };
        assert_eq!(users(&mut ann), due);
        assert_eq!(users(&mut bob), due);

        ann.say("OPER root toor");
        ann.flush();
        due.operators = 1;
        assert_eq!(users(&mut bob), due);
        ann.say("MODE ann -o");
        ann.flush();
        due.operators = 0;
        assert_eq!(users(&mut bob), due);

        bob.say("QUIT");
        bob.is_shown_out();
        due = Users { visible: 1, invisible: 0, operators: 0, unknown: 0, rooms: 0, here: 1, most: 2 };
        assert_eq!(users(&mut ann), due);

        // One who leaves before they came in is not counted any more, either.
        let mut tom = house.call();
        tom.say("NICK tom");
        tom.say("QUIT");
        tom.is_shown_out();
        assert_eq!(users(&mut ann), due);
    }
}

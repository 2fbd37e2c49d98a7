//! Chat: which extensions there are, and how they are agreed on (IRCv3 capability negotiation).

mod support;

use std::collections::BTreeSet;

use support::irc::{Talker, house};
use support::on_both_engines;

const ALL: &str = "away-notify batch cap-notify echo-message extended-join invite-notify \
                   labeled-response message-tags multi-prefix server-time setname \
                   userhost-in-names";

/// What CAP LIST or LS says, in one line.
fn listed(talker: &mut Talker, line: &str) -> BTreeSet<String> {
    talker.say(line);
    let sub = line.split(' ').nth(1).unwrap();
    let listed = talker.hear(&format!("CAP {} {sub} *", talker.nick)).text();
    listed.split_whitespace().map(str::to_owned).collect()
}

fn set(names: &str) -> BTreeSet<String> {
    names.split_whitespace().map(str::to_owned).collect()
}

on_both_engines! {
    fn everything_on_offer_is_listed_in_one_line(engine) {
        let house = house(engine);
        for line in ["CAP LS", "CAP LS 302", "CAP LS 307"] {
            let mut ann = house.call();
            let offered = listed(&mut ann, line);
            // Values came with 302.
            let names: BTreeSet<String> =
                offered.iter().map(|cap| cap.split('=').next().unwrap().to_owned()).collect();
            assert!(names.is_superset(&set(ALL)), "{names:?}");
            assert!(line != "CAP LS" || offered == names);
        }
    }

    fn a_list_of_nothing_is_an_empty_parameter(engine) {
        let house = house(engine);
        let mut ann = house.call();
        ann.say("CAP LIST");
        assert_eq!(ann.hear("CAP * LIST *").text(), "");
    }

    fn negotiation_holds_the_welcome_back(engine) {
        let house = house(engine);
        for first in ["CAP LS", "CAP LS 302", "CAP REQ :batch", "CAP REQ :nonsense"] {
            let mut ann = house.call();
            ann.say(first);
            assert_eq!(ann.next().command(), "CAP");
            ann.introduce("ann");
            ann.say("CAP LIST");
            ann.hear("CAP * LIST *");
            ann.say("CAP END");
            ann.hear("001 ann *");
            ann.say("QUIT");
            ann.is_shown_out();
        }
    }

    fn what_is_asked_for_comes_as_a_whole_or_not_at_all(engine) {
        let house = house(engine);
        let mut ann = house.call();
        for list in ["foo", "foo qux bar baz qux quux", "foo batch bar", "batch foo", "foo batch"] {
            ann.say(&format!("CAP REQ :{list}"));
            ann.hear(&format!("CAP * NAK :{list}"));
        }
        assert_eq!(listed(&mut ann, "CAP LIST"), set(""));
        ann.say("CAP REQ :setname batch");
        ann.hear("CAP * ACK :setname batch");
        ann.say("CAP REQ multi-prefix");
        ann.hear("CAP * ACK multi-prefix");
        assert_eq!(listed(&mut ann, "CAP LIST"), set("batch multi-prefix setname"));
    }

    fn all_of_them_can_be_had_at_once(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", ALL);
        assert_eq!(listed(&mut ann, "CAP LIST"), set(ALL));
    }

    fn capabilities_come_and_go_after_the_welcome(engine) {
        let house = house(engine);
        let mut ann = house.talker("ann");
        ann.ask("CAP REQ :setname server-time", &["CAP ann ACK :setname server-time"]);
        assert_eq!(listed(&mut ann, "CAP LIST"), set("setname server-time"));
        ann.say("CAP REQ :-server-time");
        ann.skip_to("CAP ann ACK -server-time");
        ann.say("CAP LIST");
        let line = ann.hear("CAP ann LIST setname");
        assert_eq!(line.tag("time"), None);
        ann.ask("CAP REQ :-setname nonsense", &["CAP ann NAK :-setname nonsense"]);
        assert_eq!(listed(&mut ann, "CAP LIST"), set("setname"));
        ann.ask("CAP END", &[]);
    }

    fn what_cap_does_not_know_is_named(engine) {
        let house = house(engine);
        let mut ann = house.call();
        ann.say("CAP FROB");
        ann.hear("410 * FROB *");
        ann.say("CAP");
        ann.hear("461 * CAP *");
        ann.register("ann");
        ann.ask("CAP FROB", &["410 ann FROB *"]);
    }

    fn every_line_has_the_time_for_those_who_asked(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", "server-time");
        let mut bob = house.talker("bob");
        bob.say("PRIVMSG ann :what time is it?");
        bob.hear_nothing();
        let time = ann.hear(":bob PRIVMSG ann *").tag("time").expect("there is a time");
        let shape: String =
            time.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        assert_eq!(shape, "0000-00-00T00:00:00.000Z");
        ann.say("PRIVMSG bob :now");
        assert!(!bob.hear(":ann PRIVMSG bob now").0.starts_with(b"@"));
        ann.say("JOIN #room");
        assert!(ann.flush().iter().all(|line| line.tag("time").is_some()));
    }

    fn joins_say_more_to_those_who_asked(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", "extended-join");
        let mut bob = house.talker("bob");
        ann.say("JOIN #room");
        ann.hear(":ann!*@* JOIN #room * :ANN in person");
        ann.flush();
        bob.say("JOIN #room");
        bob.hear(":bob JOIN #room");
        ann.hear(":bob!*@* JOIN #room * :BOB in person");
    }

    fn all_prefixes_are_shown_to_those_who_asked(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", "multi-prefix");
        ann.say("JOIN #room");
        ann.flush();
        ann.ask("MODE #room +v ann", &["MODE #room +v ann"]);
        let mut bob = house.talker("bob");
        bob.say("JOIN #room");
        bob.flush();
        ann.flush();
        ann.say("NAMES #room");
        let names = ann.hear("353 ann = #room *").text();
        assert!(names == "@+ann bob" || names == "bob @+ann", "{names}");
        ann.flush();
        ann.ask_unordered("WHO #room", &[
            "352 ann #room * * * ann H@+ *",
            "352 ann #room * * * bob H *",
            "315 ann #room *",
        ]);
        bob.say("NAMES #room");
        let names = bob.hear("353 bob = #room *").text();
        assert!(names == "@ann bob" || names == "bob @ann", "{names}");
    }

    fn names_have_hosts_for_those_who_asked(engine) {
        let house = house(engine);
        let mut ann = house.talker_with("ann", "userhost-in-names");
        ann.say("JOIN #room");
        ann.hear(":ann JOIN #room");
        let who = ann.hear("353 ann = #room @ann!*@*").text();
        ann.flush();
        ann.say("PRIVMSG ann :me");
        assert_eq!(format!("@{}", ann.hear("PRIVMSG ann me").source()), who);
    }
}

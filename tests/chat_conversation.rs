//! The chat client as a state machine: lines in, events and lines out, no sockets.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use proptest::prelude::*;
use socklab::client::chat::{Act, Conversation, Event, Lines, Settings, Words};

fn settings(rooms: &[&str]) -> Settings {
    Settings {
        nick: "nadia".into(),
        user: "nadia".into(),
        password: None,
        rooms: rooms.iter().map(|room| (room.to_string(), None)).collect(),
        patience: Duration::from_secs(1),
        listen: false,
        verbatim: false,
        interrupt: None,
    }
}

/// A conversation, and what it was told.
struct Client {
    conversation: Conversation,
    events: Vec<Event>,
}

impl Client {
    fn new(settings: &Settings) -> Client {
        Client { conversation: Conversation::new(settings), events: Vec::new() }
    }

    /// In `#lab`, as `nadia!~nadia@localhost`, with all questions answered.
    fn in_lab() -> Client {
        let mut client = Client::new(&settings(&["#lab"]));
        client.hears(&[
            ":srv 001 nadia :Welcome",
            ":srv 005 nadia CASEMAPPING=ascii CHANTYPES=# PREFIX=(ov)@+ :are supported",
            ":nadia!~nadia@localhost JOIN #lab",
            ":srv 353 nadia = #lab :nadia @bob",
            ":srv 366 nadia #lab :End of NAMES",
        ]);
        client.settle();
        client.events.clear();
        client
    }

    fn hears(&mut self, lines: &[&str]) {
        for line in lines {
            self.conversation.hear(line.as_bytes(), &mut self.events);
        }
    }

    fn types(&mut self, line: &[u8]) -> Act {
        self.conversation.obey(line, &mut self.events)
    }

    /// What it sends now.
    fn says(&mut self) -> Vec<String> {
        let lines = std::iter::from_fn(|| self.conversation.next_line());
        lines.map(|line| String::from_utf8_lossy(&line).into_owned()).collect()
    }

    /// Everything that it sends, when each question is answered.
    fn settle(&mut self) -> Vec<String> {
        let mut all = Vec::new();
        loop {
            let lines = self.says();
            if lines.is_empty() {
                return all;
            }
            for line in lines {
                match line.strip_prefix("PING ") {
                    Some(token) => self.hears(&[&format!(":srv PONG srv :{}", token.trim_end())]),
                    None => all.push(line),
                }
            }
        }
    }

    /// What a person reads since the last look, without the times.
    fn shows(&mut self) -> Vec<String> {
        let words = Words { zone: TimeZone::UTC, seconds: false };
        let several = self.conversation.rooms().are_several();
        let lines = std::mem::take(&mut self.events)
            .iter()
            .map(|event| words.lines(event, Timestamp::UNIX_EPOCH, several))
            .collect::<String>();
        lines.lines().map(|line| line.split_once(' ').expect("a time").1.to_owned()).collect()
    }
}

#[test]
fn a_server_that_knows_capabilities_is_asked_for_those_it_has() {
    let mut client = Client::new(&settings(&["#lab"]));
    assert_eq!(client.says(), ["CAP LS 302\r\n", "NICK nadia\r\n", "USER nadia 0 * :nadia\r\n"]);
    client.hears(&[":srv CAP * LS * :sasl=PLAIN,EXTERNAL server-time"]);
    assert!(client.says().is_empty(), "the list goes on");
    client.hears(&[":srv CAP * LS :message-tags setname echo-message"]);
    assert_eq!(client.says(), ["CAP REQ :server-time message-tags\r\n"]);
    client.hears(&[":srv CAP nadia ACK :server-time message-tags"]);
    assert_eq!(client.says(), ["CAP END\r\n"]);
    client.hears(&[":srv 001 nadia :Welcome"]);
    assert_eq!(client.settle(), ["JOIN #lab\r\n"]);
}

#[test]
fn capabilities_that_it_does_not_have_are_not_asked_for() {
    let mut client = Client::new(&settings(&[]));
    client.says();
    client.hears(&[":srv CAP * LS :sasl tls"]);
    assert_eq!(client.says(), ["CAP END\r\n"]);
}

#[test]
fn a_server_that_knows_no_capabilities_lets_us_in_without() {
    let mut client = Client::new(&settings(&["#lab", "#two"]));
    client.says();
    client.hears(&[":srv 421 * CAP :Unknown command", ":srv 451 * :Register first"]);
    assert!(client.says().is_empty() && client.shows().is_empty());
    client.hears(&["PING :12345"]);
    assert_eq!(client.says(), ["PONG :12345\r\n"]);
    client.hears(&[":srv 001 nad :Welcome"]);
    assert_eq!(client.settle(), ["JOIN #lab\r\n", "JOIN #two\r\n"]);
    assert_eq!(client.shows(), ["-- the server has let you in as nad"]);
}

#[test]
fn another_nick_is_tried_when_one_is_taken() {
    let mut client = Client::new(&settings(&[]));
    client.says();
    client.hears(&[":srv 433 * nadia :Nickname is already in use"]);
    assert_eq!(client.says(), ["NICK nadia_\r\n"]);
    assert_eq!(client.shows(), ["-- the nick nadia is not to be had; trying nadia_"]);
    client.hears(&[":srv 432 * nadia_ :too long"]);
    assert_eq!(client.says(), ["NICK nadi_\r\n"], "the server has no longer ones");
    for next in ["nadi__", "nadi___"] {
        client.hears(&[":srv 433 * x :Nickname is already in use"]);
        assert_eq!(client.says(), [format!("NICK {next}\r\n")]);
    }
    client.events.clear();
    client.hears(&[":srv 433 * nadi___ :Nickname is already in use"]);
    assert!(matches!(&client.events[..], [Event::Denied(why)] if why.contains("--nick")));
}

#[test]
fn who_is_not_let_in_is_told_what_to_do() {
    for (line, advice) in [
        (":srv 464 * :Bad Password", "--password-file"),
        (":srv 465 * :You are banned: go away", "go away"),
        (":srv 432 * nadia :Erroneous nickname", "--nick"),
    ] {
        let mut client = Client::new(&settings(&[]));
        client.hears(&[line]);
        assert!(matches!(&client.events[..], [Event::Denied(why)] if why.contains(advice)));
    }
}

#[test]
fn a_password_comes_before_the_nick() {
    let password = Some(b"open: sesame".to_vec());
    let mut client = Client::new(&Settings { password, ..settings(&[]) });
    assert_eq!(client.says()[1..3], ["PASS :open: sesame\r\n", "NICK nadia\r\n"]);
}

#[test]
fn what_happens_is_told_in_words() {
    let cases = [
        (":bob!b@h PRIVMSG #lab :hello", "<bob> hello"),
        (":bob!b@h PRIVMSG #LAB hello", "<bob> hello"),
        (":bob!b@h PRIVMSG nadia :psst", "(private) <bob> psst"),
        (":bob!b@h PRIVMSG #lab :\x01ACTION waves\x01", "* bob waves"),
        (":bob!b@h PRIVMSG #lab :\x01ACTION waves", "* bob waves"),
        (":bob!b@h NOTICE #lab :beware", "-bob- beware"),
        (":srv NOTICE nadia :server's notice", "-- server's notice"),
        (":bob!b@h PRIVMSG nadia :\x01VERSION\x01", "-- bob's client says VERSION to ours"),
        (":bob!b@h PRIVMSG #lab :\x1b[2J\x02bold\x02\x03", "<bob> \u{fffd}[2Jbold"),
        ("@time=2001-09-09T01:46:40.000Z :bob!b@h PRIVMSG #lab :then", "<bob> then"),
        (":ann!a@h JOIN #lab", "-- ann has entered #lab"),
        (":ann!a@h PART #lab :tired", "-- ann has left #lab (tired)"),
        (":bob!b@h QUIT :bye", "-- bob is gone (bye)"),
        (":bob!b@h NICK rob", "-- bob is called rob now"),
        (":bob!b@h KICK #lab ann :spam", "-- bob has thrown ann out of #lab (spam)"),
        (":bob!b@h TOPIC #lab :work", "-- bob has changed the topic of #lab: work"),
        (":bob!b@h MODE #lab +o ann", "-- bob sets +o ann for #lab"),
        (":bob!b@h INVITE nadia #two", "-- bob invites you to #two; /join #two enters it"),
        (":srv 332 nadia #lab :work", "-- the topic of #lab: work"),
        (":srv 333 nadia #lab bob!b@h 60", "-- bob has set the topic of #lab on 1970-01-01 00:01"),
        (":srv 333 nadia #lab bob", "-- bob has set the topic of #lab"),
        (":srv 331 nadia #lab :No topic", "-- #lab has no topic"),
        (":srv 372 nadia :- Welcome", "-- Welcome"),
        (":srv 401 nadia ann :No such nick", "-- there is nobody and no room called ann"),
        (":srv 473 nadia #x :(+i)", "-- cannot enter #x: #x is for those who were invited"),
        (":srv 482 nadia #lab :no", "-- only operators of #lab may do that"),
        (":srv 599 nadia :What is that", "-- What is that"),
        (":srv 301 nadia bob :away", "-- bob away"),
        ("ERROR :Closing Link", "-- the server ends the connection: Closing Link"),
    ];
    for (line, shown) in cases {
        let mut client = Client::in_lab();
        client.hears(&[line]);
        assert_eq!(client.shows(), [shown], "{line}");
        assert!(client.says().is_empty(), "{line} is answered");
    }
}

#[test]
fn what_needs_no_words_has_none() {
    for line in [
        "",
        " ",
        ":",
        "@",
        ":x",
        "FOO",
        "JOIN",
        ":x JOIN",
        "PRIVMSG",
        ":x!y@z PRIVMSG a",
        ":srv 375 nadia :-",
        ":srv 376 nadia :End",
        "KICK",
        ":x TAGMSG #lab",
        "PONG",
        "001",
    ] {
        let mut client = Client::in_lab();
        client.hears(&[line]);
        client.says();
    }
}

#[test]
fn names_are_sorted_and_known() {
    let mut client = Client::in_lab();
    client.hears(&[
        ":srv 353 nadia = #lab :zoe @bob nadia",
        ":srv 353 nadia = #lab :+Ann carl ",
        ":srv 366 nadia #lab :End",
    ]);
    assert_eq!(client.shows(), ["-- in #lab: +Ann @bob carl nadia zoe"]);
    client.hears(&[":zoe!z@h NICK abel", ":carl!c@h QUIT :x", ":dan!d@h JOIN #lab"]);
    let room = client.conversation.rooms().current().expect("it is in one");
    assert_eq!(room.people().collect::<Vec<_>>(), ["abel", "Ann", "bob", "dan", "nadia"]);
}

#[test]
fn lines_go_to_the_room_entered_last() {
    let mut client = Client::in_lab();
    assert_eq!(client.types(b"/join two"), Act::Asked);
    assert_eq!(client.settle(), ["JOIN #two\r\n"]);
    client.hears(&[":nadia!~nadia@localhost JOIN #two"]);
    client.types(b"in two");
    client.types(b"/join #LAB");
    client.types(b"in lab");
    client.types(b"/me waves");
    client.types(b"//quit");
    assert_eq!(
        client.settle(),
        [
            "PRIVMSG #two :in two\r\n",
            "PRIVMSG #lab :in lab\r\n",
            "PRIVMSG #lab :\x01ACTION waves\x01\r\n",
            "PRIVMSG #lab :/quit\r\n",
        ]
    );
    assert_eq!(
        client.shows(),
        [
            "-- nadia has entered #two",
            "#two <nadia> in two",
            "-- lines go to #LAB now",
            "#lab <nadia> in lab",
            "#lab * nadia waves",
            "#lab <nadia> /quit",
        ]
    );
    client.hears(&[":bob!b@h KICK #lab nadia :out"]);
    client.events.clear();
    client.types(b"still in lab?");
    assert!(client.settle().is_empty());
    assert_eq!(client.shows(), ["-- you are not in #lab any more; /join goes to another room"]);
    client.types(b"/join two");
    client.types(b"back in two");
    assert_eq!(client.settle(), ["PRIVMSG #two :back in two\r\n"]);
    client.types(b"/part so long");
    assert_eq!(client.settle(), ["PART #two :so long\r\n"]);
    client.hears(&[":nadia!~nadia@localhost PART #two"]);
    client.events.clear();
    client.types(b"anybody?");
    assert!(client.settle().is_empty());
    assert_eq!(client.shows(), ["-- you are in no room; /join #ROOM enters one"]);
}

#[test]
fn commands_become_lines() {
    let cases: [(&str, &str); 9] = [
        ("/msg bob hi there", "PRIVMSG bob :hi there\r\n"),
        ("/msg #other hi", "PRIVMSG #other :hi\r\n"),
        ("/nick nad", "NICK nad\r\n"),
        ("/nick :nad", "NICK nad\r\n"),
        ("/names", "NAMES #lab\r\n"),
        ("/names #two", "NAMES #two\r\n"),
        ("/topic", "TOPIC #lab\r\n"),
        ("/topic #lab new: one", "TOPIC #lab :new: one\r\n"),
        ("/join #two key", "JOIN #two key\r\n"),
    ];
    for (typed, line) in cases {
        let mut client = Client::in_lab();
        client.types(typed.as_bytes());
        assert_eq!(client.settle(), [line], "{typed}");
    }
    assert_eq!(Client::in_lab().types(b"/quit good night"), Act::Quit(b"good night".to_vec()));
}

proptest! {
    #[test]
    fn no_bytes_of_a_server_reach_the_screen_as_anything_but_text(
        bytes in proptest::collection::vec(
            prop_oneof![
                any::<u8>(),
                proptest::sample::select(&b"\x1b\x9b\x01\x03:@! #;=\r\n"[..]),
            ],
            0..120,
        ),
        before in proptest::sample::select(vec![
            "", ":bob!b@h PRIVMSG #lab :", ":bob!b@h NOTICE nadia :\x01", ":bob!b@h ", ":srv 4",
            ":srv 332 nadia ", ":", "@time=", "ERROR :", ":nadia!x@y JOIN ", "CAP * LS ",
            ":srv 353 nadia = #lab :", ":srv 001 ", ":nadia NICK ", "PING ",
        ]),
    ) {
        for mut client in [Client::in_lab(), Client::new(&settings(&["#lab"]))] {
            let mut lines = Lines::default();
            let Client { conversation, events } = &mut client;
            lines.split(&[before.as_bytes(), &bytes, b"\n"].concat(), |line| {
                conversation.hear(line, events)
            });
            for line in client.shows() {
                prop_assert!(!line.chars().any(char::is_control), "{line:?}");
            }
            client.types(b"hello");
            for line in client.says() {
                one_line(&line)?;
            }
        }
    }

    #[test]
    fn nothing_typed_is_more_than_a_line_or_longer_than_one(
        bytes in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(&b"\r\n\0\x01 :/"[..])],
            0..3000,
        ),
        before in proptest::sample::select(vec![
            "", "//", "/me ", "/msg ", "/msg bob ", "/topic ", "/join ", "/part ", "/nick ", "/names ",
        ]),
    ) {
        let mut client = Client::in_lab();
        client.types(&[before.as_bytes(), &bytes].concat());
        client.conversation.say(&bytes, &mut Vec::new());
        let mut longest = 0;
        for line in client.settle() {
            one_line(&line)?;
            if line.starts_with("PRIVMSG #lab ") {
                longest = longest.max(":nadia!~nadia@localhost ".len() + line.len());
            }
        }
        // Bytes that are no UTF-8 are longer here than they were.
        if std::str::from_utf8(&bytes).is_ok() {
            prop_assert!(longest <= 512, "{longest} bytes");
        }
    }
}

fn one_line(line: &str) -> Result<(), TestCaseError> {
    let inner = line.strip_suffix("\r\n").expect("each line has its end");
    prop_assert!(!inner.contains(['\r', '\n', '\0']), "{line:?}");
    Ok(())
}

//! Chat without sockets: time, floods, ends; and whatever is said, in whatever pieces, no line that
//! anybody hears is broken, and everybody knows who is where.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use socklab::service::Chat;
use socklab::service::chat::Settings;
use socklab::service::chat::message::{Message, Source};
use socklab::service::chat::settings::{Flood, Operator, Secret};
use socklab::session::{ConnectionId, Output, Service, Want};
use support::hall::Table;

fn table() -> Table {
    let root = Operator { name: "root".into(), password: Secret::new("secret") };
    Table::new(Settings { operators: vec![root], flood: None, ..Settings::default() })
}

/// Three people on `#lab`, who have heard nothing since.
fn three() -> Table {
    let mut table = table();
    for nick in ["ann", "bob", "eve"] {
        let seat = table.register(nick);
        table.say(seat, "JOIN #lab\r\n");
    }
    table.forget();
    table
}

#[test]
fn who_does_not_register_in_time_has_to_leave_however_busy_he_is() {
    let mut table = table();
    let seat = table.sit_down();
    for _ in 0..29 {
        table.pass(Duration::from_secs(1));
        table.say(seat, "PING x\r\n");
    }
    assert_eq!(table.seats[seat].want, Want::Read);
    table.forget();
    table.pass(Duration::from_secs(1));
    assert_eq!(table.heard(seat), ["ERROR :Closing Link: 127.0.0.1 (Registration timed out)"]);
    assert_eq!(table.seats[seat].failure.as_deref(), Some("has not registered within 30 s"));
}

#[test]
fn the_silent_are_asked_and_those_who_answer_stay() {
    let mut table = three();
    table.pass(Duration::from_secs(89));
    assert!(table.heard(0).is_empty());
    table.pass(Duration::from_secs(1));
    assert_eq!(table.heard(0), ["PING :socklab.local"]);
    table.pass(Duration::from_secs(89));
    table.say(0, "PONG :socklab.local\r\n");
    table.forget();
    table.pass(Duration::from_secs(1));
    // The others have not answered.
    let quit = |nick: &str| format!(":{nick}!{nick}@127.0.0.1 QUIT :Ping timeout: 180 s");
    assert_eq!(table.heard(0), [quit("bob"), quit("eve")]);
    assert!(!table.seats[0].gone && table.seats[1].gone && table.seats[2].gone);
    assert_eq!(table.seats[1].failure.as_deref(), Some("ping timeout: silent for 180 s"));
    table.pass(Duration::from_secs(600));
    assert!(table.seats[0].gone);
}

#[test]
fn a_flood_waits_for_its_tokens_and_who_sends_too_much_of_it_has_to_leave() {
    let flood = Some(Flood { burst: 5, per_second: 2.0 });
    let mut table = Table::new(Settings { flood, ..Settings::default() });
    let [loud, quiet] = ["loud", "quiet"].map(|nick| table.register(nick));
    table.pass(Duration::from_secs(10));
    table.forget();
    let lines: String = (0..10).map(|n| format!("PRIVMSG quiet :{n}\r\n")).collect();
    table.say(loud, &lines);
    assert_eq!(table.heard(quiet).len(), 5);
    table.pass(Duration::from_millis(499));
    assert_eq!(table.heard(quiet).len(), 0);
    table.pass(Duration::from_millis(1));
    assert_eq!(table.heard(quiet), [":loud!loud@127.0.0.1 PRIVMSG quiet :5"]);
    table.pass(Duration::from_millis(1500));
    assert_eq!(table.heard(quiet).len(), 3);
    // More than ten thousand bytes that wait are too many.
    let line = format!("PRIVMSG quiet :{}\r\n", "x".repeat(400));
    table.say(loud, &line.repeat(10));
    assert!(!table.seats[loud].gone);
    table.say(loud, &line.repeat(30));
    let last = table.heard(loud).pop();
    assert_eq!(last.as_deref(), Some("ERROR :Closing Link: 127.0.0.1 (Excess Flood)"));
}

#[test]
fn a_line_to_several_costs_as_many_tokens() {
    let flood = Some(Flood { burst: 6, per_second: 1.0 });
    let mut table = Table::new(Settings { flood, ..Settings::default() });
    let [loud, quiet] = ["loud", "quiet"].map(|nick| table.register(nick));
    table.pass(Duration::from_secs(10));
    table.forget();
    table.say(loud, &"PRIVMSG quiet,quiet,quiet :hi\r\n".repeat(3));
    assert_eq!(table.heard(quiet).len(), 6);
    // PING costs nothing, but waits its turn.
    table.say(loud, "PING x\r\n");
    table.pass(Duration::from_secs(1));
    assert_eq!((table.heard(quiet).len(), table.heard(loud).len()), (3, 0));
    table.pass(Duration::from_secs(3));
    assert_eq!(table.heard(loud).len(), 1);
}

#[test]
fn whom_a_kick_names_costs_as_many_tokens() {
    let flood = Some(Flood { burst: 6, per_second: 1.0 });
    let mut table = Table::new(Settings { flood, ..Settings::default() });
    let [ann, bob] = ["ann", "bob"].map(|nick| table.register(nick));
    table.say(ann, "JOIN #lab\r\n");
    table.say(bob, "JOIN #lab\r\n");
    table.pass(Duration::from_secs(10));
    table.forget();
    table.say(ann, "KICK #lab x,x,x,x,x,x,x\r\nPRIVMSG bob :hi\r\n");
    assert_eq!((table.heard(ann).len(), table.heard(bob).len()), (7, 0));
    table.pass(Duration::from_secs(2));
    assert_eq!(table.heard(bob).len(), 1);
}

/// An engine may keep alarms in whose place others were asked for: then all of them ring.
#[test]
fn an_alarm_that_rings_in_vain_is_not_asked_for_again() {
    let flood = Some(Flood { burst: 1, per_second: 10.0 });
    let chat = Chat::new(Settings { flood, ..Settings::default() });
    let peer = ([127, 0, 0, 1], 7).into();
    let mut session = chat.accept(peer, ConnectionId::new(0, 1));
    let mut now = Instant::now();
    let mut alarms = Vec::new();
    let mut tell = |now: Instant, alarms: &mut Vec<Instant>, words: Option<&str>| {
        let mut out = Output::new(Output::CHUNK);
        out.set_now(now);
        let want = match words {
            Some(words) => session.receive(words.as_bytes(), &mut out),
            None => session.wake(&mut out),
        };
        assert_eq!(want, Want::Read);
        alarms.extend(out.take_wake());
    };
    tell(now, &mut alarms, Some("NICK ann\r\n"));
    let mut pass = |alarms: &mut Vec<Instant>, words: Option<&str>| {
        tell(now, alarms, words);
        now += Duration::from_secs(1);
        while let Some(at) = alarms.iter().position(|at| *at <= now) {
            alarms.swap_remove(at);
            tell(now, alarms, None);
        }
    };
    pass(&mut alarms, Some("USER ann 0 * :ann\r\n"));
    // Each second it has to wait for a token, and a moment later it does not.
    for _ in 0..1000 {
        pass(&mut alarms, Some("TIME\r\nTIME\r\n"));
    }
    assert!(alarms.len() < 200, "{} alarms", alarms.len());
    for _ in 0..120 {
        pass(&mut alarms, Some("PONG\r\n"));
    }
    assert_eq!(alarms.len(), 1);
}

#[test]
fn who_takes_no_answer_is_shown_out_as_one_who_is_silent() {
    let chat = Chat::new(Settings { flood: None, ..Settings::default() });
    let mut session = chat.accept(([127, 0, 0, 1], 7).into(), ConnectionId::new(0, 1));
    let start = Instant::now();
    let mut out = Output::new(1000);
    out.set_now(start);
    session.open(&mut out);
    // Before the first alarm, so that this one rings too early.
    out.set_now(start + Duration::from_secs(1));
    let words = "NICK ann\r\nUSER ann 0 * :ann\r\nHELP\r\nHELP\r\n";
    assert_eq!(session.receive(words.as_bytes(), &mut out), Want::Write);
    let mut want = Want::Write;
    let mut rings = 0;
    while want != Want::Close {
        assert_eq!(want, Want::Write);
        let alarm = out.take_wake().expect("it is looked after");
        out.set_now(alarm);
        want = session.wake(&mut out);
        rings += 1;
    }
    assert!(out.now() <= start + Duration::from_secs(182), "{rings} rings");
    assert_eq!(out.take_failure().as_deref(), Some("ping timeout: silent for 180 s"));
}

#[test]
fn a_line_without_an_end_fills_no_memory() {
    let mut table = table();
    let seat = table.register("ann");
    table.forget();
    table.say(seat, &"x".repeat(10_000));
    assert!(!table.seats[seat].gone);
    table.say(seat, &"x".repeat(300));
    assert_eq!(table.heard(seat), ["ERROR :Closing Link: 127.0.0.1 (Excess Flood)"]);
}

#[test]
fn the_tail_of_an_overlong_line_is_no_command() {
    let mut table = three();
    let line = format!("PRIVMSG #lab :{}QUIT\r\nPING after\r\n", "x".repeat(600));
    for piece in line.as_bytes().chunks(514) {
        table.say_bytes(0, piece);
    }
    assert_eq!(
        table.heard(0),
        [
            ":socklab.local 417 ann :Input line was too long",
            ":socklab.local PONG socklab.local :after"
        ]
    );
    assert!(table.heard(1).is_empty());
}

#[test]
fn everybody_hears_how_somebody_left_and_his_name_is_free_at_once() {
    type Ending = fn(&mut Table);
    let endings: [(Ending, &str); 5] = [
        (|table| table.say(0, "QUIT :done\r\n"), "Quit: done"),
        (|table| table.eof(0), "Connection closed"),
        (|table| table.break_off(0), "Connection reset by peer"),
        (|table| table.overflow(0), "SendQ exceeded"),
        (
            |table| table.say(2, "OPER root secret\r\nKILL ann :why not\r\n"),
            "Killed (eve (why not))",
        ),
    ];
    for (leave, reason) in endings {
        let mut table = three();
        leave(&mut table);
        assert_eq!(table.heard(1), [format!(":ann!ann@127.0.0.1 QUIT :{reason}")]);
        assert!(table.seats[0].gone);
        let last = table.heard(0).pop();
        let broken = reason.starts_with("Connection reset");
        let error = format!("ERROR :Closing Link: 127.0.0.1 ({reason})");
        assert_eq!(last, (!broken).then_some(error));
        let next = table.register("ANN");
        assert!(table.heard(next)[0].contains(" 001 ANN "));
    }
}

#[test]
fn a_server_that_stops_tells_each_and_nobody_of_the_others() {
    let mut table = three();
    table.drain(0);
    assert_eq!(table.heard(0), ["ERROR :Closing Link: 127.0.0.1 (Server is shutting down)"]);
    assert!(table.heard(1).is_empty());
}

#[test]
fn a_long_list_is_given_as_it_is_taken() {
    let mut table = table();
    let seats: Vec<usize> = (0..100).map(|n| table.register(&format!("n{n}"))).collect();
    for (n, seat) in seats.iter().enumerate() {
        table.say(*seat, &format!("JOIN #lab,#room{n}\r\nTOPIC #room{n} :{}\r\n", "t".repeat(300)));
    }
    for (ask, lines) in [("LIST", 103), ("WHO #lab", 101), ("WHO *", 101), ("NAMES", 103)] {
        table.forget();
        table.chunk = 1000;
        table.seats[0].longest = 0;
        table.say(0, &format!("{ask}\r\nPING after\r\n"));
        let heard = table.heard(0);
        assert!(heard.len() >= lines, "{ask}: {}", heard.len());
        assert!(heard.last().unwrap().ends_with(" :after"));
        // A chunk and an answer of one line, or of the names of one room.
        assert!(table.seats[0].longest < 2500, "{ask}: {}", table.seats[0].longest);
    }
}

#[test]
fn relayed_lines_keep_their_length_and_their_characters() {
    let mut table = three();
    let text = "ü".repeat(248);
    table.say(0, &format!("PRIVMSG #lab :{text}\r\n"));
    let line = table.heard(1).remove(0);
    assert!((509..=510).contains(&line.len()));
    let relayed = line.strip_prefix(":ann!ann@127.0.0.1 PRIVMSG #lab :").unwrap();
    assert!(text.starts_with(relayed));
}

#[test]
fn names_are_whole_however_long_they_may_be() {
    let settings =
        Settings { nick_length: 100, channel_length: 150, flood: None, ..Settings::default() };
    let mut table = Table::new(Settings { name: "s".repeat(63), ..settings });
    let channel = format!("#{}", "c".repeat(149));
    let nicks: Vec<String> = (0..9).map(|n| n.to_string()).map(|n| "n".repeat(99) + &n).collect();
    for nick in &nicks {
        let seat = table.register(nick);
        table.say(seat, &format!("JOIN {channel}\r\n"));
    }
    table.forget();
    table.say(0, &format!("CAP REQ userhost-in-names\r\nNAMES {channel}\r\n"));
    let lines = table.heard(0);
    let names = lines.iter().filter(|line| line.contains(" 353 "));
    let names = names.flat_map(|line| line.rsplit(" :").next().unwrap().split(' '));
    let heard: BTreeSet<String> = names.map(|name| name.trim_start_matches('@').into()).collect();
    let source = |nick: &String| format!("{nick}!{}@127.0.0.1", &nick[..18]);
    assert_eq!(heard, nicks.iter().map(source).collect());
}

const NICKS: [&str; 5] = ["ann", "bob", "eve", "Ann", "zoë"];
const ROOMS: [&str; 6] = ["#a", "#A", "#b", "&c", "#", "nowhere"];

/// What somebody may say: sense, nonsense, and bytes.
fn line() -> impl Strategy<Value = Vec<u8>> {
    let word = prop_oneof![
        4 => select(&NICKS[..]).prop_map(str::to_owned),
        6 => select(&ROOMS[..]).prop_map(str::to_owned),
        1 => "[+-][iovbkleImnstx+-]{1,6}",
        1 => "[ -~ü😀]{0,40}",
        1 => Just("0".to_owned()),
        1 => Just("%tcuihsnfdlaor,9".to_owned()),
        1 => (0..700_usize).prop_map(|n| "y".repeat(n)),
    ];
    let command = select(
        &[
            "AWAY", "CAP", "INVITE", "ISON", "JOIN", "KICK", "KILL", "LIST", "LUSERS", "MODE",
            "MONITOR", "NAMES", "NICK", "NOTICE", "OPER", "PART", "PING", "PRIVMSG", "SETNAME",
            "TAGMSG", "TOPIC", "USER", "USERHOST", "VERSION", "WALLOPS", "WHO", "WHOIS", "WHOWAS",
            "HELP", "STATS", "MOTD", "xyzzy", "",
        ][..],
    );
    let likely = prop_oneof![
        3 => (select(&ROOMS[..])).prop_map(|room| format!("JOIN {room}")),
        2 => (select(&ROOMS[..]), select(&NICKS[..])).prop_map(|(room, nick)| format!("KICK {room} {nick}")),
        2 => (select(&ROOMS[..])).prop_map(|room| format!("PART {room}")),
        2 => (select(&NICKS[..])).prop_map(|nick| format!("NICK {nick}")),
        1 => (select(&ROOMS[..]), select(&NICKS[..])).prop_map(|(room, nick)| format!("MODE {room} +o {nick}")),
        1 => Just("JOIN 0".to_owned()),
    ];
    let sense =
        (select(&["", "@label=7;+x=y ", "@label=8 ", ":who@ever "][..]), command, vec(word, 0..5))
            .prop_map(|(before, command, mut words)| {
                if let Some(last) = words.last_mut() {
                    last.insert(0, ':');
                }
                format!("{before}{command} {}", words.join(" "))
            });
    prop_oneof![
        6 => sense.prop_map(String::into_bytes),
        6 => likely.prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..60),
    ]
}

fn script() -> impl Strategy<Value = Vec<(usize, Vec<u8>)>> {
    vec((0..4_usize, line()), 0..120)
}

/// A line that anybody may hear: short enough, in one piece, and what other people's parsers take.
fn check_line(line: &str) {
    assert!(!line.contains(['\r', '\n', '\0']), "{line:?}");
    let (tags, rest) = match line.strip_prefix('@') {
        Some(tagged) => tagged.split_once(' ').expect("a tagged line goes on"),
        None => ("", line),
    };
    assert!(tags.len() <= 8190 && rest.len() <= 510, "{line:?}");
    let message = Message::parse(line.as_bytes()).expect("it is a message");
    let theirs: irc_proto::Message = line.parse().expect("irc-proto takes it");
    assert_eq!(theirs.tags.unwrap_or_default().len(), message.tags.iter().count(), "{line:?}");
    if message.command.iter().all(u8::is_ascii_digit) {
        assert!(message.command.len() == 3 && message.parameters().len() >= 2, "{line:?}");
    }
}

/// Who is on which channel, as one client has heard it.
#[derive(Default)]
struct View {
    me: String,
    rooms: BTreeMap<String, BTreeSet<String>>,
}

impl View {
    fn hear(&mut self, line: &str) {
        let message = Message::parse(line.as_bytes()).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let command = text(message.command);
        let parameters: Vec<String> =
            message.parameters().iter().map(|bytes| text(bytes)).collect();
        let nick = text(Source::parse(message.source.unwrap_or_default()).nick);
        let room = |at: usize| parameters[at].to_ascii_lowercase();
        match command.as_str() {
            "001" => self.me = parameters[0].clone(),
            "JOIN" if nick == self.me => {
                self.rooms.insert(room(0), BTreeSet::new());
            }
            "JOIN" => {
                let members = self.rooms.get_mut(&room(0)).expect("he is there");
                assert!(members.insert(nick), "{line}");
            }
            // Those that were there when he came; later ones are checked against.
            "353" => {
                let names =
                    parameters[3].split(' ').map(|name| name.trim_start_matches(['@', '+']));
                let names = names.map(|name| name.split('!').next().unwrap().to_owned());
                if let Some(members) = self.rooms.get_mut(&room(2)) {
                    members.extend(names);
                }
            }
            "PART" | "KICK" => {
                let who = if command == "PART" { nick } else { parameters[1].clone() };
                let members = self.rooms.get_mut(&room(0)).expect("he is there");
                assert!(members.remove(&who), "{line}");
                if who == self.me {
                    self.rooms.remove(&room(0));
                }
            }
            "QUIT" => {
                let known = self.rooms.values_mut().filter_map(|members| members.take(&nick));
                assert!(known.count() > 0, "{line}");
            }
            "NICK" => {
                if nick == self.me {
                    self.me = parameters[0].clone();
                }
                for members in self.rooms.values_mut() {
                    if members.remove(&nick) {
                        members.insert(parameters[0].clone());
                    }
                }
            }
            _ => {}
        }
    }
}

/// The line without what the calendar has put there.
fn without_times(line: &str) -> String {
    let is_seconds =
        |word: &str| word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_digit());
    let is_date = |word: &str| word.len() > 18 && word.starts_with("20") && word.ends_with('Z');
    let words = line.split(' ').map(|word| match word.trim_start_matches(':') {
        plain if is_seconds(plain) || is_date(plain) => "time",
        _ => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Four people, one of them with everything that can be asked for, one an operator.
fn four() -> Table {
    let mut table = table();
    for nick in ["ann", "bob", "eve", "zed"] {
        table.register(nick);
    }
    let all = "server-time message-tags echo-message multi-prefix away-notify extended-join setname \
               invite-notify userhost-in-names batch labeled-response";
    table.say(0, &format!("CAP REQ :{all}\r\n"));
    table.say(1, "OPER root secret\r\n");
    table
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_said_every_line_is_whole_and_everybody_knows_who_is_where(script in script()) {
        let mut table = four();
        let mut views: Vec<View> = (0..4).map(|_| View::default()).collect();
        for (seat, line) in script {
            // Members are asked for on joining only: 353 at other times is not news.
            let asks = line.to_ascii_uppercase().windows(5).any(|word| word == b"NAMES");
            if !asks {
                table.say_bytes(seat, &[&line[..], b"\r\n"].concat());
            }
            for (seat, view) in views.iter_mut().enumerate() {
                for line in table.heard(seat) {
                    check_line(&line);
                    view.hear(&line);
                }
            }
        }
        for (seat, view) in views.iter_mut().enumerate() {
            if table.seats[seat].gone {
                continue;
            }
            for (room, members) in &view.rooms {
                table.say(seat, &format!("NAMES {room}\r\n"));
                let heard = table.heard(seat);
                let mut asked = View::default();
                asked.rooms.insert(room.clone(), BTreeSet::new());
                heard.iter().for_each(|line| asked.hear(line));
                prop_assert_eq!(&asked.rooms[room], members, "{:?}", heard);
            }
        }
    }

    #[test]
    fn the_same_is_heard_however_the_words_are_cut(script in script(), size in 1..40_usize) {
        let conversation = |size: usize, chunk: usize| {
            let mut table = four();
            // What tells the time differs from run to run.
            table.say(0, "CAP REQ :-server-time -message-tags\r\n");
            table.chunk = chunk;
            table.forget();
            for (seat, line) in &script {
                let line = [&line[..], b"\r\n"].concat();
                for piece in line.chunks(size) {
                    table.say_bytes(*seat, piece);
                }
            }
            let mut lines: Vec<_> = (0..4).map(|seat| table.heard(seat)).collect();
            for lines in &mut lines {
                lines.iter_mut().for_each(|line| *line = without_times(line));
                // Those of hash tables come in any order.
                lines.sort();
            }
            lines
        };
        let (whole, cut) = (conversation(usize::MAX, 65_536), conversation(size, 100));
        for (whole, cut) in whole.iter().flatten().zip(cut.iter().flatten()) {
            prop_assert_eq!(whole, cut);
        }
        prop_assert!(whole == cut, "somebody hears more than otherwise");
    }

    #[test]
    fn lines_are_taken_apart_as_irc_proto_does_it(
        tags in vec(("[a-z+/.-]{1,8}", prop::option::of("[a-z\\\\:]{0,8}")), 0..4),
        source in prop::option::of("[a-z!@.]{1,20}"),
        command in "X[A-Z]{1,8}",
        words in vec("[!-9;-~ü][!-~ü]{0,8}", 0..6),
        last in prop::option::of("[ -~ü]{0,30}"),
    ) {
        let mut line = String::new();
        if !tags.is_empty() {
            let tag = |(key, value): &(String, Option<String>)| match value {
                Some(value) => format!("{key}={value}"),
                None => key.clone(),
            };
            line += &format!("@{} ", tags.iter().map(tag).collect::<Vec<_>>().join(";"));
        }
        line += &source.as_ref().map(|source| format!(":{source} ")).unwrap_or_default();
        line += &command;
        for word in &words {
            line += &format!(" {word}");
        }
        line += &last.as_ref().map(|last| format!(" :{last}")).unwrap_or_default();
        let ours = Message::parse(line.as_bytes()).unwrap();
        let theirs: irc_proto::Message = line.parse().unwrap();
        let irc_proto::Command::Raw(name, parameters) = theirs.command else {
            return Err(TestCaseError::fail("no such command is known"));
        };
        prop_assert_eq!(ours.command, name.as_bytes());
        prop_assert_eq!(ours.parameters().to_vec(), parameters.iter().map(String::as_bytes).collect::<Vec<_>>());
        let tags: Vec<(String, String)> = theirs.tags.unwrap_or_default().into_iter()
            .map(|tag| (tag.0, tag.1.unwrap_or_default())).collect();
        let own: Vec<(String, String)> = ours.tags.iter().map(|(key, value)| {
            let value = socklab::service::chat::message::unescape(value).into_owned();
            (String::from_utf8(key.to_vec()).unwrap(), String::from_utf8(value).unwrap())
        }).collect();
        prop_assert_eq!(own, tags);
    }
}

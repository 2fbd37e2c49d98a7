//! People who talk IRC, and the house they talk in: the server under test, or ngircd.
//!
//! What is expected is written as a line of IRC itself: `ann.hear(":bob PRIVMSG #room *")`. In its
//! source, parameters and values of tags, `*` stands for anything and `?` for one byte; there are as
//! many parameters as it shows; tags and a source it does not mention may be there or not.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::net::TcpStream;

use socklab::engine::{Engine, Limits};
use socklab::service::Chat;
use socklab::service::chat;
use socklab::service::chat::message::{Message, Source, unescape};
use socklab::service::chat::settings::{Operator, Secret};

use super::ngircd::Ngircd;
use super::way::{NoLine, Peer, Reached, Way};
use super::{Process, Server};

/// What the server calls itself.
pub const NAME: &str = "chat.example";

/// What tests want of a house.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What everybody has to say before they come in.
    pub password: Option<&'static str>,
    /// Who may become an operator, and the word for it.
    pub operator: Option<(&'static str, &'static str)>,
    /// The message of the day.
    pub motd: &'static [&'static str],
}

impl Settings {
    /// The same as the server under test has it. It lets everybody talk as fast as they like.
    pub fn ours(&self, secure: bool) -> chat::Settings {
        let operator = |(name, password): (&str, &str)| Operator {
            name: name.into(),
            password: Secret::new(password),
        };
        chat::Settings {
            name: NAME.into(),
            motd: (!self.motd.is_empty())
                .then(|| self.motd.iter().map(|line| line.to_string()).collect()),
            password: self.password.map(Secret::new),
            operators: self.operator.into_iter().map(operator).collect(),
            secure,
            flood: None,
            ..chat::Settings::default()
        }
    }
}

/// Where people talk.
pub enum House {
    Ours(Reached<Server>),
    /// The server under test as a process of its own.
    Process(Reached<Process>),
    Rival(Reached<Ngircd>),
}

impl From<Engine> for Way {
    fn from(engine: Engine) -> Way {
        Way { engine, tls: false }
    }
}

/// The server under test.
pub fn start(way: impl Into<Way>, settings: &Settings) -> House {
    let way = way.into();
    open(way, settings.ours(way.tls), Limits::default())
}

/// The server under test, with everything that can be set. Nothing else here knows how it is made.
pub fn open(way: impl Into<Way>, settings: chat::Settings, limits: Limits) -> House {
    House::Ours(way.into().with_limits(Chat::new(settings), limits))
}

/// The same with nothing special about it.
pub fn house(way: impl Into<Way>) -> House {
    start(way, &Settings::default())
}

impl House {
    pub fn rival(settings: &Settings) -> House {
        let server = Ngircd::start(settings);
        let address = server.address;
        House::Rival(Reached::plain(server, address))
    }

    /// Somebody who has not said anything yet.
    pub fn call(&self) -> Talker {
        Talker::of(match self {
            House::Ours(house) => house.call(),
            House::Process(house) => house.call(),
            House::Rival(house) => house.call(),
        })
    }

    /// The same over a connection of the test's own.
    pub fn call_with(&self, tcp: TcpStream) -> Talker {
        Talker::of(match self {
            House::Ours(house) => house.call_with(tcp),
            House::Process(house) => house.call_with(tcp),
            House::Rival(house) => house.call_with(tcp),
        })
    }

    /// Somebody who has come in, and has been welcomed.
    pub fn talker(&self, nick: &str) -> Talker {
        let mut talker = self.call();
        talker.register(nick);
        talker
    }

    /// The same with capabilities, in the order in which they are asked for.
    pub fn talker_with(&self, nick: &str, capabilities: &str) -> Talker {
        let mut talker = self.call();
        talker.say("CAP LS 302");
        talker.say(&format!("CAP REQ :{capabilities}"));
        talker.skip_to(&format!("CAP * ACK :{capabilities}"));
        talker.introduce(nick);
        talker.say("CAP END");
        talker.hear(&format!("001 {nick} *"));
        talker.flush();
        talker
    }

    /// An operator, as [`Settings::operator`] has it.
    pub fn operator(&self, nick: &str, settings: &Settings) -> Talker {
        let (name, password) = settings.operator.expect("the house has one");
        let mut talker = self.talker(nick);
        talker.say(&format!("OPER {name} {password}"));
        talker.skip_to(&format!("381 {nick} *"));
        talker.flush();
        talker
    }

    /// So many people in one room, who have all seen each other come. The first one is its operator.
    pub fn room<const N: usize>(&self, room: &str, nicks: [&str; N]) -> [Talker; N] {
        let mut people = nicks.map(|nick| self.talker(nick));
        gather(room, &mut people);
        people
    }
}

/// All of `people` join `room`, one after the other, and see it.
pub fn gather(room: &str, people: &mut [Talker]) {
    for at in 0..people.len() {
        let (present, rest) = people.split_at_mut(at);
        rest[0].say(&format!("JOIN {room}"));
        rest[0].skip_to(&format!("366 {} {room} *", rest[0].nick));
        for other in present {
            other.skip_to(&format!(":{} JOIN {room}", rest[0].nick));
        }
    }
    people.iter_mut().for_each(|talker| drop(talker.flush()));
}

/// Everybody hears the next line, and it is this one.
pub fn all_hear(people: &mut [Talker], pattern: &str) {
    for talker in people {
        talker.hear(pattern);
    }
}

/// Somebody who talks to the server.
pub struct Talker {
    pub peer: Peer,
    pub nick: String,
    /// How often it has asked for a PONG.
    synced: usize,
    /// What was heard and said last, for those who wonder why a test fails.
    log: VecDeque<String>,
}

impl Talker {
    pub fn of(peer: Peer) -> Talker {
        // Lines are short, and the next one does not wait for the last one to be acknowledged.
        peer.tcp.set_nodelay(true).expect("it is connected");
        Talker { peer, nick: "*".into(), synced: 0, log: VecDeque::new() }
    }

    /// Says one line.
    pub fn say(&mut self, line: &str) {
        self.note("->", line.as_bytes());
        self.peer.say(format!("{line}\r\n").as_bytes());
    }

    /// Says bytes as they are.
    pub fn say_bytes(&mut self, bytes: &[u8]) {
        self.note("->", bytes);
        self.peer.say(bytes);
    }

    /// NICK and USER.
    pub fn introduce(&mut self, nick: &str) {
        self.say(&format!("NICK {nick}"));
        self.say(&format!("USER {nick} 0 * :{} in person", nick.to_uppercase()));
        self.nick = nick.into();
    }

    /// Comes in, and leaves everything unheard that is said to newcomers.
    pub fn register(&mut self, nick: &str) {
        self.introduce(nick);
        self.hear(&format!("001 {nick} *"));
        self.flush();
    }

    /// The next line, whatever it is.
    #[track_caller]
    pub fn next(&mut self) -> Line {
        let line = match self.peer.hear_line() {
            Ok(line) => line,
            Err(NoLine::Left) => panic!("the server has left\n{}", self.told()),
            Err(NoLine::Silent) => panic!("the server says nothing\n{}", self.told()),
        };
        self.note("<-", &line);
        assert!(line.len() <= 8191 + 510, "{} bytes in one line", line.len());
        Line(line)
    }

    /// The next line, and it is `pattern`.
    #[track_caller]
    pub fn hear(&mut self, pattern: &str) -> Line {
        let line = self.next();
        assert!(line.is(pattern), "instead of {pattern}\nthis came: {line}\n{}", self.told());
        line
    }

    /// The next lines, in this order.
    #[track_caller]
    pub fn hear_all(&mut self, patterns: &[&str]) {
        for pattern in patterns {
            self.hear(pattern);
        }
    }

    /// The first line that is `pattern`; those before it are left unheard.
    #[track_caller]
    pub fn skip_to(&mut self, pattern: &str) -> Line {
        loop {
            let line = self.next();
            if line.is(pattern) {
                return line;
            }
        }
    }

    /// Everything that comes until the server has done all it was asked to.
    #[track_caller]
    pub fn flush(&mut self) -> Vec<Line> {
        self.synced += 1;
        let token = format!("sync-{}", self.synced);
        self.say(&format!("PING {token}"));
        let pong = format!("PONG * {token}");
        let mut lines = Vec::new();
        loop {
            let line = self.next();
            if line.is(&pong) {
                return lines;
            }
            lines.push(line);
        }
    }

    /// Hears nothing, although the server has done all it was asked to.
    #[track_caller]
    pub fn hear_nothing(&mut self) {
        let lines = self.flush();
        assert!(lines.is_empty(), "this came: {}\n{}", lines[0], self.told());
    }

    /// Says `line`, hears these answers, in this order, and no more.
    #[track_caller]
    pub fn ask(&mut self, line: &str, answers: &[&str]) {
        self.say(line);
        let lines = self.flush();
        for (line, answer) in lines.iter().zip(answers) {
            assert!(line.is(answer), "instead of {answer}\nthis came: {line}\n{}", self.told());
        }
        let (came, due) = (lines.len(), answers.len());
        assert!(came == due, "{due} answers are due, and {came} came\n{}", self.told());
    }

    /// Says `line`, and hears these answers, in whatever order, and no more.
    #[track_caller]
    pub fn ask_unordered(&mut self, line: &str, answers: &[&str]) {
        self.say(line);
        let mut lines = self.flush();
        for answer in answers {
            let Some(at) = lines.iter().position(|line| line.is(answer)) else {
                panic!("no {answer}\n{}", self.told());
            };
            lines.remove(at);
        }
        assert!(lines.is_empty(), "this came, too: {}\n{}", lines[0], self.told());
    }

    /// Everything until the server closes the connection.
    #[track_caller]
    pub fn last_words(&mut self) -> Vec<Line> {
        let mut lines = Vec::new();
        loop {
            match self.peer.hear_line() {
                Ok(line) => {
                    self.note("<-", &line);
                    lines.push(Line(line));
                }
                Err(NoLine::Left) => return lines,
                Err(NoLine::Silent) => panic!("the server does not close\n{}", self.told()),
            }
        }
    }

    /// The server takes leave, and closes the connection.
    #[track_caller]
    pub fn is_shown_out(&mut self) {
        let lines = self.last_words();
        let said = lines.last().is_some_and(|line| line.is("ERROR *"));
        assert!(said, "the last word is not ERROR\n{}", self.told());
    }

    fn note(&mut self, way: &str, bytes: &[u8]) {
        if self.log.len() == 40 {
            self.log.pop_front();
        }
        let text = String::from_utf8_lossy(bytes);
        let text: String = text.chars().take(160).collect();
        self.log.push_back(format!("{way} {}", text.escape_debug()));
    }

    /// What was said and heard last.
    fn told(&self) -> String {
        let mut told = format!("what {} has said and heard:\n", self.nick);
        for line in &self.log {
            let _ = writeln!(told, "  {line}");
        }
        told
    }
}

/// A line that was heard.
#[derive(Clone, PartialEq, Eq)]
pub struct Line(pub Vec<u8>);

impl Line {
    pub fn message(&self) -> Message<'_> {
        Message::parse(&self.0).expect("servers send commands")
    }

    /// Whether it is what `pattern` describes.
    pub fn is(&self, pattern: &str) -> bool {
        let heard = self.message();
        let wanted = Message::parse(pattern.as_bytes()).expect("a pattern is a message");
        let tagged = wanted
            .tags
            .iter()
            .all(|(key, value)| heard.tags.value(key).is_some_and(|heard| matches(value, heard)));
        let source = wanted.source.is_none_or(|wanted| {
            let source = heard.source.unwrap_or_default();
            matches(wanted, source) || wanted == Source::parse(source).nick
        });
        let (some, all) = (wanted.parameters(), heard.parameters());
        tagged
            && source
            && wanted.command == heard.command
            && some.len() == all.len()
            && some.iter().zip(all).all(|(wanted, heard)| matches(wanted, heard))
    }

    /// A parameter, counted from 0.
    #[track_caller]
    pub fn parameter(&self, at: usize) -> String {
        let parameters = self.message();
        let parameter = parameters.parameters().get(at).expect("there are so many");
        String::from_utf8_lossy(parameter).into_owned()
    }

    /// The last parameter.
    #[track_caller]
    pub fn text(&self) -> String {
        self.parameter(self.message().parameters().len() - 1)
    }

    /// The value of a tag, as it is meant.
    pub fn tag(&self, key: &str) -> Option<String> {
        let value = self.message().tags.value(key.as_bytes())?;
        Some(String::from_utf8_lossy(&unescape(value)).into_owned())
    }

    /// Who says it, as a whole.
    pub fn source(&self) -> String {
        String::from_utf8_lossy(self.message().source.unwrap_or_default()).into_owned()
    }

    pub fn command(&self) -> String {
        String::from_utf8_lossy(self.message().command).into_owned()
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{self}")
    }
}

/// Whether `text` is what `pattern` describes: `*` is anything, `?` one byte.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| matches(rest, &text[at..])),
        ([b'?', rest @ ..], [_, text @ ..]) => matches(rest, text),
        ([wanted, rest @ ..], [heard, text @ ..]) => wanted == heard && matches(rest, text),
        _ => false,
    }
}

//! What peers see does not depend on the engine, nor on TLS: random scripts are played to both, with
//! it and without, and every byte and end is compared.
//!
//! Seen is what a peer hears up to where it has to wait for nothing else, and how the connection ends
//! where that is the server's choice. How the bytes are cut is not, nor how much an endless answer or
//! one that nobody waited for has said by then.
//!
//! A script that fails is made as short as it goes and printed, and so is its seed: DIFFERENTIAL_SEED
//! plays it again. DIFFERENTIAL_CASES has more of them.

mod support;

use std::cell::Cell;
use std::env;
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{RngAlgorithm, TestError, TestRng, TestRunner};
use socket2::SockRef;
use socklab::engine::{Engine, Limits};
use socklab::service::chat::Chat;
use socklab::service::files::{Files, Settings};
use socklab::service::http::Deadlines;
use socklab::service::{Chargen, Discard, Echo};
use support::tree::Tree;
use support::way::{NoLine, Peer, Reached, Way};
use support::{PATIENCE, Server, irc, pattern};

const WAYS: [Way; 4] = [
    Way { engine: Engine::Threads, tls: false },
    Way { engine: Engine::Poll, tls: false },
    Way { engine: Engine::Threads, tls: true },
    Way { engine: Engine::Poll, tls: true },
];

/// What one peer has seen.
#[derive(PartialEq)]
struct Seen {
    heard: Vec<u8>,
    end: End,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The server's last word was said to be that.
    Finished,
    /// The connection broke before.
    Broken,
    /// The peer did not wait for it.
    Unseen,
}

/// Plays scripts in every way, until one is seen otherwise in one than in the first.
fn agree<S: Debug>(
    cases: u32,
    scripts: impl Strategy<Value = S>,
    play: impl Fn(Way, &S) -> Vec<Seen>,
) {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seed = number("DIFFERENTIAL_SEED").unwrap_or_else(|| RandomState::new().hash_one(cases));
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = ProptestConfig {
        cases: number("DIFFERENTIAL_CASES").map_or(cases, |cases| cases as u32),
        failure_persistence: None,
        max_shrink_time: PATIENCE.as_millis() as u32,
        ..ProptestConfig::default()
    };
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let outcome = TestRunner::new_with_rng(config, rng).run(&scripts, |script| {
        let first = play(WAYS[0], &script);
        for way in &WAYS[1..] {
            let seen = play(*way, &script);
            let name = format!("{}{}", way.engine, if way.tls { " over TLS" } else { "" });
            prop_assert_eq!(seen.len(), first.len());
            for (peer, (seen, first)) in seen.iter().zip(&first).enumerate() {
                prop_assert!(seen == first, "peer {}: {}", peer, difference(&name, seen, first));
            }
        }
        Ok(())
    });
    match outcome {
        Ok(()) => {}
        Err(TestError::Fail(why, script)) => {
            panic!("{why}\n{script:#?}\nis what DIFFERENTIAL_SEED={seed} comes to")
        }
        Err(error) => panic!("{error}; DIFFERENTIAL_SEED={seed}"),
    }
}

/// The place where two differ, and what is around it.
fn difference(name: &str, seen: &Seen, first: &Seen) -> String {
    let same = seen.heard.iter().zip(&first.heard).take_while(|(a, b)| a == b).count();
    let told = |name: &str, seen: &Seen| {
        let around = &seen.heard[same.saturating_sub(40)..seen.heard.len().min(same + 40)];
        let (length, end) = (seen.heard.len(), seen.end);
        format!("{name}: {length} bytes, {end:?}; around byte {same}: {}", around.escape_ascii())
    };
    format!("\n{}\n{}", told(name, seen), told("threads", first))
}

/// All that still comes.
fn hear_out(peer: &mut Peer, mut heard: Vec<u8>) -> Seen {
    heard.extend(peer.remains());
    let end = if peer.is_broken() { End::Broken } else { End::Finished };
    Seen { heard, end }
}

/// Time for the server to do what it does by itself.
fn rest() {
    thread::sleep(Duration::from_millis(2));
}

fn limits(backlog_bytes: usize) -> Limits {
    Limits { backlog_bytes, ..Limits::default() }
}

/// A connection whose peer has little room, so that the server has to wait for it.
fn call(reached: &Reached<Server>, room: usize) -> Peer {
    let tcp = TcpStream::connect(reached.address()).expect("the server accepts");
    SockRef::from(&tcp).set_recv_buffer_size(room).expect("it is connected");
    reached.call_with(tcp)
}

/// A conversation with a service that takes bytes as they come.
#[derive(Clone, Debug)]
struct Stream {
    service: Speaks,
    backlog: usize,
    room: usize,
    acts: Vec<Act>,
    ending: Ending,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Speaks {
    Echo,
    Nothing,
    Always,
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Say(usize),
    /// As much as is due, or what this is of it.
    Hear(usize),
    /// The server has time to do what it can while nobody reads.
    Rest,
}

#[derive(Clone, Copy, Debug)]
enum Ending {
    HalfClose,
    /// And nothing is read for a while.
    HalfCloseAndRest,
    Reset,
    /// Whatever comes.
    Leave,
    /// The server stops, once it has answered all.
    Stop,
}

fn streams() -> impl Strategy<Value = Stream> {
    let size = || prop_oneof![1..20_usize, 1..5000_usize, 60_000..120_000_usize];
    let act = prop_oneof![
        3 => size().prop_map(Act::Say),
        2 => size().prop_map(Act::Hear),
        1 => Just(Act::Rest),
    ];
    let ending = prop_oneof![
        3 => Just(Ending::HalfClose),
        3 => Just(Ending::HalfCloseAndRest),
        1 => Just(Ending::Reset),
        1 => Just(Ending::Leave),
        2 => Just(Ending::Stop),
    ];
    let service = prop_oneof![
        6 => Just(Speaks::Echo), 1 => Just(Speaks::Nothing), 1 => Just(Speaks::Always)
    ];
    let backlog = select(vec![1, 100, 4096, 100_000, Limits::BACKLOG_BYTES]);
    let room = select(vec![16_384, 200_000]);
    (service, backlog, room, vec(act, 0..8), ending).prop_map(
        |(service, backlog, room, acts, ending)| Stream { service, backlog, room, acts, ending },
    )
}

fn play_stream(way: Way, script: &Stream) -> Vec<Seen> {
    let backlog = script.backlog;
    // With a backlog of one byte, each is read for itself.
    let most = if backlog < 1000 { 2000 } else { usize::MAX };
    let reached = match script.service {
        Speaks::Echo => way.with_limits(Echo, limits(backlog)),
        Speaks::Nothing => way.with_limits(Discard, limits(backlog)),
        Speaks::Always => way.with_limits(Chargen, limits(backlog)),
    };
    let mut peer = call(&reached, script.room);
    let (mut said, mut heard) = (0, Vec::new());
    let due = |said: usize, heard: &Vec<u8>| match script.service {
        Speaks::Echo => said - heard.len(),
        Speaks::Nothing => 0,
        Speaks::Always => usize::MAX,
    };
    for act in &script.acts {
        match *act {
            Act::Say(length) => {
                let text = pattern(said as u64, length.min(most));
                peer.begin(&text);
                said += text.len();
            }
            Act::Hear(length) => {
                let length = length.min(most).min(due(said, &heard));
                heard.extend(peer.hear(length));
            }
            Act::Rest => rest(),
        }
    }
    let endless = script.service == Speaks::Always;
    vec![match script.ending {
        Ending::Reset => {
            peer.reset();
            Seen { heard, end: End::Unseen }
        }
        Ending::HalfClose | Ending::HalfCloseAndRest if !endless => {
            peer.close();
            if matches!(script.ending, Ending::HalfCloseAndRest) {
                rest();
            }
            hear_out(&mut peer, heard)
        }
        Ending::Stop if !endless => {
            let length = due(said, &heard);
            heard.extend(peer.hear(length));
            reached.server.request_stop();
            hear_out(&mut peer, heard)
        }
        _ => Seen { heard, end: End::Unseen },
    }]
}

/// Requests over one connection.
#[derive(Clone, Debug)]
struct Requests {
    asked: Vec<Asked>,
    /// Where what is said is cut.
    pieces: Vec<usize>,
    room: usize,
    /// Nothing is read until all is said.
    is_deaf: bool,
}

#[derive(Clone, Copy, Debug)]
enum Asked {
    Whole(&'static str),
    Head(&'static str),
    Part(usize, usize),
    Put(usize),
    PutInChunks(usize),
    Remove,
    Options,
    /// After which the server says no more.
    Nonsense,
    Last,
}

const FILES: [(&str, usize); 3] = [("empty", 0), ("small", 500), ("large", 700_000)];

fn requests() -> impl Strategy<Value = Requests> {
    let file = select(vec!["empty", "small", "large", "none", "put"]);
    let asked = prop_oneof![
        4 => file.clone().prop_map(Asked::Whole),
        1 => file.prop_map(Asked::Head),
        2 => (0..800_000_usize, 1..400_000_usize).prop_map(|(from, most)| Asked::Part(from, most)),
        2 => prop_oneof![0..10_usize, 100_000..200_000_usize].prop_map(Asked::Put),
        1 => (0..100_000_usize).prop_map(Asked::PutInChunks),
        1 => Just(Asked::Remove),
        1 => Just(Asked::Options),
        1 => Just(Asked::Nonsense),
        1 => Just(Asked::Last),
    ];
    let piece = prop_oneof![1..40_usize, 1000..50_000_usize];
    let room = select(vec![16_384, 200_000]);
    (vec(asked, 1..7), vec(piece, 0..6), room, any::<bool>())
        .prop_map(|(asked, pieces, room, is_deaf)| Requests { asked, pieces, room, is_deaf })
}

impl Asked {
    fn bytes(self) -> Vec<u8> {
        let request = |line: &str, fields: &str, body: &[u8]| {
            let head = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
            [head.as_bytes(), body].concat()
        };
        match self {
            Asked::Whole(file) => request(&format!("GET /{file}"), "", b""),
            Asked::Head(file) => request(&format!("HEAD /{file}"), "", b""),
            Asked::Part(from, most) => {
                let range = format!("Range: bytes={from}-{}\r\n", from + most - 1);
                request("GET /large", &range, b"")
            }
            Asked::Put(length) => {
                let fields = format!("Content-Length: {length}\r\n");
                request("PUT /put", &fields, &pattern(1, length))
            }
            Asked::PutInChunks(length) => {
                let mut body = Vec::new();
                for chunk in pattern(2, length).chunks(30_000) {
                    let size = format!("{:x}\r\n", chunk.len());
                    body.extend([size.as_bytes(), chunk, b"\r\n"].concat());
                }
                body.extend(b"0\r\n\r\n");
                request("PUT /put", "Transfer-Encoding: chunked\r\n", &body)
            }
            Asked::Remove => request("DELETE /put", "", b""),
            Asked::Options => request("OPTIONS /small", "", b""),
            Asked::Nonsense => b"GET /small HTTP/1.1\r\nHost : x\r\n\r\n".to_vec(),
            Asked::Last => request("GET /small", "Connection: close\r\n", b""),
        }
    }
}

fn play_requests(way: Way, script: &Requests) -> Vec<Seen> {
    let tree = Tree::new();
    for (name, length) in FILES {
        tree.file(name, pattern(length as u64, length));
    }
    let settings = Settings { writable: true, ..Settings::default() };
    let files = Files::open(&tree.at(""), settings).expect("it was made");
    let reached = way.start(files.http(Deadlines::default()));
    let mut peer = call(&reached, script.room);
    let said: Vec<u8> = script.asked.iter().flat_map(|asked| asked.bytes()).collect();
    let mut left = &said[..];
    let mut heard = Vec::new();
    for piece in &script.pieces {
        let (now, later) = left.split_at((*piece).min(left.len()));
        left = later;
        peer.begin(now);
        rest();
        if !script.is_deaf {
            heard.extend(peer.take_heard());
        }
    }
    peer.begin(left);
    peer.close();
    if script.is_deaf {
        rest();
    }
    let seen = hear_out(&mut peer, heard);
    // Of each run its own.
    let own: [&[u8]; 3] = [b"Date: ", b"ETag: ", b"Last-Modified: "];
    let is_own = |line: &&[u8]| own.iter().any(|field| line.starts_with(field));
    let lines = seen.heard.split_inclusive(|byte| *byte == b'\n');
    let heard = lines.filter(|line| !is_own(line)).flatten().copied().collect();
    vec![Seen { heard, ..seen }]
}

/// What people do in rooms, one after the other. Each step is over when all have heard of it.
#[derive(Clone, Debug)]
struct Evening {
    backlog: usize,
    steps: Vec<(usize, Step)>,
}

#[derive(Clone, Debug)]
enum Step {
    /// Lines in one go.
    Say(Vec<String>),
    /// So many to all, in one go, longer and longer.
    Talk(usize),
    /// With half a line before.
    HalfClose(bool),
    Reset,
    Quit,
}

const PEOPLE: [&str; 3] = ["ann", "bob", "cyd"];

fn evenings() -> impl Strategy<Value = Evening> {
    let line = select(vec![
        "JOIN #b",
        "JOIN #b,#c key",
        "PART #b :bye",
        "TOPIC #b :weather",
        "NAMES #all",
        "NAMES #b",
        "MODE #b",
        "MODE #b +m",
        "MODE #all +t",
        "KICK #b bob :out",
        "PRIVMSG ann :one",
        "PRIVMSG bob,cyd :two",
        "PRIVMSG #b :three",
        "PRIVMSG #all :four",
        "PRIVMSG nobody :five",
        "NOTICE #all :six",
        "NICK other",
        "NICK ann",
        "AWAY :at lunch",
        "AWAY",
        "WHO #all",
        "ISON ann bob cyd other",
        "NONSENSE",
        "INVITE cyd #b",
    ]);
    let step = prop_oneof![
        8 => vec(line.prop_map(String::from), 1..6).prop_map(Step::Say),
        3 => (1..60_usize).prop_map(Step::Talk),
        1 => any::<bool>().prop_map(Step::HalfClose),
        1 => Just(Step::Reset),
        1 => Just(Step::Quit),
    ];
    // The largest letter has to fit.
    let backlog = select(vec![100_000, Limits::BACKLOG_BYTES]);
    (backlog, vec((0..PEOPLE.len(), step), 1..8))
        .prop_map(|(backlog, steps)| Evening { backlog, steps })
}

/// Somebody who is there, or was.
struct Person {
    peer: Option<Peer>,
    seen: Seen,
}

impl Person {
    fn say(&mut self, text: &str) {
        self.peer.as_mut().expect("it is there").say(text.as_bytes());
    }

    /// Hears lines up to one that has `word`.
    fn hear(&mut self, word: &str) {
        loop {
            let line = self.peer.as_mut().expect("it is there").hear_line();
            let line = line.unwrap_or_else(|why: NoLine| panic!("{why:?} before {word:?}"));
            let line = String::from_utf8(line).expect("it is UTF-8");
            // When the server began.
            if !line.contains(" 003 ") {
                self.seen.heard.extend(without_times(&line).bytes().chain(*b"\n"));
            }
            if line.contains(word) {
                return;
            }
        }
    }
}

/// A line without what differs between two evenings: seconds since 1970, which have ten digits.
fn without_times(line: &str) -> String {
    let is_time = |word: &str| word.len() == 10 && word.bytes().all(|byte| byte.is_ascii_digit());
    let words = line.split(' ');
    let words = words.map(|word| if is_time(word.trim_start_matches(':')) { "TIME" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

/// Everybody hears all that `who` has posted so far: the server has heard it before the others ask.
fn settle(people: &mut [Person], who: usize, token: &Cell<usize>) {
    let (others, rest) = people.split_at_mut(who);
    let people = rest.iter_mut().chain(others);
    for person in people.filter(|person| person.peer.is_some()) {
        token.set(token.get() + 1);
        let token = format!("token{}.", token.get());
        person.say(&format!("PING {token}\r\n"));
        person.hear(&token);
    }
}

fn play_evening(way: Way, script: &Evening) -> Vec<Seen> {
    // That it is over TLS is a mode of the user, which is seen.
    let settings = irc::Settings::default().ours(false);
    let reached = way.with_limits(Chat::new(settings), limits(script.backlog));
    let token = Cell::new(0);
    let mut people: Vec<Person> = Vec::new();
    for nick in PEOPLE {
        let peer = Some(call(&reached, 16_384));
        people.push(Person { peer, seen: Seen { heard: Vec::new(), end: End::Unseen } });
        let person = people.last_mut().expect("it has come");
        person.say(&format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\nJOIN #all\r\n"));
        let who = people.len() - 1;
        settle(&mut people, who, &token);
    }
    for (who, step) in &script.steps {
        let person = &mut people[*who];
        let Some(peer) = &mut person.peer else {
            continue;
        };
        match step {
            Step::Say(lines) => person.say(&(lines.join("\r\n") + "\r\n")),
            Step::Talk(many) => {
                let lines =
                    (0..*many).map(|at| format!("PRIVMSG #all :{at} {}\r\n", "x".repeat(at)));
                person.say(&lines.collect::<String>());
            }
            Step::HalfClose(half_a_line) => {
                if *half_a_line {
                    peer.begin(b"PRIVMSG #all :hal");
                }
                peer.close();
            }
            Step::Reset => person.peer.take().expect("it is there").reset(),
            Step::Quit => peer.say(b"QUIT :enough\r\nPRIVMSG #all :too late\r\n"),
        }
        if matches!(step, Step::HalfClose(_) | Step::Quit) {
            let mut peer = person.peer.take().expect("it is there");
            let heard = std::mem::take(&mut person.seen.heard);
            person.seen = hear_out(&mut peer, heard);
        }
        if people[*who].peer.is_none() {
            // All are in this room, and see it.
            let there = people.iter_mut().filter(|person| person.peer.is_some());
            there.for_each(|person| person.hear(" QUIT "));
        }
        settle(&mut people, *who, &token);
    }
    people.into_iter().map(|person| person.seen).collect()
}

#[test]
fn bytes_are_the_same_in_every_way() {
    agree(50, streams(), play_stream);
}

#[test]
fn files_are_the_same_in_every_way() {
    agree(12, requests(), play_requests);
}

#[test]
fn rooms_are_the_same_in_every_way() {
    agree(30, evenings(), play_evening);
}

//! What peers say: words of the protocols, and what becomes of them on the way.

use std::fmt;
use std::ops::Deref;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// Bytes that are mostly text.
#[derive(Clone, PartialEq, Eq)]
pub struct Words(pub Vec<u8>);

/// Like the code that makes them, and in one line.
impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

impl Deref for Words {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// What is done to words that were right.
#[derive(Clone, Debug)]
enum Damage {
    /// A bit is turned.
    Flip(Index, u8),
    /// A byte stands there that may mean something.
    Put(Index, u8),
    /// A part is left out, or comes twice.
    Cut(Index, Index),
    Twice(Index, Index),
    /// Nothing more comes.
    Stop(Index),
    /// Anything else stands in between.
    Splice(Index, Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = select(&b"\r\n\0 :,;=@#*\"/%?\x01\x7f\x80\xff09AZ"[..]);
    prop_oneof![
        3 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, 1 << bit)),
        3 => (any::<Index>(), byte).prop_map(|(at, byte)| Damage::Put(at, byte)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Cut(from, to)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Twice(from, to)),
        1 => any::<Index>().prop_map(Damage::Stop),
        1 => (any::<Index>(), vec(any::<u8>(), 1..40)).prop_map(|(at, b)| Damage::Splice(at, b)),
    ]
}

/// `words`, half of the time as they are.
pub fn damaged(words: impl Strategy<Value = Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let harm = prop_oneof![Just(Vec::new()), vec(damage(), 1..4)];
    (words, harm).prop_map(|(words, harm)| harm.into_iter().fold(words, apply))
}

fn apply(mut words: Vec<u8>, damage: Damage) -> Vec<u8> {
    let length = words.len();
    if length == 0 {
        return words;
    }
    let span = |one: Index, other: Index| {
        let (one, other) = (one.index(length + 1), other.index(length + 1));
        one.min(other)..one.max(other)
    };
    match damage {
        Damage::Flip(at, bit) => words[at.index(length)] ^= bit,
        Damage::Put(at, byte) => words[at.index(length)] = byte,
        Damage::Cut(from, to) => drop(words.drain(span(from, to))),
        Damage::Twice(from, to) => {
            let again = words[span(from, to)].to_vec();
            let end = span(from, to).end;
            words.splice(end..end, again);
        }
        Damage::Stop(at) => words.truncate(at.index(length + 1)),
        Damage::Splice(at, bytes) => {
            let at = at.index(length + 1);
            words.splice(at..at, bytes);
        }
    }
    words
}

/// Any bytes at all.
pub fn noise() -> impl Strategy<Value = Words> {
    prop_oneof![4 => vec(any::<u8>(), 0..400), 1 => vec(any::<u8>(), 0..20_000)].prop_map(Words)
}

/// Where files are, and where none is.
const TARGETS: &[&str] = &[
    "/",
    "/small",
    "/page",
    "/large",
    "/sub",
    "/sub/",
    "/sub/deep/x",
    "/nothing",
    "/left",
    "/sub/new",
    "/index/",
    "/index/index.html",
    "/%6eo%2f",
    "/..%2f..",
    "/../etc/passwd",
    "/%00",
    "/sub//",
    "*",
    "http://a/small",
    "http://a",
    "/?sort=size&order=desc",
    "/sub/?sort=time",
    "small",
    "/pipe",
    "/.hidden",
    "/%ff%fe",
    "/a%20b",
    "/%",
    "/sm%61ll?x=y",
];

const METHODS: &[&str] = &["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "POST", "BREW", "CONNECT"];

const FIELDS: &[&str] = &[
    "Range: bytes=0-9",
    "Range: bytes=5-",
    "Range: bytes=-5",
    "Range: bytes=0-0,3-9,2-100,-1",
    "Range: bytes=9-0",
    "Range: bytes=99999999999-",
    "Range: lines=1-2",
    "Connection: close",
    "Connection: keep-alive",
    "Expect: 100-continue",
    "Expect: a miracle",
    "If-None-Match: *",
    "If-Match: *",
    "If-Match: \"x\"",
    "If-Range: \"x\"",
    "If-None-Match: W/\"x\", \"y\"",
    "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
    "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:37 GMT",
    "If-Modified-Since: yesterday",
    "Accept: application/json",
    "Accept: text/html",
    "Want-Repr-Digest: sha-256=1",
    "Content-Range: bytes 0-9/10",
    "Content-Range: bytes 5-9/10",
    "Content-Range: bytes */10",
    "Content-Range: bytes 9-5/10",
    "Content-Length: 3",
    "Content-Length: +3",
    "Content-Length: 3, 3",
    "Content-Length: 99999999999999999999",
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip",
    "Host: b",
    "Repr-Digest: sha-256=:AAAA:",
    "Content-Encoding: gzip",
    "X: \t y ",
    "Bad name: x",
    "Folded: a\r\n b",
    "Content-Type: text/plain",
];

/// A body and the field that says how it ends.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let content = vec(any::<u8>(), 0..60);
    let chunk = (vec(any::<u8>(), 1..20), select(&["", ";a=b", " ", ";x=\"y\"", "\t;"][..]));
    let chunked = (vec(chunk, 0..4), select(&["", "Sum: 1\r\n", "A:b\r\nC:d\r\n"][..]));
    prop_oneof![
        4 => Just(b"\r\n".to_vec()),
        3 => content.prop_map(|content| {
            [format!("Content-Length: {}\r\n\r\n", content.len()).as_bytes(), &content].concat()
        }),
        2 => chunked.prop_map(|(chunks, trailer)| {
            let mut body = b"Transfer-Encoding: chunked\r\n\r\n".to_vec();
            for (bytes, extension) in chunks {
                body.extend_from_slice(format!("{:X}{extension}\r\n", bytes.len()).as_bytes());
                body.extend_from_slice(&bytes);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(format!("0\r\n{trailer}\r\n").as_bytes());
            body
        }),
        1 => (0..70_000_usize).prop_map(|length| {
            [format!("Content-Length: {length}\r\n\r\n").as_bytes(), &vec![b'z'; length]].concat()
        }),
    ]
}

/// One request, right or wrong.
fn request() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        20 => (
            prop_oneof![3 => Just("GET"), 2 => select(METHODS)],
            select(TARGETS),
            prop_oneof![6 => Just("HTTP/1.1\r\nHost: a"), 1 => Just("HTTP/1.0"), 1 => Just("HTTP/2.0")],
        )
            .prop_map(|(method, target, version)| format!("{method} {target} {version}\r\n")),
        1 => (1..20_000_usize).prop_map(|n| format!("GET /{} HTTP/1.1\r\nHost: a\r\n", "x".repeat(n))),
    ];
    let fields = prop_oneof![
        20 => vec(select(FIELDS), 0..4).prop_map(|fields| {
            fields.iter().map(|field| format!("{field}\r\n")).collect::<String>()
        }),
        1 => (90..110_usize).prop_map(|n| "A: b\r\n".repeat(n)),
        1 => (0..20_000_usize).prop_map(|n| format!("A: {}\r\n", "b".repeat(n))),
    ];
    (option::weighted(0.1, Just("\r\n")), line, fields, body()).prop_map(
        |(blank, line, fields, body)| {
            let head = format!("{}{line}{fields}", blank.unwrap_or_default());
            [head.as_bytes(), &body].concat()
        },
    )
}

/// A pipeline of requests.
pub fn http() -> impl Strategy<Value = Words> {
    damaged(vec(damaged(request()), 1..5).prop_map(|requests| requests.concat())).prop_map(Words)
}

const LINES: &[&str] = &[
    "NICK ann",
    "NICK bob",
    "NICK :",
    "NICK 1x",
    "USER u 0 * :A name",
    "USER",
    "PASS x",
    "CAP LS 302",
    "CAP REQ :server-time message-tags echo-message batch labeled-response extended-join",
    "CAP REQ :multi-prefix away-notify setname invite-notify userhost-in-names",
    "CAP END",
    "CAP REQ :-message-tags nothing",
    "CAP LIST",
    "JOIN #a",
    "JOIN #a,#b,#c k,l",
    "JOIN 0",
    "JOIN #B",
    "PART #a :bye",
    "PART #a,#b",
    "PRIVMSG #a :hello",
    "PRIVMSG ann,bob,#a,#b :hello all",
    "PRIVMSG ann :\x01ACTION waves\x01",
    "NOTICE bob :psst",
    "NOTICE #a,#a,#a :x",
    "@+draft/x=y TAGMSG #a",
    "@label=1 PING x",
    "@label=2 WHO #a",
    "@label=3;+x=\\:\\s PRIVMSG #a :tagged",
    "@label=4 LIST",
    "TOPIC #a :news",
    "TOPIC #a",
    "TOPIC #a :",
    "NAMES #a",
    "NAMES",
    "NAMES #a,#b,#a",
    "LIST",
    "LIST #a,#b",
    "LIST >0,<9",
    "WHO",
    "WHO *",
    "WHO #a %tcuihsnfdlaor,42",
    "WHO ann",
    "WHOIS ann",
    "WHOIS ann,bob,eve",
    "WHOWAS ann",
    "MODE #a +o bob",
    "MODE #a +ntimslk 5 key",
    "MODE #a -k+b *!*@*",
    "MODE #a +bbb",
    "MODE ann +i",
    "MODE #a",
    "INVITE bob #a",
    "KICK #a bob :out",
    "KICK #a,#b bob,ann",
    "AWAY :gone",
    "AWAY",
    "MONITOR + ann,bob,eve",
    "MONITOR - ann",
    "MONITOR L",
    "MONITOR S",
    "MONITOR C",
    "ISON ann bob",
    "USERHOST ann bob",
    "SETNAME :Another name",
    "OPER root secret",
    "OPER root wrong",
    "KILL bob :spam",
    "WALLOPS :all",
    "STATS u",
    "STATS m",
    "LUSERS",
    "MOTD",
    "ADMIN",
    "INFO",
    "HELP",
    "HELP JOIN",
    "TIME",
    "VERSION",
    "LINKS",
    "PING",
    "PING x",
    "PONG x",
    "DIE",
    "QUIT :leaving",
    "ERROR :x",
    "NOSUCH a b :c",
    ":src PRIVMSG bob :forged",
    "@",
    ":",
    "",
    " ",
    "@a ",
];

/// Lines of a chat.
pub fn irc() -> impl Strategy<Value = Words> {
    let line = prop_oneof![
        12 => select(LINES).prop_map(|line| line.as_bytes().to_vec()),
        2 => "[A-Z]{3,8}( [#a-z*,:]{0,9}){0,16}( :.{0,20})?".prop_map(String::into_bytes),
        1 => (400..5000_usize).prop_map(|n| format!("PRIVMSG #a :{}", "é".repeat(n)).into_bytes()),
        1 => (1..130_usize).prop_map(|n| {
            format!("JOIN {}", (0..n).map(|n| format!("#{n},")).collect::<String>()).into_bytes()
        }),
        1 => (1..250_usize).prop_map(|n| format!("NAMES {}", "#a,".repeat(n)).into_bytes()),
        1 => (3000..4200_usize).prop_map(|n| format!("@{} PING", "t".repeat(n)).into_bytes()),
    ];
    let end = prop_oneof![8 => Just("\r\n"), 2 => Just("\n"), 1 => Just("\r"), 1 => Just("")];
    let line = (damaged(line), end).prop_map(|(line, end)| [&line, end.as_bytes()].concat());
    vec(line, 0..30).prop_map(|lines| Words(lines.concat()))
}

/// Who registers says the rest in a room.
pub fn guest(nick: &str, words: &Words) -> Words {
    let first = format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\nJOIN #a\r\n");
    Words([first.as_bytes(), words].concat())
}

/// Any of them.
pub fn anything() -> impl Strategy<Value = Words> {
    prop_oneof![noise(), http(), irc()]
}

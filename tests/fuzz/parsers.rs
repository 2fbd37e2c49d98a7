//! What is read of what a network or a person says: nothing makes a parser fall over, and what
//! comes in pieces is read like what comes whole.

use std::net::SocketAddr;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use socklab::client::transfer::Url;
use socklab::load::condition::Condition;
use socklab::load::http::framing::{Framing, Head, Known, Part};
use socklab::load::target::Target;
use socklab::observe::CpuList;
use socklab::service::chat::mask;
use socklab::service::chat::message::{Message, Source, unescape};
use socklab::service::files::listing::Order;
use socklab::service::http::ranges::{self, Ranges};
use socklab::service::http::{
    Answer, Content, Deadlines, Http, Intake, Pending, Reply, Request, Site,
};
use socklab::session::Output;
use socklab::tls::Fingerprint;

use super::cases;
use super::driver::Bound;
use super::script::{chunks, sizes};
use super::services::answers;
use super::sites::steady;
use super::words::{Words, damaged, http, irc, noise};

/// Answers with what it has understood of a request: the head, as it is given to a site, and the body.
struct Mirror;

struct Understood(Vec<u8>);

impl Site for Mirror {
    fn answer(&self, request: &Request<'_>) -> Answer {
        let Request { method, name, target, query, fields, is_modern, .. } = request;
        let head = format!("{method:?} {name} {target} {query} {fields:?} {is_modern}\n");
        let names = request.names().map(|names| names.escape_ascii().to_string());
        Answer::Take(Box::new(Understood(format!("{head}{names:?}\n").into_bytes())))
    }
}

impl Intake for Understood {
    fn take(&mut self, piece: &[u8]) -> Result<(), Reply> {
        self.0.extend_from_slice(piece);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Box<dyn Pending> {
        self
    }
}

impl Pending for Understood {
    fn poll(&mut self) -> Option<Reply> {
        Some(Reply::new(200, Content::Bytes(std::mem::take(&mut self.0).into())))
    }
}

/// A head of an answer, and some kinds of body.
fn response() -> impl Strategy<Value = Vec<u8>> {
    let status =
        select(&["200 OK", "100 Continue", "204 None", "304 Same", "404", "599 X", "20 O"][..]);
    let fields = select(
        &[
            "Content-Length: 5",
            "Content-Length: 5, 5",
            "content-length:  005 ",
            "Content-Length: -1",
            "Content-Length: 99999999999999999999",
            "Transfer-Encoding: chunked",
            "Connection: close",
            "Transfer-Encoding: gzip, chunked",
            "Connection: keep-alive, x",
            "X: y",
            "Bad name: x",
        ][..],
    );
    let body = select(
        &[
            "hello",
            "",
            "5\r\nhello\r\n0\r\n\r\n",
            "5;a=b\nhello\n00\nX: y\n\n",
            "hello, world",
            "FFFFFFFFFFFFFFFF\r\nx",
            "5 \t\r\nhello\r\n0000000000000000\r\n\r\n",
            "5\r\nhelloo",
        ][..],
    );
    (select(&["HTTP/1.1", "HTTP/1.0"][..]), status, vec(fields, 0..3), body).prop_map(
        |(version, status, fields, body)| {
            let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
            format!("{version} {status}\r\n{fields}\r\n{body}").into_bytes()
        },
    )
}

/// Complete answers, the beginning of one more, and whether what follows is no HTTP.
type Framed = (Vec<(Head, Vec<u8>)>, Vec<u8>, bool);

fn framed(input: &[u8], sizes: &[usize]) -> Framed {
    let (mut framing, mut known) = (Framing::default(), Known::default());
    let (mut all, mut head, mut body) = (Vec::new(), Head::default(), Vec::new());
    let mut rest = input;
    for size in sizes.iter().cycle() {
        let (piece, after) = rest.split_at(rest.len().min((*size).max(1)));
        let mut piece = piece;
        loop {
            let Ok((n, part)) = framing.next(piece, &mut known) else {
                return (all, body, true);
            };
            match part {
                Part::More => break assert_eq!(n, piece.len()),
                Part::Framing => {}
                Part::Head(came) => head = came,
                Part::Body => body.extend_from_slice(&piece[..n]),
                Part::End => all.push((head, std::mem::take(&mut body))),
            }
            piece = &piece[n..];
        }
        rest = after;
        if rest.is_empty() {
            break;
        }
    }
    (all, body, false)
}

/// What a mask means, in as few words as possible.
fn describes(mask: &[u8], text: &[u8]) -> bool {
    match (mask, text) {
        ([], []) => true,
        ([b'*', rest @ ..], _) => (0..=text.len()).any(|taken| describes(rest, &text[taken..])),
        ([b'?', mask @ ..], [_, text @ ..]) => describes(mask, text),
        ([one, mask @ ..], [other, text @ ..]) => {
            one.eq_ignore_ascii_case(other) && describes(mask, text)
        }
        _ => false,
    }
}

/// Text that is nearly what people type as addresses.
fn address() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        select(
            &[
                "http://",
                "https://",
                "tcp://",
                "tls://",
                "udp://",
                "irc://",
                "HTTP://",
                "localhost",
                "127.0.0.1",
                "[::1]",
                "[fe80::1%eth0]",
                "[",
                "]",
                ":",
                ":80",
                ":0",
                ":99999",
                "/",
                "//",
                "/..",
                "/.",
                "/a b",
                "%2e%2e",
                "%",
                "?",
                "#",
                "@",
                "user:pw@",
                "é",
                "x",
                "?q=http://y/",
                "\\",
                "\r\n",
                "\0",
                "*",
                "+",
                "-",
                "=",
                "<",
                "5%",
                "1-3,7",
                "p99",
                "10ms",
            ][..]
        )
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    vec(part, 0..7).prop_map(|parts| parts.concat())
}

const BETWEEN: Bound = Bound { chunks: 1, reply: 200 * 1024 };

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn a_request_is_understood_alike_in_every_split(
        words in prop_oneof![9 => http(), 1 => noise()],
        sizes in vec(sizes(), 1..10),
        chunk in chunks(),
    ) {
        let site = || Arc::new(Http::new(Arc::new(Mirror), Deadlines::default()));
        let whole = answers(site(), &words, &[usize::MAX], Output::CHUNK, BETWEEN);
        let cut = answers(site(), &words, &sizes, chunk, BETWEEN);
        prop_assert_eq!(steady(&cut), steady(&whole));
    }

    #[test]
    fn answers_over_http_are_framed_alike_in_every_split(
        words in damaged(vec(damaged(response()), 1..4).prop_map(|all| all.concat())).prop_map(Words),
        sizes in vec(1..200_usize, 1..10),
    ) {
        prop_assert_eq!(framed(&words, &sizes), framed(&words, &[usize::MAX]));
    }

    #[test]
    fn parts_of_a_file_are_parts_of_it(
        field in prop_oneof!["bytes ?= ?[0-9, -]{0,40}", "[a-z]{0,6}[=]?[0-9, -]{0,20}", any::<String>()],
        length in prop_oneof![0..100_u64, any::<u64>()],
    ) {
        if let Ranges::Parts(parts) = ranges::of(field.as_bytes(), length) {
            prop_assert!(!parts.is_empty());
            for (at, part) in parts.iter().enumerate() {
                prop_assert!(part.start < part.end && part.end <= length, "{:?}", part);
                let apart = |other: &std::ops::Range<u64>| other.end <= part.start || part.end <= other.start;
                prop_assert!(parts[at + 1..].iter().all(apart), "{:?}", parts);
            }
        }
    }

    #[test]
    fn a_content_range_lies_in_its_file(
        field in prop_oneof!["bytes [0-9]{1,20}-[0-9]{1,20}/[0-9]{1,20}", "[a-z]{5} ?[0-9*/ +-]{0,20}", any::<String>()],
    ) {
        if let Some((range, total)) = ranges::of_content(field.as_bytes()) {
            prop_assert!(range.start < range.end && range.end <= total);
        }
    }

    #[test]
    fn lines_of_a_chat_are_taken_apart_in_any_shape(words in irc()) {
        for line in words.split(|byte| *byte == b'\n') {
            let Some(message) = Message::parse(line) else {
                continue;
            };
            prop_assert!(!message.command.is_empty() && !message.command.contains(&b' '));
            let (last, middle) = match message.parameters() {
                [middle @ .., last] => (Some(last), middle),
                [] => (None, &[][..]),
            };
            let is_word = |word: &&[u8]| !word.is_empty() && !word.contains(&b' ') && word[0] != b':';
            prop_assert!(middle.iter().all(is_word), "{:?}", message);
            // Put together again it is the same.
            let mut again = Vec::new();
            if !message.tags.0.is_empty() {
                again.extend_from_slice(&[b"@", message.tags.0, b" "].concat());
            }
            if let Some(source) = message.source {
                again.extend_from_slice(&[b":", source, b" "].concat());
                Source::parse(source);
            }
            again.extend_from_slice(message.command);
            for word in middle {
                again.extend_from_slice(&[b" ", *word].concat());
            }
            if let Some(last) = last {
                again.extend_from_slice(&[b" :", *last].concat());
            }
            let parsed = Message::parse(&again).expect("it has a command");
            prop_assert_eq!(
                (parsed.tags, parsed.source, parsed.command, parsed.parameters()),
                (message.tags, message.source, message.command, message.parameters())
            );
            for (_, value) in message.tags.iter() {
                prop_assert!(unescape(value).len() <= value.len());
            }
        }
    }

    #[test]
    fn masks_mean_what_they_mean(mask in "[aAb*?]{0,8}", text in "[abB?]{0,8}") {
        let expected = describes(mask.as_bytes(), text.as_bytes());
        prop_assert_eq!(mask::matches(mask.as_bytes(), text.as_bytes()), expected);
    }

    #[test]
    fn what_people_type_is_refused_or_right(text in address(), other in address()) {
        if let Ok(url) = text.parse::<Url>() {
            prop_assert!(url.port != 0 && !url.host.is_empty());
            let joined = url.join(&other);
            for url in [Some(&url), joined.as_ref().ok()].into_iter().flatten() {
                let sendable = url.target.starts_with('/') && url.target.bytes().all(|b| b.is_ascii_graphic());
                prop_assert!(sendable, "{:?}", url);
                let name = url.file_name().unwrap_or("x".into());
                prop_assert!(!name.contains(['/', '\0', '\n']) && name != "..", "{:?}", url);
                if !url.host.contains('%') {
                    let again = url.to_string().parse::<Url>();
                    prop_assert_eq!(again.as_ref(), Ok(url));
                }
            }
        }
        if let Ok(target) = text.parse::<Target>() {
            prop_assert!(!target.host.is_empty());
            let sendable = |path: &String| path.starts_with('/') && path.bytes().all(|b| b.is_ascii_graphic());
            prop_assert!(target.path.as_ref().is_none_or(sendable), "{:?}", target);
            prop_assert_eq!(target.to_string().parse::<Target>().map(|again| again.to_string()), Ok(target.to_string()));
        }
        let _ = (text.parse::<Condition>(), text.parse::<CpuList>(), text.parse::<Fingerprint>());
        let _ = (text.parse::<SocketAddr>(), Order::parse(text.as_bytes()));
    }

    #[test]
    fn fingerprints_are_read_as_they_are_written(
        bytes in vec(any::<u8>(), 32),
        colons in any::<bool>(),
        damage in option::of("[^0-9]"),
    ) {
        let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let text = digits.join(if colons { ":" } else { "" });
        let print = text.parse::<Fingerprint>();
        prop_assert!(print.is_ok(), "{}", text);
        if let Some(damage) = damage {
            let _ = format!("{damage}{text}").parse::<Fingerprint>();
            let _ = text.replacen('0', &damage, 1).parse::<Fingerprint>();
        }
    }
}

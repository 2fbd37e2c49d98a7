//! HTTP/1.1 without sockets: framing, order, refusals and deadlines, before a site made for it.

mod support;

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;
use socklab::service::http::{
    Answer, Content, Deadlines, Http, Intake, Method, Pending, Progress, Reply, Request, Site,
    Stream,
};
use socklab::session::{Output, Want};
use support::http::{Dialogue, Response, ask, fetch, tempfile};

const CHUNKS: [usize; 4] = [1, 100, 4096, Output::CHUNK];

/// More than fits into any output.
fn large() -> Vec<u8> {
    (0..200_000_u32).flat_map(|n| (n as u16).to_be_bytes()).collect()
}

/// What a file, a stream and a constant have to say, and an echo of bodies.
struct Shop {
    file: Arc<File>,
}

impl Shop {
    fn http() -> Http {
        Shop::with(Deadlines::default())
    }

    fn with(deadlines: Deadlines) -> Http {
        let mut file = tempfile();
        file.write_all(&large()).unwrap();
        Http::new(Arc::new(Shop { file: Arc::new(file) }), deadlines)
    }
}

impl Site for Shop {
    fn answer(&self, request: &Request<'_>) -> Answer {
        let content = match (request.method, request.target) {
            (Method::Put, _) => {
                return Answer::Take(Box::new(Parrot { heard: Vec::new(), asked: 0 }));
            }
            (_, "/text") => Content::Bytes((&b"some text"[..]).into()),
            (_, "/large") => Content::Bytes(large().into()),
            (_, "/file") => Content::File(self.file.clone(), 0..large().len() as u64),
            (_, "/part") => Content::File(self.file.clone(), 1000..2000),
            (_, "/beyond") => Content::File(self.file.clone(), 0..large().len() as u64 + 1),
            (_, "/stream") => Content::Stream(Box::new(Counter(0))),
            (_, "/later") => return Answer::Later(Box::new(Slow(3, Vec::new()))),
            (_, "/none") => return Answer::Now(Reply::new(204, Content::None)),
            (_, "/raw") => {
                let reply = Reply::new(204, Content::None);
                return Answer::Now(reply.with("X-Name", "a\r\nSet-Cookie:\0b"));
            }
            _ => return Answer::Now(Reply::text(404, "nothing is there")),
        };
        Answer::Now(Reply::new(200, content))
    }
}

/// Says what it was told, a while later.
struct Parrot {
    heard: Vec<u8>,
    asked: u32,
}

impl Intake for Parrot {
    fn take(&mut self, piece: &[u8]) -> Result<(), Reply> {
        self.heard.extend_from_slice(piece);
        match self.heard.len() > 500_000 {
            true => Err(Reply::text(413, "half a megabyte is enough")),
            false => Ok(()),
        }
    }

    fn is_ready(&mut self) -> bool {
        self.asked += 1;
        !self.asked.is_multiple_of(5)
    }

    fn finish(self: Box<Self>) -> Box<dyn Pending> {
        Box::new(Slow(2, self.heard))
    }
}

struct Slow(u32, Vec<u8>);

impl Pending for Slow {
    fn poll(&mut self) -> Option<Reply> {
        self.0 = self.0.checked_sub(1)?;
        (self.0 == 0).then(|| Reply::new(200, Content::Bytes(std::mem::take(&mut self.1).into())))
    }
}

struct Counter(u32);

impl Stream for Counter {
    fn next(&mut self, into: &mut Vec<u8>) -> io::Result<Progress> {
        self.0 += 1;
        match self.0 {
            // Nothing to say for once, and it is not over.
            5 => Ok(Progress::Later),
            200 => Ok(Progress::Done),
            n => {
                writeln!(into, "number {n}")?;
                Ok(Progress::More)
            }
        }
    }
}

fn counted() -> String {
    (1..200).filter(|n| *n != 5).map(|n| format!("number {n}\n")).collect()
}

#[test]
fn each_content_arrives_whole_whatever_the_chunk() {
    let site = Shop::http();
    for chunk in CHUNKS {
        for (target, body) in [
            ("/text", b"some text".to_vec()),
            ("/large", large()),
            ("/file", large()),
            ("/part", large()[1000..2000].to_vec()),
            ("/stream", counted().into_bytes()),
            ("/later", Vec::new()),
        ] {
            let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n");
            let said = ask(&site, chunk, &[request.as_bytes()]);
            let (response, length) = Response::parse(&said, "GET");
            assert_eq!((response.status, length), (200, said.len()), "{target}");
            assert!(response.body == body, "{target} in chunks of {chunk}");
        }
    }
}

#[test]
fn head_says_what_get_would_and_no_more() {
    let site = Shop::http();
    for target in ["/text", "/file", "/stream", "/nothing", "/later"] {
        let of = |method: &str| {
            let mut response =
                fetch(&site, &format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
            response.fields.retain(|(name, _)| name != "Date");
            response
        };
        let (head, get) = (of("HEAD"), of("GET"));
        assert_eq!((head.status, &head.fields, head.body), (get.status, &get.fields, vec![]));
    }
}

#[test]
fn a_pipeline_is_answered_in_order() {
    let site = Shop::http();
    let requests = b"GET /text HTTP/1.1\r\nHost: a\r\n\r\n\
        PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello\
        HEAD /large HTTP/1.1\r\nHost: a\r\n\r\n\
        GET /stream HTTP/1.1\r\nHost: a\r\n\r\n\
        PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0002\r\nde\r\n0\r\nT: v\r\n\r\n\
        GET /later HTTP/1.1\r\nHost: a\r\n\r\n\
        POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc\
        GET /part HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n\
        GET /never HTTP/1.1\r\nHost: a\r\n\r\n";
    for chunk in CHUNKS {
        let mut dialogue = Dialogue::open(&site, chunk);
        dialogue.hear(requests);
        assert!(dialogue.is_over());
        let responses =
            dialogue.responses(&["GET", "PUT", "HEAD", "GET", "PUT", "GET", "POST", "GET"]);
        let bodies: Vec<&[u8]> = responses.iter().map(|response| &response.body[..]).collect();
        assert_eq!(bodies[0], b"some text");
        assert_eq!(bodies[1], b"hello");
        assert_eq!(bodies[2], b"");
        assert!(bodies[3] == counted().as_bytes());
        assert_eq!(bodies[4], b"abcde");
        assert_eq!((bodies[5], bodies[6]), (&b""[..], &b""[..]));
        assert!(bodies[7] == &large()[1000..2000]);
        assert_eq!(responses[7].field("Connection"), Some("close"));
        assert_eq!(responses[6].field("Connection"), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn no_cut_changes_an_answer(
        cuts in proptest::collection::vec(any::<Index>(), 0..12),
        chunk in 1..3000_usize,
        which in 0..CONVERSATIONS.len(),
    ) {
        let site = Shop::http();
        let input = CONVERSATIONS[which];
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let pieces: Vec<&[u8]> = cuts.windows(2).map(|ends| &input[ends[0]..ends[1]]).collect();
        prop_assert_eq!(
            dateless(&ask(&site, chunk, &pieces)).escape_ascii().to_string(),
            dateless(&ask(&site, Output::CHUNK, &[input])).escape_ascii().to_string()
        );
    }
}

/// Good ones, and some that end badly.
const CONVERSATIONS: &[&[u8]] = &[
    b"\r\nGET /text HTTP/1.1\r\nHost: a\r\n\r\nGET /part HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n0123456789GET /text HTTP/1.0\r\n\r\nrest",
    b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789\r\n0\r\n\r\nGET /text HTTP/1.1\r\nHost: a\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\na\r\n0123456789x0\r\n\r\n",
    b"GET /text HTTP/1.1\r\nHost: a\r\nBad name: x\r\n\r\nGET /text HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /stream HTTP/1.0\r\n\r\n",
    b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234",
    b"GET /text HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbodyGET /none HTTP/1.1\r\nHost: a\r\n\r\n",
];

fn dateless(said: &[u8]) -> Vec<u8> {
    let mut said = said.to_vec();
    while let Some(at) = said.windows(6).position(|window| window == b"Date: ") {
        said.drain(at..at + 6 + 29 + 2);
    }
    said
}

/// Refused: the status, whatever follows is not read, and the connection ends.
#[test]
fn what_two_readers_could_read_in_two_ways_is_refused() {
    let site = Shop::http();
    let long = "x".repeat(9000);
    let many = "A: b\r\n".repeat(101);
    let wide = format!("A: {}\r\n", "b".repeat(17_000));
    for (status, request) in [
        (400, "GET /text HTTP/1.1\r\n\r\n"),
        (400, "GET /text HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        (400, "GET /text HTTP/1.1\r\nHost: a b\r\n\r\n"),
        (400, "GET /text HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        (400, "GET text HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /te#xt HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /te xt HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /t\u{e9}xt HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /text\r\n\r\n"),
        (505, "GET /text HTTP/2.0\r\nHost: a\r\n\r\n"),
        (400, "G(T /text HTTP/1.1\r\nHost: a\r\n\r\n"),
        (400, "GET /text HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n"),
        (400, "GET /text HTTP/1.1\r\nHost: a\r\n A: b\r\n\r\n"),
        (400, "GET /text HTTP/1.1\r\nHost: a\r\nA: b\r\n c\r\n\r\n"),
        (400, "GET /text HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n"),
        (400, "GET /text HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n"),
        (400, "GET /text HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"),
        (400, "GET /text HTTP/1.1\r\nHost: a\r\nA\r\n\r\n"),
        (
            400,
            "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (400, "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
        (400, "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc"),
        (400, "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc"),
        (400, "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc"),
        (400, "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc"),
        (400, "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nabc"),
        (400, "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\nabc"),
        (400, "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\nabc"),
        (400, "PUT /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (
            400,
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (501, "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (501, "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        (501, "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
        (400, "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n"),
        (400, "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n\r\n\r\n"),
        (
            400,
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            400,
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 x\r\nabc\r\n0\r\n\r\n",
        ),
        (
            400,
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3 3\r\nabc\r\n0\r\n\r\n",
        ),
        (
            400,
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA : b\r\n\r\n",
        ),
        (
            400,
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nno field\r\n\r\n",
        ),
        (
            400,
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nA: b\r\n c\r\n\r\n",
        ),
        (
            400,
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n",
        ),
        (
            400,
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n",
        ),
        (
            400,
            "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc",
        ),
        (414, &format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (414, &format!("GET /{long}{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (431, &format!("GET /text HTTP/1.1\r\nHost: a\r\n{many}\r\n")),
        (431, &format!("GET /text HTTP/1.1\r\nHost: a\r\n{wide}\r\n")),
    ] {
        let input = format!("{request}GET /text HTTP/1.1\r\nHost: a\r\n\r\n");
        let shown = &request[..request.len().min(100)];
        let mut dialogue = Dialogue::open(&site, Output::CHUNK);
        dialogue.hear(input.as_bytes());
        assert!(dialogue.is_over(), "{shown:?} ends the connection");
        let response = dialogue.response("GET");
        assert_eq!(response.status, status, "{shown:?}: {}", response.text());
        assert_eq!(response.field("Connection"), Some("close"), "{shown:?}");
    }
}

#[test]
fn what_is_known_and_what_is_not() {
    let site = Shop::http();
    for (status, request) in [
        (501, "BREW /text HTTP/1.1\r\nHost: a\r\n\r\n"),
        (501, "get /text HTTP/1.1\r\nHost: a\r\n\r\n"),
        (417, "PUT /text HTTP/1.1\r\nHost: a\r\nExpect: miracles\r\n\r\n"),
        (417, "PUT /text HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nExpect: miracles\r\n\r\n"),
        (200, "GET /text HTTP/1.0\r\n\r\n"),
        (200, "GET http://a:80/text HTTP/1.1\r\nHost: b\r\n\r\n"),
        (200, "GET HTTPS://a/text?query HTTP/1.1\r\nHost:\r\n\r\n"),
        (404, "GET http://a?query HTTP/1.1\r\nHost: b\r\n\r\n"),
        (404, "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n"),
        (404, "CONNECT a:80 HTTP/1.1\r\nHost: b\r\n\r\n"),
        (200, "GET /text HTTP/1.1\nHost: a\n\n"),
    ] {
        assert_eq!(fetch(&site, request).status, status, "{request:?}");
    }
}

#[test]
fn connections_live_as_long_as_both_wish() {
    let site = Shop::http();
    for (lives, said, request) in [
        (true, None, "GET /text HTTP/1.1\r\nHost: a\r\n\r\n"),
        (false, Some("close"), "GET /text HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n"),
        (false, Some("close"), "GET /text HTTP/1.1\r\nHost: a\r\nConnection: te, close\r\n\r\n"),
        (false, Some("close"), "GET /text HTTP/1.0\r\n\r\n"),
        (true, Some("keep-alive"), "GET /text HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        (false, Some("close"), "GET /text HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"),
        (
            false,
            Some("close"),
            "GET /text HTTP/1.0\r\nConnection: close\r\nConnection: keep-alive\r\n\r\n",
        ),
        // Of unknown length, and without chunks.
        (false, Some("close"), "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
    ] {
        let mut dialogue = Dialogue::open(&site, Output::CHUNK);
        dialogue.hear(request.as_bytes());
        assert_eq!(dialogue.is_over(), !lives, "{request:?}");
        assert_eq!(dialogue.response("GET").field("Connection"), said, "{request:?}");
    }
}

#[test]
fn a_body_is_asked_for_only_where_it_is_wanted() {
    let site = Shop::http();
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    dialogue
        .hear(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n");
    assert_eq!(dialogue.said, b"HTTP/1.1 100 Continue\r\n\r\n");
    dialogue.hear(b"ab");
    assert_eq!(dialogue.responses(&["", "PUT"])[1].body, b"ab");

    // It is there already.
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    dialogue
        .hear(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\nab");
    assert_eq!(dialogue.response("PUT").body, b"ab");

    // Nobody knows whether it comes.
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    dialogue
        .hear(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert!(dialogue.is_over());
    assert_eq!(dialogue.response("POST").field("Connection"), Some("close"));
}

/// Says how often it was given something.
struct Tally(usize);

impl Site for Tally {
    fn answer(&self, _request: &Request<'_>) -> Answer {
        Answer::Take(Box::new(Tally(0)))
    }
}

impl Intake for Tally {
    fn take(&mut self, _piece: &[u8]) -> Result<(), Reply> {
        self.0 += 1;
        Ok(())
    }

    fn finish(self: Box<Self>) -> Box<dyn Pending> {
        Box::new(Slow(1, self.0.to_string().into_bytes()))
    }
}

#[test]
fn chunks_that_come_together_are_taken_together() {
    let site = Http::new(Arc::new(Tally(0)), Deadlines::default());
    let head = b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = [&b"1\r\nx\r\n".repeat(20_000)[..], b"0\r\n\r\n"].concat();
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    dialogue.hear(head);
    dialogue.hear(&body);
    // And not all of them in one turn.
    let takes: usize = dialogue.response("PUT").text().parse().unwrap();
    assert!((2..=10).contains(&takes), "{takes}");
}

#[test]
fn a_refused_body_is_answered_at_once() {
    let site = Shop::http();
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    dialogue.hear(b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n");
    dialogue.hear(&[b'x'; 500_001]);
    assert!(dialogue.is_over());
    assert_eq!(dialogue.response("PUT").status, 413);
}

#[test]
fn a_small_body_that_nobody_wants_is_skipped_and_a_large_one_ends_the_connection() {
    let site = Shop::http();
    for (length, lives) in [(1000, true), (64 * 1024, true), (64 * 1024 + 1, false)] {
        let mut dialogue = Dialogue::open(&site, Output::CHUNK);
        dialogue.hear(
            format!("GET /text HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n").as_bytes(),
        );
        assert_eq!(dialogue.is_over(), !lives);
        if lives {
            dialogue.hear(&vec![b'x'; length]);
            dialogue.hear(b"GET /text HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(dialogue.responses(&["GET", "GET"])[1].status, 200);
        }
    }
    // Chunks do not say how many there are.
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    dialogue.hear(b"GET /text HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..100 {
        if !dialogue.is_over() {
            dialogue.hear(format!("400\r\n{}\r\n", "x".repeat(1024)).as_bytes());
        }
    }
    assert!(dialogue.is_over());
    assert_eq!(dialogue.response("GET").status, 200);
}

#[test]
fn nobody_holds_a_seat_for_ever() {
    let second = Duration::from_secs(1);
    let deadlines = Deadlines { head: 20 * second, keep_alive: 75 * second, body: 20 * second };
    let site = Shop::with(deadlines);
    let silent = |words: &[u8], seconds: u32| {
        let mut dialogue = Dialogue::open(&site, Output::CHUNK);
        if !words.is_empty() {
            dialogue.hear(words);
        }
        dialogue.pass((seconds - 1) * second);
        let early = dialogue.is_over();
        dialogue.pass(2 * second);
        (early, dialogue.is_over(), dialogue)
    };
    let (early, late, dialogue) = silent(b"", 20);
    assert_eq!((early, late, &dialogue.said[..]), (false, true, &b""[..]), "it says nothing");
    let (early, late, dialogue) = silent(b"GET /text HT", 20);
    assert_eq!((early, late, dialogue.response("GET").status), (false, true, 408));
    let (early, late, dialogue) = silent(b"GET /text HTTP/1.1\r\nHost: a\r\n\r\n", 75);
    assert_eq!((early, late, dialogue.response("GET").status), (false, true, 200));
    let (early, late, dialogue) =
        silent(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", 20);
    assert_eq!((early, late, dialogue.response("PUT").status), (false, true, 408));

    // A byte of a head each second is not enough.
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    let mut seconds = 0;
    while !dialogue.is_over() {
        dialogue.hear(b"X");
        dialogue.pass(second);
        seconds += 1;
    }
    assert_eq!((seconds, dialogue.response("GET").status), (20, 408));

    // A kilobyte of a body each second is, and a hundred bytes are not.
    for (bytes, lives) in [(1024, true), (100, false)] {
        let mut dialogue = Dialogue::open(&site, Output::CHUNK);
        dialogue.hear(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 900000\r\n\r\n");
        for _ in 0..100 {
            if !dialogue.is_over() {
                dialogue.hear(&vec![b'x'; bytes]);
                dialogue.pass(second);
            }
        }
        assert_eq!(dialogue.is_over(), !lives, "{bytes} bytes a second");
    }
}

#[test]
fn who_has_not_taken_an_answer_yet_is_not_late() {
    let site = Shop::http();
    let mut dialogue = Dialogue::open(&site, 1000);
    let requests = b"GET /part HTTP/1.1\r\nHost: a\r\n\r\n".repeat(20);
    dialogue.tell(|session, out| session.receive(&requests, out));
    assert_eq!(dialogue.want, Want::Write);
    // It reads slowly, and its deadlines come and go meanwhile.
    for seconds in [1, 30, 100] {
        dialogue.now += Duration::from_secs(seconds);
        dialogue.tell(|session, out| session.wake(out));
        assert_eq!(dialogue.want, Want::Write);
        dialogue.tell(|session, out| session.produce(out));
    }
    dialogue.go_on();
    assert!(dialogue.responses(&["GET"; 20]).iter().all(|response| response.status == 200));
    assert!(!dialogue.is_over());

    // The last answer is on its way, and a part of the next head has come.
    dialogue.said.clear();
    dialogue.tell(|session, out| session.receive(b"GET /part HT", out));
    dialogue.now += Duration::from_secs(30);
    dialogue.tell(|session, out| session.wake(out));
    assert_eq!((dialogue.want, &dialogue.said[..]), (Want::Write, &b""[..]));
    dialogue.now += Duration::from_secs(1);
    dialogue.tell(|session, out| session.produce(out));
    dialogue.hear(b"TP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(dialogue.response("GET").status, 200);
}

#[test]
fn what_is_under_way_is_finished_when_the_server_stops() {
    let site = Shop::http();
    let mut idle = Dialogue::open(&site, 100);
    idle.hear(b"GET /text HTTP/1.1\r\nHost: a\r\n\r\n");
    idle.tell(|session, out| session.drain(out));
    assert!(idle.is_over());

    let mut uploading = Dialogue::open(&site, 100);
    uploading.hear(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    uploading.tell(|session, out| session.drain(out));
    uploading.hear(b"def");
    assert!(uploading.is_over());
    let response = uploading.response("PUT");
    assert_eq!((&response.body[..], response.field("Connection")), (&b"abcdef"[..], Some("close")));
}

#[test]
fn a_file_that_ends_too_early_ends_the_connection() {
    let site = Shop::http();
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    dialogue.hear(b"GET /beyond HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(dialogue.is_over());
    assert!(dialogue.failure.unwrap().contains("shorter"));
}

#[test]
fn nothing_breaks_the_lines_of_a_head() {
    let response = fetch(&Shop::http(), "GET /raw HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(response.field("X-Name"), Some("a  Set-Cookie: b"));
}

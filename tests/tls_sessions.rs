//! TLS without sockets: a session around a session, whatever the cuts, whatever the chunk, and with
//! a clock that the test holds.

mod support;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use rustls::{ClientConfig, ClientConnection};
use socklab::service::{Chargen, Discard, Echo};
use socklab::session::{ConnectionId, Output, Service, Session, Want};
use socklab::tls::server::{Oldest, Options};
use socklab::tls::{Acceptor, Plain, Source, Tls};
use support::pattern;
use support::secure::{ALL, Authority, LONG, TLS12, TLS13, client, config, records};

/// A client and a session with nothing but memory between them. What either says is cut into pieces
/// of `piece` bytes on its way, and the session's output is full at `chunk`.
struct Wire {
    client: ClientConnection,
    session: Box<dyn Session>,
    want: Want,
    now: Instant,
    piece: usize,
    chunk: usize,
    failure: Option<String>,
    /// What the client has heard.
    heard: Vec<u8>,
    /// The longest that was said in one call.
    longest: usize,
}

/// A server's side and the client's that trusts it.
fn both(versions: &[&'static rustls::SupportedProtocolVersion]) -> (Acceptor, Arc<ClientConfig>) {
    let authority = Authority::new();
    let files = authority.identity();
    let (certificates, key) = (files.certificate_file().into(), files.key_file().into());
    let source = Source::Files { certificates, key };
    let options = Options { source, client_ca: None, oldest: Oldest::Tls12 };
    let acceptor = Acceptor::new(&options).expect("the files are fine");
    (acceptor, Arc::new(config(versions, &authority, None)))
}

impl Wire {
    fn new(service: impl Service + 'static, piece: usize, chunk: usize) -> Wire {
        Wire::between(service, both(ALL), piece, chunk)
    }

    fn between(
        service: impl Service + 'static,
        (acceptor, config): (Acceptor, Arc<ClientConfig>),
        piece: usize,
        chunk: usize,
    ) -> Wire {
        let tls = Tls::new(Arc::new(service), &acceptor, LONG);
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        let mut client = client(&config);
        client.set_buffer_limit(None);
        let mut wire = Wire {
            client,
            session: tls.accept(peer, ConnectionId::new(0, 1)),
            want: Want::Read,
            now: Instant::now(),
            piece,
            chunk,
            failure: None,
            heard: Vec::new(),
            longest: 0,
        };
        wire.tell(|session, out| session.open(out));
        wire
    }

    /// One call, and what it says reaches the client.
    fn tell(&mut self, news: impl FnOnce(&mut dyn Session, &mut Output) -> Want) {
        assert_ne!(self.want, Want::Close, "nothing is told after the end");
        let mut out = Output::new(self.chunk);
        out.set_now(self.now);
        self.want = news(&mut *self.session, &mut out);
        self.failure = self.failure.take().or(out.take_failure().map(Into::into));
        self.longest = self.longest.max(out.bytes().len());
        for mut piece in out.bytes().chunks(self.piece) {
            while !piece.is_empty() {
                if self.client.read_tls(&mut piece).expect("memory can be read") == 0 {
                    break;
                }
                // What a test breaks on purpose shows in what it asks afterwards.
                let _ = self.client.process_new_packets();
                let _ = self.client.reader().read_to_end(&mut self.heard);
            }
        }
    }

    fn go_on(&mut self) {
        while self.want == Want::Write {
            self.tell(|session, out| session.produce(out));
        }
    }

    /// The client's words reach the session, as long as it reads.
    fn carry(&mut self) {
        loop {
            let said = records(&mut self.client);
            if said.is_empty() {
                return;
            }
            for piece in said.chunks(self.piece) {
                self.give(piece);
            }
        }
    }

    fn give(&mut self, piece: &[u8]) {
        if self.want == Want::Read {
            self.tell(|session, out| session.receive(piece, out));
            self.go_on();
        }
    }

    /// The handshake, and what was said before its end.
    fn shake_hands(mut self) -> Wire {
        while self.client.is_handshaking() && self.client.wants_write() {
            self.carry();
        }
        self
    }

    /// The handshake up to the client's last word in it, which is not carried yet.
    fn agree(&mut self) {
        while self.client.is_handshaking() {
            self.hear_client();
        }
    }

    /// All that the client has to say, in one call, after which the session is not told to go on.
    fn hear_client(&mut self) {
        let said = records(&mut self.client);
        if !said.is_empty() {
            self.tell(|session, out| session.receive(&said, out));
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.client.writer().write_all(bytes).expect("the connection is fine");
        self.carry();
    }
}

fn few() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases: 48, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn echo_over_tls_does_not_care_about_cuts_and_chunks(
        words in vec(vec(any::<u8>(), 0..40_000), 1..6),
        piece in prop_oneof![1..100_usize, 1000..200_000_usize],
        chunk in prop_oneof![1..100_usize, 1000..100_000_usize],
        old in any::<bool>(),
    ) {
        let mut wire =
            Wire::between(Echo, both(if old { TLS12 } else { TLS13 }), piece, chunk).shake_hands();
        for word in &words {
            wire.say(word);
        }
        prop_assert_eq!(&wire.heard, &words.concat());
        wire.client.send_close_notify();
        wire.carry();
        prop_assert_eq!(wire.want, Want::Close);
        prop_assert_eq!(wire.failure, None);
        // The server's end is announced, too.
        prop_assert_eq!(wire.client.reader().read(&mut [0; 1]).unwrap(), 0);
    }
}

#[test]
fn what_comes_with_the_last_word_of_the_handshake_is_not_forgotten() {
    for versions in [TLS12, TLS13] {
        let mut wire = Wire::between(Echo, both(versions), usize::MAX, Output::CHUNK);
        // Said before anything: rustls keeps it until the handshake lets it go, with its last word.
        wire.client.writer().write_all(b"early").unwrap();
        wire = wire.shake_hands();
        assert_eq!(wire.heard, b"early", "{versions:?}");
    }
}

#[test]
fn what_waits_to_be_said_waits_for_the_handshake() {
    let mut wire = Wire::new(Chargen, usize::MAX, 1000);
    assert_eq!(wire.want, Want::Read, "there is nobody to write to yet");
    wire.agree();
    wire.hear_client();
    assert_eq!(wire.want, Want::Write);
    for _ in 0..10 {
        wire.tell(|session, out| session.produce(out));
    }
    assert!(wire.heard.len() >= 10_000, "{}", wire.heard.len());
    assert!(wire.heard.starts_with(b" !\"#$%&'()"));
}

/// Answers each input, however short, with a page, all of which fits at once.
struct Pages;

const PAGE: usize = 10_000;

impl Service for Pages {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(Pages)
    }
}

impl Session for Pages {
    fn receive(&mut self, _input: &[u8], out: &mut Output) -> Want {
        out.write(&[b'x'; PAGE]);
        Want::Read
    }
}

#[test]
fn what_is_said_at_once_is_bounded_however_much_is_asked_for() {
    let chunk = 16 * 1024;
    let mut wire = Wire::new(Pages, usize::MAX, chunk).shake_hands();
    // Records that all come at once.
    for _ in 0..300 {
        wire.client.writer().write_all(b"page").unwrap();
    }
    let said = records(&mut wire.client);
    wire.give(&said);
    assert_eq!(wire.heard.len(), 300 * PAGE);
    assert!(wire.longest < chunk + said.len() + PAGE + 1000, "{} bytes", wire.longest);
}

#[test]
fn the_deadline_of_the_handshake_is_absolute() {
    let mut wire = Wire::new(Echo, 1, Output::CHUNK);
    let hello = records(&mut wire.client);
    let step = LONG / 100;
    for byte in &hello[..99] {
        wire.now += step;
        wire.give(&[*byte]);
        wire.tell(|session, out| session.wake(out));
        assert_eq!(wire.want, Want::Read, "it has time left");
    }
    wire.now += step;
    wire.tell(|session, out| session.wake(out));
    assert_eq!(wire.want, Want::Close);
    assert_eq!(wire.failure.as_deref(), Some("TLS: no handshake within 60 s"));
}

#[test]
fn a_deadline_that_was_kept_is_no_deadline_any_more() {
    let mut wire = Wire::new(Echo, 100, Output::CHUNK).shake_hands();
    wire.now += 10 * LONG;
    wire.tell(|session, out| session.wake(out));
    assert_eq!(wire.want, Want::Read);
    wire.say(b"still here");
    assert_eq!(wire.heard, b"still here");
}

#[test]
fn what_has_arrived_is_answered_before_the_stop_is_told() {
    let mut wire = Wire::new(Pages, usize::MAX, 1000).shake_hands();
    for _ in 0..10 {
        wire.client.writer().write_all(b"page").unwrap();
    }
    wire.hear_client();
    assert_eq!((wire.want, wire.heard.len()), (Want::Write, PAGE));
    wire.tell(|session, out| session.drain(out));
    wire.go_on();
    assert_eq!((wire.want, wire.heard.len()), (Want::Close, 10 * PAGE));
}

#[test]
fn who_never_stops_talking_is_told_of_the_stop_at_once() {
    let mut wire = Wire::new(Chargen, usize::MAX, 1000);
    wire.agree();
    // Its end of the handshake, and in the same segment something that chargen never reads.
    wire.client.writer().write_all(b"unread").unwrap();
    wire.hear_client();
    assert_eq!(wire.want, Want::Write);
    wire.tell(|session, out| session.drain(out));
    assert_eq!(wire.want, Want::Close);
}

#[test]
fn the_deadline_of_the_handshake_does_not_silence_who_talks() {
    let mut wire = Wire::new(Chargen, usize::MAX, 1000);
    wire.agree();
    wire.hear_client();
    wire.now += LONG;
    wire.tell(|session, out| session.wake(out));
    assert_eq!(wire.want, Want::Write);
}

#[test]
fn what_was_right_is_answered_before_what_is_wrong_is_known() {
    for apart in [false, true] {
        let mut wire = Wire::new(Echo, usize::MAX, Output::CHUNK).shake_hands();
        wire.client.writer().write_all(b"right").unwrap();
        wire.client.writer().write_all(b"wrong").unwrap();
        let mut said = records(&mut wire.client);
        *said.last_mut().unwrap() ^= 1;
        // Each of the records is as long as the other.
        let pieces = if apart { said.len() / 2 } else { said.len() };
        for piece in said.chunks(pieces) {
            wire.give(piece);
        }
        assert_eq!((wire.want, &wire.heard[..]), (Want::Close, &b"right"[..]));
        assert_eq!(wire.failure.as_deref(), Some("TLS: what came cannot be decrypted"));
    }
}

#[test]
fn an_end_without_notice_is_a_truncation() {
    let mut wire = Wire::new(Echo, 100, Output::CHUNK).shake_hands();
    wire.say(b"half a sent");
    wire.tell(|session, out| session.eof(out));
    assert_eq!((wire.want, &wire.heard[..]), (Want::Close, &b"half a sent"[..]));
    let failure = wire.failure.expect("it is told");
    assert!(failure.contains("close_notify"), "{failure}");
}

#[test]
fn an_end_during_the_handshake_is_told() {
    let mut wire = Wire::new(Echo, 100, Output::CHUNK);
    wire.tell(|session, out| session.eof(out));
    assert_eq!(wire.failure.as_deref(), Some("TLS: it left before its hello"));
    let mut wire = Wire::new(Echo, 100, Output::CHUNK);
    let hello = records(&mut wire.client);
    wire.give(&hello);
    wire.tell(|session, out| session.eof(out));
    assert_eq!(wire.failure.as_deref(), Some("TLS: it left during the handshake"));
}

#[test]
fn an_update_of_keys_is_answered_though_nobody_says_anything() {
    let mut wire = Wire::between(Discard, both(TLS13), 100, Output::CHUNK).shake_hands();
    for round in 0..10 {
        wire.longest = 0;
        wire.client.refresh_traffic_keys().unwrap();
        wire.say(&pattern(round, 100));
        assert!(wire.longest > 0, "no answer in round {round}");
    }
    assert_eq!(wire.failure, None);
}

#[test]
fn nothing_is_told_inside_before_the_handshake_or_after_the_end() {
    struct Strict(bool);
    impl Service for Strict {
        fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
            Box::new(Strict(false))
        }
    }
    impl Session for Strict {
        fn receive(&mut self, _input: &[u8], _out: &mut Output) -> Want {
            assert!(!self.0, "it has said its last word");
            self.0 = true;
            Want::Close
        }
        fn eof(&mut self, _out: &mut Output) -> Want {
            panic!("it has heard no word");
        }
        fn deliver(&mut self, _mail: &[u8], _out: &mut Output) -> Want {
            panic!("nobody can know it");
        }
    }
    let mut wire = Wire::new(Strict(false), 100, Output::CHUNK);
    wire.tell(|session, out| session.deliver(b"letter", out));
    wire = wire.shake_hands();
    wire.client.writer().write_all(b"one").unwrap();
    wire.client.writer().write_all(b"two").unwrap();
    wire.piece = usize::MAX;
    wire.carry();
    assert_eq!(wire.want, Want::Close);
}

#[test]
fn a_hello_on_a_port_without_tls_is_recognized_and_nothing_else_is() {
    let first = |input: &[u8]| {
        let service = Plain(Arc::new(Echo));
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        let mut session = service.accept(peer, ConnectionId::new(0, 1));
        let mut out = Output::new(Output::CHUNK);
        session.open(&mut out);
        let want = session.receive(input, &mut out);
        (want, out.take_failure().is_some(), out.repeated(input).len())
    };
    let hello = records(&mut client(&both(ALL).1));
    assert_eq!(first(&hello), (Want::Close, true, 0));
    let mut damaged = hello.clone();
    damaged[8] ^= 1;
    for other in [&b"\x16\x03\x01"[..], &damaged, b"GET / HTTP/1.1", &hello[1..]] {
        assert_eq!(first(other), (Want::Read, false, other.len()));
    }
}

#[test]
fn a_patience_of_days_is_no_overflow() {
    let tls = Tls::new(Arc::new(Echo), &both(ALL).0, Duration::from_secs(365 * 86_400));
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
    let mut out = Output::new(1);
    tls.accept(peer, ConnectionId::new(0, 1)).open(&mut out);
    assert!(out.take_wake().is_some());
}

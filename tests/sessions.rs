//! Sessions without sockets: bytes in, bytes out, whatever the cuts and whatever the chunk.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use socklab::service::{Chargen, Discard, Echo};
use socklab::session::{ConnectionId, Output, Service, Session, Want};

/// Around one character, one line, and a page.
const CHUNKS: [usize; 6] = [1, 2, 73, 74, 75, 4096];

/// All lines of RFC 864's pattern, and some of its beginning again.
const ENOUGH: usize = 74 * 95 + 1000;

/// A session and what an engine keeps beside it.
struct Conversation {
    session: Box<dyn Session>,
    chunk: usize,
    want: Want,
    said: Vec<u8>,
}

impl Conversation {
    fn open(service: &dyn Service, chunk: usize) -> Conversation {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        let mut conversation = Conversation {
            session: service.accept(peer, ConnectionId::new(0, 1)),
            chunk,
            want: Want::Read,
            said: Vec::new(),
        };
        conversation.tell(|session, out| session.open(out));
        conversation
    }

    /// The peer has sent `input`.
    fn receive(&mut self, input: &[u8]) -> usize {
        self.tell_with(input, |session, out| session.receive(input, out))
    }

    fn tell(&mut self, news: impl FnOnce(&mut dyn Session, &mut Output) -> Want) -> usize {
        self.tell_with(&[], news)
    }

    /// One call, and what it says is on its way. Gives how many bytes that was.
    fn tell_with(
        &mut self,
        input: &[u8],
        news: impl FnOnce(&mut dyn Session, &mut Output) -> Want,
    ) -> usize {
        assert_ne!(self.want, Want::Close, "nothing is told after the end");
        let mut out = Output::new(self.chunk);
        self.want = news(&mut *self.session, &mut out);
        assert!(out.take_mail().is_empty(), "these services post no mail");
        let before = self.said.len();
        self.said.extend_from_slice(out.repeated(input));
        self.said.extend_from_slice(out.bytes());
        self.said.len() - before
    }

    /// Lets the session go on until it reads again, or has said enough.
    fn go_on(&mut self) {
        while self.want == Want::Write && self.said.len() < ENOUGH {
            self.tell(|session, out| session.produce(out));
        }
    }
}

/// What a correct engine makes of a peer that sends `pieces`, then closes its sending half, and
/// leaves once it has heard enough.
fn drive(service: &dyn Service, pieces: &[&[u8]], chunk: usize) -> Vec<u8> {
    let mut conversation = Conversation::open(service, chunk);
    conversation.go_on();
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        // Nothing is read while the session has more to say, nor after its end.
        if conversation.want == Want::Read {
            conversation.receive(piece);
            conversation.go_on();
        }
    }
    if conversation.want == Want::Read {
        conversation.tell(|session, out| session.eof(out));
        conversation.go_on();
    }
    conversation.said
}

/// `input` in pieces, cut at each of `cuts`.
fn cut<'a>(input: &'a [u8], cuts: &[Index]) -> Vec<&'a [u8]> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(input.len() + 1)).collect();
    cuts.extend([0, input.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|ends| &input[ends[0]..ends[1]]).collect()
}

/// RFC 864 in its own words: the printing characters are a ring, and line N has those numbered
/// N to N + 71, then CR and LF.
fn rfc_864(length: usize) -> Vec<u8> {
    let ring: Vec<u8> = (0..=127_u8).filter(|c| *c == b' ' || c.is_ascii_graphic()).collect();
    assert_eq!(ring.len(), 95);
    let line = |n: usize| {
        let characters = ring.iter().cycle().skip(n % 95).take(72).copied();
        characters.chain(*b"\r\n").collect::<Vec<u8>>()
    };
    (0..).flat_map(line).take(length).collect()
}

fn without_files() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(without_files())]

    #[test]
    fn echo_does_not_care_how_its_input_was_cut(
        input in vec(any::<u8>(), 0..5000),
        cuts in vec(any::<Index>(), 0..20),
        chunk in 1..5000_usize,
    ) {
        prop_assert_eq!(drive(&Echo, &cut(&input, &cuts), chunk), input);
    }

    #[test]
    fn discard_is_silent_however_its_input_was_cut(
        input in vec(any::<u8>(), 0..5000),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        prop_assert_eq!(drive(&Discard, &cut(&input, &cuts), Output::CHUNK), b"");
    }

    #[test]
    fn chargen_says_the_same_whatever_its_peer_says(
        input in vec(any::<u8>(), 0..500),
        cuts in vec(any::<Index>(), 0..20),
    ) {
        let said = drive(&Chargen, &cut(&input, &cuts), 100);
        prop_assert_eq!(&said, &rfc_864(said.len()));
    }

    #[test]
    fn chargen_goes_on_where_it_stopped_however_large_the_next_chunk_is(
        chunks in vec(1..3000_usize, 1..40),
    ) {
        let mut conversation = Conversation::open(&Chargen, 1);
        for chunk in chunks {
            conversation.chunk = chunk;
            conversation.tell(|session, out| session.produce(out));
        }
        let said = conversation.said;
        prop_assert_eq!(&said, &rfc_864(said.len()));
    }
}

#[test]
fn a_short_input_comes_back_in_every_split_there_is() {
    let input = b"a\r\n\0\xff\nb\n\r\x80c";
    for pattern in 0..1_u32 << (input.len() - 1) {
        let mut pieces = Vec::new();
        let mut rest = &input[..];
        for at in (1..input.len()).rev().filter(|at| pattern & (1 << (at - 1)) != 0) {
            let (before, piece) = rest.split_at(at);
            pieces.insert(0, piece);
            rest = before;
        }
        pieces.insert(0, rest);
        assert_eq!(drive(&Echo, &pieces, 4), input, "cut as {pieces:?}");
        assert_eq!(drive(&Discard, &pieces, 4), b"", "cut as {pieces:?}");
    }
}

#[test]
fn echo_answers_at_once_and_says_nothing_unasked() {
    let mut conversation = Conversation::open(&Echo, 1);
    assert_eq!(conversation.want, Want::Read);
    assert_eq!(conversation.said, b"");
    for length in [1, 2, 4096, 3 * Output::CHUNK] {
        let input = vec![b'x'; length];
        let said = conversation.receive(&input);
        assert_eq!((said, conversation.want), (length, Want::Read));
    }
}

#[test]
fn chargen_begins_as_rfc_864_shows() {
    let said = drive(&Chargen, &[], Output::CHUNK);
    let lines: Vec<&[u8]> = said.chunks(74).take(96).collect();
    let first: &[u8] =
        b" !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefg\r\n";
    let second: &[u8] =
        b"!\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefgh\r\n";
    let last: &[u8] =
        b"~ !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdef\r\n";
    assert_eq!(lines[0], first);
    assert_eq!(lines[1], second);
    assert_eq!(lines[94], last);
    assert_eq!(lines[95], first, "after 95 lines it begins again");
}

#[test]
fn chargen_says_the_same_in_chunks_of_every_size() {
    for chunk in CHUNKS {
        let said = drive(&Chargen, &[], chunk);
        assert!(said.len() >= ENOUGH);
        assert_eq!(said, rfc_864(said.len()), "in chunks of {chunk}");
    }
}

#[test]
fn chargen_fills_each_chunk_exactly_and_waits() {
    for chunk in CHUNKS {
        let mut conversation = Conversation::open(&Chargen, chunk);
        assert_eq!((conversation.said.len(), conversation.want), (chunk, Want::Write));
        for _ in 0..200 {
            let said = conversation.tell(|session, out| session.produce(out));
            assert_eq!((said, conversation.want), (chunk, Want::Write));
        }
    }
}

#[test]
fn chargen_adds_nothing_to_an_output_that_is_full() {
    let mut session = Chargen.accept(([127, 0, 0, 1], 19).into(), ConnectionId::new(0, 1));
    let mut out = Output::new(100);
    assert_eq!(session.open(&mut out), Want::Write);
    assert_eq!(session.produce(&mut out), Want::Write);
    assert_eq!(out.bytes(), rfc_864(100));
    out.clear();
    assert_eq!(session.produce(&mut out), Want::Write);
    assert_eq!(out.bytes(), &rfc_864(200)[100..], "nothing was skipped");
}

#[test]
fn every_service_closes_without_a_word_at_every_kind_of_end() {
    type End = fn(&mut dyn Session, &mut Output) -> Want;
    let ends: [(&str, End); 3] = [
        ("eof", |session, out| session.eof(out)),
        ("idle", |session, out| session.idle(out)),
        ("drain", |session, out| session.drain(out)),
    ];
    let services: [(&str, &dyn Service); 3] =
        [("echo", &Echo), ("discard", &Discard), ("chargen", &Chargen)];
    for (name, service) in services {
        for (end, tell) in ends {
            for talked_before in [false, true] {
                let mut conversation = Conversation::open(service, 10);
                match conversation.want {
                    Want::Read if talked_before => {
                        conversation.receive(b"hello");
                    }
                    Want::Write if talked_before => {
                        conversation.tell(|session, out| session.produce(out));
                    }
                    _ => {}
                }
                let said = conversation.tell(tell);
                assert_eq!((said, conversation.want), (0, Want::Close), "{name} after {end}");
            }
        }
    }
}

#[test]
fn no_service_here_takes_mail() {
    assert!(!Echo.takes_mail());
    assert!(!Discard.takes_mail());
    assert!(!Chargen.takes_mail());
}

#[test]
fn sessions_of_one_service_know_nothing_of_each_other() {
    let mut one = Conversation::open(&Chargen, 50);
    let two = Conversation::open(&Chargen, 50);
    one.tell(|session, out| session.produce(out));
    let three = Conversation::open(&Chargen, 50);
    assert_eq!(one.said, rfc_864(100));
    assert_eq!(two.said, rfc_864(50));
    assert_eq!(three.said, rfc_864(50));
}

#[test]
fn an_output_is_full_at_its_chunk_and_takes_more_all_the_same() {
    let mut out = Output::new(4);
    assert_eq!((out.room(), out.is_full()), (4, false));
    out.write(b"abc");
    assert_eq!((out.room(), out.is_full()), (1, false));
    out.write(b"d");
    assert_eq!((out.room(), out.is_full()), (0, true));
    out.write(b"one reply more");
    assert_eq!((out.room(), out.is_full()), (0, true));
    assert_eq!(out.bytes(), b"abcdone reply more");
    out.clear();
    assert_eq!((out.room(), out.is_full(), out.bytes()), (4, false, &b""[..]));
}

#[test]
fn what_is_written_stays_together_and_on_a_cache_line_while_it_grows() {
    let mut out = Output::new(Output::CHUNK);
    for round in 0..3 {
        let mut written = Vec::new();
        for length in [1, 63, 64, 65, 1000, 100_000] {
            let piece = vec![length as u8 + round; length];
            out.write(&piece);
            written.extend_from_slice(&piece);
            assert!(out.bytes() == written);
            assert_eq!(out.bytes().as_ptr().align_offset(64), 0);
        }
        out.clear();
        assert!(out.bytes().is_empty());
    }
}

#[test]
fn what_is_repeated_is_not_copied_and_goes_first() {
    let input = b"hello";
    let mut out = Output::new(4);
    assert!(out.repeated(input).is_empty());
    out.repeat();
    out.write(b", world");
    assert!(std::ptr::eq(out.repeated(input), input));
    assert_eq!(out.bytes(), b", world");
    out.clear();
    assert!(out.repeated(input).is_empty());
}

#[test]
fn mail_leaves_once_in_order_and_shares_its_bytes() {
    let (amy, bob) = (ConnectionId::new(0, 1), ConnectionId::new(1, 2));
    let letter: Arc<[u8]> = Arc::from(&b"hello"[..]);
    let mut out = Output::new(1);
    out.post(amy, letter.clone());
    out.post(bob, letter.clone());
    assert!(!out.is_full(), "mail takes no room");
    let mail = out.take_mail();
    assert_eq!(mail.iter().map(|mail| mail.to).collect::<Vec<_>>(), [amy, bob]);
    assert!(mail.iter().all(|mail| Arc::ptr_eq(&mail.bytes, &letter)));
    assert!(out.take_mail().is_empty());
}

#[test]
fn a_connection_is_called_by_its_serial_number() {
    let id = ConnectionId::new(3, 17);
    assert_eq!(id.to_string(), "#17");
    assert_eq!((id.slot(), id.serial()), (3, 17));
}

#[test]
fn the_next_tenant_of_a_slot_is_somebody_else() {
    assert_ne!(ConnectionId::new(3, 17), ConnectionId::new(3, 18));
    assert_ne!(ConnectionId::new(3, 17), ConnectionId::new(4, 17));
    assert_eq!(ConnectionId::new(3, 17), ConnectionId::new(3, 17));
}

//! Sessions inside TLS: with a client that does everything right, one whose records are damaged on
//! their way, and one that speaks no TLS.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::sync::{Arc, LazyLock};

use proptest::collection::vec;
use proptest::prelude::*;
use rustls::{ClientConfig, ClientConnection};
use socklab::service::{Chargen, Chat, Discard, Echo};
use socklab::session::{Output, Service};
use socklab::tls::server::{Oldest, Options};
use socklab::tls::{Acceptor, Source, Tls};

use super::cases;
use super::driver::{Bound, Peer, World};
use super::guard::Guarded;
use super::script::{Script, chunks, script, sizes};
use super::services::{ONE_LINE, answers, chat_settings, drive, flooded, lines};
use super::sites::{ONE_ANSWER, furnished, read_only, steady, writable};
use super::support::secure::{Authority, LONG, TLS12, TLS13, client, config, records};
use super::words::{Words, anything, guest, http, irc, noise};

/// The session inside fills a chunk of its own once more when there is nearly one already; each
/// record, which may have a byte in it, is as much longer as TLS needs; and there is the handshake.
pub const WRAPPED: Bound = Bound { chunks: 2, reply: 64 * 1024 + 4 * 16 * 1024 };

/// rustls takes 32 updates of keys from a server that says nothing else.
const MOST_UPDATES: usize = 30;

/// The server's side, and clients of both versions that trust it.
struct Sides {
    acceptor: Acceptor,
    clients: [Arc<ClientConfig>; 2],
}

static SIDES: LazyLock<Sides> = LazyLock::new(|| {
    let authority = Authority::new();
    let files = authority.identity();
    let (certificates, key) = (files.certificate_file().into(), files.key_file().into());
    let source = Source::Files { certificates, key };
    let options = Options { source, client_ca: None, oldest: Oldest::Tls12 };
    let acceptor = Acceptor::new(&options).expect("the files are fine");
    let clients = [TLS12, TLS13].map(|versions| Arc::new(config(versions, &authority, None)));
    Sides { acceptor, clients }
});

pub fn tls(service: Arc<dyn Service>) -> Arc<dyn Service> {
    Arc::new(Tls::new(Arc::new(Guarded(service)), &SIDES.acceptor, LONG))
}

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct Manner {
    modern: bool,
    /// Bytes of its words in one record each, in turn.
    records: Vec<usize>,
    /// It does not wait for the end of the handshake.
    early: bool,
    /// It asks for new keys before each of its first records, as far as its version can.
    updates: bool,
    /// It says `close_notify` after its last word.
    closes: bool,
    /// Bits that are turned on the way: after so many bytes, one of these.
    damage: Vec<(u16, u8)>,
}

impl Manner {
    /// In records as long as they may be.
    pub fn plain() -> Manner {
        Manner {
            modern: true,
            records: vec![16 * 1024],
            early: false,
            updates: false,
            closes: false,
            damage: Vec::new(),
        }
    }

    /// It ends as it should.
    pub fn closing(self) -> Manner {
        Manner { closes: true, ..self }
    }
}

pub fn manner() -> impl Strategy<Value = Manner> {
    let sizes = vec(prop_oneof![1..50_usize, 50..20_000_usize], 1..5);
    (any::<bool>(), sizes, any::<bool>(), proptest::bool::weighted(0.2), any::<bool>()).prop_map(
        |(modern, records, early, updates, closes)| Manner {
            modern,
            records,
            early,
            updates,
            closes,
            damage: Vec::new(),
        },
    )
}

fn unruly() -> impl Strategy<Value = Manner> {
    let damage = vec((any::<u16>(), 1..=255_u8), 0..3);
    (manner(), damage).prop_map(|(manner, damage)| Manner { damage, ..manner })
}

/// A client between a session and what is said to it.
pub struct Client {
    tls: ClientConnection,
    manner: Manner,
    next: usize,
    pub words: VecDeque<u8>,
    /// What is on its way to the session.
    outgoing: VecDeque<u8>,
    /// Bytes that went that way.
    sent: usize,
    closed: bool,
    /// What the session said, decrypted.
    pub heard: Vec<u8>,
    /// The session has announced its end.
    pub noticed: bool,
    /// What came cannot be understood.
    pub broken: bool,
}

impl Client {
    pub fn new(words: &[u8], manner: &Manner) -> Client {
        let mut tls = client(&SIDES.clients[usize::from(manner.modern)]);
        tls.set_buffer_limit(None);
        Client {
            tls,
            manner: manner.clone(),
            next: 0,
            words: words.to_vec().into(),
            outgoing: VecDeque::new(),
            sent: 0,
            closed: false,
            heard: Vec::new(),
            noticed: false,
            broken: false,
        }
    }

    /// Goes on, where what was said before has left.
    fn speak(&mut self) {
        let may = self.manner.early || !self.tls.is_handshaking();
        if !may || self.broken {
            return;
        }
        if !self.words.is_empty() {
            let size = self.manner.records[self.next % self.manner.records.len()];
            self.next += 1;
            let updates = self.manner.updates && self.next < MOST_UPDATES;
            if updates && self.manner.modern && !self.tls.is_handshaking() {
                self.tls.refresh_traffic_keys().expect("it is connected");
            }
            let piece: Vec<u8> = self.words.drain(..self.words.len().min(size)).collect();
            self.tls.writer().write_all(&piece).expect("there is no limit");
        } else if !self.closed && self.manner.closes && !self.tls.is_handshaking() {
            self.closed = true;
            self.tls.send_close_notify();
        }
    }
}

impl Peer for Client {
    fn words(&mut self, most: usize) -> Vec<u8> {
        if self.outgoing.is_empty() {
            if !self.tls.wants_write() {
                self.speak();
            }
            self.outgoing.extend(records(&mut self.tls));
        }
        let mut piece: Vec<u8> = self.outgoing.drain(..self.outgoing.len().min(most)).collect();
        for (at, bits) in &self.manner.damage {
            let at = usize::from(*at).wrapping_sub(self.sent);
            if let Some(byte) = piece.get_mut(at) {
                *byte ^= bits;
            }
        }
        self.sent += piece.len();
        piece
    }

    fn hears(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !self.broken {
            match self.tls.read_tls(&mut bytes) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            self.broken = self.tls.process_new_packets().is_err();
            let end = self.tls.reader().read_to_end(&mut self.heard);
            self.noticed |= end.is_ok();
        }
    }
}

/// What comes to a client from a service in TLS, whose words are cut into these sizes.
fn heard(
    service: Arc<dyn Service>,
    words: &[u8],
    manner: &Manner,
    sizes: &[usize],
    chunk: usize,
) -> Client {
    let mut world = World::new(Arc::new(Guarded(tls(service))), chunk, WRAPPED);
    let seat = world.sit_down(Client::new(words, manner));
    world.hear_out(seat, sizes);
    world.end(seat);
    let client = Client::new(&[], manner);
    std::mem::replace(&mut world.seats[seat].peer, client)
}

/// Does all that the script says with one conversation, then ends it.
fn drive_wrapped(
    service: Arc<dyn Service>,
    words: &[u8],
    manner: &Manner,
    script: &Script,
    chunk: usize,
) {
    let mut world = World::new(Arc::new(Guarded(tls(service))), chunk, WRAPPED);
    let seat = world.sit_down(Client::new(words, manner));
    for (_, step) in &script.0 {
        world.step(seat, *step);
    }
    world.finish();
    let right = manner.damage.is_empty();
    assert!(!right || !world.seats[seat].peer.broken, "the client cannot make sense of it");
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn simple_sessions_in_tls_keep_the_contract(
        words in noise(),
        manner in unruly(),
        script in script(1, 200),
        chunk in chunks(),
    ) {
        let services: [Arc<dyn Service>; 3] = [Arc::new(Echo), Arc::new(Discard), Arc::new(Chargen)];
        for service in services {
            drive_wrapped(service, &words, &manner, &script, chunk);
        }
    }

    #[test]
    fn chat_in_tls_keeps_the_contract(
        words in vec(irc(), 2),
        manners in vec(unruly(), 2),
        script in script(2, 300),
        chunk in chunks(),
        flood in any::<bool>(),
    ) {
        let settings = if flood { flooded() } else { chat_settings() };
        let service = Arc::new(Guarded(tls(Arc::new(Chat::new(settings)))));
        let mut world = World::new(service, chunk, WRAPPED);
        for ((nick, words), manner) in ["ann", "bob"].iter().zip(&words).zip(&manners) {
            world.sit_down(Client::new(&guest(nick, words), manner));
        }
        for (seat, step) in script.0 {
            world.step(seat, step);
        }
        world.finish();
    }

    #[test]
    fn a_site_in_tls_keeps_the_contract(
        words in anything(),
        manner in unruly(),
        script in script(1, 200),
        chunk in chunks(),
        write in any::<bool>(),
    ) {
        let tree = furnished();
        let site = if write { writable(&tree) } else { read_only(&tree) };
        drive_wrapped(Arc::new(site), &words, &manner, &script, chunk);
    }

    #[test]
    fn who_speaks_no_tls_is_let_go(
        words in anything(),
        sizes in vec(sizes(), 1..10),
        script in script(1, 100),
        chunk in chunks(),
    ) {
        drive(tls(Arc::new(Echo)), &words, &script, chunk, WRAPPED);
        let whole = answers(tls(Arc::new(Echo)), &words, &[usize::MAX], Output::CHUNK, WRAPPED);
        let cut = answers(tls(Arc::new(Echo)), &words, &sizes, chunk, WRAPPED);
        prop_assert_eq!(cut, whole);
    }

    #[test]
    fn in_tls_the_same_is_said_as_without(
        words in prop_oneof![2 => http(), 1 => irc(), 1 => noise()],
        manner in manner(),
        sizes in vec(sizes(), 1..10),
        chunk in chunks(),
    ) {
        let tree = furnished();
        let manner = manner.closing();
        let client = heard(Arc::new(read_only(&tree)), &words, &manner, &sizes, chunk);
        let site = Arc::new(read_only(&tree));
        let plain = answers(site, &words, &[usize::MAX], Output::CHUNK, ONE_ANSWER);
        prop_assert!(client.noticed && !client.broken, "its end is not announced");
        prop_assert_eq!(steady(&client.heard), steady(&plain));

        let client = heard(Arc::new(Echo), &words, &manner, &sizes, chunk);
        prop_assert!(client.noticed && !client.broken, "its end is not announced");
        prop_assert_eq!(Words(client.heard), words.clone());

        let chat = || Arc::new(Chat::new(chat_settings()));
        let client = heard(chat(), &words, &manner, &sizes, chunk);
        let plain = answers(chat(), &words, &[usize::MAX], Output::CHUNK, ONE_LINE);
        prop_assert_eq!(lines(&client.heard), lines(&plain));
    }
}

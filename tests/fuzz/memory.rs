//! What conversations keep, however much is said: what was read at once, a chunk and a reply, and
//! what their protocols let wait.

use std::fs;
use std::sync::Arc;

use socklab::service::{Chat, Discard, Echo};
use socklab::session::{Output, Service};

use super::driver::{Peer, Reciter, World};
use super::guard::Guarded;
use super::secure::{Client, Manner, WRAPPED, tls};
use super::services::chat_settings;
use super::sites::{furnished, read_only};

/// Conversations at once.
const MANY: usize = 8;

/// What each is told, so many times a round.
const ROUNDS: usize = 24;
const ROUND: usize = 64 * 1024;

/// Bytes that each may keep, its peer with it: some rounds, of all that come.
const KEPT: usize = 6 * ROUND;

/// What somebody says first, and what again and again.
type Script = fn(usize) -> [String; 2];

/// A peer that is told what to say, and forgets what it hears.
trait Prompted: Peer {
    fn prompt(&mut self, words: &[u8]);
    fn forget(&mut self);
}

impl Prompted for Reciter {
    fn prompt(&mut self, words: &[u8]) {
        self.words.extend(words);
    }

    fn forget(&mut self) {
        self.heard = Vec::new();
    }
}

impl Prompted for Client {
    fn prompt(&mut self, words: &[u8]) {
        self.words.extend(words);
    }

    fn forget(&mut self) {
        self.heard = Vec::new();
    }
}

/// Pages of this process that are in memory, in bytes (proc(5), statm).
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").expect("proc is mounted");
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("the second number") * 4096
}

/// What each of many conversations keeps of all the rounds.
fn kept<P: Prompted>(service: Arc<dyn Service>, peer: impl Fn() -> P, words: Script) -> usize {
    let before = resident();
    let mut world = World::new(Arc::new(Guarded(service)), Output::CHUNK, WRAPPED);
    for _ in 0..MANY {
        let seat = world.sit_down(peer());
        world.seats[seat].peer.prompt(words(seat)[0].as_bytes());
    }
    for round in 0..ROUNDS {
        for seat in 0..MANY {
            // A round ends anywhere, and the next one goes on there.
            let again = words(seat)[1].clone().into_bytes();
            let rest = again.iter().copied().cycle().skip(round * ROUND % again.len());
            world.seats[seat].peer.prompt(&rest.take(ROUND).collect::<Vec<u8>>());
            world.hear_out(seat, &[ROUND]);
            world.seats[seat].peer.forget();
            assert!(!world.seats[seat].ended, "it has ended, and keeps nothing");
        }
    }
    let kept = resident().saturating_sub(before) / MANY;
    (0..MANY).for_each(|seat| world.end(seat));
    kept
}

/// Memory is that of the process, so no other test may run beside it.
#[test]
#[ignore = "it measures its process: cargo test --test fuzz -- --ignored"]
fn no_conversation_keeps_what_it_has_answered() {
    let tree = furnished();
    let hello = |_| [String::new(), "hello, world".into()];
    let request = |_| {
        let long = "b".repeat(1000);
        [String::new(), format!("GET /small HTTP/1.1\r\nHost: a\r\nA: {long}\r\n\r\n")]
    };
    let lines = |seat| {
        let (room, long) = (format!("#room{seat}"), "x".repeat(300));
        let again = format!("TOPIC {room} :{long}\r\nPRIVMSG {room} :{long}\r\nNAMES {room}\r\n");
        [format!("NICK n{seat}\r\nUSER u 0 * :u\r\nJOIN {room}\r\n"), again]
    };
    let services: [(&str, Arc<dyn Service>, Script); 4] = [
        ("echo", Arc::new(Echo), hello),
        ("discard", Arc::new(Discard), hello),
        ("http", Arc::new(read_only(&tree)), request),
        ("chat", Arc::new(Chat::new(chat_settings())), lines),
    ];
    for (name, service, words) in services {
        let plain = kept(service.clone(), || Reciter::new(b""), words);
        let client = || Client::new(b"", &Manner::plain());
        let wrapped = kept(tls(service), client, words);
        println!("{name}: {} KiB, and {} KiB in TLS", plain / 1024, wrapped / 1024);
        assert!(plain.max(wrapped) < KEPT, "{name}: {plain} bytes, and {wrapped} in TLS");
    }
}

//! Loads for tests, by the library and by the binary, and a server that counts what it answers.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;
use socklab::load::driver::{Driver, Length, Outcome, Party};
use socklab::load::pace::Pace;
use socklab::load::watch::Watch;
use socklab::load::work::Work;
use socklab::session::{ConnectionId, Output, Service, Session, Want};
use socklab::transport::Transport;

use super::PATIENCE;
use super::run::socklab;

pub const SEED: u64 = 1;

pub fn caller(number: usize) -> IpAddr {
    Ipv4Addr::new(127, 0, 0, number as u8 + 1).into()
}

pub fn party(server: SocketAddr, clients: usize, work: Work) -> Party {
    Party {
        transport: Transport::Tcp,
        server,
        secure: None,
        clients,
        threads: 1,
        work,
        sources: (0..clients).map(caller).collect(),
        connect_rate: None,
        patience: PATIENCE,
        awake: false,
    }
}

/// Loads until something is wrong, or for so many messages.
pub fn load(party: &Party, pace: Pace, messages: u64) -> Outcome {
    let mut driver = Driver::new(party, Arc::new(Watch::new())).unwrap();
    let mut outcome = driver.connect().unwrap();
    if outcome.faults.total() == 0 {
        outcome = driver.slice(pace, None, Length::Messages(messages)).unwrap();
    }
    let left = driver.leave().unwrap();
    Outcome { faults: left.faults, messages_in_all: left.messages_in_all, ..outcome }
}

/// A load of 64-byte echoes that is short, unless `arguments` say otherwise.
pub fn load_as_json(server: SocketAddr, arguments: &[&str]) -> (i32, Value, String) {
    let target = format!("tcp://{server}");
    let common = ["load", &target, "--warmup", "0", "--json", "-"];
    let (code, printed, complaint) = socklab(&[&common[..], arguments].concat());
    let document = serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("{error}: {printed:?} {complaint}"));
    (code, document, complaint)
}

/// Answers each message of a fixed size, and counts them.
pub struct Counting {
    pub size: u64,
    pub reply: Option<&'static [u8]>,
    pub messages: Arc<AtomicU64>,
}

struct CountingSession {
    size: u64,
    reply: Option<&'static [u8]>,
    bytes: u64,
    messages: Arc<AtomicU64>,
}

impl Service for Counting {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        let Counting { size, reply, messages } = self;
        let messages = messages.clone();
        Box::new(CountingSession { size: *size, reply: *reply, bytes: 0, messages })
    }
}

impl Session for CountingSession {
    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        let before = self.bytes / self.size;
        self.bytes += input.len() as u64;
        let new = self.bytes / self.size - before;
        // Before the answer leaves, so that whoever has it finds it counted.
        self.messages.fetch_add(new, Ordering::SeqCst);
        match self.reply {
            None => out.repeat(),
            Some(reply) => (0..new).for_each(|_| out.write(reply)),
        }
        Want::Read
    }
}

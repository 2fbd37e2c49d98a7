//! Chat rooms that every IRC client can join: RFC 1459 and 2812 as the Modern IRC Client Protocol
//! document has them, with those extensions of IRCv3 that are cheap and loved.
//!
//! A client's `session` cuts its words into lines, hears each in a turn of its own
//! (`turn`), and answers. All share one `hall`. What concerns others leaves as letters: composed and
//! allocated once, posted to many, and each receiver takes from it what it has asked for (`letter`).
//! Nothing of this knows sockets, threads or TLS.

mod about;
mod bucket;
mod capability;
mod channel;
mod command;
mod hall;
mod help;
mod letter;
mod lines;
mod listing;
pub mod mask;
pub mod message;
mod modes;
mod monitor;
mod numeric;
mod oper;
mod registration;
mod rooms;
mod session;
pub mod settings;
mod talk;
mod turn;
mod voice;
mod who;

use std::net::SocketAddr;
use std::sync::Arc;

use hall::Hall;
use session::Seat;
pub use settings::Settings;

use crate::session::{ConnectionId, Service, Session};

/// The chat service (IRC).
pub struct Chat {
    hall: Arc<Hall>,
}

impl Chat {
    /// An empty hall.
    pub fn new(settings: Settings) -> Chat {
        Chat { hall: Arc::new(Hall::new(settings)) }
    }
}

impl Service for Chat {
    fn accept(&self, peer: SocketAddr, id: ConnectionId) -> Box<dyn Session> {
        Box::new(Seat::new(self.hall.clone(), peer, id))
    }

    fn takes_mail(&self) -> bool {
        true
    }

    fn name(&self) -> &'static str {
        "chat"
    }

    fn refusal(&self) -> &'static [u8] {
        b"ERROR :Closing Link: (Too many connections from your address)\r\n"
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[b"irc"]
    }
}

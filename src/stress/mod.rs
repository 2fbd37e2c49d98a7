//! Hostile clients: each looks for one classic fault of servers, and says by a figure whether it was
//! found. They need no server of ours.
//!
//! 1. A visit is bounded, in time and in what it opens, and gives back what it took.
//! 2. What cannot be tried (no process known, no server of its own) is skipped with the reason, and
//!    never passes.
//! 3. A promise is broken by what a peer sees (bytes, ends, silence) or what the kernel tells of the
//!    process, never by how fast this machine is today.

pub mod arena;
mod callers;
pub mod fault;
mod holders;
pub mod hostile;
mod irc;
pub mod mix;
mod own;
pub mod peer;
mod quiet;
mod records;
pub mod shortage;
mod sockets;
mod talkers;
mod upload;
pub mod verdict;
mod visit;
mod web;
mod witness;

pub use own::{Own, Starter};
pub use visit::{Visited, visit};

use arena::{Arena, Protocol};
use verdict::Outcome;

/// A client that behaves badly.
#[derive(Clone, Copy, Debug)]
pub struct Hostile {
    /// What it is called on the command line.
    pub name: &'static str,
    /// The fault that it looks for.
    pub fault: &'static str,
    /// What it does.
    pub does: &'static str,
    /// What must be true.
    pub holds: &'static str,
    /// Well-known systems that behave, or behaved, so.
    pub seen_in: &'static str,
    /// Whom it can visit.
    pub needs: Needs,
    /// Goes there, and says what came of it.
    pub visit: fn(&Arena) -> Outcome,
}

/// Whom a hostile client can visit.
#[derive(Clone, Copy, Debug)]
pub struct Needs {
    /// What the server has to speak; anything where there is none.
    pub protocol: Option<Protocol>,
    /// Only over TLS.
    pub tls: bool,
    /// Nobody else can be served meanwhile: it takes all there is, or stops the server.
    pub alone: bool,
}

impl Needs {
    /// Whoever speaks anything.
    pub const ANYBODY: Needs = Needs { protocol: None, tls: false, alone: false };

    /// Servers of one protocol, in the clear or over TLS.
    pub const fn of(protocol: Protocol) -> Needs {
        Needs { protocol: Some(protocol), ..Needs::ANYBODY }
    }

    /// The same, over TLS only.
    pub const fn over_tls(self) -> Needs {
        Needs { tls: true, ..self }
    }

    /// The same, with nobody else about.
    pub const fn alone(self) -> Needs {
        Needs { alone: true, ..self }
    }

    /// Why it cannot visit `arena` at all, if it cannot.
    pub fn lack_in(&self, arena: &Arena) -> Option<String> {
        match self.protocol {
            Some(protocol) if protocol != arena.protocol => {
                Some(format!("it visits servers {}", protocol.named()))
            }
            _ if self.tls && arena.secure.is_none() => Some("it visits servers of TLS".into()),
            _ => None,
        }
    }
}

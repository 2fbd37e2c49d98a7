//! HTTP/1.1 (RFC 9110, RFC 9112) as a session: heads are read and judged (`head`), bodies are cut out
//! of the stream (`body`), answers are said as far as fits (`reply`), one request after the other
//! (`session`).
//!
//! What is behind it is a [`Site`]: it is given a request's head and says how to go on. It knows
//! neither connections nor framing, as a session knows no sockets.

mod body;
pub mod conditions;
mod date;
mod head;
pub mod ranges;
mod reply;
mod session;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use date::of as date;
pub use head::{Fields, Method, Request};
pub use reply::{Content, Part, Progress, Reply, Stream, reason};

use crate::session::{ConnectionId, Service, Session};
use session::Conversation;

/// What requests are about.
pub trait Site: Send + Sync {
    /// The head of a request has come.
    fn answer(&self, request: &Request<'_>) -> Answer;

    /// What its service is called ([`Service::name`]).
    fn name(&self) -> &'static str {
        "http"
    }

    /// Whether it is for those who only watch the server ([`Service::is_for_watchers`]).
    fn is_for_watchers(&self) -> bool {
        false
    }
}

/// How a request goes on after its head.
pub enum Answer {
    /// The answer is known. Whatever body the request has is skipped.
    Now(Reply),
    /// The answer is being worked out.
    Later(Box<dyn Pending>),
    /// The body of the request is wanted first.
    Take(Box<dyn Intake>),
}

/// Takes the body of a request. Dropped before [`finish`](Intake::finish) where the peer has left in
/// the middle of it.
pub trait Intake: Send {
    /// The next piece of it. A reply is a refusal: the rest is not wanted.
    fn take(&mut self, piece: &[u8]) -> Result<(), Reply>;

    /// Whether more can be taken now. Asked again a little later where not.
    fn is_ready(&mut self) -> bool {
        true
    }

    /// That was all.
    fn finish(self: Box<Self>) -> Box<dyn Pending>;
}

/// An answer that is being worked out elsewhere.
pub trait Pending: Send {
    /// The answer, once it is known; asked for again and again until then.
    fn poll(&mut self) -> Option<Reply>;
}

/// How long peers may take.
#[derive(Clone, Debug)]
pub struct Deadlines {
    /// From the first byte of a head, or the connection, to the end of it.
    pub head: Duration,
    /// Between an answer and the next request.
    pub keep_alive: Duration,
    /// For a body, besides what its length allows at [`Deadlines::SLOWEST`].
    pub body: Duration,
}

impl Deadlines {
    /// Bytes of a body per second in the long run. The slowest modems were quicker.
    pub const SLOWEST: u64 = 500;
}

impl Default for Deadlines {
    /// As nginx has them for keep-alive, and Apache for the others.
    fn default() -> Deadlines {
        Deadlines {
            head: Duration::from_secs(20),
            keep_alive: Duration::from_secs(75),
            body: Duration::from_secs(20),
        }
    }
}

/// A site over HTTP/1.1.
pub struct Http {
    site: Arc<dyn Site>,
    deadlines: Arc<Deadlines>,
}

impl Http {
    /// Serves `site`.
    pub fn new(site: Arc<dyn Site>, deadlines: Deadlines) -> Http {
        Http { site, deadlines: Arc::new(deadlines) }
    }
}

impl Service for Http {
    fn accept(&self, _peer: SocketAddr, id: ConnectionId) -> Box<dyn Session> {
        Box::new(Conversation::new(self.site.clone(), self.deadlines.clone(), id))
    }

    fn name(&self) -> &'static str {
        self.site.name()
    }

    fn is_for_watchers(&self) -> bool {
        self.site.is_for_watchers()
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[b"http/1.1", b"http/1.0"]
    }
}

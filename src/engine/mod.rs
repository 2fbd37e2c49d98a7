//! Engines own sockets and time: they ask the kernel, call the session, send its output.
//!
//! [`threads`] and [`poll`] have one signature and keep one order, to be read side by side. What
//! both share stands beside them: [`listen`](listen()), [`Limits`], [`Stop`], who is let in
//! (`admission`), and the journal of who came and left, with its [`counters`]. Datagrams have no
//! connections; both engines take and answer them by an exchange.

mod admission;
mod buffer;
pub mod counters;
mod exchange;
mod guard;
mod journal;
mod limits;
mod listen;
pub mod poll;
mod stop;
pub mod threads;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use log::error;
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll as poll_once};
use socket2::SockRef;

pub use admission::{Access, Network};
pub(crate) use buffer::Buffer;
use guard::network;
pub use limits::{Limits, Seats, has_signal_stacks, ignored_at_start, raise_open_files, seats};
use listen::QUEUE;
pub(crate) use listen::resolve;
pub use listen::{ListenError, listen, listen_both, listen_datagrams};
pub use stop::Stop;

use crate::session::{Output, Responder, Service, Session, Want};

/// A socket that peers reach, and what is behind it.
pub enum Endpoint {
    /// Connections (TCP).
    Stream {
        /// Bound and listening; the engine accepts from it.
        listener: TcpListener,
        /// Makes a session for each connection.
        service: Arc<dyn Service>,
    },
    /// Datagrams (UDP).
    Datagram {
        /// Bound by [`listen_datagrams`] or [`listen_both`], which let it tell what answers need.
        socket: UdpSocket,
        /// Answers each datagram with at most one.
        responder: Arc<dyn Responder>,
    },
}

/// How connections are carried: the choice this project exists to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    /// One blocking thread per client.
    Threads,
    /// One thread, one readiness loop, all clients.
    Poll,
}

/// The services of the endpoints, each once.
fn services(endpoints: &[Endpoint]) -> Vec<Arc<dyn Service>> {
    let mut services: Vec<Arc<dyn Service>> = Vec::new();
    for endpoint in endpoints {
        if let Endpoint::Stream { service, .. } = endpoint
            && !services.iter().any(|known| Arc::ptr_eq(known, service))
        {
            services.push(service.clone());
        }
    }
    services
}

/// The place of `service` among all.
fn place(services: &[Arc<dyn Service>], service: &Arc<dyn Service>) -> usize {
    let place = services.iter().position(|known| Arc::ptr_eq(known, service));
    place.expect("all services of endpoints are among them")
}

/// The addresses of those that take datagrams.
fn datagram_addresses(endpoints: &[Endpoint]) -> io::Result<Arc<[SocketAddr]>> {
    let addresses = endpoints.iter().filter_map(|endpoint| match endpoint {
        Endpoint::Stream { .. } => None,
        Endpoint::Datagram { socket, .. } => Some(socket.local_addr()),
    });
    addresses.collect()
}

impl Engine {
    /// Serves `endpoints` until `stop` is requested and every connection has ended, or has been
    /// ended when [`Limits::grace`] was over. An error means the engine could not start.
    pub fn run(self, endpoints: Vec<Endpoint>, limits: Limits, stop: Arc<Stop>) -> io::Result<()> {
        match self {
            Engine::Threads => threads::run(endpoints, limits, stop),
            Engine::Poll => poll::run(endpoints, limits, stop),
        }
    }
}

impl fmt::Display for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Engine::Threads => "threads",
            Engine::Poll => "poll",
        })
    }
}

/// A line of the explain mode (`--explain`): what the engine does, and why. When it is off, it
/// costs one comparison.
macro_rules! explain {
    ($($arg:tt)+) => { log::trace!(target: $crate::engine::EXPLAIN, $($arg)+) };
}
pub(crate) use explain;

/// The log target of explain lines.
pub const EXPLAIN: &str = "explain";

/// What a session is told: its methods, as values.
#[derive(Clone, Copy)]
enum News<'a> {
    Open,
    Receive(&'a [u8]),
    Produce,
    Deliver(&'a [Arc<[u8]>]),
    Eof,
    Idle,
    Wake,
    Drain,
    Overflow,
    End(&'a str),
}

impl<'a> News<'a> {
    /// What the session is told, in a word.
    fn name(self) -> &'static str {
        match self {
            News::Open => "open",
            News::Receive(_) => "receive",
            News::Produce => "produce",
            News::Deliver(_) => "deliver",
            News::Eof => "eof",
            News::Idle => "idle",
            News::Wake => "wake",
            News::Drain => "drain",
            News::Overflow => "overflow",
            News::End(_) => "end",
        }
    }

    /// What a session may [repeat](Output::repeat).
    fn input(self) -> &'a [u8] {
        match self {
            News::Receive(input) => input,
            _ => &[],
        }
    }

    /// A session that panics has failed at its own peer: its conversation is over, and nobody
    /// else's.
    fn tell(self, session: &mut dyn Session, out: &mut Output) -> Want {
        let call = AssertUnwindSafe(|| self.call(session, out));
        catch_unwind(call).unwrap_or_else(|_| {
            error!("a session panicked; its connection is closed");
            out.abandon();
            Want::Close
        })
    }

    fn call(self, session: &mut dyn Session, out: &mut Output) -> Want {
        match self {
            News::Open => session.open(out),
            News::Receive(input) => session.receive(input, out),
            News::Produce => session.produce(out),
            News::Deliver(letters) => letters.iter().fold(Want::Read, |want, letter| match want {
                Want::Close => Want::Close,
                _ => session.deliver(letter, out),
            }),
            News::Eof => session.eof(out),
            News::Idle => session.idle(out),
            News::Wake => session.wake(out),
            News::Drain => session.drain(out),
            News::Overflow => {
                session.overflow(out);
                Want::Close
            }
            News::End(why) => {
                session.end(why, out);
                Want::Close
            }
        }
    }
}

/// How long accepting rests when the machine has run out of something: long enough not to spin,
/// short enough that a caller in the queue hardly notices.
const ACCEPT_PAUSE: Duration = Duration::from_millis(75);

/// [`Limits::linger`] while the server is stopping, when nobody should wait for an idle peer.
const LINGER_STOPPING: Duration = Duration::from_millis(250);

/// Whether the kernel has sent all that it took for this peer; sleeps for `patience` until it has.
///
/// A connection that is closed earlier can lose the rest: whatever its peer sends afterwards is
/// answered with a reset, which empties the queue. Writable is a socket, by this option, when
/// nothing unsent is left (tcp(7) on TCP_NOTSENT_LOWAT).
fn all_sent(stream: &impl AsFd, patience: PollTimeout) -> io::Result<bool> {
    SockRef::from(stream).set_tcp_notsent_lowat(1)?;
    let mut writable = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
    Ok(poll_once(&mut writable, patience)? > 0)
}

/// What a failed accept, or the failed receipt of a datagram, asks for.
enum AcceptFailure {
    /// That caller has gone: the next one, at once.
    Caller,
    /// Nobody is waiting.
    Nobody,
    /// The machine has run out of something: rest for [`ACCEPT_PAUSE`].
    Exhausted,
}

/// Accept errors belong to one caller or to a passing shortage, never to the listener: accept(2)
/// hands up pending network errors of the new connection, which are to be treated like EAGAIN.
fn accept_failure(error: &io::Error) -> AcceptFailure {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EAGAIN) => AcceptFailure::Nobody,
        Some(Errno::EMFILE | Errno::ENFILE | Errno::ENOBUFS | Errno::ENOMEM) => {
            AcceptFailure::Exhausted
        }
        Some(
            Errno::EINTR
            | Errno::ECONNABORTED
            | Errno::EPROTO
            | Errno::EPERM
            | Errno::ENETDOWN
            | Errno::ENOPROTOOPT
            | Errno::EHOSTDOWN
            | Errno::ENONET
            | Errno::EHOSTUNREACH
            | Errno::EOPNOTSUPP
            | Errno::ENETUNREACH
            | Errno::ETIMEDOUT
            | Errno::ECONNRESET
            // Of datagrams: nobody takes an answer that was sent before.
            | Errno::ECONNREFUSED,
        ) => AcceptFailure::Caller,
        // Not listed in accept(2): rest, so that an unknown error that stays does not spin.
        _ => AcceptFailure::Exhausted,
    }
}

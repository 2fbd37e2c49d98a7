//! The client over UDP, in the same three manners: a [`message`](message()), a [`pipe`](pipe()), a
//! person at a [`terminal`](terminal()).
//!
//! Nothing connects and nothing ends. A datagram arrives whole, or not at all, or twice, or late, and
//! nobody tells which; what can be said of silence is how long it has lasted. So every manner has a
//! patience. A datagram of no bytes is one like any other.
//!
//! One thread does it all, asleep in `poll` on the keyboard and the sockets at once: what happens
//! when *nothing* comes is half of the matter here, and that is one timeout of one call.

mod lines;
mod message;
mod pipe;
mod server;
mod terminal;
mod unanswered;

pub use message::message;
pub use pipe::pipe;
pub use server::Server;
pub use terminal::terminal;

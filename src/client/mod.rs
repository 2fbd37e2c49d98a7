//! The client: one blocking connection, in three manners.
//!
//! [`message`](message()) sends one text and prints the reply, [`pipe`](pipe()) carries bytes both
//! ways, and [`terminal`](terminal()) talks line by line with a person. None needs to know the
//! protocol, so each works with any server.

mod message;
mod pipe;
mod screen;
mod terminal;

use std::fmt;
use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::failure::{cause, unresolved};

pub use message::message;
pub use pipe::pipe;
pub use terminal::terminal;

/// What one read takes at most.
const CHUNK: usize = 128 * 1024;

/// Why a client failed, in one line: what was attempted, why it failed, what to do.
#[derive(Debug)]
pub enum Error {
    /// The host has no address.
    Resolve(String, io::Error),
    /// No address of the server took the connection.
    Connect(String, io::Error),
    /// The connection broke while it was in use.
    Broken(io::Error),
    /// The server closed before it had taken all input; so much was sent.
    ClosedEarly(u64),
    /// The server neither answered nor closed in this time.
    NoReply(Duration),
    /// Standard input or output failed.
    Local(&'static str, io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Resolve(host, error) => {
                write!(f, "{}", unresolved(host, error))
            }
            Error::Connect(server, error) => {
                let advice = match error.kind() {
                    io::ErrorKind::ConnectionRefused => {
                        "nobody listens there; start `socklab server` or check --port"
                    }
                    io::ErrorKind::TimedOut => {
                        "nobody answers; check --host, or allow more time with --timeout"
                    }
                    _ => "check --host and --port",
                };
                write!(f, "cannot connect to {server}: {}; {advice}", cause(error))
            }
            Error::Broken(error) => write!(
                f,
                "the connection broke: {}; what was printed may be incomplete",
                cause(error)
            ),
            Error::ClosedEarly(sent) => write!(
                f,
                "the server closed the connection before it had taken all input ({sent} bytes \
                 were sent); what it did with them is unknown"
            ),
            Error::NoReply(patience) => write!(
                f,
                "no reply within {patience:?}: the server neither answered nor closed; allow more \
                 time with --timeout"
            ),
            Error::Local(stream, error) => write!(f, "cannot use {stream}: {}", cause(error)),
        }
    }
}

impl std::error::Error for Error {}

/// Connects to the first address of `host` that takes the connection, within `patience` each.
pub fn connect(host: &str, port: u16, patience: Duration) -> Result<TcpStream, Error> {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    let addresses: Vec<SocketAddr> = (bare, port)
        .to_socket_addrs()
        .map_err(|error| Error::Resolve(host.into(), error))?
        .collect();
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in addresses {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(Error::Broken)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    let server = match bare.contains(':') {
        true => format!("[{bare}]:{port}"),
        false => format!("{bare}:{port}"),
    };
    Err(Error::Connect(server, failure))
}

/// Standard output without the line buffer of std, which copies bulk data once more.
fn stdout() -> Result<File, Error> {
    let fd = io::stdout().as_fd().try_clone_to_owned();
    fd.map(File::from).map_err(|error| Error::Local("standard output", error))
}

/// What became of a write to standard output: `false` when its reader has seen enough (`| head`).
fn printed(outcome: io::Result<()>) -> Result<bool, Error> {
    match outcome {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::Local("standard output", error)),
    }
}

//! The client: one blocking connection, in three manners.
//!
//! [`message`](message()) sends one text and prints the reply, [`pipe`](pipe()) carries bytes both
//! ways, and [`terminal`](terminal()) talks line by line with a person. None needs to know the
//! protocol, so each works with any server. [`datagram`] has the same three over UDP.

pub mod datagram;
mod message;
mod pipe;
mod screen;
mod terminal;

use std::fmt;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::fd::AsFd;
use std::time::Duration;

use crate::failure::{cause, unresolved};

pub use message::message;
pub use pipe::pipe;
pub use terminal::terminal;

/// What one read takes at most.
const CHUNK: usize = 128 * 1024;

/// How long the server may take to answer the last line once a person has left.
const FAREWELL: Duration = Duration::from_secs(1);

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
    /// No address of the server takes datagrams.
    Unreachable(String, io::Error),
    /// The server answered none of the datagrams, each of which was given this time.
    NoAnswer {
        /// Its name.
        server: String,
        /// How long an answer was waited for.
        patience: Duration,
        /// How many were sent.
        datagrams: u64,
    },
    /// What is named has more bytes than a datagram can carry, which is so many.
    TooLong(String, usize),
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
            Error::Unreachable(server, error) => {
                let advice = match error.kind() {
                    io::ErrorKind::ConnectionRefused => {
                        "nobody listens there; start `socklab server --udp` or check --port"
                    }
                    _ => "check --host and --port",
                };
                write!(f, "cannot reach {server} over UDP: {}; {advice}", cause(error))
            }
            Error::NoAnswer { server, patience, datagrams } => {
                let datagrams = match datagrams {
                    1 => "the datagram".into(),
                    _ => format!("any of {datagrams} datagrams"),
                };
                write!(
                    f,
                    "no answer within {} from {server} to {datagrams}: lost, dropped, nobody there, \
                     or a server that does not answer, which UDP cannot tell apart; allow more time \
                     with --timeout",
                    time(*patience)
                )
            }
            Error::TooLong(what, limit) => write!(
                f,
                "cannot send {what} in one datagram: it carries {limit} bytes at most; send less at \
                 once, or use TCP"
            ),
            Error::Local(stream, error) => write!(f, "cannot use {stream}: {}", cause(error)),
        }
    }
}

impl std::error::Error for Error {}

/// Connects to the first address of `host` that takes the connection, within `patience` each.
pub fn connect(host: &str, port: u16, patience: Duration) -> Result<TcpStream, Error> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    let addresses = (bare(host), port).to_socket_addrs();
    for address in addresses.map_err(|error| Error::Resolve(host.into(), error))? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(Error::Broken)?;
                return Ok(stream);
            }
            Err(error) => failure = error,
        }
    }
    Err(Error::Connect(name(host, port), failure))
}

/// The server as it is named in messages.
fn name(host: &str, port: u16) -> String {
    match bare(host) {
        bare if bare.contains(':') => format!("[{bare}]:{port}"),
        bare => format!("{bare}:{port}"),
    }
}

/// An IPv6 address without the brackets that it has in URLs.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
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

/// On a terminal, the prompt of the shell stands in a line of its own, whatever the `last` byte was.
fn end_line(out: &mut File, last: Option<&u8>) -> Result<(), Error> {
    if last.is_some_and(|byte| *byte != b'\n') && out.is_terminal() {
        printed(out.write_all(b"\n"))?;
    }
    Ok(())
}

/// 250 ms, 1 s, 1.4 s.
fn time(time: Duration) -> String {
    let rounded = match time.as_millis() {
        ms @ 1000.. => Duration::from_millis((ms as u64 + 50) / 100 * 100),
        ms @ 1.. => Duration::from_millis(ms as u64),
        0 => time,
    };
    let text = format!("{rounded:?}");
    let unit = text.find(char::is_alphabetic).unwrap_or(text.len());
    format!("{} {}", &text[..unit], &text[unit..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_read_them() {
        let times = [1_000_000, 250_000, 1_449_000, 60_000_000, 999_900, 80]
            .map(|us| time(Duration::from_micros(us)));
        assert_eq!(times, ["1 s", "250 ms", "1.4 s", "60 s", "999 ms", "80 µs"]);
    }
}

//! The client: one blocking connection, in three manners.
//!
//! [`message`](message()) sends one text and prints the reply, [`pipe`](pipe()) carries bytes both
//! ways, and [`terminal`](terminal()) talks line by line with a person. None needs to know the
//! protocol, so each works with any server; nor whether it is spoken in TLS, which is up to the
//! [`Stream`]. [`datagram`] has the same three over UDP; [`chat`] and [`transfer`] know a protocol each.

pub mod chat;
pub mod datagram;
mod error;
mod handshake;
mod lost;
mod message;
mod pipe;
mod plain;
mod screen;
mod stream;
mod terminal;
mod tls;
pub mod transfer;

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::engine::resolve;
use crate::tls::Connector;
use handshake::shake_hands;
use tls::Words;

pub use error::Error;
pub use message::message;
pub use pipe::pipe;
pub use stream::Stream;
pub use terminal::terminal;

/// What one read takes at most.
const CHUNK: usize = 128 * 1024;

/// How long the server may take to answer the last line once a person has left.
const FAREWELL: Duration = Duration::from_secs(1);

/// Connects to the first address of `host` that takes the connection, within `patience` each; with
/// `tls`, the handshake is part of it. A server that fails in that is the server still, so no other
/// address is tried then.
///
/// With `lost_after`, a server that has vanished without a word is noticed after that time: reading
/// and writing fail with [`io::ErrorKind::TimedOut`]. Without it, that can take the kernel a quarter
/// of an hour, or for ever where nothing is to be sent.
pub fn connect(
    host: &str,
    port: u16,
    tls: Option<&Connector>,
    patience: Duration,
    lost_after: Option<Duration>,
) -> Result<Stream, Error> {
    let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for address in resolve(host, port).map_err(|error| Error::Resolve(host.into(), error))? {
        let since = Instant::now();
        match TcpStream::connect_timeout(&address, patience) {
            Ok(socket) => {
                socket.set_nodelay(true).map_err(Error::Broken)?;
                if let Some(time) = lost_after {
                    lost::notice(&socket, time).map_err(Error::Broken)?;
                }
                let Some(connector) = tls else {
                    return Stream::plain(socket).map_err(Error::Broken);
                };
                let connection = connector.connection(host).map_err(Error::Tls)?;
                let words = Words { connector: connector.clone(), host: host.into() };
                let server = name(host, port);
                return shake_hands(socket, connection, words, server, since, patience);
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

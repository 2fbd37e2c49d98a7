//! The TLS handshake of a client: one thread, a blocking socket, and a deadline that no server
//! extends by what it sends.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use log::debug;
use rustls::{ClientConnection, ProtocolVersion};

use super::Error;
use super::stream::Stream;
use super::tls::{Received, Words, halves};

/// Shakes hands over `socket` with `server`, as messages name it, within `patience` of `since`.
pub fn shake_hands(
    socket: TcpStream,
    mut connection: ClientConnection,
    words: Words,
    server: String,
    since: Instant,
    patience: Duration,
) -> Result<Stream, Error> {
    let mut received = Received::new();
    let done = converse(&socket, &mut connection, &mut received, since + patience);
    match done {
        Ok(()) => {}
        Err(Failure::Tls(error)) => {
            return Err(Error::Tls(words.connector.explain(&error, &words.host)));
        }
        Err(Failure::Network(error)) => {
            return Err(match error.kind() {
                io::ErrorKind::WouldBlock => Error::NoHandshake(server, patience),
                _ => Error::Handshake(server, error),
            });
        }
    }
    let version = match connection.protocol_version() {
        Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
        _ => "TLS 1.3",
    };
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    debug!("{version} with {server}, {suite:?}, {:?}", since.elapsed());
    let untimed = socket.set_read_timeout(None).and_then(|()| socket.set_write_timeout(None));
    let address = untimed.and_then(|()| socket.peer_addr()).map_err(Error::Broken)?;
    let (receiver, sender) = halves(socket, connection, received, words);
    Ok(Stream::over_tls(format!("{address} ({version})"), receiver, sender))
}

enum Failure {
    Tls(rustls::Error),
    Network(io::Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::Network(error)
    }
}

/// Until both sides have said what they must. Data may stand behind the server's last word: it stays
/// in `received` and in `connection`.
fn converse(
    mut socket: &TcpStream,
    connection: &mut ClientConnection,
    received: &mut Received,
    deadline: Instant,
) -> Result<(), Failure> {
    loop {
        while connection.wants_write() {
            socket.set_write_timeout(Some(left(deadline)?))?;
            // Sleeps here, but hardly: no handshake fills an empty socket.
            connection.write_tls(&mut socket)?;
        }
        if !connection.is_handshaking() {
            return Ok(());
        }
        if received.is_empty() {
            socket.set_read_timeout(Some(left(deadline)?))?;
            // Sleeps here while the server is silent.
            match received.fill(socket) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                filled => filled?,
            };
        }
        if let Err(error) = received.feed(connection) {
            // The server is told what is wrong, too, if it still listens.
            let _ = connection.write_tls(&mut socket);
            return Err(Failure::Tls(error));
        }
    }
}

/// The time until `deadline`, which is not zero.
fn left(deadline: Instant) -> io::Result<Duration> {
    match deadline.saturating_duration_since(Instant::now()) {
        Duration::ZERO => Err(io::ErrorKind::WouldBlock.into()),
        left => Ok(left),
    }
}

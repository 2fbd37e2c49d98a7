//! A client's TLS: between what it says and hears and what goes through its socket.
//!
//! Its laws: plaintext never stays here, for all that came is decrypted and handed on at once; and
//! what was encrypted stays here only while the kernel takes no more, one piece at most.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::sync::atomic::Ordering;

use mio::net::TcpStream;
use rustix::net::{SendAncillaryBuffer, SendFlags, sendmsg};
use rustls::{ClientConnection, HandshakeKind};

use super::Crowd;
use super::client::{State, receive};
use crate::load::secure::Agreed;
use crate::load::work::PIECE;

/// Bytes that are received at once.
pub const WIRE: usize = 64 * 1024;

/// The longest record: what came of one before adds to what is decrypted (RFC 8446, 5.2).
const RECORD: usize = 16 * 1024 + 256 + 5;

// What was received fits, decrypted, into a piece: so nothing stays.
const _: () = assert!(WIRE + RECORD <= PIECE);

/// The TLS of one connection.
pub struct Tls {
    connection: ClientConnection,
    /// When the connection that carries it was established.
    pub since: u64,
    /// How what the server says has ended. It is told after all that came before.
    end: Option<End>,
}

enum End {
    /// It has said so.
    Closed,
    /// It has closed, and not said so: more may have been cut off.
    Cut,
    Failed(rustls::Error),
}

impl Tls {
    pub fn new(connection: ClientConnection, since: u64) -> Tls {
        let mut connection = connection;
        // A piece is taken when there is nothing before it.
        connection.set_buffer_limit(None);
        Tls { connection, since, end: None }
    }

    pub fn is_finished(&self) -> bool {
        !self.connection.is_handshaking()
    }

    /// Whether it has resumed a former session.
    pub fn is_resumed(&self) -> bool {
        self.connection.handshake_kind() == Some(HandshakeKind::Resumed)
    }

    /// What was agreed upon.
    pub fn agreed(&self) -> Option<Agreed> {
        Agreed::by(&self.connection)
    }

    /// Something is encrypted and not sent.
    pub fn is_pending(&self) -> bool {
        self.connection.wants_write()
    }

    /// Receives into `wire`, and decrypts into `plain`: how many bytes, and whether there may be
    /// more. Zero bytes are the end that the server has announced; one that it has not is
    /// [`ErrorKind::UnexpectedEof`], and what is no TLS [`ErrorKind::InvalidData`].
    pub fn receive(
        &mut self,
        stream: &TcpStream,
        wire: &mut [u8],
        plain: &mut [u8],
        hidden: bool,
    ) -> io::Result<(usize, bool)> {
        loop {
            match &self.end {
                Some(End::Closed) => return Ok((0, true)),
                Some(End::Cut) => return Err(ErrorKind::UnexpectedEof.into()),
                Some(End::Failed(error)) => {
                    return Err(io::Error::new(ErrorKind::InvalidData, error.clone()));
                }
                None => {}
            }
            let n = receive(stream, wire)?;
            let came = self.decrypt(&wire[..n], plain);
            if let Some(End::Failed(_)) = self.end {
                // It is told why, if it still listens.
                let _ = self.flush(stream);
            }
            let more = n == wire.len() || hidden || self.end.is_some();
            if came > 0 {
                return Ok((came, more));
            }
            if !more {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
    }

    fn decrypt(&mut self, mut wire: &[u8], plain: &mut [u8]) -> usize {
        if wire.is_empty() {
            self.end = Some(End::Cut);
        }
        let mut came = 0;
        while !wire.is_empty() && self.end.is_none() {
            let state = match self.connection.read_tls(&mut wire) {
                Ok(_) => self.connection.process_new_packets(),
                // There is room for any record, but not for a hello that fills several.
                Err(error) => Err(rustls::Error::General(error.to_string())),
            };
            while let Ok(n @ 1..) = self.connection.reader().read(&mut plain[came..]) {
                came += n;
            }
            match state {
                Ok(state) if state.peer_has_closed() => self.end = Some(End::Closed),
                Ok(_) => {}
                Err(error) => self.end = Some(End::Failed(error)),
            }
        }
        // The answer to a key update waits in rustls for the next words. Some clients say none.
        let _ = self.connection.writer().write(&[]);
        came
    }

    /// Encrypts `bytes`, and sends what the kernel takes.
    pub fn send(&mut self, stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        self.connection.writer().write_all(bytes)?;
        self.flush(stream)
    }

    /// Sends what is encrypted, all if the kernel takes it.
    pub fn flush(&mut self, stream: &TcpStream) -> io::Result<()> {
        while self.connection.wants_write() {
            match self.connection.write_tls(&mut Socket(stream)) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that nothing more will be said.
    pub fn close(&mut self, stream: &TcpStream) -> io::Result<()> {
        self.connection.send_close_notify();
        self.flush(stream)
    }
}

impl Crowd {
    /// If hands are shaken, it talks.
    pub(super) fn greeted(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let Some(tls) = client.tls.as_ref().filter(|tls| tls.is_finished()) else {
            return;
        };
        client.state = State::Talking;
        match tls.is_resumed() {
            true => self.tally.handshakes.resumed += 1,
            false => self.tally.handshakes.full += 1,
        }
        Agreed::merge(&mut self.agreed, tls.agreed());
        let since = tls.since;
        self.tick();
        self.times.handshake.saturating_record(self.now - since);
        self.watch.connected.fetch_add(1, Ordering::Relaxed);
        self.progress = self.now;
    }
}

/// A socket as rustls writes to one: several records in one call.
struct Socket<'a>(&'a TcpStream);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        let nothing = &mut SendAncillaryBuffer::default();
        Ok(sendmsg(self.0, records, nothing, SendFlags::NOSIGNAL)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

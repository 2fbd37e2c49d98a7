//! A connection of the poll engine: its socket, its session, and what its peer has not taken yet.

use std::io::{self, Write};
use std::mem;
use std::net::SocketAddr;

use mio::net::TcpStream;

use crate::session::{Session, Want};

/// A tenant of the slab.
pub struct Connection {
    pub stream: TcpStream,
    pub serial: u32,
    pub session: Box<dyn Session>,
    /// What the kernel did not take. Empty, and without heap, for every peer that reads.
    pub backlog: Option<Box<Backlog>>,
    pub peer: SocketAddr,
    pub received: u64,
    pub sent: u64,
    /// Milliseconds since the loop began.
    pub opened: u64,
    /// The tick in which something last moved. It wraps; only differences count.
    pub progress: u8,
    pub state: State,
    /// The socket has something to read, or may have.
    pub readable: bool,
    /// An end, an error or an urgent mark may hide behind a short read.
    pub hidden: bool,
    /// The peer has said its last word.
    pub eof: bool,
    pub takes_mail: bool,
    /// Reads it still gets once the server is stopping, though it never stops sending: as many as
    /// empty the largest receive buffer. Zero: its session was told of the stop.
    pub last_reads: u8,
    /// A turn is queued.
    pub queued: bool,
}

/// Twenty thousand idle clients fit into two megabytes. (mio's streams are larger in debug builds.)
#[cfg(not(debug_assertions))]
const _: () = assert!(size_of::<Connection>() <= 96);

/// What a connection does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// The session waits for input.
    Read,
    /// The session has more to say.
    Write,
    /// The session is done; the backlog is not.
    Close,
    /// All is said, our end is closed, the peer's is not: what still comes is thrown away.
    Linger,
}

impl From<Want> for State {
    fn from(want: Want) -> State {
        match want {
            Want::Read => State::Read,
            Want::Write => State::Write,
            Want::Close => State::Close,
        }
    }
}

/// Bytes that the kernel did not take.
pub struct Backlog {
    bytes: Vec<u8>,
    /// How much of `bytes` the kernel has taken.
    sent: usize,
    /// It is mail that is sent when there is no more news: the kernel has refused nothing.
    is_mail: bool,
}

impl Connection {
    /// Whether its session has said its last word.
    pub fn is_over(&self) -> bool {
        matches!(self.state, State::Close | State::Linger)
    }

    /// One write; what the kernel does not take waits in the backlog.
    pub fn send(&mut self, bytes: &[u8], tick: u8) -> io::Result<()> {
        let mut taken = 0;
        if self.backlog.is_none() && !bytes.is_empty() {
            taken = self.write(bytes, tick)?;
        }
        self.hold(&bytes[taken..], 0);
        Ok(())
    }

    /// One write of the backlog, which is gone once the kernel has taken all of it.
    pub fn flush(&mut self, tick: u8) -> io::Result<()> {
        if let Some(mut backlog) = self.backlog.take() {
            backlog.sent += self.write(&backlog.bytes[backlog.sent..], tick)?;
            if backlog.len() > 0 {
                backlog.is_mail = false;
                self.backlog = Some(backlog);
            }
        }
        Ok(())
    }

    /// Whether the kernel has refused something, which waits.
    pub fn is_blocked(&self) -> bool {
        self.backlog.as_ref().is_some_and(|backlog| !backlog.is_mail)
    }

    /// What is held was not offered to the kernel. Whether that is news.
    pub fn has_new_mail(&mut self) -> bool {
        let backlog = self.backlog.as_mut();
        backlog.is_some_and(|backlog| !mem::replace(&mut backlog.is_mail, true))
    }

    fn write(&mut self, bytes: &[u8], tick: u8) -> io::Result<usize> {
        loop {
            match self.stream.write(bytes) {
                Ok(n) => {
                    self.sent += n as u64;
                    self.progress = tick;
                    return Ok(n);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Appends to the backlog. While it is short of `limit` bytes, it grows by doubling.
    pub fn hold(&mut self, bytes: &[u8], limit: usize) {
        if bytes.is_empty() {
            return;
        }
        match &mut self.backlog {
            Some(backlog) => {
                backlog.bytes.drain(..mem::take(&mut backlog.sent));
                let len = backlog.bytes.len();
                let spare = len.min(limit.saturating_sub(len));
                backlog.bytes.reserve_exact(bytes.len().max(spare));
                backlog.bytes.extend_from_slice(bytes);
            }
            None => {
                let bytes = bytes.to_vec();
                self.backlog = Some(Box::new(Backlog { bytes, sent: 0, is_mail: false }));
            }
        }
    }

    /// Bytes that wait for the peer to read.
    pub fn waiting(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.len())
    }
}

impl Backlog {
    fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }
}

//! A connection of the poll engine: its socket, its session, and what its peer has not taken yet.

use std::io::{self, Write};
use std::mem;
use std::net::SocketAddr;

use mio::net::TcpStream;

use crate::engine::counters::Counters;
use crate::file::{Excerpt, before_more};
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
    /// The place of its service.
    pub service: u8,
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
    /// The session waits until it is woken.
    Wait,
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
            Want::Wait => State::Wait,
            Want::Close => State::Close,
        }
    }
}

/// Bytes that the kernel did not take.
#[derive(Default)]
pub struct Backlog {
    bytes: Vec<u8>,
    /// What follows them, from a file.
    excerpt: Option<Excerpt>,
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
    pub fn send(&mut self, bytes: &[u8], tick: u8, counters: &Counters) -> io::Result<()> {
        let mut taken = 0;
        if self.backlog.is_none() && !bytes.is_empty() {
            taken = self.write(bytes, tick, counters)?;
        }
        self.hold(&bytes[taken..], 0);
        Ok(())
    }

    /// The same for what goes before a part of a file, and for that.
    pub fn send_with(
        &mut self,
        bytes: &[u8],
        mut excerpt: Excerpt,
        tick: u8,
        counters: &Counters,
    ) -> io::Result<()> {
        let mut taken = 0;
        if self.backlog.is_none() {
            taken = self.sent(tick, counters, |stream| before_more(stream, bytes))?;
            if taken == bytes.len() {
                self.send_excerpt(&mut excerpt, tick, counters)?;
            }
        }
        self.hold(&bytes[taken..], 0);
        if excerpt.length() > 0 {
            self.backlog.get_or_insert_default().excerpt = Some(excerpt);
        }
        Ok(())
    }

    /// One write of the backlog, which is gone once the kernel has taken all of it, and one of what
    /// follows from a file.
    pub fn flush(&mut self, tick: u8, counters: &Counters) -> io::Result<()> {
        if let Some(mut backlog) = self.backlog.take() {
            if backlog.len() > 0 {
                let bytes = &backlog.bytes[backlog.sent..];
                backlog.sent += match backlog.excerpt {
                    None => self.write(bytes, tick, counters)?,
                    Some(_) => self.sent(tick, counters, |stream| before_more(stream, bytes))?,
                };
            }
            if backlog.len() == 0
                && let Some(mut excerpt) = backlog.excerpt.take()
            {
                self.send_excerpt(&mut excerpt, tick, counters)?;
                backlog.excerpt = Some(excerpt).filter(|excerpt| excerpt.length() > 0);
            }
            if backlog.len() > 0 || backlog.excerpt.is_some() {
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

    fn write(&mut self, bytes: &[u8], tick: u8, counters: &Counters) -> io::Result<usize> {
        self.sent(tick, counters, |mut stream| stream.write(bytes))
    }

    /// Until the kernel takes no more: fewer bytes than asked for can have other reasons, too.
    fn send_excerpt(
        &mut self,
        excerpt: &mut Excerpt,
        tick: u8,
        counters: &Counters,
    ) -> io::Result<()> {
        while excerpt.length() > 0 && self.sent(tick, counters, |stream| excerpt.send(stream))? > 0
        {
        }
        Ok(())
    }

    /// Bytes that the kernel took in one call; none where it would have to wait.
    fn sent(
        &mut self,
        tick: u8,
        counters: &Counters,
        mut call: impl FnMut(&TcpStream) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            match call(&self.stream) {
                Ok(n) => {
                    self.sent += n as u64;
                    counters.services[usize::from(self.service)].sent.count(n as u64);
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
                debug_assert!(backlog.excerpt.is_none(), "what is from a file is said last");
                backlog.bytes.drain(..mem::take(&mut backlog.sent));
                let len = backlog.bytes.len();
                let spare = len.min(limit.saturating_sub(len));
                backlog.bytes.reserve_exact(bytes.len().max(spare));
                backlog.bytes.extend_from_slice(bytes);
            }
            None => {
                let bytes = bytes.to_vec();
                self.backlog = Some(Box::new(Backlog { bytes, ..Backlog::default() }));
            }
        }
    }

    /// Bytes in memory that wait for the peer to read.
    pub fn waiting(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.len())
    }
}

impl Backlog {
    fn len(&self) -> usize {
        self.bytes.len() - self.sent
    }
}

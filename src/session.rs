//! The contract between protocols and engines.
//!
//! A [`Session`] is one conversation as a state machine: it is told what happened, appends what it
//! has to say to an [`Output`], and answers what it [wants](Want) next. It never waits and never
//! sees a socket, so it runs unchanged on every engine and is tested with plain bytes.
//!
//! 1. A session never waits. What takes its time is done elsewhere, and asked for again:
//!    [`Want::Wait`] and [`Output::wake_at`].
//! 2. Once `out.is_full()` it stops, answers [`Want::Write`] and goes on in `produce`: a
//!    conversation holds one chunk plus one reply, whatever its peer does.
//! 3. The engine does not read while the peer has not taken what was sent, nor while the session
//!    wants to write.
//! 4. `deliver` says all it has to say at once: it posts no mail, asks for no [`wake`](Session::wake),
//!    and leaves what it wants as it was, or ends. Nobody posts to itself.
//! 5. `eof`, `idle`, `drain`, `deliver` and `wake` can come in any state; the answer is what is
//!    *still* wanted.
//! 6. After [`Want::Close`] nothing is called but [`end`](Session::end), which always is: leave rooms
//!    there.
//! 7. Time is an input: [`Output::now`] tells it, and [`Output::wake_at`] is the alarm clock.
//! 8. What is said [from a file](Output::write_file) is said last: nothing follows it before
//!    `produce`.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::file::{Excerpt, read_at};

/// One conversation with one peer.
pub trait Session: Send {
    /// The peer has connected. A protocol in which the server speaks first speaks here.
    fn open(&mut self, _out: &mut Output) -> Want {
        Want::Read
    }

    /// The peer sent `input`: never empty, cut anywhere the network liked.
    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want;

    /// The peer took what was sent. Called only after [`Want::Write`].
    fn produce(&mut self, _out: &mut Output) -> Want {
        Want::Read
    }

    /// Another session posted `mail` to this one.
    fn deliver(&mut self, _mail: &[u8], _out: &mut Output) -> Want {
        Want::Read
    }

    /// The peer will send no more (it may still read).
    fn eof(&mut self, _out: &mut Output) -> Want {
        Want::Close
    }

    /// Nothing moved in either direction for [`idle_timeout`](crate::engine::Limits::idle_timeout).
    fn idle(&mut self, _out: &mut Output) -> Want {
        Want::Close
    }

    /// The time asked for with [`Output::wake_at`] has come. It may come too early, or for one who
    /// does not need it any more: look at [`Output::now`]. Who has not asked is not called.
    fn wake(&mut self, _out: &mut Output) -> Want {
        Want::Read
    }

    /// The server is stopping, and all that had arrived from this peer was received.
    fn drain(&mut self, _out: &mut Output) -> Want {
        Want::Close
    }

    /// The peer does not read, and more mail waits for it than may. These are the last words to it,
    /// behind all that waits, if it takes them soon.
    fn overflow(&mut self, _out: &mut Output) {}

    /// The connection is over, and `why`, as the log has it. Words reach nobody any more; mail does.
    fn end(&mut self, _why: &str, _out: &mut Output) {}
}

/// What a session waits for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Something from the peer.
    Read,
    /// A chance to say more: `produce` is called once the output is on its way.
    Write,
    /// The time asked for with [`Output::wake_at`], and nothing from the peer before that.
    Wait,
    /// The end, once the output is on its way.
    Close,
}

/// Makes the sessions of one protocol; shared by all connections of an endpoint.
pub trait Service: Send + Sync {
    /// A new session for the connection `id` from `peer`.
    fn accept(&self, peer: SocketAddr, id: ConnectionId) -> Box<dyn Session>;

    /// Whether sessions of this service are ever sent mail. It costs the thread engine a second
    /// thread per connection.
    fn takes_mail(&self) -> bool {
        false
    }

    /// What it is called where services are told apart: a word.
    fn name(&self) -> &'static str {
        "service"
    }

    /// Whether its peers only watch the server. They take no seats from clients, but one of a few of
    /// their own, so that a full server can still be looked at; and lists that say who may be a client
    /// do not concern them.
    fn is_for_watchers(&self) -> bool {
        false
    }

    /// What a caller is told whose address has all the connections it may have, before he is let go:
    /// nothing where the protocol has no words for it, or comes after others as within TLS.
    fn refusal(&self) -> &'static [u8] {
        &[]
    }

    /// The names of its protocol in TLS (ALPN), as IANA lists them, the best first. A peer that asks
    /// for others is refused; one that does not ask is served.
    fn alpn(&self) -> &'static [&'static [u8]] {
        &[]
    }
}

/// Answers datagrams (UDP): there is no connection, so there is no session, and nothing is kept
/// between two of them. Each has its sender, its borders, and no order.
pub trait Responder: Send + Sync {
    /// A datagram has come, of 0 to 65,527 bytes. What goes back may be written to `reply`, which is
    /// empty. A reply longer than the datagram is not sent, or others could be flooded in the name
    /// of a forged sender.
    fn respond(&self, from: SocketAddr, datagram: &[u8], reply: &mut Vec<u8>) -> Reply;

    /// What it is called where services are told apart: a word.
    fn name(&self) -> &'static str {
        "service"
    }

    /// Whether it answers at all. What does can be abused, and what does not cannot.
    fn reflects(&self) -> bool {
        true
    }
}

/// What goes back to the sender of a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Nothing.
    None,
    /// The same bytes, from where they lie.
    Repeat,
    /// What was written: zero bytes are a datagram, too.
    Written,
}

/// The address of a connection for mail: a slot of the engine's table and the serial number of its
/// tenant. Never valid again once the connection has ended, so nothing that comes late for a former
/// tenant reaches the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId {
    slot: u32,
    serial: u32,
}

impl ConnectionId {
    /// The tenant `serial` (from 1) of `slot`.
    pub fn new(slot: u32, serial: u32) -> ConnectionId {
        ConnectionId { slot, serial }
    }

    /// The index in the engine's table.
    pub fn slot(self) -> usize {
        self.slot as usize
    }

    /// Which tenant of the table this is, counted over all slots since the start.
    pub fn serial(self) -> u32 {
        self.serial
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.serial)
    }
}

/// Where a cache line begins. Memory that is copied from or to starts there: on an AMD EPYC a copy of
/// 64 KiB takes twenty times as long where both sides differ by 16 bytes modulo a page, as blocks
/// from malloc tend to.
pub(crate) const LINE: usize = 64;

/// Where a session puts what it says: bytes for its own peer and mail for other sessions; and where
/// it learns and asks what it needs from the engine.
#[derive(Debug)]
pub struct Output {
    /// What was written, after `start` bytes that put it on a cache line.
    memory: Vec<u8>,
    start: usize,
    /// Where in `memory` the words begin of the session that speaks now: later than `start` where
    /// that is one inside another.
    begin: usize,
    is_inside: bool,
    mail: Vec<Mail>,
    /// What is said behind `memory`.
    excerpt: Option<Excerpt>,
    files: Files,
    chunk: usize,
    repeats: bool,
    now: Option<Instant>,
    wake: Option<Instant>,
    failure: Option<Cow<'static, str>>,
}

/// How an engine says what is in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Files {
    /// Through memory, like everything else.
    Read,
    /// The kernel sends it from where it lies, sendfile(2). It may have to be fetched first.
    Send,
    /// The same, and nobody waits while it is fetched.
    SendAtOnce,
}

/// Bytes on their way to another session. One allocation, however many receivers share it.
#[derive(Clone, Debug)]
pub struct Mail {
    /// The session it is for.
    pub to: ConnectionId,
    /// What [`Session::deliver`] will be given.
    pub bytes: Arc<[u8]>,
}

impl Output {
    /// The size at which [`is_full`](Output::is_full) says stop, where nothing smaller is asked
    /// for. Linux takes this much in one `send` on a fresh connection.
    pub const CHUNK: usize = 64 * 1024;

    /// Letters after which it is full, too. A line to a room of thousands costs its sender little,
    /// and the others their turn.
    const LETTERS: usize = 4096;

    /// An empty output that is full at `chunk` bytes.
    pub fn new(chunk: usize) -> Output {
        Output {
            memory: Vec::new(),
            start: 0,
            begin: 0,
            is_inside: false,
            mail: Vec::new(),
            excerpt: None,
            files: Files::Read,
            chunk,
            repeats: false,
            now: None,
            wake: None,
            failure: None,
        }
    }

    /// The same, of an engine that sends files so.
    pub(crate) fn with_files(mut self, files: Files) -> Output {
        self.files = files;
        self
    }

    /// Appends bytes for the session's own peer.
    pub fn write(&mut self, bytes: &[u8]) {
        debug_assert!(self.excerpt.is_none(), "what is said from a file is said last");
        if self.memory.capacity() - self.memory.len() < bytes.len() {
            self.grow(bytes.len());
        }
        self.memory.extend_from_slice(bytes);
    }

    /// Says what a file has at `offset`: `most` bytes, or as many of them as suit it now, and how
    /// many those are. None are left there where it is 0.
    ///
    /// Where the kernel would have to fetch them first, and others would wait for that, nothing is
    /// said: [`WouldBlock`](io::ErrorKind::WouldBlock). They have been asked for; try again a little
    /// later.
    pub fn write_file(&mut self, file: &Arc<File>, offset: u64, most: u64) -> io::Result<u64> {
        debug_assert!(self.excerpt.is_none(), "what is said from a file is said last");
        let at_once = self.files == Files::SendAtOnce;
        let room = self.room();
        if most > room as u64 && self.files != Files::Read && !self.is_inside {
            let excerpt = Excerpt::new(file.clone(), offset, most);
            if at_once {
                excerpt.is_fetched()?;
            }
            let length = excerpt.length();
            self.excerpt = Some(excerpt);
            return Ok(length);
        }
        let length = most.min(room.max(1) as u64) as usize;
        if self.memory.capacity() - self.memory.len() < length {
            self.grow(length);
        }
        let begin = self.memory.len();
        self.memory.resize(begin + length, 0);
        let read = read_at(file, &mut self.memory[begin..], offset, at_once);
        self.memory.truncate(begin + *read.as_ref().unwrap_or(&0));
        read.map(|read| read as u64)
    }

    /// Makes room for `more` bytes at least.
    fn grow(&mut self, more: usize) {
        let held = &self.memory[self.start..];
        let length = (held.len() + more).next_power_of_two();
        let mut memory: Vec<u8> = Vec::with_capacity(LINE + length);
        let start = memory.as_ptr().align_offset(LINE);
        memory.resize(start, 0);
        memory.extend_from_slice(held);
        self.begin = self.begin - self.start + start;
        (self.memory, self.start) = (memory, start);
    }

    /// Says the whole input of this [`Session::receive`] again, before anything that is written. It
    /// is sent from where it lies, so that a session which only passes it on copies nothing. What is
    /// written besides costs a second write.
    pub fn repeat(&mut self) {
        debug_assert!(self.bytes().is_empty(), "what is repeated comes before what is written");
        self.repeats = true;
    }

    /// Posts `bytes` to another session.
    pub fn post(&mut self, to: ConnectionId, bytes: Arc<[u8]>) {
        self.mail.push(Mail { to, bytes });
    }

    /// Whether a session with more to say, or to post, should answer [`Want::Write`] and wait for
    /// `produce`.
    pub fn is_full(&self) -> bool {
        self.room() == 0 || self.excerpt.is_some() || self.mail.len() >= Output::LETTERS
    }

    /// The same, where so many bytes were written in place of as many of the input.
    pub(crate) fn is_full_after(&self, repeated: usize) -> bool {
        self.bytes().len() >= self.chunk + repeated
    }

    /// How many bytes fit until it is full.
    pub fn room(&self) -> usize {
        self.chunk.saturating_sub(self.bytes().len())
    }

    /// What of `input` the session said again: all or nothing. It goes before [`Output::bytes`].
    pub fn repeated<'a>(&self, input: &'a [u8]) -> &'a [u8] {
        if self.repeats { input } else { &[] }
    }

    /// The bytes written for the session's own peer.
    pub fn bytes(&self) -> &[u8] {
        &self.memory[self.begin..]
    }

    /// Takes what is to be said from a file, after [`Output::bytes`].
    pub(crate) fn take_excerpt(&mut self) -> Option<Excerpt> {
        self.excerpt.take()
    }

    /// Takes the mail posted so far.
    pub fn take_mail(&mut self) -> Vec<Mail> {
        std::mem::take(&mut self.mail)
    }

    /// The same, behind what is in `letters` already.
    pub(crate) fn move_mail(&mut self, letters: &mut VecDeque<Mail>) {
        letters.extend(self.mail.drain(..));
    }

    /// Says why the session is about to answer [`Want::Close`] before its time, for the log.
    pub fn fail(&mut self, why: impl Into<Cow<'static, str>>) {
        self.failure = Some(why.into());
    }

    /// Takes what [`Output::fail`] was told.
    pub fn take_failure(&mut self) -> Option<Cow<'static, str>> {
        self.failure.take()
    }

    /// The time, which may be a moment ago: that of the engine's last look at the clock.
    pub fn now(&self) -> Instant {
        self.now.unwrap_or_else(Instant::now)
    }

    /// Sets the time. Until then it is that of the system's clock.
    pub fn set_now(&mut self, now: Instant) {
        self.now = Some(now);
    }

    /// Asks for one [`Session::wake`] at this time, a sixteenth of the wait later at most. It takes
    /// the place of what was asked for before.
    pub fn wake_at(&mut self, at: Instant) {
        self.wake = Some(at);
    }

    /// Whether [`Output::wake_at`] was told something.
    pub(crate) fn wakes(&self) -> bool {
        self.wake.is_some()
    }

    /// Takes what [`Output::wake_at`] was told.
    pub fn take_wake(&mut self) -> Option<Instant> {
        self.wake.take()
    }

    /// From here on a session inside the present one speaks: [`Output::bytes`] are its own. Returns
    /// what [`Output::leave`] wants.
    pub(crate) fn enter(&mut self) -> usize {
        debug_assert!(!self.repeats, "who has another one inside repeats nothing");
        let outside = self.begin - self.start;
        self.begin = self.memory.len();
        self.is_inside = true;
        outside
    }

    /// Puts what of `input` was said again before what was written, as bytes among others.
    pub(crate) fn copy_repeated(&mut self, input: &[u8]) {
        if std::mem::take(&mut self.repeats) {
            let written = self.bytes().len();
            self.write(input);
            let begin = self.begin;
            self.memory[begin..].rotate_left(written);
        }
    }

    /// The one inside has spoken, and its words are taken out again.
    pub(crate) fn leave(&mut self, outside: usize) {
        self.memory.truncate(self.begin);
        self.begin = self.start + outside;
        self.is_inside = false;
    }

    /// A session has failed in the midst of its words. Those of one inside were not wrapped yet, and
    /// nobody may see them.
    pub(crate) fn abandon(&mut self) {
        if self.is_inside {
            self.repeats = false;
            self.leave(0);
        }
    }

    /// Forgets what was said and keeps its memory for the next call.
    pub fn clear(&mut self) {
        self.repeats = false;
        self.excerpt = None;
        self.memory.truncate(self.start);
        self.begin = self.start;
        self.is_inside = false;
    }
}

//! A connection of a hostile client: it says and hears when it is told to, and only then, over TCP
//! or TLS, and never waits longer than its patience.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::ClientConnection;
use socket2::SockRef;

use super::fault::Fault;
use crate::file::before_more;
use crate::load::secure::Secure;

/// Milliseconds after which somebody who waits looks whether the user has had enough.
const GLANCE: u8 = 100;

/// Bytes that may wait to be asked for: a server that talks by itself would fill this side's memory.
const MOST: usize = 256 << 20;

/// One connection.
pub struct Peer {
    /// Its socket, which never blocks: for what only a socket can do.
    pub socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    patience: Duration,
    stop: Arc<AtomicBool>,
    /// What the kernel has not taken yet.
    unsent: Vec<u8>,
    sent: usize,
    /// Bytes that the kernel has taken, as they cross the network.
    written: u64,
    /// What came and was not asked for yet.
    heard: Vec<u8>,
    /// What one write takes of that at most.
    piece: usize,
    /// The sending half is to be closed once all is sent.
    closes: bool,
    ended: bool,
    broken: Option<ErrorKind>,
}

impl Peer {
    /// Connects, and says nothing: over TLS not even hello.
    pub fn connect(
        server: SocketAddr,
        secure: Option<&Secure>,
        patience: Duration,
        stop: Arc<AtomicBool>,
    ) -> Result<Peer, Fault> {
        let socket = TcpStream::connect_timeout(&server, patience).map_err(Fault::Refused)?;
        Peer::over(socket, secure, patience, stop)
    }

    /// The same over a socket that is connected already.
    pub fn over(
        socket: TcpStream,
        secure: Option<&Secure>,
        patience: Duration,
        stop: Arc<AtomicBool>,
    ) -> Result<Peer, Fault> {
        let prepared = socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true));
        prepared.map_err(Fault::Refused)?;
        let tls = secure.map(|secure| {
            let connection = secure.connector.connection(&secure.host);
            connection.map_err(|why| Fault::Refused(io::Error::other(why)))
        });
        let tls = tls.transpose()?.map(|mut connection| {
            connection.set_buffer_limit(None);
            Box::new(connection)
        });
        Ok(Peer {
            socket,
            tls,
            patience,
            stop,
            unsent: Vec::new(),
            sent: 0,
            written: 0,
            heard: Vec::new(),
            piece: usize::MAX,
            closes: false,
            ended: false,
            broken: None,
        })
    }

    /// Shakes hands, where there is TLS.
    pub fn shake_hands(&mut self) -> Result<(), Fault> {
        self.until("shaking hands", |peer| {
            let done = !peer.tls.as_ref().is_some_and(|tls| tls.is_handshaking());
            match (done, peer.ended) {
                (false, true) => Err(Fault::Left { came: 0, due: 1 }),
                _ => Ok(done),
            }
        })?;
        self.push();
        Ok(())
    }

    /// The same peer, whose words leave in pieces of so many bytes at most, each in a segment of its
    /// own as far as the kernel does not join them.
    pub fn in_pieces_of(mut self, bytes: usize) -> Peer {
        self.piece = bytes.max(1);
        self
    }

    /// Has its next words encrypted with new keys, and asks the server for the same (TLS 1.3,
    /// KeyUpdate). Whether that can be done.
    pub fn renew_keys(&mut self) -> bool {
        self.tls.as_mut().is_some_and(|tls| tls.refresh_traffic_keys().is_ok())
    }

    /// Its side of TLS, for what is said past it from now on.
    pub fn take_tls(&mut self) -> Option<ClientConnection> {
        self.push();
        self.tls.take().map(|tls| *tls)
    }

    /// Says all of `bytes`, and hears nothing meanwhile.
    pub fn say(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.add(bytes);
        self.say_all()
    }

    /// Says all of `bytes`; the last one that leaves is urgent (MSG_OOB), which over TLS is the end
    /// of a record.
    pub fn urge(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.add(bytes);
        self.wrap();
        let last = self.unsent.split_off(self.unsent.len() - 1);
        self.say_all()?;
        let since = Instant::now();
        loop {
            match SockRef::from(&self.socket).send_out_of_band(&last) {
                Ok(_) => return Ok(()),
                Err(error) if is_not_yet(&error) => {
                    self.wait(PollFlags::POLLOUT, since, "the server did not read")?;
                }
                Err(error) => return Err(Fault::Broken("sending", error)),
            }
        }
    }

    fn say_all(&mut self) -> Result<(), Fault> {
        self.wrap();
        let mut since = Instant::now();
        loop {
            // Over TLS nothing waits for the kernel before it is encrypted here.
            if self.push() {
                since = Instant::now();
            }
            if let Some(kind) = self.broken {
                return Err(Fault::Broken("sending", kind.into()));
            }
            if self.all_sent() {
                return Ok(());
            }
            self.wait(PollFlags::POLLOUT, since, "the server did not read")?;
        }
    }

    /// Says as much of `bytes` as the kernel takes at once, which may be nothing, and how much that
    /// was. Over TLS all of it counts as said, and what the kernel did not take goes out later.
    pub fn offer(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        if !self.all_sent() {
            self.push();
        }
        let taken = match (self.all_sent(), &self.tls) {
            (false, _) => 0,
            (true, None) => match self.socket.write(bytes) {
                Ok(n) => {
                    self.written += n as u64;
                    n
                }
                Err(error) if is_not_yet(&error) => 0,
                Err(error) => {
                    self.broken = Some(error.kind());
                    0
                }
            },
            (true, Some(_)) => {
                self.add(bytes);
                self.push();
                bytes.len()
            }
        };
        match self.broken {
            Some(kind) => Err(Fault::Broken("sending", kind.into())),
            None => Ok(taken),
        }
    }

    /// Says `bytes` as far as that goes now, and the rest while it hears.
    pub fn begin(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.push();
    }

    /// Hears exactly so many bytes, while what was begun goes out.
    pub fn hear(&mut self, length: usize) -> Result<Vec<u8>, Fault> {
        self.until("waiting for its answer", |peer| match peer.heard.len() >= length {
            false if peer.ended => Err(Fault::Left { came: peer.heard.len(), due: length }),
            enough => Ok(enough),
        })?;
        Ok(self.heard.drain(..length).collect())
    }

    /// Hears one line, without its end, while what was begun goes out.
    pub fn hear_line(&mut self) -> Result<Vec<u8>, Fault> {
        let (mut end, mut looked) = (None, 0);
        self.until("waiting for a line", |peer| {
            let found = peer.heard[looked..].iter().position(|&byte| byte == b'\n');
            end = found.map(|place| looked + place);
            looked = peer.heard.len();
            match end {
                None if peer.ended => Err(Fault::Left { came: peer.heard.len(), due: 1 }),
                end => Ok(end.is_some()),
            }
        })?;
        let mut line: Vec<u8> = self.heard.drain(..=end.unwrap_or_default()).collect();
        line.truncate(line.len() - 1);
        line.pop_if(|byte| *byte == b'\r');
        Ok(line)
    }

    /// Hears what comes next, as much as there is, while what was begun goes out. It is nothing at the
    /// server's end.
    pub fn hear_some(&mut self) -> Result<Vec<u8>, Fault> {
        self.until("waiting for its answer", |peer| Ok(!peer.heard.is_empty() || peer.ended))?;
        Ok(self.take_heard())
    }

    /// Hears everything until the end of the connection, whatever kind of end that is.
    pub fn outlast(&mut self) -> Result<Vec<u8>, Fault> {
        self.until("waiting for the server's end", |peer| Ok(peer.ended))?;
        Ok(self.take_heard())
    }

    /// Says `bytes` while it hears, and compares what comes back.
    pub fn echoes(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.begin(bytes);
        let back = self.hear(bytes.len())?;
        compare(bytes, &back)
    }

    /// One read, of so many bytes at most, as they come over the network: how many that were. None
    /// came yet where it is 0; look at [`Peer::has_ended`].
    pub fn sip(&mut self, most: usize) -> usize {
        self.pull(most)
    }

    /// Moves what can be moved now, both ways, and whether that was anything.
    pub fn turn(&mut self) -> bool {
        self.push() | (self.pull(65_536) > 0)
    }

    /// Whether so many bytes have come and were not asked for yet.
    pub fn has_heard(&self, length: usize) -> bool {
        self.heard.len() >= length
    }

    /// Takes what has come so far.
    pub fn take_heard(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.heard)
    }

    /// Says that this was all, with what was said last in the same segment where it fits.
    pub fn end(&mut self) {
        match &mut self.tls {
            Some(tls) => tls.send_close_notify(),
            None => self.closes = true,
        }
        self.push();
    }

    /// Says `bytes`, and that this was all, in one segment where they fit into it: data and FIN, over
    /// TLS with the close_notify between them.
    pub fn end_with(&mut self, bytes: &[u8]) {
        self.add(bytes);
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
        }
        self.wrap();
        // Held back by the kernel until the end comes, which is at once.
        self.sent += before_more(&self.socket, &self.unsent[self.sent..]).unwrap_or(0);
        self.closes = true;
        self.push();
    }

    /// Everything until the server's end, while what was begun goes out.
    pub fn rest(&mut self) -> Result<Vec<u8>, Fault> {
        self.until("waiting for the server's end", |peer| Ok(peer.ended))?;
        match self.broken {
            Some(kind) => Err(Fault::Broken("waiting for the server's end", kind.into())),
            None => Ok(self.take_heard()),
        }
    }

    /// Ends, hears everything, and compares it with what was due.
    pub fn finish(&mut self, due: &[u8]) -> Result<(), Fault> {
        self.end();
        self.ends_after(due)
    }

    /// Hears everything until the server's end, and compares it with what was due.
    pub fn ends_after(&mut self, due: &[u8]) -> Result<(), Fault> {
        let rest = self.rest()?;
        compare(due, &rest)?;
        match (rest.len(), due.len()) {
            (came, due) if came < due => Err(Fault::Left { came, due }),
            (came, due) if came > due => Err(Fault::Extra(came - due)),
            _ => Ok(()),
        }
    }

    /// Whether the server has said its last word, as far as was heard.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Why the connection is broken, if it is.
    pub fn broken(&self) -> Option<ErrorKind> {
        self.broken
    }

    /// Leaves with a reset (RST) instead of an end.
    pub fn reset(self) {
        // Where it cannot be set, the connection is reset already.
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    /// Bytes that this side's kernel has taken, as they cross the network.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that were said and are not with the kernel yet.
    pub fn unsent(&self) -> usize {
        self.unsent.len() - self.sent
    }

    /// Whether everything that was said is with the kernel.
    pub fn all_sent(&self) -> bool {
        self.sent == self.unsent.len()
    }

    /// Moves bytes both ways until `done`, or for the whole patience nothing has moved. After the
    /// server's end `done` has to say either.
    fn until(
        &mut self,
        what: &'static str,
        mut done: impl FnMut(&Peer) -> Result<bool, Fault>,
    ) -> Result<(), Fault> {
        let mut since = Instant::now();
        loop {
            if done(self)? {
                return Ok(());
            }
            if self.heard.len() > MOST {
                return Err(Fault::Extra(self.heard.len()));
            }
            // As long as anything moves, nobody waits.
            if self.stop.load(Ordering::Relaxed) {
                return Err(Fault::Interrupted);
            }
            if self.turn() {
                since = Instant::now();
            } else if !self.ended {
                let out = if self.all_sent() { PollFlags::empty() } else { PollFlags::POLLOUT };
                self.wait(PollFlags::POLLIN | out, since, what)?;
            }
        }
    }

    /// Sleeps until the socket has news, as long as there is patience.
    fn wait(&self, flags: PollFlags, since: Instant, what: &'static str) -> Result<(), Fault> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(Fault::Interrupted);
        }
        if since.elapsed() >= self.patience {
            return Err(Fault::Silent(what, self.patience));
        }
        let _ = poll(&mut [PollFd::new(self.socket.as_fd(), flags)], PollTimeout::from(GLANCE));
        Ok(())
    }

    fn add(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            Some(tls) => {
                tls.writer().write_all(bytes).expect("its buffer has no limit");
            }
            None => self.unsent.extend_from_slice(bytes),
        }
    }

    /// Makes records of what was said, where there is TLS.
    fn wrap(&mut self) {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.unsent).expect("memory takes everything");
            }
        }
    }

    /// Writes as far as the kernel takes it. Whether it took anything.
    fn push(&mut self) -> bool {
        self.wrap();
        let mut moved = false;
        while !self.all_sent() && self.broken.is_none() {
            let end = self.sent.saturating_add(self.piece).min(self.unsent.len());
            match self.socket.write(&self.unsent[self.sent..end]) {
                Ok(n) => {
                    self.written += n as u64;
                    (self.sent, moved) = (self.sent + n, true);
                }
                Err(error) if is_not_yet(&error) => return moved,
                Err(error) => self.broken = Some(error.kind()),
            }
        }
        (self.unsent, self.sent) = (Vec::new(), 0);
        if std::mem::take(&mut self.closes) {
            // The server may have left.
            let _ = self.socket.shutdown(Shutdown::Write);
        }
        moved
    }

    /// One read. How many bytes came.
    fn pull(&mut self, most: usize) -> usize {
        let mut bytes = vec![0; most];
        match self.socket.read(&mut bytes) {
            Ok(0) => {
                // Over TLS an end has to be announced.
                if self.tls.is_some() && !self.ended {
                    self.broken = self.broken.or(Some(ErrorKind::UnexpectedEof));
                }
                self.ended = true;
                0
            }
            Ok(n) => {
                self.take(&bytes[..n]);
                n
            }
            Err(error) if is_not_yet(&error) => 0,
            Err(error) => {
                (self.broken, self.ended) = (Some(error.kind()), true);
                0
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        let Some(tls) = &mut self.tls else {
            return self.heard.extend_from_slice(bytes);
        };
        while !bytes.is_empty() {
            let read = tls.read_tls(&mut bytes).unwrap_or(0);
            let Ok(state) = tls.process_new_packets() else {
                (self.broken, self.ended) = (Some(ErrorKind::InvalidData), true);
                return;
            };
            self.ended |= state.peer_has_closed();
            // Nothing more for now, or the end: neither is a fault here.
            let _ = tls.reader().read_to_end(&mut self.heard);
            if read == 0 {
                return;
            }
        }
    }
}

/// The first difference between what was `due` and what `came` of it.
pub fn compare(due: &[u8], came: &[u8]) -> Result<(), Fault> {
    match due.iter().zip(came).position(|(due, came)| due != came) {
        Some(offset) => Err(Fault::Wrong { offset, due: due[offset], came: came[offset] }),
        None => Ok(()),
    }
}

fn is_not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

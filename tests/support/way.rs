//! How a service is reached: which engine carries it, and whether TLS is around it. Tests of what a
//! service promises run in every way, with peers that speak either.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustls::ClientConnection;
use socket2::SockRef;
use socklab::engine::{Engine, Limits};
use socklab::session::Service;
use socklab::tls::{Connector, Tls, client};

use super::secure::{LONG, acceptor};
use super::{PATIENCE, Process, Server};

/// Each test runs in every way: `in_every_way! { fn name(way) { … } }`.
macro_rules! in_every_way {
    ($($(#[$attribute:meta])* fn $name:ident($way:ident) $body:block)*) => {
        $(fn $name($way: support::way::Way) $body)*
        in_every_way!(@ tcp_threads, Threads, false, $($(#[$attribute])* $name)*);
        in_every_way!(@ tcp_poll, Poll, false, $($(#[$attribute])* $name)*);
        in_every_way!(@ tls_threads, Threads, true, $($(#[$attribute])* $name)*);
        in_every_way!(@ tls_poll, Poll, true, $($(#[$attribute])* $name)*);
    };
    (@ $module:ident, $engine:ident, $tls:literal, $($(#[$attribute:meta])* $name:ident)*) => {
        mod $module {
            use super::support::way::Way;
            const WAY: Way = Way { engine: socklab::engine::Engine::$engine, tls: $tls };
            $(#[test] $(#[$attribute])* fn $name() { super::$name(WAY) })*
        }
    };
}
pub(crate) use in_every_way;

#[derive(Clone, Copy)]
pub struct Way {
    pub engine: Engine,
    pub tls: bool,
}

/// Who can be called.
pub struct Reached<S> {
    pub server: S,
    pub(super) address: SocketAddr,
    pub(super) connector: Option<Connector>,
}

impl Way {
    pub fn start(self, service: impl Service + 'static) -> Reached<Server> {
        self.with_limits(service, Limits::default())
    }

    pub fn with_limits(self, service: impl Service + 'static, limits: Limits) -> Reached<Server> {
        if !self.tls {
            let server = Server::with_limits(self.engine, service, limits);
            return Reached { address: server.address, server, connector: None };
        }
        let acceptor = acceptor();
        let pin = acceptor.certificates.fingerprint();
        let tls = Tls::new(Arc::new(service), &acceptor, LONG);
        let server = Server::with_limits(self.engine, tls, limits);
        Reached { address: server.address, server, connector: Some(trusting(&pin.to_string())) }
    }

    /// The binary as a server of its own process.
    pub fn process(self, arguments: &[&str]) -> Reached<Process> {
        self.process_by(arguments, |command| command)
    }

    /// The same, started as `change` has it.
    pub fn process_by(
        self,
        arguments: &[&str],
        change: impl FnOnce(Command) -> Command,
    ) -> Reached<Process> {
        let tls: &[&str] = if self.tls { &["--tls"] } else { &[] };
        let mut command = Process::command(self.engine, &[arguments, tls].concat());
        command.stderr(Stdio::null());
        let server = Process::spawn(&mut change(command));
        let connector = server.fingerprint.as_deref().map(trusting);
        Reached { address: server.address(), server, connector }
    }
}

fn trusting(pin: &str) -> Connector {
    let pin = Some(pin.parse().expect("it is a fingerprint"));
    let options = client::Options { pin, ..client::Options::default() };
    Connector::new(&options).expect("it needs no files")
}

impl<S> Reached<S> {
    /// A server without TLS that was started elsewhere.
    pub fn plain(server: S, address: SocketAddr) -> Reached<S> {
        Reached { server, address, connector: None }
    }

    /// Where to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A peer that has come through the handshake, where there is one.
    pub fn call(&self) -> Peer {
        self.call_with(TcpStream::connect(self.address).expect("the server accepts"))
    }

    pub fn call_with(&self, tcp: TcpStream) -> Peer {
        let mut peer = self.call_later(tcp);
        while peer.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            assert!(!peer.ended, "the server has left during the handshake");
            peer.turn();
        }
        peer.push();
        peer
    }

    /// A peer that has connected and no more.
    pub fn call_later(&self, tcp: TcpStream) -> Peer {
        tcp.set_nonblocking(true).expect("it is connected");
        let tls = self.connector.as_ref().map(|connector| {
            let mut tls = connector.connection("localhost").expect("it is a name");
            tls.set_buffer_limit(None);
            tls
        });
        Peer {
            tcp,
            tls,
            unsent: Vec::new(),
            heard: Vec::new(),
            closes: false,
            ended: false,
            broken: false,
        }
    }
}

/// Why there is no line to be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoLine {
    /// The server has said its last word.
    Left,
    /// The server says nothing.
    Silent,
}

/// A peer that says and hears when the test wants it to, and only then.
pub struct Peer {
    pub tcp: TcpStream,
    tls: Option<ClientConnection>,
    /// What the kernel has not taken yet.
    unsent: Vec<u8>,
    /// What came and was not asked for yet.
    heard: Vec<u8>,
    /// The sending half is to be closed once all is sent (TCP).
    closes: bool,
    /// The server has said its last word.
    ended: bool,
    broken: bool,
}

impl Peer {
    /// Says all of `bytes`, and hears nothing meanwhile.
    pub fn say(&mut self, bytes: &[u8]) {
        assert!(self.try_say(bytes), "the server has left");
    }

    /// The same to one who may have left: whether it has not.
    pub fn try_say(&mut self, bytes: &[u8]) -> bool {
        self.add(bytes);
        let since = Instant::now();
        while !self.unsent.is_empty() && !self.broken {
            assert!(since.elapsed() < PATIENCE, "the server does not read");
            if !self.push() {
                self.wait_for(PollFlags::POLLOUT);
            }
        }
        !self.broken
    }

    /// Says as much as the server takes without being listened to, and how much that was. What was
    /// begun goes out later.
    pub fn fill(&mut self) -> usize {
        let chunk = [0x55; 65_536];
        let (mut said, mut refused) = (0, 0);
        // The kernel moves bytes between the two buffers for a while after the first refusal.
        while refused < 20 {
            if self.unsent.is_empty() {
                self.add(&chunk);
                said += chunk.len();
            }
            match self.push() {
                true => refused = 0,
                false => {
                    refused += 1;
                    thread::sleep(Duration::from_millis(2));
                }
            }
            assert!(!self.broken, "the server has left");
        }
        said
    }

    /// Says `bytes` as far as that goes now, and the rest while it hears.
    pub fn begin(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.push();
    }

    /// Hears `length` bytes, while what was begun goes out.
    pub fn hear(&mut self, length: usize) -> Vec<u8> {
        let since = Instant::now();
        while self.heard.len() < length {
            assert!(!self.ended && since.elapsed() < PATIENCE, "{} bytes came", self.heard.len());
            self.turn();
        }
        self.heard.drain(..length).collect()
    }

    /// Hears one line, without its end, while what was begun goes out; or why there is none.
    pub fn hear_line(&mut self) -> Result<Vec<u8>, NoLine> {
        let since = Instant::now();
        loop {
            if let Some(end) = self.heard.iter().position(|&byte| byte == b'\n') {
                let mut line: Vec<u8> = self.heard.drain(..=end).collect();
                assert!(line.ends_with(b"\r\n"), "a line ends without CR: {line:?}");
                line.truncate(end - 1);
                return Ok(line);
            }
            if self.ended {
                assert!(self.heard.is_empty(), "half a line: {:?}", self.heard);
                return Err(NoLine::Left);
            }
            if since.elapsed() > PATIENCE {
                return Err(NoLine::Silent);
            }
            self.turn();
        }
    }

    /// Says `bytes`, and checks that they come back.
    pub fn echoes(&mut self, bytes: &[u8]) {
        self.say(bytes);
        assert!(self.hear(bytes.len()) == bytes, "what came back differs from what was sent");
    }

    /// One read of so many bytes at most, as they come over the network, and nothing is said.
    pub fn read_once(&mut self, most: usize) {
        let since = Instant::now();
        while !self.pull_at_most(most) {
            assert!(!self.ended && since.elapsed() < PATIENCE, "nothing comes");
            self.wait_for(PollFlags::POLLIN);
        }
    }

    /// Says what the server takes of `bytes` at once: whether it is still there.
    pub fn can_say(&mut self, bytes: &[u8]) -> bool {
        if self.unsent.is_empty() {
            self.add(bytes);
        }
        self.push();
        !self.broken
    }

    /// What has come by now.
    pub fn take_heard(&mut self) -> Vec<u8> {
        self.pull();
        std::mem::take(&mut self.heard)
    }

    /// Whether the connection has ended without the server's last word.
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// Whether the server has said its last word.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Says that this was all, and hears everything until the server's end.
    pub fn finish(&mut self) -> Vec<u8> {
        self.close();
        self.rest()
    }

    /// Closes the sending half, with what was said last in the same segment where it fits.
    pub fn close(&mut self) {
        match &mut self.tls {
            Some(tls) => tls.send_close_notify(),
            None => self.closes = true,
        }
        self.turn_out();
    }

    /// What was begun, and after it the end of the sending half.
    fn turn_out(&mut self) -> bool {
        let moved = self.push();
        if self.unsent.is_empty() && std::mem::take(&mut self.closes) {
            // The server may have left.
            let _ = self.tcp.shutdown(Shutdown::Write);
        }
        moved
    }

    /// Everything until the server's end, while what was begun goes out.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut since = Instant::now();
        while !self.ended {
            assert!(since.elapsed() < PATIENCE, "the server does not close");
            if self.turn() {
                since = Instant::now();
            }
        }
        assert!(!self.broken, "the connection broke");
        std::mem::take(&mut self.heard)
    }

    /// What still comes, however it ends.
    pub fn remains(&mut self) -> Vec<u8> {
        let since = Instant::now();
        while !self.ended {
            assert!(since.elapsed() < PATIENCE, "the server keeps the connection");
            self.turn();
        }
        std::mem::take(&mut self.heard)
    }

    /// Leaves with a reset instead of an end.
    pub fn reset(self) {
        SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO)).expect("it is connected");
    }

    fn turn(&mut self) -> bool {
        let moved = self.turn_out() | self.pull();
        if !moved && !self.ended {
            self.wait();
        }
        moved
    }

    fn add(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            Some(tls) => tls.writer().write_all(bytes).expect("the connection is fine"),
            None => self.unsent.extend_from_slice(bytes),
        }
        self.gather();
    }

    fn gather(&mut self) {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                tls.write_tls(&mut self.unsent).expect("memory takes everything");
            }
        }
    }

    /// One write, as far as the kernel takes it. Whether it took anything.
    fn push(&mut self) -> bool {
        self.gather();
        if self.unsent.is_empty() || self.broken {
            return false;
        }
        match self.tcp.write(&self.unsent) {
            Ok(n) => {
                self.unsent.drain(..n);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(_) => {
                self.broken = true;
                false
            }
        }
    }

    /// One read. Whether anything came.
    fn pull(&mut self) -> bool {
        self.pull_at_most(65_536)
    }

    fn pull_at_most(&mut self, most: usize) -> bool {
        let mut bytes = vec![0; most];
        match self.tcp.read(&mut bytes) {
            Ok(0) => {
                self.broken |= self.tls.is_some() && !self.ended;
                self.ended = true;
                false
            }
            Ok(n) => {
                self.take(&bytes[..n]);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => false,
            Err(_) => {
                (self.broken, self.ended) = (true, true);
                false
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        let Some(tls) = &mut self.tls else {
            return self.heard.extend_from_slice(bytes);
        };
        while !bytes.is_empty() {
            if tls.read_tls(&mut bytes).expect("memory can be read") == 0 {
                return;
            }
            let state = tls.process_new_packets().expect("what comes can be decrypted");
            self.ended |= state.peer_has_closed();
            let _ = tls.reader().read_to_end(&mut self.heard);
        }
    }

    fn wait(&self) {
        let out = if self.unsent.is_empty() { PollFlags::empty() } else { PollFlags::POLLOUT };
        self.wait_for(PollFlags::POLLIN | out);
    }

    fn wait_for(&self, flags: PollFlags) {
        let _ = poll(&mut [PollFd::new(self.tcp.as_fd(), flags)], PollTimeout::from(100_u8));
    }
}

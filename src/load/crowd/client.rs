//! One client: its connection, and what it has said and heard.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};

use mio::net::TcpStream;
use nix::sys::socket::{setsockopt, sockopt};
use rustix::net::{RecvFlags, SendFlags};
use socket2::{Domain, Protocol, Socket, Type};

use super::secure::Tls;

/// Counts bytes and messages of its present connection.
///
/// In the order of use: a message touches the first cache line and no other, unless more of them are
/// in flight.
#[derive(Default)]
#[repr(C, align(64))]
pub struct Client {
    pub stream: Option<TcpStream>,
    pub state: State,
    /// The kernel took less than it was given: until there is news, it takes no more.
    pub blocked: bool,
    /// There is something to read, as far as is known.
    pub readable: bool,
    /// An end may hide behind a short read.
    pub hidden: bool,
    /// It is in the queue of those who go on without news.
    pub queued: bool,
    /// It was counted among those who wait for something.
    pub busy: bool,
    /// The server closes between messages, as it has said: the client goes on, on another connection.
    pub returns: bool,
    /// What it says and hears goes through `tls`.
    secure: bool,
    /// Messages it may begin.
    pub goal: u64,
    /// Bytes sent and heard.
    pub sent: u64,
    pub heard: u64,
    /// Messages begun and answered.
    pub begun: u64,
    pub answered: u64,
    /// When the oldest message in flight was sent, and those after it.
    oldest: u64,
    later: VecDeque<u64>,
    /// When connect(2) was called.
    pub called: u64,
    /// Messages that were begun before this slice, and those due in it (open loop).
    pub before: u64,
    pub due: u64,
    /// From when hands are shaken until the end of the connection.
    pub tls: Option<Box<Tls>>,
}

// mio's streams are larger where it checks itself.
#[cfg(not(debug_assertions))]
const _: () = {
    assert!(std::mem::offset_of!(Client, later) == 64);
    assert!(size_of::<Client>() == 128);
};

/// Where a client stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not connected, and not called upon to be.
    #[default]
    Away,
    /// connect(2) was called.
    Calling,
    /// Connected, and shaking hands (TLS).
    Greeting,
    /// Connected.
    Talking,
    /// It has said that it will send no more, and waits for the server's end.
    Leaving,
    /// It has received what it should not have, and collects what follows, to say what that was.
    Suspecting,
    /// Lost to a fault.
    Out,
}

impl Client {
    /// Calls the server. The connection may take its time.
    pub fn call(&mut self, server: SocketAddr, source: Option<IpAddr>, now: u64) -> io::Result<()> {
        let stream = match source {
            None => TcpStream::connect(server)?,
            Some(source) => connect_from(source, server)?,
        };
        stream.set_nodelay(true)?;
        let former = std::mem::replace(
            self,
            Client {
                stream: Some(stream),
                state: State::Calling,
                called: now,
                due: self.due,
                queued: self.queued,
                busy: self.busy,
                ..Client::default()
            },
        );
        if former.returns {
            let Client { returns, goal, sent, begun, answered, before, .. } = former;
            *self = Client { returns, goal, sent, begun, answered, before, ..std::mem::take(self) };
        }
        Ok(())
    }

    /// Whether the connection has come about; an error if it will not.
    pub fn established(&self) -> io::Result<bool> {
        let Some(stream) = &self.stream else {
            return Ok(false);
        };
        match stream.peer_addr() {
            Ok(_) => Ok(true),
            Err(error) if error.kind() != io::ErrorKind::NotConnected => Err(error),
            Err(_) => stream.take_error()?.map_or(Ok(false), Err),
        }
    }

    /// Begins to shake hands.
    pub fn greet(&mut self, tls: Tls) {
        self.state = State::Greeting;
        self.secure = true;
        self.tls = Some(Box::new(tls));
    }

    /// Receives into `plain`, by way of `wire` where it speaks TLS, and notes whether there is more.
    pub fn receive(&mut self, wire: &mut [u8], plain: &mut [u8]) -> io::Result<usize> {
        let stream = self.stream.as_ref().expect("it is connected");
        if self.secure {
            let tls = self.tls.as_mut().expect("it has greeted");
            let n;
            (n, self.readable) = tls.receive(stream, wire, plain, self.hidden)?;
            return Ok(n);
        }
        let n = receive(stream, plain)?;
        self.readable = n == plain.len() || self.hidden;
        Ok(n)
    }

    /// Sends what the kernel takes of `bytes`, and notes whether it takes more. TLS takes all of it,
    /// and keeps the rest.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let stream = self.stream.as_ref().expect("it is connected");
        if self.secure {
            let tls = self.tls.as_mut().expect("it has greeted");
            tls.send(stream, bytes)?;
            self.blocked = tls.is_pending();
            return Ok(bytes.len());
        }
        let n = send(stream, bytes)?;
        self.blocked = n < bytes.len();
        Ok(n)
    }

    /// Sends what TLS has kept, and notes whether the kernel takes more.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.secure
            && !self.blocked
            && let (Some(stream), Some(tls)) = (&self.stream, &mut self.tls)
        {
            tls.flush(stream)?;
            self.blocked = tls.is_pending();
        }
        Ok(())
    }

    /// Says that it will say no more. Of TLS the word is enough, and the socket stays open both ways:
    /// the server's own last word is still to come.
    pub fn say_goodbye(&mut self) -> io::Result<()> {
        self.state = State::Leaving;
        self.returns = false;
        let stream = self.stream.as_ref().expect("it was talking");
        match &mut self.tls {
            Some(tls) => {
                tls.close(stream)?;
                self.blocked = tls.is_pending();
                Ok(())
            }
            None => stream.shutdown(Shutdown::Write),
        }
    }

    /// The server will close, and answers no more: messages of this size that it has not answered are
    /// still to be begun. Says how many.
    pub fn rewind(&mut self, message: u64) -> u64 {
        let unanswered = self.begun - self.answered;
        self.begun = self.answered;
        self.sent = self.answered * message;
        self.later.clear();
        unanswered
    }

    /// Closes the connection, if there is one.
    pub fn hang_up(&mut self) {
        self.stream = None;
        self.tls = None;
    }

    /// One more message was begun.
    pub fn begin(&mut self, now: u64) {
        match self.begun - self.answered {
            0 => self.oldest = now,
            _ => self.later.push_back(now),
        }
        self.begun += 1;
    }

    /// The oldest message in flight is answered; says when it was begun.
    pub fn answer(&mut self) -> u64 {
        let begun = self.oldest;
        self.answered += 1;
        if self.answered < self.begun {
            self.oldest = self.later.pop_front().expect("each message in flight has its time");
        }
        begun
    }
}

/// The port is chosen at connect, when both ends are known: as many connections as there are ports
/// from each address to each server, not for all servers together.
fn connect_from(source: IpAddr, server: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(server), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
    socket.bind(&SocketAddr::new(source, 0).into())?;
    match socket.connect(&server.into()) {
        Err(error) if error.raw_os_error() != Some(nix::libc::EINPROGRESS) => Err(error),
        _ => Ok(TcpStream::from_std(socket.into())),
    }
}

/// recv(2) without what the C library does around it in a process with threads, in case they should
/// be cancelled: 1.5 % of the driver's time.
pub fn receive(stream: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
    let (n, _) = rustix::net::recv(stream, into, RecvFlags::empty())?;
    Ok(n)
}

/// send(2), in the same way.
fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::net::send(stream, bytes, SendFlags::NOSIGNAL)?)
}

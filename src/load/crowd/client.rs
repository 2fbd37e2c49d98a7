//! One client: its connection, and what it has said and heard.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::TcpStream;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::load::fault::EVIDENCE;

/// Counts bytes and messages of its present connection.
#[derive(Debug, Default)]
pub struct Client {
    pub stream: Option<TcpStream>,
    pub state: State,
    /// When connect(2) was called.
    pub called: u64,
    /// Messages it may begin.
    pub goal: u64,
    /// Bytes sent and heard.
    pub sent: u64,
    pub heard: u64,
    /// Messages begun and answered.
    pub begun: u64,
    pub answered: u64,
    /// Messages that were begun before this slice, and those due in it (open loop).
    pub before: u64,
    pub due: u64,
    /// When the messages in flight were sent.
    pub sent_at: VecDeque<u64>,
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
}

/// Where a client stands.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum State {
    /// Not connected, and not called upon to be.
    #[default]
    Away,
    /// connect(2) was called.
    Calling,
    /// Connected.
    Talking,
    /// It has said that it will send no more, and waits for the server's end.
    Leaving,
    /// It has received what it should not have, and collects what follows, to say what that was.
    Suspecting(Vec<u8>),
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
        *self = Client {
            stream: Some(stream),
            state: State::Calling,
            called: now,
            due: self.due,
            queued: self.queued,
            busy: self.busy,
            ..Client::default()
        };
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

    /// Keeps what should not have come. `true` when there is enough of it.
    pub fn suspect(&mut self, bytes: &[u8]) -> bool {
        if !matches!(self.state, State::Suspecting(_)) {
            self.state = State::Suspecting(Vec::new());
        }
        let State::Suspecting(evidence) = &mut self.state else {
            return false;
        };
        let room = EVIDENCE - evidence.len();
        evidence.extend_from_slice(&bytes[..bytes.len().min(room)]);
        evidence.len() == EVIDENCE
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

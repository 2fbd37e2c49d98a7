//! One client: a socket of its own, and what it has sent.

use std::io;
use std::net::{IpAddr, SocketAddr};

use mio::net::UdpSocket;
use socket2::{Domain, Protocol, Socket, Type};

use super::flights::Flights;
use crate::transport::unspecified;

/// What the kernel is asked to keep of what came until it is read, for each socket; it gives no more
/// than `net.core.rmem_max`. The memory is used only where answers wait.
const RECEIVE_BUFFER: usize = 4 << 20;

/// A client.
#[derive(Debug, Default)]
pub struct Client {
    pub socket: Option<UdpSocket>,
    pub state: State,
    /// The kernel had no room: until there is news, nothing is sent.
    pub blocked: bool,
    /// There is something to read, as far as is known.
    pub readable: bool,
    /// It is in the queue of those who go on without news.
    pub queued: bool,
    /// Datagrams it may have begun, and has: the next one's number.
    pub goal: u64,
    pub begun: u64,
    /// Those whose place in the window is free again.
    pub settled: u64,
    /// One more than the highest number answered.
    pub beyond: u64,
    pub flights: Flights,
    /// When it sent for the first time.
    pub called: u64,
    /// Datagrams begun before this slice, and those due in it (open loop).
    pub before: u64,
    pub due: u64,
}

/// Where a client stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It has no socket.
    #[default]
    Away,
    /// It waits for its first answer.
    Calling,
    /// It was answered.
    Heard,
    /// It was not. It takes part like all others, for a datagram can be lost at any time.
    Unheard,
    /// Its socket failed.
    Out,
}

impl Client {
    /// Opens its socket. Connected, so that what others send does not come, and refusals do.
    pub fn open(&mut self, server: SocketAddr, source: Option<IpAddr>) -> io::Result<()> {
        let socket = Socket::new(Domain::for_address(server), Type::DGRAM, Some(Protocol::UDP))?;
        socket.set_nonblocking(true)?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let local = source.map_or(unspecified(server), |source| SocketAddr::new(source, 0));
        socket.bind(&local.into())?;
        socket.connect(&server.into())?;
        self.socket = Some(UdpSocket::from_std(socket.into()));
        Ok(())
    }
}

//! A server that cannot be connected to: its addresses, and a socket for each.
//!
//! Each socket is connected, which over UDP only tells the kernel whose datagrams it is for: those of
//! strangers are kept away, and "port unreachable" (RFC 1122 §4.1.3.3) comes back as an error.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};

use crate::client::{Error, name};
use crate::engine::resolve;

/// What a datagram can carry: 65,535 bytes less the headers of UDP and IPv4, whose length counts
/// (RFC 768, RFC 791).
const LIMIT_IPV4: usize = 65_535 - 8 - 20;

/// With IPv6 the length is that of the payload, UDP's header included (RFC 8200 §3).
const LIMIT_IPV6: usize = 65_535 - 8;

/// Whom the client talks to, at one address at a time.
pub struct Server {
    name: String,
    /// Never empty, but after [`Server::leave_current`] has said so.
    sockets: Vec<(SocketAddr, UdpSocket)>,
    current: usize,
    buffer: Vec<u8>,
}

/// What came first.
pub enum Event {
    /// A datagram of the server's, perhaps of no bytes.
    Answer(Vec<u8>),
    /// The current address does not take what was sent there.
    Refused(Error),
    /// There is input to read.
    Input,
    /// Nothing, for the time given.
    Silence,
}

impl Server {
    /// A socket for each address of `host`, IPv4 first, as servers listen. Nothing is sent, so this tells nothing about who is
    /// there: it fails if the host has no address, or if this machine can reach none of them.
    pub fn open(host: &str, port: u16) -> Result<Server, Error> {
        let name = name(host, port);
        let mut sockets = Vec::new();
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in resolve(host, port).map_err(|error| Error::Resolve(host.into(), error))? {
            match socket(address) {
                Ok(socket) => sockets.push((address, socket)),
                Err(error) => failure = error,
            }
        }
        match sockets.is_empty() {
            true => Err(Error::Unreachable(name, failure)),
            false => Ok(Server { name, sockets, current: 0, buffer: vec![0; LIMIT_IPV6] }),
        }
    }

    /// As it was called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How many addresses there are to try.
    pub fn addresses(&self) -> usize {
        self.sockets.len()
    }

    /// The one that is talked to.
    pub fn address(&self) -> SocketAddr {
        self.sockets[self.current].0
    }

    /// The most bytes that a datagram to the current address can carry.
    pub fn limit(&self) -> usize {
        match self.address() {
            SocketAddr::V4(_) => LIMIT_IPV4,
            SocketAddr::V6(_) => LIMIT_IPV6,
        }
    }

    /// Sends one datagram to the current address. The error may be that of an earlier one, which has
    /// come back since; this one was not sent then.
    pub fn send(&self, datagram: &[u8]) -> Result<(), Error> {
        let limit = self.limit();
        if datagram.len() > limit {
            return Err(Error::TooLong(format!("{} bytes", datagram.len()), limit));
        }
        match self.sockets[self.current].1.send(datagram) {
            Ok(_) => Ok(()),
            Err(error) => Err(Error::Unreachable(self.name.clone(), error)),
        }
    }

    /// Talks to the next address from now on. Answers from the others are still heard.
    pub fn turn_to_next(&mut self) {
        self.current = (self.current + 1) % self.sockets.len();
    }

    /// Gives the current address up for the next one; `false` when there is none, and then nothing
    /// more can be sent.
    pub fn leave_current(&mut self) -> bool {
        self.sockets.remove(self.current);
        if self.current == self.sockets.len() {
            self.current = 0;
        }
        !self.sockets.is_empty()
    }

    /// Sleeps until there is an answer, or `input` to read, or it is `until`. Fails if the kernel
    /// cannot wait at all.
    pub fn wait(
        &mut self,
        input: Option<BorrowedFd>,
        until: Option<Instant>,
    ) -> Result<Event, Error> {
        loop {
            let sockets = self.sockets.iter().map(|(_, socket)| socket.as_fd());
            let mut ready: Vec<PollFd> =
                sockets.chain(input).map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            // The client sleeps here.
            match poll(&mut ready, time_until(until)) {
                Ok(0) if until.is_some_and(|until| until <= Instant::now()) => {
                    return Ok(Event::Silence);
                }
                Ok(_) | Err(Errno::EINTR) => {}
                Err(error) => return Err(Error::Local("the socket", error.into())),
            }
            let ready: Vec<bool> = ready.iter().map(|fd| fd.any() == Some(true)).collect();
            for at in (0..self.sockets.len()).filter(|&at| ready[at]) {
                let socket = self.sockets[at].1.as_raw_fd();
                // What poll has seen may be gone: a broken checksum is found out when it is read.
                match recv(socket, &mut self.buffer, MsgFlags::MSG_DONTWAIT) {
                    Ok(length) => return Ok(Event::Answer(self.buffer[..length].to_vec())),
                    Err(Errno::EAGAIN | Errno::EINTR) => {}
                    // No news of an address that was turned away from.
                    Err(_) if at != self.current => {}
                    Err(error) => {
                        let refused = Error::Unreachable(self.name.clone(), error.into());
                        return Ok(Event::Refused(refused));
                    }
                }
            }
            if ready.get(self.sockets.len()) == Some(&true) {
                return Ok(Event::Input);
            }
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(address)?;
    Ok(socket)
}

/// Rounded up, or the last part of a millisecond would be spent turning in circles.
fn time_until(until: Option<Instant>) -> PollTimeout {
    let Some(until) = until else { return PollTimeout::NONE };
    let left = until.saturating_duration_since(Instant::now());
    PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX)
}

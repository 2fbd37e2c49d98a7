//! How messages travel: as a stream of bytes, or each as a datagram of its own.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::time::Duration;

/// TCP or UDP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// Connections.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Transport::Tcp => "tcp",
            Transport::Udp => "udp",
        })
    }
}

/// Any address of `server`'s kind, any port.
pub fn unspecified(server: SocketAddr) -> SocketAddr {
    match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}

/// Whether `server` answers a datagram within `patience`. One that takes them and says nothing looks
/// like one that is not there, unless the machine itself refuses: then that is the error.
pub fn answers(server: SocketAddr, patience: Duration) -> io::Result<bool> {
    let socket = UdpSocket::bind(unspecified(server))?;
    socket.connect(server)?;
    if socket.local_addr()? == server {
        // Among the ports that the kernel gives to callers, a caller can meet itself.
        return Err(ErrorKind::ConnectionRefused.into());
    }
    socket.set_read_timeout(Some(patience))?;
    socket.send(&[0; 8])?;
    loop {
        match socket.recv(&mut [0; 8]) {
            Ok(_) => return Ok(true),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        }
    }
}

//! From a host name to listening sockets: every address of the name, one port for all.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs, UdpSocket};

use log::warn;
use nix::errno::Errno;
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

use crate::failure::{cause, unresolved};
use crate::transport::Transport;

/// Connections the kernel completes ahead of accept. std asks for 128, and a burst beyond it costs
/// each caller a SYN retry of a whole second. The kernel lowers it to net.core.somaxconn.
pub(super) const QUEUE: i32 = 4096;

/// Bytes of datagrams that wait while a thread is busy: a burst of some thousands.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// How often a free port of the first address may be taken on another one before giving up.
const PORT_TRIES: usize = 16;

/// What `localhost` is, whatever a hosts file leaves out (RFC 6761 §6.3).
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// What is sent here reaches every socket on this machine's 127.0.0.0/8 that wants it.
const LOOPBACK_BROADCAST: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 255, 255, 255));

/// Why a server could not listen.
#[derive(Debug)]
pub enum ListenError {
    /// The host has no address.
    Resolve(String, io::Error),
    /// The address cannot be had, for connections or for datagrams.
    Bind(Transport, SocketAddr, io::Error),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (transport, address, error) = match self {
            ListenError::Resolve(host, error) => return f.write_str(&unresolved(host, error)),
            ListenError::Bind(transport, address, error) => (transport, address, error),
        };
        let over = if *transport == Transport::Udp { " (UDP)" } else { "" };
        let advice = match error.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EADDRINUSE) => {
                "another program listens there; choose another --port, or --port 0 for a free one"
            }
            Some(Errno::EACCES) => "ports below 1024 need root; choose a higher --port",
            Some(Errno::EADDRNOTAVAIL) => {
                "this machine has no such address; `--host ::` listens on all it has"
            }
            _ => "check --host and --port",
        };
        write!(f, "cannot listen on {address}{over}: {}; {advice}", cause(error))
    }
}

impl std::error::Error for ListenError {}

/// Listens on every address that `host` resolves to, IPv4 first, all with one port; port 0 picks a
/// port that is free on all of them. `::` takes IPv4 callers as well.
///
/// An address that this machine lacks (IPv6 switched off) is skipped with a warning while another
/// one of the name works.
pub fn listen(host: &str, port: u16) -> Result<Vec<TcpListener>, ListenError> {
    with_one_port(host, port, streams)
}

/// The same for datagrams. `::` is a socket for each family, for each tells in a way of its own what
/// a datagram was sent to and how far it has come.
pub fn listen_datagrams(host: &str, port: u16) -> Result<Vec<UdpSocket>, ListenError> {
    with_one_port(host, port, datagrams)
}

/// The same for both, with one port.
pub fn listen_both(
    host: &str,
    port: u16,
) -> Result<(Vec<TcpListener>, Vec<UdpSocket>), ListenError> {
    with_one_port(host, port, |addresses| {
        let listeners = streams(addresses)?;
        let port = listeners.first().and_then(|listener| listener.local_addr().ok());
        let mut addresses = addresses.to_vec();
        for address in &mut addresses {
            address.set_port(port.map_or(0, |address| address.port()));
        }
        Ok((listeners, datagrams(&addresses)?))
    })
}

/// Binds to every address of `host` by `bind`, again where port 0 led to one that is not free on
/// all.
fn with_one_port<T>(
    host: &str,
    port: u16,
    bind: impl Fn(&[SocketAddr]) -> Result<T, ListenError>,
) -> Result<T, ListenError> {
    let addresses =
        resolve(host, port).map_err(|error| ListenError::Resolve(host.into(), error))?;
    let mut tries = if port == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match bind(&addresses) {
            Err(ListenError::Bind(_, _, error))
                if tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            outcome => return outcome,
        }
    }
}

fn streams(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
    let sockets = bind_all(addresses, Transport::Tcp)?;
    Ok(sockets.into_iter().map(TcpListener::from).collect())
}

fn datagrams(addresses: &[SocketAddr]) -> Result<Vec<UdpSocket>, ListenError> {
    let all = |address: &SocketAddr| address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
    let of_both_families = addresses.iter().flat_map(|address| {
        let v4 = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), address.port());
        [all(address).then_some(v4), Some(*address)]
    });
    let addresses: Vec<SocketAddr> = of_both_families.flatten().collect();
    let sockets = bind_all(&addresses, Transport::Udp)?;
    Ok(sockets.into_iter().map(UdpSocket::from).collect())
}

/// Every address of `host`; `localhost` is both loopback addresses.
pub(crate) fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if host.eq_ignore_ascii_case("localhost") {
        return Ok(LOOPBACK.map(|ip| SocketAddr::new(ip, port)).to_vec());
    }
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let mut addresses: Vec<SocketAddr> = (bare.unwrap_or(host), port).to_socket_addrs()?.collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses)
}

fn bind_all(addresses: &[SocketAddr], transport: Transport) -> Result<Vec<Socket>, ListenError> {
    let mut sockets: Vec<Socket> = Vec::new();
    let mut missing = None;
    let mut port = addresses.first().map_or(0, SocketAddr::port);
    for &(mut address) in addresses {
        address.set_port(port);
        let failed = |error| ListenError::Bind(transport, address, error);
        let bound = match transport {
            Transport::Tcp => bind_stream(address),
            Transport::Udp => bind_datagram(address),
        };
        match bound {
            Ok(socket) => {
                let local = socket.local_addr().map_err(failed)?;
                port = local.as_socket().map_or(port, |local| local.port());
                sockets.push(socket);
            }
            Err(error) if no_such_address(&error) && addresses.len() > 1 => {
                missing = Some(failed(error));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    match missing {
        Some(error) if sockets.is_empty() => Err(error),
        Some(error) => {
            warn!("{error}; serving on the other addresses");
            Ok(sockets)
        }
        None => Ok(sockets),
    }
}

fn no_such_address(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EADDRNOTAVAIL | Errno::EAFNOSUPPORT)
    )
}

/// One listening socket. What is set here, Linux hands down to the connections accepted from it,
/// which saves a system call for each.
fn bind_stream(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // A restart must not wait for the last connections' TIME_WAIT.
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        let dual_stack = address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        socket.set_only_v6(!dual_stack)?;
    }
    // A reply is written in one go; holding it back for more (Nagle) would only delay it.
    socket.set_tcp_nodelay(true)?;
    // An urgent byte stays in the stream, where RFC 6093 §6 wants it, instead of getting lost.
    socket.set_out_of_band_inline(true)?;
    socket.bind(&address.into())?;
    socket.listen(QUEUE)?;
    Ok(socket)
}

/// One socket for datagrams, which tells of each how many hops it had left and, unless it is sure,
/// which address it was sent to: the answer leaves from there.
fn bind_datagram(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // What is sent to many may come to any address but these, and is not to be answered.
    let alone = address.ip().is_loopback() && address.ip() != LOOPBACK_BROADCAST;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
        setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
        setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &!alone)?;
    } else {
        setsockopt(&socket, sockopt::Ipv4RecvTtl, &true)?;
        setsockopt(&socket, sockopt::Ipv4PacketInfo, &!alone)?;
    }
    // What does not fit is lost. The kernel lowers it to net.core.rmem_max.
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&address.into())?;
    Ok(socket)
}

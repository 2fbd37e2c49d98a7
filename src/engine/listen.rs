//! From a host name to listening sockets: every address of the name, one port for all.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};

use log::warn;
use nix::errno::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use crate::failure::{cause, unresolved};

/// Connections the kernel completes ahead of accept. std asks for 128, and a burst beyond it costs
/// each caller a SYN retry of a whole second. The kernel lowers it to net.core.somaxconn.
pub(super) const QUEUE: i32 = 4096;

/// How often a free port of the first address may be taken on another one before giving up.
const PORT_TRIES: usize = 16;

/// What `localhost` is, whatever a hosts file leaves out (RFC 6761 §6.3).
const LOOPBACK: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];

/// Why a server could not listen.
#[derive(Debug)]
pub enum ListenError {
    /// The host has no address.
    Resolve(String, io::Error),
    /// The address cannot be had.
    Bind(SocketAddr, io::Error),
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (address, error) = match self {
            ListenError::Resolve(host, error) => return f.write_str(&unresolved(host, error)),
            ListenError::Bind(address, error) => (address, error),
        };
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
        write!(f, "cannot listen on {address}: {}; {advice}", cause(error))
    }
}

impl std::error::Error for ListenError {}

/// Listens on every address that `host` resolves to, IPv4 first, all with one port; port 0 picks a
/// port that is free on all of them. `::` takes IPv4 callers as well.
///
/// An address that this machine lacks (IPv6 switched off) is skipped with a warning while another
/// one of the name works.
pub fn listen(host: &str, port: u16) -> Result<Vec<TcpListener>, ListenError> {
    let addresses =
        resolve(host, port).map_err(|error| ListenError::Resolve(host.into(), error))?;
    let mut tries = if port == 0 { PORT_TRIES } else { 1 };
    loop {
        tries -= 1;
        match listen_on(&addresses) {
            Err(ListenError::Bind(_, error))
                if tries > 0 && error.kind() == io::ErrorKind::AddrInUse => {}
            outcome => return outcome,
        }
    }
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

fn listen_on(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
    let mut listeners: Vec<TcpListener> = Vec::new();
    let mut missing = None;
    let mut port = addresses.first().map_or(0, SocketAddr::port);
    for &(mut address) in addresses {
        address.set_port(port);
        let failed = |error| ListenError::Bind(address, error);
        match bind(address) {
            Ok(listener) => {
                port = listener.local_addr().map_err(failed)?.port();
                listeners.push(listener);
            }
            Err(error) if no_such_address(&error) && addresses.len() > 1 => {
                missing = Some(failed(error));
            }
            Err(error) => return Err(failed(error)),
        }
    }
    match missing {
        Some(error) if listeners.is_empty() => Err(error),
        Some(error) => {
            warn!("{error}; serving on the other addresses");
            Ok(listeners)
        }
        None => Ok(listeners),
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
fn bind(address: SocketAddr) -> io::Result<TcpListener> {
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
    Ok(socket.into())
}

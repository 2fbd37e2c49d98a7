//! What stands in the way of a run, before it begins.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, TcpListener};

use super::driver::Party;
use super::volley::datagram::longest;
use crate::engine::raise_open_files;
use crate::failure::cause;
use crate::observe::local_ports;
use crate::transport::Transport;

/// Descriptors for anything but clients: three standard streams, libraries, results.
const RESERVED_FILES: usize = 32;

/// What Linux gives to callers where nobody has set it.
const USUAL_PORTS: (u16, u16) = (32_768, 60_999);

/// Raises the limit on open files, and says in one line what this machine cannot do for `party`.
pub fn check(party: &Party) -> Result<(), String> {
    let what = match party.transport {
        Transport::Tcp => "connections",
        Transport::Udp => "sockets",
    };
    // An epoll, what wakes it, and a timer for each thread.
    let fewer = if party.work.rooms().is_some() { "--rooms or --members" } else { "--clients" };
    files((party.clients, what), room(3 * party.threads)?, fewer)?;
    let (size, most) = (party.work.message, longest(party.server.ip()));
    if party.transport == Transport::Udp && size > most as u64 {
        return Err(format!(
            "cannot send datagrams of {size} bytes to {}: {most} is the most that fits; lower --size",
            party.server
        ));
    }
    if let Some(other) =
        party.sources.iter().find(|source| source.is_ipv4() != party.server.is_ipv4())
    {
        return Err(format!(
            "cannot connect from {other} to {}: one is IPv4 and one is IPv6; give --source \
             addresses of the server's kind",
            party.server
        ));
    }
    for source in &party.sources {
        TcpListener::bind((*source, 0)).map_err(|error| {
            format!(
                "cannot connect from {source}: {}; give --source addresses that this machine has",
                cause(&error)
            )
        })?;
    }
    let range = local_ports().unwrap_or(USUAL_PORTS);
    ports((party.clients, what), range, party.sources.len().max(1))
}

/// Connections that may be open at once, with so many descriptors `beside` them. Raises the limit on
/// open files.
pub fn room(beside: usize) -> Result<usize, String> {
    let open_files = raise_open_files()
        .map_err(|error| format!("cannot raise the limit on open files: {error}"))?;
    let in_use = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    Ok(open_files.saturating_sub(in_use + RESERVED_FILES + beside))
}

fn files((clients, what): (usize, &str), free: usize, fewer: &str) -> Result<(), String> {
    if clients <= free {
        return Ok(());
    }
    Err(format!(
        "cannot open {clients} {what}: the limit on open files (ulimit -n) leaves room for \
         {free}; lower {fewer}, raise the limit, or start several of these (--start-at) and \
         merge their reports"
    ))
}

fn ports(
    (clients, what): (usize, &str),
    (first, last): (u16, u16),
    sources: usize,
) -> Result<(), String> {
    let each = usize::from(last.saturating_sub(first)) + 1;
    if clients <= each * sources {
        return Ok(());
    }
    Err(format!(
        "cannot open {clients} {what}: an address has {each} ports for calling \
         (net.ipv4.ip_local_port_range); give {} of this machine's with --source, as in --source \
         127.0.0.1,127.0.0.2",
        clients.div_ceil(each)
    ))
}

/// Addresses to call `server` from where clients come and go: a port rests for a
/// minute after its connection (TIME_WAIT), and among many that rest the kernel finds a free one
/// only slowly. On loopback there are plenty of addresses.
pub fn sources_for_churn(server: IpAddr) -> Vec<IpAddr> {
    match server {
        IpAddr::V4(address) if address.is_loopback() => {
            (1..=16).map(|last| Ipv4Addr::new(127, 0, 0, last).into()).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_named() {
        assert_eq!(files((19_000, "sockets"), 19_000, "--clients"), Ok(()));
        assert!(
            files((19_001, "sockets"), 19_000, "--clients")
                .unwrap_err()
                .contains("leaves room for 19000")
        );
        let range = USUAL_PORTS;
        assert_eq!(ports((28_232, "sockets"), range, 1), Ok(()));
        assert_eq!(ports((56_464, "sockets"), range, 2), Ok(()));
        assert!(
            ports((28_233, "sockets"), range, 1).unwrap_err().contains("give 2 of this machine's")
        );
    }
}

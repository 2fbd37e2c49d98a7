//! What this side's kernel says of connections (proc(5), /proc/net/tcp and tcp6).

use std::fs;
use std::io;

use super::peer::Peer;

/// The connections of one family, by their two ports, as they were at one moment.
pub struct Sockets(Vec<((u16, u16), Sent)>);

/// What has become of what was said over a connection.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// Bytes that the other side's kernel has not acknowledged.
    pub unacknowledged: u64,
    /// It has acknowledged our end, and its own has not come (FIN_WAIT2).
    pub ended: bool,
}

impl Sockets {
    /// Those of the family that `peer` belongs to.
    pub fn beside(peer: &Peer) -> io::Result<Sockets> {
        let family = if peer.socket.local_addr()?.is_ipv4() { "tcp" } else { "tcp6" };
        let table = fs::read_to_string(format!("/proc/net/{family}"))?;
        Ok(Sockets(table.lines().filter_map(row).collect()))
    }

    /// Nothing where the kernel has none any more.
    pub fn of(&self, peer: &Peer) -> io::Result<Option<Sent>> {
        let ports = (peer.socket.local_addr()?.port(), peer.socket.peer_addr()?.port());
        Ok(self.0.iter().find(|(of, _)| *of == ports).map(|(_, sent)| *sent))
    }
}

/// A number, both addresses, the state, and both queues.
fn row(line: &str) -> Option<((u16, u16), Sent)> {
    let mut columns = line.split_whitespace().skip(1);
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let ports = (port(columns.next()?)?, port(columns.next()?)?);
    let ended = columns.next()? == "05";
    let (queue, _) = columns.next()?.split_once(':')?;
    Some((ports, Sent { unacknowledged: u64::from_str_radix(queue, 16).ok()?, ended }))
}

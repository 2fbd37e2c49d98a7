//! Peers in the middle of a conversation: what they said is with the server's kernel, and they have
//! not read a byte of the answer.

use std::io;
use std::time::{Duration, Instant};

use super::arena::Arena;
use super::peer::{Fault, Peer, compare};
use super::verdict::Breach;
use crate::failure::time;

/// Between two looks.
const GLANCE: Duration = Duration::from_millis(2);

/// After this, what is not with the server's kernel stays here: the server does not read on while its
/// answers are not read.
const SETTLED: Duration = Duration::from_secs(2);

/// How often a kernel has to refuse more before nothing moves any more: it moves bytes between both
/// buffers for a while.
const REFUSALS: u32 = 20;

/// A server that takes more than this from somebody who does not read has no bound.
const MOST: usize = 64 << 20;

/// Who has said something to a server that echoes.
pub struct Talker {
    /// The connection.
    pub peer: Peer,
    /// What it said, and so what it is owed.
    pub said: Vec<u8>,
    /// All of it has arrived. Where it has not, part of it is owed.
    pub arrived: bool,
}

/// Who says more than the server takes, and has read nothing.
pub struct Stuck {
    /// The connection.
    pub peer: Peer,
    /// Bytes that were said, though some may not have left this side's kernel.
    pub taken: usize,
    /// Bytes that have arrived at the server's kernel, as they cross the network.
    pub arrived: usize,
}

impl Talker {
    /// Hears all that it is owed, and then the server's end.
    pub fn is_answered(&mut self) -> Result<(), Fault> {
        match self.arrived {
            true => self.peer.ends_after(&self.said),
            false => compare(&self.said, &self.peer.rest()?),
        }
    }
}

impl Arena {
    /// Has each of them say so many bytes of its own, and waits until they have arrived.
    pub fn talkers(&self, peers: Vec<Peer>, bytes: usize) -> Result<Vec<Talker>, Breach> {
        let mut all = Vec::new();
        for mut peer in peers {
            let said = self.pattern(u64::from(peer.socket.local_addr()?.port()), bytes);
            peer.begin(&said);
            all.push(Talker { peer, said, arrived: false });
        }
        let since = Instant::now();
        while since.elapsed() < SETTLED && all.iter().any(|talker| !talker.arrived) {
            let queues = send_queues()?;
            for talker in &mut all {
                talker.peer.offer(&[])?;
                talker.arrived =
                    talker.peer.all_sent() && queue_of(&talker.peer, &queues)? == Some(0);
            }
            self.pause(GLANCE)?;
        }
        Ok(all)
    }

    /// Has somebody say more and more of what `chunk` repeats, until the server takes no more, and read
    /// nothing.
    pub fn stuck(&self, chunk: &[u8]) -> Result<Stuck, Breach> {
        let mut peer = self.call()?;
        let (mut taken, mut refusals) = (0, 0);
        while refusals < REFUSALS && taken < MOST {
            match peer.offer(&chunk[taken % chunk.len()..])? {
                0 => {
                    refusals += 1;
                    self.pause(GLANCE)?;
                }
                n => (taken, refusals) = (taken + n, 0),
            }
        }
        let queues = send_queues()?;
        let unsent = queue_of(&peer, &queues)?.unwrap_or(0);
        let arrived = peer.written().saturating_sub(unsent) as usize;
        Ok(Stuck { peer, taken, arrived })
    }

    /// Waits until nobody new is let in, and says how long that took.
    pub fn refuses_newcomers(&self) -> Result<Duration, Breach> {
        let since = Instant::now();
        loop {
            match self.connect() {
                Err(Breach::Broken(_)) => return Ok(since.elapsed()),
                Err(other) => return Err(other),
                Ok(_) if since.elapsed() > self.patience => {
                    return Err(Breach::broken(format!(
                        "it still took newcomers {} after it was told to stop",
                        time(self.patience)
                    )));
                }
                Ok(_) => self.pause(GLANCE)?,
            }
        }
    }
}

/// What this side's kernel holds of what a peer said.
fn queue_of(peer: &Peer, queues: &[((u16, u16), u64)]) -> io::Result<Option<u64>> {
    let ports = (peer.socket.local_addr()?.port(), peer.socket.peer_addr()?.port());
    Ok(queues.iter().find(|(of, _)| *of == ports).map(|(_, queue)| *queue))
}

/// What was said over each connection (IPv4, by its two ports) and is not acknowledged yet (proc(5),
/// /proc/net/tcp: tx_queue).
fn send_queues() -> io::Result<Vec<((u16, u16), u64)>> {
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let queue = |line: &str| {
        let mut fields = line.split_whitespace().skip(1);
        let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
        let ports = (port(fields.next()?)?, port(fields.next()?)?);
        let (queue, _) = fields.nth(1)?.split_once(':')?;
        Some((ports, u64::from_str_radix(queue, 16).ok()?))
    };
    Ok(table.lines().filter_map(queue).collect())
}

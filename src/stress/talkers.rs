//! Peers in the middle of a conversation: what they said is with the server's kernel, and they have
//! not read a byte of the answer.

use std::time::{Duration, Instant};

use super::arena::Arena;
use super::fault::Fault;
use super::peer::{Peer, compare};
use super::sockets::Sockets;
use super::verdict::Breach;
use crate::failure::time;

/// Between two looks.
const GLANCE: Duration = Duration::from_millis(2);

/// After this, what is not with the server's kernel stays here: the server does not read on while its
/// answers are not read.
const SETTLED: Duration = Duration::from_secs(2);

/// How often a kernel has to refuse more, and for how long, before nothing moves any more: it moves bytes
/// between both buffers for a while, and a server may have to wait for its turn on a busy machine.
const REFUSALS: u32 = 20;
const STILL: Duration = Duration::from_millis(300);

/// Of what has crossed the network over TLS, so much may be a handshake and half a record.
const RECORDS: u64 = 64 * 1024;

/// A server that takes more than this from somebody who does not read has no bound.
const MOST: usize = 64 << 20;

/// Who has said something to a server that echoes.
pub struct Talker {
    /// The connection.
    pub peer: Peer,
    /// What it said.
    pub said: Vec<u8>,
    /// Bytes of it that have arrived, and so what it is owed: all of it, or as many as is certain.
    pub arrived: usize,
}

/// Who says more than the server takes, and has read nothing.
pub struct Stuck {
    /// The connection.
    pub peer: Peer,
    /// Bytes that were said, though some may not have left this side's kernel.
    pub taken: usize,
    /// Bytes of it that have arrived at the server's kernel, as many as is certain.
    pub arrived: usize,
}

impl Talker {
    /// Hears what it is owed, and then the server's end; how many bytes that were. Where some of its
    /// words have not arrived, they may come too late, and take back the answer (RST).
    pub fn is_answered(&mut self) -> Result<usize, Fault> {
        if self.arrived == self.said.len() {
            return self.peer.ends_after(&self.said).map(|()| self.arrived);
        }
        match self.peer.rest() {
            Ok(rest) => {
                compare(&self.said, &rest)?;
                match rest.len() {
                    came if came < self.arrived => Err(Fault::Left { came, due: self.arrived }),
                    came => Ok(came),
                }
            }
            Err(Fault::Broken(..)) => Ok(self.peer.take_heard().len()),
            Err(fault) => Err(fault),
        }
    }
}

impl Arena {
    /// Has each of them say so many bytes of its own, and waits until they have arrived.
    pub fn talkers(&self, peers: Vec<Peer>, bytes: usize) -> Result<Vec<Talker>, Breach> {
        let mut all = Vec::new();
        for mut peer in peers {
            let said = self.pattern(u64::from(peer.socket.local_addr()?.port()), bytes);
            let before = peer.written();
            peer.begin(&said);
            all.push((before, Talker { peer, said, arrived: 0 }));
        }
        let since = Instant::now();
        let has_arrived = |(_, talker): &(u64, Talker)| talker.arrived == talker.said.len();
        while since.elapsed() < SETTLED && !all.iter().all(has_arrived) {
            let sockets = Sockets::beside(&all[0].1.peer)?;
            for (before, talker) in &mut all {
                talker.peer.offer(&[])?;
                let Some(sent) = sockets.of(&talker.peer)? else { continue };
                let arrived = talker.peer.written() - *before - sent.unacknowledged;
                talker.arrived = match talker.peer.all_sent() && sent.unacknowledged == 0 {
                    true => talker.said.len(),
                    false => self.at_least(arrived),
                };
            }
            self.pause(GLANCE)?;
        }
        Ok(all.into_iter().map(|(_, talker)| talker).collect())
    }

    /// How many bytes that were said are certainly among those that have crossed the network.
    pub fn at_least(&self, arrived: u64) -> usize {
        match self.secure {
            None => arrived as usize,
            // Less than it is in records, and the last of them may not be complete.
            Some(_) => (arrived / 100 * 99).saturating_sub(RECORDS) as usize,
        }
    }

    /// Has somebody say more and more of what `chunk` repeats, until the server takes no more, and read
    /// nothing.
    pub fn stuck(&self, chunk: &[u8]) -> Result<Stuck, Breach> {
        let mut peer = self.call()?;
        let (mut taken, mut refusals, mut moved) = (0, 0, Instant::now());
        while (refusals < REFUSALS || moved.elapsed() < STILL) && taken < MOST {
            match peer.offer(&chunk[taken % chunk.len()..])? {
                0 => {
                    refusals += 1;
                    self.pause(GLANCE)?;
                }
                n => (taken, refusals, moved) = (taken + n, 0, Instant::now()),
            }
        }
        let unsent = Sockets::beside(&peer)?.of(&peer)?.map_or(0, |sent| sent.unacknowledged);
        let arrived = self.at_least(peer.written().saturating_sub(unsent));
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

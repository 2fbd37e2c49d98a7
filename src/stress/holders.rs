//! Clients that hold their seats: how long they are let.

use std::time::{Duration, Instant};

use super::arena::Arena;
use super::fault::Fault;
use super::peer::Peer;
use super::verdict::Breach;
use crate::failure::time;
use crate::report::numbers::count;

/// Between two bytes of who says one now and then.
const DRIP: Duration = Duration::from_millis(100);

/// What came of those who held their seats.
pub struct Released {
    /// Who had to leave.
    pub gone: usize,
    /// Who left by itself in the end.
    pub stayed: usize,
    /// When the last one left.
    pub last: Duration,
    /// What each was told before.
    pub told: Vec<Vec<u8>>,
}

impl Released {
    /// "24 had to leave within 1.1 s", or how long they were let.
    pub fn shown(&self) -> String {
        let (gone, stayed) = (count(self.gone as u64), count(self.stayed as u64));
        match self.stayed {
            0 => format!("{gone} had to leave within {}", time(self.last)),
            _ => format!("{gone} had to leave, and {stayed} left after {}", time(self.last)),
        }
    }
}

impl Arena {
    /// Waits until the server has let all `holders` go, while each of them says the next byte of
    /// `words` ten times a second; nothing once there are no more. In a crowd, whose server has its
    /// own deadlines, they go by themselves after [`Arena::duration`].
    pub fn release(&self, holders: Vec<Peer>, words: &[u8]) -> Result<Released, Breach> {
        let (since, all) = (Instant::now(), holders.len());
        let mut held: Vec<(Peer, Vec<u8>)> =
            holders.into_iter().map(|peer| (peer, Vec::new())).collect();
        let (mut told, mut last) = (Vec::new(), Duration::ZERO);
        for drip in 0.. {
            let byte = words.get(drip..=drip).unwrap_or_default();
            for (peer, heard) in &mut held {
                // Who was let go need not have heard of it.
                let _ = peer.offer(byte);
                while peer.sip(4096) > 0 {}
                heard.extend(peer.take_heard());
            }
            let gone = held.extract_if(.., |(peer, _)| peer.has_ended() || peer.broken().is_some());
            for (_, heard) in gone {
                last = since.elapsed();
                told.push(heard);
            }
            if held.is_empty() {
                break;
            }
            if self.is_crowded && since.elapsed() >= self.duration {
                last = since.elapsed();
                break;
            }
            if since.elapsed() >= self.patience {
                return Err(Breach::broken(format!(
                    "{} of {} still hold their seats after {}; --timeout says how long they may",
                    count(held.len() as u64),
                    count(all as u64),
                    time(self.patience)
                )));
            }
            self.pause(DRIP)?;
        }
        Ok(Released { gone: told.len(), stayed: held.len(), last, told })
    }

    /// A connection to the server's port that knows nothing of TLS.
    pub fn connect_plainly(&self) -> Result<Peer, Fault> {
        Peer::connect(self.server, None, self.patience, self.watch.stop.clone())
    }
}

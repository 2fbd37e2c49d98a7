//! Callers who may have to wait: each has said something, and it is seen who is answered.

use std::time::{Duration, Instant};

use super::arena::Arena;
use super::peer::{Peer, compare};
use super::verdict::Breach;
use crate::failure::time;

/// Between two looks at who was answered.
const GLANCE: Duration = Duration::from_millis(2);

/// Before somebody who was refused calls again.
const AGAIN: Duration = Duration::from_millis(50);

/// Bytes of what each says.
const MESSAGE: usize = 64;

/// Callers of a server that echoes.
pub struct Callers<'a> {
    arena: &'a Arena,
    waiting: Vec<Caller>,
    /// Who was answered, and is still there.
    pub served: Vec<Peer>,
    /// How often somebody was sent away without an answer.
    pub refused: usize,
}

struct Caller {
    peer: Peer,
    message: Vec<u8>,
    /// Sent away, and since when.
    away: Option<Instant>,
}

impl Arena {
    /// So many callers, who have said something and wait.
    pub fn callers(&self, callers: usize) -> Result<Callers<'_>, Breach> {
        let mut all = Callers { arena: self, waiting: Vec::new(), served: Vec::new(), refused: 0 };
        for number in 0..callers {
            let message = self.pattern(1000 + number as u64, MESSAGE);
            all.waiting.push(Caller { peer: all.call(&message)?, message, away: None });
        }
        Ok(all)
    }

    /// So many that are connected and were answered.
    pub fn seated(&self, peers: usize) -> Result<Vec<Peer>, Breach> {
        let seat = |number| {
            let mut peer = self.call()?;
            peer.echoes(&self.pattern(number, MESSAGE))?;
            Ok(peer)
        };
        (0..peers as u64)
            .map(seat)
            .collect::<Result<_, Breach>>()
            .map_err(|breach| breach.of("one of those who came first"))
    }

    /// Whether all of them are still answered.
    pub fn still_served(&self, seated: &mut [Peer]) -> Result<(), Breach> {
        for (number, peer) in seated.iter_mut().enumerate() {
            let served = peer.echoes(&self.pattern(2000 + number as u64, MESSAGE));
            served.map_err(|fault| Breach::from(fault).of("one of those connected"))?;
        }
        Ok(())
    }
}

impl Callers<'_> {
    /// How many have had no answer yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Looks at each once: who was answered, and rightly, is among those served.
    pub fn look(&mut self) -> Result<(), Breach> {
        let mut at = 0;
        while let Some(caller) = self.waiting.get_mut(at) {
            caller.peer.turn();
            if caller.peer.has_heard(caller.message.len()) {
                let Caller { mut peer, message, .. } = self.waiting.swap_remove(at);
                let answer = peer.hear(message.len())?;
                compare(&message, &answer)
                    .map_err(|fault| Breach::from(fault).of("one who waited"))?;
                self.served.push(peer);
                continue;
            }
            if caller.away.is_none() && caller.peer.has_ended() {
                caller.away = Some(Instant::now());
                self.refused += 1;
            }
            at += 1;
        }
        Ok(())
    }

    /// Waits until `enough`, and says how long that took. Those that were sent away call again.
    pub fn until(
        &mut self,
        what: &str,
        enough: impl Fn(&Callers) -> bool,
    ) -> Result<Duration, Breach> {
        let since = Instant::now();
        loop {
            self.look()?;
            if enough(self) {
                return Ok(since.elapsed());
            }
            if since.elapsed() > self.arena.patience {
                return Err(Breach::broken(format!(
                    "{} of {} who waited had no answer {} after {what}",
                    self.waiting.len(),
                    self.waiting.len() + self.served.len(),
                    time(self.arena.patience)
                )));
            }
            self.call_again()?;
            self.arena.pause(GLANCE)?;
        }
    }

    /// Waits until all were served, each of whom leaves when it was.
    pub fn until_all_are_served(&mut self, what: &str) -> Result<Duration, Breach> {
        let since = Instant::now();
        loop {
            let left = self.waiting();
            if left == 0 {
                return Ok(since.elapsed());
            }
            self.until(what, |callers| callers.waiting() < left)?;
            for mut peer in self.served.drain(..) {
                peer.finish(&[]).map_err(|fault| Breach::from(fault).of("one who had waited"))?;
            }
        }
    }

    fn call_again(&mut self) -> Result<(), Breach> {
        for at in 0..self.waiting.len() {
            if self.waiting[at].away.is_some_and(|since| since.elapsed() > AGAIN) {
                let peer = self.call(&self.waiting[at].message)?;
                let caller = &mut self.waiting[at];
                (caller.peer, caller.away) = (peer, None);
            }
        }
        Ok(())
    }

    fn call(&self, message: &[u8]) -> Result<Peer, Breach> {
        let mut peer = self.arena.connect().map_err(|breach| breach.of("one who has to wait"))?;
        peer.begin(message);
        Ok(peer)
    }
}

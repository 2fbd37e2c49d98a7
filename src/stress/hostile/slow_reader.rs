//! Who reads a little at a time.

use std::time::{Duration, Instant};

use crate::report::numbers::{bytes, count};
use crate::stress::arena::{Arena, Protocol};
use crate::stress::fault::Fault;
use crate::stress::peer::{Peer, compare};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const SLOW_READER: Hostile = Hostile {
    name: "slow-reader",
    fault: "what does not fit into a socket at once is dropped, sent twice or sent from the wrong \
            place; or nobody notices that there is room again",
    does: "several send megabytes through small buffers, and read some kilobytes at a time, for as \
           long as --duration says",
    holds: "everything comes, unchanged and in order",
    seen_in: "phones on a bad link; slowhttptest -X",
    needs: Needs::of(Protocol::Echo),
    visit,
};

/// How many read.
const READERS: u64 = 4;

/// What each has to read: many times what the kernel holds for one who reads slowly.
const LENGTH: usize = 2 << 20;

/// What it reads at a time.
const SIP: usize = 4096;

struct Reader {
    peer: Peer,
    due: Vec<u8>,
    came: usize,
    moved: Instant,
}

impl Reader {
    /// One read, and what came is compared.
    fn sip(&mut self, patience: Duration) -> Result<(), Fault> {
        // What is still to be sent goes on, too.
        self.peer.begin(&[]);
        let read = self.peer.sip(SIP);
        let heard = self.peer.take_heard();
        compare(&self.due[self.came..], &heard).map_err(|fault| fault.after(self.came))?;
        self.came += heard.len();
        if self.came > self.due.len() {
            return Err(Fault::Extra(self.came - self.due.len()));
        }
        if self.peer.has_ended() && self.came < self.due.len() {
            return Err(Fault::Left { came: self.came, due: self.due.len() });
        }
        if read > 0 {
            self.moved = Instant::now();
        } else if self.moved.elapsed() > patience {
            return Err(Fault::Silent("it was ready to read", patience));
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.came == self.due.len()
    }
}

fn visit(arena: &Arena) -> Outcome {
    let since = Instant::now();
    let mut readers = Vec::new();
    for number in 0..READERS {
        let mut peer = arena.call_through_a_straw()?;
        let due = arena.pattern(number, LENGTH);
        peer.begin(&due);
        readers.push(Reader { peer, due, came: 0, moved: Instant::now() });
    }
    let pause = arena.duration / (LENGTH / SIP) as u32;
    while !readers.iter().all(Reader::is_done) {
        for reader in readers.iter_mut().filter(|reader| !reader.is_done()) {
            reader.sip(arena.patience)?;
        }
        arena.pause(pause)?;
    }
    for reader in &mut readers {
        reader.peer.finish(&[]).map_err(Breach::from)?;
    }
    Ok(format!(
        "{READERS} times {} bytes in sips of {} came unchanged, {}/s each",
        count(LENGTH as u64),
        count(SIP as u64),
        bytes(LENGTH as f64 / since.elapsed().as_secs_f64())
    ))
}

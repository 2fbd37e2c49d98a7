//! Who reads a large file a little at a time.

use std::time::{Duration, Instant};

use crate::report::numbers::bytes;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::compare;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::web::Browser;
use crate::stress::{Hostile, Needs};

pub const SLOW_DOWNLOAD: Hostile = Hostile {
    name: "slow-download",
    fault: "a server that reads a file faster than it is fetched holds it in memory, once for each \
            slow reader; one that waits for the reader serves nobody else",
    does: "some fetch a file of 16 MiB through a narrow window, in sips, for as long as --duration \
           says, and then the rest of it",
    holds: "each file is whole and right in the end, others are served meanwhile, and the server's \
            memory grows by less than half of the files",
    seen_in: "Slow Read (slowhttptest, 2012); node streams whose write() is not asked for its result",
    needs: Needs::of(Protocol::Files),
    visit,
};

/// Who fetches at once.
const READERS: usize = 4;

/// Bytes of a sip.
const SIP: usize = 16 * 1024;

/// Between two sips of everybody.
const PAUSE: Duration = Duration::from_millis(20);

fn visit(arena: &Arena) -> Outcome {
    let file = arena.large_page()?;
    let before = arena.usage()?;
    let most = (READERS * file.body.len() / 2) as u64;
    let (memory, neighbour) = arena.beside_a_witness(|| {
        let request = arena.get(&file.path)?;
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let mut peer = arena.call_through_a_straw()?;
            peer.begin(&request);
            readers.push(peer);
        }
        let since = Instant::now();
        while since.elapsed() < arena.duration {
            for peer in &mut readers {
                peer.sip(SIP);
            }
            arena.pause(PAUSE)?;
        }
        let memory = arena.grown(before, most)?;
        for peer in readers {
            let reply = Browser::over(peer).reply()?;
            compare(&file.body, &reply.body)?;
            if reply.body.len() != file.body.len() {
                return Err(Breach::broken(format!(
                    "{} bytes came of {}",
                    reply.body.len(),
                    file.body.len()
                )));
            }
        }
        Ok(memory)
    })?;
    Ok(format!(
        "{READERS} files of {} came whole{memory}; a neighbour was answered in {}",
        bytes(file.body.len() as f64),
        neighbour.told()
    ))
}

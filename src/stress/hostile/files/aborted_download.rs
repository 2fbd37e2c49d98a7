//! Who leaves in the middle of fetching a file.

use crate::report::numbers::duration;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const ABORTED_DOWNLOAD: Hostile = Hostile {
    name: "aborted-download",
    fault: "a server that closes files at the end of an answer only keeps those open whose reader has \
            left",
    does: "fetches a large file many times and resets (RST) each before it was asked, behind the \
           request, and behind its first bytes",
    holds: "descriptors and threads are what they were; its process has to be known",
    seen_in: "handlers that close the file behind the loop that sends it, and leave that loop at an \
              error",
    needs: Needs::of(Protocol::Files),
    visit,
};

/// Who leaves at each stage.
const EACH: usize = 16;

fn visit(arena: &Arena) -> Outcome {
    let file = arena.large_page()?;
    // In a crowd others have files open, too.
    let before = if arena.is_crowded { None } else { Some(arena.needed_usage()?) };
    let request = arena.get(&file.path)?;
    for stage in 0..3 {
        let mut peers = Vec::new();
        for _ in 0..EACH {
            let mut peer = arena.call()?;
            if stage > 0 {
                peer.say(&request)?;
            }
            if stage > 1 {
                let begun = peer.hear(512)?;
                if !begun.starts_with(b"HTTP/1.") {
                    return Err(Breach::broken("the answer is no HTTP"));
                }
            }
            peers.push(peer);
        }
        peers.into_iter().for_each(|peer| peer.reset());
    }
    let settled = arena.settles_to(before)?;
    arena.serves()?;
    let all = 3 * EACH;
    Ok(match before {
        Some(_) => format!(
            "{} after {all} had left, nothing was left of them",
            duration(settled.as_nanos() as f64)
        ),
        None => format!("{all} left, and who came afterwards was served"),
    })
}

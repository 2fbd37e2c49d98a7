//! Who asks what there is, again and again, and does not listen.

use crate::report::numbers::{bytes, count};
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::web::Browser;
use crate::stress::{Hostile, Needs};

pub const UNREAD_LISTING: Hostile = Hostile {
    name: "unread-listing",
    fault: "a server that makes pages for who does not read them holds all of them, or is busy with \
            them",
    does: "asks for the directory a thousand times without reading, and reads then",
    holds: "each comes whole, others are served meanwhile, and the server's memory has a bound",
    seen_in: "servers that render into memory: dufs, miniserve, python's http.server, for each page at \
              least",
    needs: Needs::of(Protocol::Files),
    visit,
};

const REQUESTS: usize = 1000;

/// What a server may hold for it. The kernel's share of this is a few megabytes.
const MOST: u64 = 32 << 20;

fn visit(arena: &Arena) -> Outcome {
    let (_, path) = arena.known_page()?;
    let folder = &path[..=path.split('?').next().and_then(|p| p.rfind('/')).unwrap_or_default()];
    let request = arena.get(folder)?;
    let first = arena.browser()?.ask(&request)?;
    if first.head.status != 200 {
        let status = first.head.status;
        return Err(Breach::skipped(format!("it shows no listing of {folder} ({status})")));
    }
    let before = arena.usage()?;
    let ((answered, came, memory), neighbour) = arena.beside_a_witness(|| {
        let mut peer = arena.call()?;
        peer.begin(&request.repeat(REQUESTS));
        let memory = arena.grown_in_the_end(before, MOST)?;
        let (mut browser, mut answered, mut came) = (Browser::over(peer), 0, 0);
        while answered < REQUESTS {
            let Some(reply) = browser.reply_or_end()? else { break };
            if reply.head.status != 200 {
                let status = reply.head.status;
                return Err(Breach::broken(format!("a listing came with status {status}")));
            }
            (answered, came) = (answered + 1, came + reply.body.len());
            if reply.head.closes {
                break;
            }
        }
        Ok((answered, came, memory))
    })?;
    if answered == 0 {
        return Err(Breach::broken("none of them was answered"));
    }
    Ok(format!(
        "{} listings, {}, came whole{}; a neighbour was answered in {}",
        count(answered as u64),
        bytes(came as f64),
        memory,
        neighbour.told()
    ))
}

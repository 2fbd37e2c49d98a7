//! Who asks thousands of times, and reads nothing.

use std::time::Duration;

use crate::report::numbers::{bytes, count};
use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::compare;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::web::Browser;
use crate::stress::{Hostile, Needs};

pub const PIPELINED_FLOOD: Hostile = Hostile {
    name: "pipelined-flood",
    fault: "a server that takes requests faster than its answers are taken holds the answers in \
            memory, or mixes them up",
    does: "writes thousands of requests without reading, for a page and for what is not there in an \
           order that only it knows, and reads the answers when no more is taken",
    holds: "the answers come in that order, others are served meanwhile, and the server's memory has \
            a bound",
    seen_in: "node before 0.10.21 (CVE-2013-4450)",
    needs: Needs::of(Protocol::Files),
    visit,
};

/// Requests: their answers are more than both kernels keep.
const REQUESTS: usize = 5000;

/// What a server may hold for it. The kernel's share of this is a few megabytes.
const MOST: u64 = 32 << 20;

/// Requests for a large file.
const LARGE_REQUESTS: usize = 100;

/// Looks without progress after which the server takes no more.
const REFUSALS: usize = 25;
const LOOK: Duration = Duration::from_millis(10);

fn visit(arena: &Arena) -> Outcome {
    let page = arena.reference()?;
    let before = arena.usage()?;
    let requests = [arena.get(arena.known_page()?.1)?, arena.get(&arena.new_path()?)?];
    let order = arena.pattern(3, REQUESTS);
    let is_missing = |nth: usize| order[nth].is_multiple_of(4);
    let mut words = Vec::new();
    for nth in 0..REQUESTS {
        words.extend_from_slice(&requests[usize::from(is_missing(nth))]);
    }
    let ((taken, answered, memory), neighbour) = arena.beside_a_witness(|| {
        let mut peer = arena.call()?;
        let (mut taken, mut refused) = (0, 0);
        while taken < words.len() && refused < REFUSALS {
            // Over TLS all of it counts as taken: a record or two at a time.
            match peer.offer(&words[taken..words.len().min(taken + (1 << 15))]) {
                Ok(0) => {
                    refused += 1;
                    arena.pause(LOOK)?;
                }
                Ok(n) => (taken, refused) = (taken + n, 0),
                Err(_) => break,
            }
        }
        let memory = arena.grown(before, MOST)?;
        peer.begin(&words[taken..]);
        let mut browser = Browser::over(peer);
        let mut answered = 0;
        while answered < REQUESTS {
            // A server may have had enough of one client: what it has said was in order.
            let Some(reply) = browser.reply_or_end()? else { break };
            let due = if is_missing(answered) { 404 } else { 200 };
            if reply.head.status != due {
                return Err(Breach::broken(format!(
                    "answer {} has status {} in place of {due}",
                    count(answered as u64 + 1),
                    reply.head.status
                )));
            }
            if due == 200 {
                compare(&page, &reply.body)?;
            }
            answered += 1;
            if reply.head.closes {
                break;
            }
        }
        Ok((taken, answered, memory))
    })?;
    if answered == 0 {
        return Err(Breach::broken("none of them was answered"));
    }
    hoards(arena)?;
    Ok(format!(
        "{} of {} were taken unread{}, {} answers came in order; a neighbour was answered in {}",
        bytes(taken as f64),
        bytes(words.len() as f64),
        memory,
        count(answered as u64),
        neighbour.told()
    ))
}

/// The same with a large file, where there is one: all of it is more than any memory holds.
fn hoards(arena: &Arena) -> Result<(), Breach> {
    let file = match arena.large_page() {
        Ok(file) => file,
        Err(Breach::Skipped(_)) => return Ok(()),
        Err(breach) => return Err(breach),
    };
    let before = arena.usage()?;
    let mut peer = arena.call()?;
    peer.begin(&arena.get(&file.path)?.repeat(LARGE_REQUESTS));
    let grown = arena.grown_in_the_end(before, MOST);
    peer.reset();
    grown.map_err(|breach| breach.of(&format!("a large file, {LARGE_REQUESTS} times"))).map(drop)
}

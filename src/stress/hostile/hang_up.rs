//! Who has left while the server still has something for them.

use std::time::{Duration, Instant};

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::Peer;
use crate::stress::sockets::Sockets;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const HANG_UP: Hostile = Hostile {
    name: "hang-up",
    fault: "the news of an end is told until it is heeded, and a server that waits to write does not \
            heed it: it spins",
    does: "several send, end, and read none of the answers, so that the server has to wait with an \
           end before it; then all reset",
    holds: "the server is not busy meanwhile, nor afterwards",
    seen_in: "epoll(7) and poll(2), which tell of EPOLLHUP and EPOLLERR whether they are asked to or \
              not; kqueue's EV_EOF",
    needs: Needs::of(Protocol::Echo),
    visit,
};

/// How many hang up.
const PEERS: usize = 4;

/// What each sends at most before the server takes no more.
const MOST: usize = 64 << 20;

/// The server takes no more when nothing has moved for so long.
const STILL: Duration = Duration::from_millis(300);

/// What those who end send less than that, so that the server's kernel has room for their end. It
/// holds 64 KiB and more of what the server does not read.
const LESS: [usize; 4] = [40 << 10, 72 << 10, 20 << 10, 110 << 10];

fn visit(arena: &Arena) -> Outcome {
    arena.serves()?;
    let quiet = Some(arena.must_be_quiet()?);
    let before = arena.needed_usage()?;
    let most = measure(arena)?;
    for less in LESS {
        arena.settles_to(Some(before))?;
        let peers = end_unheard(arena, most.saturating_sub(less))?;
        let mut arrived = 0;
        let sockets = Sockets::beside(&peers[0])?;
        for peer in &peers {
            arrived += sockets.of(peer)?.is_some_and(|sent| sent.ended) as usize;
        }
        // One whose answers the kernel had room for has been closed meanwhile.
        let held = arena.needed_usage()?.files.saturating_sub(before.files);
        let ended = arena.stays_quiet(quiet, "beside ends that wait behind a backlog")?;
        peers.into_iter().for_each(Peer::reset);
        let reset = arena.stays_quiet(quiet, "after their resets")?;
        if arrived >= PEERS / 2 && held >= PEERS {
            arena.settles_to(Some(before))?;
            arena.serves()?;
            let unread = count(most.saturating_sub(less) as u64);
            return Ok(format!(
                "{arrived} ended with {unread} bytes unread, then reset{ended}{reset}"
            ));
        }
    }
    Err(Breach::skipped("no end could be made to wait behind a backlog"))
}

/// How much the server, and its kernel, take of one who does not read.
fn measure(arena: &Arena) -> Result<usize, Breach> {
    let mut peer = arena.call_through_a_straw()?;
    let chunk = arena.pattern(1, 16 * 1024);
    let (mut sent, mut moved) = (0, Instant::now());
    while moved.elapsed() < STILL && sent < MOST {
        // One that the server has hung up on takes no more, either.
        let taken = peer.offer(&chunk).unwrap_or(0);
        if taken > 0 {
            (sent, moved) = (sent + taken, Instant::now());
        }
        arena.pause(Duration::from_millis(1))?;
    }
    let in_kernel = Sockets::beside(&peer)?.of(&peer)?.map_or(0, |sent| sent.unacknowledged);
    let on_the_way = peer.unsent() + in_kernel as usize;
    peer.reset();
    Ok(sent.saturating_sub(on_the_way))
}

/// Several who send so much, end, and read nothing. They come back when the server's kernel has their
/// ends, or a while later.
fn end_unheard(arena: &Arena, length: usize) -> Result<Vec<Peer>, Breach> {
    let bytes = arena.pattern(2, length);
    let mut peers = Vec::new();
    for _ in 0..PEERS {
        let mut peer = arena.call_through_a_straw()?;
        peer.begin(&bytes);
        peer.end_with(&[]);
        peers.push(peer);
    }
    let since = Instant::now();
    while since.elapsed() < STILL {
        for peer in &mut peers {
            peer.begin(&[]);
        }
        arena.pause(Duration::from_millis(1))?;
    }
    Ok(peers)
}

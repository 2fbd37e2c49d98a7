//! Who leaves a file a letter at a time.

use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const SLOW_BODY: Hostile = Hostile {
    name: "slow-body",
    fault: "a server that has a deadline for heads only lets a few slow uploads keep its seats for \
            ever",
    does: "many at once announce a file of a megabyte and say a byte of it every tenth of a second; \
           a server of ours is one whose --body-timeout is a second",
    holds: "each is let go, with 408 or without a word, others are served meanwhile, and nothing is \
            left of the files",
    seen_in: "R-U-Dead-Yet (2011); nginx, whose client_body_timeout counts from byte to byte",
    needs: Needs::of(Protocol::Files),
    visit,
};

/// Who comes at once.
const SLOW: usize = 16;

fn visit(arena: &Arena) -> Outcome {
    let own = arena.own_if_ours("--body-timeout 1s")?;
    let arena = own.as_ref().map_or(arena, |own| &own.arena);
    // Whether it takes any.
    drop(arena.upload(vec![b'x'; 64])?);
    let paths = (0..SLOW).map(|_| arena.new_path()).collect::<Result<Vec<_>, _>>()?;
    let (released, neighbour) = arena.beside_a_witness(|| {
        let mut holders = Vec::new();
        for path in &paths {
            let mut peer = arena.call()?;
            peer.say(&arena.put(path, "Content-Length: 1048576")?)?;
            holders.push(peer);
        }
        arena.release(holders, &[b'x'; 1 << 16])
    })?;
    for path in &paths {
        let status = arena.browser()?.ask(&arena.get(path)?)?.head.status;
        if status == 200 {
            return Err(Breach::broken("the beginning of a file that never came can be fetched"));
        }
    }
    let told = released.told.iter().filter(|told| told.starts_with(b"HTTP/1.1 408")).count();
    Ok(format!(
        "{}, {told} of them with 408, and left nothing; a neighbour was \
         answered in {}",
        released.shown(),
        neighbour.told()
    ))
}

//! Who says goodbye at once.

use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const EARLY_CLOSE: Hostile = Hostile {
    name: "early-close",
    fault: "a server that takes close_notify for an error, or does not look for it, drops what it \
            owes, or hangs",
    does: "says close_notify in place of a hello (with FIN: unauthenticated, it counts for nothing), \
           behind the handshake, and behind megabytes that it has not begun to hear",
    holds: "the connection ends each time, behind all that was owed",
    seen_in: "TLS 1.2, which demanded that pending writes be discarded (RFC 5246, 7.2.1; TLS 1.3 does \
              not)",
    needs: Needs::ANYBODY.over_tls(),
    visit,
};

/// A warning, close_notify, in the clear.
const CLOSE_NOTIFY: [u8; 7] = [21, 3, 1, 0, 2, 1, 0];

/// Beyond what both kernels' buffers hold.
const MUCH: usize = 8 << 20;

fn visit(arena: &Arena) -> Outcome {
    let before = arena.is_quiet()?;
    let mut peer = arena.connect_plainly()?;
    peer.begin(&CLOSE_NOTIFY);
    peer.end();
    peer.outlast().map_err(|fault| Breach::from(fault).of("in place of a hello"))?;
    let mut stages = 2;
    let mut peer = arena.call()?;
    peer.end();
    peer.outlast().map_err(|fault| Breach::from(fault).of("behind the handshake"))?;
    if arena.protocol == Protocol::Echo {
        let bytes = arena.pattern(9, MUCH);
        let mut peer = arena.call()?;
        peer.begin(&bytes);
        peer.finish(&bytes).map_err(|fault| Breach::from(fault).of("during data"))?;
        stages += 1;
    }
    let quiet = arena.stays_quiet(before, "afterwards")?;
    arena.serves()?;
    Ok(format!("{stages} connections ended behind close_notify{quiet}"))
}

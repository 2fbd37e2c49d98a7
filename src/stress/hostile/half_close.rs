//! Who has said everything and still listens.

use std::time::Duration;

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const HALF_CLOSE: Hostile = Hostile {
    name: "half-close",
    fault: "a server that takes FIN for a departure drops what it still owes",
    does: "closes its sending half before any data, behind a message, behind megabytes that it has \
           not begun to hear, and a while after the answer",
    holds: "everything that was sent comes back once, and then the server's own end",
    seen_in: "every server that closes on read() == 0; nginx before proxy_half_close (1.21.4)",
    needs: Needs::of(Protocol::Echo),
    visit,
};

/// Beyond what both kernels' buffers hold, so that the server meets the end with a full backlog.
const MUCH: usize = 8 << 20;

fn visit(arena: &Arena) -> Outcome {
    for (stage, length) in [("before any data", 0), ("after a message", 64), ("during data", MUCH)]
    {
        let mut peer = arena.call()?;
        let bytes = arena.pattern(length as u64, length);
        peer.begin(&bytes);
        peer.finish(&bytes).map_err(|fault| Breach::from(fault).of(stage))?;
    }
    let mut late = arena.call()?;
    late.echoes(&arena.pattern(1, 64))?;
    arena.pause(Duration::from_millis(50))?;
    late.finish(&[]).map_err(|fault| Breach::from(fault).of("after the answer"))?;
    Ok(format!("all came back behind the end: 0, 64 and {} bytes", count(MUCH as u64)))
}

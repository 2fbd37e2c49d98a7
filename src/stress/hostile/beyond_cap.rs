//! More who want a seat than there are seats.

use std::time::Duration;

use crate::report::numbers::duration;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const BEYOND_CAP: Hostile = Hostile {
    name: "beyond-cap",
    fault: "a server that is full drops callers without a word, or forgets those who wait",
    does: "takes all seats of a server of its own, has three times as many call, and leaves",
    holds: "those within are served, nobody is sent away, and who waits is served once there is a seat",
    seen_in: "nginx, which closes callers beyond worker_connections without a word",
    needs: Needs::of(Protocol::Echo).alone(),
    visit,
};

const SEATS: usize = 4;

/// Who finds no seat.
const OTHERS: usize = 12;

/// How often those within are served while the others wait.
const ROUNDS: usize = 20;

const PAUSE: Duration = Duration::from_millis(10);

fn visit(arena: &Arena) -> Outcome {
    arena.on_own("", &format!("--max-clients {SEATS}"), |own| {
        let arena = &own.arena;
        let mut seated = arena.seated(SEATS)?;
        let mut others = arena.callers(OTHERS)?;
        for _ in 0..ROUNDS {
            arena.still_served(&mut seated)?;
            others.look()?;
            arena.pause(PAUSE)?;
        }
        if !others.served.is_empty() {
            let beyond = others.served.len();
            return Err(Breach::broken(format!("{beyond} were served beyond {SEATS} seats")));
        }
        for mut peer in seated {
            peer.finish(&[])?;
        }
        let took = others.until_all_are_served("there were seats")?;
        if others.refused > 0 {
            let sent_away = others.refused;
            return Err(Breach::broken(format!("{sent_away} of {OTHERS} were sent away")));
        }
        arena.serves()?;
        let took = duration(took.as_nanos() as f64);
        Ok(format!(
            "{SEATS} seats, {OTHERS} waited, and all were served {took} after they were free"
        ))
    })
}

//! Who has nothing to say leaves, and so does everybody else.

use std::time::Duration;

use crate::report::numbers::{count, duration};
use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::Peer;
use crate::stress::verdict::Outcome;
use crate::stress::{Hostile, Needs};

pub const MANY_IDLE_ENDS: Hostile = Hostile {
    name: "many-idle-ends",
    fault: "a list of news that is shorter than the news, or a walk over a table that shrinks \
            meanwhile: some ends are never seen, or a neighbour is taken for one who has left",
    does: "connects many, leaves them idle, and has all of them leave in one moment: first by \
           closing, then by reset",
    holds: "a neighbour talks on, and afterwards no descriptor and no thread is left",
    seen_in: "any proxy with a pool of connections that is restarted (nginx's keepalive)",
    needs: Needs::of(Protocol::Echo),
    visit,
};

/// How many leave together at most. They come one by one.
const MOST: usize = 400;

fn visit(arena: &Arena) -> Outcome {
    arena.serves()?;
    let before = arena.usage()?;
    let mut many = Vec::new();
    let ((), neighbour) = arena.in_company(|company| {
        for leave in [drop, Peer::reset] {
            let idle = arena.gather(arena.clients.min(MOST), |_| arena.call())?;
            many.push(count(idle.len() as u64));
            idle.into_iter().for_each(leave);
            // It is there after they have left, too.
            let heard = company.answered();
            while company.answered() < heard + 20 && !company.is_lost() {
                arena.pause(Duration::from_millis(1))?;
            }
        }
        Ok(())
    })?;
    let settled = arena.settles_to(before)?;
    arena.serves()?;
    let gone = match before {
        Some(_) => {
            format!(", nothing was left of them after {}", duration(settled.as_nanos() as f64))
        }
        None => String::new(),
    };
    let many = many.join(" and ");
    Ok(format!("{many} left at once{gone}; a neighbour was answered in {}", neighbour.told()))
}

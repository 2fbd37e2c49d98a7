//! Many at once, who come together and leave together.

use std::sync::Arc;

use crate::load::driver::{Driver, Length, Party};
use crate::load::pace::Pace;
use crate::load::preflight;
use crate::load::work::Work;
use crate::report::numbers::{count, duration};
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};
use crate::transport::Transport;

pub const CROWD: Hostile = Hostile {
    name: "crowd",
    fault: "a short listen backlog costs callers whole seconds; a table that leaks keeps their seats",
    does: "connects as many clients as --clients says, sends each one's messages, compares every \
           byte, and has all leave at once",
    holds: "nobody is refused, lost or mistaken for another, and afterwards their descriptors and \
            threads are gone",
    seen_in: "std's listen backlog of 128; select(2) beyond 1,024 descriptors",
    needs: Needs::of(Protocol::Echo),
    visit,
};

/// Messages of each.
const EACH: u64 = 4;

fn visit(arena: &Arena) -> Outcome {
    let before = arena.usage()?;
    let party = Party {
        transport: Transport::Tcp,
        server: arena.server,
        secure: arena.secure.clone(),
        clients: arena.clients,
        threads: 1,
        work: Work::echo(64, arena.seed),
        sources: Vec::new(),
        connect_rate: None,
        patience: arena.patience,
        awake: false,
    };
    preflight::check(&party).map_err(Breach::skipped)?;
    let mut driver = Driver::new(&party, Arc::clone(&arena.watch))?;
    let came = driver.connect()?;
    driver.slice(Pace::closed(1), None, Length::Messages(EACH * arena.clients as u64))?;
    let left = driver.leave()?;
    if arena.watch.stop.load(std::sync::atomic::Ordering::Relaxed) {
        return Err(Breach::Interrupted);
    }
    if let Some(fault) = left.faults.examples().next() {
        return Err(Breach::broken(format!(
            "{} of {} clients were lost: {fault}",
            count(left.faults.total()),
            count(arena.clients as u64)
        )));
    }
    let settled = arena.settles_to(before)?;
    arena.serves()?;
    let slowest = came.times.connect.max();
    let gone = match before {
        Some(_) => format!("; {} after they left, nothing was left of them", {
            duration(settled.as_nanos() as f64)
        }),
        None => String::new(),
    };
    Ok(format!(
        "{} clients, {} messages compared, the slowest connect took {}{gone}",
        count(arena.clients as u64),
        count(left.messages_in_all),
        duration(slowest as f64)
    ))
}

//! One visit, on a thread of its own: a client that fails, or that does not come back, does not take
//! the run with it.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use super::Hostile;
use super::arena::Arena;
use super::verdict::{Breach, Outcome};
use crate::failure::time;

/// How often the patience may run out in one visit, before nobody waits for it any more: what it does
/// takes some steps, each of which is waited for as long as anything moves.
const STEPS: u32 = 30;

/// What a connection may take beside that, handshake and all, on a slow machine.
const EACH: Duration = Duration::from_millis(20);

/// What came of a visit.
#[derive(Debug)]
pub enum Visited {
    /// The client has come back, and says this.
    Back(Outcome),
    /// The client itself has failed, with these words. That is a fault of ours.
    Failed(String),
    /// It has not come back in this time, and was left there.
    Away(Duration),
}

impl Visited {
    /// What is to be said of it. A client that has failed itself says nothing of the server.
    pub fn outcome(self) -> Outcome {
        match self {
            Visited::Back(outcome) => outcome,
            Visited::Failed(words) => Err(Breach::skipped(format!(
                "the client itself has failed, which says nothing of the server: {words}"
            ))),
            Visited::Away(bound) => Err(Breach::broken(format!(
                "the visit was not over after {}; something moves, and never ends",
                time(bound)
            ))),
        }
    }
}

/// Sends `hostile` to a server.
pub fn visit(hostile: &Hostile, arena: &Arc<Arena>) -> Visited {
    let bound = (arena.patience + arena.duration) * STEPS + EACH * arena.clients as u32;
    let (tell, told) = channel();
    let (arena, visit) = (arena.clone(), hostile.visit);
    let visitor = thread::Builder::new().name(hostile.name.into()).spawn(move || {
        // Whoever has given up waiting does not hear it.
        let _ = tell.send(catch_unwind(AssertUnwindSafe(|| visit(&arena))));
    });
    if let Err(error) = visitor {
        return Visited::Back(Err(Breach::from(error)));
    }
    match told.recv_timeout(bound) {
        Ok(Ok(outcome)) => Visited::Back(outcome),
        Ok(Err(panic)) => Visited::Failed(words(&*panic)),
        Err(RecvTimeoutError::Timeout) => Visited::Away(bound),
        Err(RecvTimeoutError::Disconnected) => Visited::Failed("it said nothing".into()),
    }
}

fn words(panic: &(dyn Any + Send)) -> String {
    let literal = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
    literal.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

//! A duel: two contestants alive at once, under the same load in turns.
//!
//! Absolute rates drift by whole factors on a machine that is not idle; the ratio of two slices
//! that follow each other does not.

use crate::contestant::{Contestant, Recipe};
use crate::driver::Crowd;
use crate::stats::Ratio;
use crate::tally::Tally;
use crate::work::Work;
use crate::workload::Workload;

/// How a contestant compares with its bar.
pub struct Outcome {
    pub contestant: Tally,
    pub bar: Tally,
    /// Server CPU time per message, contestant to bar.
    pub ratio: Ratio,
}

/// A server and its clients.
struct Side {
    contestant: Contestant,
    crowd: Crowd,
}

/// Runs slices of both in the order ABBA, so that what grows or fades meets both alike.
pub fn duel(workload: &Workload, contestant: &Recipe, bar: &Recipe) -> Outcome {
    let mut a = Side::new(contestant, workload);
    let mut b = Side::new(bar, workload);
    // The first slices meet cold caches and short buffers.
    a.slice(workload);
    b.slice(workload);
    let pairs: Vec<(Tally, Tally)> = (0..workload.pairs)
        .map(|pair| {
            if pair % 2 == 0 {
                let a = a.slice(workload);
                (a, b.slice(workload))
            } else {
                let b = b.slice(workload);
                (a.slice(workload), b)
            }
        })
        .collect();
    Outcome {
        contestant: pairs.iter().map(|(a, _)| *a).sum(),
        bar: pairs.iter().map(|(_, b)| *b).sum(),
        ratio: Ratio::of_pairs(pairs.iter().map(|(a, b)| (a.cost(), b.cost()))),
    }
}

impl Side {
    fn new(recipe: &Recipe, workload: &Workload) -> Side {
        let contestant = recipe.start();
        let work = Work::new(workload.message);
        let crowd = Crowd::connect(contestant.address, workload.clients, work, workload.pace);
        Side { contestant, crowd }
    }

    fn slice(&mut self, workload: &Workload) -> Tally {
        self.crowd.slice(workload.slice, &self.contestant)
    }
}

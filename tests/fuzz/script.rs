//! What an engine does, in random order.

use std::fmt;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;

/// One thing that may happen.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// So many bytes arrive; or the session goes on writing, if it wants that.
    Hear(usize),
    Produce,
    /// The peer takes nothing of what is said from now on.
    Stall,
    /// The peer has taken everything, and takes what will be said.
    Take,
    Pass(Duration),
    Wake,
    /// Besides, and before its time.
    WakeEarly,
    Mail,
    Eof,
    Idle,
    Drain,
    Overflow,
    /// The connection breaks.
    Break,
}

/// Sizes of pieces: single bytes, lines, and what one read takes.
pub fn sizes() -> impl Strategy<Value = usize> {
    prop_oneof![
        3 => 1..4_usize,
        4 => 1..100_usize,
        3 => 100..5000_usize,
        1 => 5000..65_537_usize,
    ]
}

/// When an output is full.
pub fn chunks() -> impl Strategy<Value = usize> {
    prop_oneof![1..100_usize, 100..10_000_usize, Just(65_536)]
}

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        4 => (0..100_u64).prop_map(Duration::from_millis),
        2 => (0..12_u64).prop_map(Duration::from_secs),
        1 => (0..200_u64).prop_map(Duration::from_secs),
    ]
}

pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        60 => sizes().prop_map(Step::Hear),
        30 => Just(Step::Produce),
        4 => Just(Step::Stall),
        10 => Just(Step::Take),
        12 => times().prop_map(Step::Pass),
        20 => Just(Step::Wake),
        3 => Just(Step::WakeEarly),
        12 => Just(Step::Mail),
        1 => Just(Step::Eof),
        1 => Just(Step::Idle),
        2 => Just(Step::Drain),
        1 => Just(Step::Overflow),
        1 => Just(Step::Break),
    ]
}

/// What happens to some conversations, each known by its number.
#[derive(Clone)]
pub struct Script(pub Vec<(usize, Step)>);

/// Like the code that makes it, and in one line.
impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// What happens to so many of them.
pub fn script(seats: usize, steps: usize) -> impl Strategy<Value = Script> {
    vec((0..seats, step()), 0..steps).prop_map(Script)
}

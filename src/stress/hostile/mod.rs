//! The hostile clients, one file each.

mod beyond_cap;
mod crowd;
mod drain_of_a_crowd;
mod files_exhausted;
mod flood;
mod half_close;
mod idle;
mod late_reply;
mod second_signal;
mod sighup;
mod sigterm;
mod threads_exhausted;

use super::Hostile;

/// All of them, in the order in which they come.
pub const ALL: &[Hostile] = &[
    crowd::CROWD,
    half_close::HALF_CLOSE,
    flood::FLOOD,
    beyond_cap::BEYOND_CAP,
    files_exhausted::FILES_EXHAUSTED,
    threads_exhausted::THREADS_EXHAUSTED,
    idle::IDLE,
    sigterm::SIGTERM,
    sighup::SIGHUP,
    second_signal::SECOND_SIGNAL,
    late_reply::LATE_REPLY,
    drain_of_a_crowd::DRAIN_OF_A_CROWD,
];

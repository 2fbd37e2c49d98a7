//! The hostile clients, one file each.

mod crowd;
mod flood;
mod half_close;

use super::Hostile;

/// All of them, in the order in which they come.
pub const ALL: &[Hostile] = &[crowd::CROWD, half_close::HALF_CLOSE, flood::FLOOD];

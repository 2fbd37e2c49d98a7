//! The hostile clients, one file each.

mod churn;
mod crowd;
mod fin_with_data;
mod flood;
mod half_close;
mod hang_up;
mod huge_message;
mod immediate_close;
mod many_idle_ends;
mod reset;
mod silent;
mod slot_reuse;
mod slow_reader;
mod slow_sender;
mod stopped_reader;
mod tiny_segments;
mod urgent;

use super::Hostile;

/// All of them, in the order in which they come.
pub const ALL: &[Hostile] = &[
    crowd::CROWD,
    churn::CHURN,
    half_close::HALF_CLOSE,
    fin_with_data::FIN_WITH_DATA,
    immediate_close::IMMEDIATE_CLOSE,
    reset::RESET,
    hang_up::HANG_UP,
    slot_reuse::SLOT_REUSE,
    many_idle_ends::MANY_IDLE_ENDS,
    silent::SILENT,
    slow_sender::SLOW_SENDER,
    slow_reader::SLOW_READER,
    stopped_reader::STOPPED_READER,
    flood::FLOOD,
    huge_message::HUGE_MESSAGE,
    tiny_segments::TINY_SEGMENTS,
    urgent::URGENT,
];

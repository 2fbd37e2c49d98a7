//! The hostile clients, one file each.

mod beyond_cap;
mod chat;
mod churn;
mod crowd;
mod drain_of_a_crowd;
mod files;
mod files_exhausted;
mod fin_with_data;
mod flood;
mod half_close;
mod hang_up;
mod huge_message;
mod idle;
mod immediate_close;
mod late_reply;
mod many_idle_ends;
mod reset;
mod second_signal;
mod sighup;
mod sigterm;
mod silent;
mod slot_reuse;
mod slow_reader;
mod slow_sender;
mod stopped_reader;
mod threads_exhausted;
mod tiny_segments;
mod tls;
mod urgent;

use super::Hostile;

/// All of them, in the order in which they come.
pub const ALL: &[Hostile] = &[
    crowd::CROWD,
    churn::CHURN,
    half_close::HALF_CLOSE,
    flood::FLOOD,
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
    huge_message::HUGE_MESSAGE,
    tiny_segments::TINY_SEGMENTS,
    urgent::URGENT,
    beyond_cap::BEYOND_CAP,
    files_exhausted::FILES_EXHAUSTED,
    threads_exhausted::THREADS_EXHAUSTED,
    idle::IDLE,
    sigterm::SIGTERM,
    sighup::SIGHUP,
    second_signal::SECOND_SIGNAL,
    late_reply::LATE_REPLY,
    drain_of_a_crowd::DRAIN_OF_A_CROWD,
    chat::SENDQ,
    chat::NICK_STORM,
    chat::JOIN_STORM,
    chat::NEVER_REGISTERS,
    chat::LINE_FLOOD,
    chat::LONG_LINE,
    chat::DISCONNECT_STORM,
    files::SLOW_HEAD,
    files::SLOW_BODY,
    files::SLOW_DOWNLOAD,
    files::ABORTED_UPLOAD,
    files::ABORTED_DOWNLOAD,
    files::PIPELINED_FLOOD,
    files::MANY_RANGES,
    files::HUGE_HEAD,
    files::SMUGGLING,
    files::CHUNK_STORM,
    files::UNREAD_LISTING,
    tls::UNFINISHED_HANDSHAKE,
    tls::SLOW_HANDSHAKE,
    tls::NO_TLS,
    tls::TRUNCATION,
    tls::EARLY_CLOSE,
    tls::RECORD_FLOOD,
    tls::GARBAGE,
    tls::KEY_UPDATES,
    tls::TLS_TO_PLAIN,
];

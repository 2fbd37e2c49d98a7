//! Hostile clients of servers of files.

mod aborted_download;
mod aborted_upload;
mod chunk_storm;
mod huge_head;
mod many_ranges;
mod pipelined_flood;
mod slow_body;
mod slow_download;
mod slow_head;
mod smuggling;
mod unread_listing;

pub use aborted_download::ABORTED_DOWNLOAD;
pub use aborted_upload::ABORTED_UPLOAD;
pub use chunk_storm::CHUNK_STORM;
pub use huge_head::HUGE_HEAD;
pub use many_ranges::MANY_RANGES;
pub use pipelined_flood::PIPELINED_FLOOD;
pub use slow_body::SLOW_BODY;
pub use slow_download::SLOW_DOWNLOAD;
pub use slow_head::SLOW_HEAD;
pub use smuggling::SMUGGLING;
pub use unread_listing::UNREAD_LISTING;

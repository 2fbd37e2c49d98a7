//! Hostile clients of chats.

mod disconnect_storm;
mod join_storm;
mod line_flood;
mod long_line;
mod never_registers;
mod nick_storm;
mod sendq;

pub use disconnect_storm::DISCONNECT_STORM;
pub use join_storm::JOIN_STORM;
pub use line_flood::LINE_FLOOD;
pub use long_line::LONG_LINE;
pub use never_registers::NEVER_REGISTERS;
pub use nick_storm::NICK_STORM;
pub use sendq::SENDQ;

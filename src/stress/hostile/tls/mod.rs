//! Hostile clients of servers over TLS, and one who speaks TLS where there is none.

mod early_close;
mod garbage;
mod key_updates;
mod no_tls;
mod record_flood;
mod slow_handshake;
mod tls_to_plain;
mod truncation;
mod unfinished_handshake;

pub use early_close::EARLY_CLOSE;
pub use garbage::GARBAGE;
pub use key_updates::KEY_UPDATES;
pub use no_tls::NO_TLS;
pub use record_flood::RECORD_FLOOD;
pub use slow_handshake::SLOW_HANDSHAKE;
pub use tls_to_plain::TLS_TO_PLAIN;
pub use truncation::TRUNCATION;
pub use unfinished_handshake::UNFINISHED_HANDSHAKE;

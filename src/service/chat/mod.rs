//! Chat rooms as every IRC client knows them (RFC 1459 and 2812, as the Modern IRC Client Protocol
//! document has them, with IRCv3 where that is cheap).

pub mod mask;
pub mod message;

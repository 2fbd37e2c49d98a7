//! The protocols, each a [`Service`](crate::session::Service) that knows no socket and no engine.

mod chargen;
pub mod chat;
mod discard;
mod echo;
pub mod files;
pub mod http;
mod metrics;

pub use chargen::Chargen;
pub use chat::Chat;
pub use discard::Discard;
pub use echo::Echo;
pub use files::Files;
pub use metrics::Metrics;

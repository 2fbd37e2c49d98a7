//! draft
pub mod client;
pub mod engine;
pub mod service;
pub mod session;

//! draft
pub mod client;
pub mod engine;
mod failure;
pub mod service;
pub mod session;

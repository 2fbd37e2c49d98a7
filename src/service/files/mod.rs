//! A directory tree over HTTP.

pub mod listing;

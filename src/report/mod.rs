//! What is left of a measurement: its JSON document, and what people read.

pub mod distribution;
pub mod document;

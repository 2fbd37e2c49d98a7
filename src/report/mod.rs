//! What is left of a measurement: its JSON document, and what people read.

mod chart;
pub mod csv;
pub mod distribution;
pub mod document;
pub mod hdr;
pub mod html;
pub mod merge;
pub(crate) mod numbers;
mod svg;
pub mod text;
pub mod words;

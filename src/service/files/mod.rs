//! A site of files: the tree that is served, and the disk beneath it. Nothing here knows HTTP.
//!
//! The kernel keeps every lookup beneath the `root`; an `upload` is seen by nobody until it is
//! whole. What can take long (to sync, to hash, to clean up) is done on threads of the `disk`, and a
//! session only looks whether it is done.

mod beneath;
mod clean;
pub mod digest;
pub mod directory;
pub mod disk;
pub mod fault;
mod part;
pub mod root;
pub mod stat;
pub mod upload;

pub use clean::clean;
pub use digest::Digests;
pub use directory::{Directory, Entry, Kind};
pub use disk::{Disk, Pending};
pub use fault::Fault;
pub use root::{Condition, Found, OpenFile, Root};
pub use stat::Stat;
pub use upload::{Plan, Stored, Upload, waiting};

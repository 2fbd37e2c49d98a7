//! Files over HTTP: the tree that is served, the disk beneath it, and the `site` that knows what a
//! request means for them. Only that, and what belongs to it (`fetched`, `stored`, `listed`), knows
//! HTTP.
//!
//! The kernel keeps every lookup beneath the `root`; an `upload` is seen by nobody until it is
//! whole. What can take long (to sync, to hash, to clean up) is done on threads of the `disk`, and a
//! session only looks whether it is done.

mod beneath;
mod clean;
pub mod digest;
pub mod directory;
pub mod disk;
pub mod entries;
pub mod fault;
mod fetched;
mod listed;
pub mod listing;
mod parents;
mod part;
pub mod root;
mod shelf;
mod site;
pub mod stat;
mod stored;
pub mod upload;

pub use clean::clean;
pub use digest::Digests;
pub use directory::{Directory, Entry, Kind};
pub use disk::{Disk, Pending};
pub use entries::Entries;
pub use fault::Fault;
pub use root::{Condition, Found, OpenFile, Root};
pub use site::{Files, Settings};
pub use stat::Stat;
pub use upload::{Plan, Stored, Upload, waiting};

//! Server processes as a measurement sees them: what they use, where they run, and that none of
//! them is left behind.

mod cpus;
mod environment;
mod keeper;
mod memory;
mod process;
mod start_error;
mod started;
mod words;

pub use cpus::{CpuList, allowed, confine};
pub use environment::{environment, local_ports};
pub use keeper::keep;
pub use memory::Held;
pub use process::ProcessTree;
pub use start_error::StartError;
pub use started::{DYING, Launcher, Started, quoted};

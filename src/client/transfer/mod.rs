//! Files from and to HTTP/1.1 servers (RFC 9110, 9112): `get` and `put`, on one blocking connection.
//!
//! An [`Agent`] asks. What comes is written beside its place, gone on with after an interruption,
//! compared with the server's SHA-256 where there is one (RFC 9530), and appears all at once
//! (`part.rs`, `get.rs`); what is sent is announced with its SHA-256, and gone on with where the
//! server has it (`put.rs`). A [`Watch`] says how far it is. The process may be killed anywhere.

mod agent;
mod digest;
mod error;
mod get;
mod head;
mod incoming;
mod part;
mod put;
mod url;
mod watch;

use std::fmt;
use std::fs::File;
use std::time::Duration;

use crate::failure::time;
use crate::report::numbers::bytes;

pub use agent::Agent;
pub use digest::Digest;
pub use error::Error;
pub use get::Destination;
pub use put::Source;
pub use url::Url;
pub use watch::{Kept, Scene, Stage, Watch};

/// A file that has arrived.
#[derive(Clone, Debug)]
pub struct Done {
    /// For people.
    pub name: String,
    /// How long it is.
    pub total: u64,
    /// How much of it was moved now, and not before.
    pub moved: u64,
    /// How long that took, with everything.
    pub time: Duration,
    /// Whether its SHA-256 is the same on both sides.
    pub checked: bool,
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}  {}", self.name, size(self.total))?;
        if self.moved < self.total {
            write!(f, ", the last {}", size(self.moved))?;
        }
        write!(f, " in {}", time(self.time))?;
        // The rate of what is over at once says nothing about the way.
        if self.time >= Duration::from_millis(100) && self.moved > 0 {
            write!(f, " ({}/s)", bytes(self.moved as f64 / self.time.as_secs_f64()))?;
        }
        match self.checked {
            true => f.write_str(", SHA-256 checked"),
            false => Ok(()),
        }
    }
}

/// 6 B, 1.20 MB.
fn size(length: u64) -> String {
    match length {
        ..1000 => format!("{length} B"),
        _ => bytes(length as f64),
    }
}

/// Standard output, as a destination.
pub fn stdout() -> Result<Destination, Error> {
    let out = crate::client::stdout().map_err(|error| Error::Unreachable(error.to_string()))?;
    Ok(Destination::Stream(out, "standard output".into()))
}

/// Standard input, as a source.
pub fn stdin() -> Result<Source, Error> {
    use std::os::fd::AsFd;
    let name = "standard input";
    let input = std::io::stdin().as_fd().try_clone_to_owned();
    let input = input.map_err(|error| Error::Local(name.into(), error))?;
    Ok(Source::stream(File::from(input), name.into()))
}

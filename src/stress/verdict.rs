//! What came of a hostile client's visit.

use nix::errno::Errno;
use serde::Serialize;

use super::fault::Fault;
use crate::failure::cause;

/// Whether the server has kept its promise, and the figure that decided; or why not.
pub type Outcome = Result<String, Breach>;

/// What stands in place of a kept promise.
#[derive(Debug)]
pub enum Breach {
    /// The promise is broken, and this shows it.
    Broken(String),
    /// It could not be tried here, and why.
    Skipped(String),
    /// The user has had enough.
    Interrupted,
}

impl Breach {
    /// The promise is broken: what was seen.
    pub fn broken(what: impl Into<String>) -> Breach {
        Breach::Broken(what.into())
    }

    /// It cannot be tried here: what it needs.
    pub fn skipped(why: impl Into<String>) -> Breach {
        Breach::Skipped(why.into())
    }

    /// The same, said of `whom`: "a neighbour: nothing moved for 10 s".
    pub fn of(self, whom: &str) -> Breach {
        match self {
            Breach::Broken(what) => Breach::Broken(format!("{whom}: {what}")),
            other => other,
        }
    }
}

impl From<Fault> for Breach {
    fn from(fault: Fault) -> Breach {
        match fault {
            Fault::Interrupted => Breach::Interrupted,
            Fault::Refused(error) if is_ours(&error) => error.into(),
            fault => Breach::Broken(fault.to_string()),
        }
    }
}

/// Whether a call was not even made: this side has no descriptor, port or memory for it.
fn is_ours(error: &std::io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::EMFILE | Errno::ENFILE | Errno::EADDRNOTAVAIL | Errno::ENOBUFS | Errno::ENOMEM)
    )
}

/// What fails on this side, such as a socket that cannot be had, says nothing about the server.
impl From<std::io::Error> for Breach {
    fn from(error: std::io::Error) -> Breach {
        Breach::Skipped(format!("it could not be tried: {}", cause(&error)))
    }
}

/// One visit, as a line of JSON has it.
#[derive(Clone, Debug, Serialize)]
pub struct Visit {
    /// Version of these lines.
    pub schema: &'static str,
    /// What the server is called: its engine and service where it is ours.
    pub server: String,
    /// Where it was met.
    pub target: String,
    /// Which hostile client came.
    pub client: &'static str,
    /// What came of it.
    pub verdict: Verdict,
    /// The figure that decided, or why there is none.
    pub figure: String,
    /// How long the visit took.
    pub seconds: f64,
    /// The command that tries it again.
    pub reproduce: String,
}

impl Visit {
    /// Of the lines that this version writes.
    pub const SCHEMA: &'static str = "socklab-stress/1";
}

/// In one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The promise was kept.
    Pass,
    /// It was broken.
    Fail,
    /// It could not be tried.
    Skip,
}

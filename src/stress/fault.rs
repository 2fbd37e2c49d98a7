//! How a conversation with a server went wrong.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::failure::{cause, time};
use crate::report::numbers::count;

/// How a conversation went wrong.
#[derive(Debug)]
pub enum Fault {
    /// Nobody took the call.
    Refused(io::Error),
    /// Nothing moved for the whole patience, while this was waited for.
    Silent(&'static str, Duration),
    /// The server said its last word, of so many bytes that were due.
    Left {
        /// Bytes that came.
        came: usize,
        /// Bytes that were waited for.
        due: usize,
    },
    /// The connection broke, while this was done.
    Broken(&'static str, io::Error),
    /// The byte at this place differs from what was due there.
    Wrong {
        /// From the first byte that was compared.
        offset: usize,
        /// What was due.
        due: u8,
        /// What came.
        came: u8,
    },
    /// So many bytes came that nobody had asked for.
    Extra(usize),
    /// The run was interrupted.
    Interrupted,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Refused(error) => write!(f, "cannot connect: {}", cause(error)),
            Fault::Silent(what, patience) => {
                write!(f, "nothing moved for {} while {what}", time(*patience))
            }
            Fault::Left { came, due } => write!(
                f,
                "the server ended the conversation after {} of {} bytes",
                count(*came as u64),
                count(*due as u64)
            ),
            Fault::Broken(what, error) => write!(f, "{} while {what}", cause(error)),
            Fault::Wrong { offset, due, came } => {
                write!(f, "byte {} is 0x{came:02x} in place of 0x{due:02x}", count(*offset as u64))
            }
            Fault::Extra(bytes) => {
                write!(f, "{} bytes came that were not asked for", count(*bytes as u64))
            }
            Fault::Interrupted => f.write_str("interrupted"),
        }
    }
}

impl Fault {
    /// The same, seen by who had heard so many bytes before it compared.
    pub fn after(self, bytes: usize) -> Fault {
        match self {
            Fault::Wrong { offset, due, came } => {
                Fault::Wrong { offset: offset + bytes, due, came }
            }
            other => other,
        }
    }
}

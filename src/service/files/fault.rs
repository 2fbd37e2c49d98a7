//! Why something about a file cannot be done, as far as it makes a difference to who asked.

use std::fmt;
use std::io;

use rustix::io::Errno;

use crate::failure;

/// Why not.
#[derive(Debug)]
pub enum Fault {
    /// There is nothing of that name, or it does not lie beneath the root.
    Missing,
    /// The system does not allow it, or it is neither a file nor a directory.
    Forbidden,
    /// A directory stands there.
    IsDirectory,
    /// Something else is in the way, as these words say.
    Conflict(&'static str),
    /// An upload of that name is under way, or too much else is.
    Busy,
    /// An upload can go on here, and not where it was told to.
    Offset(u64),
    /// More than an upload may be.
    TooLarge,
    /// The disk is full, or this user's share of it.
    NoSpace,
    /// What came has another digest than was promised.
    WrongDigest,
    /// What stands there is not what who asked takes it for.
    Precondition,
    /// Something that should not have failed.
    Failed(io::Error),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.raw_os_error().map(Errno::from_raw_os_error) {
            // A link that leads out of the root is EXDEV to openat2(2), and a loop of them ELOOP.
            Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::XDEV | Errno::NAMETOOLONG) => {
                Fault::Missing
            }
            // ENXIO: a socket was opened, or a device that has gone.
            Some(
                Errno::ACCESS
                | Errno::PERM
                | Errno::ROFS
                | Errno::NXIO
                | Errno::NODEV
                | Errno::TXTBSY,
            ) => Fault::Forbidden,
            Some(Errno::ISDIR) => Fault::IsDirectory,
            Some(Errno::NOTEMPTY | Errno::EXIST) => Fault::Conflict("the directory is not empty"),
            Some(Errno::MFILE | Errno::NFILE) => Fault::Busy,
            Some(Errno::BUSY) => Fault::Conflict("the system uses it"),
            Some(Errno::NOSPC | Errno::DQUOT) => Fault::NoSpace,
            Some(Errno::FBIG) => Fault::TooLarge,
            // Too much is being renamed for a lookup to be sure.
            Some(Errno::AGAIN) => Fault::Busy,
            _ => Fault::Failed(error),
        }
    }
}

impl From<Errno> for Fault {
    fn from(errno: Errno) -> Fault {
        io::Error::from(errno).into()
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Missing => f.write_str("not found"),
            Fault::Forbidden => f.write_str("forbidden"),
            Fault::IsDirectory => f.write_str("it is a directory"),
            Fault::Conflict(why) => f.write_str(why),
            Fault::Busy => f.write_str("busy; try again later"),
            Fault::Offset(offset) => write!(f, "go on at byte {offset}"),
            Fault::TooLarge => f.write_str("too large"),
            Fault::NoSpace => f.write_str("no space left"),
            Fault::WrongDigest => f.write_str("the digest is another one"),
            Fault::Precondition => f.write_str("it is another version"),
            Fault::Failed(error) => f.write_str(&failure::cause(error)),
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_becomes_what_a_client_can_be_told() {
        for (errno, told) in [
            (Errno::NOENT, "not found"),
            (Errno::XDEV, "not found"),
            (Errno::LOOP, "not found"),
            (Errno::NXIO, "forbidden"),
            (Errno::ROFS, "forbidden"),
            (Errno::ISDIR, "it is a directory"),
            (Errno::NOTEMPTY, "the directory is not empty"),
            (Errno::DQUOT, "no space left"),
            (Errno::FBIG, "too large"),
            (Errno::AGAIN, "busy; try again later"),
            (Errno::MFILE, "busy; try again later"),
            (Errno::IO, "input/output error"),
        ] {
            assert_eq!(Fault::from(errno).to_string(), told);
        }
    }
}

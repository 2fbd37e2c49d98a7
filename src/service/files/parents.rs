//! The directories above a file on its way in, and what becomes of those that were made for it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Mode, OFlags, fsync, mkdirat, unlinkat};
use rustix::io::Errno;

use super::fault::Fault;
use super::part::split;
use super::root::Root;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY);

/// The directories above a file. When this is dropped, those that were made are removed again, unless
/// they were [kept](Parents::keep) or something is in them: a part that can be resumed, or what
/// others have put there meanwhile.
#[derive(Debug)]
pub(super) struct Parents {
    root: Root,
    path: Vec<u8>,
    /// How many names at the end of the path were missing.
    missing: usize,
    /// Those that were made, by us and nobody else, the lowest last.
    made: Vec<Vec<u8>>,
}

impl Parents {
    /// Makes what is missing of `path`, and opens it.
    pub fn make(root: &Root, path: &[u8]) -> Result<(Parents, OwnedFd), Fault> {
        let mut missing = Vec::new();
        let mut above = path;
        let mut directory = loop {
            match root.open_beneath(above, DIRECTORY) {
                Ok(directory) => break directory,
                Err(Errno::NOENT) if !above.is_empty() => {
                    missing.push(above);
                    above = split(above).0;
                }
                Err(Errno::NOTDIR) => {
                    return Err(Fault::Conflict("a file stands where a directory has to"));
                }
                Err(errno) => return Err(errno.into()),
            }
        };
        let mut parents = Parents {
            root: root.clone(),
            path: path.to_vec(),
            missing: missing.len(),
            made: Vec::new(),
        };
        for path in missing.iter().rev() {
            match mkdirat(&directory, split(path).1, Mode::from_raw_mode(0o777)) {
                Ok(()) => parents.made.push(path.to_vec()),
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno.into()),
            }
            directory = root.open_beneath(path, DIRECTORY)?;
        }
        Ok((parents, directory))
    }

    /// They stay, whatever becomes of what is in them.
    pub fn keep(&mut self) {
        self.made.clear();
    }

    /// Those that were missing have to outlast a crash.
    pub fn sync(&self) -> Result<(), Fault> {
        let mut path = &self.path[..];
        for _ in 0..self.missing {
            path = split(path).0;
            // One that was moved meanwhile is not ours to sync.
            if let Ok(directory) = self.root.open_beneath(path, DIRECTORY) {
                sync_directory(directory.as_fd())?;
            }
        }
        Ok(())
    }
}

impl Drop for Parents {
    fn drop(&mut self) {
        while let Some(path) = self.made.pop() {
            let (above, name) = split(&path);
            let removed = self
                .root
                .open_beneath(above, OFlags::PATH | OFlags::DIRECTORY)
                .and_then(|above| unlinkat(above, name, AtFlags::REMOVEDIR));
            if removed.is_err() {
                return;
            }
        }
    }
}

/// Not every file system can (EINVAL).
pub(super) fn sync_directory(directory: BorrowedFd<'_>) -> Result<(), Fault> {
    match fsync(directory) {
        Err(Errno::INVAL) => Ok(()),
        outcome => Ok(outcome?),
    }
}

//! What stands in a directory, read some at a time, so that a long one delays nobody.

use std::borrow::Cow;
use std::fmt;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use rustix::fs::{AtFlags, Dir, FileType, statat};

use super::entries::Entries;
use super::fault::Fault;
use super::part;
use super::root::Root;
use super::stat::{Stat, kind};

/// An open directory, and how far it has been read.
pub struct Directory {
    root: Root,
    path: Vec<u8>,
    entries: Dir,
    stat: Stat,
    /// Whether its times tell what it holds from what it holds later.
    pub(super) settled: bool,
}

/// A file or directory in it, or a link that leads to one beneath the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// Any bytes but a zero and a slash.
    pub name: Cow<'a, [u8]>,
    /// What it is, or leads to.
    pub kind: Kind,
    /// How many it has.
    pub bytes: u64,
    /// When these changed.
    pub modified: SystemTime,
}

/// What can be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
}

impl Directory {
    pub(super) fn new(root: &Root, path: &[u8], opened: OwnedFd, stat: Stat) -> Directory {
        let entries = Dir::new(opened).expect("it takes any descriptor");
        // Before the first entry is read: whatever comes or goes behind it will show.
        let settled = stat.is_settled(SystemTime::now());
        Directory { root: root.clone(), path: path.to_vec(), entries, stat, settled }
    }

    /// When it was opened.
    pub fn stat(&self) -> &Stat {
        &self.stat
    }

    /// Looks at `most` names more and appends to `into` those that may be found, in no order. Whether
    /// there are more.
    pub fn read(&mut self, most: usize, into: &mut Entries) -> Result<bool, Fault> {
        for _ in 0..most {
            let Some(entry) = self.entries.read() else { return Ok(false) };
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            let may_be_shown = matches!(
                entry.file_type(),
                FileType::RegularFile | FileType::Directory | FileType::Symlink | FileType::Unknown
            );
            if may_be_shown
                && self.root.shows(name)
                && let Some(entry) = self.entry(name)
            {
                into.push(&entry);
            }
        }
        Ok(true)
    }

    /// `None` for what is not shown, and for what has gone meanwhile.
    fn entry<'a>(&self, name: &'a [u8]) -> Option<Entry<'a>> {
        let itself = statat(self.entries.fd().ok()?, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let (stat, kind) = match kind(&itself) {
            // It may lead to a place beside this directory, so the lookup begins at the root.
            FileType::Symlink => {
                let (stat, kind, _) = self.root.look(&part::join(&self.path, name)).ok()??;
                (stat, kind)
            }
            kind => (Stat::new(&itself), kind),
        };
        let kind = match kind {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            _ => return None,
        };
        Some(Entry { name: name.into(), kind, bytes: stat.len, modified: stat.modified() })
    }
}

impl fmt::Debug for Directory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.escape_ascii().to_string();
        f.debug_struct("Directory").field("path", &path).finish_non_exhaustive()
    }
}

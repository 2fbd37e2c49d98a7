//! What a directory holds, as a listing needs it.

use std::time::SystemTime;

/// One line of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The name, without a path: any bytes but `/` and NUL.
    pub name: Vec<u8>,
    /// What it is, or what it leads to.
    pub kind: Kind,
    /// Its length, where it is a file.
    pub bytes: u64,
    /// When its content changed last.
    pub modified: SystemTime,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
}

/// How much a directory holds, without what is below.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// How many files.
    pub files: u64,
    /// How many directories.
    pub directories: u64,
    /// The lengths of all files.
    pub bytes: u64,
}

impl Totals {
    /// Those of `entries`.
    pub fn of(entries: &[Entry]) -> Totals {
        let mut totals = Totals::default();
        for entry in entries {
            match entry.kind {
                Kind::Directory => totals.directories += 1,
                Kind::File => {
                    totals.files += 1;
                    totals.bytes = totals.bytes.saturating_add(entry.bytes);
                }
            }
        }
        totals
    }
}

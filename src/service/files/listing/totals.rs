//! How much there is in a listing.

use crate::service::files::directory::{Entry, Kind};

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

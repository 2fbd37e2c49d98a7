//! How much there is in a listing.

use std::borrow::Borrow;

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
    pub fn of<'a>(entries: impl IntoIterator<Item: Borrow<Entry<'a>>>) -> Totals {
        let mut totals = Totals::default();
        for entry in entries {
            let entry = entry.borrow();
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

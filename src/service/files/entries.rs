//! The names of a long directory in little memory: 32 bytes and the name for each, in two pieces.

use std::borrow::Cow;
use std::time::SystemTime;

use super::directory::{Entry, Kind};
use super::listing::Order;

/// Entries, in the order in which they were added, or [sorted](Entries::sort).
#[derive(Debug, Default)]
pub struct Entries {
    names: Vec<u8>,
    rows: Vec<Row>,
}

/// What is known of a name, and where in `names` that lies.
#[derive(Clone, Copy, Debug)]
struct Row {
    at: u32,
    length: u16,
    kind: Kind,
    bytes: u64,
    modified: SystemTime,
}

const _: () = assert!(size_of::<Row>() == 32);

impl Entries {
    /// Adds one at the end. What there is no room for is left out: names of more than 64 KiB, and
    /// those behind the first 4 GiB.
    pub fn push(&mut self, entry: &Entry) {
        let Entry { ref name, kind, bytes, modified } = *entry;
        if let (Ok(at), Ok(length)) = (self.names.len().try_into(), name.len().try_into()) {
            self.names.extend_from_slice(name);
            self.rows.push(Row { at, length, kind, bytes, modified });
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// All of them from `place` on.
    pub fn from(&self, place: usize) -> impl Iterator<Item = Entry<'_>> {
        self.rows.iter().skip(place).map(|row| row.entry(&self.names))
    }

    /// Puts them in this order.
    pub fn sort(&mut self, order: Order) {
        let names = &self.names;
        self.rows
            .sort_unstable_by(|one, other| order.compare(&one.entry(names), &other.entry(names)));
    }

    /// The memory that they take.
    pub fn memory(&self) -> usize {
        self.names.capacity() + self.rows.capacity() * size_of::<Row>()
    }

    /// Gives back what was reserved for more.
    pub fn shrink(&mut self) {
        self.names.shrink_to_fit();
        self.rows.shrink_to_fit();
    }
}

impl Row {
    fn entry(self, names: &[u8]) -> Entry<'_> {
        let Row { at, length, kind, bytes, modified } = self;
        let name = Cow::Borrowed(&names[at as usize..][..usize::from(length)]);
        Entry { name, kind, bytes, modified }
    }
}

//! The order of a listing, as the query of its URL has it: `sort=size&order=desc`.
//!
//! Directories come first whatever is asked for, so that the way on is never buried. Names compare
//! as people count: `page 9` before `page 10`, and upper case beside lower case.

use std::cmp::Ordering;

use crate::service::files::directory::{Entry, Kind};

/// What a listing is sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Key {
    /// By name.
    #[default]
    Name,
    /// By length. Directories have none and stay in the order of their names.
    Size,
    /// By the time of the last change.
    Time,
}

impl Key {
    /// Its word in a query.
    pub fn word(self) -> &'static str {
        match self {
            Key::Name => "name",
            Key::Size => "size",
            Key::Time => "time",
        }
    }
}

/// A key and a direction. The default is by name, ascending.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// What is compared.
    pub key: Key,
    /// The greatest, or newest, first.
    pub descending: bool,
}

impl Order {
    /// The order that a query, without its `?`, asks for. What it does not know it leaves alone.
    pub fn parse(query: &[u8]) -> Order {
        let mut order = Order::default();
        for part in query.split(|byte| *byte == b'&') {
            match part {
                b"sort=name" => order.key = Key::Name,
                b"sort=size" => order.key = Key::Size,
                b"sort=time" => order.key = Key::Time,
                b"order=asc" => order.descending = false,
                b"order=desc" => order.descending = true,
                _ => {}
            }
        }
        order
    }

    /// The query that asks for it, with its `?`; nothing for the default.
    pub fn query(self) -> String {
        match self {
            order if order == Order::default() => String::new(),
            Order { key, descending: false } => format!("?sort={}", key.word()),
            Order { key, descending: true } => format!("?sort={}&order=desc", key.word()),
        }
    }

    /// What a click on the head of a column asks for: the other direction where it is sorted by that
    /// column already, else what one most likely looks for: the largest, the newest.
    pub fn by(self, key: Key) -> Order {
        let descending = if key == self.key { !self.descending } else { key != Key::Name };
        Order { key, descending }
    }

    /// Which of two comes first.
    pub fn compare(self, one: &Entry, other: &Entry) -> Ordering {
        let is_file = |entry: &Entry| entry.kind == Kind::File;
        let by_key = match self.key {
            Key::Name => by_name(&one.name, &other.name),
            Key::Size if is_file(one) => one.bytes.cmp(&other.bytes),
            Key::Size => Ordering::Equal,
            Key::Time => one.modified.cmp(&other.modified),
        };
        let by_key = if self.descending { by_key.reverse() } else { by_key };
        is_file(one).cmp(&is_file(other)).then(by_key).then_with(|| by_name(&one.name, &other.name))
    }
}

/// Numbers by their value, letters without their case, and what is equal so far bytewise.
fn by_name(one: &[u8], other: &[u8]) -> Ordering {
    let (mut left, mut right) = (one, other);
    loop {
        let order = match (number(left), number(right)) {
            (Some((value, rest)), Some((rival, others))) => {
                (left, right) = (rest, others);
                // Without zeros in front, the longer number is the greater.
                value.len().cmp(&rival.len()).then(value.cmp(rival))
            }
            _ => match (left.split_first(), right.split_first()) {
                (Some((letter, rest)), Some((rival, others))) => {
                    (left, right) = (rest, others);
                    letter.to_ascii_lowercase().cmp(&rival.to_ascii_lowercase())
                }
                _ => return left.len().cmp(&right.len()).then(one.cmp(other)),
            },
        };
        if order.is_ne() {
            return order;
        }
    }
}

/// The digits in front, without zeros before them, and what follows.
fn number(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let zeros = text[..digits].iter().take_while(|byte| **byte == b'0').count();
    (digits > 0).then(|| (&text[zeros..digits], &text[digits..]))
}

//! Which parts of a file are asked for (RFC 9110, 14).

use std::ops::Range;

use super::head::number;

/// Ranges in one request. Who asks for more gets all of it, in one piece.
const MOST: usize = 64;

/// What a Range field asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ranges {
    /// Everything: it is not understood, or not worth the while.
    Whole,
    /// Nothing that is there.
    Unsatisfiable,
    /// These parts, one at least, none of them empty; no two share a byte.
    Parts(Vec<Range<u64>>),
}

/// What `field`, the value of a Range, asks for of `length` bytes.
pub fn of(field: &[u8], length: u64) -> Ranges {
    let Some((unit, list)) = split(field, b'=') else {
        return Ranges::Whole;
    };
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return Ranges::Whole;
    }
    let mut parts = Vec::new();
    let elements = list.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    for (count, element) in elements.filter(|element| !element.is_empty()).enumerate() {
        match range(element, length) {
            Some(_) if count == MOST => return Ranges::Whole,
            Some(range) if !range.is_empty() => parts.push(range),
            Some(_) => {}
            None => return Ranges::Whole,
        }
    }
    if parts.is_empty() {
        return Ranges::Unsatisfiable;
    }
    Ranges::Parts(apart(parts))
}

/// One element, cut to what is there; `None` where it is malformed.
fn range(element: &[u8], length: u64) -> Option<Range<u64>> {
    let (first, last) = split(element, b'-')?;
    if first.is_empty() {
        let suffix = number(last)?;
        return Some(length.saturating_sub(suffix)..length);
    }
    let first = number(first)?;
    let end = match last {
        [] => length,
        last => number(last).filter(|last| *last >= first)?.saturating_add(1).min(length),
    };
    Some(first.min(end)..end)
}

/// In the order in which they were asked for, unless some of them overlap: nobody gets a byte twice.
fn apart(mut parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted = parts.clone();
    sorted.sort_by_key(|part| part.start);
    if sorted.windows(2).all(|pair| pair[0].end <= pair[1].start) {
        return parts;
    }
    parts.clear();
    for part in sorted {
        match parts.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => parts.push(part),
        }
    }
    parts
}

/// A Content-Range of a request, `bytes FIRST-LAST/TOTAL` (RFC 9110, 14.4), as the range and the
/// total; `None` where it is malformed.
pub fn of_content(field: &[u8]) -> Option<(Range<u64>, u64)> {
    let rest =
        field.get(..6).filter(|unit| unit.eq_ignore_ascii_case(b"bytes ")).map(|_| &field[6..])?;
    let (range, total) = split(rest.trim_ascii(), b'/')?;
    let (first, last) = split(range, b'-')?;
    let (first, last, total) = (number(first)?, number(last)?, number(total)?);
    (first <= last && last < total).then_some((first..last + 1, total))
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == at)?;
    Some((text[..at].trim_ascii(), text[at + 1..].trim_ascii()))
}

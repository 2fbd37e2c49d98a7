//! What clients and rooms are called, and what a line says: so that whoever hears it knows whose it
//! is and which.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::load::work::Stream;

/// Bytes of a nick: as many as every server takes (RFC 1459, 1.2).
pub const NICK: usize = 9;

/// Bytes of a line before its pattern: `talker.line.`, in digits to the base of 36.
pub const HEADER: usize = TALKER + 1 + LINE + 1;

/// The most bytes of a text: with the talker's name in full in front of it, and its room's, it fits into
/// 512 (RFC 1459, 2.3).
pub const LONGEST: usize = 400;

/// Digits of a talker, enough for 1.6 million, and of its line, enough for 78 billion.
const TALKER: usize = 4;
const LINE: usize = 7;

/// Digits of what tells one run from another.
const TAG: usize = 3;

const BASE: u64 = 36;
const DIGITS: &[u8; BASE as usize] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// The most clients that nicks can tell apart.
pub const MOST: usize = (BASE as usize).pow(TALKER as u32);

/// Names that no other run has, as far as a hash can tell: several may load one server.
#[derive(Clone, Debug)]
pub struct Names {
    tag: [u8; TAG],
}

impl Names {
    /// For this run.
    pub fn new(seed: u64) -> Names {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mixed = (u64::from(std::process::id()) ^ now.as_nanos() as u64 ^ seed)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut tag = [0; TAG];
        digits(mixed >> 32, &mut tag);
        Names { tag }
    }

    /// What the client `number` is called. Where that was taken, it is another one at the next
    /// attempt.
    pub fn nick(&self, number: usize, attempt: u8) -> [u8; NICK] {
        let mut nick = [b's'; NICK];
        nick[1..1 + TAG].copy_from_slice(&self.tag);
        digits(attempt.into(), &mut nick[1 + TAG..NICK - TALKER]);
        digits(number as u64, &mut nick[NICK - TALKER..]);
        nick
    }

    /// The client that is called so; `None` if it is none of this run.
    pub fn number(&self, nick: &[u8]) -> Option<usize> {
        let ours = nick.len() == NICK && nick[0] == b's' && nick[1..1 + TAG] == self.tag;
        ours.then(|| value(&nick[NICK - TALKER..])).flatten().map(|number| number as usize)
    }

    /// What the room `number` is called.
    pub fn room(&self, number: usize) -> Vec<u8> {
        [b"#s", &self.tag[..], b"-", number.to_string().as_bytes()].concat()
    }
}

/// What talkers say: who it is, which of its lines, and a pattern that is in no other one.
#[derive(Clone, Debug)]
pub struct Texts {
    stream: Arc<Stream>,
    size: usize,
}

impl Texts {
    /// Lines of `size` bytes, at least [`HEADER`].
    pub fn new(stream: Arc<Stream>, size: usize) -> Texts {
        Texts { stream, size: size.max(HEADER) }
    }

    /// Appends what the client `talker` says in its `line`.
    pub fn write(&self, talker: usize, line: u64, to: &mut Vec<u8>) {
        let mut header = [b'.'; HEADER];
        digits(talker as u64, &mut header[..TALKER]);
        digits(line, &mut header[TALKER + 1..][..LINE]);
        to.extend_from_slice(&header);
        let length = self.size - HEADER;
        let pattern = self.stream.piece(talker, line.wrapping_mul(length as u64));
        to.extend_from_slice(&pattern[..length]);
    }

    /// What the client `talker` says in its `line`.
    pub fn text(&self, talker: usize, line: u64) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.size);
        self.write(talker, line, &mut text);
        text
    }

    /// Whose line it is, and which: `None` if nobody says this, to the last byte.
    pub fn read(&self, text: &[u8]) -> Option<(usize, u64)> {
        let header = text.get(..HEADER)?;
        let talker = value(&header[..TALKER])? as usize;
        let line = value(&header[TALKER + 1..][..LINE])?;
        (self.text(talker, line) == text).then_some((talker, line))
    }
}

fn digits(number: u64, to: &mut [u8]) {
    let mut rest = number;
    for digit in to.iter_mut().rev() {
        *digit = DIGITS[(rest % BASE) as usize];
        rest /= BASE;
    }
}

fn value(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0, |value, &digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'z' => digit - b'a' + 10,
            _ => return None,
        };
        Some(value * BASE + u64::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nick_tells_who_it_is_and_in_which_run() {
        let names = Names { tag: *b"a0z" };
        assert_eq!(&names.nick(37, 0), b"sa0z00011");
        assert_eq!(&names.nick(0, 11), b"sa0zb0000");
        for number in [0, 35, 36, 1000, MOST - 1] {
            for attempt in [0, 1] {
                assert_eq!(names.number(&names.nick(number, attempt)), Some(number));
            }
        }
        for other in ["", "sa0z0001", "sa0z000111", "sa0y00011", "sa0z0001A", "xa0z00011"] {
            assert_eq!(names.number(other.as_bytes()), None, "{other}");
        }
        assert_eq!(names.room(7), b"#sa0z-7");
    }

    #[test]
    fn a_line_tells_whose_it_is_and_fits_into_irc() {
        for size in [HEADER, 16, 64, 400] {
            let texts = Texts::new(Arc::new(Stream::printable(1)), size);
            for (talker, line) in [(0, 0), (17, 1), (999, 1_000_000)] {
                let text = texts.text(talker, line);
                assert_eq!(text.len(), size);
                assert!(text.iter().all(u8::is_ascii_graphic), "{}", text.escape_ascii());
                assert_eq!(texts.read(&text), Some((talker, line)));
                let mut wrong = text.clone();
                wrong[size - 1] ^= 1;
                assert_ne!(texts.read(&wrong), Some((talker, line)));
                assert_eq!(texts.read(&text[..size - 1]), None);
            }
        }
    }
}

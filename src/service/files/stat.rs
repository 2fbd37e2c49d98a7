//! What fstat(2) tells of a file, and the entity tag made of it.

use std::fmt;
use std::time::{Duration, SystemTime};

use rustix::fs::FileType;

/// The last second of the year 9999.
const LAST: i64 = 253_402_300_799;

/// Longer than a tick of the kernel's clock: 10 ms at most.
const TICK: Duration = Duration::from_millis(20);

/// One version of a file. Two that are equal have, as far as the file system can tell, the same
/// bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Stat {
    /// The file system.
    pub device: u64,
    /// The file on it. Another file may get the number once this one is gone.
    pub inode: u64,
    /// Its bytes.
    pub len: u64,
    /// When its bytes changed: seconds and nanoseconds since 1970. Anybody may set it.
    pub modified: (i64, u32),
    /// When it changed in any way, renamed included. Nobody can set it.
    pub changed: (i64, u32),
}

impl Stat {
    pub(super) fn new(stat: &rustix::fs::Stat) -> Stat {
        Stat {
            device: stat.st_dev,
            inode: stat.st_ino,
            len: stat.st_size.try_into().unwrap_or(0),
            modified: (stat.st_mtime, stat.st_mtime_nsec as u32),
            changed: (stat.st_ctime, stat.st_ctime_nsec as u32),
        }
    }

    /// When its bytes changed, or the nearest that a date can tell which begins in 1970 and has years
    /// of four digits, as those of HTTP have: anybody may set any time.
    pub fn modified(&self) -> SystemTime {
        time(self.modified)
    }

    /// Whether it will have other times if it changes after `now`. Before Linux 6.13 it has the same
    /// ones within a tick of the kernel's clock.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let last = time(self.modified.max(self.changed));
        now.duration_since(last).is_ok_and(|age| age > TICK)
    }

    /// The opaque part of a strong ETag: hexadecimal digits and hyphens, 84 bytes at most.
    ///
    /// A size and seconds would not do, for a file may change twice in a second and keep its length.
    /// Before Linux 6.13 a file that is written in place twice within a tick of the kernel's clock
    /// (1 to 10 ms) keeps both its times; one that is replaced has another inode.
    pub fn tag(&self) -> Tag {
        let mut tag = Tag { bytes: [0; Tag::MOST], len: 0 };
        tag.hex(self.inode);
        tag.hyphen();
        tag.hex(self.len);
        tag.hyphen();
        tag.hex(nanoseconds(self.modified));
        tag.hyphen();
        tag.hex(nanoseconds(self.changed));
        tag.hyphen();
        tag.hex(self.device);
        tag
    }
}

fn time(since_1970: (i64, u32)) -> SystemTime {
    let (seconds, nanoseconds) = match since_1970 {
        (..0, _) => (0, 0),
        (LAST.., _) => (LAST, 0),
        time => time,
    };
    SystemTime::UNIX_EPOCH + Duration::new(seconds.unsigned_abs(), nanoseconds)
}

pub(super) fn kind(stat: &rustix::fs::Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// For a tag: after 584 years the same again.
fn nanoseconds((seconds, nanoseconds): (i64, u32)) -> u64 {
    (seconds as u64).wrapping_mul(1_000_000_000).wrapping_add(u64::from(nanoseconds))
}

/// An entity tag without its quotes, on the stack: each answer has one.
#[derive(Clone, Copy)]
pub struct Tag {
    bytes: [u8; Tag::MOST],
    len: usize,
}

impl Tag {
    /// Five numbers and what stands between them.
    const MOST: usize = 5 * 16 + 4;

    /// The same as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("digits and hyphens are ASCII")
    }

    /// The same as bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn hex(&mut self, number: u64) {
        let digits = (64 - number.leading_zeros()).div_ceil(4).max(1);
        for digit in (0..digits).rev() {
            self.push(b"0123456789abcdef"[(number >> (4 * digit) & 15) as usize]);
        }
    }

    fn hyphen(&mut self) {
        self.push(b'-');
    }

    fn push(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: Stat =
        Stat { device: 0xfe01, inode: 0, len: 16, modified: (1, 2), changed: (-1, 999_999_999) };

    #[test]
    fn a_tag_is_its_numbers() {
        assert_eq!(STAT.tag().as_str(), "0-10-3b9aca02-ffffffffffffffff-fe01");
    }

    #[test]
    fn the_longest_tag_fits() {
        let most = Stat {
            device: u64::MAX,
            inode: u64::MAX,
            len: u64::MAX,
            modified: (-2, 0),
            changed: (i64::MIN, 999_999_999),
        };
        assert!(most.tag().as_bytes().len() <= Tag::MOST);
    }

    #[test]
    fn what_has_changed_a_moment_ago_may_change_again_and_keep_its_times() {
        let now = SystemTime::UNIX_EPOCH + Duration::new(1000, 15_000_000);
        let is_settled = |modified, changed| Stat { modified, changed, ..STAT }.is_settled(now);
        let (long_ago, just_now) = ((999, 994_000_000), (999, 996_000_000));
        assert!(is_settled(long_ago, long_ago) && is_settled((-1, 0), (i64::MIN, 0)));
        assert!(!is_settled(just_now, long_ago) && !is_settled(long_ago, just_now));
        assert!(!is_settled((1000, 15_000_000), long_ago) && !is_settled((i64::MAX, 0), long_ago));
    }

    #[test]
    fn times_that_no_date_can_tell_become_those_that_one_can() {
        let at = |seconds, nanoseconds| {
            let stat = Stat { modified: (seconds, nanoseconds), ..STAT };
            stat.modified().duration_since(SystemTime::UNIX_EPOCH).unwrap()
        };
        assert_eq!(at(1, 5), Duration::new(1, 5));
        for seconds in [-1, -2, i64::MIN] {
            assert_eq!(at(seconds, 999_999_999), Duration::ZERO);
        }
        for seconds in [LAST, LAST + 1, i64::MAX] {
            assert_eq!(at(seconds, 999_999_999), Duration::from_secs(LAST as u64));
        }
    }
}

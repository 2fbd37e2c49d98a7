//! Numbers, durations and sizes as people write them.

use std::num::IntErrorKind;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytesize::ByteSize;

/// Longer than any machine runs, and still far from what a clock can hold.
const FOR_EVER: Duration = Duration::from_secs(1 << 30);

/// A whole number from `least` on.
pub fn at_least<T: TryFrom<u64>>(least: u64) -> impl Fn(&str) -> Result<T, String> + Clone {
    const TOO_LARGE: &str = "nothing here is as large as that";
    move |text| match text.parse() {
        Ok(number) if number >= least => T::try_from(number).map_err(|_| TOO_LARGE.into()),
        Err(error) if *error.kind() == IntErrorKind::PosOverflow => Err(TOO_LARGE.into()),
        _ => Err(format!("a whole number is needed, {least} or more")),
    }
}

/// A whole number in this range.
pub fn within<T>(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<T, String> + Clone
where
    T: TryFrom<u64>,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| {
            format!("a whole number is needed, from {} to {}", range.start(), range.end())
        })
    }
}

/// `90`, `90s`, `1m 30s`, `250ms`: a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return match Duration::try_from_secs_f64(seconds) {
            Ok(time) => Ok(time.min(FOR_EVER)),
            Err(_) if seconds > 0.0 && seconds.is_finite() => Ok(FOR_EVER),
            Err(_) => Err("a time is a number, and not negative".into()),
        };
    }
    humantime::parse_duration(text)
        .map(|time| time.min(FOR_EVER))
        .map_err(|_| "not a time; examples: 5s, 250ms, 1m 30s, or a number of seconds".into())
}

/// A duration that is not zero, for what cannot succeed in no time.
pub fn patience(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be more than zero".into()),
        patience => Ok(patience),
    }
}

/// `65536`, `64K` and `64KB` (thousands), `64KiB` (1024): bytes.
pub fn size(text: &str) -> Result<usize, String> {
    let size: ByteSize = text.parse().map_err(|_| "not a size; examples: 65536, 64KiB, 1MB")?;
    usize::try_from(size.as_u64()).map_err(|error| error.to_string())
}

/// A backlog: with less than a page, each byte would cost a system call.
pub fn backlog(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes if bytes >= 4096 => Ok(bytes),
        _ => Err("a backlog has 4KiB or more".into()),
    }
}

/// The smallest stack on which no client can make a thread run out of it. The deepest call chain is
/// the search for a way from a client's certificate to an authority.
const LEAST_STACK: u64 = if cfg!(debug_assertions) { 128 } else { 64 };

/// A size that a thread's stack can have: less overflows, more is more than any machine has.
pub fn stack(text: &str) -> Result<usize, String> {
    match size(text)? {
        bytes if (LEAST_STACK << 10..=1 << 30).contains(&(bytes as u64)) => Ok(bytes),
        _ => Err(format!("a stack has {LEAST_STACK}KiB to 1GiB")),
    }
}

/// A command that starts a server.
pub fn command(text: &str) -> Result<String, String> {
    match text.contains("{port}") {
        true => Ok(text.into()),
        false => Err("the command has no {port}, where a free port is put in".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers_have_their_bounds() {
        let (some, few) = (at_least::<u32>(1), within::<u16>(0..=256));
        assert_eq!((some("1"), some("4294967295")), (Ok(1), Ok(u32::MAX)));
        for wrong in ["0", "-1", "x", "", "1.5"] {
            assert_eq!(some(wrong), Err("a whole number is needed, 1 or more".into()));
        }
        for large in ["4294967296", "18446744073709551616"] {
            assert_eq!(some(large), Err("nothing here is as large as that".into()));
        }
        assert_eq!((few("0"), few("256")), (Ok(0), Ok(256)));
        for wrong in ["257", "65537", "-1", "x", "", "18446744073709551616"] {
            assert_eq!(few(wrong), Err("a whole number is needed, from 0 to 256".into()));
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text| duration(text).ok();
        assert_eq!(read("90"), Some(Duration::from_secs(90)));
        assert_eq!(read("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(read("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(read("10m"), Some(Duration::from_secs(600)));
        assert_eq!(read("-1"), None);
        assert_eq!(read("1e30"), Some(FOR_EVER));
        assert_eq!(read("nan"), None);
        assert_eq!(read("soon"), None);
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        let read = |text| size(text).ok();
        assert_eq!(read("65536"), Some(65_536));
        assert_eq!(read("64KiB"), Some(65_536));
        assert_eq!(read("1MB"), Some(1_000_000));
        assert_eq!(read("-1"), None);
        assert_eq!(read("much"), None);
    }
}

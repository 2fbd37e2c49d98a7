//! Durations and sizes as people write them.

use std::time::Duration;

use bytesize::ByteSize;

/// `90`, `90s`, `1m 30s`, `250ms`: a bare number is seconds.
pub fn duration(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string());
    }
    humantime::parse_duration(text).map_err(|error| format!("{error}; examples: 5s, 250ms, 10m"))
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
    let size: ByteSize = text
        .parse()
        .map_err(|error| format!("{error}; examples: 65536, 64KiB, 1MB"))?;
    usize::try_from(size.as_u64()).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = |text| duration(text).ok();
        assert_eq!(read("90"), Some(Duration::from_secs(90)));
        assert_eq!(read("0.5"), Some(Duration::from_millis(500)));
        assert_eq!(read("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(read("10m"), Some(Duration::from_secs(600)));
        assert_eq!(read("-1"), None);
        assert_eq!(read("inf"), None);
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

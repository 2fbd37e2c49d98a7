//! How failures are told: one line that says what was attempted, why it failed, and what to do.

use std::io;
use std::time::Duration;

/// An error as its system call names it, without the number.
pub fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    match text.split_at_checked(1) {
        Some((first, rest)) => first.to_lowercase() + rest,
        None => text.into(),
    }
}

/// Why `host` has no address.
pub fn unresolved(host: &str, error: &io::Error) -> String {
    let advice = match host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => "the port is given with --port",
        _ => "check --host",
    };
    format!("cannot find the address of {host:?}: {}; {advice}", cause(error))
}

/// 250 ms, 1 s, 1.4 s.
pub fn time(time: Duration) -> String {
    let rounded = match time.as_millis() {
        ms @ 1000.. => Duration::from_millis((ms as u64 + 50) / 100 * 100),
        ms @ 1.. => Duration::from_millis(ms as u64),
        0 => time,
    };
    let text = format!("{rounded:?}");
    let unit = text.find(char::is_alphabetic).unwrap_or(text.len());
    format!("{} {}", &text[..unit], &text[unit..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_as_people_read_them() {
        let times = [1_000_000, 250_000, 1_449_000, 60_000_000, 999_900, 80]
            .map(|us| time(Duration::from_micros(us)));
        assert_eq!(times, ["1 s", "250 ms", "1.4 s", "60 s", "999 ms", "80 µs"]);
    }
}

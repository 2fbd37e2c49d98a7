//! Names, sizes and times as a listing shows them. Names are any bytes, and some are chosen by
//! people who mean harm: nothing here leaves its element, its attribute or its line.

use std::fmt::Write;
use std::time::SystemTime;

use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

/// All but what RFC 3986 §2.3 never wants encoded.
pub const RESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A name in a relative URL, byte for byte. The `./` keeps `javascript:` from being a scheme.
pub fn href(name: &[u8], is_directory: bool) -> String {
    let slash = if is_directory { "/" } else { "" };
    format!("./{}{slash}", percent_encode(name, RESERVED))
}

/// Bytes as HTML text: what is not UTF-8 becomes U+FFFD, and what cannot be seen, or would turn
/// others around, is shown for what it is.
pub fn shown(bytes: &[u8]) -> String {
    let mut safe = String::with_capacity(bytes.len());
    for letter in String::from_utf8_lossy(bytes).chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => {
                // Writing to a string does not fail.
                let _ = write!(safe, "[U+{:04X}]", letter as u32);
            }
            '\u{fffe}' | '\u{ffff}' => safe.push('\u{fffd}'),
            _ => safe.push(letter),
        }
    }
    safe
}

/// A size in three digits or four: `1.4 MiB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut units = UNITS.into_iter();
    let mut unit = units.next();
    // What rounds to 1024 is one of the next unit.
    while value >= 1023.5 {
        let Some(next) = units.next() else { break };
        (value, unit) = (value / 1024.0, Some(next));
    }
    let digits = if value < 9.95 { 1 } else { 0 };
    format!("{value:.digits$} {}", unit.unwrap_or_default())
}

/// A number with a comma between thousands.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 file`, `2 files`, `2 directories`.
pub fn counted(number: u64, one: &str, many: &str) -> String {
    let unit = if number == 1 { one } else { many };
    format!("{} {unit}", count(number))
}

/// A time in UTC, to the second or exactly, as RFC 3339 has it. What lies beyond the years 0 to 9999
/// is shown as their end.
pub fn time(at: SystemTime, exactly: bool) -> String {
    const YEAR_ZERO: i64 = -62_167_219_200;
    let end = match at < SystemTime::UNIX_EPOCH {
        true => Timestamp::from_second(YEAR_ZERO).unwrap_or(Timestamp::MIN),
        false => Timestamp::MAX,
    };
    let at = Timestamp::try_from(at).unwrap_or(end);
    let at = if at.as_second() < YEAR_ZERO { end } else { at };
    if exactly { format!("{at}") } else { format!("{at:.0}") }
}

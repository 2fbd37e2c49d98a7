//! Numbers as people read them.
//!
//! Three significant digits everywhere: no measurement here is good for a fourth. What is not a
//! number is a dash.

use super::document::Ratio;

/// What stands for a number that there is none of.
pub const NONE: &str = "–";

/// A ratio and its interval: "1.41× [1.38, 1.43]".
pub fn ratio(ratio: &Ratio) -> String {
    format!("{}× {}", times(ratio.estimate), interval(ratio))
}

/// The interval alone: "[1.38, 1.43]".
pub fn interval(ratio: &Ratio) -> String {
    format!("[{}, {}]", times(ratio.low), times(ratio.high))
}

/// A factor: 1.41, 12.3, 0.071.
pub fn times(factor: f64) -> String {
    match factor.abs() {
        _ if !factor.is_finite() => NONE.into(),
        0.0 => "0".into(),
        size if !(1e-4..1e6).contains(&size) => format!("{factor:.1e}"),
        size if size < 0.00995 => format!("{factor:.4}"),
        size if size < 0.0995 => format!("{factor:.3}"),
        _ => three(factor),
    }
}

/// A duration: 812 ns, 3.21 µs, 1.05 ms, 2.30 s.
pub fn duration(ns: f64) -> String {
    with_unit(ns, &[(1.0, "ns"), (1e3, "µs"), (1e6, "ms"), (1e9, "s")])
}

/// A size: 109 B, 14.0 KB, 1.20 MB; a KB has 1000 bytes.
pub fn bytes(bytes: f64) -> String {
    with_unit(bytes, &[(1.0, "B"), (1e3, "KB"), (1e6, "MB"), (1e9, "GB"), (1e12, "TB")])
}

/// A size of a file, as whoever asked for it wrote it: 1 KiB, 64 KiB, 1000 B.
pub fn file_size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{} {name}", count(bytes / unit)),
        None => format!("{} B", count(bytes)),
    }
}

/// A rate: 312,000/s.
pub fn rate(per_second: f64) -> String {
    match per_second.abs() {
        _ if !per_second.is_finite() => NONE.into(),
        0.0 => "0/s".into(),
        size if size >= 1e15 => format!("{per_second:.2e}/s"),
        size if size >= 99.95 => {
            let step = 10f64.powf(size.log10().floor() - 2.0).max(1.0);
            let sign = if per_second < 0.0 { "-" } else { "" };
            format!("{sign}{}/s", count(((size / step).round() * step) as u64))
        }
        _ => format!("{}/s", three(per_second)),
    }
}

/// A share: 97 %.
pub fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if !percent.is_finite() => NONE.into(),
        percent if percent.abs() < 9.95 => without_zeros(&format!("{percent:.1} %")),
        percent if percent.abs() < 1e6 => format!("{percent:.0} %"),
        percent => format!("{percent:.1e} %"),
    }
}

/// A share that may be next to nothing: 0.0004 %.
pub fn small_percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent > 0.0 && percent < 0.095 => {
            let decimals = (-percent.log10()).ceil() as usize;
            format!("{percent:.decimals$} %")
        }
        _ => percent(share),
    }
}

/// A number of things: 1,234,567.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// How long something took: 8.2 s, 4 min 12 s.
pub fn elapsed(seconds: f64) -> String {
    match seconds {
        _ if !seconds.is_finite() => NONE.into(),
        s if (119.5..1e9).contains(&s) => match (s.round() as u64 / 60, s.round() as u64 % 60) {
            (minutes, 0) => format!("{} min", count(minutes)),
            (minutes, seconds) => format!("{} min {seconds} s", count(minutes)),
        },
        s => duration(s * 1e9),
    }
}

/// A number that was chosen, not measured: "10.0 µs" as "10 µs", "1.50" as "1.5".
pub fn without_zeros(text: &str) -> String {
    let (number, unit) = match text.split_once(' ') {
        Some((number, unit)) => (number, format!(" {unit}")),
        None => (text, String::new()),
    };
    match number.contains('.') && !number.contains('e') {
        true => number.trim_end_matches('0').trim_end_matches('.').to_string() + &unit,
        false => text.to_string(),
    }
}

fn with_unit(value: f64, units: &[(f64, &str)]) -> String {
    if !value.is_finite() {
        return NONE.into();
    }
    // 999.6 ns is 1.00 µs: what rounds to 1000 belongs to the next unit.
    let fits = |(size, _): &&(f64, &str)| value.abs() / size >= 0.9995;
    let (size, unit) = units.iter().rev().find(fits).unwrap_or(&units[0]);
    match value / size {
        0.0 => format!("0 {unit}"),
        value if value.abs() >= 1e6 => format!("{value:.2e} {unit}"),
        value => format!("{} {unit}", three(value)),
    }
}

/// Three significant digits, and no more than two of them behind the point.
fn three(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        let all = [812.4, 3210.0, 999.6, 1_052_000.0, 2.3e9, 0.0, 7_200e9, f64::NAN];
        let text = ["812 ns", "3.21 µs", "1.00 µs", "1.05 ms", "2.30 s", "0 ns", "7200 s", "–"];
        assert_eq!(all.map(duration), text);
    }

    #[test]
    fn sizes_rates_and_shares_are_read_at_a_glance() {
        assert_eq!([109.0, 14_010.0, 1.2e6].map(bytes), ["109 B", "14.0 KB", "1.20 MB"]);
        let rates = ["312,000/s", "1,000,000/s", "8.12/s", "812/s", "0/s"];
        assert_eq!([312_345.0, 999_600.0, 8.123, 812.0, 0.0].map(rate), rates);
        assert_eq!([0.0, 0.005, 0.03, 0.974].map(percent), ["0 %", "0.5 %", "3 %", "97 %"]);
        let small = ["0 %", "0.0004 %", "0.03 %", "1.2 %"];
        assert_eq!([0.0, 4e-6, 3e-4, 0.012].map(small_percent), small);
        assert_eq!([0, 12, 1000, 1_234_567].map(count), ["0", "12", "1,000", "1,234,567"]);
        assert_eq!([8.2, 252.0, 120.0].map(elapsed), ["8.20 s", "4 min 12 s", "2 min"]);
    }

    #[test]
    fn ratios_stand_with_their_interval() {
        let of = |estimate, low, high| ratio(&Ratio { estimate, low, high, rounds: 12 });
        assert_eq!(of(1.412, 1.38, 1.43), "1.41× [1.38, 1.43]");
        assert_eq!(of(0.0712, 0.007, 12.34), "0.071× [0.0070, 12.3]");
        assert_eq!(of(f64::NAN, 0.0, f64::INFINITY), "–× [0, –]");
    }
}

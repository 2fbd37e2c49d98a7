//! The charts of a page, one file each, and what they share.

pub mod clients;
pub mod forest;
pub mod latency;
pub mod memory;
pub mod slices;

use super::document::BenchResult;
use super::svg::{escape, key};
use super::words::{self, without_zeros};

/// Every contestant with its mark.
pub fn legend(result: &BenchResult) -> String {
    let mut out = String::from("<p class=\"legend\">");
    for (place, contestant) in result.contestants.iter().enumerate() {
        let (key, name) = (key(place), escape(&contestant.name));
        let role = if place == 0 { " <small>baseline</small>" } else { "" };
        out += &format!("<span>{key} {name}{role}</span> ");
    }
    out + "</p>\n"
}

/// A chart under its title, and what it is over below it.
fn panel(title: &str, note: &str, drawing: &str, over: &str) -> String {
    let (title, note) = (escape(title), escape(note));
    format!(
        "<figure><figcaption>{title} <small>{note}</small></figcaption>\n{drawing}\
         <p class=\"under\">{over}</p></figure>\n"
    )
}

/// The smallest and the largest of the numbers that are finite and positive.
fn range(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    values.into_iter().filter(|value| value.is_finite() && *value > 0.0).fold(
        None,
        |range, value| match range {
            None => Some((value, value)),
            Some((low, high)) => Some((value.min(low), value.max(high))),
        },
    )
}

/// A duration at an axis: 10 µs.
fn duration_tick(ns: f64) -> String {
    if ns == 0.0 { "0".into() } else { without_zeros(&words::duration(ns)) }
}

/// A rate at an axis: 200k.
fn rate_tick(rate: f64) -> String {
    let (number, unit) = match rate.abs() {
        size if size >= 0.9995e6 => (rate / 1e6, "M"),
        size if size >= 0.9995e3 => (rate / 1e3, "k"),
        _ => (rate, ""),
    };
    without_zeros(&words::times(number)) + unit
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_short() {
        let durations = [10_000.0, 1500.0, 0.0, 200.0].map(duration_tick);
        assert_eq!(durations, ["10 µs", "1.5 µs", "0", "200 ns"]);
        assert_eq!([0.0, 50.0, 2e5, 1.5e6].map(rate_tick), ["0", "50", "200k", "1.5M"]);
    }
}

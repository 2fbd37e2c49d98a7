//! What a run is judged by: `p99<2ms`, `errors>0`, `rate<100000`, `loss>0.1%`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::report::document::LoadResult;

/// A figure, a comparison and a bound.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    text: String,
    figure: Figure,
    comparison: Comparison,
    bound: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Figure {
    P50,
    P90,
    P99,
    P99_9,
    P99_99,
    Mean,
    Max,
    Cpu,
    Rate,
    Errors,
    Lost,
    Loss,
    Duplicated,
    Reordered,
    Corrupted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
}

const FIGURES: [(&str, Figure); 15] = [
    ("p50", Figure::P50),
    ("p90", Figure::P90),
    ("p99", Figure::P99),
    ("p99.9", Figure::P99_9),
    ("p99.99", Figure::P99_99),
    ("mean", Figure::Mean),
    ("max", Figure::Max),
    ("cpu", Figure::Cpu),
    ("rate", Figure::Rate),
    ("errors", Figure::Errors),
    ("lost", Figure::Lost),
    ("loss", Figure::Loss),
    ("duplicated", Figure::Duplicated),
    ("reordered", Figure::Reordered),
    ("corrupted", Figure::Corrupted),
];

// The longer sign first, for it begins with the shorter one.
const COMPARISONS: [(&str, Comparison); 4] = [
    ("<=", Comparison::AtMost),
    (">=", Comparison::AtLeast),
    ("<", Comparison::Less),
    (">", Comparison::More),
];

impl FromStr for Condition {
    type Err = String;

    fn from_str(text: &str) -> Result<Condition, String> {
        let (sign, comparison, at) = COMPARISONS
            .iter()
            .find_map(|&(sign, comparison)| Some((sign, comparison, text.find(sign)?)))
            .ok_or("it has no <, <=, > or >=; examples: p99<2ms, errors>0")?;
        let name = text[..at].trim();
        let &(_, figure) = FIGURES.iter().find(|(known, _)| *known == name).ok_or_else(|| {
            let known: Vec<&str> = FIGURES.iter().map(|(name, _)| *name).collect();
            format!("{name:?} is not measured; there are {}", known.join(", "))
        })?;
        let bound = text[at + sign.len()..].trim();
        let bound = if figure.is_time() {
            let time = humantime::parse_duration(bound)
                .map_err(|_| format!("{bound:?} is not a time; examples: 250us, 2ms, 1s"))?;
            time.as_nanos() as f64
        } else {
            let (digits, unit) = match bound.strip_suffix('%') {
                Some(digits) if figure == Figure::Loss => (digits.trim_end(), 0.01),
                _ => (bound, 1.0),
            };
            let number: f64 = digits.parse().map_err(|_| format!("{bound:?} is not a number"))?;
            let number = number * unit;
            if number.is_nan() {
                return Err("nothing compares with NaN".into());
            }
            number
        };
        Ok(Condition { text: text.into(), figure, comparison, bound })
    }
}

impl Condition {
    /// Whether it keeps a time short, as a service level objective does.
    pub fn bounds_latency(&self) -> bool {
        let short = matches!(self.comparison, Comparison::Less | Comparison::AtMost);
        short && self.figure.is_time() && self.figure != Figure::Cpu
    }

    /// Whether it is about datagrams, and never measured where there are none.
    pub fn is_of_datagrams(&self) -> bool {
        use Figure::{Corrupted, Duplicated, Loss, Lost, Reordered};
        matches!(self.figure, Lost | Loss | Duplicated | Reordered | Corrupted)
    }

    /// Whether it is true of `result`; `None` where the figure was not measured, or rests on too few
    /// values.
    pub fn holds(&self, result: &LoadResult) -> Option<bool> {
        let value = self.value(result)?;
        Some(match self.comparison {
            Comparison::Less => value < self.bound,
            Comparison::AtMost => value <= self.bound,
            Comparison::More => value > self.bound,
            Comparison::AtLeast => value >= self.bound,
        })
    }

    /// The figure, in nanoseconds where it is a time: a percentile is infinite where so many
    /// datagrams were lost that it is one of theirs.
    pub fn value(&self, result: &LoadResult) -> Option<f64> {
        let latency = result.latency.as_ref();
        if self.figure.share().is_some_and(|share| share + loss(result) > 1.0) {
            return Some(f64::INFINITY);
        }
        let percentile = match self.figure {
            Figure::P50 => latency?.p50_ns,
            Figure::P90 => latency?.p90_ns,
            Figure::P99 => latency?.p99_ns,
            Figure::P99_9 => latency?.p99_9_ns,
            Figure::P99_99 => latency?.p99_99_ns,
            Figure::Max => Some(latency?.max_ns),
            Figure::Mean => return Some(latency?.mean_ns),
            Figure::Cpu => return Some(result.server.as_ref()?.cpu_per_message_ns),
            Figure::Rate => return Some(result.messages_per_second),
            Figure::Errors => return Some(result.faults.total() as f64),
            Figure::Lost => return Some(result.datagrams?.lost as f64),
            Figure::Loss => return Some(result.datagrams?.loss()),
            Figure::Duplicated => return Some(result.datagrams?.duplicated as f64),
            Figure::Reordered => return Some(result.datagrams?.reordered as f64),
            Figure::Corrupted => return Some(result.datagrams?.corrupted as f64),
        };
        percentile.map(|time| time as f64)
    }

    /// The figure as people read it.
    pub fn shown(&self, value: f64) -> String {
        match self.figure {
            Figure::Loss => format!("{} %", value * 100.0),
            _ if value.is_infinite() => "infinite, for so many were lost".into(),
            figure if figure.is_time() => format!("{:?}", Duration::from_nanos(value as u64)),
            _ => format!("{value}"),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Figure {
    fn is_time(self) -> bool {
        use Figure::{Corrupted, Duplicated, Errors, Loss, Lost, Rate, Reordered};
        !matches!(self, Rate | Errors | Lost | Loss | Duplicated | Reordered | Corrupted)
    }

    /// Of a percentile: the share of all messages that were as fast as it.
    fn share(self) -> Option<f64> {
        match self {
            Figure::P50 => Some(0.5),
            Figure::P90 => Some(0.9),
            Figure::P99 => Some(0.99),
            Figure::P99_9 => Some(0.999),
            Figure::P99_99 => Some(0.9999),
            Figure::Max => Some(1.0),
            _ => None,
        }
    }
}

/// The share of datagrams that were lost.
fn loss(result: &LoadResult) -> f64 {
    result.datagrams.map_or(0.0, |datagrams| datagrams.loss())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Condition>();
        let slo = read("p99 < 2ms").unwrap();
        assert_eq!((slo.figure, slo.comparison), (Figure::P99, Comparison::Less));
        assert_eq!(slo.bound, 2e6);
        assert!(slo.bounds_latency());
        assert!(read("p99.9<=250us").unwrap().bounds_latency());
        assert!(!read("p99>5ms").unwrap().bounds_latency());
        assert!(!read("errors>0").unwrap().bounds_latency());
        assert_eq!(read("rate>=1e5").unwrap().bound, 1e5);
        assert_eq!(read("loss>0.5%").unwrap().bound, 0.005);
        assert_eq!(read("loss > 0.005").unwrap().bound, 0.005);
        assert!(read("lost>0").unwrap().is_of_datagrams());
        assert!(!read("errors>0").unwrap().is_of_datagrams());
        for wrong in
            ["", "lost>1%", "p99", "p98<1ms", "p99<2", "errors>many", "p99<", "errors>nan", "=<3"]
        {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}

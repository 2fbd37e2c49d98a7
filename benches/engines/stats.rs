//! A ratio and how sure it is.

use std::fmt;

/// 97.5 % of a normal distribution lie below so many deviations: what an interval of 95 % needs.
const DEVIATIONS: f64 = 1.96;

/// A difference of less than this is not worth a word.
const TOLERANCE: f64 = 1.05;

/// A ratio with its interval of 95 %.
#[derive(Clone, Copy, Debug)]
pub struct Ratio {
    pub middle: f64,
    pub low: f64,
    pub high: f64,
}

impl Ratio {
    /// The Hodges–Lehmann estimate from paired measurements, with the interval of Wilcoxon's
    /// signed-rank test: the median of the means of all pairs of log ratios. Neither needs a normal
    /// distribution, and slices that something else disturbed hardly move them.
    pub fn of_pairs(pairs: impl IntoIterator<Item = (f64, f64)>) -> Ratio {
        let logs: Vec<f64> = pairs.into_iter().map(|(a, b)| (a / b).ln()).collect();
        let mut means: Vec<f64> = (0..logs.len())
            .flat_map(|i| logs[i..].iter().map(move |b| (i, b)))
            .map(|(i, b)| (logs[i] + b) / 2.0)
            .collect();
        means.sort_by(f64::total_cmp);
        let n = logs.len() as f64;
        let deviation = (n * (n + 1.0) * (2.0 * n + 1.0) / 24.0).sqrt();
        let outside = (n * (n + 1.0) / 4.0 - DEVIATIONS * deviation).max(0.0) as usize;
        let last = means.len() - 1;
        Ratio {
            middle: f64::midpoint(means[last / 2], means[last.div_ceil(2)]).exp(),
            low: means[outside].exp(),
            high: means[last - outside].exp(),
        }
    }

    fn verdict(&self) -> &'static str {
        let narrow = self.high < TOLERANCE && self.low > 1.0 / TOLERANCE;
        match (self.low > 1.0, self.high < 1.0) {
            (true, _) => "dearer",
            (_, true) => "cheaper",
            _ if narrow => "no difference shown",
            _ => "inconclusive",
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ratio { middle, low, high } = self;
        write!(f, "{middle:.2}× [{low:.2}, {high:.2}] {}", self.verdict())
    }
}

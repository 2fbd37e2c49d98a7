//! Ratios and how sure they are.
//!
//! What differs from one start of a server to the next, such as the layout of its memory and its
//! CPUs, is larger than what differs between its slices. So there are two levels: the pairs of
//! slices of a round give one ratio, and only rounds count as independent of each other. The slices
//! of all rounds in one pot would give intervals that are far too narrow: a server against itself
//! came out as 0.86 [0.85, 0.87], and the next time as 0.95 [0.95, 0.96].
//!
//! Both levels take logarithms, so that neither side is favoured, and the Hodges–Lehmann estimate,
//! which needs no normal distribution and which disturbed slices hardly move. Its interval asks only
//! that rounds are independent and their log ratios symmetric about the true one. With equal servers
//! they are, whatever the machine does: either process could have been the other.
//!
//! Source: Hollander, Wolfe and Chicken, *Nonparametric Statistical Methods*, 3rd ed., §3.1–3.3.

use std::fmt;

use crate::report::document::{Metric, Ratio, Verdict};

/// Rounds that an interval of 95 % needs: five agree by chance in 2 of 32 cases, which is more than
/// 5 %.
pub const FEWEST_ROUNDS: usize = 6;

/// Up to so many rounds the test's distribution is counted: all of its 2ⁿ cases fit in 64 bits.
const COUNTED: usize = 60;

/// 97.5 % of a normal distribution lie below so many deviations.
const DEVIATIONS: f64 = 1.96;

/// The median, of an even number of values the mean of the middle two; `None` if there is none.
pub fn median(values: &[f64]) -> Option<f64> {
    middle(&mut values.to_vec())
}

/// The Hodges–Lehmann estimate: the median of the means of all pairs, each value with itself
/// included. `None` if there is no value. Takes time and memory by the square of their number:
/// 100 MB for 5,000.
pub fn hodges_lehmann(values: &[f64]) -> Option<f64> {
    middle(&mut walsh_averages(values))
}

/// The ratio of one round, from pairs of adjacent slices. Pairs of which a side is not positive and
/// finite, such as the cost of no message, are left out; `None` if no other is left.
pub fn ratio_of_pairs(pairs: &[(f64, f64)]) -> Option<f64> {
    let logs: Vec<f64> = pairs
        .iter()
        .filter(|(a, b)| is_ratio(*a) && is_ratio(*b))
        .map(|(a, b)| a.ln() - b.ln())
        .collect();
    hodges_lehmann(&logs).map(f64::exp)
}

/// A smaller difference is none that anybody would act on, however sure it is.
const TRIFLE: f64 = 1.02;

/// What `ratio`, of a contestant to the baseline, says beside `noise`, the baseline against itself.
///
/// A difference counts if its interval excludes 1 and its estimate lies beyond the noise, taken to
/// be as far below 1 as above. (To ask that of the whole interval would count the doubt twice: it
/// takes twice the rounds to find a difference of 5 %, while this rule finds one where there is none
/// in less than 1 % of the cases.) If it does not count, there is none where the interval stays
/// within a factor of `tolerance` (such as 1.05) of 1. Without an interval of 95 % on either side
/// nothing can be said.
pub fn verdict(metric: Metric, ratio: &Ratio, noise: &Ratio, tolerance: f64) -> Verdict {
    if ratio.rounds.min(noise.rounds) < FEWEST_ROUNDS {
        return Verdict::Inconclusive;
    }
    let reach = noise.high.max(1.0 / noise.low).max(TRIFLE);
    let (less, more) = match metric {
        Metric::Throughput => (Verdict::Worse, Verdict::Better),
        _ => (Verdict::Better, Verdict::Worse),
    };
    if ratio.high < 1.0 && ratio.estimate < 1.0 / reach {
        less
    } else if ratio.low > 1.0 && ratio.estimate > reach {
        more
    } else if ratio.low >= 1.0 / tolerance && ratio.high <= tolerance {
        Verdict::NoDifference
    } else {
        Verdict::Inconclusive
    }
}

impl Ratio {
    /// The Hodges–Lehmann estimate over the ratios of rounds, with the interval of Wilcoxon's
    /// signed-rank test: it covers the true ratio with 95 % or, as ranks are whole numbers, a little
    /// more. With fewer rounds than [`FEWEST_ROUNDS`] it reaches from the smallest to the largest.
    ///
    /// Ratios that are not positive and finite are left out. `None` if fewer than two are left: one
    /// has no spread.
    pub fn over_rounds(ratios: &[f64]) -> Option<Ratio> {
        let logs: Vec<f64> = ratios.iter().filter(|r| is_ratio(**r)).map(|r| r.ln()).collect();
        let rounds = logs.len();
        if rounds < 2 {
            return None;
        }
        let mut averages = walsh_averages(&logs);
        averages.sort_unstable_by(f64::total_cmp);
        let outside = critical_value(rounds).unwrap_or(0);
        let (low, high) = (averages[outside], averages[averages.len() - 1 - outside]);
        let estimate = middle(&mut averages)?;
        Some(Ratio { estimate: estimate.exp(), low: low.exp(), high: high.exp(), rounds })
    }

    /// Half the length of the interval, as a part of the estimate: 0.02 is "within 2 %".
    pub fn half_width(&self) -> f64 {
        (self.high - self.low) / 2.0 / self.estimate
    }
}

/// As in `1.41× [1.38, 1.43]`; with a third decimal where two would show an end of the interval as
/// 1.00 that is not 1.
impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ratio { estimate, low, high, .. } = self;
        let hidden = |end: f64, beyond: bool| beyond && (end - 1.0).abs() < 0.005;
        let places = if hidden(*low, *low > 1.0) || hidden(*high, *high < 1.0) { 3 } else { 2 };
        write!(f, "{estimate:.places$}× [{low:.places$}, {high:.places$}]")
    }
}

/// Whether a logarithm makes sense.
fn is_ratio(value: f64) -> bool {
    value > 0.0 && value.is_finite()
}

/// The means of all pairs, each value with itself included (Walsh 1949).
fn walsh_averages(values: &[f64]) -> Vec<f64> {
    let from = |at: usize| values[at..].iter().map(move |b| f64::midpoint(values[at], *b));
    (0..values.len()).flat_map(from).collect()
}

/// The median of values that may be put in another order.
fn middle(values: &mut [f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let odd = !values.len().is_multiple_of(2);
    let (below, upper, _) = values.select_nth_unstable_by(values.len() / 2, f64::total_cmp);
    let lower = if odd { *upper } else { below.iter().copied().max_by(f64::total_cmp)? };
    Some(f64::midpoint(lower, *upper))
}

/// The largest rank sum that Wilcoxon's test of `n` values rejects at 5 %, two-sided, and so the
/// number of Walsh averages beyond each end of the interval; `None` if it rejects nothing.
fn critical_value(n: usize) -> Option<usize> {
    if n > COUNTED {
        let n = n as f64;
        let mean = n * (n + 1.0) / 4.0;
        let deviation = (mean * (2.0 * n + 1.0) / 6.0).sqrt();
        // The half makes up for the step in a sum of whole numbers.
        return Some((mean - DEVIATIONS * deviation - 0.5) as usize);
    }
    // All 2ⁿ choices of positive ranks are alike: how many make each sum?
    let mut ways = vec![0u64; n * (n + 1) / 2 + 1];
    ways[0] = 1;
    for rank in 1..=n {
        for sum in (rank..ways.len()).rev() {
            ways[sum] += ways[sum - rank];
        }
    }
    // 2.5 % of the cases, for either tail.
    let tail = (1 << n) / 40;
    let rejected = ways.iter().scan(0, |total, ways| {
        *total += ways;
        (*total <= tail).then_some(())
    });
    rejected.count().checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values up to 25 as in the table of the University of York
    /// (<https://www.york.ac.uk/depts/maths/tables/wilcoxon.htm>); all of them, and those beyond,
    /// as counted in Python's integers.
    const CRITICAL_VALUES: [(usize, usize); 23] = [
        (6, 0),
        (7, 2),
        (8, 3),
        (9, 5),
        (10, 8),
        (11, 10),
        (12, 13),
        (13, 17),
        (14, 21),
        (15, 25),
        (16, 29),
        (17, 34),
        (18, 40),
        (19, 46),
        (20, 52),
        (21, 58),
        (22, 65),
        (23, 73),
        (24, 81),
        (25, 89),
        (30, 137),
        (40, 264),
        (50, 434),
    ];

    #[test]
    fn critical_values_are_those_of_the_table() {
        for (n, value) in CRITICAL_VALUES {
            assert_eq!(critical_value(n), Some(value), "n = {n}");
        }
        for n in 0..FEWEST_ROUNDS {
            assert_eq!(critical_value(n), None, "n = {n}");
        }
    }

    #[test]
    fn approximated_values_never_narrow_the_interval() {
        // Counted in Python's integers, too.
        for (n, value) in [(61, 672), (62, 697), (80, 1211), (100, 1955), (200, 8444), (300, 19628)]
        {
            let approximated = critical_value(n).unwrap();
            assert!((value - 2..=value).contains(&approximated), "n = {n}: {approximated}");
        }
    }
}

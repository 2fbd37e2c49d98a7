//! What certainty costs: the estimates of a bench, computed anew after every round while servers
//! wait.

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use socklab::bench::stats::{hodges_lehmann, verdict};
use socklab::report::document::{Metric, Ratio};

#[path = "support/budget.rs"]
mod budget;

/// Rounds of the shortest row, of a long one, and more than anybody waits for: the cost grows by
/// the square.
const ROUNDS: [usize; 3] = [10, 50, 500];

/// Ratios as rounds give them: around 1.4, some percent apart, in no order.
fn ratios(rounds: usize) -> Vec<f64> {
    // Steps of the golden ratio spread evenly and never repeat.
    (0..rounds).map(|round| 1.36 + 0.08 * (round as f64 * 0.618_033_988_7).fract()).collect()
}

/// The estimate alone, as within a round.
fn estimate(c: &mut Criterion) {
    let mut group = c.benchmark_group("hodges_lehmann");
    for rounds in ROUNDS {
        let ratios = ratios(rounds);
        group.bench_function(rounds.to_string(), |b| b.iter(|| hodges_lehmann(black_box(&ratios))));
    }
}

/// The estimate and its interval.
fn interval(c: &mut Criterion) {
    let mut group = c.benchmark_group("over_rounds");
    for rounds in ROUNDS {
        let ratios = ratios(rounds);
        group.bench_function(rounds.to_string(), |b| {
            b.iter(|| Ratio::over_rounds(black_box(&ratios)));
        });
    }
}

/// The word, once ratio and noise are known.
fn word(c: &mut Criterion) {
    let ratio = Ratio { estimate: 1.41, low: 1.38, high: 1.43, rounds: 10 };
    let noise = Ratio { estimate: 1.0, low: 0.99, high: 1.02, rounds: 10 };
    c.bench_function("verdict", |b| {
        b.iter(|| verdict(Metric::Cpu, black_box(&ratio), black_box(&noise), 1.05));
    });
}

criterion_group!(name = statistics; config = budget::criterion(); targets = estimate, interval, word);
criterion_main!(statistics);

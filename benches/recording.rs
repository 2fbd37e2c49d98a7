//! What the stopwatch costs the driver: one latency into its histogram, one answer compared; and what
//! is done with histograms once the clients are silent.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hdrhistogram::Histogram;
use socklab::load::tally::histogram;
use socklab::load::work::Stream;
use socklab::report::distribution::percentile;
use socklab::report::document::Distribution;

#[path = "support/budget.rs"]
mod budget;

/// Different times in a row, or the counter at hand would never leave the first cache.
const LATENCIES: usize = 1024;

/// A short message, and what one read of a busy client brings.
const ANSWERS: [usize; 2] = [64, 64 * 1024];

/// From 20 µs to 20 ms, the short ones often and the long ones rarely, in no order.
fn latencies() -> Vec<u64> {
    // Steps of the golden ratio spread evenly and never repeat.
    (0..LATENCIES)
        .map(|n| (20_000.0 * 1000_f64.powf((n as f64 * 0.618_033_988_7).fract().powi(4))) as u64)
        .collect()
}

fn full() -> Histogram<u64> {
    let mut times = histogram();
    for latency in latencies() {
        times.saturating_record(latency);
    }
    times
}

/// For each message: one count more.
fn record(c: &mut Criterion) {
    let latencies = latencies();
    let mut times = histogram();
    let mut next = latencies.iter().cycle();
    c.bench_function("record", |b| {
        b.iter(|| times.saturating_record(black_box(*next.next().expect("it has no end"))));
    });
}

/// For each answer: where its client's stream is, and whether it is right.
fn verify(c: &mut Criterion) {
    let stream = Stream::seeded(1);
    let (client, at) = (7, 1_000_003);
    let mut group = c.benchmark_group("verify");
    for length in ANSWERS {
        let came = stream.piece(client, at)[..length].to_vec();
        group.throughput(Throughput::Bytes(length as u64));
        group.bench_function(length.to_string(), |b| {
            b.iter(|| {
                let due = stream.piece(black_box(client), black_box(at));
                black_box(&came)[..] == due[..length]
            });
        });
    }
}

/// For each slice, thread or report: all counts at once.
fn sum_up(c: &mut Criterion) {
    let (mut all, one) = (full(), full());
    let mut group = c.benchmark_group("histogram");
    group.bench_function("percentile", |b| b.iter(|| percentile(black_box(&one), 99.0)));
    group.bench_function("add", |b| b.iter(|| all.add(black_box(&one)).expect("same bounds")));
    group.bench_function("encode", |b| b.iter(|| Distribution::of(black_box(&one))));
}

criterion_group!(name = recording; config = budget::criterion(); targets = record, verify, sum_up);
criterion_main!(recording);

//! What rounds add up to: how each contestant did, and how it compares.

use hdrhistogram::Histogram;

use super::stats::{self, median, ratio_of_pairs};
use crate::report::document::{
    Comparison, Datagrams, Distribution, Memory, Metric, OpenSlice, Ratio, Round, Side, Slice,
    Standing, Tls,
};

/// A difference of less than this is not worth a word.
const TOLERANCE: f64 = 1.05;

/// An event loop that is never out of work hardly ever switches. How rarely is no difference that
/// anybody feels.
const FEW_SWITCHES: f64 = 0.05;

/// How each contestant did over all rounds.
pub fn stand(rounds: &[Round], contestants: usize, latencies: &[Histogram<u64>]) -> Vec<Standing> {
    (0..contestants)
        .map(|contestant| {
            let sides: Vec<&Side> = rounds.iter().map(|round| &round.sides[contestant]).collect();
            let over = |value: &dyn Fn(&Side) -> f64| {
                let values: Vec<f64> = sides.iter().map(|side| value(side)).collect();
                median(&values).unwrap_or(0.0)
            };
            Standing {
                contestant,
                cpu_per_message_ns: over(&|side| {
                    sum(side, cpu) * 1e9 / sum(side, messages).max(1.0)
                }),
                messages_per_second: over(&|side| sum(side, messages) / sum(side, time)),
                body_bytes_per_second: None,
                switches_per_message: median(
                    &sides.iter().filter_map(|side| side.switches_per_message).collect::<Vec<_>>(),
                ),
                cpus_busy: over(&|side| sum(side, cpu) / sum(side, time)),
                driver_busy: over(&|side| sum(side, driver) / sum(side, time)),
                p50_ns: of_open(&sides, |open| open.p50_ns),
                p99_ns: of_open(&sides, |open| open.p99_ns),
                latency: Distribution::of(&latencies[contestant]),
                late: sides.iter().filter_map(|side| Some(side.open?.late)).sum(),
                memory: memory(&sides),
                datagrams: datagrams(&sides),
                tls: tls(&sides),
            }
        })
        .collect()
}

/// How each contestant but the first compares with the first.
pub fn compare(rounds: &[Round], contestants: usize) -> Vec<Comparison> {
    let ratio = |metric, side| {
        let ratios: Vec<f64> = rounds
            .iter()
            .filter_map(|round| ratio(metric, &round.sides[side], &round.sides[0]))
            .collect();
        Ratio::over_rounds(&ratios)
    };
    let pairs = (1..contestants).flat_map(|side| Metric::ALL.map(|metric| (side, metric)));
    let hardly_switches = |side: usize| {
        let often = |round: &&Round| round.sides[side].switches_per_message > Some(FEW_SWITCHES);
        rounds.iter().filter(often).count() * 2 < rounds.len()
    };
    pairs
        .filter(|&(side, metric)| {
            metric != Metric::Switches || !(hardly_switches(side) && hardly_switches(0))
        })
        .filter_map(|(contestant, metric)| {
            let noise = ratio(metric, contestants)?;
            let ratio = ratio(metric, contestant)?;
            let verdict = stats::verdict(metric, &ratio, &noise, TOLERANCE);
            Some(Comparison { contestant, metric, ratio, noise, verdict })
        })
        .collect()
}

/// One side against another in one round.
fn ratio(metric: Metric, side: &Side, baseline: &Side) -> Option<f64> {
    let of_slices = |value: fn(&Slice) -> f64| {
        let pairs: Vec<(f64, f64)> = side
            .slices
            .iter()
            .zip(&baseline.slices)
            .map(|(side, baseline)| (value(side), value(baseline)))
            .collect();
        ratio_of_pairs(&pairs)
    };
    match metric {
        Metric::Cpu => of_slices(|slice| cpu(slice) / messages(slice)),
        Metric::Throughput => of_slices(|slice| messages(slice) / time(slice)),
        Metric::P50 => Some(side.open?.p50_ns as f64 / baseline.open?.p50_ns as f64),
        Metric::P99 => Some(side.open?.p99_ns as f64 / baseline.open?.p99_ns as f64),
        Metric::Switches => Some(side.switches_per_message? / baseline.switches_per_message?),
        Metric::Memory => Some(side.memory.as_ref()?.total() / baseline.memory.as_ref()?.total()),
    }
}

/// The median over the rounds.
fn of_open(sides: &[&Side], time: fn(&OpenSlice) -> u64) -> Option<f64> {
    let times: Vec<f64> =
        sides.iter().filter_map(|side| Some(time(side.open.as_ref()?) as f64)).collect();
    median(&times)
}

fn sum(side: &Side, value: fn(&Slice) -> f64) -> f64 {
    side.slices.iter().map(value).sum()
}

fn cpu(slice: &Slice) -> f64 {
    slice.server_cpu_s
}

fn messages(slice: &Slice) -> f64 {
    slice.messages as f64
}

fn time(slice: &Slice) -> f64 {
    slice.elapsed_s
}

fn driver(slice: &Slice) -> f64 {
    slice.driver_cpu_s
}

/// Loss adds up: a median would hide what was lost in one round.
fn datagrams(sides: &[&Side]) -> Option<Datagrams> {
    sides.iter().filter_map(|side| side.datagrams).reduce(|mut sum, side| {
        sum += side;
        sum
    })
}

fn tls(sides: &[&Side]) -> Option<Tls> {
    sides.iter().filter_map(|side| side.tls.as_ref()).fold(None, |sum, side| {
        let mut sum = sum.unwrap_or_default();
        sum += side;
        Some(sum)
    })
}

fn memory(sides: &[&Side]) -> Option<Memory> {
    let all: Vec<&Memory> = sides.iter().filter_map(|side| side.memory.as_ref()).collect();
    let over = |part: fn(&Memory) -> f64| {
        let parts: Vec<f64> = all.iter().map(|memory| part(memory)).collect();
        median(&parts)
    };
    Some(Memory {
        connections: all.first()?.connections,
        resident_bytes: over(|memory| memory.resident_bytes)?,
        threads_bytes: over(|memory| memory.threads_bytes)?,
        page_tables_bytes: over(|memory| memory.page_tables_bytes)?,
        sockets_bytes: over(|memory| memory.sockets_bytes)?,
    })
}

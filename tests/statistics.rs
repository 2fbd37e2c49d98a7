//! Whether intervals cover what they claim: worked examples, simulated machines, invariances.

use std::f64::consts::TAU;

use proptest::collection::vec;
use proptest::prelude::*;
use socklab::bench::stats::{hodges_lehmann, median, ratio_of_pairs, verdict};
use socklab::report::document::{Metric, Ratio, Verdict};

/// Differences, their Hodges–Lehmann estimate, and its interval.
///
/// The first is the depression scale of Hollander and Wolfe, Table 3.1 (the example of R's
/// `wilcox.test`, x - y), the second Darwin's maize in eighths of an inch (Fisher, *The Design of
/// Experiments*, §17), the others are made up. The intervals hold all shifts that
/// `scipy.stats.wilcoxon(method="exact")` of scipy 1.17 does not reject at 5 %.
const EXAMPLES: [(&[f64], f64, f64, f64); 5] = [
    (&[0.952, -0.147, 1.022, 0.43, 0.62, 0.59, 0.49, -0.08, 0.01], 0.46, 0.01, 0.786),
    (&[49., -67., 8., 16., 6., 23., 28., 41., 14., 29., 56., 24., 75., 60., -48.], 25.0, 4.0, 41.5),
    (&[0.058, -0.072, -0.018, 0.063, -0.06, 0.097], 0.0125, -0.072, 0.097),
    (&[-0.07, 0.011, -1.111, -0.013, 0.023, -0.002, -0.143], -0.05075, -0.5905, 0.011),
    (
        &[
            0.019, 0.053, -0.043, 0.125, -0.036, 0.072, -0.185, -0.206, -0.093, 0.104, -0.001,
            -0.077, -0.041, 0.025, 0.008, -0.063, -0.165, 0.393, -0.213, -0.007,
        ],
        -0.023,
        -0.08,
        0.031,
    ),
];

#[test]
fn worked_examples_come_out() {
    for (differences, estimate, low, high) in EXAMPLES {
        let ratios: Vec<f64> = differences.iter().map(|d| d.exp()).collect();
        let ratio = Ratio::over_rounds(&ratios).unwrap();
        let found = [ratio.estimate.ln(), ratio.low.ln(), ratio.high.ln()];
        for (found, expected) in found.iter().zip([estimate, low, high]) {
            assert!((found - expected).abs() < 1e-9, "{found} for {expected}");
        }
        assert!((hodges_lehmann(differences).unwrap() - estimate).abs() < 1e-9);
        assert_eq!(ratio.rounds, differences.len());
    }
}

#[test]
fn few_rounds_give_the_widest_interval_and_one_gives_none() {
    assert_eq!(Ratio::over_rounds(&[]), None);
    assert_eq!(Ratio::over_rounds(&[1.2]), None);
    let ratio = Ratio::over_rounds(&[2.0, 8.0, f64::NAN, 0.0]).unwrap();
    assert_eq!((ratio.low.round(), ratio.estimate.round(), ratio.high.round()), (2.0, 4.0, 8.0));
    assert_eq!(ratio.rounds, 2);
}

#[test]
fn pairs_without_a_ratio_are_left_out() {
    let pairs = [(6.0, 2.0), (f64::INFINITY, 1.0), (0.0, 1.0), (1.0, f64::NAN), (1.0, -1.0)];
    assert!((ratio_of_pairs(&pairs).unwrap() - 3.0).abs() < 1e-12);
    assert_eq!(ratio_of_pairs(&pairs[1..]), None);
}

#[test]
fn the_median_of_an_even_number_is_the_middle_of_two() {
    assert_eq!(median(&[]), None);
    assert_eq!(median(&[3.0]), Some(3.0));
    assert_eq!(median(&[4.0, 1.0, 2.0]), Some(2.0));
    assert_eq!(median(&[4.0, 1.0, 9.0, 2.0]), Some(3.0));
}

#[test]
fn a_verdict_needs_an_estimate_beyond_the_noise() {
    let quiet = (0.97, 1.01);
    let table = [
        ((0.90, 0.96), quiet, Verdict::Better),
        ((1.04, 1.06), quiet, Verdict::Worse),
        ((1.02, 1.04), (0.99, 1.01), Verdict::Worse),
        // The noise reaches as far above 1 as below.
        ((1.02, 1.04), quiet, Verdict::NoDifference),
        ((1.02, 1.08), quiet, Verdict::Worse),
        ((0.98, 1.12), quiet, Verdict::Inconclusive),
        // However sure, it is a trifle.
        ((1.004, 1.006), (1.0, 1.0), Verdict::NoDifference),
        ((0.90, 0.93), (0.85, 1.18), Verdict::Inconclusive),
        ((0.99, 1.01), (0.85, 1.18), Verdict::NoDifference),
        // Noise that lies beside 1 is noise from there on.
        ((0.95, 0.96), (0.93, 0.94), Verdict::Inconclusive),
        // What never varies needs no more than this.
        ((1.0, 1.0), (1.0, 1.0), Verdict::NoDifference),
        ((1.5, 1.5), (1.0, 1.0), Verdict::Worse),
    ];
    for (ratio, noise, expected) in table {
        let (ratio, noise) = (interval(ratio, 6), interval(noise, 6));
        assert_eq!(verdict(Metric::Cpu, &ratio, &noise, 1.05), expected, "{ratio}");
        let turned = match expected {
            Verdict::Better => Verdict::Worse,
            Verdict::Worse => Verdict::Better,
            other => other,
        };
        assert_eq!(verdict(Metric::Throughput, &ratio, &noise, 1.05), turned, "{ratio}");
    }
}

#[test]
fn five_rounds_never_make_a_verdict() {
    let (clear, none) = ((0.5, 0.51), (1.0, 1.0));
    for (rounds, of_noise) in [(5, 6), (6, 5)] {
        let (ratio, noise) = (interval(clear, rounds), interval(none, of_noise));
        assert_eq!(verdict(Metric::P99, &ratio, &noise, 1.05), Verdict::Inconclusive);
    }
}

#[test]
fn ratios_are_written_with_as_many_decimals_as_they_need() {
    let table = [
        ((1.38, 1.43), "1.40× [1.38, 1.43]"),
        ((0.9961, 1.0039), "1.00× [1.00, 1.00]"),
        ((1.002, 1.0061), "1.004× [1.002, 1.006]"),
        ((0.98, 0.9962), "0.988× [0.980, 0.996]"),
    ];
    for (ends, expected) in table {
        assert_eq!(interval(ends, 6).to_string(), expected);
    }
}

#[test]
fn half_the_interval_is_told_relative_to_the_estimate() {
    let ratio = Ratio { estimate: 2.0, low: 1.9, high: 2.1, rounds: 6 };
    assert!((ratio.half_width() - 0.05).abs() < 1e-12);
}

fn interval((low, high): (f64, f64), rounds: usize) -> Ratio {
    Ratio { estimate: f64::midpoint(low, high), low, high, rounds }
}

/// Simulated runs, of which a share of 95 % comes out within 1.4 % in 95 % of cases.
const MANY: u64 = 1000;
/// Enough to see what should not be close.
const SOME: u64 = 100;
/// Pairs of slices in a round.
const PAIRS: usize = 8;
/// How far a fresh process lies from another of the same program (a standard deviation of logs).
const PROCESS: f64 = 0.03;
/// How far a slice lies from the next of the same process.
const SLICE: f64 = 0.01;

#[test]
fn the_interval_covers_the_truth_in_95_percent() {
    let share = share_of(MANY, |machine| {
        covers(&Ratio::over_rounds(&machine.bench(1.0, 10).noise).unwrap(), 1.0)
    });
    // Exactly 0.951, were there endless runs.
    assert!((0.93..=0.985).contains(&share), "{share}");
}

/// The stop rule of `bench` looks after each round and so prefers rounds that happen to agree. That
/// costs coverage, but little: with processes that differ by 1 to 6 %, in normal, heavy-tailed and
/// two-peaked distributions, 20,000 runs each, it was 0.933 at worst. Not to stop before the tenth
/// round made that 0.935.
#[test]
fn stopping_at_a_precision_hardly_lowers_the_coverage() {
    let share = share_of(MANY, |machine| {
        let mut ratios = machine.bench(1.0, 5).noise;
        loop {
            ratios.extend(machine.bench(1.0, 1).noise);
            let ratio = Ratio::over_rounds(&ratios).unwrap();
            if ratio.half_width() <= 0.02 || ratio.rounds == 40 {
                return covers(&ratio, 1.0);
            }
        }
    });
    assert!((0.915..=0.985).contains(&share), "{share}");
}

/// Why rounds are the unit: slices of one process are not independent of each other.
#[test]
fn slices_in_one_pot_claim_far_too_much() {
    let share = share_of(SOME, |machine| {
        let slices = machine.bench(1.0, 10).slices;
        covers(&Ratio::over_rounds(&slices).unwrap(), 1.0)
    });
    assert!(share < 0.75, "{share}");
}

#[test]
fn equal_servers_are_hardly_ever_told_apart() {
    let share = share_of(MANY, |machine| {
        matches!(machine.bench(1.0, 10).verdict(), Verdict::Better | Verdict::Worse)
    });
    assert!(share < 0.05, "{share}");
}

#[test]
fn five_percent_are_found_in_fifty_rounds() {
    for (effect, expected) in [(1.05, Verdict::Worse), (1.0 / 1.05, Verdict::Better)] {
        let share = share_of(SOME, |machine| machine.bench(effect, 50).verdict() == expected);
        assert!(share > 0.9, "{share}");
    }
}

/// The share of so many runs, each on a machine of its own, of which this is true.
fn share_of(runs: u64, holds: impl Fn(&mut Machine) -> bool) -> f64 {
    let held = (0..runs).filter(|run| holds(&mut Machine::new(*run))).count();
    let share = held as f64 / runs as f64;
    println!("{share}");
    share
}

fn covers(ratio: &Ratio, truth: f64) -> bool {
    ratio.low <= truth && truth <= ratio.high
}

/// What a simulated bench measured.
#[derive(Default)]
struct Bench {
    /// Contestant to baseline, one for each round.
    ratios: Vec<f64>,
    /// The baseline's second process to its first, one for each round.
    noise: Vec<f64>,
    /// As `noise`, but one for each pair of slices.
    slices: Vec<f64>,
}

impl Bench {
    fn verdict(&self) -> Verdict {
        let ratio = Ratio::over_rounds(&self.ratios).unwrap();
        let noise = Ratio::over_rounds(&self.noise).unwrap();
        verdict(Metric::Cpu, &ratio, &noise, 1.05)
    }
}

/// A machine that others use too.
struct Machine {
    random: Random,
    /// What a unit of work costs at the moment, as a logarithm.
    level: f64,
}

impl Machine {
    fn new(seed: u64) -> Machine {
        Machine { random: Random(seed << 32), level: 0.0 }
    }

    /// Benches a contestant that costs `effect` times as much as the baseline.
    fn bench(&mut self, effect: f64, rounds: usize) -> Bench {
        let mut bench = Bench::default();
        for _ in 0..rounds {
            let costs =
                [1.0, effect, 1.0].map(|cost| cost * (PROCESS * self.random.normal()).exp());
            let turns: Vec<[f64; 3]> = (0..PAIRS).map(|turn| self.turn(costs, turn)).collect();
            let against_baseline =
                |side: usize| turns.iter().map(|t| (t[side], t[0])).collect::<Vec<_>>();
            bench.ratios.extend(ratio_of_pairs(&against_baseline(1)));
            bench.noise.extend(ratio_of_pairs(&against_baseline(2)));
            bench.slices.extend(against_baseline(2).iter().map(|(a, b)| a / b));
        }
        bench
    }

    /// A slice of each, every other time in reverse order.
    fn turn(&mut self, costs: [f64; 3], turn: usize) -> [f64; 3] {
        let mut slices = [0.0; 3];
        let order = if turn.is_multiple_of(2) { [0, 1, 2] } else { [2, 1, 0] };
        for side in order {
            slices[side] = self.slice(costs[side]);
        }
        slices
    }

    /// Between slices the level creeps, and at times it jumps to anywhere within a factor of five.
    /// Two slices in a hundred are hit by something that makes them three times as slow.
    fn slice(&mut self, cost: f64) -> f64 {
        self.level += 0.01 * self.random.normal();
        if self.random.unit() < 0.02 {
            self.level = self.random.unit() * 5f64.ln();
        }
        let hit = if self.random.unit() < 0.02 { 3.0 } else { 1.0 };
        cost * hit * (self.level + SLICE * self.random.normal()).exp()
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From 0 up to, but not, 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A standard normal deviate (Box and Muller 1958).
    fn normal(&mut self) -> f64 {
        (-2.0 * (1.0 - self.unit()).ln()).sqrt() * (TAU * self.unit()).cos()
    }
}

fn without_files() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(without_files())]

    #[test]
    fn sides_that_are_swapped_invert_the_ratio(pairs in vec((0.01..100.0, 0.01..100.0), 1..40)) {
        let swapped: Vec<(f64, f64)> = pairs.iter().map(|(a, b)| (*b, *a)).collect();
        let product = ratio_of_pairs(&pairs).unwrap() * ratio_of_pairs(&swapped).unwrap();
        prop_assert!((product - 1.0).abs() < 1e-9);
    }

    #[test]
    fn ratios_that_are_inverted_invert_the_interval(ratios in vec(0.01..100.0, 2..80)) {
        let inverted: Vec<f64> = ratios.iter().map(|r| 1.0 / r).collect();
        let ratio = Ratio::over_rounds(&ratios).unwrap();
        let inverse = Ratio::over_rounds(&inverted).unwrap();
        prop_assert!((ratio.estimate * inverse.estimate - 1.0).abs() < 1e-9);
        prop_assert!((ratio.low * inverse.high - 1.0).abs() < 1e-9);
        prop_assert!((ratio.high * inverse.low - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_unit_is_irrelevant(
        pairs in vec((0.01..100.0, 0.01..100.0), 1..40),
        unit in 1e-9..1e9,
    ) {
        let scaled: Vec<(f64, f64)> = pairs.iter().map(|(a, b)| (a * unit, b * unit)).collect();
        let change = ratio_of_pairs(&scaled).unwrap() / ratio_of_pairs(&pairs).unwrap();
        prop_assert!((change - 1.0).abs() < 1e-9);
    }

    #[test]
    fn the_order_of_rounds_is_irrelevant(
        (ratios, shuffled) in vec(0.01..100.0, 2..80)
            .prop_flat_map(|ratios| (Just(ratios.clone()), Just(ratios).prop_shuffle())),
    ) {
        prop_assert_eq!(Ratio::over_rounds(&ratios), Ratio::over_rounds(&shuffled));
    }

    #[test]
    fn the_estimate_lies_in_its_interval_and_that_between_the_rounds(
        ratios in vec(0.01..100.0, 2..80),
    ) {
        let Ratio { estimate, low, high, .. } = Ratio::over_rounds(&ratios).unwrap();
        let smallest = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = ratios.iter().copied().fold(0.0, f64::max);
        prop_assert!(low <= estimate && estimate <= high);
        prop_assert!(smallest * (1.0 - 1e-9) <= low && high <= largest * (1.0 + 1e-9));
    }
}

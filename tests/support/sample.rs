//! A made-up bench that looks like a real one: the same at every call.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer, V2DeflateSerializer};
use socklab::report::document::*;

const ROUNDS: usize = 12;
const SLICES: usize = 8;
const SLICE_S: f64 = 0.04;

/// What a contestant is like with one number of clients.
#[derive(Clone, Copy)]
pub struct Nature {
    pub cpu_ns: f64,
    pub per_second: f64,
    pub switches: f64,
    pub p50_ns: f64,
    /// How far its latency spreads: the deviation of its logarithm.
    pub tail: f64,
    /// Resident, threads, page tables, sockets.
    pub memory: [f64; 4],
}

/// poll, the baseline, and threads, with 1, 64 and 1000 clients.
pub fn bench() -> BenchResult {
    let poll = ("poll", "socklab echo --engine poll --listen 127.0.0.1:0");
    let threads = ("threads", "socklab echo --engine threads --listen 127.0.0.1:0");
    let nature = |cpu_ns, per_second, switches, p50_ns, tail, memory| Nature {
        cpu_ns,
        per_second,
        switches,
        p50_ns,
        tail,
        memory,
    };
    let small = [0.0; 4];
    let event = [104.0, 0.0, 9.0, 2480.0];
    let thread = [8600.0, 9216.0, 4310.0, 2480.0];
    build(
        &[poll, threads],
        &[
            (
                1,
                31_000.0,
                vec![
                    nature(8_950.0, 71_000.0, 1.0, 15_800.0, 0.22, small),
                    nature(8_880.0, 71_900.0, 1.0, 15_500.0, 0.22, small),
                ],
            ),
            (
                64,
                118_000.0,
                vec![
                    nature(3_210.0, 312_000.0, 0.02, 61_000.0, 0.45, event),
                    nature(5_870.0, 171_000.0, 0.93, 83_000.0, 0.62, thread),
                ],
            ),
            (
                1000,
                96_000.0,
                vec![
                    nature(3_620.0, 276_000.0, 0.004, 74_000.0, 0.5, event),
                    nature(7_430.0, 134_000.0, 0.98, 128_000.0, 0.85, thread),
                ],
            ),
        ],
    )
}

/// The same, where the first so many spoke TLS, and clients came and went.
pub fn over_tls(speakers: usize) -> BenchResult {
    let mut bench = bench();
    let names = bench.contestants.iter().take(speakers).map(|one| one.name.clone());
    bench.options.tls = names.collect();
    bench.options.resumption = Some(true);
    bench.options.per_connection = Some(1);
    let tls = |full, resumed| Tls {
        agreed: vec!["TLS 1.3, TLS13_AES_256_GCM_SHA384".into()],
        handshakes: Handshakes { full, resumed },
        handshakes_in_all: Handshakes { full: full + 64, resumed },
        unannounced: 0,
    };
    for row in &mut bench.rows {
        row.rounds[0].sides[0].tls = Some(tls(0, 1_000));
        for standing in row.standings.iter_mut().take(speakers) {
            standing.tls = Some(tls(3, 12_000));
        }
    }
    bench
}

/// A bench of these contestants: name and command; clients, rate of the open loop, and natures.
pub fn build(who: &[(&str, &str)], rows: &[(usize, f64, Vec<Nature>)]) -> BenchResult {
    let mut noise = Noise(42);
    let mut now = 0.4;
    let rows: Vec<Row> = rows
        .iter()
        .map(|(n, rate, natures)| row(*n, *rate, natures, &mut noise, &mut now))
        .collect();
    BenchResult {
        schema: VERSION,
        options: BenchOptions {
            clients: rows.iter().map(|row| row.clients).collect(),
            size_bytes: 64,
            files_bytes: Vec::new(),
            chat: None,
            udp: false,
            tls: Vec::new(),
            resumption: None,
            pipeline: 1,
            per_connection: None,
            placement: "split".into(),
            server_cpus: "0".into(),
            driver_cpus: "1".into(),
            precision: 0.03,
            max_time_s: 120.0,
            slice_s: SLICE_S,
            seed: 7,
        },
        environment: Environment {
            socklab: "0.1.0".into(),
            host: "bench-2".into(),
            kernel: "Linux 6.8.0-31-generic x86_64".into(),
            cpu: "AMD EPYC 7B13".into(),
            cpus: 2,
            memory_bytes: 8_332_816_384,
            clocksource: "tsc".into(),
            open_files: 1_048_576,
            ports: (32_768, 60_999),
            somaxconn: 4096,
        },
        started: "2025-11-08T14:03:21Z".into(),
        interrupted: false,
        elapsed_s: now,
        contestants: who
            .iter()
            .map(|(name, command)| Contestant {
                name: name.to_string(),
                command: command.to_string(),
            })
            .collect(),
        rows,
    }
}

/// What a comparison is about, of one side of a round.
type Figure = fn(&Side) -> f64;

fn row(clients: usize, rate: f64, natures: &[Nature], noise: &mut Noise, now: &mut f64) -> Row {
    let rounds: Vec<Round> = (0..ROUNDS).map(|_| round(natures, noise, now)).collect();
    let standings: Vec<Standing> =
        (0..natures.len()).map(|at| standing(at, rate, &natures[at], &rounds, noise)).collect();
    let mut comparisons = Vec::new();
    for contestant in 1..natures.len() {
        let metrics: [(Metric, Figure); 6] = [
            (Metric::Cpu, cpu),
            (Metric::Throughput, |side| throughput(side)),
            (Metric::P50, |side| side.open.unwrap().p50_ns as f64),
            (Metric::P99, |side| side.open.unwrap().p99_ns as f64),
            (Metric::Switches, |side| side.switches_per_message.unwrap()),
            (Metric::Memory, |side| side.memory.as_ref().map_or(f64::NAN, resident)),
        ];
        for (metric, of) in metrics {
            let against_first = |at: usize| ratio(&rounds, |r| of(&r.sides[at]) / of(&r.sides[0]));
            let (ratio, noise) = (against_first(contestant), against_first(natures.len()));
            if ratio.estimate.is_finite() {
                let verdict = verdict(metric, &ratio, &noise);
                comparisons.push(Comparison { contestant, metric, ratio, noise, verdict });
            }
        }
    }
    Row {
        clients,
        file_bytes: None,
        ended: Ended::Precise,
        open_rate: Some(rate),
        standings,
        comparisons,
        rounds,
    }
}

fn round(natures: &[Nature], noise: &mut Noise, now: &mut f64) -> Round {
    let second = natures[0];
    let sides: Vec<Nature> = natures.iter().copied().chain([second]).collect();
    let mut round = Round { sides: Vec::new() };
    for nature in &sides {
        let drift = noise.around(1.0, 0.012);
        let memory = (nature.memory[3] > 0.0).then(|| memory(nature, noise));
        round.sides.push(Side {
            slices: Vec::new(),
            switches_per_message: Some(nature.switches * noise.around(1.0, 0.04)),
            memory,
            open: Some(OpenSlice {
                messages: 20_000,
                p50_ns: (nature.p50_ns * drift * noise.around(1.0, 0.03)) as u64,
                p99_ns: (nature.p50_ns * (nature.tail * 2.33).exp() * noise.around(1.0, 0.07))
                    as u64,
                late: 0,
            }),
            datagrams: None,
            tls: None,
        });
    }
    for slice in 0..SLICES {
        // There and back again.
        let there = 0..sides.len();
        let order: Vec<usize> =
            if slice % 2 == 0 { there.collect() } else { there.rev().collect() };
        for at in order {
            let messages = sides[at].per_second * SLICE_S * noise.around(1.0, 0.02);
            let disturbed = if noise.uniform() < 0.01 { 1.7 } else { 1.0 };
            let cpu_s = messages * sides[at].cpu_ns * 1e-9 * noise.around(1.0, 0.015) * disturbed;
            round.sides[at].slices.push(Slice {
                start_s: *now,
                elapsed_s: SLICE_S,
                messages: messages as u64,
                server_cpu_s: cpu_s,
                driver_cpu_s: SLICE_S * 0.8,
            });
            *now += SLICE_S + 0.002;
        }
    }
    *now += 0.6;
    round
}

fn standing(
    at: usize,
    rate: f64,
    nature: &Nature,
    rounds: &[Round],
    noise: &mut Noise,
) -> Standing {
    let over =
        |of: &dyn Fn(&Side) -> f64| median(rounds.iter().map(|r| of(&r.sides[at])).collect());
    let part = |of: fn(&Memory) -> f64| over(&|side| side.memory.as_ref().map_or(0.0, of));
    let count = (rate * 2.0) as u64;
    Standing {
        contestant: at,
        cpu_per_message_ns: over(&cpu),
        messages_per_second: over(&throughput),
        body_bytes_per_second: None,
        switches_per_message: Some(over(&|side| side.switches_per_message.unwrap())),
        cpus_busy: over(&|side| cpu(side) * throughput(side) * 1e-9),
        driver_busy: (over(&throughput) / 320_000.0).min(1.0),
        p50_ns: None,
        p99_ns: None,
        latency: Some(distribution(count, nature, noise)),
        late: count / 4000,
        memory: rounds[0].sides[at].memory.as_ref().map(|memory| Memory {
            connections: memory.connections,
            resident_bytes: part(|memory| memory.resident_bytes),
            threads_bytes: part(|memory| memory.threads_bytes),
            page_tables_bytes: part(|memory| memory.page_tables_bytes),
            sockets_bytes: part(|memory| memory.sockets_bytes),
        }),
        datagrams: None,
        tls: None,
    }
}

fn distribution(count: u64, nature: &Nature, noise: &mut Noise) -> Distribution {
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    for _ in 0..count {
        let stall = if noise.uniform() < 0.0008 { noise.uniform() * 3e6 } else { 0.0 };
        let latency = nature.p50_ns * (noise.normal() * nature.tail).exp() + 6_000.0 + stall;
        histogram.record(latency as u64).unwrap();
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&histogram, &mut bytes).unwrap();
    let percentile = |share: f64| {
        (count as f64 * (1.0 - share) >= 1.0).then(|| histogram.value_at_quantile(share))
    };
    Distribution {
        count,
        min_ns: histogram.min(),
        mean_ns: histogram.mean(),
        p50_ns: percentile(0.5),
        p90_ns: percentile(0.9),
        p99_ns: percentile(0.99),
        p99_9_ns: percentile(0.999),
        p99_99_ns: percentile(0.9999),
        max_ns: histogram.max(),
        histogram: STANDARD.encode(bytes),
    }
}

fn memory(nature: &Nature, noise: &mut Noise) -> Memory {
    Memory {
        connections: 64,
        resident_bytes: nature.memory[0] * noise.around(1.0, 0.02),
        threads_bytes: nature.memory[1],
        page_tables_bytes: nature.memory[2] * noise.around(1.0, 0.01),
        sockets_bytes: nature.memory[3],
    }
}

fn cpu(side: &Side) -> f64 {
    let messages: u64 = side.slices.iter().map(|slice| slice.messages).sum();
    side.slices.iter().map(|slice| slice.server_cpu_s).sum::<f64>() * 1e9 / messages as f64
}

fn throughput(side: &Side) -> f64 {
    let messages: u64 = side.slices.iter().map(|slice| slice.messages).sum();
    messages as f64 / side.slices.iter().map(|slice| slice.elapsed_s).sum::<f64>()
}

fn resident(memory: &Memory) -> f64 {
    memory.resident_bytes + memory.threads_bytes + memory.page_tables_bytes + memory.sockets_bytes
}

/// Near enough to the real estimate for a picture: the median, and two standard errors about it.
fn ratio(rounds: &[Round], of: impl Fn(&Round) -> f64) -> Ratio {
    let ratios: Vec<f64> = rounds.iter().map(of).collect();
    let estimate = median(ratios.clone());
    let squares: f64 = ratios.iter().map(|ratio| (ratio - estimate).powi(2)).sum();
    let half = 2.2 * (squares / (ratios.len() * (ratios.len() - 1)) as f64).sqrt();
    Ratio { estimate, low: estimate - half, high: estimate + half, rounds: rounds.len() }
}

fn verdict(metric: Metric, ratio: &Ratio, noise: &Ratio) -> Verdict {
    let less = ratio.high < noise.low.min(1.0);
    let more = ratio.low > noise.high.max(1.0);
    match (less, more, metric == Metric::Throughput) {
        (true, _, false) | (_, true, true) => Verdict::Better,
        (true, _, true) | (_, true, false) => Verdict::Worse,
        _ if ratio.high / ratio.low < 1.06 => Verdict::NoDifference,
        _ => Verdict::Inconclusive,
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// splitmix64.
struct Noise(u64);

impl Noise {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f64::consts::TAU * self.uniform()).cos()
    }

    fn around(&mut self, middle: f64, part: f64) -> f64 {
        middle * (self.normal() * part).exp()
    }
}

//! The document of `socklab bench`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Datagrams, Distribution, Environment, Memory, Tls};

/// What was asked of `bench`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BenchOptions {
    /// Numbers of clients, a row for each; in a chat, members of one room.
    pub clients: Vec<usize>,
    /// How clients talked with each other; `null` where each was echoed. Messages are deliveries then:
    /// a line counts for each member that has heard it.
    #[serde(default)]
    pub chat: Option<ChatOptions>,
    /// Sizes of the files that were fetched over HTTP, a row for each with each number of clients;
    /// none but for files. Messages are requests then.
    #[serde(default)]
    pub files_bytes: Vec<u64>,
    /// Bytes of a message; of a line in a room, those of its text; of files, those of the first.
    pub size_bytes: u64,
    /// Whether messages were datagrams.
    #[serde(default)]
    pub udp: bool,
    /// Contestants that spoke TLS.
    #[serde(default)]
    pub tls: Vec<String>,
    /// Whether clients resumed TLS sessions where they could; `null` without TLS.
    #[serde(default)]
    pub resumption: Option<bool>,
    /// Messages in flight per client.
    pub pipeline: u64,
    /// Messages after which a client leaves and another one comes; `null` if they stay.
    pub per_connection: Option<u64>,
    /// Where the servers and the load generator ran: `split`, `one` or `all`.
    pub placement: String,
    /// CPUs of the servers, as the kernel lists them.
    pub server_cpus: String,
    /// CPUs of the load generator.
    pub driver_cpus: String,
    /// A row ends when half its interval is at most this part of the ratio.
    pub precision: f64,
    /// All rows together take at most so long.
    pub max_time_s: f64,
    /// Length of a slice.
    pub slice_s: f64,
    /// The seed of what is sent.
    pub seed: u64,
}

/// How the members of a room talked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatOptions {
    /// Members that talked, or all where there were fewer.
    pub talkers: usize,
    /// Whether those acknowledged at once what they had received, so that a server without TCP_NODELAY
    /// need not wait.
    pub quick_acks: bool,
}

/// The result of `socklab bench`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BenchResult {
    /// Version of this document.
    pub schema: u32,
    /// What was asked.
    pub options: BenchOptions,
    /// Where it ran.
    pub environment: Environment,
    /// When it began, as RFC 3339 has it.
    pub started: String,
    /// Whether it was ended early, by Ctrl-C.
    pub interrupted: bool,
    /// How long it took.
    pub elapsed_s: f64,
    /// Who competed; the first is the baseline.
    pub contestants: Vec<Contestant>,
    /// A row for each number of clients, and for each file.
    pub rows: Vec<Row>,
}

impl BenchResult {
    /// Whether all parts refer to contestants that there are; what is wrong if not.
    pub fn check(&self) -> Result<(), String> {
        let contestants = self.contestants.len();
        for row in &self.rows {
            let standings = row.standings.iter().map(|standing| standing.contestant);
            let compared = row.comparisons.iter().map(|comparison| comparison.contestant);
            if standings.chain(compared).any(|contestant| contestant >= contestants) {
                return Err(format!("it has {contestants} contestants, and speaks of more"));
            }
            if row.rounds.iter().any(|round| round.sides.len() != contestants + 1) {
                return Err("a round has not a side for each contestant and the noise".into());
            }
        }
        Ok(())
    }
}

/// A server that competed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contestant {
    /// As tables call it.
    pub name: String,
    /// How it was started.
    pub command: String,
}

/// All about one number of clients, and one file.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// Connections to each server; of datagrams, sockets that send to it; in a chat, members of one room.
    pub clients: usize,
    /// Bytes of the file that they fetched; `null` but for files.
    #[serde(default)]
    pub file_bytes: Option<u64>,
    /// Messages per second of the open-loop part, in a chat lines: what all contestants sustain.
    pub open_rate: Option<f64>,
    /// Why there are no more rounds.
    pub ended: Ended,
    /// How each contestant did, in their order.
    pub standings: Vec<Standing>,
    /// How each contestant but the first compares with the first, a verdict for each metric.
    pub comparisons: Vec<Comparison>,
    /// What was measured. In each round all servers were started anew.
    pub rounds: Vec<Round>,
}

/// Why a row ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// The intervals of CPU per message were narrow enough (`--precision`).
    Precise,
    /// Its share of the time was over (`--max-time`).
    TimeUp,
    /// Ctrl-C.
    Interrupted,
}

/// How a contestant did over all rounds.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Standing {
    /// Its place in [`BenchResult::contestants`].
    pub contestant: usize,
    /// CPU time per message, in a chat per delivery, in the closed loop, median over the rounds.
    pub cpu_per_message_ns: f64,
    /// Messages per second, in a chat deliveries, in the closed loop, median over the rounds.
    pub messages_per_second: f64,
    /// Bytes of files per second in the closed loop, without heads; `null` but for files.
    #[serde(default)]
    pub body_bytes_per_second: Option<f64>,
    /// Context switches per message, in a chat per delivery, in the closed loop, median over the rounds; `null` where
    /// connections come and go, for a thread takes its count with it when it ends.
    pub switches_per_message: Option<f64>,
    /// CPUs that it kept busy in the closed loop.
    pub cpus_busy: f64,
    /// The share of the closed loop that the load generator's thread worked: near 1, it, not the
    /// server, set the rate.
    pub driver_busy: f64,
    /// Median latency in the open loop, median over the rounds.
    pub p50_ns: Option<f64>,
    /// 99th percentile of latency in the open loop, median over the rounds.
    pub p99_ns: Option<f64>,
    /// Latency in the open loop, from the intended send time: the rounds' histograms added.
    pub latency: Option<Distribution>,
    /// Messages of the open loop, in a chat lines, that were sent more than a millisecond late.
    pub late: u64,
    /// Memory per connection, median over the rounds; `null` with too few clients to tell, and where
    /// there are no connections.
    pub memory: Option<Memory>,
    /// What became of datagrams in all slices of all rounds; `null` for connections.
    #[serde(default)]
    pub datagrams: Option<Datagrams>,
    /// How its connections spoke TLS; handshakes are those of the closed loop, and all of all
    /// rounds. `null` without TLS.
    #[serde(default)]
    pub tls: Option<Tls>,
}

impl Metric {
    /// All of them, the headline first.
    pub const ALL: [Metric; 6] = [
        Metric::Cpu,
        Metric::Throughput,
        Metric::P50,
        Metric::P99,
        Metric::Switches,
        Metric::Memory,
    ];
}

/// What is compared. Less is better, except for throughput.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Server CPU time per message, closed loop.
    Cpu,
    /// Messages per second, closed loop.
    Throughput,
    /// Median latency, open loop.
    P50,
    /// 99th percentile of latency, open loop.
    P99,
    /// Context switches per message, closed loop.
    Switches,
    /// Memory per connection.
    Memory,
}

/// A contestant against the baseline, by one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comparison {
    /// The contestant's place in [`BenchResult::contestants`].
    pub contestant: usize,
    /// What is compared.
    pub metric: Metric,
    /// The contestant's figure divided by the baseline's.
    pub ratio: Ratio,
    /// A second process of the baseline against the first: what comes out of it is noise.
    pub noise: Ratio,
    /// What follows.
    pub verdict: Verdict,
}

/// A ratio with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Ratio {
    /// The Hodges–Lehmann estimate over rounds.
    pub estimate: f64,
    /// Lower end of the interval of Wilcoxon's signed-rank test.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Rounds it rests on. With fewer than six no interval has 95 %: it is then the widest there is.
    pub rounds: usize,
}

/// What a comparison says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The contestant is better than the baseline: the interval excludes 1, and the estimate lies
    /// beyond the noise.
    Better,
    /// It is worse.
    Worse,
    /// The interval is narrow and holds no difference that is more than noise.
    NoDifference,
    /// The interval is too wide to tell.
    Inconclusive,
}

/// One fresh start of all contestants.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Round {
    /// Each contestant in order, and then the baseline's second process.
    pub sides: Vec<Side>,
}

/// One process in one round.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Side {
    /// Slices of the closed loop, in order of time.
    pub slices: Vec<Slice>,
    /// Context switches per message, over those slices and what leads in to them.
    pub switches_per_message: Option<f64>,
    /// Memory per connection, after each has been answered once.
    pub memory: Option<Memory>,
    /// The open-loop part.
    pub open: Option<OpenSlice>,
    /// What became of datagrams in all these slices; `null` for connections.
    #[serde(default)]
    pub datagrams: Option<Datagrams>,
    /// How connections spoke TLS; handshakes are those of the slices, and all. `null` without TLS.
    #[serde(default)]
    pub tls: Option<Tls>,
}

/// A short stretch of closed-loop load on one server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slice {
    /// When it began, since the start of the bench.
    pub start_s: f64,
    /// How long it took.
    pub elapsed_s: f64,
    /// Messages answered, every byte compared.
    pub messages: u64,
    /// CPU time of the server.
    pub server_cpu_s: f64,
    /// CPU time of the load generator.
    pub driver_cpu_s: f64,
}

/// A stretch of open-loop load on one server.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct OpenSlice {
    /// Messages answered.
    pub messages: u64,
    /// Median latency.
    pub p50_ns: u64,
    /// 99th percentile of latency.
    pub p99_ns: u64,
    /// Messages sent more than a millisecond after their time.
    pub late: u64,
}

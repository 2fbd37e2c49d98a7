//! The document of `socklab load`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Datagrams, Distribution, Environment, Memory, Tls};

/// What was asked of `load`: each field is the option of that name.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadOptions {
    /// The server, as it was given.
    pub target: String,
    /// Connections; of datagrams, sockets to send from; in rooms, all members.
    pub clients: usize,
    /// How clients were spread over rooms; `null` but for IRC.
    #[serde(default)]
    pub rooms: Option<Rooms>,
    /// Bytes of a message; of a line in a room, those of its text; of a file, those of its body.
    pub size_bytes: u64,
    /// Messages in flight per client at most; `null` where the schedule alone decides.
    pub pipeline: Option<u64>,
    /// Length of the measured part.
    pub duration_s: Option<f64>,
    /// Messages of the measured part, over all clients; in rooms, lines.
    pub messages: Option<u64>,
    /// Length of the part before it, which is not counted.
    pub warmup_s: f64,
    /// Messages per second over all clients, on a fixed schedule (open loop), in rooms lines; `null`
    /// where each answer makes room for the next message (closed loop).
    pub rate: Option<f64>,
    /// What the highest rate was searched for to keep; `null` without a search.
    pub slo: Option<String>,
    /// Connects per second; `null` for as fast as they are answered.
    pub connect_rate: Option<f64>,
    /// Messages after which a client leaves and another one comes; `null` if they stay.
    pub per_connection: Option<u64>,
    /// Whether clients resumed TLS sessions where they could; `null` without TLS.
    #[serde(default)]
    pub resumption: Option<bool>,
    /// Threads of the load generator.
    pub threads: usize,
    /// The seed of what is sent.
    pub seed: u64,
    /// Local addresses that connections start from.
    pub source: Vec<String>,
    /// What should come back: `echo`, `sink`, `source`, `none` or `reply`; `others` where clients hear
    /// in rooms what others say; `file` where they fetch one over HTTP.
    pub expect: String,
    /// The text of each message; `null` for random bytes.
    pub message: Option<String>,
    /// The text that each message is answered by; `null` where `expect` says it all.
    pub reply: Option<String>,
    /// How long an answer might take before it counted as lost.
    pub timeout_s: f64,
    /// When the run was to begin, as RFC 3339 has it; `null` for at once.
    pub start_at: Option<String>,
    /// What the result was judged by.
    pub fail_if: Vec<String>,
    /// The process that was observed.
    pub pid: Option<i32>,
    /// How the server was started; `null` where it was there already.
    pub server: Option<String>,
}

/// The result of `socklab load`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LoadResult {
    /// Version of this document.
    pub schema: u32,
    /// What was asked.
    pub options: LoadOptions,
    /// One for each machine (or process) whose results are in this document.
    pub environments: Vec<Environment>,
    /// When the measured part began, as RFC 3339 has it.
    pub started: String,
    /// Whether it was ended early, by Ctrl-C.
    pub interrupted: bool,
    /// How long the measured part took.
    pub elapsed_s: f64,
    /// Messages answered in full and, unless `expect` is `none`, right, in the measured part. In rooms
    /// what is counted are deliveries: a line counts for each member that has heard it.
    pub messages: u64,
    /// All messages answered, or deliveries, since the first connect, warm-up included: what the server
    /// counts.
    pub messages_in_all: u64,
    /// Bytes sent in the measured part: those of messages, whatever TLS makes of them.
    pub sent_bytes: u64,
    /// Bytes received in the measured part, counted in the same way.
    pub received_bytes: u64,
    /// Messages per second; in rooms, deliveries.
    pub messages_per_second: f64,
    /// What was said in rooms; `null` but for IRC.
    #[serde(default)]
    pub chat: Option<Chat>,
    /// What was fetched; `null` but for HTTP.
    #[serde(default)]
    pub http: Option<Http>,
    /// Connections that were established, TLS included; of datagrams, clients that were answered at all before
    /// the measured part.
    pub connected: u64,
    /// From the intended send time to the last byte of the answer, or to a delivery; `null` where
    /// nothing is answered.
    pub latency: Option<Distribution>,
    /// From the actual send time; only with a rate, for otherwise the two are the same.
    pub service_time: Option<Distribution>,
    /// From connect(2) until the connection is established; `null` for datagrams.
    pub connect: Option<Distribution>,
    /// From then until the TLS handshake was finished; `null` without TLS.
    #[serde(default)]
    pub handshake: Option<Distribution>,
    /// From connect(2) to the first byte of the first answer; of datagrams, from the first one sent.
    pub first_byte: Option<Distribution>,
    /// What became of datagrams in the measured part; `null` for connections.
    #[serde(default)]
    pub datagrams: Option<Datagrams>,
    /// How connections spoke TLS; `null` without.
    #[serde(default)]
    pub tls: Option<Tls>,
    /// What went wrong.
    pub faults: Faults,
    /// The load generator itself.
    pub driver: Driver,
    /// The server process, where it is known (`--pid`, `--server`).
    pub server: Option<Usage>,
    /// The steps of the search for the highest rate (`--slo`).
    pub trials: Vec<Trial>,
}

/// How clients were spread over rooms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rooms {
    /// Rooms.
    pub rooms: usize,
    /// Members of each. Each client is a member of one room.
    pub members: usize,
    /// Members of each that talk.
    pub talkers: usize,
    /// Whether those acknowledged at once what they had received, so that a server without TCP_NODELAY
    /// need not wait.
    pub quick_acks: bool,
}

/// What was fetched over HTTP. The file was fetched once before the run, too, to have something to
/// compare with: that is in no count here.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Http {
    /// Bytes of the file.
    pub body_bytes: u64,
    /// Bytes of it per second, over all clients; without heads. `null` where answers were not
    /// compared, for they may have any length.
    pub body_bytes_per_second: Option<f64>,
    /// Connections that the server has closed between two answers, as it had said, in the measured
    /// part: the client went on, on another one.
    pub closes: u64,
}

/// What was said in rooms.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Chat {
    /// Lines that all members but the talker have heard.
    pub lines: u64,
    /// Lines per second.
    pub lines_per_second: f64,
    /// From the intended send time of a line until the last of them had it.
    pub last: Option<Distribution>,
}

/// Clients that were lost, by what happened to them first. Datagrams lose no client: there, each
/// answer that was wrong counts, and each socket that failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Faults {
    /// Other bytes came back than were expected, or what is no TLS.
    pub wrong: u64,
    /// More bytes came back than were sent.
    pub extra: u64,
    /// The connection stayed open, but the rest of an answer never came, or a line.
    pub lost: u64,
    /// The server closed before it had answered all, or delivered all; of TLS also, without
    /// close_notify.
    pub short: u64,
    /// The connection was reset, or ended by an alert of TLS.
    pub reset: u64,
    /// No connection came about, or no TLS handshake.
    pub refused: u64,
    /// Messages that were sent and not answered, or deliveries that were due.
    pub unanswered: u64,
    /// The first of each kind, in words: client, offset, what came instead.
    pub examples: Vec<String>,
}

impl Faults {
    /// Clients lost in all.
    pub fn total(&self) -> u64 {
        self.wrong + self.extra + self.lost + self.short + self.reset + self.refused
    }

    /// Whether bytes came that should not have come.
    pub fn wrong_bytes(&self) -> bool {
        self.wrong + self.extra > 0
    }
}

/// How busy the load generator was.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Driver {
    /// CPU time of all its threads, waiting in a loop not counted.
    pub cpu_s: f64,
    /// The share of the time that its busiest thread worked: near 1, it set the rate.
    pub busiest_thread: f64,
    /// Messages sent more than a millisecond after their time, though the socket had room; in rooms,
    /// lines.
    pub late: u64,
    /// Messages sent; in rooms, lines.
    pub sent: u64,
    /// Whether the figures describe the load generator rather than the server.
    pub bottleneck: bool,
}

/// What a server process, its threads and its children used in the measured part.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Usage {
    /// The process.
    pub pid: i32,
    /// CPU time in user mode and in the kernel.
    pub cpu_s: f64,
    /// That, per message; in rooms, per delivery.
    pub cpu_per_message_ns: f64,
    /// CPUs kept busy, on average.
    pub cpus_busy: f64,
    /// Context switches per message (in rooms, per delivery), voluntary and not; `null` where connections come and go, for a
    /// thread takes its count with it when it ends.
    pub switches_per_message: Option<f64>,
    /// Memory per connection, where it was known before they came.
    pub memory: Option<Memory>,
}

/// A step of the search for the highest rate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trial {
    /// Messages per second asked for.
    pub rate: f64,
    /// Messages per second answered.
    pub achieved: f64,
    /// The figure that the objective is about, in its own unit: nanoseconds for a percentile.
    pub value: Option<f64>,
    /// Whether the objective was met.
    pub passed: bool,
    /// Why not, in words.
    pub reason: Option<String>,
}

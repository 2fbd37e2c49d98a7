//! The JSON documents of `load` and `bench`, and so what a report is made from.
//!
//! Units stand in the names: `_ns` nanoseconds, `_s` seconds, `_bytes` bytes. `socklab report
//! --schema` prints all of this as JSON Schema.

mod bench;
mod load;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use bench::*;
pub use load::*;

/// The version of these documents. It changes when a reader of the old one would be misled.
pub const VERSION: u32 = 1;

/// A document: the result of one command.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Document {
    /// Written by `socklab load`, or merged from several such by `socklab report`.
    Load(Box<LoadResult>),
    /// Written by `socklab bench`.
    Bench(Box<BenchResult>),
}

/// What ran where.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Environment {
    /// Version of socklab.
    pub socklab: String,
    /// The machine's name in its network.
    pub host: String,
    /// Operating system, release and architecture, as uname(2) has them.
    pub kernel: String,
    /// The processor's name for itself.
    pub cpu: String,
    /// CPUs this process may use.
    pub cpus: usize,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// The kernel's clock (/sys/devices/system/clocksource).
    pub clocksource: String,
    /// The most open files this process may have.
    pub open_files: u64,
    /// First and last port that the kernel gives to callers.
    pub ports: (u16, u16),
    /// The longest queue of callers that a listener may have.
    pub somaxconn: u32,
}

/// Durations. Percentiles that too few values support (fewer than one beyond them) are `null`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Distribution {
    /// Number of values.
    pub count: u64,
    /// The smallest value.
    pub min_ns: u64,
    /// Their mean.
    pub mean_ns: f64,
    /// The median.
    pub p50_ns: Option<u64>,
    /// 90 % are at most this.
    pub p90_ns: Option<u64>,
    /// 99 % are at most this.
    pub p99_ns: Option<u64>,
    /// 99.9 % are at most this.
    pub p99_9_ns: Option<u64>,
    /// 99.99 % are at most this.
    pub p99_99_ns: Option<u64>,
    /// The largest value.
    pub max_ns: u64,
    /// All of them: an HDR histogram in nanoseconds, three significant digits, V2 with DEFLATE, in
    /// base64 (as in an HDR histogram log). Such histograms can be added.
    pub histogram: String,
}

/// What became of datagrams. Those that were answered are the messages; each of the others is counted
/// once under `lost` or, where most of the answer was right, under `corrupted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Datagrams {
    /// Datagrams sent.
    pub sent: u64,
    /// Not answered within `timeout_s`. They are in no distribution of times.
    pub lost: u64,
    /// Answers to what had been answered before.
    pub duplicated: u64,
    /// Answers that came after the answer to a later datagram of the same client (RFC 4737).
    pub reordered: u64,
    /// Answers with other bytes than were sent, or with a number that was not sent.
    pub corrupted: u64,
    /// Answers to what was lost by then. It stays lost.
    pub late: u64,
    /// How often the server's machine said that nobody listens there (ICMP port unreachable).
    pub refused: u64,
    /// Answers that came, and for which sockets of the load generator had no room: part of `lost`.
    pub overflowed: u64,
}

impl Datagrams {
    /// The part that was lost.
    pub fn loss(&self) -> f64 {
        self.lost as f64 / self.sent.max(1) as f64
    }
}

impl std::ops::AddAssign for Datagrams {
    fn add_assign(&mut self, other: Datagrams) {
        self.sent += other.sent;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.corrupted += other.corrupted;
        self.late += other.late;
        self.refused += other.refused;
        self.overflowed += other.overflowed;
    }
}

/// How many TLS handshakes there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Handshakes {
    /// Full ones, in which the server showed its certificate.
    pub full: u64,
    /// Those that resumed a former session of the same client.
    pub resumed: u64,
}

impl std::ops::AddAssign for Handshakes {
    fn add_assign(&mut self, other: Handshakes) {
        self.full += other.full;
        self.resumed += other.resumed;
    }
}

/// How connections spoke TLS.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Versions and cipher suites that were agreed upon: one, unless servers differ.
    pub agreed: Vec<String>,
    /// Handshakes in the measured part.
    pub handshakes: Handshakes,
    /// All handshakes since the first connect.
    pub handshakes_in_all: Handshakes,
    /// Connections that ended without the server's close_notify, when all was answered and the
    /// client had given its own: nothing is missing, but nobody can know.
    #[serde(default)]
    pub unannounced: u64,
}

impl std::ops::AddAssign<&Tls> for Tls {
    fn add_assign(&mut self, other: &Tls) {
        let new = other.agreed.iter().filter(|one| !self.agreed.contains(one));
        let new: Vec<String> = new.cloned().collect();
        self.agreed.extend(new);
        self.handshakes += other.handshakes;
        self.handshakes_in_all += other.handshakes_in_all;
        self.unannounced += other.unannounced;
    }
}

/// Memory per connection, by who holds it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Connections that it was divided by.
    pub connections: u64,
    /// Resident memory of the processes.
    pub resident_bytes: f64,
    /// Kernel stacks and task structures of the threads.
    pub threads_bytes: f64,
    /// Page tables.
    pub page_tables_bytes: f64,
    /// Socket, file and epoll structures in the kernel, without bytes in flight.
    pub sockets_bytes: f64,
}

impl Memory {
    /// All parts together.
    pub fn total(&self) -> f64 {
        self.resident_bytes + self.threads_bytes + self.page_tables_bytes + self.sockets_bytes
    }
}

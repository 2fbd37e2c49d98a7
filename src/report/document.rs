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

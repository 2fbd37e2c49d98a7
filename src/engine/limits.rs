//! What a server may hold, and how much of it this machine can give.

use std::fs;
use std::io;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use signal_hook::consts::{SIGBUS, SIGSEGV};

use super::Engine;
use super::admission::Access;
use crate::session::Output;

/// Every limit of an engine, with its default.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections served at once. Further callers wait in the kernel's queue.
    pub max_clients: usize,
    /// Connections of one address (of a /64 of IPv6) at once; `None` for any number. Further ones are
    /// refused. Loopback addresses are not counted.
    pub clients_per_address: Option<u32>,
    /// Who may call at all, over TCP and UDP.
    pub access: Access,
    /// How long a connection may make no progress, in either direction; `None` for ever. Engines look
    /// eight times in that time, so they may be an eighth late, and two where a peer does not read.
    pub idle_timeout: Option<Duration>,
    /// Bytes that may wait for one peer that does not read. Its own input is not read while there
    /// are any; mail beyond it cuts the peer off.
    pub backlog_bytes: usize,
    /// How long connections may take to finish once the stop is requested.
    pub grace: Duration,
    /// How long a finished connection is kept open for its peer to read the end and close. Closing
    /// while the peer still sends would reset it, and a reset can overtake the last bytes.
    pub linger: Duration,
    /// Threads that take datagrams from one socket (thread engine).
    pub receivers: usize,
    /// Datagrams answered per second to one source, an address or an IPv6 network of 64 bits; `None`
    /// for all.
    pub rate_per_source: Option<f64>,
    /// A pass of the loop that takes longer is logged with what it did; `None` for never (poll
    /// engine: a thread that takes long holds up nobody but its own client).
    pub slow_pass: Option<Duration>,
    /// Stack of a client's thread, in bytes (thread engine). Only touched pages cost memory.
    pub stack_bytes: usize,
}

impl Limits {
    /// The most clients a server takes unless told otherwise: 20,000 of the thread engine hold
    /// about 500 MB, and a forgotten server cannot eat a machine.
    pub const MAX_CLIENTS: usize = 20_000;
    /// As nginx's `proxy_timeout` for streams.
    pub const IDLE_TIMEOUT: Duration = Duration::from_secs(600);
    /// As much as a chat room may send while a peer's kernel is not listening.
    pub const BACKLOG_BYTES: usize = 1024 * 1024;
    /// Half of what `docker stop` allows before SIGKILL.
    pub const GRACE: Duration = Duration::from_secs(5);
    /// Time for the last words to cross the world and back some times, and short for a seat.
    pub const LINGER: Duration = Duration::from_secs(2);
    /// Python's asyncio finds a callback slow from there on; a person notices.
    pub const SLOW_PASS: Duration = Duration::from_millis(100);
    /// Connections of those who only watch, besides the clients: a few at a time of whoever collects
    /// figures, and far from what is [reserved](seats) of descriptors.
    pub const WATCHERS: usize = 8;
    /// Enough for the deepest call chain of a debug build. std's 2 MiB costs no more memory, but
    /// glibc keeps 40 MiB of stacks for the next threads: 20 large ones or 320 of these.
    pub const STACK_BYTES: usize = 128 * 1024;

    /// What one read may take, of the `most` that suits the engine: an answer can be as long as the
    /// input, and all of it may have to wait for the peer.
    pub(super) fn read_bytes(&self, most: usize) -> usize {
        self.backlog_bytes.clamp(1, most)
    }

    /// When a session's output is full.
    pub(super) fn chunk(&self) -> usize {
        self.backlog_bytes.clamp(1, Output::CHUNK)
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_clients: Limits::MAX_CLIENTS,
            clients_per_address: None,
            access: Access::default(),
            idle_timeout: Some(Limits::IDLE_TIMEOUT),
            backlog_bytes: Limits::BACKLOG_BYTES,
            grace: Limits::GRACE,
            linger: Limits::LINGER,
            receivers: 1,
            rate_per_source: None,
            slow_pass: Some(Limits::SLOW_PASS),
            stack_bytes: Limits::STACK_BYTES,
        }
    }
}

/// Descriptors never given to clients: listeners, logs, files, and whatever a library opens.
const RESERVED_FILES: usize = 32;

/// Threads and mappings never given to clients: acceptors, libraries, the allocator's arenas, and
/// what else runs on the machine.
const RESERVED_THREADS: usize = 512;

/// Raises the soft limit on open files to the hard one and returns it (getrlimit(2)).
pub fn raise_open_files() -> io::Result<usize> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if soft < hard {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    Ok(usize::try_from(hard).unwrap_or(usize::MAX))
}

/// The most clients that can be served here, and what sets that bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seats {
    /// Clients.
    pub most: usize,
    /// The limit that is reached first, as an administrator would call it.
    pub bound: &'static str,
}

/// Whether each thread of this process gets a second stack for its signals. Rust's runtime leaves
/// it out where SIGSEGV and SIGBUS are not at their default at the start.
pub fn has_signal_stacks() -> bool {
    !(ignored_at_start(SIGSEGV) && ignored_at_start(SIGBUS))
}

/// Whether the process was started with `signal` ignored (proc_pid_status(5), SigIgn).
pub fn ignored_at_start(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (signal - 1)) != 0)
}

/// How many clients `engine` can serve with `open_files` descriptors allowed: each needs one, and
/// with the thread engine also a thread and the mappings of its stack, two for each stack.
pub fn seats(engine: Engine, open_files: usize) -> Seats {
    let in_use = fs::read_dir("/proc/self/fd").map_or(RESERVED_FILES, Iterator::count);
    let mut bounds = vec![Seats {
        most: open_files.saturating_sub(in_use + RESERVED_FILES),
        bound: "the limit on open files (ulimit -n)",
    }];
    if engine == Engine::Threads {
        let kernel =
            |path: &str| -> Option<usize> { fs::read_to_string(path).ok()?.trim().parse().ok() };
        let mappings = if has_signal_stacks() { 4 } else { 2 };
        let threads = [
            ("/proc/sys/kernel/threads-max", 1, "kernel.threads-max"),
            ("/proc/sys/kernel/pid_max", 1, "kernel.pid_max"),
            ("/proc/sys/vm/max_map_count", mappings, "vm.max_map_count"),
        ];
        bounds.extend(threads.into_iter().filter_map(|(path, each, bound)| {
            let most = (kernel(path)? / each).saturating_sub(RESERVED_THREADS);
            Some(Seats { most, bound })
        }));
    }
    bounds
        .into_iter()
        .min_by_key(|seats| seats.most)
        .expect("the limit on open files is always among them")
}

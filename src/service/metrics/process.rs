//! What this process uses, under the names that Prometheus' own libraries give it
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>).

use std::fs;
use std::sync::OnceLock;

use nix::sys::resource::{Resource, getrlimit};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::{SysconfVar, sysconf};

use super::exposition::{Exposition, Kind};
use crate::engine::Engine;

/// A look at it.
#[derive(Debug)]
pub struct Own {
    cpu_seconds: f64,
    open_files: u64,
    most_files: u64,
    virtual_bytes: u64,
    resident_bytes: u64,
    threads: u64,
    /// Since 1970.
    start_seconds: f64,
}

impl Own {
    /// Looks. `None` where the kernel does not tell.
    pub fn read() -> Option<Own> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // Behind the program's name, which may hold anything; the first one is field 3 of
        // proc_pid_stat(5).
        let (_, rest) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| -> Option<u64> { fields.get(number - 3)?.parse().ok() };
        let unit = |variable| sysconf(variable).ok().flatten().map(|unit| unit as u64);
        let cpu = clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).ok()?;
        let since_boot = field(22)? as f64 / unit(SysconfVar::CLK_TCK)? as f64;
        Some(Own {
            cpu_seconds: cpu.tv_sec() as f64 + cpu.tv_nsec() as f64 / 1e9,
            open_files: open_files()?,
            most_files: getrlimit(Resource::RLIMIT_NOFILE).ok()?.0,
            virtual_bytes: field(23)?,
            resident_bytes: field(24)? * unit(SysconfVar::PAGE_SIZE)?,
            threads: field(20)?,
            start_seconds: boot_seconds()? + since_boot,
        })
    }

    /// Writes it down.
    pub fn write(&self, engine: Engine, page: &mut Exposition) {
        for (name, help, kind, value) in [
            ("cpu_seconds_total", "CPU time used, in seconds.", Kind::Counter, self.cpu_seconds),
            ("open_fds", "Open file descriptors.", Kind::Gauge, self.open_files as f64),
            ("max_fds", "The most there may be.", Kind::Gauge, self.most_files as f64),
            (
                "virtual_memory_bytes",
                "Virtual memory size in bytes.",
                Kind::Gauge,
                self.virtual_bytes as f64,
            ),
            (
                "resident_memory_bytes",
                "Resident memory size in bytes.",
                Kind::Gauge,
                self.resident_bytes as f64,
            ),
            (
                "start_time_seconds",
                "Start time since the beginning of 1970, in seconds.",
                Kind::Gauge,
                self.start_seconds,
            ),
        ] {
            page.begin(&format!("process_{name}"), help, kind);
            page.sample(&[], value);
        }
        page.begin("socklab_threads", "Threads of the server.", Kind::Gauge);
        page.sample(&[("engine", &engine.to_string())], self.threads);
    }
}

/// When the machine was started, since 1970. Read once: /proc/stat can be long.
fn boot_seconds() -> Option<f64> {
    static BOOT: OnceLock<Option<f64>> = OnceLock::new();
    *BOOT.get_or_init(|| {
        let stat = fs::read_to_string("/proc/stat").ok()?;
        stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
    })
}

/// Those that acceptors asleep have for their next callers are among them, as in the limit. Linux 6.2
/// and later tell it as the size of the directory; counting twenty thousand takes
/// milliseconds, in which the loop would serve nobody.
fn open_files() -> Option<u64> {
    let told = fs::metadata("/proc/self/fd").ok()?.len();
    match told {
        // The one that reads the directory is among them.
        0 => fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as u64 - 1),
        told => Some(told),
    }
}

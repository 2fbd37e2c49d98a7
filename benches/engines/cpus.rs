//! Which CPUs the driver and its contestants may use.

use std::fs;
use std::process::{self, Command, Stdio};

/// The CPUs this process was given, as the kernel lists them: `0-3,8`.
pub fn allowed() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let list =
        status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or("0");
    list.trim().to_owned()
}

/// The first CPU of a list.
pub fn first(list: &str) -> &str {
    list.split([',', '-']).next().unwrap_or(list)
}

/// Confines this process, and the contestants it will start, to `list`. Where taskset(1) is missing
/// they go where the scheduler likes, and the intervals grow.
pub fn confine(list: &str) {
    let _ = Command::new("taskset")
        .args(["--cpu-list", "--pid", list, &process::id().to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

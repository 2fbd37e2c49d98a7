//! A new start without signal stacks, for the thread engine.
//!
//! Rust's runtime gives each thread a second stack, on which it can report that the first has
//! overflowed. Such a stack takes two memory mappings of the 65,530 that Linux allows a process, so
//! that the thread engine would end at 16,000 clients; and when it cannot be had, the runtime ends
//! the process instead of the thread. The runtime leaves it out where SIGSEGV and SIGBUS are not at
//! their default at the start. Ignored is such a disposition, it survives exec(2), a shell can set
//! it, and it does not change what a fault does: the kernel ends a process that ignores its faults.

use std::env;
use std::os::unix::process::CommandExt;
use std::process::Command;

use log::debug;
use socklab::engine;

const SHELL: &str = "/bin/sh";
const IGNORE_AND_GO_ON: &str = r#"trap "" SEGV BUS; exec "$0" "$@""#;

/// Starts the program anew, as the same process, without signal stacks. Returns where that was
/// done already, or cannot be done.
pub fn without_signal_stacks() {
    if !engine::has_signal_stacks() {
        return;
    }
    let mut shell = Command::new(SHELL);
    let program = env::current_exe().and_then(|program| program.canonicalize());
    let outcome = program.map(|program| {
        shell.args(["-c", IGNORE_AND_GO_ON]).arg(program).args(env::args_os().skip(1)).exec()
    });
    let (Ok(error) | Err(error)) = outcome;
    debug!("threads keep their signal stacks: {error}");
}

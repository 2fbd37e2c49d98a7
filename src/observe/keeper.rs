//! A keeper: the process between a measurement and a server that sees to it that the server ends
//! with the measurement, whatever ends that.
//!
//! ```text
//!     socklab bench ──► socklab keep ──► /bin/sh -c COMMAND ──► its children
//!            └─ a pipe ────►┘ └─ subreaper ─────────► orphans and daemons
//! ```
//!
//! - The measurement ends, by itself, by SIGKILL or by a panic: its end of the pipe closes, and the
//!   keeper ends the server.
//! - The server's children cannot leave: who loses his parent becomes the keeper's child
//!   (PR_SET_CHILD_SUBREAPER of prctl(2)), so it is done when it has no child left.
//! - Ctrl-C does not reach the server, for it is in a process group of its own.
//! - Only the keeper's own SIGKILL would leave the server behind. So it goes by a name of its own:
//!   `pkill -9 socklab` does not find it.

use std::ffi::{CStr, OsStr};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{self, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::prctl::{set_child_subreaper, set_name};
use nix::sys::signal::{Signal, kill, killpg};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;
use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};

use super::process::family;
use super::{CpuList, confine};

/// What process lists call a keeper.
const NAME: &CStr = c"keeper";

/// After this, a process that SIGKILL has not ended is left to the kernel: it hangs there, or it
/// belongs to another user.
const GIVE_UP: Duration = Duration::from_secs(5);

/// Between two looks for processes that are to be killed.
const SWEEP: Duration = Duration::from_millis(10);

/// Runs `command` in a shell on `cpus` until it ends or standard input does; then nothing that it
/// started is left. It has `grace` for that from SIGTERM on; with none, SIGKILL comes first.
///
/// Standard output gets a line `pid N`, the shell's, and standard error what the command writes.
/// Returns the command's exit status as shells put it: 128 and the signal if one ended it.
pub fn keep(command: &OsStr, cpus: Option<&CpuList>, grace: Duration) -> Result<u8, String> {
    let failed =
        |what: &str, error: io::Error| format!("cannot {what}: {}", crate::failure::cause(&error));
    set_child_subreaper(true).map_err(|error| failed("keep orphans", error.into()))?;
    set_name(NAME).map_err(|error| failed("take a name", error.into()))?;
    // Caught, not ignored: what is ignored stays so in the command. There is nothing to do but to
    // stay, for standard input tells when to end.
    for signal in [SIGINT, SIGHUP, SIGTERM, SIGQUIT] {
        signal_hook::flag::register(signal, Arc::default())
            .map_err(|error| failed("catch signals", error))?;
    }
    if let Some(cpus) = cpus {
        confine(Pid::from_raw(0), cpus)
            .map_err(|error| failed(&format!("run on CPUs {cpus}"), error))?;
    }
    let root = start(command).map_err(|error| failed("start the command", error))?;
    // If nobody reads it, nobody holds the pipe either, and the end is near.
    let _ = writeln!(io::stdout(), "pid {root}");

    let (end, asked_to) = channel();
    thread::spawn({
        let end = end.clone();
        move || {
            let _ = io::copy(&mut io::stdin().lock(), &mut io::sink());
            let _ = end.send(());
        }
    });
    thread::spawn(move || end_all(root, &asked_to, grace));

    let mut status = None;
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, code)) if pid == root => status = Some(code as u8),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == root => {
                status = Some(128 + signal as u8);
            }
            Err(Errno::ECHILD) => return Ok(status.unwrap_or(1)),
            _ => continue,
        }
        // What it leaves behind is not observed, so it may not stay.
        let _ = end.send(());
    }
}

fn start(command: &OsStr) -> io::Result<Pid> {
    let child = Command::new("/bin/sh")
        .arg("-c")
        .arg(command)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(io::stderr().as_fd().try_clone_to_owned()?)
        .spawn()?;
    Ok(Pid::from_raw(child.id() as i32))
}

/// Sleeps until somebody asks for the end, and sees to it.
fn end_all(root: Pid, asked: &Receiver<()>, grace: Duration) {
    let _ = asked.recv();
    if !grace.is_zero() {
        let _ = killpg(root, Signal::SIGTERM);
        thread::sleep(grace);
    }
    let since = Instant::now();
    while since.elapsed() < GIVE_UP {
        // The killed can have children that nobody has seen yet, so once is not enough. When all
        // have ended, so does this process.
        for descendant in family(Pid::this()).unwrap_or_default() {
            if descendant.pid != Pid::this() {
                let _ = kill(descendant.pid, Signal::SIGKILL);
            }
        }
        thread::sleep(SWEEP);
    }
    let _ = writeln!(io::stderr(), "socklab: cannot kill what the command started");
    process::exit(1);
}

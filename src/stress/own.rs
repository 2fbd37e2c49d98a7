//! Servers that hostile clients start for themselves, because they need it to be small, or to end.

use std::fs;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::arena::Arena;
use super::verdict::{Breach, Outcome};
use crate::failure::time;
use crate::observe::{DYING, Launcher, ProcessTree, Started, quoted};

/// How a server of the kind that is visited is started.
#[derive(Clone, Debug)]
pub struct Starter {
    /// Who starts it.
    pub launcher: Launcher,
    /// What the shell runs, with `{port}` in it.
    pub command: String,
    /// Whether it takes the options of `socklab server`, appended to its command.
    pub is_ours: bool,
}

/// Between two looks at a process.
const GLANCE: Duration = Duration::from_millis(2);

/// A server that is stopped when it is dropped, and an arena for it.
pub struct Own {
    /// Where it is met.
    pub arena: Arena,
    /// Its process.
    pub started: Started,
}

impl Arena {
    /// Lets `visit` have one more server of this kind, with further `options` of `socklab server` and
    /// a `prefix` before its command, such as `setpriv …`. Where the promise is broken, what is said
    /// of it ends with how the server has ended, if it has.
    pub fn on_own(
        &self,
        prefix: &str,
        options: &str,
        visit: impl FnOnce(&mut Own) -> Outcome,
    ) -> Outcome {
        let mut own = self.own(prefix, options)?;
        let outcome = visit(&mut own);
        own.tell_its_end(outcome)
    }

    /// These options where the server takes them, and none where it is not ours.
    pub fn if_ours<'a>(&self, options: &'a str) -> &'a str {
        match &self.starter {
            Some(starter) if !starter.is_ours => "",
            _ => options,
        }
    }

    /// One more of our servers with these options; nobody where the one that is visited is not ours, and
    /// has to do.
    pub(super) fn own_if_ours(&self, options: &str) -> Result<Option<Own>, Breach> {
        match &self.starter {
            Some(starter) if starter.is_ours => self.own("", options).map(Some),
            _ => Ok(None),
        }
    }

    /// One more server of this kind, as [`Arena::on_own`] has it.
    pub(super) fn own(&self, prefix: &str, options: &str) -> Result<Own, Breach> {
        if !options.is_empty() && !self.starter.as_ref().is_some_and(|starter| starter.is_ours) {
            return Err(Breach::skipped(format!(
                "it starts a server with {options}, which only ours are known to take; visit them with \
                 --engine"
            )));
        }
        let starter = self.starter.as_ref().ok_or_else(|| {
            Breach::skipped("it needs a server of its own; start it with --server 'COMMAND {port}'")
        })?;
        let command = match (starter.command.strip_prefix("exec "), prefix) {
            (_, "") => starter.command.clone(),
            (Some(rest), _) => format!("exec {prefix} {rest}"),
            (None, _) => format!("exec {prefix} /bin/sh -c {}", quoted(&starter.command)),
        };
        let command = format!("{command} {options}");
        let started = starter.launcher.start("a server of its own", command.trim_end(), None);
        let started = started.map_err(|error| Breach::skipped(error.to_string()))?;
        let process = ProcessTree::of(started.pid())?;
        let server = started.address();
        let path = self.page.as_ref().map(|(_, path)| path.clone());
        let page = path.map(|path| (server.to_string(), path));
        let arena = Arena { server, page, process: Some(Mutex::new(process)), ..self.bare() };
        Ok(Own { arena, started })
    }
}

impl Own {
    /// Sends its first process a signal, and says when.
    pub fn signal(&self, signal: Signal) -> Result<Instant, Breach> {
        let now = Instant::now();
        kill(self.started.pid(), signal).map_err(std::io::Error::from)?;
        Ok(now)
    }

    /// Halts its processes (SIGSTOP), lets `meanwhile` happen, and lets them go on. What is sent
    /// meanwhile waits in the kernel, and so do signals: the server finds all of it at once.
    pub fn halted<T>(
        &self,
        meanwhile: impl FnOnce(&Own) -> Result<T, Breach>,
    ) -> Result<T, Breach> {
        let pids = self.arena.pids()?;
        let send = |signal| {
            for pid in &pids {
                // It may have ended.
                let _ = kill(*pid, signal);
            }
        };
        send(Signal::SIGSTOP);
        let since = Instant::now();
        let mut outcome = Ok(());
        while outcome.is_ok()
            && !pids.iter().all(|pid| is_halted(*pid))
            && since.elapsed() < self.arena.patience
        {
            outcome = self.arena.pause(GLANCE);
        }
        let outcome = outcome.and_then(|()| meanwhile(self));
        send(Signal::SIGCONT);
        outcome
    }

    /// Waits for its end with this exit status, after what was asked of it `since` then, and says how
    /// long it took. It may take `extra` beyond the patience.
    pub fn ends_with(
        &mut self,
        due: i32,
        since: Instant,
        extra: Duration,
    ) -> Result<Duration, Breach> {
        let bound = self.arena.patience + extra;
        loop {
            if let Some(status) = self.started.status() {
                return match status.code() == Some(due) {
                    true => Ok(since.elapsed()),
                    false => Err(Breach::broken(format!("exit status {due} was due"))),
                };
            }
            if since.elapsed() > bound {
                return Err(Breach::broken(format!("it was still there after {}", time(bound))));
            }
            self.arena.pause(GLANCE)?;
        }
    }

    fn tell_its_end(&mut self, outcome: Outcome) -> Outcome {
        let (Err(Breach::Broken(what)) | Err(Breach::Skipped(what))) = &outcome else {
            return outcome;
        };
        let dying = matches!(outcome, Err(Breach::Broken(_))) || self.arena.is_gone();
        let patience = if dying { DYING } else { Duration::ZERO };
        match self.started.ended_within(patience) {
            Some(how) => Err(Breach::broken(format!("{what}; its server {how}"))),
            None => outcome,
        }
    }
}

/// Whether all threads of a process stand still (T of proc_pid_stat(5), t under a debugger).
fn is_halted(pid: Pid) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten();
    threads.flatten().all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['T', 't', 'Z', 'X']))
    })
}

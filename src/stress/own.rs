//! Servers that hostile clients start for themselves, because they need it to be small, or to end.

use std::sync::Mutex;

use super::arena::Arena;
use super::verdict::Breach;
use crate::observe::{Launcher, ProcessTree, Started};

/// How a server of ours is started.
#[derive(Clone, Debug)]
pub struct Starter {
    /// Who starts it.
    pub launcher: Launcher,
    /// What the shell runs, with `{port}` in it; options are appended.
    pub command: String,
}

/// A server that is stopped when it is dropped, and an arena for it.
pub struct Own {
    /// Where it is met.
    pub arena: Arena,
    /// Its process.
    pub started: Started,
}

impl Arena {
    /// One more server of this kind with further `options`, as its command line has them, and a shell's
    /// `prefix` before its command.
    pub fn own(&self, prefix: &str, options: &str) -> Result<Own, Breach> {
        let Some(starter) = &self.starter else {
            return Err(Breach::skipped(format!(
                "it needs a server of its own with {options}; `socklab stress` alone starts ours"
            )));
        };
        let command = match starter.command.strip_prefix("exec ") {
            Some(rest) => format!("exec {prefix}{rest} {options}"),
            None => format!("{prefix}{} {options}", starter.command),
        };
        let started = starter.launcher.start("a server", &command, None);
        let started = started.map_err(|error| Breach::skipped(error.to_string()))?;
        let process = ProcessTree::of(started.pid())?;
        let server = started.address();
        let arena = Arena { server, process: Some(Mutex::new(process)), ..self.bare() };
        Ok(Own { arena, started })
    }
}

//! `socklab keep`, which `load` and `bench` run servers through. It is no command for people: not
//! part of the command line that help, completions and manual pages are made from.

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use socklab::observe::{self, CpuList};

use super::units;

/// The word after `socklab`.
pub const NAME: &str = "keep";

/// Run COMMAND in a shell until it or standard input ends, and leave nothing of it behind
#[derive(Parser)]
#[command(name = "socklab keep")]
struct Keep {
    /// CPUs that it may use, like 0-3,8
    #[arg(long, value_name = "LIST")]
    cpus: Option<CpuList>,
    /// How long it may take to end after SIGTERM; 0 for SIGKILL at once
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "500ms")]
    grace: Duration,
    /// What the shell runs
    command: OsString,
}

/// Runs what stands behind `socklab keep`.
pub fn main(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let keep = Keep::parse_from(arguments);
    match observe::keep(&keep.command, keep.cpus.as_ref(), keep.grace) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            let _ = writeln!(io::stderr(), "socklab: {failure}");
            ExitCode::FAILURE
        }
    }
}

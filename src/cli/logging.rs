//! Logging that never stops serving: a line that standard error does not take at once is lost, and
//! the loss is told when it takes lines again.

use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};

use env_logger::{Builder, Target, WriteStyle};
use log::LevelFilter;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socklab::engine::EXPLAIN;

use super::Verbosity;

/// Starts logging to standard error, at info unless told otherwise. `RUST_LOG` overrides the
/// flags, but not `explain`.
pub fn start(verbosity: &Verbosity, explain: bool) {
    let level = match (verbosity.quiet, verbosity.verbose) {
        (true, _) => LevelFilter::Error,
        (false, 0) => LevelFilter::Info,
        (false, 1) => LevelFilter::Debug,
        (false, _) => LevelFilter::Trace,
    };
    let mut builder = Builder::new();
    builder.filter_level(level).parse_default_env();
    if explain {
        builder.filter_module(EXPLAIN, LevelFilter::Trace);
    }
    let coloured = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    builder
        .write_style(if coloured { WriteStyle::Always } else { WriteStyle::Never })
        .format_timestamp_millis()
        .format_target(false);
    if let Ok(stderr) = Lossy::stderr() {
        builder.target(Target::Pipe(Box::new(stderr)));
    }
    builder.init();
}

/// Standard error, which loses lines instead of waiting.
struct Lossy {
    out: File,
    lost: u64,
}

impl Lossy {
    fn stderr() -> io::Result<Lossy> {
        let stderr = io::stderr().as_fd().try_clone_to_owned()?;
        Ok(Lossy { out: without_blocking(stderr)?, lost: 0 })
    }

    /// Whether there is room for a line. For what could not be opened anew (a socket) this is all
    /// that keeps a write from sleeping.
    fn has_room(&self) -> bool {
        let mut out = [PollFd::new(self.out.as_fd(), PollFlags::POLLOUT)];
        matches!(poll(&mut out, PollTimeout::ZERO), Ok(1))
    }
}

/// A pipe or a terminal is opened anew, for O_NONBLOCK belongs to the open file: set on the one
/// we were given, it would also change those of our parent and its other children.
fn without_blocking(stderr: OwnedFd) -> io::Result<File> {
    let given = File::from(stderr);
    let kind = given.metadata()?.file_type();
    if !kind.is_fifo() && !kind.is_char_device() {
        return Ok(given);
    }
    let anew = OpenOptions::new()
        .write(true)
        .custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits())
        .open("/proc/self/fd/2");
    Ok(anew.unwrap_or(given))
}

impl Write for Lossy {
    /// env_logger hands over one whole line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let room = self.has_room();
        let taken = match self.lost {
            0 if room => self.out.write(line),
            lost if room => {
                let told = format!("({lost} lines were lost: nobody read standard error)\n");
                self.out.write(&[told.as_bytes(), line].concat())
            }
            _ => Err(io::ErrorKind::WouldBlock.into()),
        };
        match taken {
            Ok(_) => self.lost = 0,
            Err(_) => self.lost += 1,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

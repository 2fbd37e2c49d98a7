//! Why a server does not start.

use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::started::PORT;
use crate::failure;
use crate::transport::Transport;

/// Why a server could not be started, in one line.
#[derive(Debug)]
pub struct StartError {
    pub(super) name: String,
    pub(super) command: String,
    pub(super) cause: Cause,
}

#[derive(Debug)]
pub(super) enum Cause {
    NoPort,
    Port(io::Error),
    Keeper(io::Error),
    Ended { port: u16, status: ExitStatus, words: String },
    Mute { port: u16, transport: Transport, patience: Duration, words: String },
}

impl std::error::Error for StartError {}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StartError { name, command, cause } = self;
        write!(f, "cannot start {name}: ")?;
        match cause {
            Cause::NoPort => write!(
                f,
                "there is no {PORT} in {command:?}; write {PORT} where the server is told its \
                 port, a free one takes its place"
            ),
            Cause::Port(error) => {
                write!(f, "there is no free port: {}; try again later", failure::cause(error))
            }
            Cause::Keeper(error) => {
                write!(
                    f,
                    "its keeper does not run: {}; install socklab anew",
                    failure::cause(error)
                )
            }
            Cause::Ended { port, status, words } => {
                let advice = match status.success() {
                    true => "it must stay in the foreground",
                    false => "try it by hand",
                };
                let (ending, words) = (ending(*status), after_colon(words));
                write!(f, "{command:?} with port {port} {ending}{words}; {advice}")
            }
            Cause::Mute { port, transport, patience, words } => {
                let what = match transport {
                    Transport::Tcp => "accepts no connection",
                    Transport::Udp => "takes no datagram",
                };
                let advice = match transport {
                    Transport::Tcp => "",
                    Transport::Udp => " for datagrams (`socklab server --udp-only`)",
                };
                let (patience, words) = (humantime::format_duration(*patience), after_colon(words));
                write!(
                    f,
                    "{command:?} {what} on 127.0.0.1:{port} within \
                     {patience}{words}; it must listen on the port that {PORT} stands for{advice}"
                )
            }
        }
    }
}

/// Shells and keepers say 128 and a signal for its signal.
pub(super) fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => match Signal::try_from(code - 128) {
            Ok(signal) => format!("was ended by {signal}"),
            Err(_) => format!("ended with exit status {code}"),
        },
        (None, signal) => {
            let signal = signal.and_then(|signal| Signal::try_from(signal).ok());
            format!("lost its keeper to {}", signal.map_or("a signal", Signal::as_str))
        }
    }
}

/// `: ` and what was said, if anything was.
pub(super) fn after_colon(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(": {words}") }
}

//! `socklab client`.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use socklab::client;

use super::{Failure, units};

/// The exit status after Ctrl-C, as shells have it: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// Talk to any TCP server
///
/// With --message it sends that, prints the reply, and exits. On a terminal it talks line by line;
/// `exit` or Ctrl-D leaves. In a pipe it carries bytes both ways: at the end of the input it closes
/// its sending half and prints what still comes, until the server closes.
///
/// A server that closes first is believed to want no more once the input has been silent for a
/// second; if it has not taken what was sent by then, the exit status is 1.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct Client {
    /// Name or address of the server; its addresses are tried in turn
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Port of the server
    #[arg(long, default_value_t = 8000, value_parser = clap::value_parser!(u16).range(1..))]
    port: u16,
    /// Send TEXT as it stands (no line end is added), print the reply, and exit
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<OsString>,
    /// How long to wait for a connection; with --message also for the reply, and for the server to
    /// close after its last byte
    #[arg(long, value_name = "TIME", value_parser = units::patience, default_value = "5s")]
    timeout: Duration,
}

impl Client {
    /// Connects, talks, and returns when the conversation is over.
    pub fn run(self) -> Result<(), Failure> {
        let always = Arc::new(AtomicBool::new(true));
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED, always)
            .map_err(|error| format!("cannot prepare for Ctrl-C: {error}"))?;
        let stream = client::connect(&self.host, self.port, self.timeout)?;
        let person = io::stdin().is_terminal() && io::stdout().is_terminal();
        match self.message {
            Some(text) => client::message(stream, text.as_encoded_bytes(), self.timeout)?,
            None if person => client::terminal(stream)?,
            None => client::pipe(stream)?,
        }
        Ok(())
    }
}

//! `socklab client`.

use std::env;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use clap::Args;
use log::warn;
use signal_hook::consts::SIGINT;
use signal_hook::flag;
use socklab::client::{self, datagram};
use socklab::failure::cause;
use socklab::tls::Connector;

use super::tls::Trust;
use super::{Failure, misused, units};

/// The exit status after Ctrl-C, as shells have it: 128 and the number of the signal.
const INTERRUPTED: i32 = 130;

/// How long a server may take, unless --timeout says otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may be gone, unless --lost-after says otherwise: lines that come back sooner are no
/// reason to lose a conversation.
pub const LOST_AFTER: Duration = Duration::from_secs(60);

/// The same for a datagram: where TCP repeats by itself, here the next attempt does.
const PATIENCE_UDP: Duration = Duration::from_secs(1);

/// Three attempts lose a message in one of a thousand cases where a tenth of all answers are lost.
const RETRIES: u32 = 2;

/// Talk to any TCP server, or with --udp to any UDP server
///
/// With --message it sends that, prints the reply, and exits. On a terminal it talks line by line;
/// `exit` or Ctrl-D leaves. In a pipe it carries bytes both ways: at the end of the input it closes
/// its sending half and prints what still comes, until the server closes.
///
/// A server that closes first is believed to want no more once the input has been silent for a
/// second; if it has not taken what was sent by then, the exit status is 1. One that vanishes without
/// a word is waited for as long as --lost-after says.
///
/// Over UDP nothing connects: --message is one datagram, and so is each line on a terminal or in a
/// pipe, with its line end. On a terminal, answers that are lost or late are told. A pipe ends when
/// its input has, and as many answers have come as datagrams were sent, or none for --timeout. What
/// was not answered is told on standard error; the exit status is 1 if nothing was. Of a name with
/// several addresses the next one is tried where one refuses, and with --message also where one is
/// silent.
///
/// With --tls the server must show a certificate for --host that an authority of the system has
/// signed; --ca and --pin trust others. The end of the input is told by close_notify, as TLS has it;
/// a server that ends without one may have been cut off, which is told, and the exit status is 1. If
/// the environment variable SSLKEYLOGFILE names a file, the keys are appended there, for Wireshark.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct Client {
    /// Name or address of the server; its addresses are tried in turn
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Port of the server
    #[arg(long, default_value_t = 8000, value_parser = units::within::<u16>(1..=65_535))]
    port: u16,
    /// Speak UDP: datagrams, which may be lost
    #[arg(long)]
    udp: bool,
    /// Send TEXT as it stands (no line end is added), print the reply, and exit
    ///
    /// With --udp, '' is a datagram of no bytes, and its answer may be one, too. The first answer
    /// is printed; without one, the exit status is 1.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    message: Option<OsString>,
    /// How long to wait for a connection; with --message also for the reply, and for the server to
    /// close after its last byte; with --udp for each answer [default: 5s, with --udp 1s]
    #[arg(long, value_name = "TIME", value_parser = units::patience)]
    timeout: Option<Duration>,
    /// How long the server may show no sign of life, or take nothing of what was sent, until the
    /// connection is given up [default: 1m]
    ///
    /// A connection on which nothing moves is probed from half of that time on (TCP keepalive), to
    /// the second. A server that only has nothing to say is waited for for ever. In a pipe, one that
    /// takes nothing is given up only once nothing has come from it for that time, either, so that it
    /// can take twice as long: it may be waiting for whoever reads what is printed.
    #[arg(long, value_name = "TIME", value_parser = units::patience, conflicts_with = "udp")]
    lost_after: Option<Duration>,
    /// With --udp and --message: how often to send it again while there is no answer [default: 2]
    #[arg(long, value_name = "N", requires_all = ["udp", "message"],
        value_parser = units::at_least::<u32>(0))]
    retries: Option<u32>,
    /// Speak TLS (1.2 or 1.3)
    #[arg(long, help_heading = "TLS")]
    tls: bool,
    #[command(flatten)]
    trust: Trust,
}

impl Client {
    /// Talks, and returns when the conversation is over.
    pub fn run(self) -> Result<(), Failure> {
        let always = Arc::new(AtomicBool::new(true));
        flag::register_conditional_shutdown(SIGINT, INTERRUPTED, always)
            .map_err(|error| format!("cannot prepare for Ctrl-C: {error}"))?;
        match (self.tls, self.trust.given()) {
            (true, _) if self.udp => {
                misused("client", "--tls is spoken over TCP; leave out --udp, or --tls")
            }
            (false, Some(option)) => misused("client", format!("{option} needs --tls")),
            _ => {}
        }
        match self.udp {
            true => Ok(self.send_datagrams()?),
            false => self.connect(),
        }
    }

    fn connect(&self) -> Result<(), Failure> {
        let patience = self.timeout.unwrap_or(PATIENCE);
        let tls = self.tls.then(|| connector(&self.trust)).transpose()?;
        let lost_after = self.lost_after.unwrap_or(LOST_AFTER);
        let stream =
            client::connect(&self.host, self.port, tls.as_ref(), patience, Some(lost_after))?;
        match &self.message {
            Some(text) => client::message(stream, text.as_encoded_bytes(), patience)?,
            None if at_terminal() => client::terminal(stream)?,
            None => client::pipe(stream, lost_after)?,
        }
        Ok(())
    }

    fn send_datagrams(&self) -> Result<(), client::Error> {
        let patience = self.timeout.unwrap_or(PATIENCE_UDP);
        let retries = self.retries.unwrap_or(RETRIES);
        let server = datagram::Server::open(&self.host, self.port)?;
        match &self.message {
            Some(text) => datagram::message(server, text.as_encoded_bytes(), patience, retries),
            None if at_terminal() => datagram::terminal(server, patience),
            None => datagram::pipe(server, patience),
        }
    }
}

/// What makes one connection, which needs no memory of sessions. Keys are logged as other clients do
/// it, but for nobody else to read.
pub fn connector(trust: &Trust) -> Result<Connector, Failure> {
    let mut options = trust.options(0);
    if let Some(file) = env::var_os("SSLKEYLOGFILE").filter(|file| !file.is_empty()) {
        let name = Path::new(&file).display();
        match File::options().append(true).create(true).mode(0o600).open(&file) {
            Ok(_) => {
                warn!("whoever reads {name} can read this conversation: its keys go there");
                options.log_keys = true;
            }
            Err(error) => {
                warn!("no keys are logged: cannot write {name} (SSLKEYLOGFILE): {}", cause(&error))
            }
        }
    }
    Ok(Connector::new(&options)?)
}

/// Whether a person types here and reads the answers.
pub fn at_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

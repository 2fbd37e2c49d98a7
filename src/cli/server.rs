//! `socklab server`.

use std::io::{self, Write};
use std::net::{TcpListener, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use log::{info, warn};
use socklab::engine::{self, Endpoint, Engine, Limits, Stop};
use socklab::service::chat::Settings;
use socklab::service::{Chargen, Chat, Discard, Echo};
use socklab::session::{Responder, Service as AnyService};
use socklab::tls::{Acceptor, Plain, Tls};

use super::admission::Admission;
use super::chat_server::ChatServer;
use super::encryption::Encryption;
use super::file_server::FileServer;
use super::metrics::Watching;
use super::{Failure, misused, reload, respawn, units};

/// Serve a protocol until interrupted
///
/// When it is ready, it prints a line `listening on ADDRESS` for each address (with ` (UDP)` behind
/// those of datagrams, and ` (TLS)` with --tls), with --tls also `certificate SHA-256 FINGERPRINT`,
/// with --metrics also `metrics at URL`, and nothing else, on standard output. The log goes to
/// standard error.
///
/// SIGINT, SIGTERM and SIGHUP stop it: it refuses new callers, answers what has arrived, and exits
/// with status 0 within --grace. A second signal ends it at once, with status 130. Under nohup(1)
/// SIGHUP stays ignored. With --cert, SIGHUP stops nothing: it has the certificate read again.
/// SIGUSR1 has the server log what it has counted, in a few lines, while it goes on serving.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct Server {
    /// What to serve
    #[arg(value_enum, default_value = "echo")]
    service: Service,
    /// One event loop for all clients, or one thread for each
    #[arg(long, value_enum, default_value = "poll")]
    engine: EngineName,
    /// Name or address to listen on; every address of a name is taken. `::` is every address this
    /// machine has, IPv4 included
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Port to listen on; 0 picks a free one [default: 8000; for chat 6667, and 6697 over TLS]
    #[arg(long, value_parser = units::within::<u16>(0..=65_535))]
    port: Option<u16>,
    /// Serve datagrams as well, on the same port
    ///
    /// An answer is never longer than the datagram it answers, leaves with one hop less (so that
    /// loops between servers end), and is not given to ports whose services answer by themselves,
    /// such as 7, 13, 17, 19, 37, 53, 69, 123 and 1900. (Who sends with 32 hops, as few systems do,
    /// is answered up to some 16 routers away; with the usual 64 it is 32.)
    #[arg(long, group = "datagrams")]
    udp: bool,
    /// Serve datagrams only
    #[arg(long, group = "datagrams")]
    udp_only: bool,
    /// Answer datagrams on addresses that others reach, too
    ///
    /// Anybody can put any sender on a datagram, and the answer goes there. Do this where you know
    /// who can send.
    #[arg(long, requires = "datagrams")]
    allow_reflection: bool,
    /// Datagrams answered per second to one source (an address; a /64 of IPv6); 0 for all
    /// [default: all on loopback addresses, 1000 on others]
    #[arg(long, value_name = "N", requires = "datagrams", value_parser = units::at_least::<u32>(0))]
    rate_per_source: Option<u32>,
    /// Threads that take datagrams from each address (thread engine; the poll engine has one for all)
    #[arg(long, value_name = "N", default_value_t = 1, requires = "datagrams",
        value_parser = units::within::<u16>(1..=256))]
    receivers: u16,
    /// Clients served at once, 1 or more [default: what the limit on open files allows, 20000 at most]
    ///
    /// Further callers wait in the kernel's queue until a seat is free. The soft limit on open
    /// files is raised to the hard one; more than that allows is lowered, with a warning.
    #[arg(long, value_name = "N", value_parser = units::at_least::<u32>(1))]
    max_clients: Option<u32>,
    /// Close a connection on which nothing moves, in or out, for this long; 0 for never
    ///
    /// The default is that of nginx's stream proxy: long enough for a person who thinks, short
    /// enough that a vanished peer does not hold its seat for ever.
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "10m")]
    idle_timeout: Duration,
    /// Bytes that may wait for one client that does not read
    ///
    /// The server stops reading from it, so its own words never pile up beyond this: at most 128 KiB
    /// of them with the poll engine, 64 KiB with threads (over TLS as much again that waits to be
    /// decrypted). What other clients send to it may fill the rest; beyond that it is cut off.
    #[arg(long, value_name = "SIZE", visible_alias = "sendq", value_parser = units::backlog,
        default_value = "1MiB")]
    backlog_bytes: usize,
    /// How long clients may take to finish once the server was told to stop
    ///
    /// Idle clients are not waited for. The default is half of what `docker stop` allows.
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "5s")]
    grace: Duration,
    /// Stack of a client's thread (thread engine); only what is touched costs memory
    #[arg(long, value_name = "SIZE", value_parser = units::stack, default_value = "128KiB")]
    stack_size: usize,
    /// Tell in the log, a line each, what the engine does and why
    #[arg(long)]
    pub explain: bool,
    // The last ones, for what follows would be among their options in the help.
    #[command(flatten)]
    admission: Admission,
    #[command(flatten)]
    watching: Watching,
    #[command(flatten)]
    encryption: Encryption,
    #[command(flatten)]
    chat: ChatServer,
    #[command(flatten)]
    files: FileServer,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Service {
    /// Everything comes back (RFC 862)
    Echo,
    /// Everything is read, nothing answered (RFC 863)
    Discard,
    /// An endless pattern of characters (RFC 864)
    Chargen,
    /// Rooms that every IRC client can join (RFC 1459, 2812, IRCv3)
    Chat,
    /// The files of a directory (HTTP/1.1)
    Files,
}

#[derive(Clone, Copy, ValueEnum)]
enum EngineName {
    /// One thread, one mio Poll loop, all clients
    Poll,
    /// One blocking thread per client
    Threads,
}

impl Service {
    /// What answers datagrams, where they make sense.
    fn datagrams(self) -> Option<Arc<dyn Responder>> {
        match self {
            Service::Echo => Some(Arc::new(Echo)),
            Service::Discard => Some(Arc::new(Discard)),
            Service::Chargen => Some(Arc::new(Chargen)),
            Service::Chat | Service::Files => None,
        }
    }

    fn name(self) -> String {
        let value = self.to_possible_value().expect("no service is hidden");
        value.get_name().into()
    }

    /// Files that a client keeps open, its connection included.
    fn files_each(self) -> usize {
        match self {
            Service::Files => 3,
            _ => 1,
        }
    }

    /// Connections that one address may have, unless told otherwise.
    fn share(self) -> Option<u32> {
        (self == Service::Chat).then_some(Settings::CLIENTS_PER_ADDRESS)
    }

    /// Where its clients look for it.
    fn port(self, tls: bool) -> u16 {
        match (self, tls) {
            (Service::Chat, false) => 6667,
            (Service::Chat, true) => 6697,
            _ => 8000,
        }
    }
}

/// Datagrams answered per second to one source that is not this machine: more than a person or a
/// monitor sends, and too few to harm whoever gets them.
const RATE_PER_SOURCE: u32 = 1000;

impl Server {
    /// Serves until told to stop.
    pub fn run(self) -> Result<(), Failure> {
        if self.service != Service::Chat && self.chat != ChatServer::default() {
            misused("server", "the options of chat (--name, --motd, …) go with `server chat`");
        }
        if self.service != Service::Files && self.files != FileServer::default() {
            misused(
                "server",
                "the options of files (--root, --writable, …) go with `server files`",
            );
        }
        if self.service.datagrams().is_none() && (self.udp || self.udp_only) {
            let name = self.service.name();
            misused("server", format!("{name} is spoken over TCP; leave out --udp"));
        }
        let engine = match self.engine {
            EngineName::Poll => Engine::Poll,
            EngineName::Threads => Engine::Threads,
        };
        if engine == Engine::Threads {
            respawn::without_signal_stacks();
        }
        let open_files = engine::raise_open_files()
            .map_err(|error| format!("cannot raise the limit on open files: {error}"))?;
        let acceptor = self.encryption.acceptor(&self.host)?;
        let (service, share) = self.streams(acceptor.as_ref())?;
        let stop = self
            .prepare_for_signals(acceptor.as_ref())
            .map_err(|error| format!("cannot prepare for signals: {error}"))?;
        let (listeners, sockets) = self.listen()?;
        let rate_per_source = self.rate(&sockets);
        let clients_per_address = self.admission.share(share, self.service.share());
        let limits =
            Limits { rate_per_source, clients_per_address, ..self.limits(engine, open_files)? };
        let (metrics, metrics_at) = self.watching.endpoints(&stop)?;

        let mut announcement = String::new();
        for listener in &listeners {
            let tls = if acceptor.is_some() { " (TLS)" } else { "" };
            announcement += &format!("listening on {}{tls}\n", listener.local_addr()?);
        }
        for socket in &sockets {
            announcement += &format!("listening on {} (UDP)\n", socket.local_addr()?);
        }
        if let Some(acceptor) = &acceptor {
            let fingerprint = acceptor.certificates.fingerprint();
            announcement += &format!("certificate SHA-256 {fingerprint}\n");
        }
        announcement += &metrics_at;
        let carries = match listeners.is_empty() {
            true => "datagrams only".into(),
            false => format!("{} clients at most", limits.max_clients),
        };
        info!("{} on the {engine} engine, {carries}", self.service.name());
        self.warn_of_strangers(&listeners);
        let streams = listeners
            .into_iter()
            .map(|listener| Endpoint::Stream { listener, service: service.clone() });
        let responder = self.service.datagrams();
        let datagrams = sockets.into_iter().zip(responder.into_iter().cycle());
        let datagrams =
            datagrams.map(|(socket, responder)| Endpoint::Datagram { socket, responder });
        let endpoints = streams.chain(datagrams).chain(metrics).collect();
        announce(&announcement);
        engine
            .run(endpoints, limits, stop)
            .map_err(|error| format!("the {engine} engine cannot run: {error}"))?;
        info!("stopped");
        Ok(())
    }

    /// What serves connections, and what a file says of how many an address may have.
    fn streams(
        &self,
        acceptor: Option<&Acceptor>,
    ) -> Result<(Arc<dyn AnyService>, Option<u32>), Failure> {
        let mut share = None;
        let service: Arc<dyn AnyService> = match self.service {
            Service::Echo => Arc::new(Echo),
            Service::Discard => Arc::new(Discard),
            Service::Chargen => Arc::new(Chargen),
            Service::Chat => {
                let (settings, in_file) = self.chat.clone().settings(acceptor.is_some())?;
                share = in_file;
                Arc::new(Chat::new(settings))
            }
            Service::Files => Arc::new(self.files.service()?),
        };
        let service: Arc<dyn AnyService> = match acceptor {
            Some(acceptor) => {
                Arc::new(Tls::new(service, acceptor, self.encryption.handshake_timeout))
            }
            None => Arc::new(Plain(service)),
        };
        Ok((service, share))
    }

    /// Files that anybody can change are for networks where everybody may.
    fn warn_of_strangers(&self, listeners: &[TcpListener]) {
        let is_open = |listener: &&TcpListener| {
            listener.local_addr().is_ok_and(|address| !address.ip().is_loopback())
        };
        if self.files.is_writable()
            && !self.encryption.knows_clients()
            && let Some(listener) = listeners.iter().find(is_open)
            && let Ok(address) = listener.local_addr()
        {
            warn!(
                "whoever reaches {address} can leave, replace and remove files; `--tls \
                 --tls-client-ca FILE` lets in only clients with a certificate of yours"
            );
        }
    }

    fn prepare_for_signals(&self, acceptor: Option<&Acceptor>) -> io::Result<Arc<Stop>> {
        let stop = Stop::new()?;
        stop.on_signals()?;
        stop.log_counters_on_signal()?;
        match acceptor.filter(|_| self.encryption.is_reloadable()) {
            Some(acceptor) => reload::on_hangup(acceptor.certificates.clone())?,
            None => stop.on_hangup()?,
        }
        Ok(Arc::new(stop))
    }

    fn listen(&self) -> Result<(Vec<TcpListener>, Vec<UdpSocket>), Failure> {
        let port = self.port.unwrap_or(self.service.port(self.encryption.tls));
        let (listeners, sockets) = match (self.udp, self.udp_only) {
            (_, true) => (Vec::new(), engine::listen_datagrams(&self.host, port)?),
            (true, _) => engine::listen_both(&self.host, port)?,
            _ => (engine::listen(&self.host, port)?, Vec::new()),
        };
        if !self.allow_reflection
            && self.service.datagrams().is_some_and(|responder| responder.reflects())
            && let Some(socket) = sockets.iter().find(|socket| !is_loopback(socket))
        {
            return Err(format!(
                "datagrams to {} are not answered without --allow-reflection: whoever forges their \
                 sender has the answers sent there; `--host localhost` needs it not",
                socket.local_addr()?
            )
            .into());
        }
        Ok((listeners, sockets))
    }

    fn rate(&self, sockets: &[UdpSocket]) -> Option<f64> {
        let default = if sockets.iter().all(is_loopback) { 0 } else { RATE_PER_SOURCE };
        let rate = self.rate_per_source.unwrap_or(default);
        Some(rate).filter(|&rate| rate > 0).map(f64::from)
    }

    fn limits(&self, engine: Engine, open_files: usize) -> Result<Limits, Failure> {
        let seats = engine::seats(engine, open_files / self.service.files_each());
        if seats.most == 0 {
            return Err(format!("no client can be served: {} is too low", seats.bound).into());
        }
        let asked = self.max_clients.map(|n| n as usize);
        if let Some(asked) = asked.filter(|asked| *asked > seats.most) {
            warn!(
                "--max-clients {asked} is more than {} allows; serving {} at most",
                seats.bound, seats.most
            );
        }
        Ok(Limits {
            max_clients: asked.unwrap_or(Limits::MAX_CLIENTS).min(seats.most),
            access: self.admission.access(),
            slow_pass: self.watching.slow_pass(),
            idle_timeout: Some(self.idle_timeout).filter(|timeout| !timeout.is_zero()),
            backlog_bytes: self.backlog_bytes,
            grace: self.grace,
            receivers: self.receivers.into(),
            stack_bytes: self.stack_size,
            ..Limits::default()
        })
    }
}

fn is_loopback(socket: &UdpSocket) -> bool {
    socket.local_addr().is_ok_and(|address| address.ip().is_loopback())
}

/// Tells whoever started the server that it is ready. One write, so that a reader of the first
/// line only does not break the pipe before the last; and if nobody listens, it serves all the
/// same.
fn announce(lines: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(lines.as_bytes()).and_then(|()| out.flush());
}

//! `socklab load`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use clap::{Args, ValueEnum};
use log::warn;
use nix::unistd::Pid;
use socklab::load::condition::Condition;
use socklab::load::driver::{Length, Party};
use socklab::load::http::Page;
use socklab::load::http::fetch::Source;
use socklab::load::pace::Pace;
use socklab::load::run::{self, Plan};
use socklab::load::secure::Secure;
use socklab::load::target::Target;
use socklab::load::volley::datagram::{NUMBER, longest};
use socklab::load::watch::Watch;
use socklab::load::work::Work;
use socklab::observe::{DYING, Launcher, ProcessTree, allowed};
use socklab::report::document::{Document, LoadOptions, LoadResult, Rooms};
use socklab::report::{csv, hdr, text};
use socklab::tls::Connector;
use socklab::transport::Transport;

use super::escaped::{Bytes, escaped};
use super::interrupt::stop_on_ctrl_c;
use super::progress::Progress;
use super::rooms::{Chat, not_of_a_line};
use super::tls::Trust;
use super::{CONDITION, Exit, Failure, INTERRUPTED, WRONG_BYTES, output, units, unmeasured};

/// Clients where nothing else is asked for.
const CLIENTS: usize = 50;

/// Bytes of a message where nothing else is asked for.
const SIZE: usize = 64;

/// Load any TCP, TLS, UDP, IRC or HTTP server and measure it
///
/// Clients send messages, and every byte that comes back is compared with what was sent. Without
/// --rate each answer makes room for the next message (closed loop): that shows how much the server
/// can do. With --rate messages are sent on a fixed schedule (open loop), and latency counts from
/// when a message should have been sent: that shows what users feel.
///
/// With tls:// each client shakes hands first, and resumes its session when it comes again;
/// handshakes are counted and timed, full and resumed ones. Before the clients, one more connection
/// finds out whether the server is trusted. `--tls --per-connection 1` measures handshakes.
///
/// With udp:// each message is a datagram with a number in front, and what is lost, duplicated or
/// reordered is counted, not taken for an error.
///
/// With irc:// (and ircs://, over TLS) clients join rooms and hear there what others say: each line
/// has to come to each member of its room but its talker, once, in order and unchanged. What is counted
/// are deliveries. Without --rate a talker goes on when all others have its line.
///
/// With http:// (and https://) clients fetch a file again and again, each over one connection that
/// stays open, unless the server says that it closes. It is fetched once before, and the body of every
/// answer is compared with that one.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage, 3 wrong bytes came back, 4 a condition of --fail-if
/// or --slo was not met, 130 interrupted (the report covers what was measured until then).
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct Load {
    /// The server, as in tcp://127.0.0.1:8000, tls://localhost:8443, udp://127.0.0.1:8000,
    /// irc://127.0.0.1:6667 or http://127.0.0.1:8000/file
    #[arg(required_unless_present = "server", value_parser = parse::<Target>)]
    target: Option<Target>,
    /// Start this server first, and end it afterwards; {port} stands for a free port of 127.0.0.1
    #[arg(long, value_name = "COMMAND", conflicts_with_all = ["target", "pid"], value_parser = units::command)]
    server: Option<String>,
    /// Load the server that --server starts over UDP
    #[arg(long, requires = "server", conflicts_with = "target")]
    udp: bool,
    /// Load the server that --server starts over IRC
    #[arg(long, requires = "server", conflicts_with_all = ["target", "udp"])]
    irc: bool,
    /// Fetch PATH, as in /file, from the server that --server starts
    #[arg(long, value_name = "PATH", requires = "server", conflicts_with_all = ["target", "udp", "irc"])]
    http: Option<String>,
    /// Also report what the process PID, its threads and its children use
    #[arg(long, value_name = "PID", value_parser = units::within::<i32>(1..=i32::MAX as u64))]
    pid: Option<i32>,
    /// Connections; with udp, sockets to send from [default: 50]
    #[arg(long, short, value_name = "N",
        value_parser = units::within::<usize>(1..=10_000_000))]
    clients: Option<usize>,
    /// Bytes of a message; with udp 8 to 65507, of which 8 are its number (65527 over IPv6); with irc
    /// 13 to 400, of which 13 say whose line it is and which [default: 64B]
    #[arg(long, value_name = "SIZE", value_parser = message)]
    size: Option<usize>,
    /// Messages in flight per client (with irc, lines of each talker that not all have heard; with
    /// http, requests)
    /// [default: 1, and with --rate whatever the schedule says]
    #[arg(long, value_name = "DEPTH", value_parser = units::within::<u64>(1..=1_000_000))]
    pipeline: Option<u64>,
    /// How long to measure
    #[arg(long, short, value_name = "TIME", value_parser = units::patience, default_value = "10s")]
    duration: Duration,
    /// Measure N messages (with irc, lines; with http, requests) over all clients, however long it takes
    #[arg(long, short = 'n', value_name = "N", conflicts_with_all = ["duration", "slo"],
        value_parser = units::at_least::<u64>(1))]
    messages: Option<u64>,
    /// How long to load the server before measuring [default: 1s, and none with --messages]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    warmup: Option<Duration>,
    /// Messages (with irc, lines; with http, requests) per second over all clients, on a fixed schedule (open loop)
    #[arg(long, short, value_name = "R", value_parser = rate)]
    rate: Option<f64>,
    /// Search the highest rate that keeps an objective, as in 'p99<2ms'; each step takes --duration
    #[arg(long, value_name = "OBJECTIVE", value_parser = objective)]
    slo: Option<Condition>,
    /// Exit with status 4 if this is true of the result, as in 'p99>5ms', 'errors>0'
    ///
    /// Figures: p50 p90 p99 p99.9 p99.99 mean max (latency), cpu (server CPU time per message), rate
    /// (messages per second, with irc deliveries), errors (clients lost, wrong datagrams), and with udp lost, duplicated,
    /// reordered, corrupted (datagrams) and loss (the part lost, as in 'loss>0.1%'). Where so many
    /// were lost that a percentile is one of theirs, it counts as infinite. A figure that was not
    /// measured counts as true. May be given several times.
    #[arg(long, value_name = "CONDITION", value_parser = parse::<Condition>)]
    fail_if: Vec<Condition>,
    /// Connects per second [default: as fast as they are answered, 64 at a time]
    #[arg(long, value_name = "R", value_parser = rate)]
    connect_rate: Option<f64>,
    /// A client leaves after N messages, and another one comes
    ///
    /// A port rests for a minute after its connection, and among many that rest the kernel finds a
    /// free one only slowly: give several addresses with --source.
    #[arg(long, value_name = "N", conflicts_with_all = ["rate", "slo"],
        value_parser = units::at_least::<u64>(1))]
    per_connection: Option<u64>,
    /// Threads of the load generator; with irc, a room is on one of them
    #[arg(long, value_name = "N", default_value_t = 1,
        value_parser = units::within::<usize>(1..=1024))]
    threads: usize,
    /// Seed of what is sent
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = units::at_least::<u64>(0))]
    seed: u64,
    /// Local addresses to connect from, in turn: each has ports of its own
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
    source: Vec<IpAddr>,
    /// What comes back
    #[arg(long, value_enum, default_value = "echo")]
    expect: Expect,
    /// Send TEXT as each message instead of random bytes; \r \n \t \0 \\ \xNN are understood
    #[arg(long, value_name = "TEXT", value_parser = escaped, conflicts_with = "size",
        allow_hyphen_values = true)]
    message: Option<Bytes>,
    /// Each message is answered by TEXT, as in --message 'PING\r\n' --reply '+PONG\r\n'
    #[arg(long, value_name = "TEXT", value_parser = escaped, requires = "message",
        conflicts_with = "expect", allow_hyphen_values = true)]
    reply: Option<Bytes>,
    /// How long to wait without news from any client before answers still due count as lost; with
    /// udp, for each datagram [default: 10s, and with udp 1s]
    #[arg(long, value_name = "TIME", value_parser = units::patience)]
    timeout: Option<Duration>,
    /// Begin at this time, for many machines to start together, as in 2026-11-24T12:00:00Z
    ///
    /// Clients are connected before. The clocks of the machines should agree.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    start_at: Option<SystemTime>,
    /// Write the result as JSON to FILE, or to standard output with `-` (`socklab report --schema`
    /// describes it)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the figures as CSV, a line of names and a line of values, to FILE or `-`
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write latencies as an HDR histogram log to FILE or `-`
    #[arg(long, value_name = "FILE")]
    hdr: Option<PathBuf>,
    /// Speak TLS: tcp:// is tls://, and the server that --server starts speaks it
    ///
    /// That one listens on 127.0.0.1 with a certificate of its own: without --ca and --pin, any is
    /// taken.
    #[arg(long, help_heading = "TLS")]
    tls: bool,
    /// Full handshakes only
    #[arg(long, help_heading = "TLS")]
    no_resumption: bool,
    #[command(flatten)]
    trust: Trust,
    #[command(flatten)]
    chat: Chat,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Expect {
    /// What was sent
    Echo,
    /// Nothing: the server takes everything (discard)
    Sink,
    /// Nothing is sent; the server speaks (chargen)
    Source,
    /// As many bytes as were sent, whatever they are; with udp, any datagram for each; with http,
    /// any body
    None,
}

impl Load {
    /// Loads, reports, and says by the exit status what came of it.
    pub fn run(self) -> Result<(), Failure> {
        if let Some(contradiction) = self.contradiction() {
            super::misused("load", contradiction);
        }
        let secure = self.secure()?;
        output::check(&[&self.json, &self.csv, &self.hdr])?;
        let watch = Arc::new(Watch::new());
        stop_on_ctrl_c(&watch)?;
        let mut started = match &self.server {
            Some(command) => {
                let launcher = Launcher::new(std::env::current_exe()?).over(self.transport());
                Some(launcher.start("the server", command, None)?)
            }
            None => None,
        };
        let (target, authority, address) = match (&self.target, &started) {
            (Some(target), _) => {
                let mut target = target.clone();
                target.tls = secure.is_some();
                (target.to_string(), target.authority(), target.address(self.timeout())?)
            }
            (None, Some(started)) => {
                let address = started.address();
                let scheme = match (self.speaks_irc(), self.tls) {
                    _ if self.http.is_some() && self.tls => "https".into(),
                    _ if self.http.is_some() => "http".into(),
                    (true, true) => "ircs".into(),
                    (true, false) => "irc".into(),
                    (false, true) => "tls".into(),
                    (false, false) => self.transport().to_string(),
                };
                let path = self.http.as_deref().unwrap_or_default();
                (format!("{scheme}://{address}{path}"), address.to_string(), address)
            }
            (None, None) => return Err("there is no target".into()),
        };
        let mut observed = match self.pid {
            Some(pid) => {
                let tree = ProcessTree::of(Pid::from_raw(pid))
                    .map_err(|error| format!("cannot observe the server: {error}; check --pid"))?;
                if self.transport() == Transport::Tcp
                    && tree.listens_on(address.port()) == Some(false)
                {
                    let port = address.port();
                    warn!(
                        "--pid: process {pid} does not listen on port {port}; it is reported all the same"
                    );
                }
                Some(tree)
            }
            None => None,
        };
        let page = match self.path() {
            Some(path) => {
                let source = Source {
                    server: address,
                    secure: secure.as_ref(),
                    authority: &authority,
                    path,
                    patience: self.timeout(),
                };
                let page = source.fetch(&watch.stop);
                let page = page.map_err(|why| format!("cannot load {target}: {why}"))?;
                let Some(page) = page else {
                    return Err(Exit { status: INTERRUPTED, text: String::new() }.into());
                };
                Some(Page { compared: self.expect == Expect::Echo, ..page })
            }
            None => None,
        };
        let plan = self.plan(target, address, secure, page);
        let progress = Progress::of_load(&watch, &plan);
        let server = observed.as_mut().or(started.as_mut().map(|started| started.tree()));
        let result = run::run(&plan, &watch, server);
        drop(progress);
        let result = result.map_err(unmeasured)?;
        let died = started.as_mut().and_then(|started| {
            started.ended_within(if result.faults.total() > 0 { DYING } else { Duration::ZERO })
        });
        drop(started);
        self.write(&result)?;
        if let Some(how) = died {
            return Err(format!("the server {how}, and took its clients with it").into());
        }
        self.judge(&result)
    }

    fn transport(&self) -> Transport {
        match &self.target {
            Some(target) => target.transport,
            None if self.udp => Transport::Udp,
            None => Transport::Tcp,
        }
    }

    /// Whether clients speak TLS.
    fn speaks_tls(&self) -> bool {
        self.tls || self.target.as_ref().is_some_and(|target| target.tls)
    }

    fn speaks_irc(&self) -> bool {
        self.irc || self.target.as_ref().is_some_and(|target| target.irc)
    }

    /// What is fetched, if it is HTTP.
    fn path(&self) -> Option<&str> {
        self.http.as_deref().or_else(|| self.target.as_ref()?.path.as_deref())
    }

    fn size(&self) -> usize {
        self.size.unwrap_or(SIZE)
    }

    /// How clients are spread over rooms, if it is IRC.
    fn rooms(&self) -> Option<Rooms> {
        self.speaks_irc().then(|| self.chat.rooms())
    }

    fn clients(&self) -> usize {
        match self.rooms() {
            Some(rooms) => rooms.rooms.saturating_mul(rooms.members),
            None => self.clients.unwrap_or(CLIENTS),
        }
    }

    fn secure(&self) -> Result<Option<Secure>, Failure> {
        if !self.speaks_tls() {
            return Ok(None);
        }
        let mut options = self.trust.options(0);
        // Whom we have started ourselves needs no authority to vouch for it.
        options.insecure |= self.server.is_some() && options.ca.is_none() && options.pin.is_none();
        let host = self.target.as_ref().map_or("127.0.0.1", |target| &target.host).to_owned();
        let connector = Connector::new(&options)?;
        Ok(Some(Secure { connector, host, resumes: !self.no_resumption }))
    }

    fn timeout(&self) -> Duration {
        self.timeout.unwrap_or(match self.transport() {
            Transport::Tcp => Duration::from_secs(10),
            Transport::Udp => Duration::from_secs(1),
        })
    }

    /// What cannot be had together.
    fn contradiction(&self) -> Option<String> {
        if self.tls && self.transport() == Transport::Udp {
            return Some("datagrams have no TLS here (that would be DTLS), so drop --tls".into());
        }
        let of_tls = self.trust.given().or(self.no_resumption.then_some("--no-resumption"));
        if let Some(option) = of_tls.filter(|_| !self.speaks_tls()) {
            return Some(format!("{option} needs --tls, or a target as in tls://HOST:PORT"));
        }
        let irc = match self.speaks_irc() {
            true => self.not_of_irc(),
            false => self.chat.given().map(|option| {
                format!("{option} is of rooms, so give it a target as in irc://HOST:PORT")
            }),
        };
        let other = irc.or_else(|| self.path().and_then(|path| self.not_of_http(path)));
        if other.is_some() {
            return other;
        }
        let transport = match self.transport() {
            Transport::Udp => self.not_of_datagrams(),
            Transport::Tcp => {
                let condition = self.fail_if.iter().find(|condition| condition.is_of_datagrams());
                condition.map(|condition| {
                    format!("{condition} is about datagrams, and TCP has none; use udp://")
                })
            }
        };
        if transport.is_some() {
            return transport;
        }
        if self.slo.is_some() && matches!(self.expect, Expect::Sink | Expect::Source) {
            return Some("--slo needs answers, and with this --expect there are none".into());
        }
        let senders = [
            ("--rate", self.rate.is_some()),
            ("--pipeline", self.pipeline.is_some()),
            ("--per-connection", self.per_connection.is_some()),
            ("--message", self.message.is_some()),
        ];
        let (name, _) = senders.into_iter().find(|(_, given)| *given)?;
        let listens = self.expect == Expect::Source;
        listens.then(|| format!("with --expect source nothing is sent, so drop {name}"))
    }

    /// What cannot be had of HTTP.
    fn not_of_http(&self, path: &str) -> Option<String> {
        let why = if self.message.is_some() {
            "with http the message is a request, so drop --message"
        } else if self.size.is_some() {
            "with http the file has the size, so drop --size"
        } else if matches!(self.expect, Expect::Sink | Expect::Source) {
            "with http each request is answered, so drop --expect, or use --expect none"
        } else if !path.starts_with('/') || !path.bytes().all(|byte| byte.is_ascii_graphic()) {
            "a path begins with / and has no spaces, as in --http /file"
        } else {
            return None;
        };
        Some(why.into())
    }

    /// What cannot be had of IRC.
    fn not_of_irc(&self) -> Option<String> {
        let why = if self.clients.is_some() {
            "with irc clients are the members of rooms, so drop --clients and give --rooms and \
             --members"
        } else if self.per_connection.is_some() {
            "with irc nobody leaves, so drop --per-connection"
        } else if self.message.is_some() {
            "a line says whose it is and which, so --message cannot be its text"
        } else if self.expect != Expect::Echo {
            "with irc clients hear what others say, so drop --expect"
        } else {
            return not_of_a_line(self.size()).or(self.chat.contradiction());
        };
        Some(why.into())
    }

    /// What datagrams cannot do.
    fn not_of_datagrams(&self) -> Option<String> {
        let (most, over_ipv6) =
            (longest(Ipv4Addr::LOCALHOST.into()), longest(Ipv6Addr::LOCALHOST.into()));
        let why = if self.message.is_some() {
            "a datagram has its number in front, so --message cannot be its text".into()
        } else if self.per_connection.is_some() {
            "datagrams have no connection to leave, so drop --per-connection".into()
        } else if self.expect == Expect::Source {
            "a datagram is answered only where one was sent, so use --expect none".into()
        } else if !(NUMBER..=over_ipv6).contains(&self.size()) {
            format!(
                "a datagram has {NUMBER} to {most} bytes ({over_ipv6} over IPv6), so change --size"
            )
        } else if self.expect == Expect::Sink
            && let Some(condition) = self.fail_if.iter().find(|one| one.is_of_datagrams())
        {
            format!("with --expect sink nothing tells what was lost, so drop --fail-if {condition}")
        } else {
            return None;
        };
        Some(why)
    }

    fn plan(
        &self,
        target: String,
        address: SocketAddr,
        secure: Option<Secure>,
        page: Option<Page>,
    ) -> Plan {
        let size = self.size() as u64;
        let mut work = match self.expect {
            Expect::Echo => Work::echo(size, self.seed),
            Expect::Sink => Work::sink(size, self.seed),
            Expect::Source => Work::source(size),
            Expect::None => Work::unchecked(size, self.seed),
        };
        if let Some(Bytes(text)) = self.message.as_ref().filter(|_| !work.listens_only()) {
            work = work.saying(text);
        }
        if let Some(Bytes(text)) = self.reply.as_ref().filter(|_| self.expect == Expect::Echo) {
            work = work.answered_by(text);
        }
        let rooms = self.rooms();
        if rooms.is_some() {
            work = self.chat.work(size, self.seed);
        }
        if let Some(page) = page {
            work = Work::page(Arc::new(page));
        }
        let open = self.rate.is_some() || self.slo.is_some();
        let depth = self.pipeline.or((!open).then_some(1));
        let warmup = match (self.warmup, self.messages) {
            (Some(warmup), _) => warmup,
            (None, Some(_)) => Duration::ZERO,
            (None, None) => Duration::from_secs(1),
        };
        let expect = match &self.reply {
            Some(_) => "reply".into(),
            None if rooms.is_some() => "others".into(),
            None if self.path().is_some() && self.expect == Expect::Echo => "file".into(),
            None => self.expect.to_possible_value().expect("none is hidden").get_name().to_owned(),
        };
        Plan {
            options: LoadOptions {
                target,
                clients: self.clients(),
                rooms,
                size_bytes: match work.fetched() {
                    Some(page) => page.body.len() as u64,
                    None if work.listens_only() => size,
                    None => work.message,
                },
                pipeline: depth,
                duration_s: self.messages.is_none().then_some(self.duration.as_secs_f64()),
                messages: self.messages,
                warmup_s: warmup.as_secs_f64(),
                rate: self.rate,
                slo: self.slo.as_ref().map(ToString::to_string),
                connect_rate: self.connect_rate,
                per_connection: self.per_connection,
                resumption: secure.as_ref().map(|secure| secure.resumes),
                threads: self.threads.min(rooms.map_or(self.clients(), |rooms| rooms.rooms)),
                seed: self.seed,
                source: self.source.iter().map(IpAddr::to_string).collect(),
                expect,
                message: self.message.as_ref().map(Bytes::to_string),
                reply: self.reply.as_ref().map(Bytes::to_string),
                timeout_s: self.timeout().as_secs_f64(),
                start_at: self.start_at.map(|time| humantime::format_rfc3339(time).to_string()),
                fail_if: self.fail_if.iter().map(Condition::to_string).collect(),
                pid: self.pid,
                server: self.server.clone(),
            },
            party: Party {
                transport: self.transport(),
                server: address,
                secure,
                clients: self.clients(),
                threads: self.threads,
                work,
                sources: self.source.clone(),
                connect_rate: self.connect_rate,
                patience: self.timeout(),
                awake: allowed().is_ok_and(|cpus| cpus.len() > 1),
            },
            pace: Pace { depth, schedule: None, leaves_after: self.per_connection },
            rate: self.rate,
            length: self.messages.map_or(Length::Time(self.duration), Length::Messages),
            warmup,
            start_at: self.start_at,
            objective: self.slo.clone(),
        }
    }

    fn write(&self, result: &LoadResult) -> Result<(), Failure> {
        let document = Document::Load(Box::new(result.clone()));
        if let Some(file) = &self.json {
            output::write(file, &output::json(&document))?;
        }
        if let Some(file) = &self.csv {
            output::write(file, &csv::load(result))?;
        }
        if let Some(file) = &self.hdr {
            output::write(file, &hdr::log(result)?)?;
        }
        // The report makes way for a document on standard output.
        if ![&self.json, &self.csv, &self.hdr].into_iter().any(output::is_stdout) {
            super::print(text::load(result).as_bytes())?;
        }
        Ok(())
    }

    fn judge(&self, result: &LoadResult) -> Result<(), Failure> {
        let exit = |status, text: String| Err(Exit { status, text }.into());
        if result.faults.wrong_bytes() {
            let first = result.faults.examples.first().map_or("", String::as_str);
            return exit(WRONG_BYTES, format!("the server sent what it should not: {first}"));
        }
        if result.interrupted {
            return exit(INTERRUPTED, String::new());
        }
        if result.messages == 0 {
            let first = result.faults.examples.first().map_or("no answer came", String::as_str);
            return Err(format!("nothing was measured: {first}").into());
        }
        let faults = &result.faults;
        if faults.total() >= result.options.clients as u64 {
            let first = faults.examples.first().map_or("", String::as_str);
            return Err(format!("every client was lost before the end: {first}").into());
        }
        if let Some(asked) = self.messages
            && self.expect != Expect::Source
            && result.driver.sent < asked
        {
            let sent = result.driver.sent;
            let what = match self.path() {
                Some(_) => "requests",
                None if self.speaks_irc() => "lines",
                None => "messages",
            };
            return Err(format!(
                "only {sent} of {asked} {what} were sent: nobody was answered any more, so the \
                 rest was given up"
            )
            .into());
        }
        if let Some(objective) = &self.slo
            && !result.trials.iter().any(|trial| trial.passed)
        {
            return exit(
                CONDITION,
                format!("no rate kept {objective}; try a lower --rate to begin with"),
            );
        }
        for condition in &self.fail_if {
            match condition.value(result) {
                None => {
                    return exit(
                        CONDITION,
                        format!(
                            "{condition} cannot be judged: it was not measured, or by too few answers"
                        ),
                    );
                }
                Some(value) if condition.holds(result) == Some(true) => {
                    return exit(
                        CONDITION,
                        format!("{condition}: it was {}", condition.shown(value)),
                    );
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn parse<T: std::str::FromStr<Err = String>>(text: &str) -> Result<T, String> {
    text.parse()
}

fn objective(text: &str) -> Result<Condition, String> {
    let condition: Condition = text.parse()?;
    match condition.bounds_latency() {
        true => Ok(condition),
        false => Err("an objective keeps a latency short, as in p99<2ms".into()),
    }
}

/// At least a byte, and no more than anybody sends at once.
pub fn message(text: &str) -> Result<usize, String> {
    match units::size(text)? {
        bytes @ 1..=0x4000_0000 => Ok(bytes),
        _ => Err("a message has 1 byte to 1GiB".into()),
    }
}

/// So many per second.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (1e-3..=1e9).contains(&rate) => Ok(rate),
        Ok(_) => Err("a rate is 0.001 to 1e9".into()),
        Err(_) => Err("not a number; a rate is so many per second".into()),
    }
}

fn moment(text: &str) -> Result<SystemTime, String> {
    let time = humantime::parse_rfc3339_weak(text)
        .map_err(|_| "not a time; an example: 2026-11-24T12:00:00Z (UTC)")?;
    match time < SystemTime::now() {
        true => Err("this time is over".into()),
        false => Ok(time),
    }
}

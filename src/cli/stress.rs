//! `socklab stress`.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use nix::unistd::Pid;
use socklab::bench::site::Site;
use socklab::failure::{cause, time};
use socklab::load::secure::Secure;
use socklab::load::target::Target;
use socklab::load::watch::Watch;
use socklab::observe::{DYING, Launcher, ProcessTree, Started};
use socklab::stress::arena::{Arena, Protocol};
use socklab::stress::hostile::ALL;
use socklab::stress::mix::Mix;
use socklab::stress::verdict::{Breach, Outcome, Verdict, Visit};
use socklab::stress::{self, Hostile, Starter, Visited};
use socklab::tls::{Connector, client};

use super::interrupt::stop_on_ctrl_c;
use super::progress::Progress;
use super::tls::Trust;
use super::{Exit, Failure, INTERRUPTED, WRONG_BYTES, output, units};

/// A promise was broken. The same status as wrong bytes have.
const BROKEN: u8 = WRONG_BYTES;

/// Good clients of a mix.
const GOOD: usize = 1000;

/// What they are called in the report.
const GOOD_CLIENTS: &str = "good clients";

/// Files that our servers of files have: what fits into an answer at once, and what does not.
const SIZES: [u64; 2] = [1 << 10, 16 << 20];

/// Send hostile clients to a server, and see whether it keeps its promises
///
/// Each client looks for one classic fault (--list says which, and who is known for it), and passes
/// or fails by a figure. They visit any server: TARGET, with --pid also its process, or one that
/// --server starts. Without either, both engines are started and visited in turn: echo, echo over TLS,
/// chat and files.
///
/// A server that ends during a visit has broken that promise, and is sent nobody else.
///
/// Exit status: 0 every promise was kept, 1 failed, 2 wrong usage, 3 a promise was broken, 130
/// interrupted.
#[derive(Args)]
#[command(allow_negative_numbers = true)]
pub struct Stress {
    /// The server, as in tcp://127.0.0.1:8000, tls://localhost:8443, irc://127.0.0.1:6667 or
    /// http://127.0.0.1:8000/file
    #[arg(value_parser = parse_target)]
    target: Option<Target>,
    /// Start this server and visit it, and end it afterwards; {port} stands for a free port of 127.0.0.1
    ///
    /// Clients that need a server of their own, to stop it or to take all it has, start another one.
    /// Signals go to the first process: begin with `exec`, as in 'exec ./my-server {port}'.
    #[arg(long, value_name = "COMMAND", conflicts_with = "target")]
    server: Option<String>,
    /// Its process, whose memory, descriptors, threads and CPU time are looked at, and whose limits are
    /// lowered for a while
    #[arg(long, value_name = "PID", requires = "target",
        value_parser = clap::value_parser!(i32).range(1..))]
    pid: Option<i32>,
    /// Visit this one of our engines
    #[arg(long, value_enum, conflicts_with_all = ["target", "server"])]
    engine: Option<EngineName>,
    /// Visit this one of our services
    #[arg(long, value_enum, conflicts_with_all = ["target", "server"])]
    service: Option<ServiceName>,
    /// Visit our services over TLS; tcp:// is tls://, and the server that --server starts speaks it
    #[arg(long, help_heading = "TLS")]
    tls: bool,
    /// Send only these clients, as --list calls them
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = parse_name)]
    only: Vec<&'static Hostile>,
    /// Say which clients there are, and what each is about
    #[arg(long, exclusive = true)]
    list: bool,
    /// What a server at tcp:// or tls://, or of --server, does with what it is sent
    #[arg(long, value_enum, default_value = "echo")]
    expect: Expect,
    /// Connections of a crowd
    #[arg(long, short, value_name = "N", default_value_t = 1000,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    clients: usize,
    /// How long those take that take as long as they are given, such as a flood
    #[arg(long, short, value_name = "TIME", value_parser = units::patience, default_value = "2s")]
    duration: Duration,
    /// How long anything may take that was promised
    #[arg(long, value_name = "TIME", value_parser = units::patience, default_value = "10s")]
    timeout: Duration,
    /// Seed of what is sent
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Send all clients at once, again and again for --duration, beside good ones, all of whose bytes are
    /// compared; without those that take all there is
    #[arg(long)]
    mix: bool,
    /// Good clients of the mix [default: 1000]
    #[arg(long, value_name = "N", requires = "mix",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000))]
    good: Option<usize>,
    /// Messages (in a chat, lines) per second over all good clients [default: one for each; in a chat, one
    /// for 50]
    #[arg(long, value_name = "R", requires = "mix", value_parser = super::load::rate)]
    rate: Option<f64>,
    /// Write a line of JSON for each visit to FILE, or to standard output with `-`
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EngineName {
    /// One thread, one mio Poll loop, all clients
    Poll,
    /// One blocking thread per client
    Threads,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ServiceName {
    /// Everything comes back
    Echo,
    /// Rooms (IRC)
    Chat,
    /// A directory (HTTP)
    Files,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Expect {
    /// It all comes back
    Echo,
    /// Anything, or nothing: only clients are sent that need no answer
    None,
}

/// Who is visited.
struct Place {
    name: String,
    /// How to come back to it: the arguments of `socklab stress`.
    arguments: String,
    protocol: Protocol,
    host: Host,
}

enum Host {
    /// Somebody's.
    Given(Target),
    /// One that is started.
    Started { command: String, tls: bool, is_ours: bool },
}

impl Stress {
    /// Visits, reports, and says by the exit status what came of it.
    pub fn run(self) -> Result<(), Failure> {
        if self.list {
            return super::print(listed().as_bytes());
        }
        output::check(&[&self.json])?;
        let watch = Arc::new(Watch::new());
        stop_on_ctrl_c(&watch)?;
        let site = Site::new(&SIZES, self.seed)
            .map_err(|error| format!("cannot make files to serve: {}", cause(&error)))?;
        let mut report = Report::new(&self)?;
        for place in self.places(site.root()) {
            if watch.stop.load(Ordering::Relaxed) {
                break;
            }
            self.visit(&place, &watch, &mut report)?;
        }
        report.end(watch.stop.load(Ordering::Relaxed))
    }

    fn places(&self, root: &Path) -> Vec<Place> {
        if let Some(target) = &self.target {
            let mut target = target.clone();
            target.tls |= self.tls;
            let protocol = match (target.irc, &target.path, self.expect) {
                (true, _, _) => Protocol::Chat,
                (_, Some(_), _) => Protocol::Files,
                (_, _, Expect::Echo) => Protocol::Echo,
                (_, _, Expect::None) => Protocol::Other,
            };
            return vec![Place {
                name: target.to_string(),
                arguments: target.to_string(),
                protocol,
                host: Host::Given(target),
            }];
        }
        if let Some(command) = &self.server {
            return vec![self.foreign(command)];
        }
        let mut places = Vec::new();
        for engine in [EngineName::Poll, EngineName::Threads] {
            if self.engine.is_some_and(|one| one != engine) {
                continue;
            }
            let services: Vec<(ServiceName, bool)> = match (self.service, self.tls) {
                (Some(service), tls) => vec![(service, tls)],
                (None, true) => {
                    ServiceName::value_variants().iter().map(|one| (*one, true)).collect()
                }
                (None, false) => OURS.into(),
            };
            for (service, tls) in services {
                places.push(Place::ours(engine, service, tls, root));
            }
        }
        places
    }

    fn visit(&self, place: &Place, watch: &Arc<Watch>, report: &mut Report) -> Result<(), Failure> {
        let (arena, mut started) = self.arena(place, watch)?;
        TcpStream::connect_timeout(&arena.server, self.timeout).map_err(|error| {
            format!("cannot connect to {}: {}; start the server first", place.name, cause(&error))
        })?;
        report.arrive(place, &arena, started.as_ref())?;
        let asked = |hostile: &&'static Hostile| {
            (self.only.is_empty() || self.only.iter().any(|one| one.name == hostile.name))
                && hostile.needs.are_met_by(&arena)
        };
        if self.mix {
            let asked = ALL.iter().filter(asked).filter(|hostile| !hostile.needs.alone);
            return self.mix(place, &arena, asked.collect(), report);
        }
        let row = |hostile: &Hostile, took| Row {
            client: hostile.name,
            holds: hostile.holds,
            again: self.again(place, &format!("--only {}", hostile.name)),
            took,
        };
        let mut asked = ALL.iter().filter(asked);
        while let Some(hostile) = asked.next() {
            let progress = Progress::new();
            progress.say(format!("{}: {}", place.name, hostile.name));
            let since = Instant::now();
            let visited = stress::visit(hostile, &arena);
            drop(progress);
            let mut given_up = None;
            let mut outcome = match visited {
                Visited::Back(Err(Breach::Interrupted)) => break,
                Visited::Back(outcome) => outcome,
                Visited::Failed(words) => {
                    report.ill = Some(hostile.name);
                    Err(Breach::skipped(format!(
                        "the client itself has failed, which says nothing of the server: {words}"
                    )))
                }
                Visited::Away(bound) => {
                    given_up = Some(format!("{} has not come back", hostile.name));
                    Err(Breach::broken(format!(
                        "the visit was not over after {}; something moves, and never ends",
                        time(bound)
                    )))
                }
            };
            if let Some(how) = ended(&arena, started.as_mut(), &outcome) {
                given_up = Some(format!("the server {how}"));
                let (Ok(seen) | Err(Breach::Broken(seen)) | Err(Breach::Skipped(seen))) = outcome
                else {
                    break;
                };
                outcome = Err(Breach::broken(format!("the server {how}; {seen}")));
            }
            report.add(place, &arena, row(hostile, since.elapsed()), outcome)?;
            if let Some(why) = given_up {
                let rest: Vec<_> = asked.map(|hostile| row(hostile, Duration::ZERO)).collect();
                return report.give_up(place, &arena, rest, &why);
            }
        }
        Ok(())
    }

    /// A server that somebody says how to start.
    fn foreign(&self, command: &str) -> Place {
        let (expect, protocol) = match self.expect {
            Expect::Echo => ("", Protocol::Echo),
            Expect::None => (" --expect none", Protocol::Other),
        };
        let over = if self.tls { " --tls" } else { "" };
        Place {
            name: command.into(),
            arguments: format!("--server '{}'{over}{expect}", command.replace('\'', r"'\''")),
            protocol,
            host: Host::Started { command: command.into(), tls: self.tls, is_ours: false },
        }
    }

    fn arena(
        &self,
        place: &Place,
        watch: &Arc<Watch>,
    ) -> Result<(Arc<Arena>, Option<Started>), Failure> {
        let (server, host, page, tls) = match &place.host {
            Host::Given(target) => (
                target.address(self.timeout)?,
                target.host.clone(),
                target.path.clone().map(|path| (target.authority(), path)),
                target.tls,
            ),
            Host::Started { command, tls, is_ours } => {
                let launcher = Launcher::new(std::env::current_exe()?);
                let started = launcher.start(&place.name, command, None)?;
                let mut options = self.trust.options(0);
                options.insecure |= options.ca.is_none() && options.pin.is_none();
                let secure = tls.then(|| secure(&options, "127.0.0.1")).transpose()?;
                let page = (place.protocol == Protocol::Files)
                    .then(|| (started.address().to_string(), format!("/{}.bin", SIZES[0])));
                let process = ProcessTree::of(started.pid())?;
                let arena = Arena {
                    process: Some(Mutex::new(process)),
                    starter: Some(Starter {
                        launcher,
                        command: command.clone(),
                        is_ours: *is_ours,
                    }),
                    ..self.bare_arena(started.address(), secure, place.protocol, page, watch)
                };
                return Ok((Arc::new(arena), Some(started)));
            }
        };
        let secure = tls.then(|| secure(&self.trust.options(0), &host)).transpose()?;
        if let Some(secure) = &secure {
            secure.check(server, self.timeout, &watch.stop)?;
        }
        let process = match self.pid {
            Some(pid) => Some(Mutex::new(
                ProcessTree::of(Pid::from_raw(pid))
                    .map_err(|error| format!("cannot observe the server: {error}; check --pid"))?,
            )),
            None => None,
        };
        let arena = self.bare_arena(server, secure, place.protocol, page, watch);
        Ok((Arc::new(Arena { process, ..arena }), None))
    }

    fn bare_arena(
        &self,
        server: SocketAddr,
        secure: Option<Secure>,
        protocol: Protocol,
        page: Option<(String, String)>,
        watch: &Arc<Watch>,
    ) -> Arena {
        Arena {
            server,
            secure,
            protocol,
            page,
            clients: self.clients,
            patience: self.timeout,
            seed: self.seed,
            duration: self.duration,
            watch: watch.clone(),
            process: None,
            starter: None,
            is_crowded: false,
        }
    }
}

/// Our services, one of them over TLS, too: what TLS changes is the same for all.
const OURS: [(ServiceName, bool); 4] = [
    (ServiceName::Echo, false),
    (ServiceName::Echo, true),
    (ServiceName::Chat, false),
    (ServiceName::Files, false),
];

impl Place {
    fn ours(engine: EngineName, service: ServiceName, tls: bool, root: &Path) -> Place {
        let value = |value: clap::builder::PossibleValue| value.get_name().to_owned();
        let engine = value(engine.to_possible_value().expect("none is hidden"));
        let (name, protocol, options) = match service {
            ServiceName::Echo => ("echo", Protocol::Echo, String::new()),
            ServiceName::Chat => ("chat", Protocol::Chat, String::new()),
            ServiceName::Files => {
                ("files", Protocol::Files, format!(" --root '{}' --writable", root.display()))
            }
        };
        let over = if tls { " --tls" } else { "" };
        Place {
            name: format!("{engine}, {name}{}", if tls { " over TLS" } else { "" }),
            arguments: format!("--engine {engine} --service {name}{over}"),
            protocol,
            host: Host::Started {
                command: format!(
                    "exec socklab server {name} --engine {engine} --host 127.0.0.1 \
                     --port {{port}} -q{over}{options}"
                ),
                tls,
                is_ours: true,
            },
        }
    }
}

/// How the server has ended, if it has: it may have taken a broken promise with it, or be about to.
fn ended(arena: &Arena, started: Option<&mut Started>, outcome: &Outcome) -> Option<String> {
    let broken = matches!(outcome, Err(Breach::Broken(_)));
    let gone = arena.is_gone();
    match (started, &arena.process) {
        (Some(started), _) => {
            started.ended_within(if broken || gone { DYING } else { Duration::ZERO })
        }
        (None, Some(_)) => gone.then(|| "has ended: its process is gone".into()),
        (None, None) if broken => {
            let called = TcpStream::connect_timeout(&arena.server, arena.patience);
            let refused = called.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
            refused.then(|| "has ended: nobody listens there any more".into())
        }
        (None, None) => None,
    }
}

fn secure(options: &client::Options, host: &str) -> Result<Secure, Failure> {
    Ok(Secure { connector: Connector::new(options)?, host: host.into(), resumes: false })
}

/// What was seen, on its way to standard output and a file.
struct Report {
    json: Option<Box<dyn Write>>,
    /// Documents on standard output leave no room for text there.
    silent: bool,
    counts: [usize; 3],
    /// A client of ours that has failed itself.
    ill: Option<&'static str>,
}

impl Report {
    fn new(stress: &Stress) -> Result<Report, Failure> {
        let json: Option<Box<dyn Write>> = match &stress.json {
            None => None,
            file if output::is_stdout(file) => Some(Box::new(std::io::stdout())),
            Some(file) => Some(Box::new(
                File::create(file)
                    .map_err(|error| format!("cannot write {}: {error}", file.display()))?,
            )),
        };
        Ok(Report { json, silent: output::is_stdout(&stress.json), counts: [0; 3], ill: None })
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        if self.silent { Ok(()) } else { super::print(text.as_bytes()) }
    }

    fn arrive(
        &self,
        place: &Place,
        arena: &Arena,
        started: Option<&Started>,
    ) -> Result<(), Failure> {
        let known = match started {
            Some(started) => format!(" ({}, PID {})", arena.server, started.pid()),
            None => String::new(),
        };
        self.say(&format!("{}{known}\n", place.name))
    }

    fn add(
        &mut self,
        place: &Place,
        arena: &Arena,
        row: Row,
        outcome: Outcome,
    ) -> Result<(), Failure> {
        let (verdict, figure) = match outcome {
            Ok(figure) => (Verdict::Pass, figure),
            Err(Breach::Broken(what)) => (Verdict::Fail, what),
            Err(Breach::Skipped(why)) => (Verdict::Skip, why),
            Err(Breach::Interrupted) => return Ok(()),
        };
        self.counts[verdict as usize] += 1;
        let word = match verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "FAIL",
            Verdict::Skip => "skip",
        };
        let mut text = format!("  {word}  {:<18} {figure}\n", row.client);
        if verdict == Verdict::Fail {
            let _ = writeln!(text, "        promised: {}", row.holds);
            let _ = writeln!(text, "        again:    {}", row.again);
        }
        self.say(&text)?;
        self.write(place, arena, row, verdict, figure)
    }

    /// Nobody else is sent to this place, and why.
    fn give_up(
        &mut self,
        place: &Place,
        arena: &Arena,
        rest: Vec<Row>,
        why: &str,
    ) -> Result<(), Failure> {
        if rest.is_empty() {
            return Ok(());
        }
        self.counts[Verdict::Skip as usize] += rest.len();
        let others = format!("{} other{}", rest.len(), if rest.len() == 1 { "" } else { "s" });
        self.say(&format!("  skip  {others:<18} {why}\n"))?;
        rest.into_iter()
            .try_for_each(|row| self.write(place, arena, row, Verdict::Skip, why.to_owned()))
    }

    /// A line of JSON, where it was asked for.
    fn write(
        &mut self,
        place: &Place,
        arena: &Arena,
        row: Row,
        verdict: Verdict,
        figure: String,
    ) -> Result<(), Failure> {
        let Row { client, again, took, .. } = row;
        if let Some(json) = &mut self.json {
            let visit = Visit {
                schema: Visit::SCHEMA,
                server: place.name.clone(),
                target: arena.server.to_string(),
                client,
                verdict,
                figure,
                seconds: took.as_secs_f64(),
                reproduce: again,
            };
            let line = serde_json::to_string(&visit).expect("it has string keys");
            writeln!(json, "{line}").map_err(|error| format!("cannot write JSON: {error}"))?;
        }
        Ok(())
    }

    fn end(self, interrupted: bool) -> Result<(), Failure> {
        let [passed, failed, skipped] = self.counts;
        self.say(&format!("{passed} passed, {failed} failed, {skipped} skipped\n"))?;
        let exit = |status, text: String| Err(Exit { status, text }.into());
        if failed > 0 {
            return exit(BROKEN, format!("{failed} of {} promises were broken", passed + failed));
        }
        if interrupted {
            return exit(INTERRUPTED, String::new());
        }
        if let Some(client) = self.ill {
            return Err(
                format!("{client} has failed, and no server for it; please report it").into()
            );
        }
        if passed == 0 {
            return Err("nothing could be tried; --list says what each client needs".into());
        }
        Ok(())
    }
}

impl Stress {
    /// The command that does the same at one place again.
    fn again(&self, place: &Place, what: &str) -> String {
        let pid = self.pid.map(|pid| format!(" --pid {pid}")).unwrap_or_default();
        format!(
            "socklab stress {}{pid} {what} --clients {} --seed {}",
            place.arguments, self.clients, self.seed
        )
    }

    fn mix(
        &self,
        place: &Place,
        arena: &Arena,
        hostile: Vec<&'static Hostile>,
        report: &mut Report,
    ) -> Result<(), Failure> {
        let good = self.good.unwrap_or(GOOD);
        let each = if arena.protocol == Protocol::Chat { 0.02 } else { 1.0 };
        let rate = self.rate.unwrap_or(good as f64 * each);
        let mix = Mix { good, rate, hostile, duration: self.duration };
        let progress = Progress::new();
        progress.say(format!(
            "{}: {good} good clients and {} hostile ones",
            place.name,
            mix.hostile.len()
        ));
        let since = Instant::now();
        let mixed = mix.run(arena);
        drop(progress);
        let row = |client, holds| Row {
            client,
            holds,
            again: self.again(place, &format!("--mix --good {good} --rate {rate}")),
            took: since.elapsed(),
        };
        let good = row(GOOD_CLIENTS, "good clients are served whatever others do");
        let mixed = match mixed {
            Ok(mixed) => mixed,
            Err(breach) => return report.add(place, arena, good, Err(breach)),
        };
        report.add(place, arena, good, mixed.good)?;
        for (hostile, visits, outcome) in mixed.visits {
            let outcome = outcome.map(|last| format!("{visits}×; the last: {last}"));
            report.add(place, arena, row(hostile.name, hostile.holds), outcome)?;
        }
        if let Some(outcome) = mixed.afterwards {
            let row = row("afterwards", "nothing is left of who has left");
            report.add(place, arena, row, outcome)?;
        }
        Ok(())
    }
}

/// What is said of one client.
struct Row {
    client: &'static str,
    holds: &'static str,
    again: String,
    took: Duration,
}

fn listed() -> String {
    let mut text = String::new();
    for hostile in ALL {
        let Hostile { name, fault, does, holds, seen_in, .. } = hostile;
        let _ = writeln!(
            text,
            "{name}\n  fault:    {fault}\n  does:     {does}\n  promised: {holds}\n  seen in:  {seen_in}\n"
        );
    }
    text
}

fn parse_name(name: &str) -> Result<&'static Hostile, String> {
    let found = ALL.iter().find(|hostile| hostile.name == name);
    found.ok_or_else(|| {
        let names: Vec<&str> = ALL.iter().map(|hostile| hostile.name).collect();
        format!("there is no such client; there are {}", names.join(", "))
    })
}

fn parse_target(text: &str) -> Result<Target, String> {
    let target: Target = text.parse()?;
    match target.transport {
        socklab::transport::Transport::Tcp => Ok(target),
        socklab::transport::Transport::Udp => Err(
            "datagrams have no connections; hostile clients need tcp://, tls://, irc:// or http://"
                .into(),
        ),
    }
}

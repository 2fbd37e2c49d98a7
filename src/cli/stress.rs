//! `socklab stress`.

mod places;
mod report;

use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use socklab::bench::site::Site;
use socklab::failure::cause;
use socklab::load::target::Target;
use socklab::load::watch::Watch;
use socklab::observe::{DYING, Started};
use socklab::stress::arena::{Arena, Protocol};
use socklab::stress::hostile::ALL;
use socklab::stress::mix::{Mix, Mixed};
use socklab::stress::verdict::{Breach, Outcome};
use socklab::stress::{self, Hostile, Visited};

use places::{Place, SIZES};
use report::{Report, Row, listed};

use super::interrupt::stop_on_ctrl_c;
use super::progress::Progress;
use super::tls::Trust;
use super::{Failure, misused, output, units};

/// Good clients of a mix.
const GOOD: usize = 1000;

/// How long visits take that take as long as they are given, and how long anything may take.
const DURATION: &str = "2s";
const TIMEOUT: &str = "10s";

/// What they are called in the report.
const GOOD_CLIENTS: &str = "good clients";

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
    #[arg(long, value_name = "COMMAND", conflicts_with = "target", value_parser = units::command)]
    server: Option<String>,
    /// The server that --server starts speaks IRC
    #[arg(long, requires = "server", conflicts_with = "expect")]
    irc: bool,
    /// The server that --server starts speaks HTTP, and has the file PATH, as in /file
    #[arg(long, value_name = "PATH", requires = "server", conflicts_with_all = ["irc", "expect"])]
    http: Option<String>,
    /// Its process, whose memory, descriptors, threads and CPU time are looked at, and whose limits are
    /// lowered for a while
    #[arg(long, value_name = "PID", requires = "target",
        value_parser = units::within::<i32>(1..=i32::MAX as u64))]
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
    /// Connections of a crowd, all from one address: fewer for a server that lets no more of one in
    #[arg(long, short, value_name = "N", default_value_t = 1000,
        value_parser = units::within::<usize>(1..=1_000_000))]
    clients: usize,
    /// How long those take that take as long as they are given, such as a flood
    #[arg(long, short, value_name = "TIME", value_parser = units::patience,
        default_value = DURATION)]
    duration: Duration,
    /// How long anything may take that was promised
    #[arg(long, value_name = "TIME", value_parser = units::patience, default_value = TIMEOUT)]
    timeout: Duration,
    /// Seed of what is sent
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = units::at_least::<u64>(0))]
    seed: u64,
    /// Send all clients at once, again and again for --duration, beside good ones, all of whose bytes are
    /// compared; without those that take all there is
    #[arg(long)]
    mix: bool,
    /// Good clients of the mix [default: 1000]
    #[arg(long, value_name = "N", requires = "mix",
        value_parser = units::within::<usize>(1..=1_000_000))]
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

impl Stress {
    /// Visits, reports, and says by the exit status what came of it.
    pub fn run(self) -> Result<(), Failure> {
        if self.list {
            return super::print(listed().as_bytes());
        }
        if self.mix && self.expect == Expect::None {
            misused(
                "stress",
                "--mix needs good clients, and those a server that answers; leave out --expect none",
            );
        }
        output::check(&[&self.json])?;
        let watch = Arc::new(Watch::new());
        stop_on_ctrl_c(&watch)?;
        // Only our own servers serve them.
        let sizes = if self.target.is_some() || self.server.is_some() { &[][..] } else { &SIZES };
        let site = Site::new(sizes, self.seed)
            .map_err(|error| format!("cannot make files to serve: {}", cause(&error)))?;
        let mut report = Report::new(&self)?;
        let mut named = self.only.clone();
        let places = self.places(site.root());
        for (place, number) in places.iter().zip(1..) {
            if watch.stop.load(Ordering::Relaxed) {
                break;
            }
            let is_last = number == places.len();
            self.visit(place, &watch, &mut report, &mut named, is_last)?;
        }
        report.end(watch.stop.load(Ordering::Relaxed))
    }

    /// Takes those out of `named` who can visit this place, and says at the last one why the others
    /// could visit none.
    fn visit(
        &self,
        place: &Place,
        watch: &Arc<Watch>,
        report: &mut Report,
        named: &mut Vec<&'static Hostile>,
        is_last: bool,
    ) -> Result<(), Failure> {
        let (arena, mut started) = self.arena(place, watch)?;
        TcpStream::connect_timeout(&arena.server, self.timeout).map_err(|error| {
            format!("cannot connect to {}: {}; start the server first", place.name, cause(&error))
        })?;
        match arena.is_served() {
            Err(Breach::Broken(why)) => {
                return Err(format!(
                    "{} is none of the servers {}: {why}; --help says how others are visited",
                    place.name,
                    arena.protocol.named()
                )
                .into());
            }
            Err(Breach::Interrupted) => return Ok(()),
            Ok(()) | Err(Breach::Skipped(_)) => {}
        }
        report.arrive(place, &arena, started.as_ref())?;
        let lack = |hostile: &Hostile| match self.mix && hostile.needs.alone {
            true => Some("it takes all there is, or ends the server: not in a mix".into()),
            false => hostile.needs.lack_in(&arena),
        };
        named.retain(|hostile| lack(hostile).is_some());
        let asked = |hostile: &&'static Hostile| {
            (self.only.is_empty() || self.only.iter().any(|one| one.name == hostile.name))
                && lack(hostile).is_none()
        };
        let row = |hostile: &Hostile, took| Row {
            client: hostile.name,
            holds: hostile.holds,
            again: self.again(place, &format!("--only {}", hostile.name)),
            took,
        };
        if is_last {
            for hostile in named.iter() {
                let why = Breach::skipped(lack(hostile).unwrap_or_default());
                report.add(place, &arena, row(hostile, Duration::ZERO), Err(why))?;
            }
        }
        if self.mix {
            return self.mix(place, &arena, started, ALL.iter().filter(asked).collect(), report);
        }
        let mut asked = ALL.iter().filter(asked);
        while let Some(hostile) = asked.next() {
            let progress = Progress::new();
            progress.say(format!("{}: {}", place.name, hostile.name));
            let since = Instant::now();
            let visited = stress::visit(hostile, &arena);
            drop(progress);
            let mut given_up = None;
            if let Visited::Away(_) = visited {
                given_up = Some(format!("{} has not come back", hostile.name));
            }
            let mut outcome = report.judge(hostile, visited);
            if let Some(how) = ended(&arena, started.as_mut(), is_broken(&outcome)) {
                given_up = Some(format!("the server {how}"));
                outcome = with_end(&how, outcome);
            }
            if let Err(Breach::Interrupted) = outcome {
                break;
            }
            report.add(place, &arena, row(hostile, since.elapsed()), outcome)?;
            if let Some(why) = given_up {
                let rest: Vec<_> = asked.map(|hostile| row(hostile, Duration::ZERO)).collect();
                return report.give_up(place, &arena, rest, &why);
            }
        }
        Ok(())
    }
}

fn is_broken(outcome: &Outcome) -> bool {
    matches!(outcome, Err(Breach::Broken(_)))
}

/// What was seen of a server that has ended, and how it has.
fn with_end(how: &str, outcome: Outcome) -> Outcome {
    match outcome {
        Ok(seen) | Err(Breach::Broken(seen) | Breach::Skipped(seen)) => {
            Err(Breach::broken(format!("the server {how}; {seen}")))
        }
        Err(Breach::Interrupted) => outcome,
    }
}

/// How the server has ended, if it has: it may have taken a `broken` promise with it, or be about to.
fn ended(arena: &Arena, started: Option<&mut Started>, broken: bool) -> Option<String> {
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

impl Stress {
    /// The command that does the same at one place again.
    fn again(&self, place: &Place, what: &str) -> String {
        let pid = self.pid.map(|pid| format!(" --pid {pid}")).unwrap_or_default();
        let mut again = format!(
            "socklab stress {}{pid}{} {what} --clients {} --seed {}",
            place.arguments,
            self.trust.shown(),
            self.clients,
            self.seed
        );
        for (option, time, default) in
            [("--duration", self.duration, DURATION), ("--timeout", self.timeout, TIMEOUT)]
        {
            if units::patience(default).is_ok_and(|default| time != default) {
                again += &format!(" {option} {}ms", time.as_millis());
            }
        }
        again
    }

    fn mix(
        &self,
        place: &Place,
        arena: &Arena,
        mut started: Option<Started>,
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
        let mixed = mixed.unwrap_or_else(|breach| Mixed {
            good: Err(breach),
            visits: Vec::new(),
            afterwards: None,
        });
        let visits: Vec<_> = mixed
            .visits
            .into_iter()
            .map(|(hostile, visits, visited)| (hostile, visits, report.judge(hostile, visited)))
            .collect();
        let broken = is_broken(&mixed.good) || visits.iter().any(|(.., of)| is_broken(of));
        let seen = match ended(arena, started.as_mut(), broken) {
            Some(how) => with_end(&how, mixed.good),
            None => mixed.good,
        };
        report.add(place, arena, good, seen)?;
        for (hostile, visits, outcome) in visits {
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

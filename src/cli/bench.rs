//! `socklab bench`.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use socklab::bench::placement::{Placement, Sharing};
use socklab::bench::site::Site;
use socklab::bench::{self, Plan, ROOT, Setting};
use socklab::failure::cause;
use socklab::load::pace::Pace;
use socklab::load::preflight;
use socklab::load::rooms::names;
use socklab::load::secure::Secure;
use socklab::load::volley::datagram::{NUMBER, longest};
use socklab::load::watch::Watch;
use socklab::load::work::Work;
use socklab::observe::{CpuList, Launcher, allowed};
use socklab::report::document::{
    BenchOptions, BenchResult, ChatOptions, Contestant, Document, Metric,
};
use socklab::report::{csv, html, text, words};
use socklab::tls::Connector;
use socklab::transport::Transport;

use super::interrupt::stop_on_ctrl_c;
use super::load::message;
use super::progress::Progress;
use super::rooms::{Acks, TALKERS, not_of_a_line};
use super::tls::Trust;
use super::{Exit, Failure, INTERRUPTED, misused, output, units, unmeasured};

/// Descriptors for each server beside its connections: pipes to its keeper, an epoll, a timer.
const FILES_OF_A_SERVER: usize = 8;

/// socklab's own two servers.
const ENGINES: [&str; 2] = ["poll", "threads"];

/// The longest that a bench takes by itself: servers of chats take longer to start, for all have to come
/// into the room.
const MAX_TIME: Duration = Duration::from_secs(90);
/// See [`MAX_TIME`].
const MAX_TIME_OF_CHATS: Duration = Duration::from_secs(300);
/// See [`MAX_TIME`]: there are more rows.
const MAX_TIME_OF_FILES: Duration = Duration::from_secs(120);

/// Compare servers under the same load, in turns
///
/// Without --server it compares socklab's two engines. All servers are alive at once; short slices
/// of load alternate between them, every answer is compared with what was sent, and each round
/// starts all of them anew. The ratio to the first server, its 95 % interval and a verdict are
/// printed for each metric, beside the noise: the first server against a second process of itself.
///
/// Exit status: 0 done, 1 failed, 2 wrong usage, 3 a server sent other bytes than it was sent, 130
/// interrupted (rounds that were complete are reported).
#[derive(Args)]
pub struct Bench {
    /// What the servers do
    #[arg(value_enum, default_value = "echo")]
    workload: Workload,
    /// A server, and how to start it: NAME='COMMAND {port}'
    ///
    /// {port} stands for a free port of 127.0.0.1, and with files {root} for the folder to serve. A
    /// shell runs COMMAND; it finds this program as `socklab`. Give two or more; the first is the
    /// baseline.
    #[arg(long, value_name = "NAME=COMMAND", value_parser = contestant)]
    server: Vec<Contestant>,
    /// Numbers of clients, a row for each; in a chat, members of one room [default: 1,64,1000,
    /// 10,100,1000 with chat, and 1,64 with files]
    #[arg(long, short, value_name = "N,…", value_delimiter = ',',
        value_parser = units::within::<usize>(1..=1_000_000))]
    clients: Vec<usize>,
    /// Members of the room that talk [default: 10, or all where there are fewer]
    #[arg(long, help_heading = "Chat", value_name = "N",
        value_parser = units::within::<usize>(1..=1_000_000))]
    talkers: Option<usize>,
    /// When talkers acknowledge what they have received [default: quick]
    ///
    /// A server that does not set TCP_NODELAY waits for that, up to 40 ms with `delayed`, and little
    /// else would be compared.
    #[arg(long, help_heading = "Chat", value_enum, value_name = "WHEN")]
    acks: Option<Acks>,
    /// Messages are datagrams; the servers echo UDP
    ///
    /// What is lost is shown for each server, and is in no latency: whoever drops what is hard must
    /// not win by it unseen.
    #[arg(long, conflicts_with = "per_connection")]
    udp: bool,
    /// Bytes of a message; with --udp 8 to 65507, in a chat 13 to 400; of files, a row for each
    /// [default: 64B, and 1KiB,64KiB with files]
    #[arg(long, value_name = "SIZE,…", value_delimiter = ',', value_parser = message)]
    size: Vec<usize>,
    /// Messages in flight per client; in a chat, lines of each talker that not all have heard
    #[arg(long, value_name = "DEPTH", default_value_t = 1,
        value_parser = units::within::<u64>(1..=1_000_000))]
    pipeline: u64,
    /// A client leaves after N messages, and another one comes
    #[arg(long, value_name = "N", value_parser = units::at_least::<u64>(1))]
    per_connection: Option<u64>,
    /// Who runs where: split (the load generator has a CPU of its own), one (all on one CPU), all
    /// (all on all CPUs) [default: split, and one where there is only one]
    #[arg(long, value_name = "SHARING", value_parser = clap::value_parser!(Sharing))]
    cpus: Option<Sharing>,
    /// CPUs of the servers, as in 0-3,8; the load generator has the others
    #[arg(long, value_name = "LIST", conflicts_with = "cpus", value_parser = clap::value_parser!(CpuList))]
    server_cpus: Option<CpuList>,
    /// Go on with a row until half the interval of CPU per message is at most this
    #[arg(long, value_name = "PERCENT", value_parser = precision, default_value = "2%")]
    precision: f64,
    /// All rows together take this long at most [default: 90s, 5m with chat, and 2m
    /// with files]
    #[arg(long, value_name = "TIME", value_parser = units::patience)]
    max_time: Option<Duration>,
    /// How long a slice is
    #[arg(long, value_name = "TIME", value_parser = units::patience, default_value = "40ms")]
    slice: Duration,
    /// Seed of what is sent
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = units::at_least::<u64>(0))]
    seed: u64,
    /// Write a page that shows it all to FILE, or to standard output with `-`
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write everything that was measured as JSON to FILE or `-` (`socklab report` renders it again,
    /// `socklab report --schema` describes it)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the figures as CSV, a line for each server and number of clients, to FILE or `-`
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Speak TLS, with all servers or with those named; the others get plain TCP
    ///
    /// socklab's own two are started with --tls. Servers started here have certificates of their
    /// own making: without --ca and --pin, any is taken. `--tls --per-connection 1` compares
    /// handshakes.
    #[arg(long, help_heading = "TLS", value_name = "NAME,…", num_args = 0.., require_equals = true,
        value_delimiter = ',')]
    tls: Option<Vec<String>>,
    /// Full handshakes only, where clients would resume their sessions
    #[arg(long, help_heading = "TLS")]
    no_resumption: bool,
    #[command(flatten)]
    trust: Trust,
}

/// What servers are compared by.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Workload {
    /// Each client is sent back what it says
    Echo,
    /// All members of a room hear what some of them say (IRC); what is counted are deliveries
    Chat,
    /// Each client fetches a file again and again (HTTP); what is counted are requests
    Files,
}

impl Bench {
    /// Measures and reports.
    pub fn run(self) -> Result<(), Failure> {
        if let Some(contradiction) = self.contradiction() {
            misused("bench", contradiction);
        }
        output::check(&[&self.html, &self.json, &self.csv])?;
        let watch = Arc::new(Watch::new());
        // Before anything is made that has to be removed again.
        stop_on_ctrl_c(&watch)?;
        let (plan, site) = self.plan()?;
        let progress = Progress::new();
        let result = bench::run(&plan, &watch, &mut |at| progress.say(told(&plan, &at)));
        drop(progress);
        drop(site);
        let result = result.map_err(unmeasured)?;
        self.write(&result)?;
        match result.interrupted {
            true => Err(Exit { status: INTERRUPTED, text: String::new() }.into()),
            false => Ok(()),
        }
    }

    /// What cannot be had together.
    fn contradiction(&self) -> Option<String> {
        if let Some(contradiction) = self.not_of_workload() {
            return Some(contradiction);
        }
        let most = longest(Ipv4Addr::LOCALHOST.into());
        if self.udp && !(NUMBER..=most).contains(&self.size()) {
            return Some(format!("a datagram has {NUMBER} to {most} bytes, so change --size"));
        }
        let Some(speakers) = &self.tls else {
            let of_tls = self.trust.given().or(self.no_resumption.then_some("--no-resumption"))?;
            return Some(format!("{of_tls} needs --tls"));
        };
        if self.udp {
            return Some("datagrams have no TLS here (that would be DTLS), so drop --tls".into());
        }
        let mut named: Vec<&str> = self.server.iter().map(|server| server.name.as_str()).collect();
        if named.is_empty() {
            named = ENGINES.to_vec();
        }
        let unknown = speakers.iter().find(|speaker| !named.contains(&speaker.as_str()))?;
        Some(format!("--tls={unknown} is none of the servers, which are {}", named.join(", ")))
    }

    /// What cannot be had of files, or only of them.
    fn not_of_files(&self) -> Option<String> {
        if self.workload != Workload::Files {
            let several = self.size.len() > 1;
            return several.then(|| "several sizes are of `socklab bench files`".into());
        }
        if self.udp {
            return Some("nobody serves files over UDP, so drop --udp".into());
        }
        let rootless = self.server.iter().find(|server| !server.command.contains(ROOT))?;
        let name = &rootless.name;
        Some(format!("the command of {name} has no {ROOT}, where the folder to serve is put in"))
    }

    /// What cannot be had in a chat, or only there.
    fn not_of_workload(&self) -> Option<String> {
        if let Some(why) = self.not_of_files() {
            return Some(why);
        }
        let of_chats = [("--talkers", self.talkers.is_some()), ("--acks", self.acks.is_some())];
        if !self.is_chat() {
            let (option, _) = of_chats.into_iter().find(|(_, given)| *given)?;
            return Some(format!("{option} is of rooms, so ask for `socklab bench chat`"));
        }
        if self.udp {
            return Some("nobody chats over UDP, so drop --udp".into());
        }
        if self.per_connection.is_some() {
            return Some("in a chat nobody leaves, so drop --per-connection".into());
        }
        if let Some(why) = not_of_a_line(self.size()) {
            return Some(why);
        }
        let most = names::MOST;
        let wrong = self.clients.iter().find(|clients| !(2..=most).contains(*clients))?;
        Some(format!("a room has 2 to {most} members, and not {wrong}; change --clients"))
    }

    fn is_chat(&self) -> bool {
        self.workload == Workload::Chat
    }

    fn clients(&self) -> Vec<usize> {
        match (self.clients.is_empty(), self.workload) {
            (false, _) => self.clients.clone(),
            (true, Workload::Echo) => vec![1, 64, 1000],
            (true, Workload::Chat) => vec![10, 100, 1000],
            (true, Workload::Files) => vec![1, 64],
        }
    }

    /// Bytes of a message, where all have the same.
    fn size(&self) -> usize {
        self.size.first().copied().unwrap_or(64)
    }

    /// Sizes of files, each once.
    fn files(&self) -> Vec<u64> {
        let mut sizes: Vec<u64> = match (self.workload, &self.size[..]) {
            (Workload::Echo | Workload::Chat, _) => Vec::new(),
            (Workload::Files, []) => vec![1 << 10, 64 << 10],
            (Workload::Files, sizes) => sizes.iter().map(|size| *size as u64).collect(),
        };
        sizes.sort_unstable();
        sizes.dedup();
        sizes
    }

    /// A row for each.
    fn settings(&self, site: Option<&Site>) -> Vec<Setting> {
        let size = self.size() as u64;
        let works = match (site, self.chat()) {
            (Some(site), _) => site.pages().iter().cloned().map(Work::page).collect(),
            (None, Some(chat)) => {
                vec![Work::chat(size, self.seed, 1, chat.talkers).acknowledged(chat.quick_acks)]
            }
            (None, None) => vec![Work::echo(size, self.seed)],
        };
        let with = |work: Work| {
            let clients = self.clients().into_iter();
            clients.map(move |clients| Setting { clients, work: work.clone() })
        };
        works.into_iter().flat_map(with).collect()
    }

    fn max_time(&self) -> Duration {
        self.max_time.unwrap_or(match self.workload {
            Workload::Echo => MAX_TIME,
            Workload::Chat => MAX_TIME_OF_CHATS,
            Workload::Files => MAX_TIME_OF_FILES,
        })
    }

    fn chat(&self) -> Option<ChatOptions> {
        let talkers = self.talkers.unwrap_or(TALKERS);
        let quick_acks = self.acks != Some(Acks::Delayed);
        self.is_chat().then_some(ChatOptions { talkers, quick_acks })
    }

    /// Whether this contestant speaks TLS.
    fn speaks_tls(&self, name: &str) -> bool {
        let speakers = self.tls.as_deref();
        speakers.is_some_and(|named| named.is_empty() || named.iter().any(|one| one == name))
    }

    fn secure(&self) -> Result<Option<Secure>, Failure> {
        if self.tls.is_none() {
            return Ok(None);
        }
        let mut options = self.trust.options(0);
        // Whom we have started ourselves needs no authority to vouch for it.
        options.insecure |= options.ca.is_none() && options.pin.is_none();
        let connector = Connector::new(&options)?;
        Ok(Some(Secure { connector, host: "127.0.0.1".into(), resumes: !self.no_resumption }))
    }

    /// The two engines, unless others were named.
    fn contestants(&self) -> Result<Vec<Contestant>, Failure> {
        let named = &self.server;
        if named.is_empty() {
            return Ok(ENGINES.map(|engine| self.engine(engine)).to_vec());
        }
        if let [one] = &named[..] {
            misused(
                "bench",
                format!(
                    "{} has nobody to compete with; give a second --server (its own command again \
                     shows the noise)",
                    one.name
                ),
            );
        }
        for (index, one) in named.iter().enumerate() {
            if named[..index].iter().any(|other| other.name == one.name) {
                misused("bench", format!("two servers are called {}; give each a name", one.name));
            }
        }
        Ok(named.clone())
    }

    /// The server of this program, as it is asked for.
    fn engine(&self, engine: &str) -> Contestant {
        let service = match self.workload {
            Workload::Chat => "chat --flood off ",
            Workload::Files => "files --root {root} ",
            Workload::Echo if self.udp => "echo --udp-only ",
            Workload::Echo => "",
        };
        let tls = if self.speaks_tls(engine) { "--tls " } else { "" };
        Contestant {
            name: engine.into(),
            command: format!(
                "socklab server {service}{tls}--engine {engine} --host 127.0.0.1 --port {{port}} -q"
            ),
        }
    }

    /// What is to be done, and what is served meanwhile.
    fn plan(&self) -> Result<(Plan, Option<Site>), Failure> {
        let contestants = self.contestants()?;
        let secure = self.secure()?;
        let cpus =
            allowed().map_err(|error| format!("cannot tell which CPUs there are: {error}"))?;
        let placement = Placement::new(self.cpus, self.server_cpus.clone(), &cpus)?;
        let clients = self.clients();
        let most = clients.iter().copied().max().unwrap_or(0);
        // All servers are alive at once, the baseline twice.
        let servers = contestants.len() + 1;
        let room = preflight::room(FILES_OF_A_SERVER * servers)? / servers;
        if most > room {
            let what = if self.udp { "sockets" } else { "connections" };
            return Err(format!(
                "cannot open {most} {what} to each of {} servers (the first one is started \
                 twice): the limit on open files (ulimit -n) leaves room for {room}; lower --clients",
                servers
            )
            .into());
        }
        let transport = if self.udp { Transport::Udp } else { Transport::Tcp };
        let files = self.files();
        let site = match files.is_empty() {
            true => None,
            false => Some(Site::new(&files, self.seed).map_err(|error| {
                let folder = std::env::temp_dir();
                let (folder, why) = (folder.display(), cause(&error));
                format!("cannot make files to serve in {folder}: {why}; set TMPDIR")
            })?),
        };
        let plan = Plan {
            transport,
            settings: self.settings(site.as_ref()),
            root: site.as_ref().map(|site| site.root().into()),
            options: BenchOptions {
                clients: clients.clone(),
                chat: self.chat(),
                size_bytes: files.first().copied().unwrap_or(self.size() as u64),
                files_bytes: files,
                udp: self.udp,
                tls: contestants
                    .iter()
                    .filter(|one| self.speaks_tls(&one.name))
                    .map(|one| one.name.clone())
                    .collect(),
                resumption: secure.as_ref().map(|secure| secure.resumes),
                pipeline: self.pipeline,
                per_connection: self.per_connection,
                placement: placement.sharing.to_string(),
                server_cpus: placement.servers.to_string(),
                driver_cpus: placement.driver.to_string(),
                precision: self.precision,
                max_time_s: self.max_time().as_secs_f64(),
                slice_s: self.slice.as_secs_f64(),
                seed: self.seed,
            },
            contestants,
            secure,
            pace: Pace { leaves_after: self.per_connection, ..Pace::closed(self.pipeline) },
            placement,
            precision: self.precision,
            max_time: self.max_time(),
            slice: self.slice,
            launcher: Launcher::new(std::env::current_exe()?).over(transport),
        };
        Ok((plan, site))
    }

    fn write(&self, result: &BenchResult) -> Result<(), Failure> {
        if let Some(file) = &self.json {
            output::write(file, &output::json(&Document::Bench(Box::new(result.clone()))))?;
        }
        if let Some(file) = &self.html {
            output::write(file, &html::page(result))?;
        }
        if let Some(file) = &self.csv {
            output::write(file, &csv::bench(result))?;
        }
        if ![&self.html, &self.json, &self.csv].into_iter().any(output::is_stdout) {
            super::print(text::bench(result).as_bytes())?;
        }
        Ok(())
    }
}

fn contestant(text: &str) -> Result<Contestant, String> {
    let (name, command) = text
        .split_once('=')
        .filter(|(name, command)| !name.trim().is_empty() && !command.trim().is_empty())
        .ok_or("it is NAME=COMMAND, as in mine='./my-server {port}'")?;
    Ok(Contestant { name: name.trim().into(), command: units::command(command.trim())? })
}

fn precision(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).trim().parse::<f64>();
    match number {
        Ok(percent) if percent > 0.0 && percent <= 100.0 => Ok(percent / 100.0),
        _ => Err("a precision is a percentage, as in 2%".into()),
    }
}

fn told(plan: &Plan, at: &bench::Progress) -> String {
    let ratios: Vec<String> = at
        .row
        .iter()
        .flat_map(|row| &row.comparisons)
        .filter(|comparison| comparison.metric == Metric::Cpu)
        .map(|comparison| {
            format!("{} {}", plan.contestants[comparison.contestant].name, comparison.ratio)
        })
        .collect();
    let clients = at.setting.clients as u64;
    let (clients, unit) = match (plan.options.chat, at.setting.work.fetched()) {
        (Some(_), _) => (words::plural(clients, "member"), "delivery"),
        (None, None) => (words::plural(clients, "client"), "message"),
        (None, Some(page)) => {
            let size = words::file_size(page.body.len() as u64);
            (format!("{}, {size}", words::plural(clients, "client")), "request")
        }
    };
    format!(
        "{:.0} % of the time, {clients}, round {}; CPU per {unit}: {}",
        at.time.min(1.0) * 100.0,
        at.rounds + 1,
        if ratios.is_empty() { "not yet known".into() } else { ratios.join(", ") }
    )
}

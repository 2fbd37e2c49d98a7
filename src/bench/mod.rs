//! Servers against each other, under the same load in turns, and what can be said of the outcome.
//!
//! `duel` measures, `standing` sums up, and [`stats`] says how sure it is.

mod duel;
pub mod placement;
pub mod site;
mod standing;
pub mod stats;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use nix::unistd::Pid;

use crate::load::Failure;
use crate::load::pace::Pace;
use crate::load::secure::Secure;
use crate::load::watch::Watch;
use crate::load::work::Work;
use crate::observe::{Launcher, confine, environment};
use crate::report::document::{
    self, BenchOptions, BenchResult, Contestant, Ended, Metric, Round, Row,
};
use crate::transport::Transport;
use duel::Duel;
use placement::Placement;
use standing::{compare, stand};

/// What is different in each row.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How many load each server.
    pub clients: usize,
    /// What they say; what comes back is compared with it.
    pub work: Work,
}

impl Setting {
    /// Bytes of the file that is fetched, if one is.
    fn file_bytes(&self) -> Option<u64> {
        self.work.fetched().map(|page| page.body.len() as u64)
    }
}

/// What a bench does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who competes: two or more, the first is the baseline.
    pub contestants: Vec<Contestant>,
    /// A row for each.
    pub settings: Vec<Setting>,
    /// How messages travel.
    pub transport: Transport,
    /// How those speak TLS that `options.tls` names.
    pub secure: Option<Secure>,
    /// How far each is ahead, and when it leaves.
    pub pace: Pace,
    /// Which CPUs the servers and the load generator have.
    pub placement: Placement,
    /// Half an interval, as a part of its ratio, that ends a row.
    pub precision: f64,
    /// For all rows together.
    pub max_time: Duration,
    /// Length of a slice; longer where so many clients need more for one turn each.
    pub slice: Duration,
    /// How servers are started.
    pub launcher: Launcher,
    /// What `{root}` stands for in their commands.
    pub root: Option<PathBuf>,
    /// What was asked, for the document.
    pub options: BenchOptions,
}

/// What stands for the folder that servers of files serve.
pub const ROOT: &str = "{root}";

impl Plan {
    /// A command as a shell runs it.
    fn with_root(&self, command: &str) -> String {
        let Some(root) = &self.root else {
            return command.into();
        };
        let root = root.display().to_string();
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-".contains(&byte);
        match root.bytes().all(is_plain) {
            true => command.replace(ROOT, &root),
            false => command.replace(ROOT, &format!("'{}'", root.replace('\'', r"'\''"))),
        }
    }

    /// How this contestant is spoken to, if not in plain TCP.
    fn secure(&self, name: &str) -> Option<&Secure> {
        self.secure.as_ref().filter(|_| self.options.tls.iter().any(|one| one == name))
    }
}

/// Rounds of a row at least, if there is time: six would do for CPU per message, but a p99 is
/// disturbed in one round of several.
const ROUNDS: usize = 10;

/// How far a bench is.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// The row at hand.
    pub setting: &'a Setting,
    /// Its rounds that are complete.
    pub rounds: usize,
    /// The share of the time that is over.
    pub time: f64,
    /// What is known of the row so far.
    pub row: Option<&'a Row>,
}

/// Measures a row for each setting, a round of each in turn, so that all rest on as many.
/// With `watch.stop` set it ends after the slice at hand, and what is complete is the result.
pub fn run(
    plan: &Plan,
    watch: &Arc<Watch>,
    tell: &mut dyn FnMut(Progress),
) -> Result<BenchResult, Failure> {
    let began = Instant::now();
    let started = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let environment = environment();
    let failed =
        |error| Failure::Failed(format!("cannot stay on the load generator's CPUs: {error}"));
    confine(Pid::from_raw(0), &plan.placement.driver).map_err(failed)?;
    let mut matches: Vec<Match> =
        plan.settings.iter().map(|setting| Match::new(plan, setting, watch)).collect();
    while matches.iter().any(Match::goes_on) {
        for row in matches.iter_mut().filter(|row| row.goes_on()) {
            let elapsed = began.elapsed();
            let time = elapsed.as_secs_f64() / plan.max_time.as_secs_f64();
            let Match { setting, ref rounds, row: ref known, .. } = *row;
            tell(Progress { setting, rounds: rounds.len(), time, row: known.as_ref() });
            row.another_round(plan.max_time.saturating_sub(elapsed))?;
        }
    }
    Ok(BenchResult {
        schema: document::VERSION,
        options: plan.options.clone(),
        environment,
        started,
        interrupted: watch.stop.load(Ordering::Relaxed),
        elapsed_s: began.elapsed().as_secs_f64(),
        contestants: plan.contestants.clone(),
        rows: matches.into_iter().filter_map(Match::row).collect(),
    })
}

/// A row in the making.
struct Match<'a> {
    plan: &'a Plan,
    setting: &'a Setting,
    duel: Duel<'a>,
    rounds: Vec<Round>,
    /// How long the longest round took.
    longest: Duration,
    row: Option<Row>,
    ended: Option<Ended>,
}

impl<'a> Match<'a> {
    fn new(plan: &'a Plan, setting: &'a Setting, watch: &'a Arc<Watch>) -> Match<'a> {
        Match {
            plan,
            setting,
            duel: Duel::new(plan, setting, watch),
            rounds: Vec::new(),
            longest: Duration::ZERO,
            row: None,
            ended: None,
        }
    }

    fn goes_on(&self) -> bool {
        self.ended.is_none()
    }

    /// Adds a round, unless it would not be over in `left`. The first one is always run.
    fn another_round(&mut self, left: Duration) -> Result<(), Failure> {
        if self.longest > left {
            self.ended = Some(Ended::TimeUp);
            return Ok(());
        }
        let start = Instant::now();
        let Some(round) = self.duel.round()? else {
            self.ended = Some(Ended::Interrupted);
            return Ok(());
        };
        self.longest = self.longest.max(start.elapsed());
        self.rounds.push(round);
        let contestants = self.plan.contestants.len();
        let mut standings = stand(&self.rounds, contestants, self.duel.latencies());
        for standing in &mut standings {
            let body = |bytes| bytes as f64 * standing.messages_per_second;
            standing.body_bytes_per_second = self.setting.file_bytes().map(body);
        }
        let row = Row {
            clients: self.setting.clients,
            file_bytes: self.setting.file_bytes(),
            open_rate: self.duel.open_rate(),
            ended: Ended::Precise,
            standings,
            comparisons: compare(&self.rounds, contestants),
            rounds: Vec::new(),
        };
        let mut cpu = row.comparisons.iter().filter(|found| found.metric == Metric::Cpu).peekable();
        let known = cpu.peek().is_some();
        let precise = known && cpu.all(|found| found.ratio.half_width() <= self.plan.precision);
        if precise && self.rounds.len() >= ROUNDS {
            self.ended = Some(Ended::Precise);
        }
        self.row = Some(row);
        Ok(())
    }

    /// What came of it; `None` if not even one round was completed.
    fn row(self) -> Option<Row> {
        let ended = self.ended.unwrap_or(Ended::TimeUp);
        Some(Row { rounds: self.rounds, ended, ..self.row? })
    }
}

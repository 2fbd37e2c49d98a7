//! A whole run: connect, warm up, measure, say goodbye.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use log::warn;

use super::condition::Condition;
use super::driver::{Driver, Length, Outcome, Party};
use super::fault::{Faults, Kind};
use super::pace::Pace;
use super::secure::Agreed;
use super::tally::{FULL, Tally};
use super::watch::Watch;
use super::{Failure, preflight, search};
use crate::observe::{Held, ProcessTree, environment};
use crate::report::document::{self, Distribution, LoadOptions, LoadResult, Memory, Usage};
use crate::transport::Transport;

/// A share of late messages that distorts percentiles.
const MANY_LATE: f64 = 0.01;

/// How often a wait for `--start-at` looks whether it was interrupted.
const GLANCE: Duration = Duration::from_millis(50);

/// With fewer connections, the pages of a process are too coarse to say what one of them holds.
pub(crate) const COUNTABLE: usize = 64;

/// What a run does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Who loads whom, with what.
    pub party: Party,
    /// How far clients may be ahead, and when they leave.
    pub pace: Pace,
    /// Messages per second over all clients, on a schedule; `None` for a closed loop.
    pub rate: Option<f64>,
    /// Length of the measured part.
    pub length: Length,
    /// Length of the part before it.
    pub warmup: Duration,
    /// When the part after connecting begins, for many machines to start together.
    pub start_at: Option<SystemTime>,
    /// What the highest rate is searched for to keep.
    pub objective: Option<Condition>,
    /// What was asked, for the document.
    pub options: LoadOptions,
}

/// Loads the server, and says what came of it. `server` is its process, where that is known. An
/// error is one line: what was attempted, why it failed, what to do.
pub fn run(
    plan: &Plan,
    watch: &Arc<Watch>,
    server: Option<&mut ProcessTree>,
) -> Result<LoadResult, Failure> {
    preflight::check(&plan.party)?;
    if let Some(secure) = &plan.party.secure {
        let Party { server, patience, .. } = plan.party;
        secure
            .check(server, patience, &watch.stop)
            .map_err(|why| format!("cannot load {}: {why}", plan.options.target))?;
    }
    let mut bench = Bench::connect(plan, watch, server)?;
    bench.wait_for_start()?;
    if !plan.warmup.is_zero() && !bench.interrupted() {
        bench.slice(plan.rate, Length::Time(plan.warmup))?;
    }
    let mut result = match &plan.objective {
        Some(objective) => search::highest_rate(objective, plan.rate, |rate| bench.measure(rate))?,
        None => bench.measure(plan.rate)?,
    };
    bench.leave(&mut result)?;
    Ok(result)
}

/// Clients that are connected, and the server they are connected to.
struct Bench<'a> {
    plan: &'a Plan,
    watch: &'a Arc<Watch>,
    driver: Driver,
    server: Option<&'a mut ProcessTree>,
    memory: Option<Memory>,
    connected: usize,
}

impl<'a> Bench<'a> {
    fn connect(
        plan: &'a Plan,
        watch: &'a Arc<Watch>,
        server: Option<&'a mut ProcessTree>,
    ) -> Result<Bench<'a>, Failure> {
        let mut driver = Driver::new(&plan.party, watch.clone()).map_err(failed)?;
        let mut server = server;
        // A server of datagrams holds nothing for one client.
        let counts = plan.party.transport == Transport::Tcp;
        let before = counts.then(|| held(server.as_deref_mut())).flatten();
        let outcome = driver.connect().map_err(failed)?;
        let connected = outcome.connected;
        // A room with somebody missing is another room than was asked for.
        if plan.party.work.rooms().is_some() && outcome.faults.total() > 0 {
            return Err(not_let_in(plan, &outcome.faults));
        }
        if connected == 0 && !watch.stop.load(Ordering::Relaxed) {
            return Err(nobody_served(plan, &outcome));
        }
        let mut bench = Bench { plan, watch, driver, server, memory: None, connected };
        let after = counts.then(|| held(bench.server.as_deref_mut())).flatten();
        bench.memory = before
            .zip(after)
            .filter(|_| connected >= COUNTABLE)
            .map(|(before, after)| Held::per_connection(&before, &after, connected as u64));
        Ok(bench)
    }

    /// Sleeps until it is time.
    fn wait_for_start(&self) -> Result<(), String> {
        let Some(time) = self.plan.start_at else {
            return Ok(());
        };
        if time < SystemTime::now() {
            return Err(
                "cannot start at that time: it was over before all clients were connected; \
                        give a later --start-at"
                    .into(),
            );
        }
        while let Ok(left) = time.duration_since(SystemTime::now()) {
            if self.interrupted() {
                break;
            }
            thread::sleep(left.min(GLANCE));
        }
        Ok(())
    }

    fn interrupted(&self) -> bool {
        self.watch.stop.load(Ordering::Relaxed)
    }

    fn slice(&mut self, rate: Option<f64>, length: Length) -> Result<Outcome, String> {
        self.driver.slice(self.plan.pace, rate, length).map_err(failed)
    }

    /// One measured part.
    fn measure(&mut self, rate: Option<f64>) -> Result<LoadResult, String> {
        let started = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let before = self.used();
        let outcome = self.slice(rate, self.plan.length)?;
        let after = self.used();
        let messages = outcome.tally.messages.max(1) as f64;
        let stays = self.plan.pace.leaves_after.is_none();
        let server =
            before.zip(after).map(|((pid, cpu, switches), (_, cpu_after, switches_after))| {
                let cpu = cpu_after.saturating_sub(cpu).as_secs_f64();
                Usage {
                    pid,
                    cpu_s: cpu,
                    cpu_per_message_ns: cpu * 1e9 / messages,
                    cpus_busy: cpu / outcome.tally.elapsed.as_secs_f64().max(1e-9),
                    switches_per_message: stays
                        .then(|| switches_after.saturating_sub(switches) as f64 / messages),
                    memory: self.memory.clone(),
                }
            });
        Ok(self.result(started, rate, &outcome, server))
    }

    /// CPU time and context switches of the server until now. One that has died shows in the faults
    /// of its clients, and does not take the report with it.
    fn used(&mut self) -> Option<(i32, Duration, u64)> {
        let tree = self.server.as_deref_mut()?;
        let used = tree.switches().and_then(|switches| Ok((tree.cpu()?, switches)));
        let used = used.inspect_err(|error| warn!("the server is not observed any more: {error}"));
        let (cpu, switches) = used.ok()?;
        Some((tree.root().as_raw(), cpu, switches))
    }

    fn result(
        &self,
        started: String,
        rate: Option<f64>,
        outcome: &Outcome,
        server: Option<Usage>,
    ) -> LoadResult {
        let Outcome { tally, times, .. } = outcome;
        let distribution = |histogram: &Histogram<u64>| Distribution::of(histogram);
        let (latency, service_time) = match rate {
            Some(_) => (distribution(&times.latency), distribution(&times.service)),
            None => (distribution(&times.service), None),
        };
        let late = tally.late as f64 > MANY_LATE * tally.begun as f64;
        LoadResult {
            schema: document::VERSION,
            options: LoadOptions { rate, ..self.plan.options.clone() },
            environments: vec![environment()],
            started,
            interrupted: self.interrupted(),
            elapsed_s: tally.elapsed.as_secs_f64(),
            messages: tally.messages,
            messages_in_all: outcome.messages_in_all,
            sent_bytes: tally.sent,
            received_bytes: tally.received,
            messages_per_second: tally.rate(),
            chat: self.plan.party.work.rooms().map(|_| document::Chat {
                lines: tally.lines,
                lines_per_second: tally.lines as f64 / tally.elapsed.as_secs_f64().max(1e-9),
                last: distribution(&times.last),
            }),
            http: self.plan.party.work.fetched().map(|page| document::Http {
                body_bytes: page.body.len() as u64,
                body_bytes_per_second: page.compared.then(|| page.body.len() as f64 * tally.rate()),
                closes: tally.closes,
            }),
            connected: self.connected as u64,
            latency,
            service_time,
            connect: distribution(&times.connect),
            handshake: distribution(&times.handshake),
            first_byte: distribution(&times.first_byte),
            datagrams: (self.plan.party.transport == Transport::Udp).then_some(tally.datagrams),
            tls: self.plan.party.secure.is_some().then(|| document::Tls {
                agreed: outcome.agreed.iter().map(Agreed::to_string).collect(),
                handshakes: tally.handshakes,
                handshakes_in_all: outcome.handshakes_in_all,
                unannounced: outcome.unannounced,
            }),
            faults: (&outcome.faults).into(),
            driver: document::Driver {
                cpu_s: tally.driver.as_secs_f64(),
                busiest_thread: tally.driver_load(),
                late: tally.late,
                sent: tally.begun,
                bottleneck: tally.driver_load() >= FULL || (rate.is_some() && late),
            },
            server,
            trials: Vec::new(),
        }
    }

    /// Ends all connections, and adds what only the end shows.
    fn leave(&mut self, result: &mut LoadResult) -> Result<(), String> {
        let outcome = self.driver.leave().map_err(failed)?;
        result.faults = (&outcome.faults).into();
        if let Some(datagrams) = &mut result.datagrams {
            *datagrams += outcome.tally.datagrams;
        }
        if let Some(tls) = &mut result.tls {
            tls.unannounced = outcome.unannounced;
        }
        result.messages_in_all = outcome.messages_in_all;
        result.interrupted |= self.interrupted();
        Ok(())
    }
}

fn nobody_served(plan: &Plan, outcome: &Outcome) -> Failure {
    let faults = &outcome.faults;
    if plan.party.transport == Transport::Udp && faults.total() == 0 {
        return nobody_heard(plan, &outcome.tally);
    }
    let why = faults.examples().next().map_or("no answer".into(), ToString::to_string);
    let target = &plan.options.target;
    if faults.wrong_bytes() && plan.party.work.fetched().is_some() {
        return Failure::Wrong(format!("{target} does not serve what it served at first: {why}"));
    }
    if faults.wrong_bytes() {
        return Failure::Wrong(format!(
            "{target} does not speak what --expect says: {why}; see --expect, --message and --reply"
        ));
    }
    let refused = faults.count(Kind::Refused) == faults.total();
    let advice = match refused {
        true => "is it running?",
        false if plan.party.work.fetched().is_some() => "it has served the file once, just before",
        false => "does it speak what --expect says?",
    };
    Failure::Failed(format!("cannot load {target}: no client was served: {why}; {advice}"))
}

/// Somebody has not come into its room.
fn not_let_in(plan: &Plan, faults: &Faults) -> Failure {
    let target = &plan.options.target;
    let Some(fault) = faults.examples().next() else {
        return Failure::Failed(format!("cannot load {target}"));
    };
    let advice = match fault.detail.starts_with("connection refused") {
        true => "; is it running?",
        false => "",
    };
    let (client, why) = (fault.client, &fault.detail);
    Failure::Failed(format!("cannot load {target}: client {client} was not let in: {why}{advice}"))
}

/// No socket has failed, and no answer came.
fn nobody_heard(plan: &Plan, tally: &Tally) -> Failure {
    let target = &plan.options.target;
    let patience = plan.party.patience;
    Failure::Failed(match tally.datagrams.refused {
        0 => format!(
            "cannot load {target}: no answer within {patience:?}; does it echo? see --expect, and \
             --timeout for one that is far away"
        ),
        _ => format!(
            "cannot load {target}: connection refused: nobody listens there; start `socklab server \
             --udp` first"
        ),
    })
}

/// What the server holds, where that may be known: only its user and root are told.
fn held(server: Option<&mut ProcessTree>) -> Option<Held> {
    let held = server?.memory();
    held.inspect_err(|error| warn!("its memory is not reported: {error}")).ok()
}

fn failed(error: impl std::fmt::Display) -> String {
    format!("the load generator failed: {error}")
}

impl From<&Faults> for document::Faults {
    fn from(faults: &Faults) -> document::Faults {
        document::Faults {
            wrong: faults.count(Kind::Wrong),
            extra: faults.count(Kind::Extra),
            lost: faults.count(Kind::Lost),
            short: faults.count(Kind::Short),
            reset: faults.count(Kind::Reset),
            refused: faults.count(Kind::Refused),
            unanswered: faults.unanswered,
            examples: faults.examples().map(ToString::to_string).collect(),
        }
    }
}

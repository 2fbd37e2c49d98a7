//! The duel: all servers alive at once, under the same load in turns.
//!
//! Absolute rates drift by whole factors on a machine that is not idle; the ratio of two slices that
//! follow each other does not. And two processes of one program differ for as long as they live, by
//! the layout of their memory and by luck; so each round starts all of them anew.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hdrhistogram::Histogram;

use super::{Plan, Setting};
use crate::load::Failure;
use crate::load::callers::{Callers, Until};
use crate::load::clients::Clients;
use crate::load::fault::Kind;
use crate::load::pace::{Pace, Schedule};
use crate::load::preflight::sources_for_churn;
use crate::load::run::COUNTABLE;
use crate::load::secure::Agreed;
use crate::load::tally::{Tally, histogram};
use crate::load::watch::Watch;
use crate::observe::{DYING, Held, Started};
use crate::report::document::{Datagrams, Handshakes, Memory, OpenSlice, Round, Side, Slice, Tls};
use crate::transport::Transport;

/// Slices of each server in a round: back and forth three times (see [`order`]).
const PASSES: usize = 6;

/// The part of a slice that is run before it counts. Who comes second finds the caches full of what
/// the first one left there, and with 1,000 clients that is 3 % of the cost.
const LEAD_IN: u32 = 8;

/// The open-loop part of each server in a round: so long that one hiccup of the
/// machine, of some milliseconds, is not its p99.
const OPEN: Duration = Duration::from_millis(500);

/// The share of the slowest server's throughput at which latency is compared: what all sustain, and
/// far from where queues grow without bound.
const SUSTAINED: f64 = 0.5;

/// How often that rate is halved at most, and the share of messages, or of time, that may be late
/// without it: a hiccup of the machine lasts that long.
const HALVINGS: usize = 6;
/// See [`HALVINGS`].
const LATE: f64 = 0.05;

/// A slice has this much for each client, or it would end before all had their turn.
const PER_CLIENT: Duration = Duration::from_micros(25);

/// The same where each hears what others say.
const PER_MEMBER: Duration = Duration::from_micros(100);

/// The same where each of them shakes hands (TLS) before it says anything.
const PER_HANDSHAKE: Duration = Duration::from_micros(250);

/// What a slice has for the files that clients fetch, which on loopback is little.
const BYTES_PER_NANOSECOND: usize = 2;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a datagram may take, from process to process on one machine. A slice ends only when what
/// is lost is known to be.
const DATAGRAM_PATIENCE: Duration = Duration::from_millis(200);

/// Rounds of one row.
pub struct Duel<'a> {
    plan: &'a Plan,
    setting: &'a Setting,
    watch: &'a Arc<Watch>,
    rounds: usize,
    open_rate: Option<f64>,
    latencies: Vec<Histogram<u64>>,
}

/// A server and its clients.
struct Contender {
    name: String,
    server: Started,
    load: Clients,
    memory: Option<Memory>,
    slices: Vec<Slice>,
    /// Messages answered in slices and what leads in to them, and context switches meanwhile.
    answered: u64,
    switches: u64,
    open: Option<OpenSlice>,
    /// What became of datagrams in the closed loop, and in the open one.
    datagrams: [Datagrams; 2],
    /// TLS handshakes of the closed loop, if it speaks TLS.
    handshakes: Option<Handshakes>,
}

impl<'a> Duel<'a> {
    pub fn new(plan: &'a Plan, setting: &'a Setting, watch: &'a Arc<Watch>) -> Duel<'a> {
        let latencies = plan.contestants.iter().map(|_| histogram()).collect();
        Duel { plan, setting, watch, rounds: 0, open_rate: None, latencies }
    }

    /// Messages per second of the open-loop part, once it is known.
    pub fn open_rate(&self) -> Option<f64> {
        self.open_rate
    }

    /// Latencies of each contestant in the open loop, all rounds added.
    pub fn latencies(&self) -> &[Histogram<u64>] {
        &self.latencies
    }

    /// Starts all servers, loads them in turns, and ends them. `None` if it was interrupted.
    pub fn round(&mut self) -> Result<Option<Round>, Failure> {
        let mut contenders = Vec::new();
        // The baseline's second process comes last.
        let names = self.plan.contestants.iter().chain(&self.plan.contestants[..1]);
        for contestant in names {
            contenders.push(self.start(&contestant.name, &contestant.command)?);
        }
        // The first slices meet cold caches and short buffers.
        for contender in &mut contenders {
            self.closed_slice(contender)?;
            contender.slices.clear();
            contender.datagrams = Default::default();
            contender.handshakes = contender.handshakes.map(|_| Handshakes::default());
            contender.answered = 0;
            contender.switches = contender.switches_until_now()?;
        }
        for pass in 0..PASSES {
            for turn in order(contenders.len(), PASSES * self.rounds + pass) {
                self.closed_slice(&mut contenders[turn])?;
            }
        }
        for contender in &mut contenders {
            contender.switches = contender.switches_until_now()?.saturating_sub(contender.switches);
        }
        if self.stays() {
            self.open_slices(&mut contenders)?;
        }
        if self.watch.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        for (latency, contender) in self.latencies.iter_mut().zip(&mut contenders) {
            latency.add(&contender.load.times().latency).expect("all have the same bounds");
        }
        self.rounds += 1;
        let stays = self.stays();
        let transport = self.plan.transport;
        let sides = contenders.into_iter().map(|one| one.end(stays, transport)).collect();
        Ok(Some(Round { sides }))
    }

    fn start(&self, name: &str, command: &str) -> Result<Contender, Failure> {
        let Plan { launcher, placement, transport, .. } = self.plan;
        let Setting { clients, ref work } = *self.setting;
        let command = self.plan.with_root(command);
        let mut server = launcher
            .start(name, &command, Some(&placement.servers))
            .map_err(|error| Failure::Failed(error.to_string()))?;
        let callers = Callers {
            server: server.address(),
            secure: self.plan.secure(name).cloned(),
            clients,
            first: 0,
            step: 1,
            of: clients,
            sources: match self.stays() {
                true => Vec::new(),
                false => sources_for_churn(server.address().ip()),
            },
            connect_rate: None,
            patience: match transport {
                Transport::Tcp => PATIENCE,
                Transport::Udp => DATAGRAM_PATIENCE,
            },
            // Where the server needs the same CPU, waiting awake would be in its way.
            awake: placement.servers != placement.driver,
        };
        let before = server.tree().memory().map_err(|error| unseen(name, &error))?;
        let mut load = Clients::new(*transport, callers, work.clone(), self.watch.clone())
            .map_err(|error| Failure::Failed(format!("the load generator failed: {error}")))?;
        load.connect().map_err(|error| unseen(name, &error))?;
        let after = server.tree().memory().map_err(|error| unseen(name, &error))?;
        // A server of datagrams holds nothing for one client.
        let memory = (clients >= COUNTABLE && *transport == Transport::Tcp)
            .then(|| Held::per_connection(&before, &after, clients as u64));
        let mut contender = Contender {
            name: name.into(),
            server,
            load,
            memory,
            slices: Vec::new(),
            answered: 0,
            switches: 0,
            open: None,
            datagrams: <[Datagrams; 2]>::default(),
            handshakes: self.plan.secure(name).map(|_| Handshakes::default()),
        };
        contender.check()?;
        Ok(contender)
    }

    fn closed_slice(&self, contender: &mut Contender) -> Result<(), Failure> {
        let each = match self.plan.secure {
            Some(_) if !self.stays() => PER_HANDSHAKE,
            _ if self.setting.work.rooms().is_some() => PER_MEMBER,
            _ => PER_CLIENT,
        };
        let body = self.setting.work.fetched().map_or(0, |page| page.body.len());
        let each = each + Duration::from_nanos((body / BYTES_PER_NANOSECOND) as u64);
        let length = self.plan.slice.max(each * self.setting.clients as u32);
        let lead_in = contender.slice(self.plan.pace, length / LEAD_IN, self.watch)?;
        let start_s = self.watch.now() as f64 / 1e9;
        let cpu = contender.cpu()?;
        let tally = contender.slice(self.plan.pace, length, self.watch)?;
        let cpu = contender.cpu()?.saturating_sub(cpu);
        for tally in [&lead_in, &tally] {
            contender.answered += tally.messages;
            contender.datagrams[0] += tally.datagrams;
            if let Some(handshakes) = &mut contender.handshakes {
                *handshakes += tally.handshakes;
            }
        }
        contender.slices.push(Slice {
            start_s,
            elapsed_s: tally.elapsed.as_secs_f64(),
            messages: tally.messages,
            server_cpu_s: cpu.as_secs_f64(),
            driver_cpu_s: tally.driver.as_secs_f64(),
        });
        Ok(())
    }

    /// Whether connections last as long as the server.
    fn stays(&self) -> bool {
        self.plan.pace.leaves_after.is_none()
    }

    /// Latency of all at one rate, which the first round finds: half of what the slowest did in the
    /// closed loop, and half of that again until all sustain it, the load generator included.
    /// (Messages in flight are sent and answered many at a time; on a schedule each goes alone.)
    fn open_slices(&mut self, contenders: &mut [Contender]) -> Result<(), Failure> {
        let slowest = contenders.iter().map(Contender::rate).fold(f64::INFINITY, f64::min);
        // In a room many hear each message.
        let slowest = slowest / self.setting.work.hearers(self.setting.clients).max(1) as f64;
        let mut rate = self.open_rate.unwrap_or((slowest * SUSTAINED).max(1.0));
        let halvings = if self.open_rate.is_some() { 0 } else { HALVINGS };
        for halving in 0..=halvings {
            rate /= if halving == 0 { 1.0 } else { 2.0 };
            let mut sustained = true;
            for turn in order(contenders.len(), self.rounds) {
                sustained &= self.open_slice(&mut contenders[turn], rate)?;
            }
            if sustained {
                break;
            }
        }
        self.open_rate = Some(rate);
        Ok(())
    }

    /// Whether the rate was sustained.
    fn open_slice(&self, contender: &mut Contender, rate: f64) -> Result<bool, Failure> {
        contender.load.times().clear_messages();
        let length = OPEN.max(PER_CLIENT * 4 * self.setting.clients as u32);
        let clients = self.setting.work.senders(self.setting.clients);
        let schedule = Schedule { start: self.watch.now(), rate, clients };
        let pace = Pace { schedule: Some(schedule), depth: None, leaves_after: None };
        let tally = contender.slice(pace, length, self.watch)?;
        // Of rates that were tried and not sustained, nothing is kept.
        contender.datagrams[1] = tally.datagrams;
        let latency = &contender.load.times().latency;
        contender.open = Some(OpenSlice {
            messages: tally.messages,
            p50_ns: latency.value_at_percentile(50.0),
            p99_ns: latency.value_at_percentile(99.0),
            late: tally.late,
        });
        let few = tally.begun as f64 * LATE;
        let in_time = tally.late as f64 <= few && tally.datagrams.lost as f64 <= few;
        Ok(in_time && tally.elapsed <= length.mul_f64(1.0 + LATE))
    }
}

impl Contender {
    fn slice(&mut self, pace: Pace, length: Duration, watch: &Watch) -> Result<Tally, Failure> {
        let time = Some(watch.now() + length.as_nanos() as u64);
        let tally = self
            .load
            .slice(pace, Until { time, messages: None })
            .map_err(|error| Failure::Failed(format!("the load generator failed: {error}")))?;
        self.check()?;
        let is_silent = tally.messages == 0 && tally.begun > 0;
        if is_silent && !watch.stop.load(Ordering::Relaxed) {
            return Err(self.silent());
        }
        Ok(tally)
    }

    /// Nothing was answered, and nothing was wrong: such are datagrams.
    fn silent(&mut self) -> Failure {
        let Contender { name, server, .. } = self;
        Failure::Failed(match server.ended_within(DYING) {
            Some(how) => format!("{name} {how}, and its clients were left without an answer"),
            None => {
                format!("{name} does not answer: not one datagram came back; does it echo UDP?")
            }
        })
    }

    /// A server that has lost or garbled a single answer is out, however fast it is. A datagram that
    /// is lost is a figure, for nobody promised that it would arrive.
    fn check(&mut self) -> Result<(), Failure> {
        let Some(fault) = self.load.faults().examples().next() else {
            return Ok(());
        };
        let Contender { name, server, .. } = self;
        let cut_off = matches!(fault.kind, Kind::Short | Kind::Reset | Kind::Refused);
        Err(match server.ended_within(if cut_off { DYING } else { Duration::ZERO }) {
            Some(how) => Failure::Failed(format!("{name} {how}, and took its clients with it")),
            None if self.load.faults().wrong_bytes() => {
                Failure::Wrong(format!("{name} does not {}: {fault}", self.load.promise()))
            }
            None => Failure::Failed(format!("{name} does not answer: {fault}")),
        })
    }

    fn cpu(&mut self) -> Result<Duration, Failure> {
        self.server.tree().cpu().map_err(|error| unseen(&self.name, &error))
    }

    fn switches_until_now(&mut self) -> Result<u64, Failure> {
        self.server.tree().switches().map_err(|error| unseen(&self.name, &error))
    }

    fn messages(&self) -> u64 {
        self.slices.iter().map(|slice| slice.messages).sum()
    }

    fn rate(&self) -> f64 {
        let time: f64 = self.slices.iter().map(|slice| slice.elapsed_s).sum();
        self.messages() as f64 / time
    }

    fn end(self, stays: bool, transport: Transport) -> Side {
        let [mut datagrams, open] = self.datagrams;
        datagrams += open;
        let switches = self.switches as f64 / self.answered.max(1) as f64;
        Side {
            switches_per_message: stays.then_some(switches),
            slices: self.slices,
            memory: self.memory,
            open: self.open,
            datagrams: (transport == Transport::Udp).then_some(datagrams),
            tls: self.handshakes.map(|handshakes| Tls {
                agreed: self.load.agreed().iter().map(Agreed::to_string).collect(),
                handshakes,
                handshakes_in_all: self.load.handshakes_in_all(),
                unannounced: self.load.unannounced(),
            }),
        }
    }
}

/// Each way there is followed by the way back (ABBA), so that what grows or fades meets all alike;
/// and each starts with another one, so that nobody is always in the middle.
fn order(contenders: usize, pass: usize) -> Vec<usize> {
    let there = (0..contenders).map(|place| (place + pass / 2) % contenders);
    if pass.is_multiple_of(2) { there.collect() } else { there.rev().collect() }
}

fn unseen(name: &str, error: &std::io::Error) -> Failure {
    Failure::Failed(format!("cannot observe {name}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_is_first_last_and_in_the_middle_equally_often() {
        for contenders in 2..6 {
            let mut places = vec![vec![0; contenders]; contenders];
            for pass in 0..2 * contenders {
                for (place, contender) in order(contenders, pass).into_iter().enumerate() {
                    places[contender][place] += 1;
                }
            }
            assert!(places.iter().flatten().all(|times| *times == 2), "{places:?}");
        }
        assert_eq!([0, 1].map(|pass| order(2, pass)), [[0, 1], [1, 0]]);
    }
}

//! All hostile clients at once, again and again, beside good ones that are served all the while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Hostile;
use super::arena::{Arena, Protocol, Usage};
use super::verdict::{Breach, Outcome};
use super::visit::{Visited, visit};
use crate::load::driver::{Driver, Length, Party};
use crate::load::http::fetch::Source;
use crate::load::pace::Pace;
use crate::load::preflight;
use crate::load::tally::Times;
use crate::load::work::Work;
use crate::report::distribution::percentile;
use crate::report::numbers::{bytes, count, duration, rate};
use crate::transport::Transport;

/// After it the driver looks whether there is anything else to do.
const SLICE: Duration = Duration::from_millis(500);

/// How long a visit takes at most of those that take as long as they are given: or one that began
/// late would go on long after all others.
const VISIT: Duration = Duration::from_secs(10);

/// Between two visits of one hostile client, for those that are over at once.
const REST: Duration = Duration::from_millis(20);

/// Bytes of a good client's message.
const MESSAGE: u64 = 64;

/// Threads that a server may keep for later work: a pool is no leak, and hundreds of visits leave more.
const POOL: usize = 8;

/// In a chat: members of a room, and how many of them talk. A room of many would measure deliveries.
const MEMBERS: usize = 10;
const TALKERS: usize = 2;

/// Who is there, and for how long.
#[derive(Clone, Debug)]
pub struct Mix {
    /// Good clients, whose every byte is compared.
    pub good: usize,
    /// Messages per second over all of them, on a schedule.
    pub rate: f64,
    /// The hostile ones, each on a thread of its own.
    pub hostile: Vec<&'static Hostile>,
    /// After this time no visit is begun.
    pub duration: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Mixed {
    /// What the good clients have seen.
    pub good: Outcome,
    /// How often each hostile client came, and what came of it: the first broken promise, or the last
    /// visit that could be made.
    pub visits: Vec<(&'static Hostile, usize, Visited)>,
    /// What the server holds when all have left, against what it held before.
    pub afterwards: Option<Outcome>,
}

impl Mix {
    /// Runs it. What cannot be begun is an error.
    pub fn run(&self, arena: &Arena) -> Result<Mixed, Breach> {
        let party = self.party(arena)?;
        preflight::check(&party).map_err(Breach::skipped)?;
        let before = arena.usage()?;
        let mut driver = Driver::new(&party, Arc::clone(&arena.watch))?;
        let came = driver.connect()?;
        if let Some(fault) = came.faults.examples().next() {
            return Err(Breach::broken(format!(
                "{} of {} good clients were not served before anybody else came: {fault}",
                count(came.faults.total()),
                count(party.clients as u64)
            )));
        }
        let crowded = Arc::new(Arena { duration: arena.duration.min(VISIT), ..arena.crowded() });
        let ends = Instant::now() + self.duration;
        let busy = AtomicUsize::new(self.hostile.len());
        let mut times = Times::new();
        let (visits, talked) = thread::scope(|scope| {
            let (crowded, busy) = (&crowded, &busy);
            let guests: Vec<_> = self
                .hostile
                .iter()
                .map(|hostile| {
                    scope.spawn(move || {
                        let visits = visit_until(hostile, crowded, ends);
                        busy.fetch_sub(1, Ordering::Relaxed);
                        visits
                    })
                })
                .collect();
            // One schedule for all of the time: each slice begins with the first client again, and who
            // never has his turn would be idle, and let go. Then they stay until the last visit is over.
            let mut talk = || -> Result<(), Breach> {
                let mut length = self.duration;
                while !crowded.stopped() {
                    let length = Length::Time(std::mem::replace(&mut length, SLICE));
                    times += &driver.slice(Pace::default(), Some(self.rate), length)?.times;
                    if busy.load(Ordering::Relaxed) == 0 {
                        break;
                    }
                }
                Ok(())
            };
            let talked = talk();
            let visits = guests.into_iter().map(|guest| guest.join().expect("visits are caught"));
            (visits.collect::<Vec<_>>(), talked)
        });
        let good = talked.and_then(|()| Ok(driver.leave()?)).and_then(|left| {
            match left.faults.examples().next() {
                Some(fault) => Err(Breach::broken(format!(
                    "{} of {} were lost: {fault}",
                    count(left.faults.total()),
                    count(party.clients as u64)
                ))),
                None => Ok(told(&party, left.messages_in_all, self.rate, &times)),
            }
        });
        drop(driver);
        let afterwards = before.map(|before| {
            let threads = before.threads + POOL;
            let settled = arena.settles_to(Some(Usage { threads, ..before }))?;
            let now = arena.needed_usage()?;
            Ok(format!(
                "{} descriptors, before {}, {} later; threads {}, before {}; memory {}, before {}",
                now.files,
                before.files,
                duration(settled.as_nanos() as f64),
                now.threads,
                before.threads,
                bytes(now.memory as f64),
                bytes(before.memory as f64)
            ))
        });
        let visits =
            self.hostile.iter().zip(visits).map(|(hostile, (n, visited))| (*hostile, n, visited));
        Ok(Mixed { good, visits: visits.collect(), afterwards })
    }

    fn party(&self, arena: &Arena) -> Result<Party, Breach> {
        let (clients, work) = match arena.protocol {
            Protocol::Echo => (self.good, Work::echo(MESSAGE, arena.seed)),
            Protocol::Chat => {
                let rooms = self.good.div_ceil(MEMBERS);
                (rooms * MEMBERS, Work::chat(MESSAGE, arena.seed, rooms, TALKERS))
            }
            Protocol::Files => {
                let Some((authority, path)) = &arena.page else {
                    return Err(Breach::skipped(
                        "it needs a file; give a target as in http://HOST/FILE",
                    ));
                };
                let source = Source {
                    server: arena.server,
                    secure: arena.secure.as_ref(),
                    authority,
                    path,
                    patience: arena.patience,
                };
                let page = source.fetch(&arena.watch.stop).map_err(Breach::skipped)?;
                (self.good, Work::page(Arc::new(page.ok_or(Breach::Interrupted)?)))
            }
            Protocol::Other => {
                return Err(Breach::skipped("good clients need a server that echoes"));
            }
        };
        Ok(Party {
            transport: Transport::Tcp,
            server: arena.server,
            secure: arena.secure.clone(),
            clients,
            threads: 1,
            work,
            sources: Vec::new(),
            connect_rate: None,
            patience: arena.patience,
            awake: false,
        })
    }
}

/// Visits again and again: how often, and the first broken promise, or the last visit that could be made.
fn visit_until(hostile: &Hostile, arena: &Arc<Arena>, ends: Instant) -> (usize, Visited) {
    let (mut visits, mut last) = (0, None);
    loop {
        let visited = visit(hostile, arena);
        visits += 1;
        match (visited, last) {
            // What could not be tried once may be the next time.
            (Visited::Back(Err(Breach::Skipped(_))), Some(before)) => last = Some(before),
            (visited @ Visited::Back(Ok(_)), _) => last = Some(visited),
            (visited, _) => return (visits, visited),
        }
        if Instant::now() >= ends || arena.stopped() {
            let last = last.expect("it has been there");
            return (visits, last);
        }
        thread::sleep(REST);
    }
}

fn told(party: &Party, messages: u64, asked: f64, times: &Times) -> String {
    let at = |percent| percentile(&times.latency, percent).map_or(f64::NAN, |ns| ns as f64);
    format!(
        "{} clients, {} answers compared at {}, none wrong or lost; p50 {}, p99 {}, p99.9 {}, at most {}",
        count(party.clients as u64),
        count(messages),
        rate(asked),
        duration(at(50.0)),
        duration(at(99.0)),
        duration(at(99.9)),
        duration(times.latency.max() as f64)
    )
}

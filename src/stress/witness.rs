//! A good client beside a hostile one: each of its messages has to be answered as its protocol has it,
//! and it notes how long that took.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use super::arena::{Arena, Protocol};
use super::irc::Member;
use super::peer::{Peer, compare};
use super::verdict::Breach;
use super::web::Browser;
use crate::load::tally::histogram;
use crate::report::distribution::percentile;
use crate::report::numbers::duration;

/// Bytes of a message.
const MESSAGE: usize = 64;

/// What a good client does, again and again.
enum Witness {
    /// Has a message come back.
    Echo(Box<Peer>),
    /// Asks whether the server is there.
    Chat(Box<Member>),
    /// Gets the page, which is to be the same each time.
    Files { browser: Box<Browser>, request: Vec<u8>, page: Vec<u8> },
    /// Is let in.
    Caller,
}

impl Witness {
    /// Between an answer and the next message: it is a person who types fast, not a load. A chat counts
    /// lines, and those who are let in leave seats behind that are free a moment later.
    fn pause(&self) -> Duration {
        Duration::from_millis(match self {
            Witness::Echo(_) | Witness::Files { .. } => 1,
            Witness::Chat(_) => 150,
            Witness::Caller => 20,
        })
    }
}

/// What a good client has seen.
#[derive(Clone, Debug)]
pub struct Testimony {
    /// Nanoseconds from each message to its answer.
    pub latency: Histogram<u64>,
}

impl Testimony {
    /// "p50 80.1 µs, p99 1.20 ms, at most 3.40 ms". There is no percentile of too few answers.
    pub fn told(&self) -> String {
        let mut told = String::new();
        for percent in [50.0, 99.0] {
            if let Some(time) = percentile(&self.latency, percent) {
                told += &format!("p{percent} {}, ", duration(time as f64));
            }
        }
        told + &format!("at most {}", duration(self.latency.max() as f64))
    }
}

/// What is seen of a good client while it talks.
#[derive(Debug, Default)]
pub struct Company {
    answered: AtomicU64,
    over: AtomicBool,
    lost: AtomicBool,
}

impl Company {
    /// How often it was answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// Its conversation has gone wrong: that decides, and nothing else is to be waited for.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }
}

/// The good client need not stay when this is dropped, also by a hostile one that has failed.
struct Leaves<'a>(&'a Company);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

impl Arena {
    /// Runs `hostile` while a good client is served beside it, and gives what both have to say.
    pub fn beside_a_witness<T>(
        &self,
        hostile: impl FnOnce() -> Result<T, Breach>,
    ) -> Result<(T, Testimony), Breach> {
        self.in_company(|_| hostile())
    }

    /// The same, and what is to be said of the good client at the end of a sentence; of servers that
    /// do not echo, nothing.
    pub fn beside_anybody<T>(
        &self,
        hostile: impl FnOnce() -> Result<T, Breach>,
    ) -> Result<(T, String), Breach> {
        if self.protocol != Protocol::Echo {
            return Ok((hostile()?, String::new()));
        }
        let (done, neighbour) = self.beside_a_witness(hostile)?;
        Ok((done, format!("; a neighbour was answered in {}", neighbour.told())))
    }

    /// The same for one who looks at the good client meanwhile.
    pub fn in_company<T>(
        &self,
        hostile: impl FnOnce(&Company) -> Result<T, Breach>,
    ) -> Result<(T, Testimony), Breach> {
        let company = Company::default();
        let mut witness = self.witness().map_err(|breach| breach.of("a neighbour"))?;
        thread::scope(|scope| {
            let watched: ScopedJoinHandle<Result<Testimony, Breach>> = scope.spawn(|| {
                let testimony = self.converse(&mut witness, &company);
                company.lost.store(testimony.is_err(), Ordering::Relaxed);
                testimony
            });
            let leaves = Leaves(&company);
            let done = hostile(&company);
            drop(leaves);
            let testimony = watched.join().expect("it does not panic");
            let done = done?;
            Ok((done, testimony.map_err(|breach| breach.of("a neighbour"))?))
        })
    }

    fn witness(&self) -> Result<Witness, Breach> {
        Ok(match self.protocol {
            Protocol::Echo => Witness::Echo(Box::new(self.call()?)),
            Protocol::Chat => Witness::Chat(Box::new(self.member()?)),
            Protocol::Files => Witness::Files {
                page: self.reference()?,
                request: self.get(self.known_page()?.1)?,
                browser: Box::new(self.browser()?),
            },
            Protocol::Other => Witness::Caller,
        })
    }

    fn converse(&self, witness: &mut Witness, company: &Company) -> Result<Testimony, Breach> {
        let mut latency = histogram();
        let mut round = 0;
        // Once at least, or it has nothing to say.
        while round == 0 || !company.over.load(Ordering::Relaxed) {
            let message = self.pattern(round, MESSAGE);
            let since = Instant::now();
            self.ask(witness, &message)?;
            latency.saturating_record(since.elapsed().as_nanos() as u64);
            round += 1;
            company.answered.store(round, Ordering::Relaxed);
            thread::sleep(witness.pause());
        }
        if let Witness::Echo(peer) = witness {
            peer.finish(&[])?;
        }
        Ok(Testimony { latency })
    }

    /// One message, and its answer.
    fn ask(&self, witness: &mut Witness, message: &[u8]) -> Result<(), Breach> {
        match witness {
            Witness::Echo(peer) => peer.echoes(message)?,
            Witness::Chat(member) => member.settle().map(drop)?,
            Witness::Files { browser, request, page } => {
                let reply = browser.ask(request)?;
                if reply.head.status != 200 || reply.body.len() != page.len() {
                    return Err(Breach::broken(format!(
                        "the page came with status {} and {} bytes in place of {}",
                        reply.head.status,
                        reply.body.len(),
                        page.len()
                    )));
                }
                compare(page, &reply.body)?;
                if reply.head.closes {
                    **browser = self.browser()?;
                }
            }
            Witness::Caller => self.call().map(drop)?,
        }
        Ok(())
    }

    /// Whether somebody new is served, as its protocol has it.
    pub(super) fn serves_one(&self) -> Result<(), Breach> {
        let mut witness = self.witness()?;
        self.ask(&mut witness, &self.pattern(AFTERWARDS, MESSAGE))
    }

    /// Whether who has come over `peer` is served, as its protocol has it.
    pub(super) fn serves_over(&self, peer: Peer, number: u64) -> Result<(), Breach> {
        let mut witness = match self.protocol {
            Protocol::Echo => Witness::Echo(Box::new(peer)),
            Protocol::Chat => Witness::Chat(Box::new(self.member_over(peer)?)),
            Protocol::Files => Witness::Files {
                page: self.reference()?,
                request: self.get(self.known_page()?.1)?,
                browser: Box::new(Browser::over(peer)),
            },
            Protocol::Other => return Ok(()),
        };
        self.ask(&mut witness, &self.pattern(number, MESSAGE))
    }
}

/// The number of what somebody says who comes after all others.
const AFTERWARDS: u64 = 999_983;

//! The driver: clients on as many threads as were asked for, all told the same.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use super::callers::{Callers, Until};
use super::clients::Clients;
use super::fault::Faults;
use super::pace::{Pace, Schedule};
use super::secure::{Agreed, Secure};
use super::tally::{Tally, Times};
use super::watch::Watch;
use super::work::Work;
use crate::report::document::Handshakes;
use crate::transport::Transport;

/// Time for every thread to wake up before the first message of a schedule is due.
const HEAD_START: u64 = 2_000_000;

/// Everybody who loads one server.
#[derive(Clone, Debug)]
pub struct Party {
    /// How messages travel.
    pub transport: Transport,
    /// The server.
    pub server: SocketAddr,
    /// How clients speak TLS with it; plain TCP where there is none.
    pub secure: Option<Secure>,
    /// Clients.
    pub clients: usize,
    /// Threads that they are spread over.
    pub threads: usize,
    /// What they say and hear.
    pub work: Work,
    /// Local addresses to call from, in turn; where there are none, the kernel chooses.
    pub sources: Vec<IpAddr>,
    /// Connects per second; as fast as they are answered if `None`.
    pub connect_rate: Option<f64>,
    /// How long clients wait without any news before answers still due count as lost; each datagram
    /// for its own.
    pub patience: Duration,
    /// Whether to wait awake for a message that is due in a moment.
    pub awake: bool,
}

/// When a slice is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    /// After this time.
    Time(Duration),
    /// After so many messages.
    Messages(u64),
}

/// What came of a slice.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Counted.
    pub tally: Tally,
    /// How long things took in this slice; connects since the beginning.
    pub times: Times,
    /// Everything that went wrong since the beginning.
    pub faults: Faults,
    /// Messages answered since the first connect.
    pub messages_in_all: u64,
    /// TLS handshakes since the first connect.
    pub handshakes_in_all: Handshakes,
    /// TLS connections that ended as they should but for the server's close_notify.
    pub unannounced: u64,
    /// What clients and server agreed to speak, all that occurred.
    pub agreed: Vec<Agreed>,
    /// Clients that are connected now.
    pub connected: usize,
}

/// What a thread is told to do next.
enum Order {
    Connect,
    Slice(Pace, Until),
    Leave,
}

/// Threads with clients each.
pub struct Driver {
    workers: Vec<Worker>,
    watch: Arc<Watch>,
    senders: usize,
}

struct Worker {
    orders: Sender<Order>,
    answers: Receiver<io::Result<Outcome>>,
}

impl Driver {
    /// Starts the threads. Nobody has called yet.
    pub fn new(party: &Party, watch: Arc<Watch>) -> io::Result<Driver> {
        // A room stays on one thread.
        let (all, each) = match party.work.rooms() {
            Some(chat) => (chat.rooms, party.clients / chat.rooms),
            None => (party.clients, 1),
        };
        let threads = party.threads.clamp(1, all);
        let workers = (0..threads).map(|thread| {
            let callers = Callers {
                server: party.server,
                secure: party.secure.clone(),
                clients: (all - thread).div_ceil(threads) * each,
                first: thread,
                step: threads,
                of: party.clients,
                sources: party.sources.clone(),
                connect_rate: party.connect_rate.map(|rate| rate / threads as f64),
                patience: party.patience,
                awake: party.awake,
            };
            let Party { transport, work, .. } = party;
            Worker::start(Clients::new(*transport, callers, work.clone(), watch.clone())?)
        });
        let workers = workers.collect::<io::Result<_>>()?;
        Ok(Driver { workers, watch, senders: party.work.senders(party.clients) })
    }

    /// Connects everybody, and lets each be answered once.
    pub fn connect(&mut self) -> io::Result<Outcome> {
        self.tell(|_| Order::Connect)
    }

    /// Loads the server at this pace: in an open loop with `rate` messages per second over all
    /// who send any.
    pub fn slice(&mut self, pace: Pace, rate: Option<f64>, length: Length) -> io::Result<Outcome> {
        let start = self.watch.now() + HEAD_START;
        let clients = self.senders;
        let pace = Pace { schedule: rate.map(|rate| Schedule { start, rate, clients }), ..pace };
        let threads = self.workers.len() as u64;
        self.tell(|thread| {
            let until = match length {
                Length::Time(time) => {
                    Until { time: Some(start + time.as_nanos() as u64), messages: None }
                }
                Length::Messages(all) => {
                    let share = all / threads + u64::from((thread as u64) < all % threads);
                    Until { time: None, messages: Some(share) }
                }
            };
            Order::Slice(pace, until)
        })
    }

    /// Everybody says goodbye and listens to the end.
    pub fn leave(&mut self) -> io::Result<Outcome> {
        self.tell(|_| Order::Leave)
    }

    fn tell(&mut self, order: impl Fn(usize) -> Order) -> io::Result<Outcome> {
        for (thread, worker) in self.workers.iter().enumerate() {
            worker.orders.send(order(thread)).map_err(|_| Worker::gone())?;
        }
        let mut all = Outcome::default();
        for worker in &self.workers {
            let one = worker.answers.recv().map_err(|_| Worker::gone())??;
            all.tally += one.tally;
            all.times += &one.times;
            all.faults.merge(one.faults);
            all.messages_in_all += one.messages_in_all;
            all.handshakes_in_all += one.handshakes_in_all;
            all.unannounced += one.unannounced;
            Agreed::merge(&mut all.agreed, one.agreed);
            all.connected += one.connected;
        }
        Ok(all)
    }
}

impl Worker {
    fn start(mut clients: Clients) -> io::Result<Worker> {
        let (orders, told) = channel();
        let (answer, answers) = channel();
        thread::Builder::new().name("clients".into()).spawn(move || {
            for order in told {
                clients.times().clear_messages();
                let tally = match order {
                    Order::Connect => clients.connect(),
                    Order::Slice(pace, until) => clients.slice(pace, until),
                    Order::Leave => clients.leave(),
                };
                let outcome = tally.map(|tally| Outcome {
                    tally,
                    times: clients.times().clone(),
                    faults: clients.faults().clone(),
                    messages_in_all: clients.messages_in_all(),
                    handshakes_in_all: clients.handshakes_in_all(),
                    unannounced: clients.unannounced(),
                    agreed: clients.agreed().to_vec(),
                    connected: clients.connected(),
                });
                if answer.send(outcome).is_err() {
                    break;
                }
            }
        })?;
        Ok(Worker { orders, answers })
    }

    fn gone() -> io::Error {
        io::Error::other("a thread of the load generator has died")
    }
}

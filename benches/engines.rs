//! The two engines end to end: an echo server in this process, and the load driver's clients.
//!
//! Server and clients share one process and its CPUs, and the time is that of a whole round trip, so
//! half of it is the driver's. With one client it is also a matter of luck: four times as long where
//! the kernel puts the two ends on different CPUs, which then sleep and wake for each message. So
//! this shows whether a change made an engine slower, not how much dearer one is than the other. For
//! that each server needs a process and CPUs of its own, and turns that are short enough for a
//! machine that drifts: `socklab bench`.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use socklab::engine::{Endpoint, Engine, Limits, Stop, listen, raise_open_files};
use socklab::load::callers::{Callers, Until};
use socklab::load::crowd::Crowd;
use socklab::load::pace::Pace;
use socklab::load::watch::Watch;
use socklab::load::work::Work;
use socklab::service::Echo;

#[path = "support/budget.rs"]
mod budget;

struct Workload {
    name: &'static str,
    clients: usize,
    size: u64,
    in_flight: u64,
}

const WORKLOADS: [Workload; 5] = [
    Workload { name: "1-client", clients: 1, size: 64, in_flight: 1 },
    Workload { name: "64-clients", clients: 64, size: 64, in_flight: 1 },
    Workload { name: "1000-clients", clients: 1000, size: 64, in_flight: 1 },
    Workload { name: "16-in-flight", clients: 64, size: 64, in_flight: 16 },
    Workload { name: "64-KiB", clients: 8, size: 64 * 1024, in_flight: 1 },
];

/// A server in this process, stopped when it is dropped.
struct Server {
    address: SocketAddr,
    stop: Arc<Stop>,
    engine: Option<JoinHandle<()>>,
}

impl Server {
    fn start(engine: Engine) -> Server {
        let listener = listen("127.0.0.1", 0).expect("loopback is there").remove(0);
        let address = listener.local_addr().expect("a bound socket has an address");
        let stop = Arc::new(Stop::new().expect("a socket pair can be had"));
        let stopped = stop.clone();
        let engine = thread::spawn(move || {
            let endpoint = Endpoint::Stream { listener, service: Arc::new(Echo) };
            engine.run(vec![endpoint], Limits::default(), stopped).expect("it runs");
        });
        Server { address, stop, engine: Some(engine) }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.request();
        if let Some(engine) = self.engine.take() {
            engine.join().expect("the engine does not panic");
        }
    }
}

fn crowd(server: &Server, workload: &Workload) -> Crowd {
    let callers = Callers {
        server: server.address,
        secure: None,
        clients: workload.clients,
        first: 0,
        step: 1,
        of: workload.clients,
        sources: Vec::new(),
        connect_rate: None,
        patience: Duration::from_secs(10),
        awake: false,
    };
    let work = Work::echo(workload.size, 1);
    let mut crowd = Crowd::new(callers, work, Arc::new(Watch::new())).expect("epoll can be had");
    crowd.connect().expect("epoll works");
    crowd
}

/// Messages that came back, and were right.
fn echo(c: &mut Criterion) {
    raise_open_files().expect("the limit can be raised to what is allowed");
    for workload in &WORKLOADS {
        let mut group = c.benchmark_group(format!("echo/{}", workload.name));
        group.throughput(match workload.size {
            64 => Throughput::Elements(1),
            size => Throughput::Bytes(size),
        });
        for engine in [Engine::Poll, Engine::Threads] {
            group.bench_function(engine.to_string(), |b| {
                let server = Server::start(engine);
                let mut crowd = crowd(&server, workload);
                b.iter_custom(|messages| {
                    let until = Until { messages: Some(messages), time: None };
                    let pace = Pace::closed(workload.in_flight);
                    let tally = crowd.slice(pace, until).expect("epoll works");
                    let fault = crowd.faults.examples().next().map(ToString::to_string);
                    assert_eq!((fault, tally.messages), (None, messages));
                    tally.elapsed
                });
                crowd.leave().expect("epoll works");
            });
        }
    }
}

criterion_group!(name = engines; config = budget::criterion(); targets = echo);
criterion_main!(engines);

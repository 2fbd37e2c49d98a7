//! What sessions cost without sockets: bytes through one conversation, and conversations begun and
//! ended.

use std::hint::black_box;
use std::net::SocketAddr;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use socklab::service::{Chargen, Discard, Echo};
use socklab::session::{ConnectionId, Output, Service, Session, Want};

#[path = "support/budget.rs"]
mod budget;

/// A short message, a page, and what one read of a busy client brings.
const INPUTS: [usize; 3] = [64, 4 * 1024, MOST];
const MOST: usize = 64 * 1024;

/// Aligned as the engines' buffers are.
#[repr(align(64))]
struct Input([u8; MOST]);

/// Says what it hears, by writing it: the price of the copy that echo does without.
struct Copying;

impl Service for Copying {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(Copying)
    }
}

impl Session for Copying {
    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        out.write(input);
        Want::Read
    }
}

fn open(service: &dyn Service, out: &mut Output) -> Box<dyn Session> {
    let peer = SocketAddr::from(([127, 0, 0, 1], 1));
    let mut session = service.accept(peer, ConnectionId::new(0, 1));
    session.open(out);
    session
}

/// Bytes per second through `receive`.
fn receive(c: &mut Criterion) {
    let services: [(&str, &dyn Service); 3] =
        [("echo", &Echo), ("discard", &Discard), ("copying", &Copying)];
    let memory = Box::new(Input([b'x'; MOST]));
    for (name, service) in services {
        let mut group = c.benchmark_group(format!("receive/{name}"));
        for length in INPUTS {
            let input = &memory.0[..length];
            let mut out = Output::new(Output::CHUNK);
            let mut session = open(service, &mut out);
            group.throughput(Throughput::Bytes(length as u64));
            group.bench_function(length.to_string(), |b| {
                b.iter(|| {
                    out.clear();
                    session.receive(black_box(input), &mut out);
                    black_box(out.bytes());
                });
            });
        }
    }
}

/// Bytes per second out of `produce`.
fn produce(c: &mut Criterion) {
    let mut out = Output::new(Output::CHUNK);
    let mut session = open(&Chargen, &mut out);
    let mut group = c.benchmark_group("produce");
    group.throughput(Throughput::Bytes(Output::CHUNK as u64));
    group.bench_function("chargen", |b| {
        b.iter(|| {
            out.clear();
            session.produce(&mut out);
            black_box(out.bytes());
        });
    });
}

/// Sessions per second, from accept to drop, with one short message each.
fn live(c: &mut Criterion) {
    let services: [(&str, &dyn Service); 3] =
        [("echo", &Echo), ("discard", &Discard), ("chargen", &Chargen)];
    let mut group = c.benchmark_group("live");
    group.throughput(Throughput::Elements(1));
    for (name, service) in services {
        let mut out = Output::new(Output::CHUNK);
        group.bench_function(name, |b| {
            b.iter(|| {
                out.clear();
                let mut session = open(black_box(service), &mut out);
                session.receive(black_box(&[b'x'; 64]), &mut out);
                session.eof(&mut out);
                black_box(out.bytes());
            });
        });
    }
}

criterion_group!(name = sessions; config = budget::criterion(); targets = receive, produce, live);
criterion_main!(sessions);

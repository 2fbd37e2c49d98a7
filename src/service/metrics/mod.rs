//! What the server has counted, as Prometheus reads it: a site of one page.
//!
//! Names are after <https://prometheus.io/docs/practices/naming/>, the text after
//! <https://prometheus.io/docs/instrumenting/exposition_formats/> (version 0.0.4).

mod exposition;
mod process;

use std::sync::Arc;

use exposition::{Exposition, Kind};
use process::Own;

use super::http::{Answer, Content, Deadlines, Http, Method, Reply, Request, Site};
use crate::engine::counters::{
    Counter, Counters, Datagrams, Passes, REASONS, REFUSALS, Served, TURNAWAYS,
};
use crate::engine::{Engine, Stop};

/// The site behind `--metrics`. It shows the counters of the engine that `stop` stops.
pub struct Metrics {
    stop: Arc<Stop>,
}

impl Metrics {
    /// The same as a service.
    pub fn http(stop: Arc<Stop>) -> Http {
        Http::new(Arc::new(Metrics { stop }), Deadlines::default())
    }

    fn page(&self) -> Reply {
        let Some(counters) = self.stop.counters() else {
            return Reply::text(503, "the server has not started");
        };
        let mut page = Exposition::default();
        write_counters(counters, &mut page);
        if let Some(own) = Own::read() {
            own.write(counters.engine, &mut page);
        }
        Reply::new(200, Content::Bytes(page.text().into_bytes().into()))
            .with("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
            .with("Cache-Control", "no-store")
            .with("X-Content-Type-Options", "nosniff")
    }
}

impl Site for Metrics {
    fn answer(&self, request: &Request<'_>) -> Answer {
        Answer::Now(match (request.target, request.method) {
            ("/metrics", Method::Get | Method::Head) => self.page(),
            ("/metrics" | "*", Method::Options) => {
                Reply::new(204, Content::None).with("Allow", "GET, HEAD, OPTIONS")
            }
            ("/metrics", _) => {
                Reply::text(405, "metrics can only be read").with("Allow", "GET, HEAD, OPTIONS")
            }
            _ => Reply::text(404, "metrics are at /metrics"),
        })
    }

    fn name(&self) -> &'static str {
        "metrics"
    }

    fn is_for_watchers(&self) -> bool {
        true
    }
}

fn write_counters(counters: &Counters, page: &mut Exposition) {
    let engine = counters.engine.to_string();
    let engine = ("engine", engine.as_str());
    write_services(counters, engine, page);
    write_sockets(counters, engine, page);
    for (name, help, kind, value) in [
        ("seats", "Clients served at once, at most.", Kind::Gauge, counters.seats as u64),
        (
            "seats_exhausted_total",
            "Times that the last free seat was taken; further callers then wait in the kernel's queue.",
            Kind::Counter,
            counters.full.value(),
        ),
        (
            "shortages_total",
            "Times that a descriptor, memory or a thread could not be had, and accepting rested.",
            Kind::Counter,
            counters.shortages.value(),
        ),
        (
            "mail_posted_total",
            "Letters that sessions have posted to others.",
            Kind::Counter,
            counters.letters.value(),
        ),
        (
            "mail_held",
            "Letters that wait: in mailboxes (threads), or for the pass of the loop that sends them.",
            Kind::Gauge,
            counters.letters_held(),
        ),
    ] {
        page.begin(&format!("socklab_{name}"), help, kind);
        page.sample(&[engine], value);
    }
    if counters.engine == Engine::Poll {
        write_passes(counters, engine, page);
    }
}

type Label<'a> = (&'a str, &'a str);

/// A figure of each service.
type Figure = (&'static str, &'static str, Kind, fn(&Served) -> u64);

fn write_services(counters: &Counters, engine: Label, page: &mut Exposition) {
    // Of those with the same name, one line tells the sum.
    let mut names: Vec<&str> = counters.services.iter().map(|served| served.name).collect();
    names.sort_unstable();
    names.dedup();
    let total = |name: &str, figure: &dyn Fn(&Served) -> u64| -> u64 {
        counters.services.iter().filter(|served| served.name == name).map(figure).sum()
    };
    let figures: [Figure; 5] = [
        ("connections_accepted_total", "Connections let in.", Kind::Counter, |served| {
            served.accepted.value()
        }),
        ("connections_open", "Connections there are.", Kind::Gauge, Served::open),
        ("received_bytes_total", "Bytes read from clients.", Kind::Counter, |served| {
            served.received.value()
        }),
        ("sent_bytes_total", "Bytes that the kernel took for clients.", Kind::Counter, |served| {
            served.sent.value()
        }),
        (
            "turns_total",
            "Times that a connection was attended to: its turn in the loop, or news for its session.",
            Kind::Counter,
            |served| served.turns.value(),
        ),
    ];
    for (metric, help, kind, figure) in figures {
        page.begin(&format!("socklab_{metric}"), help, kind);
        for name in &names {
            page.sample(&[("service", name), engine], total(name, &figure));
        }
    }
    type Reasons = (&'static str, &'static str, &'static [&'static str], fn(&Served) -> &[Counter]);
    let by_reason: [Reasons; 2] = [
        (
            "connections_ended_total",
            "Connections that have ended, by reason; slow: its peer did not read, and its backlog was \
             full.",
            &REASONS,
            |served| &served.ended,
        ),
        (
            "connections_refused_total",
            "Callers turned away; denied: by --allow and --deny, share: by --clients-per-address.",
            &TURNAWAYS,
            |served| &served.refused,
        ),
    ];
    for (metric, help, reasons, figures) in by_reason {
        page.begin(&format!("socklab_{metric}"), help, Kind::Counter);
        for name in &names {
            for (place, reason) in reasons.iter().enumerate() {
                let value = total(name, &|served| figures(served)[place].value());
                page.sample(&[("service", name), engine, ("reason", reason)], value);
            }
        }
    }
}

fn write_sockets(counters: &Counters, engine: Label, page: &mut Exposition) {
    let Some((service, _)) = counters.sockets.first() else {
        return;
    };
    let service = ("service", *service);
    type Figure = (&'static str, &'static str, fn(&Datagrams) -> &Counter);
    let figures: [Figure; 3] = [
        ("received", "Datagrams that came.", |socket| &socket.received),
        ("answered", "Answers sent.", |socket| &socket.answered),
        ("unsent", "Answers that could not be sent.", |socket| &socket.unsent),
    ];
    for (metric, help, figure) in figures {
        page.begin(&format!("socklab_datagrams_{metric}_total"), help, Kind::Counter);
        page.sample(&[service, engine], counters.datagrams(figure));
    }
    let refused = "socklab_datagrams_refused_total";
    page.begin(refused, "Datagrams that get no answer, by reason.", Kind::Counter);
    for (reason, value) in REFUSALS.iter().zip(counters.datagrams_refused()) {
        page.sample(&[service, engine, ("reason", reason)], value);
    }
}

fn write_passes(counters: &Counters, engine: Label, page: &mut Exposition) {
    let name = "socklab_loop_pass_seconds";
    let help = "How long passes of the loop took, from news to the next sleep.";
    page.begin(name, help, Kind::Histogram);
    let cumulated = counters.passes.cumulated();
    let bounds = Passes::BOUNDS.iter().map(|micros| (*micros as f64 / 1e6).to_string());
    for (bound, count) in bounds.chain(["+Inf".into()]).zip(cumulated) {
        page.part("_bucket", &[engine, ("le", &bound)], count);
    }
    page.part("_sum", &[engine], counters.passes.time().as_secs_f64());
    page.part("_count", &[engine], counters.passes.total());
    let help = "Passes that took longer than --slow-pass.";
    page.begin("socklab_loop_slow_passes_total", help, Kind::Counter);
    page.sample(&[engine], counters.slow_passes.value());
}

//! The results of several machines as one: counts and histograms are added, percentiles are never
//! averaged.

use hdrhistogram::Histogram;

use super::document::{
    Chat, Datagrams, Distribution, Document, Driver, Faults, Http, LoadOptions, LoadResult, Rooms,
    Tls,
};

/// One document of one or more. Only results of `load` that did the same can be merged.
pub fn merge(documents: Vec<Document>) -> Result<Document, String> {
    for (index, document) in documents.iter().enumerate() {
        for other in &documents[..index] {
            if let (Document::Load(a), Document::Load(b)) = (document, other) {
                comparable(&a.options, &b.options)?;
                simultaneous(a, b)?;
            }
        }
    }
    let mut documents = documents.into_iter();
    let first = documents.next().ok_or("there is nothing to merge")?;
    documents.try_fold(first, |merged, next| match (merged, next) {
        (Document::Load(merged), Document::Load(next)) => {
            add(*merged, &next).map(|sum| Document::Load(Box::new(sum)))
        }
        _ => Err("only results of `socklab load` can be merged; give one of `bench` alone".into()),
    })
}

fn add(a: LoadResult, b: &LoadResult) -> Result<LoadResult, String> {
    let rate = a.options.rate.zip(b.options.rate).map(|(a, b)| a + b);
    let messages = a.options.messages.zip(b.options.messages).map(|(a, b)| a + b);
    Ok(LoadResult {
        schema: a.schema,
        options: LoadOptions {
            clients: a.options.clients + b.options.clients,
            rooms: a
                .options
                .rooms
                .zip(b.options.rooms)
                .map(|(a, b)| Rooms { rooms: a.rooms + b.rooms, ..a }),
            threads: a.options.threads + b.options.threads,
            rate,
            messages,
            ..a.options
        },
        environments: [a.environments, b.environments.clone()].concat(),
        started: a.started.min(b.started.clone()),
        interrupted: a.interrupted || b.interrupted,
        elapsed_s: a.elapsed_s.max(b.elapsed_s),
        messages: a.messages + b.messages,
        messages_in_all: a.messages_in_all + b.messages_in_all,
        sent_bytes: a.sent_bytes + b.sent_bytes,
        received_bytes: a.received_bytes + b.received_bytes,
        messages_per_second: a.messages_per_second + b.messages_per_second,
        chat: chat(a.chat, b.chat.as_ref())?,
        http: http(a.http, b.http),
        connected: a.connected + b.connected,
        latency: distributions(a.latency, b.latency.as_ref())?,
        service_time: distributions(a.service_time, b.service_time.as_ref())?,
        connect: distributions(a.connect, b.connect.as_ref())?,
        handshake: distributions(a.handshake, b.handshake.as_ref())?,
        first_byte: distributions(a.first_byte, b.first_byte.as_ref())?,
        datagrams: datagrams(a.datagrams, b.datagrams),
        tls: tls(a.tls, b.tls.as_ref()),
        faults: faults(a.faults, &b.faults),
        driver: Driver {
            cpu_s: a.driver.cpu_s + b.driver.cpu_s,
            busiest_thread: a.driver.busiest_thread.max(b.driver.busiest_thread),
            late: a.driver.late + b.driver.late,
            sent: a.driver.sent + b.driver.sent,
            bottleneck: a.driver.bottleneck || b.driver.bottleneck,
        },
        // Several that watched the same server would count it several times.
        server: None,
        trials: Vec::new(),
    })
}

/// What differs between machines that load one server together is who they are, not what they do.
fn comparable(a: &LoadOptions, b: &LoadOptions) -> Result<(), String> {
    for (same, what) in [
        (a.target == b.target, "their target"),
        (a.size_bytes == b.size_bytes, "--size"),
        (in_a_room(a) == in_a_room(b), "--members, --talkers or --acks"),
        ((&a.message, &a.reply) == (&b.message, &b.reply), "--message or --reply"),
        (a.slo.is_none() && b.slo.is_none(), "what --slo found"),
        (a.expect == b.expect, "--expect"),
        (a.pipeline == b.pipeline, "--pipeline"),
        (a.rate.is_some() == b.rate.is_some(), "--rate (one is an open loop, one is not)"),
        (a.per_connection == b.per_connection, "--per-connection"),
        (a.resumption == b.resumption, "--no-resumption"),
        (a.duration_s == b.duration_s, "--duration"),
    ] {
        if !same {
            return Err(format!(
                "cannot merge runs that differ in {what}; merge what did the same"
            ));
        }
    }
    Ok(())
}

fn in_a_room(options: &LoadOptions) -> Option<(usize, usize, bool)> {
    options.rooms.map(|rooms| (rooms.members, rooms.talkers, rooms.quick_acks))
}

/// How far apart the clocks of two machines may be, in seconds.
const CLOCKS_DIFFER_S: f64 = 1.0;

/// Rates add up only where the runs were at the same time, for half their length at least.
fn simultaneous(a: &LoadResult, b: &LoadResult) -> Result<(), String> {
    let mark = |result: &LoadResult| {
        (result.started.clone(), result.messages, result.latency.clone(), result.faults.clone())
    };
    if mark(a) == mark(b) {
        return Err(format!("the run of {} was given twice; give each once", a.started));
    }
    let began = |result: &LoadResult| {
        humantime::parse_rfc3339(&result.started)
            .map_err(|error| format!("{:?} is no time: {error}", result.started))
    };
    let (first, second) = (began(a)?.min(began(b)?), began(a)?.max(began(b)?));
    let apart = second.duration_since(first).map_or(0.0, |apart| apart.as_secs_f64());
    if apart > (a.elapsed_s.min(b.elapsed_s) / 2.0).max(CLOCKS_DIFFER_S) {
        return Err(format!(
            "cannot merge runs that began {apart:.1} s apart, for their rates do not add up; start \
             them together with --start-at"
        ));
    }
    Ok(())
}

fn distributions(
    a: Option<Distribution>,
    b: Option<&Distribution>,
) -> Result<Option<Distribution>, String> {
    let (a, b) = match (a, b) {
        (Some(a), Some(b)) => (a, b),
        (a, b) => return Ok(a.or(b.cloned())),
    };
    let mut sum: Histogram<u64> = a.histogram()?;
    sum.add(&b.histogram()?).map_err(|error| format!("histograms cannot be added: {error}"))?;
    Ok(Distribution::of(&sum))
}

fn chat(a: Option<Chat>, b: Option<&Chat>) -> Result<Option<Chat>, String> {
    let Some((a, b)) = a.zip(b) else {
        return Ok(None);
    };
    Ok(Some(Chat {
        lines: a.lines + b.lines,
        lines_per_second: a.lines_per_second + b.lines_per_second,
        last: distributions(a.last, b.last.as_ref())?,
    }))
}

fn http(a: Option<Http>, b: Option<Http>) -> Option<Http> {
    let (a, b) = a.zip(b)?;
    let rates = a.body_bytes_per_second.zip(b.body_bytes_per_second);
    Some(Http {
        body_bytes: a.body_bytes,
        body_bytes_per_second: rates.map(|(a, b)| a + b),
        closes: a.closes + b.closes,
    })
}

fn datagrams(a: Option<Datagrams>, b: Option<Datagrams>) -> Option<Datagrams> {
    let mut sum = a?;
    sum += b?;
    Some(sum)
}

fn tls(a: Option<Tls>, b: Option<&Tls>) -> Option<Tls> {
    let mut sum = a?;
    sum += b?;
    Some(sum)
}

fn faults(a: Faults, b: &Faults) -> Faults {
    Faults {
        wrong: a.wrong + b.wrong,
        extra: a.extra + b.extra,
        lost: a.lost + b.lost,
        short: a.short + b.short,
        reset: a.reset + b.reset,
        refused: a.refused + b.refused,
        unanswered: a.unanswered + b.unanswered,
        examples: [a.examples, b.examples.clone()].concat(),
    }
}

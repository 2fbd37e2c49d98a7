//! Results as text for a terminal.

use std::fmt::Write;

use super::document::{
    BenchResult, Comparison, Datagrams, Distribution, Ended, Environment, Handshakes, LoadResult,
    Memory, Metric, Rooms, Row, Standing, Tls, Trial, Usage,
};
use crate::bench::stats::FEWEST_ROUNDS;

use super::words::{self, bytes, count, duration, elapsed, percent, plural, rate};

/// What begins a line: as wide as the longest of them and a gap.
const LABEL: usize = 12;

/// A column of percentiles.
const COLUMN: usize = 10;

/// A shorter run says nothing about who was busy.
const TELLING_S: f64 = 0.01;

/// The result of `load`.
pub fn load(result: &LoadResult) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        writeln!(text, "{label:<LABEL$}{value}").expect("a string takes everything");
    };
    line("target", &asked(result));
    for trial in &result.trials {
        line("tried", &tried(trial));
    }
    if let Some(slo) = &result.options.slo {
        line("objective", &kept(slo, &result.trials));
    }
    if result.interrupted {
        line("interrupted", "what follows is what was measured until then");
    }
    let label = match (result.chat.is_some(), result.http.is_some()) {
        (true, _) => "deliveries",
        (_, true) => "requests",
        _ => "messages",
    };
    line(label, &messages(result));
    if let Some(http) = &result.http
        && let Some(per_second) = http.body_bytes_per_second
    {
        line("body", &format!("{}/s, without heads", bytes(per_second)));
    }
    if let Some(chat) = &result.chat {
        let per_second = rate(chat.lines_per_second);
        line("lines", &format!("{} heard by all: {per_second}", count(chat.lines)));
    }
    let heading: String = ["p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"]
        .map(|name| format!("{name:>COLUMN$}"))
        .concat();
    line("", &heading);
    let service_time = result.service_time.as_ref();
    for (label, times) in [
        ("latency", &result.latency),
        ("service", &result.service_time),
        ("last", result.chat.as_ref().map_or(&None, |chat| &chat.last)),
        ("connect", &result.connect),
        ("handshake", &result.handshake),
        ("first byte", &result.first_byte),
    ] {
        if let Some(times) = times {
            line(label, &percentiles(times));
        }
    }
    if service_time.is_some() {
        line("", "latency counts from when a message was due, service from when it was sent");
    } else if result.chat.is_some() && result.latency.is_some() {
        line("", "a closed loop: slow deliveries delay the next lines; see --rate");
    } else if result.latency.is_some() {
        line("", "a closed loop: slow answers delay the next questions; see --rate");
    }
    if result.chat.as_ref().is_some_and(|chat| chat.last.is_some()) {
        line("", "latency is that of each delivery, last that of a line until everybody had it");
    }
    if let Some(datagrams) = &result.datagrams {
        line("datagrams", &fates(result, datagrams));
        if datagrams.overflowed > 0 {
            line("", &own_fault(datagrams));
        }
        if datagrams.lost > 0 && result.latency.is_some() {
            line("", "latency is that of what was answered; what is lost has none");
            if result.options.rate.is_none() {
                line(
                    "",
                    "for each lost one a client waited for --timeout and asked nothing; see --rate",
                );
            }
        }
    }
    if let Some(tls) = &result.tls {
        line("handshakes", &handshakes(tls, result.elapsed_s));
    }
    if let Some(http) = result.http.filter(|http| http.closes > 0) {
        let closes = plural(http.closes, "connection");
        line(
            "closes",
            &format!("{closes} ended by the server, which had said so; clients came again"),
        );
    }
    line("faults", &faults(result));
    for example in &result.faults.examples {
        line("", example);
    }
    line("driver", &driver(result));
    if let Some(server) = &result.server {
        line("server", &usage(server, words::load_unit(result)));
        if let Some(memory) = &server.memory {
            line("memory", &format!("{} per connection: {}", bytes(memory.total()), parts(memory)));
        }
    }
    for environment in &result.environments {
        line("machine", &machine(environment));
    }
    text
}

fn asked(result: &LoadResult) -> String {
    let options = &result.options;
    let clients = options.rooms.map_or(words::clients(options.clients), |rooms| rooms_of(&rooms));
    let mut parts = vec![options.target.clone(), clients];
    let size = words::without_zeros(&bytes(options.size_bytes as f64));
    parts.push(match options.expect.as_str() {
        "file" => format!("{size} fetched"),
        "none" if result.http.is_some() => "fetched, not compared".into(),
        "others" => format!("{size} said"),
        "echo" => format!("{size} echoed"),
        "sink" if result.datagrams.is_some() => format!("{size} sent"),
        "sink" => format!("{size} taken"),
        "source" => format!("pieces of {size} heard"),
        "reply" => format!("{size} replied to"),
        _ => format!("{size} each way, not compared"),
    });
    if let Some(depth) = options.pipeline {
        parts.push(format!("{depth} in flight"));
    }
    if let Some(messages) = options.per_connection {
        let what = if result.http.is_some() { "request" } else { "message" };
        parts.push(format!("{} per connection", plural(messages, what)));
    }
    if options.resumption == Some(false) {
        parts.push("full handshakes only".into());
    }
    parts.push(match options.rate {
        Some(per_second) => format!("open loop at {}", rate(per_second)),
        None => "closed loop".into(),
    });
    parts.join(", ")
}

fn rooms_of(rooms: &Rooms) -> String {
    let Rooms { rooms, members, talkers, quick_acks } = *rooms;
    let talk = match talkers {
        all if all == members => "all of whom talk".into(),
        1 => "one of whom talks".into(),
        _ => format!("{} of whom talk", count(talkers as u64)),
    };
    let (rooms, members) = (plural(rooms as u64, "room"), plural(members as u64, "member"));
    let acks = if quick_acks { ", quick acks" } else { "" };
    format!("{rooms} of {members}, {talk}{acks}")
}

fn tried(trial: &Trial) -> String {
    match (&trial.reason, trial.value) {
        (Some(reason), _) => format!("{}: missed: {reason}", rate(trial.rate)),
        (None, Some(value)) => format!("{}: kept, with {}", rate(trial.rate), duration(value)),
        (None, None) => format!("{}: kept", rate(trial.rate)),
    }
}

fn kept(slo: &str, trials: &[Trial]) -> String {
    let best = trials.iter().filter(|trial| trial.passed).map(|trial| trial.rate).reduce(f64::max);
    // The last word on a rate counts, and it is no more than the best one.
    let missed = trials.iter().filter(|trial| !trial.passed).map(|trial| trial.rate);
    let missed = missed.filter(|rate| best.is_none_or(|best| *rate > best)).reduce(f64::min);
    match (best, missed) {
        (Some(best), Some(missed)) => {
            format!("{slo} is kept up to {}, and missed at {}", rate(best), rate(missed))
        }
        (Some(best), None) => format!("{slo} is kept at {}, the highest rate tried", rate(best)),
        (None, _) => format!("{slo} is kept at no rate that was tried"),
    }
}

fn messages(result: &LoadResult) -> String {
    let done = match result.options.expect.as_str() {
        "sink" if result.datagrams.is_some() => "sent",
        "sink" => "taken",
        "source" => "heard",
        "none" => "answered, not compared",
        "others" => "right, every byte compared",
        _ => "answered, every byte compared",
    };
    let per_second = |total: u64| bytes(total as f64 / result.elapsed_s.max(1e-9));
    format!(
        "{} {done}, in {}: {}; {}/s out, {}/s in",
        count(result.messages),
        elapsed(result.elapsed_s),
        rate(result.messages_per_second),
        per_second(result.sent_bytes),
        per_second(result.received_bytes)
    )
}

/// Those of the measured part at their rates; where all were over before, how many there were.
fn handshakes(tls: &Tls, elapsed_s: f64) -> String {
    let Tls { agreed, handshakes, handshakes_in_all, .. } = tls;
    let numbers = |Handshakes { full, resumed }: &Handshakes| {
        format!("{} full, {} resumed", count(*full), count(*resumed))
    };
    let told = if *handshakes == Handshakes::default() {
        format!("{}, before it was measured", numbers(handshakes_in_all))
    } else {
        let per_second = |number: u64| rate(number as f64 / elapsed_s.max(1e-9));
        format!(
            "{} in {}: {} and {}",
            numbers(handshakes),
            elapsed(elapsed_s),
            per_second(handshakes.full),
            per_second(handshakes.resumed)
        )
    };
    [&[told], &agreed[..], &unannounced(tls)].concat().join("; ")
}

fn unannounced(tls: &Tls) -> Vec<String> {
    let told = (tls.unannounced > 0)
        .then(|| format!("{} ended without close_notify", count(tls.unannounced)));
    told.into_iter().collect()
}

fn percentiles(times: &Distribution) -> String {
    let percentiles = [
        times.p50_ns,
        times.p90_ns,
        times.p99_ns,
        times.p99_9_ns,
        times.p99_99_ns,
        Some(times.max_ns),
    ];
    let shown = percentiles.map(|time| time.map_or(words::NONE.into(), |ns| duration(ns as f64)));
    let mut line: String = shown.iter().map(|time| format!("{time:>COLUMN$}")).collect();
    line += &format!("{:>COLUMN$}", duration(times.mean_ns));
    line
}

fn fates(result: &LoadResult, datagrams: &Datagrams) -> String {
    let Datagrams { duplicated, reordered, corrupted, late, refused, .. } = *datagrams;
    let mut parts = match result.options.expect.as_str() {
        "sink" => vec!["nothing tells whether they arrived".into()],
        "none" => vec![words::lost(datagrams), "the rest cannot be told without comparing".into()],
        _ => vec![
            words::lost(datagrams),
            format!("{} duplicated", count(duplicated)),
            format!("{} reordered", count(reordered)),
            format!("{} corrupted", count(corrupted)),
        ],
    };
    for (number, what) in [(late, "late"), (refused, "refused")] {
        if number > 0 {
            parts.push(format!("{} {what}", count(number)));
        }
    }
    parts.join(", ")
}

/// Loss that is neither the server's nor the network's.
fn own_fault(datagrams: &Datagrams) -> String {
    format!(
        "of the lost ones {} were dropped in this load generator's own buffers: give it --threads, \
         raise net.core.rmem_max, or send less",
        count(datagrams.overflowed)
    )
}

fn faults(result: &LoadResult) -> String {
    let faults = &result.faults;
    let lost = result.options.clients as u64 - result.connected.min(result.options.clients as u64);
    if faults.total() == 0 {
        return match lost {
            0 => "none".into(),
            _ => {
                let verb =
                    if result.datagrams.is_some() { "were heard at first" } else { "connected" };
                format!("none, but only {} {verb}", words::clients(result.connected as usize))
            }
        };
    }
    let kinds = [
        (faults.wrong, "wrong"),
        (faults.extra, "extra"),
        (faults.lost, "lost"),
        (faults.short, "short"),
        (faults.reset, "reset"),
        (faults.refused, "refused"),
    ];
    let kinds: Vec<String> = kinds
        .iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, kind)| format!("{} {kind}", count(*number)))
        .collect();
    if result.datagrams.is_some() {
        return kinds.join(", ");
    }
    let missing = match result.chat {
        Some(_) => format!("{} missing", words::deliveries(faults.unanswered)),
        None => format!("{} unanswered", plural(faults.unanswered, words::load_unit(result))),
    };
    format!("{} lost ({}), {missing}", words::clients(faults.total() as usize), kinds.join(", "))
}

fn driver(result: &LoadResult) -> String {
    let driver = &result.driver;
    if result.messages == 0 || result.elapsed_s < TELLING_S {
        return "it was over too soon to tell how busy it was".into();
    }
    let mut text = format!("{} of a CPU on its busiest thread", percent(driver.busiest_thread));
    if result.options.rate.is_some() {
        let share = driver.late as f64 / driver.sent.max(1) as f64;
        let what = match (result.chat.is_some(), result.http.is_some()) {
            (true, _) => "lines",
            (_, true) => "requests",
            _ => "messages",
        };
        text += &format!(", {} of the {what} sent more than 1 ms late", percent(share));
    }
    if result.options.per_connection.is_some() && result.options.source.is_empty() {
        text += "; ports of closed connections rest and slow down connects: see --source";
    }
    if driver.bottleneck {
        text += match (result.options.rate, &result.server) {
            (Some(_), _) => "; it could not keep the schedule, so latencies are partly its own",
            (None, None) => "; it was full, so the server may do more: give it --threads",
            (None, Some(_)) => {
                "; it was full: the server may do more if it had CPUs left, so give it --threads"
            }
        };
    }
    text
}

fn usage(server: &Usage, unit: &str) -> String {
    let mut text = format!(
        "PID {}: {} CPU per {unit}, {} CPUs busy",
        server.pid,
        duration(server.cpu_per_message_ns),
        words::times(server.cpus_busy)
    );
    if let Some(switches) = server.switches_per_message {
        text += &format!(", {} context switches per {unit}", words::times(switches));
    }
    text
}

fn parts(memory: &Memory) -> String {
    format!(
        "{} resident, {} threads in the kernel, {} page tables, {} sockets",
        bytes(memory.resident_bytes),
        bytes(memory.threads_bytes),
        bytes(memory.page_tables_bytes),
        bytes(memory.sockets_bytes)
    )
}

fn machine(environment: &Environment) -> String {
    let Environment { host, kernel, cpu, cpus, socklab, .. } = environment;
    format!("{host}: {cpu}, {}, {kernel}; socklab {socklab}", plural(*cpus as u64, "CPU"))
}

/// The result of `bench`.
pub fn bench(result: &BenchResult) -> String {
    let mut text = words::headline(result) + "\n";
    if result.interrupted {
        text += "Interrupted: only rounds that were complete are reported.\n";
    }
    for row in &result.rows {
        text += &row_of(result, row);
    }
    let warnings: Vec<String> =
        result.rows.iter().flat_map(|row| words::warnings(result, row)).collect();
    if !warnings.is_empty() {
        text += &format!("\n{}\n", warnings.join("\n"));
    }
    let options = &result.options;
    text + &format!(
        "\n{} on CPU {} of {}; load generator on CPU {}; {}{}\n",
        if result.contestants.len() == 1 { "server" } else { "servers" },
        options.server_cpus,
        result.environment.cpus,
        options.driver_cpus,
        over(result),
        machine(&result.environment),
    )
}

/// What was spoken, but for plain TCP, and how, but for an echo.
fn over(result: &BenchResult) -> String {
    let chat = words::done(result).map_or(String::new(), |done| format!("{done}; "));
    match words::over(result) {
        over if over.is_empty() => chat,
        over => format!("{chat}{over}; "),
    }
}

fn row_of(result: &BenchResult, row: &Row) -> String {
    let rounds = plural(row.rounds.len() as u64, "round");
    let ended = match row.ended {
        Ended::Precise => "",
        Ended::TimeUp => ", then time was up",
        Ended::Interrupted => ", then interrupted",
    };
    let open = match row.open_rate {
        Some(open) => format!(", latency at {}", words::open_rate(result, open)),
        None => String::new(),
    };
    let mut text = format!("\n{} ({rounds}{ended}{open})\n", words::row(result, row));
    let names = row.standings.iter().map(|standing| words::name(result, standing.contestant));
    let wide = names.map(|name| name.chars().count()).max().unwrap_or(0);
    for metric in Metric::ALL {
        let mut label = words::metric(result, metric);
        for standing in &row.standings {
            let Some(figure) = figure(metric, standing) else {
                continue;
            };
            let name = words::name(result, standing.contestant);
            let found = row.comparisons.iter().find(|comparison| {
                comparison.metric == metric && comparison.contestant == standing.contestant
            });
            let found = found.map(judged).unwrap_or_default();
            text += format!("  {label:<30}{name:<wide$}  {figure:>10}  {found}").trim_end();
            text.push('\n');
            label = "";
        }
    }
    let mut label = "bytes of files per second";
    for standing in &row.standings {
        let Some(per_second) = standing.body_bytes_per_second else {
            continue;
        };
        let name = words::name(result, standing.contestant);
        let per_second = format!("{}/s", bytes(per_second));
        writeln!(text, "  {label:<30}{name:<wide$}  {per_second:>10}")
            .expect("a string takes everything");
        label = "";
    }
    let mut label = "CPUs kept busy";
    for standing in &row.standings {
        let name = words::name(result, standing.contestant);
        let (server, driver) =
            (words::times(standing.cpus_busy), words::times(standing.driver_busy));
        writeln!(text, "  {label:<30}{name:<wide$}  {server:>10}  load generator {driver}")
            .expect("a string takes everything");
        label = "";
    }
    let mut label = "datagrams lost";
    for standing in &row.standings {
        let Some(datagrams) = &standing.datagrams else {
            continue;
        };
        let name = words::name(result, standing.contestant);
        let (lost, share) = (count(datagrams.lost), words::small_percent(datagrams.loss()));
        writeln!(text, "  {label:<30}{name:<wide$}  {lost:>10}  {share}")
            .expect("a string takes everything");
        label = "";
    }
    let mut label = "handshakes";
    for standing in &row.standings {
        let Some(tls) = standing.tls.as_ref() else {
            continue;
        };
        let name = words::name(result, standing.contestant);
        let told = handshaken(result, tls);
        writeln!(text, "  {label:<30}{name:<wide$}  {told}").expect("a string takes everything");
        label = "";
    }
    text
}

/// Where clients come and go, those of the closed loop; otherwise those that came first.
fn handshaken(result: &BenchResult, tls: &Tls) -> String {
    let Handshakes { full, resumed } = match result.options.per_connection {
        Some(_) => tls.handshakes,
        None => tls.handshakes_in_all,
    };
    let numbers = format!("{} full, {} resumed", count(full), count(resumed));
    [&[numbers], &tls.agreed[..], &unannounced(tls)].concat().join("; ")
}

fn judged(comparison: &Comparison) -> String {
    let Comparison { ratio, noise, verdict, .. } = comparison;
    format!(
        "{:<22}{:<15}noise {}",
        words::ratio(ratio),
        match ratio.rounds < FEWEST_ROUNDS {
            true => "too few rounds",
            false => words::verdict(*verdict),
        },
        words::interval(noise)
    )
}

fn figure(metric: Metric, standing: &Standing) -> Option<String> {
    Some(match metric {
        Metric::Cpu => duration(standing.cpu_per_message_ns),
        Metric::Throughput => rate(standing.messages_per_second),
        Metric::P50 => duration(standing.p50_ns?),
        Metric::P99 => duration(standing.p99_ns?),
        Metric::Switches => words::times(standing.switches_per_message?),
        Metric::Memory => bytes(standing.memory.as_ref()?.total()),
    })
}

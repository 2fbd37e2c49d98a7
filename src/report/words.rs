//! Results in words: sentences that say what a comparison shows.
//!
//! The verdict is the document's; here it only gets its words.

pub use super::numbers::*;

use crate::bench::stats::FEWEST_ROUNDS;
use crate::load::tally::FULL;
use crate::observe::CpuList;

use super::document::{
    BenchResult, Comparison, Datagrams, LoadResult, Metric, Row, Standing, Verdict,
};

/// Above this share of late messages, the schedule was not kept.
const LATE: f64 = 0.01;

/// The answer in a sentence for each contestant, by CPU per message: who is cheaper, and where.
pub fn headline(result: &BenchResult) -> String {
    headlines(result).join(" ")
}

/// The sentences of [`headline`], at least one.
pub fn headlines(result: &BenchResult) -> Vec<String> {
    let sentences: Vec<String> =
        (1..result.contestants.len()).flat_map(|place| rival(result, place)).collect();
    if !sentences.is_empty() {
        return sentences;
    }
    vec![match result.contestants.len() {
        _ if result.interrupted => {
            "Nothing was compared: it was interrupted before two rounds were complete.".into()
        }
        0 | 1 => "Nothing was compared: there was no second contestant.".into(),
        _ => "Nothing was compared: there was time for one round only; see --max-time.".into(),
    }]
}

/// A comparison as a sentence: "64 clients: threads costs 1.83× [1.78, 1.88] the CPU per message of
/// poll".
pub fn comparison(result: &BenchResult, row: &Row, comparison: &Comparison) -> String {
    format!("{}: {}", self::row(result, row), claim(result, comparison))
}

/// What [`comparison`] says after the number of clients.
pub fn claim(result: &BenchResult, comparison: &Comparison) -> String {
    let (this, that) = (name(result, comparison.contestant), name(result, 0));
    let (what, found) = (metric(result, comparison.metric), ratio(&comparison.ratio));
    let mut claim = match comparison.verdict {
        Verdict::Better | Verdict::Worse => {
            format!("{this} {} {found} the {what} of {that}", verb(result, comparison.metric))
        }
        Verdict::NoDifference => {
            let noise = interval(&comparison.noise);
            format!(
                "no difference shown between {this} and {that} in {what}: {found}, noise {noise}"
            )
        }
        Verdict::Inconclusive => {
            format!(
                "inconclusive: {this} {} {found} the {what} of {that}",
                verb(result, comparison.metric)
            )
        }
    };
    if comparison.ratio.rounds < FEWEST_ROUNDS {
        let rounds = plural(comparison.ratio.rounds as u64, "round");
        claim += &format!(" ({rounds}: too few for 95 %)");
    }
    claim
}

/// What makes figures of a row less than they seem, a sentence for each.
pub fn warnings(result: &BenchResult, row: &Row) -> Vec<String> {
    let who = |is: &dyn Fn(&Standing) -> bool| {
        let standings = row.standings.iter().filter(|standing| is(standing));
        list(&standings.map(|standing| name(result, standing.contestant)).collect::<Vec<_>>())
    };
    let clients = self::row(result, row);
    let cpus = result.options.server_cpus.parse().map_or(1, |cpus: CpuList| cpus.len());
    let full =
        who(&|standing| standing.driver_busy > FULL && standing.cpus_busy < FULL * cpus as f64);
    let late = who(&|standing| is_late(result, row, standing));
    let losers = who(&|standing| standing.datagrams.is_some_and(|datagrams| datagrams.lost > 0));
    let mut warnings = Vec::new();
    if !losers.is_empty() {
        warnings.push(format!(
            "{clients}: {losers} lost datagrams: what is lost is in no latency, and keeps its place \
             in the window until it is given up."
        ));
    }
    if !full.is_empty() {
        warnings.push(format!(
            "{clients}: with {full} the load generator was full: throughput is a lower bound."
        ));
    }
    if !late.is_empty() {
        warnings.push(format!(
            "{clients}: with {late} more than 1 % of the open-loop {} were sent late: part of that \
             latency is the load generator's.",
            if result.options.chat.is_some() { "lines" } else { unit(result).1 }
        ));
    }
    warnings
}

fn is_late(result: &BenchResult, row: &Row, standing: &Standing) -> bool {
    let counted = standing.latency.as_ref().map_or(0, |latency| latency.count);
    let messages = match result.options.chat {
        Some(_) => counted / row.clients.saturating_sub(1).max(1) as u64,
        None => counted,
    };
    standing.late > 0 && standing.late as f64 > LATE * messages as f64
}

/// What was spoken, as in "over UDP" or "a over TLS"; nothing for plain TCP.
pub fn over(result: &BenchResult) -> String {
    let (options, contestants) = (&result.options, result.contestants.len());
    match &options.tls[..] {
        _ if options.udp => "over UDP".into(),
        [] => String::new(),
        all if all.len() == contestants => "over TLS".into(),
        some => format!("{} over TLS", list(some)),
    }
}

/// What was done, unless it was echoed: "a room with 10 talkers at most", "files of 1 KiB".
pub fn done(result: &BenchResult) -> Option<String> {
    if fetches(result) {
        let sizes: Vec<String> =
            result.options.files_bytes.iter().map(|bytes| file_size(*bytes)).collect();
        return Some(format!("files of {}, over HTTP", list(&sizes)));
    }
    let chat = result.options.chat?;
    let acks = if chat.quick_acks { "quick" } else { "delayed" };
    let talkers = plural(chat.talkers as u64, "talker");
    Some(format!("a room with {talkers} at most, {acks} acks"))
}

/// A contestant's name.
pub fn name(result: &BenchResult, place: usize) -> String {
    match result.contestants.get(place) {
        Some(contestant) => contestant.name.clone(),
        None => format!("contestant {place}"),
    }
}

/// Whether files were fetched.
pub fn fetches(result: &BenchResult) -> bool {
    !result.options.files_bytes.is_empty()
}

/// A metric, as it stands within a sentence.
pub fn metric(result: &BenchResult, metric: Metric) -> &'static str {
    if fetches(result) {
        match metric {
            Metric::Cpu => return "CPU per request",
            Metric::Throughput => return "requests per second",
            Metric::Switches => return "context switches per request",
            Metric::P50 | Metric::P99 | Metric::Memory => {}
        }
    }
    match (metric, result.options.chat) {
        (Metric::Cpu, None) => "CPU per message",
        (Metric::Cpu, Some(_)) => "CPU per delivery",
        (Metric::Throughput, None) => "messages per second",
        (Metric::Throughput, Some(_)) => "deliveries per second",
        (Metric::P50, _) => "median latency",
        (Metric::P99, _) => "99th percentile of latency",
        (Metric::Switches, None) => "context switches per message",
        (Metric::Switches, Some(_)) => "context switches per delivery",
        (Metric::Memory, _) => "memory per connection",
    }
}

fn verb(result: &BenchResult, metric: Metric) -> &'static str {
    match metric {
        Metric::Cpu => "costs",
        Metric::Throughput if result.options.chat.is_some() => "makes",
        Metric::Throughput => "answers",
        Metric::P50 | Metric::P99 => "has",
        Metric::Switches => "makes",
        Metric::Memory => "takes",
    }
}

/// What a bench counts, one of them and many.
pub fn unit(result: &BenchResult) -> (&'static str, &'static str) {
    match result.options.chat {
        Some(_) => ("delivery", "deliveries"),
        None if fetches(result) => ("request", "requests"),
        None => ("message", "messages"),
    }
}

/// What a row is of: "64 clients", and where there are several files, "64 clients, 1 KiB".
pub fn row(result: &BenchResult, row: &Row) -> String {
    let crowd = crowd(result, row.clients);
    match row.file_bytes.filter(|_| result.options.files_bytes.len() > 1) {
        Some(bytes) => format!("{crowd}, {}", file_size(bytes)),
        None => crowd,
    }
}

/// The files of a bench, each once, in the order of its rows; `None` where there are none.
pub fn files(result: &BenchResult) -> Vec<Option<u64>> {
    let mut files: Vec<Option<u64>> = result.rows.iter().map(|row| row.file_bytes).collect();
    files.sort_unstable();
    files.dedup();
    files
}

/// Those who load a server: "1 client", "1,000 members".
pub fn crowd(result: &BenchResult, number: usize) -> String {
    let one = if result.options.chat.is_some() { "member" } else { "client" };
    plural(number as u64, one)
}

/// Many of them, as axes are called.
pub fn crowds(result: &BenchResult) -> &'static str {
    if result.options.chat.is_some() { "members" } else { "clients" }
}

/// The rate of the open loop: of messages, or of lines.
pub fn open_rate(result: &BenchResult, per_second: f64) -> String {
    match result.options.chat {
        Some(_) => format!("{} lines/s", rate(per_second).trim_end_matches("/s")),
        None => rate(per_second),
    }
}

/// A verdict in a word or two.
pub fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "better",
        Verdict::Worse => "worse",
        Verdict::NoDifference => "no difference",
        Verdict::Inconclusive => "inconclusive",
    }
}

/// Neighbouring numbers of clients with the same verdict.
struct Run {
    verdict: Verdict,
    clients: Vec<usize>,
    first: bool,
    last: bool,
}

/// A contestant against the baseline, with each file.
fn rival(result: &BenchResult, place: usize) -> Vec<String> {
    let files = files(result);
    let told = |file: &Option<u64>| {
        let sentence = with_file(result, place, *file)?;
        match file.filter(|_| files.len() > 1) {
            Some(bytes) => Some(format!("Files of {}: {sentence}", file_size(bytes))),
            None => Some(sentence),
        }
    };
    files.iter().filter_map(told).collect()
}

/// A contestant against the baseline, over all numbers of clients.
fn with_file(result: &BenchResult, place: usize, file: Option<u64>) -> Option<String> {
    let (this, that) = (name(result, place), name(result, 0));
    let mut rows: Vec<(usize, &Comparison)> = Vec::new();
    for row in result.rows.iter().filter(|row| row.file_bytes == file) {
        let cpu = |c: &&Comparison| c.contestant == place && c.metric == Metric::Cpu;
        rows.extend(row.comparisons.iter().find(cpu).map(|comparison| (row.clients, comparison)));
    }
    rows.sort_by_key(|(clients, _)| *clients);
    let mut runs: Vec<Run> = Vec::new();
    for (clients, comparison) in &rows {
        match runs.last_mut() {
            Some(run) if run.verdict == comparison.verdict => run.clients.push(*clients),
            _ => runs.push(Run {
                verdict: comparison.verdict,
                clients: vec![*clients],
                first: false,
                last: false,
            }),
        }
    }
    runs.first_mut()?.first = true;
    runs.last_mut()?.last = true;
    if let [run] = &runs[..] {
        return Some(everywhere(result, (&this, &that), run, &rows));
    }

    // Differences first, for they are the news; then where there is none.
    let places = |verdict| {
        let runs = runs.iter().filter(|run| run.verdict == verdict);
        list(&runs.map(|run| place_of(result, run)).collect::<Vec<_>>())
    };
    let mut sentence = String::new();
    let first = runs.iter().map(|run| run.verdict).find(|verdict| is_difference(*verdict));
    let differences = match first {
        Some(Verdict::Better) => [(Verdict::Better, &this, &that), (Verdict::Worse, &that, &this)],
        _ => [(Verdict::Worse, &that, &this), (Verdict::Better, &this, &that)],
    };
    for (verdict, winner, loser) in differences {
        sentence += &match places(verdict) {
            places if places.is_empty() => continue,
            places if sentence.is_empty() => format!("{winner} is cheaper than {loser} {places}"),
            places => format!(", {winner} {places}"),
        };
    }
    let rest = [
        (Verdict::NoDifference, "no difference is shown"),
        (Verdict::Inconclusive, "it is inconclusive"),
    ];
    for (verdict, found) in rest {
        sentence += &match places(verdict) {
            places if places.is_empty() => continue,
            places if sentence.is_empty() => format!("{this} against {that}: {places} {found}"),
            places => format!("; {places} {found}"),
        };
    }
    Some(sentence + ".")
}

fn is_difference(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Better | Verdict::Worse)
}

/// The sentence for a verdict that is the same in all rows.
fn everywhere(
    result: &BenchResult,
    (this, that): (&str, &str),
    run: &Run,
    rows: &[(usize, &Comparison)],
) -> String {
    let what = metric(result, Metric::Cpu);
    let where_to = match &run.clients[..] {
        [only] => format!(" with {}", crowd(result, *only)),
        _ => String::new(),
    };
    let costs = rows.iter().map(|(_, comparison)| comparison.ratio.estimate);
    let (low, high) = costs.fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(x), high.max(x)));
    let range = match (times(low), times(high)) {
        (low, high) if low == high => format!("{low}×"),
        (low, high) => format!("{low}× to {high}×"),
    };
    let costs = format!("costs {range} the {what}");
    let all = match rows.len() {
        1 => where_to.clone(),
        _ => format!(" with every number of {}", crowds(result)),
    };
    let rounds = rows.iter().map(|(_, comparison)| comparison.ratio.rounds).max().unwrap_or(0);
    match run.verdict {
        Verdict::Inconclusive if rounds < FEWEST_ROUNDS => format!(
            "Too few rounds for a verdict on {this} and {that}: {rounds}, and {FEWEST_ROUNDS} are \
             needed; see --max-time."
        ),
        Verdict::Worse => format!("{that} is cheaper than {this}{all}: {this} {costs}."),
        Verdict::Better => format!("{this} is cheaper than {that}{all}: it {costs}."),
        Verdict::NoDifference => {
            format!("No difference in {what} is shown between {this} and {that}{where_to}.")
        }
        Verdict::Inconclusive => format!(
            "Inconclusive: the intervals are too wide to tell {this} and {that} apart by \
             {what}{where_to}."
        ),
    }
}

/// Where a run of rows lies: "with 1 client", "up to 8 clients", "from 64 clients on".
fn place_of(result: &BenchResult, run: &Run) -> String {
    let clients = |number: &usize| crowd(result, *number);
    match &run.clients[..] {
        [] => String::new(),
        [only] => format!("with {}", clients(only)),
        [from, ..] if run.last => format!("from {} on", clients(from)),
        [.., to] if run.first => format!("up to {}", clients(to)),
        [from, .., to] => format!("with {} to {}", count(*from as u64), clients(to)),
    }
}

/// "12 lost (0.0004 %)".
pub fn lost(datagrams: &Datagrams) -> String {
    match datagrams.lost {
        0 => "0 lost".into(),
        lost => format!("{} lost ({})", count(lost), small_percent(datagrams.loss())),
    }
}

/// What `load` has counted, one of them.
pub fn load_unit(result: &LoadResult) -> &'static str {
    match (result.chat.is_some(), result.http.is_some()) {
        (true, _) => "delivery",
        (_, true) => "request",
        _ => "message",
    }
}

/// "1 delivery", "1,000 deliveries".
pub fn deliveries(number: u64) -> String {
    match number {
        1 => "1 delivery".into(),
        _ => format!("{} deliveries", count(number)),
    }
}

/// "1 client", "1,000 clients".
pub fn clients(clients: usize) -> String {
    plural(clients as u64, "client")
}

/// A number and what it counts, with an s where it is not one.
pub fn plural(number: u64, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{} {what}s", count(number)),
    }
}

/// "a", "a and b", "a, b and c".
pub fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

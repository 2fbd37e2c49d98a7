//! A bench as one HTML page: no script, nothing fetched, light and dark, phone and paper.
//!
//! The answer comes first, in words; then charts, from the answer towards what was measured; then
//! all numbers; then how they came about. The markup is well-formed XML too, so that tests can
//! parse it.

use super::chart::{self, clients, forest, latency, memory, slices};
use super::document::{
    BenchResult, Comparison, Datagrams, Distribution, Metric, Row, Standing, Tls, Verdict,
};
use super::svg::{definitions, escape, key};
use super::words;

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(result: &BenchResult) -> String {
    let headline = escape(&words::headline(result));
    let is_chat = result.options.chat.is_some();
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta name=\"color-scheme\" content=\"light dark\"/>\n\
         <title>{headline}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{}<main>\n",
        definitions()
    );
    out += &answer(result);
    out += &section(
        "How they compare",
        "Each contestant's figure divided by the baseline's, on an axis where half and twice are \
         equally far from 1. The bar is the 95 % interval. The grey band is noise: what a second \
         process of the baseline shows against the first.",
        &forest::draw(result),
    );
    out += &section(
        &format!("Over the number of {}", words::crowds(result)),
        &format!(
            "The closed loop: {}. Medians over the rounds; the axes begin at zero.",
            match is_chat {
                true => "a talker goes on when all others have its line",
                false if words::fetches(result) => "each answer makes room for the next request",
                false => "each answer makes room for the next message",
            }
        ),
        &with_legend(result, clients::draw(result)),
    );
    out += &section(
        "Latency",
        &format!(
            "The open loop: {} on a fixed schedule, at a rate that all contestants sustain, and \
             latency counts from the intended send time{}. Each step to the right is one nine more; \
             a curve ends where only one value is left.",
            match is_chat {
                true => "lines leave",
                false if words::fetches(result) => "requests leave",
                false => "messages leave",
            },
            if is_chat { " to each delivery" } else { "" }
        ),
        &with_legend(result, latency::draw(result)),
    );
    out += &section(
        "Every slice",
        &format!(
            "{} of each slice of the closed loop: what the medians were made of. Bands are every \
             other round, in which all servers were started anew. Rings are the second process of \
             the baseline.",
            words::metric(result, Metric::Cpu)
        ),
        &with_legend(result, slices::draw(result)),
    );
    out += &section(
        "Memory per connection",
        "Resident memory of the processes, and what the kernel holds for them: resident memory \
         alone flatters whoever leaves the work to the kernel.",
        &memory::draw(result),
    );
    out += &section("All figures", "", &figures(result));
    out += &section("How this was measured", &method(result.options.slice_s), &conditions(result));
    out + "</main>\n</body>\n</html>\n"
}

fn method(slice_s: f64) -> String {
    format!(
        "All servers were alive at once, and the load generator went round them in slices of {}, \
         there and back (ABBA), so that what disturbs the machine disturbs all of them alike. In \
         each round all servers were started afresh; ratios are the estimate of Hodges and Lehmann \
         over the rounds, with the 95 % interval of Wilcoxon's signed-rank test. A second process \
         of the baseline took part like any other: what it shows against the first is noise, and \
         only what lies beyond it is called a difference.",
        words::without_zeros(&words::elapsed(slice_s))
    )
}

/// A part of the page; without a body, nothing at all.
fn section(title: &str, about: &str, body: &str) -> String {
    if body.is_empty() {
        return String::new();
    }
    let about = match about {
        "" => String::new(),
        about => format!("<p class=\"about\">{about}</p>\n"),
    };
    format!("<section>\n<h2>{title}</h2>\n{about}{body}</section>\n")
}

fn with_legend(result: &BenchResult, body: String) -> String {
    if body.is_empty() { body } else { chart::legend(result) + &body }
}

/// What a person should know after five seconds.
fn answer(result: &BenchResult) -> String {
    let mut out = String::from("<header>\n");
    if result.interrupted {
        out += &format!(
            "<p class=\"alarm\" role=\"note\"><b>Interrupted.</b> This bench was ended early: fewer \
             rounds than planned, and perhaps not all numbers of {}.</p>\n",
            words::crowds(result)
        );
    }
    let names: Vec<String> = result.contestants.iter().map(|who| escape(&who.name)).collect();
    let mut names = names.into_iter();
    let baseline = names.next().unwrap_or_default();
    let rivals: Vec<String> = names.collect();
    let who = match rivals.is_empty() {
        true => baseline,
        false => format!("{} against {baseline}", words::list(&rivals)),
    };
    let over = match words::over(result) {
        over if over.is_empty() => over,
        over => format!(", {}", escape(&over)),
    };
    out += &format!("<p class=\"kicker\">socklab bench · {who}{over}</p>\n");
    let headlines = words::headlines(result);
    match &headlines[..] {
        [only] => out += &format!("<h1>{}</h1>\n", escape(only)),
        several => {
            out += "<h1 class=\"several\">";
            for sentence in several {
                out += &format!("<span>{}</span> ", escape(sentence));
            }
            out += "</h1>\n";
        }
    }
    let claims: String = result
        .rows
        .iter()
        .flat_map(|row| row.comparisons.iter().map(move |comparison| (row, comparison)))
        .filter(|(_, comparison)| comparison.metric == Metric::Cpu)
        .map(|(row, comparison)| claim(result, row, comparison))
        .collect();
    if !claims.is_empty() {
        let (unit, _) = words::unit(result);
        out += &format!(
            "<p class=\"about\">By CPU time of the server per {unit}, with 95 % intervals.</p>\n"
        );
        let many = if result.contestants.len() > 2 { " small" } else { "" };
        out += &format!("<ul class=\"claims{many}\">\n{claims}</ul>\n{}", noise(result));
    }
    let rows = result.rows.iter();
    out += &mind(&rows.flat_map(|row| words::warnings(result, row)).collect::<Vec<_>>());
    out + "</header>\n"
}

/// What a reader must know before believing some of the figures.
fn mind(warnings: &[String]) -> String {
    if warnings.is_empty() {
        return String::new();
    }
    let warnings: String =
        warnings.iter().map(|warning| format!("<li>{}</li>", escape(warning))).collect();
    format!("<ul class=\"mind\" role=\"note\">{warnings}</ul>\n")
}

/// The noise floor of the headline metric: no ratio is worth more than that.
fn noise(result: &BenchResult) -> String {
    let mut floors = Vec::new();
    for row in &result.rows {
        let cpu = row.comparisons.iter().find(|comparison| comparison.metric == Metric::Cpu);
        floors.extend(cpu.map(|comparison| {
            format!("{} with {}", words::interval(&comparison.noise), words::row(result, row))
        }));
    }
    let name = escape(&words::name(result, 0));
    format!("<p class=\"floor\">Noise, {name} against itself: {}.</p>\n", words::list(&floors))
}

fn claim(result: &BenchResult, row: &Row, comparison: &Comparison) -> String {
    // A sign before each sentence, for those who only glance at the column.
    let (sign, class) = match comparison.verdict {
        Verdict::Better => ("▼", "better"),
        Verdict::Worse => ("▲", "worse"),
        Verdict::NoDifference => ("=", "no-difference"),
        Verdict::Inconclusive => ("?", "inconclusive"),
    };
    let times = format!("{}×", words::times(comparison.ratio.estimate));
    let claim = escape(&words::claim(result, comparison));
    let claim = claim.replacen(&times, &format!("<b>{times}</b>"), 1);
    format!(
        "<li><span class=\"sign {class}\" aria-hidden=\"true\">{sign}</span> \
         <span><b>{}:</b> {claim}</span></li>\n",
        words::row(result, row)
    )
}

/// A table for each number of clients: a column for each contestant, a line for each figure.
fn figures(result: &BenchResult) -> String {
    let tables: String = result
        .rows
        .iter()
        .filter(|row| !row.standings.is_empty())
        .map(|row| table(result, row))
        .collect();
    if tables.is_empty() { tables } else { format!("<div class=\"tables\">\n{tables}</div>\n") }
}

/// A figure's name, and its text for a contestant.
type Line<'a> = (&'a str, &'a dyn Fn(&Standing) -> String);

fn table(result: &BenchResult, row: &Row) -> String {
    let clients = words::row(result, row);
    let mut out = format!(
        "<div class=\"table\"><div class=\"scroll\" tabindex=\"0\" role=\"region\" \
         aria-label=\"All figures, {clients}\"><table>\n<caption>{clients}</caption>\n\
         <thead><tr><td></td>"
    );
    for standing in &row.standings {
        let name = escape(&words::name(result, standing.contestant));
        out += &format!("<th scope=\"col\">{} {name}</th>", key(standing.contestant));
    }
    out += "</tr></thead>\n";
    let columns = row.standings.len() + 1;
    let mut group = |title: &str, lines: &[Line]| {
        out += &format!(
            "<tbody><tr class=\"group\"><th colspan=\"{columns}\" scope=\"rowgroup\">{title}</th>\
             </tr>\n"
        );
        for (label, text) in lines {
            out += &format!("<tr><th scope=\"row\">{label}</th>");
            for standing in &row.standings {
                out += &format!("<td>{}</td>", text(standing));
            }
            out += "</tr>\n";
        }
        out += "</tbody>\n";
    };
    group(
        "Closed loop",
        &[
            (words::metric(result, Metric::Cpu), &|s| words::duration(s.cpu_per_message_ns)),
            ("throughput", &|s| words::rate(s.messages_per_second)),
            (&format!("switches per {}", words::unit(result).0), &|s| {
                s.switches_per_message.map_or(words::NONE.into(), words::times)
            }),
            ("CPUs kept busy", &|s| words::times(s.cpus_busy)),
            ("load generator busy", &|s| words::percent(s.driver_busy)),
        ],
    );
    if words::fetches(result) {
        let body = |s: &Standing| s.body_bytes_per_second;
        let told = |s: &Standing| body(s).map_or(words::NONE.into(), |b| words::bytes(b) + "/s");
        group("Files", &[("bytes per second", &told)]);
    }
    if row.standings.iter().any(|standing| standing.latency.is_some()) {
        let title = match row.open_rate {
            Some(rate) => format!("Latency at {}", words::open_rate(result, rate)),
            None => "Latency".into(),
        };
        let sent_late = match result.options.chat {
            Some(_) => "lines sent late",
            None => "sent late",
        };
        let latency = |s: &Standing, of: fn(&Distribution) -> Option<u64>| {
            let ns = s.latency.as_ref().and_then(of);
            ns.map_or(words::NONE.into(), |ns| words::duration(ns as f64))
        };
        group(
            &title,
            &[
                ("median", &|s| latency(s, |d| d.p50_ns)),
                ("90 % within", &|s| latency(s, |d| d.p90_ns)),
                ("99 % within", &|s| latency(s, |d| d.p99_ns)),
                ("99.9 % within", &|s| latency(s, |d| d.p99_9_ns)),
                ("largest", &|s| latency(s, |d| Some(d.max_ns))),
                (words::unit(result).1, &|s| {
                    words::count(s.latency.as_ref().map_or(0, |d| d.count))
                }),
                (sent_late, &|s| words::count(s.late)),
            ],
        );
    }
    if row.standings.iter().any(|standing| standing.memory.is_some()) {
        let part = |s: &Standing, of: fn(&super::document::Memory) -> f64| {
            s.memory.as_ref().map_or(words::NONE.into(), |memory| words::bytes(of(memory)))
        };
        let parts = memory::PARTS;
        group(
            "Memory per connection",
            &[
                ("in all", &|s| part(s, memory::total)),
                (parts[0].0, &|s| part(s, parts[0].1)),
                (parts[1].0, &|s| part(s, parts[1].1)),
                (parts[2].0, &|s| part(s, parts[2].1)),
                (parts[3].0, &|s| part(s, parts[3].1)),
            ],
        );
    }
    if row.standings.iter().any(|standing| standing.datagrams.is_some()) {
        let number = |s: &Standing, of: fn(&Datagrams) -> u64| {
            s.datagrams.as_ref().map_or(words::NONE.into(), |datagrams| words::count(of(datagrams)))
        };
        group(
            "Datagrams",
            &[
                ("sent", &|s| number(s, |d| d.sent)),
                ("lost", &|s| s.datagrams.as_ref().map_or(words::NONE.into(), words::lost)),
                ("in the load generator", &|s| number(s, |d| d.overflowed)),
                ("duplicated", &|s| number(s, |d| d.duplicated)),
                ("reordered", &|s| number(s, |d| d.reordered)),
                ("late", &|s| number(s, |d| d.late)),
            ],
        );
    }
    if row.standings.iter().any(|standing| standing.tls.is_some()) {
        let number = |s: &Standing, of: fn(&Tls) -> u64| {
            s.tls.as_ref().map_or(words::NONE.into(), |tls| words::count(of(tls)))
        };
        group(
            "TLS handshakes",
            &[
                ("full", &|s| number(s, |tls| tls.handshakes.full)),
                ("resumed", &|s| number(s, |tls| tls.handshakes.resumed)),
                ("full, connecting included", &|s| number(s, |tls| tls.handshakes_in_all.full)),
                ("resumed, connecting included", &|s| {
                    number(s, |tls| tls.handshakes_in_all.resumed)
                }),
                ("ended without close_notify", &|s| number(s, |tls| tls.unannounced)),
                ("agreed", &|s| {
                    s.tls.as_ref().map_or(words::NONE.into(), |tls| escape(&tls.agreed.join("; ")))
                }),
            ],
        );
    }
    out += "</table></div>\n";
    out += &mind(&words::warnings(result, row));
    out + "</div>\n"
}

/// Machine, options and commands.
fn conditions(result: &BenchResult) -> String {
    let (options, machine) = (&result.options, &result.environment);
    let mut out = String::from("<h3>Contestants</h3>\n<dl class=\"commands\">\n");
    for (place, contestant) in result.contestants.iter().enumerate() {
        let baseline = if place == 0 { " <small>baseline</small>" } else { "" };
        out += &format!(
            "<div><dt>{} {}{baseline}</dt><dd><code>{}</code></dd></div>\n",
            key(place),
            escape(&contestant.name),
            escape(&contestant.command)
        );
    }
    out += "</dl>\n";

    let rounds: Vec<String> = result
        .rows
        .iter()
        .map(|row| format!("{} with {}", row.rounds.len(), words::row(result, row)))
        .collect();
    let loops = match options.per_connection {
        Some(messages) => {
            format!(
                "; a client leaves after {} and another comes",
                words::plural(messages, "message")
            )
        }
        None => String::new(),
    };
    let time = match result.interrupted {
        true => format!("{}, interrupted", words::elapsed(result.elapsed_s)),
        false => words::elapsed(result.elapsed_s),
    };
    let what = match options.chat {
        Some(_) => "lines",
        None if options.udp => "datagrams",
        None if words::fetches(result) => "requests",
        None => "messages",
    };
    let tls = match (words::over(result), options.resumption) {
        (_, None) => String::new(),
        (over, Some(true)) => format!("; {over}, sessions resumed"),
        (over, Some(false)) => format!("; {over}, full handshakes only"),
    };
    let chat = words::done(result).map_or(String::new(), |done| format!("; {done}"));
    let size = match words::fetches(result) {
        true => "GET".into(),
        false => words::plural(options.size_bytes, "byte"),
    };
    let load = format!(
        "{what} of {size}, {} in flight per {}{loops}{chat}{tls}",
        words::count(options.pipeline),
        if options.chat.is_some() { "talker" } else { "client" },
    );
    let method = [
        ("Load", load),
        ("Rounds", words::list(&rounds)),
        ("Slices", words::without_zeros(&words::elapsed(options.slice_s))),
        (
            "A row ends",
            format!(
                "when half its interval is at most {} of the ratio; all rows together after {}",
                words::percent(options.precision),
                words::without_zeros(&words::elapsed(options.max_time_s))
            ),
        ),
        ("Placement", options.placement.clone()),
        ("CPUs of servers", options.server_cpus.clone()),
        ("CPUs of load", options.driver_cpus.clone()),
        ("Seed", options.seed.to_string()),
        ("Began", result.started.clone()),
        ("Took", time),
    ];
    let machine = [
        ("Machine", machine.host.clone()),
        ("CPU", machine.cpu.clone()),
        ("CPUs", words::count(machine.cpus as u64)),
        ("Memory", words::bytes(machine.memory_bytes as f64)),
        ("Kernel", machine.kernel.clone()),
        ("Clock", machine.clocksource.clone()),
        ("Open files", words::count(machine.open_files)),
        ("Ports of callers", format!("{} to {}", machine.ports.0, machine.ports.1)),
        ("Listen queue", words::count(machine.somaxconn.into())),
        ("socklab", machine.socklab.clone()),
    ];
    out += "<div class=\"pair\">\n";
    for (title, list) in [("Bench", method), ("Machine", machine)] {
        out += &format!("<div><h3>{title}</h3>\n<dl>\n");
        for (term, text) in list {
            let text = if text.is_empty() { words::NONE } else { &text };
            out += &format!("<div><dt>{term}</dt><dd>{}</dd></div>\n", escape(text));
        }
        out += "</dl></div>\n";
    }
    out + "</div>\n"
}

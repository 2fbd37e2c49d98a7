//! Memory per connection, its parts end to end.

use crate::report::document::{BenchResult, Memory, Row};
use crate::report::svg::{Drawing, Scale, escape, key};
use crate::report::words;

use super::range;

/// A part's name, and how much of the whole it is.
pub type Part = (&'static str, fn(&Memory) -> f64);

/// The parts, in the order in which they are drawn: what `ps` shows, then what it does not.
pub const PARTS: [Part; 4] = [
    ("resident", |memory| memory.resident_bytes),
    ("threads", |memory| memory.threads_bytes),
    ("page tables", |memory| memory.page_tables_bytes),
    ("sockets", |memory| memory.sockets_bytes),
];

/// All of it.
pub fn total(memory: &Memory) -> f64 {
    PARTS.iter().map(|(_, of)| of(memory)).sum()
}

/// A group of bars for each number of clients; empty where memory was not measured.
pub fn draw(result: &BenchResult) -> String {
    let memories = result.rows.iter().flat_map(|row| &row.standings).flat_map(|s| &s.memory);
    let Some((_, most)) = range(memories.map(total)) else { return String::new() };
    let scale = Scale::linear(0.0, most);
    let mut out = String::from("<p class=\"legend\">");
    for (part, (name, _)) in PARTS.iter().enumerate() {
        out += &format!("<span><i class=\"swatch p{part}\"></i> {name}</span> ");
    }
    out += "</p>\n";
    for (place, row) in result.rows.iter().enumerate() {
        if row.standings.iter().any(|standing| standing.memory.is_some()) {
            out += &group(result, row, &scale, place);
        }
    }
    out
}

fn group(result: &BenchResult, row: &Row, scale: &Scale, place: usize) -> String {
    let clients = words::row(result, row);
    let mut out = format!("<figure class=\"memory\"><figcaption>{clients}</figcaption>\n");
    for standing in &row.standings {
        let Some(memory) = &standing.memory else { continue };
        let kind = standing.contestant;
        let name = words::name(result, kind);
        let parts: Vec<String> =
            PARTS.iter().map(|(part, of)| format!("{part} {}", words::bytes(of(memory)))).collect();
        let (all, parts) = (words::bytes(total(memory)), parts.join(" · "));
        let title = format!("{name}, {clients}: {all} per connection");
        let id = format!("memory-{place}-{kind}");
        let mut drawing = Drawing::new(&id, "bars", 22.0, &title, &parts);
        let mut end = 0.0;
        for (part, (_, of)) in PARTS.iter().enumerate() {
            let begin = end;
            end += Some(of(memory)).filter(|bytes| bytes.is_finite()).unwrap_or(0.0).max(0.0);
            let across = (scale.place(begin), scale.place(end));
            drawing.bar(&format!("part p{part}"), across, 0.0, 22.0);
        }
        drawing.line("axis", (0.0, -3.0), (0.0, 25.0));
        out += &format!(
            "<div class=\"line\"><span class=\"label\">{} {}</span>{}\
             <span class=\"value\"><b>{all}</b></span><span class=\"parts\">{parts}</span></div>\n",
            key(kind),
            escape(&name),
            drawing.finish(),
        );
    }
    out + "</figure>\n"
}

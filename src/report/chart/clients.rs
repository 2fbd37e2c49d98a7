//! A figure over the number of clients, a line for each contestant.

use crate::report::document::{BenchResult, Metric, Standing};
use crate::report::svg::{Drawing, KINDS, Scale};
use crate::report::words;

use super::{duration_tick, panel, range, rate_tick};

/// CPU per message and throughput, side by side where there is room.
pub fn draw(result: &BenchResult) -> String {
    if result.rows.iter().all(|row| row.standings.is_empty()) {
        return String::new();
    }
    words::files(result).into_iter().map(|file| pair(result, file)).collect()
}

/// Both, of the rows with one file, or without.
fn pair(result: &BenchResult, file: Option<u64>) -> String {
    let cpu = Figure {
        id: "cpu",
        file,
        title: words::metric(result, Metric::Cpu),
        good: "less is better",
        of: |standing| standing.cpu_per_message_ns,
        tick: duration_tick,
        text: words::duration,
    };
    let rate = Figure {
        id: "rate",
        file,
        title: match result.options.chat {
            Some(_) => "Deliveries per second",
            None if words::fetches(result) => "Requests per second",
            None => "Messages per second",
        },
        good: "more is better",
        of: |standing| standing.messages_per_second,
        tick: rate_tick,
        text: words::rate,
    };
    format!("<div class=\"pair\">\n{}{}</div>\n", cpu.draw(result), rate.draw(result))
}

struct Figure {
    id: &'static str,
    file: Option<u64>,
    title: &'static str,
    good: &'static str,
    of: fn(&Standing) -> f64,
    tick: fn(f64) -> String,
    text: fn(f64) -> String,
}

impl Figure {
    fn draw(&self, result: &BenchResult) -> String {
        let rows = || result.rows.iter().filter(|row| row.file_bytes == self.file);
        let (id, title) = match self.file.filter(|_| result.options.files_bytes.len() > 1) {
            Some(bytes) => {
                let size = words::file_size(bytes);
                (format!("{}-{bytes}", self.id), format!("{}, {size}", self.title))
            }
            None => (self.id.into(), self.title.into()),
        };
        let standings = rows().flat_map(|row| &row.standings);
        // From zero: a line twice as high stands for twice as much.
        let (_, most) = range(standings.map(self.of)).unwrap_or((0.0, 1.0));
        let up = Scale::linear(0.0, most * 1.08);
        let mut counts: Vec<usize> = rows().map(|row| row.clients).collect();
        counts.sort_unstable();
        counts.dedup();
        let across = across(&counts);

        let description = format!(
            "Over the number of {}, on a logarithmic axis. The table of all figures has the numbers.",
            words::crowds(result)
        );
        let mut drawing = Drawing::new(&id, "plot", 220.0, &title, &description);
        drawing.grid_across(&up, 5, self.tick);
        let ticks: Vec<(f64, String)> =
            counts.iter().map(|n| (across(*n), words::count(*n as u64))).collect();
        drawing.ticks_below(0.13, &ticks);
        // The baseline last, on top: it is what the others are compared with.
        for place in (0..result.contestants.len()).rev() {
            let mut points: Vec<(usize, f64)> = Vec::new();
            for row in rows() {
                let own = row.standings.iter().filter(|standing| standing.contestant == place);
                points.extend(own.map(|standing| (row.clients, (self.of)(standing))));
            }
            points.retain(|(_, value)| value.is_finite());
            points.sort_by_key(|(clients, _)| *clients);
            let places: Vec<(f64, f64)> = points
                .iter()
                .map(|(clients, value)| (across(*clients), drawing.down(&up, *value)))
                .collect();
            drawing.curve(&format!("curve k{}", place % KINDS), &places);
            let name = words::name(result, place);
            for ((clients, value), at) in points.iter().zip(places) {
                let tip =
                    format!("{}, {name}: {}", words::crowd(result, *clients), (self.text)(*value));
                drawing.mark(place, at, &tip);
            }
        }
        panel(&title, self.good, &drawing.finish(), words::crowds(result))
    }
}

/// Where a number of clients lies: a little away from the edges, and a single one in the middle.
fn across(counts: &[usize]) -> impl Fn(usize) -> f64 {
    let (low, high) = range(counts.iter().map(|n| *n as f64)).unwrap_or((1.0, 1.0));
    let scale = Scale::log(low, high);
    move |clients| 0.05 + 0.9 * scale.place(clients as f64)
}

//! Every slice over time: what the medians were made of.

use crate::report::document::{BenchResult, Metric, Round, Row, Slice};
use crate::report::svg::{Drawing, Scale};
use crate::report::words;

use super::{duration_tick, panel, range};

/// Slices that cost more than this many times what nine in ten cost are drawn at the upper edge:
/// one that the machine disturbed must not flatten all others.
const OUTLIER: f64 = 1.6;

/// A chart for each number of clients; empty where there are no slices.
pub fn draw(result: &BenchResult) -> String {
    let rows = result.rows.iter().enumerate();
    rows.filter_map(|(place, row)| chart(result, row, place)).collect()
}

fn chart(result: &BenchResult, row: &Row, place: usize) -> Option<String> {
    let slices = || row.rounds.iter().flat_map(|round| &round.sides).flat_map(|side| &side.slices);
    let mut costs: Vec<f64> = slices().filter_map(cost).collect();
    costs.sort_by(f64::total_cmp);
    let (most, usual) = (*costs.last()?, costs[costs.len() * 9 / 10]);
    let top = (usual * OUTLIER).min(most * 1.1);
    let beyond = costs.iter().filter(|cost| **cost > top).count();
    let up = Scale::linear(0.0, top);
    let (_, end) = row.rounds.iter().filter_map(span).fold((0.0, 0.0), outer);
    let begin = row.rounds.iter().filter_map(span).fold(end, |begin, (from, _)| begin.min(from));
    let across = Scale::linear(begin, end);

    let title = words::row(result, row);
    let description = format!(
        "{} of every slice, over the time since the bench began. Shaded bands are rounds.",
        words::metric(result, Metric::Cpu)
    );
    let mut drawing = Drawing::new(&format!("slices-{place}"), "plot", 150.0, &title, &description);
    let height = drawing.height();
    for (from, to) in row.rounds.iter().filter_map(span).step_by(2) {
        drawing.bar("round", (across.place(from), across.place(to)), 0.0, height);
    }
    drawing.grid_across(&up, 4, duration_tick);
    let ticks: Vec<(f64, String)> =
        across.ticks(6).into_iter().map(|s| (across.place(s), seconds(s))).collect();
    drawing.ticks_below(0.1, &ticks);
    let contestants = result.contestants.len();
    // The baseline's second process comes after the contestants, and is drawn first, below them.
    let sides = row.rounds.iter().map(|round| round.sides.len()).max().unwrap_or(0);
    for side in (0..sides).rev() {
        let slices = row.rounds.iter().filter_map(|round| round.sides.get(side));
        let points: Vec<(f64, f64)> = slices
            .flat_map(|side| &side.slices)
            .filter_map(|slice| Some((slice.start_s + slice.elapsed_s / 2.0, cost(slice)?)))
            .map(|(time, cost)| (across.place(time), drawing.down(&up, cost)))
            .collect();
        let twin = side >= contestants;
        drawing.dots(if twin { "ring" } else { "dots" }, if twin { 0 } else { side }, &points);
    }
    let slices = words::plural(costs.len() as u64, "slice");
    let rounds = words::plural(row.rounds.len() as u64, "round");
    let note = match beyond {
        0 => format!("{slices} in {rounds}"),
        _ => format!("{slices} in {rounds}, {beyond} of them above the axis, at its upper edge"),
    };
    Some(panel(&title, &note, &drawing.finish(), "seconds since the start"))
}

/// CPU time per message, of a slice that has both.
fn cost(slice: &Slice) -> Option<f64> {
    let cost = slice.server_cpu_s * 1e9 / slice.messages as f64;
    range([cost]).map(|(cost, _)| cost)
}

/// When a round's first slice began and its last one ended.
fn span(round: &Round) -> Option<(f64, f64)> {
    let slices = round.sides.iter().flat_map(|side| &side.slices);
    slices
        .map(|slice| (slice.start_s, slice.start_s + slice.elapsed_s))
        .filter(|(from, to)| from.is_finite() && to.is_finite())
        .reduce(outer)
}

fn outer(a: (f64, f64), b: (f64, f64)) -> (f64, f64) {
    (a.0.min(b.0), a.1.max(b.1))
}

fn seconds(seconds: f64) -> String {
    words::without_zeros(&words::times(seconds))
}

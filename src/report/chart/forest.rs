//! Ratios with their intervals, a line for each metric and contestant, over the noise.
//!
//! The axis is one of ratios: half and twice are equally far from 1. All groups share it, so that
//! they can be compared; what lies beyond it is an arrow, with its numbers beside it.

use crate::report::document::{BenchResult, Comparison, Metric, Row};
use crate::report::svg::{Anchor, Drawing, Scale, escape, key};
use crate::report::words;

/// The order of lines: the headline metric first; throughput, of which more is better, last.
const ORDER: [Metric; 6] =
    [Metric::Cpu, Metric::P50, Metric::P99, Metric::Switches, Metric::Memory, Metric::Throughput];
/// The axis ends here at the latest: one ratio of a hundred must not press all others together.
const WIDEST: f64 = 8.0;
/// And not before this, lest noise look like news.
const NARROWEST: f64 = 1.25;
/// On either side of 1 there is at least this share of the axis, for what is written there.
const MARGIN: f64 = 0.24;

/// The chart, a group for each number of clients; empty where nothing was compared.
pub fn draw(result: &BenchResult) -> String {
    let scale = scale(result);
    let mut out = String::new();
    for (place, row) in result.rows.iter().enumerate() {
        if !row.comparisons.is_empty() {
            out += &group(result, row, &scale, place);
        }
    }
    out
}

fn scale(result: &BenchResult) -> Scale {
    let comparisons = result.rows.iter().flat_map(|row| &row.comparisons);
    let ends = comparisons.flat_map(|c| [c.ratio.low, c.ratio.high, c.noise.low, c.noise.high]);
    // What does not fit anyway does not stretch the axis for the others.
    let fitting = ends.filter(|end| (1.0 / WIDEST..=WIDEST).contains(end));
    let (low, high) = super::range(fitting).unwrap_or((1.0, 1.0));
    let low = (low * 0.95).clamp(1.0 / WIDEST, 1.0 / NARROWEST).ln();
    let high = (high * 1.05).clamp(NARROWEST, WIDEST).ln();
    let margin = MARGIN / (1.0 - MARGIN);
    Scale::log(low.min(-high * margin).exp(), high.max(-low * margin).exp())
}

fn group(result: &BenchResult, row: &Row, scale: &Scale, place: usize) -> String {
    let clients = words::row(result, row);
    let mut out = format!("<figure class=\"forest\"><figcaption>{clients}</figcaption>\n");
    let mut lines = 0;
    for more in [false, true] {
        let metrics = ORDER.iter().filter(|metric| (**metric == Metric::Throughput) == more);
        let mut half = String::new();
        for metric in metrics {
            let own: Vec<&Comparison> =
                row.comparisons.iter().filter(|c| c.metric == *metric).collect();
            // One rival needs no name on each line; several need the metric only once.
            if result.contestants.len() > 2 && !own.is_empty() {
                half += &format!("<p class=\"metric\">{}</p>\n", words::metric(result, *metric));
            }
            for comparison in own {
                lines += 1;
                let id = format!("ratio-{place}-{lines}");
                half += &line(result, row, comparison, scale, &id);
            }
        }
        if !half.is_empty() {
            out += &axis(result, scale, more, &format!("axis-{place}-{}", u8::from(more)));
            out += &half;
        }
    }
    out + "</figure>\n"
}

/// The axis above a group's lines, which says what direction is good.
fn axis(result: &BenchResult, scale: &Scale, more: bool, id: &str) -> String {
    let (left, right) = if more { ("worse", "better") } else { ("better", "worse") };
    let title = format!("Axis of ratios: {left} to the left of 1, {right} to the right");
    let mut drawing = Drawing::new(id, "ratio", 38.0, &title, "1 is as much as the baseline.");
    let one = scale.place(1.0);
    drawing.text("way", (one, 12.0), -10.0, Anchor::End, &format!("◂ {left}"));
    drawing.text("way", (one, 12.0), 10.0, Anchor::Start, &format!("{right} ▸"));
    for tick in ticks(scale) {
        let label = words::without_zeros(&words::times(tick)) + "×";
        drawing.text("tick", (scale.place(tick), 31.0), 0.0, Anchor::Middle, &label);
    }
    let good = if more { "More is better" } else { "Less is better" };
    let baseline = escape(&words::name(result, 0));
    format!(
        "<div class=\"line top\"><span class=\"label\">{good} <small>1× is {baseline}</small></span>\
         {}</div>\n",
        drawing.finish()
    )
}

/// Powers of two, unless the axis is too short to have three of them.
fn ticks(scale: &Scale) -> Vec<f64> {
    let powers: Vec<f64> =
        (-3..=3).map(|power| 2f64.powi(power)).filter(|tick| scale.holds(*tick)).collect();
    match powers.len() {
        0..3 => scale.ticks(4),
        _ => powers,
    }
}

fn line(
    result: &BenchResult,
    row: &Row,
    comparison: &Comparison,
    scale: &Scale,
    id: &str,
) -> String {
    let (ratio, noise) = (&comparison.ratio, &comparison.noise);
    let claim = words::comparison(result, row, comparison);
    let (word, floor) = (words::verdict(comparison.verdict), words::interval(noise));
    let says = format!("Verdict: {word}. Noise: {floor}.");
    let mut drawing = Drawing::new(id, "ratio", 30.0, &claim, &says);
    let middle = drawing.height() / 2.0;
    for tick in ticks(scale) {
        let x = scale.place(tick);
        drawing.line("grid", (x, 0.0), (x, 30.0));
    }
    drawing.bar("noise", (scale.place(noise.low), scale.place(noise.high)), 0.0, 30.0);
    drawing.line("one", (scale.place(1.0), 0.0), (scale.place(1.0), 30.0));
    let kind = comparison.contestant;
    let colour = kind % crate::report::svg::KINDS;
    let (low, high) = (scale.place(ratio.low), scale.place(ratio.high));
    let interval = format!("interval k{colour}");
    drawing.line(&interval, (low, middle), (high, middle));
    for end in [ratio.low, ratio.high].into_iter().filter(|end| scale.holds(*end)) {
        let x = scale.place(end);
        drawing.line(&interval, (x, middle - 7.0), (x, middle + 7.0));
    }
    let beyond = ratio.estimate.is_finite() && !scale.holds(ratio.estimate);
    match scale.place(ratio.estimate) {
        x if beyond => drawing.arrow(&format!("k{colour}"), (x, middle), ratio.estimate > 1.0),
        x => drawing.small_mark(kind, (x, middle), &format!("{claim}; noise {floor}")),
    }

    let head = if comparison.metric == Metric::Cpu { " head" } else { "" };
    let label = match result.contestants.len() {
        0..=2 => words::metric(result, comparison.metric).to_string(),
        _ => escape(&words::name(result, kind)),
    };
    let (times, between) = (words::times(ratio.estimate), words::interval(ratio));
    format!(
        "<div class=\"line{head}\"><span class=\"label\">{} {label}</span>{}\
         <span class=\"value\"><b>{times}×</b> <span class=\"between\">{between}</span> \
         <em class=\"{}\">{word}</em></span></div>\n",
        key(kind),
        drawing.finish(),
        word.replace(' ', "-"),
    )
}

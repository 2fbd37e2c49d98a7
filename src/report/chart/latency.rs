//! Latency over percentiles, as HDR histograms are shown: each step across is one nine more.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;

use crate::report::document::{BenchResult, Distribution, Row};
use crate::report::svg::{Drawing, KINDS, Scale};
use crate::report::words;

use super::{duration_tick, panel, range};

/// Percentiles that have a tick, and a mark on each curve.
const TICKS: [(f64, &str); 8] = [
    (0.0, "0"),
    (0.5, "50"),
    (0.9, "90"),
    (0.99, "99"),
    (0.999, "99.9"),
    (0.9999, "99.99"),
    (0.99999, "99.999"),
    (0.999999, "99.9999"),
];
/// Points of a curve for each nine.
const STEPS: f64 = 40.0;
/// More nines than any measurement here supports.
const MOST_NINES: f64 = 9.0;

/// A contestant's curve: nines across, nanoseconds upwards.
struct Curve {
    place: usize,
    points: Vec<(f64, f64)>,
    marks: Vec<(f64, f64, &'static str)>,
}

/// A chart for each number of clients, all on the same axes; empty where no latency was measured.
pub fn draw(result: &BenchResult) -> String {
    let rows: Vec<(usize, &Row, Vec<Curve>)> =
        result.rows.iter().enumerate().map(|(at, row)| (at, row, curves(row))).collect();
    let all = || rows.iter().flat_map(|(_, _, curves)| curves);
    let Some((low, high)) =
        range(all().flat_map(|curve| &curve.points).map(|(_, latency)| *latency))
    else {
        return String::new();
    };
    let most = all().flat_map(|curve| curve.points.last()).fold(1.0, |most, (x, _)| x.max(most));
    let (across, up) = (Scale::linear(0.0, most), Scale::log(low / 1.15, high * 1.15));
    let mut out = String::from("<div class=\"many\">\n");
    for (at, row, curves) in rows.iter().filter(|(_, _, curves)| !curves.is_empty()) {
        let note = row
            .open_rate
            .map_or(String::new(), |rate| format!("at {}", words::open_rate(result, rate)));
        let title = format!("{} {note}", words::row(result, row));
        let description = "Latency from the intended send time, on a logarithmic axis, over \
                           percentiles. The table of all figures has the numbers.";
        let mut drawing =
            Drawing::new(&format!("latency-{at}"), "plot", 240.0, &title, description);
        drawing.grid_across(&up, 7, duration_tick);
        let ticks: Vec<(f64, String)> = TICKS
            .iter()
            .filter(|(share, _)| nines(*share) <= most + 1e-9)
            .map(|(share, label)| (across.place(nines(*share)), label.to_string()))
            .collect();
        drawing.ticks_below(0.05, &ticks);
        for curve in curves.iter().rev() {
            let place = |(x, y): &(f64, f64)| (across.place(*x), drawing.down(&up, *y));
            let points: Vec<(f64, f64)> = curve.points.iter().map(place).collect();
            drawing.curve(&format!("curve k{}", curve.place % KINDS), &points);
            for (x, y, label) in &curve.marks {
                let name = words::name(result, curve.place);
                let tip = format!("{name}: {label} % within {}", words::duration(*y));
                let at = (across.place(*x), drawing.down(&up, *y));
                drawing.small_mark(curve.place, at, &tip);
            }
        }
        out += &panel(&words::row(result, row), &note, &drawing.finish(), "percentile");
    }
    out + "</div>\n"
}

/// 0 for 0 %, 1 for 90 %, 2 for 99 %.
fn nines(share: f64) -> f64 {
    -(1.0 - share).log10()
}

fn curves(row: &Row) -> Vec<Curve> {
    let mut curves = Vec::new();
    for standing in &row.standings {
        let Some(latency) = standing.latency.as_ref().filter(|latency| latency.count > 0) else {
            continue;
        };
        let (points, marks) = match decode(&latency.histogram) {
            Some(histogram) => from_histogram(&histogram),
            None => from_figures(latency),
        };
        if !points.is_empty() {
            curves.push(Curve { place: standing.contestant, points, marks });
        }
    }
    curves
}

/// The histogram, if it is one and holds anything.
fn decode(text: &str) -> Option<Histogram<u64>> {
    let bytes = STANDARD.decode(text).ok()?;
    let histogram = Deserializer::new().deserialize(&mut &bytes[..]).ok()?;
    (!histogram.is_empty()).then_some(histogram)
}

type Points = (Vec<(f64, f64)>, Vec<(f64, f64, &'static str)>);

/// Up to the percentile that one value lies beyond: the next would rest on none.
fn from_histogram(histogram: &Histogram<u64>) -> Points {
    let last = (histogram.len() as f64).log10().min(MOST_NINES);
    let value = |x: f64| histogram.value_at_quantile(1.0 - 10f64.powf(-x)).max(1) as f64;
    let steps = (last * STEPS).floor() as usize;
    let mut points: Vec<(f64, f64)> =
        (0..=steps).map(|step| step as f64 / STEPS).map(|x| (x, value(x))).collect();
    if last > steps as f64 / STEPS {
        points.push((last, value(last)));
    }
    let marks = TICKS[1..]
        .iter()
        .map(|(share, label)| (nines(*share), label))
        .filter(|(x, _)| *x <= last + 1e-9)
        .map(|(x, label)| (x, value(x), *label))
        .collect();
    (points, marks)
}

/// What the document says in so many words, where there is no histogram to read.
fn from_figures(latency: &Distribution) -> Points {
    let figures =
        [latency.p50_ns, latency.p90_ns, latency.p99_ns, latency.p99_9_ns, latency.p99_99_ns];
    let marks: Vec<(f64, f64, &'static str)> = TICKS[1..]
        .iter()
        .zip(figures)
        .filter_map(|((share, label), ns)| Some((nines(*share), ns?.max(1) as f64, *label)))
        .collect();
    (marks.iter().map(|(x, y, _)| (*x, *y)).collect(), marks)
}

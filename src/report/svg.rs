//! Drawings: scales, axes and marks as SVG.
//!
//! Charts fit any width without a script and without shrinking their text: across, everything is
//! placed in percent of the plot; down, in pixels. The plot *is* the `svg` element, and labels hang
//! over its edge into the margin that the style sheet leaves. Curves, which know no percent, lie in
//! an inner `svg` that is stretched; their strokes are not.

use std::fmt::Write;

/// Text made safe inside an element or an attribute. What XML cannot hold, and what could turn the
/// rest of a line around, becomes U+FFFD.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            '\n' | '\t' => safe.push(character),
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}' => {
                safe.push('\u{fffd}');
            }
            _ if character.is_control() => safe.push('\u{fffd}'),
            _ => safe.push(character),
        }
    }
    safe
}

/// Where values lie between the ends of an axis.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    low: f64,
    high: f64,
    log: bool,
}

impl Scale {
    /// Equal differences are equally far apart.
    pub fn linear(low: f64, high: f64) -> Self {
        let (low, high) = (within(low, -1e290, 1e290), within(high, -1e290, 1e290));
        let high = if high > low { high } else { low + low.abs().max(1.0) };
        Self { low, high, log: false }
    }

    /// Equal ratios are equally far apart. Values that are not positive lie at its low end.
    pub fn log(low: f64, high: f64) -> Self {
        let (low, high) = (within(low, 1e-290, 1e290), within(high, 1e-290, 1e290));
        let (low, high) = if high > low { (low, high) } else { (low / 2.0, low * 2.0) };
        Self { low, high, log: true }
    }

    /// From 0 at the low end to 1 at the high end; what lies beyond lies at that end.
    pub fn place(&self, value: f64) -> f64 {
        let place = match self.log {
            true => (value.max(self.low) / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        within(place, 0.0, 1.0)
    }

    /// Whether it lies between the ends.
    pub fn holds(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Round values, about as many as asked for.
    pub fn ticks(&self, about: usize) -> Vec<f64> {
        match self.log {
            true if self.high / self.low > 5.0 => self.log_ticks(about),
            _ => self.linear_ticks(about),
        }
    }

    fn linear_ticks(&self, about: usize) -> Vec<f64> {
        let raw = (self.high - self.low) / about.max(1) as f64;
        let power = 10f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
        let step = step.into_iter().find(|step| *step >= raw * 0.999).unwrap_or(raw);
        let first = (self.low / step - 1e-9).ceil();
        let ticks = (0..=2 * about).map(|number| (first + number as f64) * step);
        ticks.filter(|tick| *tick <= self.high * (1.0 + 1e-12)).collect()
    }

    /// 1, 2 and 5 of each decade if there is room, else every so many decades.
    fn log_ticks(&self, about: usize) -> Vec<f64> {
        let (from, to) = (self.low.log10().floor() as i32, self.high.log10().ceil() as i32);
        let decades = (self.high / self.low).log10();
        let digits: &[f64] = match about as f64 {
            most if decades * 3.0 <= most => &[1.0, 2.0, 5.0],
            most if decades * 2.0 <= most => &[1.0, 3.0],
            _ => &[1.0],
        };
        let stride = (decades / about.max(1) as f64).ceil().max(1.0) as usize;
        let powers = (from..=to).step_by(stride);
        let all = powers.flat_map(|power| digits.iter().map(move |d| d * 10f64.powi(power)));
        all.filter(|tick| self.holds(*tick)).collect()
    }
}

fn within(value: f64, low: f64, high: f64) -> f64 {
    if value.is_nan() { low } else { value.clamp(low, high) }
}

/// The outlines of marks, one after the other for one contestant after the other: where colours
/// cannot be told apart, shapes can.
const MARKS: [&str; 6] = [
    "M-4.5 0a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0z",
    "M-4-4h8v8h-8z",
    "M0-5L5.2 4.2L-5.2 4.2z",
    "M0-5.8L5.8 0L0 5.8L-5.8 0z",
    "M0 5L5.2-4.2L-5.2-4.2z",
    "M-1.7-5h3.4v3.3h3.3v3.4h-3.3v3.3h-3.4v-3.3h-3.3v-3.4h3.3z",
];

/// Colours and shapes there are; further contestants begin again.
pub const KINDS: usize = MARKS.len();

/// What drawings refer to; it stands once in a page.
pub fn definitions() -> String {
    let mut out =
        String::from("<svg class=\"hidden\" width=\"0\" height=\"0\" aria-hidden=\"true\"><defs>");
    for (kind, outline) in MARKS.iter().enumerate() {
        for (name, scale) in [("mark", "1"), ("small", ".75"), ("dot", ".5")] {
            let _ = write!(
                out,
                "<path id=\"{name}{kind}\" transform=\"scale({scale})\" d=\"{outline}\"/>"
            );
        }
    }
    out + "</defs></svg>\n"
}

/// A contestant's mark in running text.
pub fn key(kind: usize) -> String {
    let kind = kind % KINDS;
    format!(
        "<svg class=\"key k{kind}\" width=\"14\" height=\"14\" aria-hidden=\"true\">\
         <use href=\"#mark{kind}\" x=\"7\" y=\"7\"/></svg>"
    )
}

/// Which end of a text is at its place.
#[derive(Clone, Copy, Debug)]
pub enum Anchor {
    /// Its first letter.
    Start,
    /// Its middle.
    Middle,
    /// Its last letter.
    End,
}

/// A drawing in the making. Across, 0 is its left edge and 1 its right one; down, it is pixels.
pub struct Drawing {
    out: String,
    height: f64,
}

impl Drawing {
    /// An empty drawing. `id` is its own in the page, `class` its style; title and description are
    /// for those who do not see it.
    pub fn new(id: &str, class: &str, height: f64, title: &str, description: &str) -> Self {
        let (title, description) = (escape(title), escape(description));
        let out = format!(
            "<svg id=\"{id}\" class=\"{class}\" width=\"100%\" height=\"{}\" role=\"img\" \
             aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{title}</title>\
             <desc id=\"{id}-d\">{description}</desc>",
            number(height)
        );
        Self { out, height }
    }

    /// Its height in pixels.
    pub fn height(&self) -> f64 {
        self.height
    }

    /// A straight line.
    pub fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.out,
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>",
            percent(from.0),
            number(from.1),
            percent(to.0),
            number(to.1)
        );
    }

    /// A filled rectangle between two places across, with its upper edge and height.
    pub fn bar(&mut self, class: &str, across: (f64, f64), top: f64, height: f64) {
        let _ = write!(
            self.out,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
            percent(across.0),
            number(top),
            percent((across.1 - across.0).max(0.0)),
            number(height.max(0.0))
        );
    }

    /// Text, `shift` pixels to the right of its place.
    pub fn text(&mut self, class: &str, at: (f64, f64), shift: f64, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let _ = write!(
            self.out,
            "<text class=\"{class}\" x=\"{}\" y=\"{}\" dx=\"{}\" text-anchor=\"{anchor}\">{}</text>",
            percent(at.0),
            number(at.1),
            number(shift),
            escape(text)
        );
    }

    /// A contestant's mark, with what a pointer resting on it is told.
    pub fn mark(&mut self, kind: usize, at: (f64, f64), tip: &str) {
        self.place_mark("mark", kind, at, tip);
    }

    /// The same, where what lies around it should still be seen.
    pub fn small_mark(&mut self, kind: usize, at: (f64, f64), tip: &str) {
        self.place_mark("small", kind, at, tip);
    }

    fn place_mark(&mut self, size: &str, kind: usize, at: (f64, f64), tip: &str) {
        let kind = kind % KINDS;
        let _ = write!(
            self.out,
            "<use class=\"mark k{kind}\" href=\"#{size}{kind}\" x=\"{}\" y=\"{}\"><title>{}\
             </title></use>",
            percent(at.0),
            number(at.1),
            escape(tip)
        );
    }

    /// Many of a contestant's marks, as dots.
    pub fn dots(&mut self, class: &str, kind: usize, points: &[(f64, f64)]) {
        let kind = kind % KINDS;
        let _ = write!(self.out, "<g class=\"{class} k{kind}\">");
        for (x, y) in points {
            let (x, y) = (percent(*x), number(*y));
            let _ = write!(self.out, "<use href=\"#dot{kind}\" x=\"{x}\" y=\"{y}\"/>");
        }
        self.out += "</g>";
    }

    /// A small triangle at the edge: what it stands for lies beyond. Its tip is at `at`.
    pub fn arrow(&mut self, class: &str, at: (f64, f64), rightwards: bool) {
        let outline = if rightwards { "M0 0L-9-6L-9 6z" } else { "M0 0L9-6L9 6z" };
        let _ = write!(
            self.out,
            "<svg class=\"over {class}\" x=\"{}\" y=\"{}\" width=\"1\" height=\"1\">\
             <path d=\"{outline}\"/></svg>",
            percent(at.0),
            number(at.1)
        );
    }

    /// A curve through points.
    pub fn curve(&mut self, class: &str, points: &[(f64, f64)]) {
        let mut path = String::new();
        for (at, (x, y)) in points.iter().enumerate() {
            let verb = if at == 0 { 'M' } else { 'L' };
            let _ = write!(path, "{verb}{} {}", number(x * 1000.0), number(*y));
        }
        if path.is_empty() {
            return;
        }
        let height = number(self.height);
        let _ = write!(
            self.out,
            "<svg class=\"over\" width=\"100%\" height=\"{height}\" viewBox=\"0 0 1000 {height}\" \
             preserveAspectRatio=\"none\"><path class=\"{class}\" d=\"{path}\"/></svg>"
        );
    }

    /// Lines across at round values, with their labels at the left.
    pub fn grid_across(&mut self, scale: &Scale, about: usize, label: fn(f64) -> String) {
        for tick in scale.ticks(about) {
            let y = self.down(scale, tick);
            self.line("grid", (0.0, y), (1.0, y));
            self.text("tick", (0.0, y + 4.0), -8.0, Anchor::End, &label(tick));
        }
    }

    /// The place of a value on an upright axis.
    pub fn down(&self, scale: &Scale, value: f64) -> f64 {
        self.height * (1.0 - scale.place(value))
    }

    /// A line at the bottom, and a label below it at each of these places. Labels that would
    /// touch the one before are left out, but not the last: `room` is how far apart they must be.
    pub fn ticks_below(&mut self, room: f64, ticks: &[(f64, String)]) {
        let bottom = self.height;
        self.line("axis", (0.0, bottom), (1.0, bottom));
        let last = ticks.last().map_or(1.0, |(x, _)| *x);
        let mut free = f64::MIN;
        for (at, (x, label)) in ticks.iter().enumerate() {
            self.line("axis", (*x, bottom), (*x, bottom + 4.0));
            let is_last = at + 1 == ticks.len();
            if is_last || (*x >= free && *x + room <= last) {
                self.text("tick", (*x, bottom + 18.0), 0.0, Anchor::Middle, label);
                free = x + room;
            }
        }
    }

    /// The finished drawing.
    pub fn finish(self) -> String {
        self.out + "</svg>\n"
    }
}

/// A place across as SVG wants it.
fn percent(place: f64) -> String {
    number(within(place, -1.0, 2.0) * 100.0) + "%"
}

/// A finite number, as short as two decimals allow.
fn number(value: f64) -> String {
    let text = format!("{:.2}", within(value, -1e6, 1e6));
    let text = text.trim_end_matches('0').trim_end_matches('.');
    if text == "-0" { "0".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_places_its_ends_at_its_ends() {
        for scale in [Scale::linear(2.0, 6.0), Scale::log(2.0, 6.0)] {
            assert_eq!([2.0, 6.0, -1.0, 9.0].map(|x| scale.place(x)), [0.0, 1.0, 0.0, 1.0]);
        }
        assert_eq!(Scale::linear(2.0, 6.0).place(4.0), 0.5);
        assert!((Scale::log(1.0, 100.0).place(10.0) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn a_scale_of_nonsense_still_places() {
        let odd = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, -1.0, 1e300, 5e-324];
        for low in odd {
            for high in odd {
                for scale in [Scale::linear(low, high), Scale::log(low, high)] {
                    assert!(odd.iter().all(|x| (0.0..=1.0).contains(&scale.place(*x))));
                    assert!(scale.ticks(5).iter().all(|tick| tick.is_finite()));
                }
            }
        }
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(Scale::linear(0.0, 10.0).ticks(5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(Scale::log(1.0, 10.0).ticks(4), [1.0, 2.0, 5.0, 10.0]);
        assert_eq!(Scale::log(1.0, 1e4).ticks(5), [1.0, 10.0, 100.0, 1000.0, 10_000.0]);
        assert_eq!(Scale::log(1.0, 2.0).ticks(2), [1.0, 1.5, 2.0]);
    }

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(escape("<a b=\"c\">&'"), "&lt;a b=&quot;c&quot;&gt;&amp;&#39;");
        assert_eq!(escape("a\u{0}\u{1b}\u{202e}é"), "a\u{fffd}\u{fffd}\u{fffd}é");
    }

    #[test]
    fn numbers_are_short_and_finite() {
        let all = [1.5, -0.001, f64::NAN, f64::INFINITY, 2.0];
        assert_eq!(all.map(number), ["1.5", "0", "-1000000", "1000000", "2"]);
    }
}

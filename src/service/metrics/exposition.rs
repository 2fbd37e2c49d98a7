//! The text that Prometheus reads.

use std::fmt::{Display, Write};

/// A page of metrics as it grows.
#[derive(Default)]
pub struct Exposition {
    text: String,
    /// The metric whose samples are written.
    name: String,
}

/// What a metric's figures are.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// They only grow.
    Counter,
    /// They go up and down.
    Gauge,
    /// They are counted by size.
    Histogram,
}

impl Exposition {
    /// The samples of this metric follow. `help` is one line.
    pub fn begin(&mut self, name: &str, help: &str, kind: Kind) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        name.clone_into(&mut self.name);
    }

    /// A sample. Values of labels have neither quotes nor line ends.
    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.part("", labels, value);
    }

    /// A sample of a part of the metric, such as `_sum`.
    pub fn part(&mut self, part: &str, labels: &[(&str, &str)], value: impl Display) {
        let _ = write!(self.text, "{}{part}", self.name);
        for (place, (name, value)) in labels.iter().enumerate() {
            let before = if place == 0 { '{' } else { ',' };
            let _ = write!(self.text, "{before}{name}=\"{value}\"");
        }
        let after = if labels.is_empty() { "" } else { "}" };
        let _ = writeln!(self.text, "{after} {value}");
    }

    /// All of it.
    pub fn text(self) -> String {
        self.text
    }
}

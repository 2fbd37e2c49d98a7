//! From a histogram to its line in a document, and back.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

use super::document::Distribution;

impl Distribution {
    /// All values of `histogram`, in nanoseconds; `None` if there are none.
    pub fn of(histogram: &Histogram<u64>) -> Option<Distribution> {
        if histogram.is_empty() {
            return None;
        }
        let percentile = |percent: f64| percentile(histogram, percent);
        Some(Distribution {
            count: histogram.len(),
            min_ns: histogram.min(),
            mean_ns: histogram.mean(),
            p50_ns: percentile(50.0),
            p90_ns: percentile(90.0),
            p99_ns: percentile(99.0),
            p99_9_ns: percentile(99.9),
            p99_99_ns: percentile(99.99),
            max_ns: histogram.max(),
            histogram: encode(histogram),
        })
    }

    /// The histogram again.
    pub fn histogram(&self) -> Result<Histogram<u64>, String> {
        let bytes = BASE64_STANDARD
            .decode(&self.histogram)
            .map_err(|error| format!("a histogram is not base64: {error}"))?;
        Deserializer::new()
            .deserialize(&mut bytes.as_slice())
            .map_err(|error| format!("a histogram cannot be read: {error}"))
    }
}

/// A percentile, if at least one value lies beyond it.
pub fn percentile(histogram: &Histogram<u64>, percent: f64) -> Option<u64> {
    // Of 1,000 values exactly one lies beyond p99.9, whatever binary fractions make of it.
    const ROUNDING: f64 = 1e-9;
    let quantile = percent / 100.0 - ROUNDING;
    let beyond = histogram.len() as f64 * (1.0 - quantile);
    (beyond >= 1.0).then(|| histogram.value_at_quantile(quantile))
}

fn encode(histogram: &Histogram<u64>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(histogram, &mut bytes)
        .expect("a vector takes everything, and 64-bit counts fit");
    BASE64_STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tally::histogram;

    #[test]
    fn a_histogram_survives_its_document() {
        let mut times = histogram();
        for time in 1..=1000 {
            times.record(time * 1000).unwrap();
        }
        let document = Distribution::of(&times).unwrap();
        assert_eq!((document.count, document.min_ns), (1000, 1000));
        assert_eq!(document.histogram().unwrap(), times);
    }

    #[test]
    fn a_percentile_needs_a_value_beyond_it() {
        let mut times = histogram();
        for time in 1..=1000 {
            times.record(time).unwrap();
        }
        let document = Distribution::of(&times).unwrap();
        assert_eq!(document.p50_ns, Some(500));
        assert_eq!(document.p99_ns, Some(990));
        assert_eq!(document.p99_9_ns, Some(999));
        assert_eq!(document.p99_99_ns, None);
        assert_eq!(Distribution::of(&histogram()), None);
    }
}

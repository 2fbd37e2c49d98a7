//! Latencies as an HDR histogram log, which the tools of HdrHistogram read and merge.

use std::time::Duration;

use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use super::document::LoadResult;

/// Values are written in nanoseconds; a reader's largest value is in milliseconds.
const NANOSECONDS_PER_MILLISECOND: f64 = 1e6;

/// A log with one interval, the measured part. The tag `service` marks service times, if they differ
/// from latencies.
pub fn log(result: &LoadResult) -> Result<String, String> {
    let start = humantime::parse_rfc3339(&result.started)
        .map_err(|error| format!("the start is no time: {error}"))?;
    let length = Duration::try_from_secs_f64(result.elapsed_s)
        .map_err(|error| format!("how long it took is no time: {error}"))?;
    let mut text = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("written by socklab load; values in nanoseconds")
        .with_start_time(start)
        .with_base_time(start)
        .with_max_value_divisor(NANOSECONDS_PER_MILLISECOND)
        .begin_log_with(&mut text, &mut serializer)
        .map_err(failed)?;
    let tag = Tag::new("service").expect("it has no comma and no space");
    for (times, tag) in [(&result.latency, None), (&result.service_time, Some(tag))] {
        if let Some(times) = times {
            let histogram = times.histogram()?;
            writer.write_histogram(&histogram, Duration::ZERO, length, tag).map_err(failed)?;
        }
    }
    String::from_utf8(text).map_err(failed)
}

fn failed(error: impl std::fmt::Debug) -> String {
    format!("the histogram log cannot be written: {error:?}")
}

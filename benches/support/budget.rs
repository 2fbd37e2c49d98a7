//! How long a benchmark may take: all of them together, three minutes.

use std::time::Duration;

use criterion::Criterion;

/// Less than criterion's own eight seconds and 100 samples; arguments of `cargo bench` come first.
pub fn criterion() -> Criterion {
    Criterion::default()
        .sample_size(50)
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
}

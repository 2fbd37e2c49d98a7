//! The highest rate at which an objective is kept.

use log::info;

use super::condition::Condition;
use crate::report::document::{LoadResult, Trial};

/// The first rate that is tried, where none is given.
const FIRST: f64 = 1_000.0;

/// The search ends when the lowest rate that failed is so near to the highest that passed.
const NEAR: f64 = 1.05;

/// A server that answers less of the schedule than this is behind for good.
const KEEPS_UP: f64 = 0.98;

/// Rates tried at most: thirty doublings reach 10¹², so this is a bound, not a limit.
const MOST: usize = 40;

/// How often a rate is tried before it counts as missed: a bad moment of the machine is not the
/// server's.
const TRIES: usize = 3;

/// Doubles the rate until the objective is missed, then halves the distance; at the end the lowest
/// rate that missed it is tried once more.
///
/// The result is that of the highest rate that passed, with all trials; of the lowest that failed
/// where none passed.
pub fn highest_rate(
    objective: &Condition,
    first: Option<f64>,
    mut measure: impl FnMut(Option<f64>) -> Result<LoadResult, String>,
) -> Result<LoadResult, String> {
    let mut trials = Vec::new();
    let mut passed: Option<LoadResult> = None;
    let mut failed: Option<LoadResult> = None;
    let mut tried_again = false;
    let mut rate = first.unwrap_or(FIRST);
    for _ in 0..MOST {
        for attempt in 1..=TRIES {
            let result = measure(Some(rate))?;
            if result.interrupted {
                passed.get_or_insert(result);
                return ended(passed, trials);
            }
            let trial = judge(objective, rate, &result);
            info!("{}", told(objective, &trial));
            let hopeless = result.faults.total() > 0;
            if trial.passed {
                // Had it failed before, that was the machine's fault, and there may be more.
                failed = failed.filter(|failed| failed.options.rate > Some(rate));
                passed = Some(result);
            } else if hopeless || attempt == TRIES {
                failed = Some(result);
            }
            let done = trial.passed || hopeless;
            trials.push(trial);
            if hopeless {
                return ended(passed.or(failed), trials);
            }
            if done {
                break;
            }
        }
        let bound = |result: &Option<LoadResult>| result.as_ref()?.options.rate;
        rate = match (bound(&passed), bound(&failed)) {
            (Some(low), Some(high)) if high <= low * NEAR && tried_again => break,
            (Some(low), Some(high)) if high <= low * NEAR => {
                tried_again = true;
                high
            }
            (Some(low), Some(high)) => (low * high).sqrt(),
            (Some(low), None) => {
                tried_again = false;
                low * 2.0
            }
            (None, Some(high)) if high < 1.0 => break,
            (None, Some(high)) => high / 2.0,
            (None, None) => break,
        };
    }
    ended(passed.or(failed), trials)
}

fn ended(result: Option<LoadResult>, trials: Vec<Trial>) -> Result<LoadResult, String> {
    let mut result = result.ok_or("no rate was tried")?;
    result.trials = trials;
    Ok(result)
}

fn judge(objective: &Condition, rate: f64, result: &LoadResult) -> Trial {
    let value = objective.value(result);
    let achieved =
        result.chat.as_ref().map_or(result.messages_per_second, |chat| chat.lines_per_second);
    let reason = if let Some(fault) = result.faults.examples.first() {
        Some(fault.clone())
    } else if achieved < rate * KEEPS_UP {
        Some(format!("only {achieved:.0}/s were answered"))
    } else {
        match (objective.holds(result), value) {
            (Some(true), _) => None,
            (_, Some(value)) => Some(format!("it was {}", objective.shown(value))),
            (_, None) => Some("too few answers to tell; allow a longer --duration".into()),
        }
    };
    let reason = reason.map(|reason| match result.driver.bottleneck {
        true => format!("{reason}; the load generator was at its limit"),
        false => reason,
    });
    Trial { rate, achieved, value, passed: reason.is_none(), reason }
}

fn told(objective: &Condition, trial: &Trial) -> String {
    let Trial { rate, reason, value, .. } = trial;
    match reason {
        Some(reason) => format!("{rate:.0}/s: {objective} is missed: {reason}"),
        None => {
            let shown = value.map(|value| objective.shown(value)).unwrap_or_default();
            format!("{rate:.0}/s: {objective} is kept: {shown}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::tally::histogram;
    use crate::report::document::{Distribution, Driver, Faults, LoadOptions, VERSION};

    /// A run at `rate` in which every message took so long.
    fn result(rate: f64, latency_ns: u64) -> LoadResult {
        let mut times = histogram();
        times.record_n(latency_ns, 1000).unwrap();
        LoadResult {
            schema: VERSION,
            options: LoadOptions { rate: Some(rate), ..LoadOptions::default() },
            environments: Vec::new(),
            started: String::new(),
            interrupted: false,
            elapsed_s: 1.0,
            messages: 1000,
            messages_in_all: 1000,
            sent_bytes: 0,
            received_bytes: 0,
            messages_per_second: rate,
            chat: None,
            connected: 1,
            latency: Distribution::of(&times),
            service_time: None,
            connect: None,
            http: None,
            handshake: None,
            first_byte: None,
            datagrams: None,
            tls: None,
            faults: Faults::default(),
            driver: Driver::default(),
            server: None,
            trials: Vec::new(),
        }
    }

    /// What the search finds of a server that keeps its objective up to `limit`, if it has a bad
    /// moment whenever `bad` says so of the number of the trial.
    fn found(limit: f64, bad: impl Fn(usize) -> bool) -> LoadResult {
        let objective = "p99<1ms".parse().unwrap();
        let mut trial = 0;
        let measure = |rate: Option<f64>| {
            trial += 1;
            let slow = rate.unwrap() > limit || bad(trial);
            Ok(result(rate.unwrap(), if slow { 5_000_000 } else { 1_000 }))
        };
        highest_rate(&objective, Some(1000.0), measure).unwrap()
    }

    #[test]
    fn the_limit_is_found_from_below_and_from_above() {
        for limit in [10.0, 700.0, 1000.0, 1500.0, 123_456.0] {
            let rate = found(limit, |_| false).options.rate.unwrap();
            assert!(rate <= limit && rate * NEAR >= limit, "{rate} for {limit}");
        }
    }

    #[test]
    fn a_bad_moment_of_the_machine_does_not_end_the_search() {
        let found = found(123_456.0, |trial| trial % 3 == 1);
        let rate = found.options.rate.unwrap();
        assert!(rate <= 123_456.0 && rate * NEAR >= 123_456.0, "{rate}: {:?}", found.trials);
    }
}

//! How far a measurement is, on standard error where that is a terminal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use socklab::load::driver::Length;
use socklab::load::run::Plan;
use socklab::load::watch::Watch;

/// Often enough to be alive, rarely enough to cost nothing.
const EVERY: Duration = Duration::from_millis(200);

/// A line that is gone when this is dropped.
pub struct Progress {
    bar: ProgressBar,
    ended: Arc<AtomicBool>,
    teller: Option<JoinHandle<()>>,
}

impl Progress {
    /// A line that says what it is told.
    pub fn new() -> Progress {
        // indicatif draws nothing where standard error is no terminal.
        let bar = ProgressBar::new_spinner().with_style(
            ProgressStyle::with_template("{spinner} {wide_msg}").expect("the template is right"),
        );
        Progress { bar, ended: Arc::default(), teller: None }
    }

    /// A line that counts clients and messages.
    pub fn of_load(watch: &Arc<Watch>, plan: &Plan) -> Progress {
        let mut progress = Progress::new();
        if progress.bar.is_hidden() {
            return progress;
        }
        let (bar, watch, ended) = (progress.bar.clone(), watch.clone(), progress.ended.clone());
        let clients = plan.party.clients as u64;
        let what = match (plan.length, &plan.objective) {
            (_, Some(objective)) => format!("searching the highest rate that keeps {objective}"),
            (Length::Time(time), None) => format!("measuring for {time:?}"),
            (Length::Messages(messages), None) => format!("measuring {messages} messages"),
        };
        progress.teller = thread::Builder::new()
            .name("progress".into())
            .spawn(move || {
                while !ended.load(Ordering::Relaxed) {
                    let connected = watch.connected.load(Ordering::Relaxed).min(clients);
                    let messages = watch.messages.load(Ordering::Relaxed);
                    let stopping = match watch.stop.load(Ordering::Relaxed) {
                        true => "; waiting for the last answers",
                        false => "",
                    };
                    bar.set_message(format!(
                        "{connected} of {clients} clients, {messages} answers; {what}{stopping}"
                    ));
                    bar.tick();
                    thread::sleep(EVERY);
                }
            })
            .ok();
        progress
    }

    /// Says this instead.
    pub fn say(&self, text: String) {
        self.bar.set_message(text);
        self.bar.tick();
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(teller) = self.teller.take() {
            let _ = teller.join();
        }
        self.bar.finish_and_clear();
    }
}

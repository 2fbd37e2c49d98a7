//! How far a measurement is, on standard error where that is a terminal.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use indicatif::{DecimalBytes, HumanDuration, ProgressBar, ProgressStyle};
use socklab::client::transfer::{self, Scene, Stage};
use socklab::load::driver::Length;
use socklab::load::run::Plan;
use socklab::load::watch::Watch;

/// Often enough to be alive, rarely enough to cost nothing.
const EVERY: Duration = Duration::from_millis(200);

/// A file whose length is known, and one that ends when it does.
const KNOWN: &str = "{wide_msg} [{bar:24}] {prefix}";
const UNKNOWN: &str = "{spinner} {wide_msg} {prefix}";

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
        let bar = ProgressBar::new_spinner().with_style(style("{spinner} {wide_msg}"));
        Progress { bar, ended: Arc::default(), teller: None }
    }

    /// A line that counts clients and messages.
    pub fn of_load(watch: &Arc<Watch>, plan: &Plan) -> Progress {
        let mut progress = Progress::new();
        if progress.bar.is_hidden() {
            return progress;
        }
        let (bar, watch) = (progress.bar.clone(), watch.clone());
        let clients = plan.party.clients as u64;
        let what = match (plan.length, &plan.objective) {
            (_, Some(objective)) => format!("searching the highest rate that keeps {objective}"),
            (Length::Time(time), None) => format!("measuring for {time:?}"),
            (Length::Messages(messages), None) => format!("measuring {messages} messages"),
        };
        progress.tell(move || {
            let connected = watch.connected.load(Ordering::Relaxed).min(clients);
            let messages = watch.messages.load(Ordering::Relaxed);
            let stopping = match watch.stop.load(Ordering::Relaxed) {
                true => "; waiting for the last answers",
                false => "",
            };
            bar.set_message(format!(
                "{connected} of {clients} clients, {messages} answers; {what}{stopping}"
            ));
        });
        progress
    }

    /// A bar for each file of a transfer.
    pub fn of_transfer(watch: &Arc<transfer::Watch>) -> Progress {
        let mut progress = Progress::new();
        if progress.bar.is_hidden() {
            return progress;
        }
        let (bar, watch) = (progress.bar.clone(), watch.clone());
        let (mut shown, mut pace) = (Scene::default(), Pace::at(0));
        progress.tell(move || {
            let (scene, done) = (watch.scene(), watch.done());
            if scene != shown {
                bar.set_style(style(if scene.total.is_some() { KNOWN } else { UNKNOWN }));
                bar.set_length(scene.total.unwrap_or(0));
                bar.set_message(match scene.stage {
                    Stage::Asking => format!("{}: waiting for the server", scene.name),
                    Stage::Moving => scene.name.clone(),
                    Stage::Checking => format!("{}: checking", scene.name),
                });
                // What was there before says nothing about the rate.
                pace = Pace::at(scene.start);
            }
            bar.set_position(done);
            bar.set_prefix(pace.told(done, scene.total));
            shown = scene;
        });
        progress
    }

    /// Ticks, and has `look` set the bar, until this is dropped.
    fn tell(&mut self, mut look: impl FnMut() + Send + 'static) {
        let (bar, ended) = (self.bar.clone(), self.ended.clone());
        let telling = move || {
            while !ended.load(Ordering::Relaxed) {
                look();
                bar.tick();
                thread::sleep(EVERY);
            }
        };
        self.teller = thread::Builder::new().name("progress".into()).spawn(telling).ok();
    }

    /// Says something that stays, in a line of its own.
    pub fn leave(&self, text: &str) {
        // Nobody is left to tell when standard error is gone.
        self.bar.suspend(|| drop(writeln!(io::stderr(), "{text}")));
    }

    /// Takes the line away at once, from another thread.
    pub fn eraser(&self) -> impl FnOnce() + Send + 'static {
        let (bar, ended) = (self.bar.clone(), self.ended.clone());
        move || {
            ended.store(true, Ordering::Relaxed);
            bar.finish_and_clear();
        }
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

/// How fast a file moves, as far as the last second or two tell.
struct Pace {
    last: (Instant, u64),
    /// Bytes per second.
    rate: Option<f64>,
}

impl Pace {
    fn at(done: u64) -> Pace {
        Pace { last: (Instant::now(), done), rate: None }
    }

    /// `44.04 MB of 1.07 GB, 47.72 MB/s, 21s`.
    fn told(&mut self, done: u64, total: Option<u64>) -> String {
        let (now, (then, before)) = (Instant::now(), self.last);
        let time = now.duration_since(then);
        if time >= EVERY / 2 {
            let rate = done.saturating_sub(before) as f64 / time.as_secs_f64();
            self.rate = Some(self.rate.map_or(rate, |smooth| smooth + (rate - smooth) * 0.2));
            self.last = (now, done);
        }
        let mut text = DecimalBytes(done).to_string();
        if let Some(total) = total {
            text += &format!(" of {}", DecimalBytes(total));
        }
        if let Some(rate) = self.rate.filter(|rate| *rate >= 1.0) {
            text += &format!(", {}/s", DecimalBytes(rate as u64));
            if let Some(total) = total {
                let left = total.saturating_sub(done) as f64 / rate;
                let left = Duration::try_from_secs_f64(left.ceil()).unwrap_or(Duration::MAX);
                text += &format!(", {:#}", HumanDuration(left));
            }
        }
        text
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is right")
}

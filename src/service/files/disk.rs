//! A few threads that wait for the disk, so that no session does.
//!
//! A job is given to them, and who gave it looks now and then whether it is done. A job that panics
//! fails alone.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::fault::Fault;

/// As many as wait at once: two that hash and one that lists, at most, and one for what cannot wait
/// for those. More do not make a disk quicker.
const THREADS: usize = 4;

type Job = Box<dyn FnOnce() + Send>;

/// The threads. None is started before there is a job, and they end after the last clone of this,
/// once all jobs are done.
#[derive(Clone, Default)]
pub struct Disk {
    owner: Arc<Owner>,
}

#[derive(Default)]
struct Owner {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    news: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    is_over: bool,
}

impl Disk {
    /// Does `job` when a thread is free, after those given before.
    pub fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> Result<T, Fault> + Send + 'static,
    ) -> Pending<T> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.push(Box::new(move || {
            // Nobody may be interested any more.
            let _ = sender.send(job());
        }));
        Pending { receiver }
    }

    fn push(&self, job: Job) {
        let mut lost = VecDeque::new();
        let mut state = self.owner.shared.lock();
        state.jobs.push_back(job);
        if state.jobs.len() > state.idle && state.threads < THREADS {
            let shared = self.owner.shared.clone();
            match thread::Builder::new().name("disk".into()).spawn(move || shared.work()) {
                Ok(_) => state.threads += 1,
                // Nobody would ever do them. They are dropped with the senders in them, by which
                // the receivers learn of it, and not before the lock is: a job may own anything.
                Err(error) if state.threads == 0 => {
                    log::error!("cannot start a thread for the disk: {error}");
                    lost = std::mem::take(&mut state.jobs);
                }
                Err(_) => {}
            }
        }
        drop(state);
        drop(lost);
        self.owner.shared.news.notify_one();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.news.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a thread.
    fn work(&self) {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // Its sender is lost on the way, which is how its receiver learns of it.
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.lock();
            } else if state.is_over {
                return;
            } else {
                state.idle += 1;
                state = self.news.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Disk")
    }
}

/// What a job will come to. Who drops it is not told; the job is done all the same.
#[derive(Debug)]
pub struct Pending<T> {
    receiver: Receiver<Result<T, Fault>>,
}

impl<T> Pending<T> {
    pub(super) fn new(receiver: Receiver<Result<T, Fault>>) -> Pending<T> {
        Pending { receiver }
    }

    /// The outcome, once: after that it is a failure.
    pub fn poll(&mut self) -> Option<Result<T, Fault>> {
        match self.receiver.try_recv() {
            Ok(outcome) => Some(outcome),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(lost())),
        }
    }

    /// Sleeps until it is there. Not for sessions.
    pub fn wait(self) -> Result<T, Fault> {
        self.receiver.recv().unwrap_or_else(|_| Err(lost()))
    }
}

fn lost() -> Fault {
    Fault::Failed(io::Error::other("the job was given up"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_panics_fails_alone() {
        let disk = Disk::default();
        for _ in 0..2 * THREADS {
            let outcome = disk.run(|| -> Result<(), Fault> { panic!("on purpose") }).wait();
            assert!(matches!(outcome, Err(Fault::Failed(_))), "{outcome:?}");
        }
        assert_eq!(disk.run(|| Ok(7)).wait().unwrap(), 7);
    }

    #[test]
    fn jobs_wait_for_a_thread_and_none_is_lost() {
        let disk = Disk::default();
        let jobs: Vec<_> = (0..1000).map(|number| disk.run(move || Ok(number))).collect();
        // What was given is done even after the last handle.
        drop(disk);
        let sum: i32 = jobs.into_iter().map(|job| job.wait().unwrap()).sum();
        assert_eq!(sum, 999 * 1000 / 2);
    }

    #[test]
    fn one_that_waits_does_not_stop_the_others() {
        let disk = Disk::default();
        let (go, stop) = mpsc::channel::<()>();
        let mut first = disk.run(move || stop.recv().map_err(|_| Fault::Busy));
        assert_eq!(disk.run(|| Ok(1)).wait().unwrap(), 1);
        assert!(first.poll().is_none());
        go.send(()).unwrap();
        first.wait().unwrap();
    }
}

//! SHA-256 of the files that are served, computed once for each version, in the background.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use ring::digest::{Context, SHA256};
use rustix::fs::fstat;

use super::disk::Disk;
use super::fault::Fault;
use super::stat::Stat;

/// Results that are kept: about 200 bytes each.
const KNOWN: usize = 1024;

/// Files that may wait for their turn. Each is held open.
const WAITING: usize = 64;

/// Files that are hashed at once, so that uploads find a free thread of the disk.
const RUNNING: usize = 2;

/// One read of the disk.
const PIECE: usize = 1024 * 1024;

/// SHA-256 of files. Clones share what is known.
#[derive(Clone)]
pub struct Digests {
    disk: Disk,
    state: Arc<Mutex<State>>,
}

/// A digest, or why there is none: what went wrong, if it is not that the file changed.
type Outcome = Result<[u8; 32], Option<ErrorKind>>;

/// A digest that was asked for. Any number may wait for one, and each costs a pointer.
#[derive(Clone, Debug)]
pub struct Asked {
    outcome: Arc<OnceLock<Outcome>>,
}

impl Asked {
    /// The outcome, once it is there.
    pub fn poll(&self) -> Option<Result<[u8; 32], Fault>> {
        self.outcome.get().map(told)
    }

    /// Sleeps until it is there. Not for sessions.
    pub fn wait(&self) -> Result<[u8; 32], Fault> {
        told(self.outcome.wait())
    }
}

fn told(outcome: &Outcome) -> Result<[u8; 32], Fault> {
    outcome.map_err(|failure| match failure {
        Some(kind) => Fault::Failed(kind.into()),
        None => Fault::Conflict("it changed while it was read"),
    })
}

#[derive(Default)]
struct State {
    known: HashMap<Stat, [u8; 32]>,
    /// What is known, the oldest first.
    order: VecDeque<Stat>,
    /// What will be told of each that is being hashed or is to be.
    asked: HashMap<Stat, Arc<OnceLock<Outcome>>>,
    waiting: VecDeque<(Arc<File>, Stat)>,
    running: usize,
}

impl Digests {
    /// Nothing is known yet.
    pub fn new(disk: &Disk) -> Digests {
        Digests { disk: disk.clone(), state: Arc::default() }
    }

    /// The digest of this version, if it was computed already.
    pub fn known(&self, stat: &Stat) -> Option<[u8; 32]> {
        self.lock().known.get(stat).copied()
    }

    /// Takes note of a digest that was computed elsewhere, as for an upload.
    pub fn learn(&self, stat: &Stat, digest: [u8; 32]) {
        self.lock().learn(stat, digest);
    }

    /// The digest of this version of `file`. Whether anybody waits for it or not, it will be known,
    /// unless the file changes meanwhile. [`Fault::Busy`]: too much else was asked for.
    pub fn ask(&self, file: &Arc<File>, stat: &Stat) -> Result<Asked, Fault> {
        let mut state = self.lock();
        if let Some(&digest) = state.known.get(stat) {
            return Ok(Asked { outcome: Arc::new(OnceLock::from(Ok(digest))) });
        }
        if let Some(outcome) = state.asked.get(stat) {
            return Ok(Asked { outcome: outcome.clone() });
        }
        if state.waiting.len() == WAITING {
            return Err(Fault::Busy);
        }
        let outcome = Arc::default();
        state.asked.insert(*stat, Arc::clone(&outcome));
        state.waiting.push_back((file.clone(), *stat));
        self.start(state);
        Ok(Asked { outcome })
    }

    /// Gives the disk another file, if it has none or one.
    fn start(&self, mut state: MutexGuard<'_, State>) {
        if state.running == RUNNING {
            return;
        }
        let Some((file, stat)) = state.waiting.pop_front() else { return };
        state.running += 1;
        drop(state);
        // Whatever happens to the job, its turn ends.
        let turn = Turn { digests: self.clone(), stat };
        drop(self.disk.run(move || {
            turn.end(hash(&file, &stat));
            Ok(())
        }));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn learn(&mut self, stat: &Stat, digest: [u8; 32]) {
        if self.known.insert(*stat, digest).is_none() {
            self.order.push_back(*stat);
        }
        if self.order.len() > KNOWN
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

/// A file's turn to be hashed.
struct Turn {
    digests: Digests,
    stat: Stat,
}

impl Turn {
    fn end(&self, outcome: Result<[u8; 32], Fault>) {
        let mut state = self.digests.lock();
        if let Ok(digest) = outcome {
            state.learn(&self.stat, digest);
        }
        self.tell(
            &mut state,
            outcome.map_err(|fault| match fault {
                Fault::Failed(error) => {
                    log::error!("files: cannot hash one: {error}");
                    Some(error.kind())
                }
                _ => None,
            }),
        );
    }

    fn tell(&self, state: &mut State, outcome: Outcome) {
        if let Some(asked) = state.asked.remove(&self.stat) {
            let _ = asked.set(outcome);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.digests.lock();
        // Nobody is left here but after a panic.
        self.tell(&mut state, Err(Some(ErrorKind::Other)));
        state.running -= 1;
        self.digests.start(state);
    }
}

/// A file that changes while it is read has no digest.
fn hash(file: &File, stat: &Stat) -> Result<[u8; 32], Fault> {
    let mut context = Context::new(&SHA256);
    let mut piece = vec![0; PIECE];
    let mut position = 0;
    loop {
        match file.read_at(&mut piece, position) {
            Ok(0) => break,
            Ok(count) => {
                context.update(&piece[..count]);
                position += count as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
        if position > stat.len {
            break;
        }
    }
    if position != stat.len || Stat::new(&fstat(file)?) != *stat {
        return Err(Fault::Conflict("it changed while it was read"));
    }
    Ok(context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

impl fmt::Debug for Digests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digests")
    }
}

//! SHA-256 of the files that are served, computed once for each version, in the background.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{Context, SHA256};
use rustix::fs::fstat;

use super::disk::{Disk, Pending};
use super::fault::Fault;
use super::stat::Stat;

/// Results that are kept: about 200 bytes each.
const KNOWN: usize = 1024;

/// Files that may wait for their turn. Each is held open.
const WAITING: usize = 64;

/// Files that are hashed at once, so that uploads find a free thread of the disk.
const RUNNING: usize = 2;

/// Requests that may wait for one file.
const ASKING: usize = 1024;

/// One read of the disk.
const PIECE: usize = 1024 * 1024;

/// SHA-256 of files. Clones share what is known.
#[derive(Clone)]
pub struct Digests {
    disk: Disk,
    state: Arc<Mutex<State>>,
}

type Asker = SyncSender<Result<[u8; 32], Fault>>;

#[derive(Default)]
struct State {
    known: HashMap<Stat, [u8; 32]>,
    /// What is known, the oldest first.
    order: VecDeque<Stat>,
    /// Who waits for each that is being hashed or is to be.
    asked: HashMap<Stat, Vec<Asker>>,
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
    pub fn ask(&self, file: &Arc<File>, stat: &Stat) -> Result<Pending<[u8; 32]>, Fault> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let mut state = self.lock();
        if let Some(&digest) = state.known.get(stat) {
            let _ = sender.send(Ok(digest));
        } else if let Some(asking) = state.asked.get_mut(stat) {
            if asking.len() == ASKING {
                return Err(Fault::Busy);
            }
            asking.push(sender);
        } else if state.waiting.len() == WAITING {
            return Err(Fault::Busy);
        } else {
            state.asked.insert(*stat, vec![sender]);
            state.waiting.push_back((file.clone(), *stat));
            self.start(state);
        }
        Ok(Pending::new(receiver))
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
        for sender in state.asked.remove(&self.stat).unwrap_or_default() {
            let _ = sender.send(match &outcome {
                Ok(digest) => Ok(*digest),
                Err(Fault::Failed(error)) => Err(Fault::Failed(error.kind().into())),
                Err(_) => Err(Fault::Conflict("it changed while it was read")),
            });
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.digests.lock();
        // Nobody is left here but after a panic, and then their senders tell them.
        state.asked.remove(&self.stat);
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

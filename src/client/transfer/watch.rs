//! How far a transfer is, for whoever looks from another thread; and what is left if it ends now.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::size;
use crate::client::chat::plain;

/// What is seen of a transfer while it is under way.
#[derive(Default)]
pub struct Watch {
    scene: Mutex<Scene>,
    done: AtomicU64,
    /// The input of an upload is silent, which is not the server's fault.
    waiting_for_input: AtomicBool,
}

/// What is going on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scene {
    /// The file, for people.
    pub name: String,
    /// What is done with it.
    pub stage: Stage,
    /// How much there was before.
    pub start: u64,
    /// How much there will be, where that is known.
    pub total: Option<u64>,
    /// What is kept if it ends now.
    pub kept: Kept,
}

/// What is done with a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// The server is called, or waited for.
    #[default]
    Asking,
    /// Bytes move.
    Moving,
    /// What is here already is hashed.
    Checking,
}

/// What an interruption leaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Kept {
    /// Nothing.
    #[default]
    Nothing,
    /// A part in a file here.
    Part(PathBuf),
    /// Perhaps a part at the server, which an upload that is run again asks for.
    AtServer,
}

impl Watch {
    /// What is going on.
    pub fn scene(&self) -> Scene {
        self.lock().clone()
    }

    /// Bytes of the file that are where they belong, those from before included.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// How to go on if it ended now.
    pub fn advice(&self) -> String {
        match self.scene().kept {
            Kept::Part(part) => {
                format!("{} has {}: run it again to go on there", shown(&part), size(self.done()))
            }
            Kept::AtServer => {
                "run it again: it goes on where the server has it, if that keeps parts".into()
            }
            Kept::Nothing => "run it again to begin anew".into(),
        }
    }

    /// The next file, of which nothing is known.
    pub(super) fn next(&self, name: String) {
        *self.lock() = Scene { name, ..Scene::default() };
        self.at(0);
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Scene)) {
        change(&mut self.lock());
    }

    /// The scene moves on: `start` bytes are there of `total`.
    pub(super) fn begin(&self, stage: Stage, start: u64, total: Option<u64>) {
        self.at(start);
        self.set(|scene| (scene.stage, scene.start, scene.total) = (stage, start, total));
    }

    pub(super) fn at(&self, done: u64) {
        self.done.store(done, Ordering::Relaxed);
    }

    pub(super) fn add(&self, bytes: usize) {
        self.done.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn wait_for_input(&self, waiting: bool) {
        self.waiting_for_input.store(waiting, Ordering::Relaxed);
    }

    pub(super) fn waits_for_input(&self) -> bool {
        self.waiting_for_input.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Scene> {
        self.scene.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path for people: nothing in it reaches their terminal as anything but text.
pub fn shown(path: &std::path::Path) -> String {
    plain(path.as_os_str().as_encoded_bytes())
}

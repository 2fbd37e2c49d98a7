//! A file that is not all there yet, beside the place where it will be: `FILE.part`, and
//! `FILE.part.json`, which remembers what it is a part of.
//!
//! The laws, so that the process may be killed anywhere:
//!
//! 1. The memory is written before the part, and outlives it: a part without one is not ours, and is
//!    not touched.
//! 2. A part only grows, by bytes that came in order; or it begins anew, with a new memory first.
//! 3. Who writes has the lock on the part; the target changes by a rename of what is synced.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use serde::{Deserialize, Serialize};

use super::head::Head;
use super::watch::shown;
use super::{Error, Url};

/// What a part is a part of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// As it was asked for.
    url: String,
    /// The strong tag of the whole, for `If-Range`.
    etag: Option<String>,
    /// When it was changed last, where there is no such tag.
    last_modified: Option<String>,
    /// How long the whole is.
    pub length: Option<u64>,
}

impl Memory {
    /// What an answer with the whole, or the beginning of it, says.
    pub fn of(url: &Url, head: &Head, length: Option<u64>) -> Memory {
        Memory {
            url: url.to_string(),
            etag: head.strong_tag().map(String::from),
            last_modified: head.strong_time().map(String::from),
            length,
        }
    }

    /// For `If-Range`. `None`: no server can say whether what it has is still the same.
    pub fn validator(&self) -> Option<&str> {
        self.etag.as_deref().or(self.last_modified.as_deref())
    }

    /// Whether an answer is of the same file.
    pub fn fits(&self, head: &Head) -> bool {
        match (&self.etag, &self.last_modified) {
            (Some(tag), _) => head.field("ETag") == Some(tag),
            (None, Some(time)) => head.field("Last-Modified") == Some(time),
            (None, None) => false,
        }
    }
}

/// The part, open and locked.
pub struct Part {
    target: PathBuf,
    /// Where it is.
    pub path: PathBuf,
    /// How much there is.
    pub length: u64,
    /// What it is a part of.
    pub memory: Memory,
    file: File,
}

impl Part {
    /// The part of `target` that an earlier transfer of `url` has left.
    pub fn left(target: &Path, url: &Url) -> Result<Option<Part>, Error> {
        let [path, notes] = places(target);
        let Some(file) = open(&path, false)? else {
            return Ok(None);
        };
        let Some(memory) = recall(&notes)? else {
            let path = shown(&path);
            let why =
                format!("{path} is in the way: it is no part that `socklab get` has left; move it");
            return Err(Error::InTheWay(why));
        };
        let length = file.metadata().map_err(|error| local(&path, error))?.len();
        // One of something else is of no use, but stays until there is something better.
        let memory = if memory.url == url.to_string() { memory } else { Memory::default() };
        Ok(Some(Part { target: target.into(), path, length, memory, file }))
    }

    /// A new one.
    pub fn create(target: &Path, memory: Memory) -> Result<Part, Error> {
        let [path, notes] = places(target);
        note(&notes, &memory)?;
        let Some(file) = open(&path, true)? else {
            return Err(local(&path, ErrorKind::NotFound.into()));
        };
        file.set_len(0).map_err(|error| local(&path, error))?;
        Ok(Part { target: target.into(), path, length: 0, memory, file })
    }

    /// Begins anew, as a part of something else.
    pub fn begin(&mut self, memory: Memory) -> Result<(), Error> {
        let [_, notes] = places(&self.target);
        note(&notes, &memory)?;
        self.file.set_len(0).map_err(|error| local(&self.path, error))?;
        (self.memory, self.length) = (memory, 0);
        Ok(())
    }

    /// For whoever reads it meanwhile.
    pub fn reader(&self) -> Result<File, Error> {
        self.file.try_clone().map_err(|error| local(&self.path, error))
    }

    /// Adds what came. What the disk takes before it is full is kept.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            match self.file.write(bytes) {
                Ok(n) => {
                    self.length += n as u64;
                    bytes = &bytes[n..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(local(&self.path, error)),
            }
        }
        Ok(())
    }

    /// All has come: it becomes the target.
    pub fn finish(self) -> Result<(), Error> {
        let failed = |error| local(&self.path, error);
        if let Ok(before) = fs::metadata(&self.target) {
            // Whoever could read what is replaced can read this.
            self.file.set_permissions(before.permissions()).map_err(failed)?;
        }
        // Or a power failure could leave the name without the bytes.
        self.file.sync_all().map_err(failed)?;
        fs::rename(&self.path, &self.target).map_err(|error| local(&self.target, error))?;
        let [_, notes] = places(&self.target);
        // Without a part it means nothing.
        let _ = fs::remove_file(notes);
        let _ = File::open(folder(&self.target)).and_then(|folder| folder.sync_all());
        Ok(())
    }

    /// It is of no use.
    pub fn discard(self) {
        let [path, notes] = places(&self.target);
        let _ = fs::remove_file(path);
        let _ = fs::remove_file(notes);
    }
}

/// The part and its memory.
fn places(target: &Path) -> [PathBuf; 2] {
    [".part", ".part.json"].map(|ending| {
        let mut name = target.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    })
}

fn folder(target: &Path) -> &Path {
    match target.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn local(path: &Path, error: io::Error) -> Error {
    Error::Local(shown(path), error)
}

/// Opens a part for its only writer, and makes it if that is wanted. A link is not followed: in a
/// folder of everybody's it may be anybody's. A FIFO is not waited for.
fn open(path: &Path, create: bool) -> Result<Option<File>, Error> {
    loop {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(create)
            .custom_flags((OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits())
            .open(path);
        let file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound && !create => return Ok(None),
            Err(error) => return Err(local(path, error)),
        };
        let opened = file.metadata().map_err(|error| local(path, error))?;
        if !opened.is_file() {
            return Err(Error::InTheWay(format!(
                "{} is in the way: it is not a file",
                shown(path)
            )));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let why = format!("{} is being written by another `socklab get`", shown(path));
                return Err(Error::InTheWay(why));
            }
            Err(TryLockError::Error(error)) => return Err(local(path, error)),
        }
        // Its last writer may have made it the target before the lock was ours.
        let there = fs::symlink_metadata(path);
        if there.is_ok_and(|there| (there.dev(), there.ino()) == (opened.dev(), opened.ino())) {
            return Ok(Some(file));
        }
    }
}

/// What was noted. One that cannot be understood was ours: it was being written when all ended.
fn recall(notes: &Path) -> Result<Option<Memory>, Error> {
    match fs::read(notes) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text).unwrap_or_default())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(local(notes, error)),
    }
}

fn note(notes: &Path, memory: &Memory) -> Result<(), Error> {
    let text =
        serde_json::to_string_pretty(memory).expect("it has string keys and no floats") + "\n";
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .custom_flags(OFlag::O_NOFOLLOW.bits())
        .open(notes);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| local(notes, error))
}

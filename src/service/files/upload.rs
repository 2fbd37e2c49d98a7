//! A file on its way in, which nobody sees half of.
//!
//! Its bytes go to a part beside the target. When all are there they are synced, checked and given
//! the target's name in one step; a process that is killed at any time leaves the old file or the new
//! one, and perhaps a part.

use std::fmt;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use ring::digest::{Context, SHA256};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, fchmod, fstat, fstatvfs, linkat, renameat,
    renameat_with, unlinkat,
};
use rustix::io::Errno;

use super::disk::{Disk, Pending};
use super::fault::Fault;
use super::parents::{Parents, sync_directory};
use super::part::{self, Part, canonical, join, split};
use super::root::{Condition, Root};
use super::stat::{Stat, kind};

/// After so many bytes the disk is told to take them, so that the end does not wait for all.
const STEP: u64 = 8 * 1024 * 1024;

/// More than this may not wait for the disk: the kernel would at last put the writer to sleep, and
/// with it an engine.
const AHEAD: u64 = 32 * 1024 * 1024;

/// How much of what there is already is hashed along with each step, when an upload goes on.
const HASHED_BESIDE: u64 = 64 * 1024 * 1024;

/// How often its place may be taken away before its first byte until that is no chance any more.
const TRIES: usize = 8;

/// One read of the hash. The bytes are in the page cache, and this much stays in the CPU's.
const PIECE: usize = 256 * 1024;

/// What is known of an upload before its first byte.
#[derive(Clone, Copy, Debug, Default)]
pub struct Plan {
    /// Where it goes on, in bytes, if it may be resumed (`Content-Range`): at 0 it begins. `None` for
    /// one that is whole.
    pub first: Option<u64>,
    /// How many bytes the whole file has.
    pub total: Option<u64>,
    /// How many it may have.
    pub most: Option<u64>,
    /// Its SHA-256.
    pub digest: Option<[u8; 32]>,
}

/// A file on its way in. It holds two descriptors.
///
/// When it is dropped, what has come is kept for an upload that goes on there, if none of the same
/// name began earlier and is still under way.
#[derive(Debug)]
pub struct Upload {
    root: Root,
    path: Vec<u8>,
    plan: Plan,
    part: Part,
    /// Behind the part, which is dropped first: what is not empty stays.
    parents: Parents,
    position: u64,
    hash: Option<Arc<Mutex<Hash>>>,
    disk: Disk,
    /// The disk is taking what there was at `told`, and has taken what there was at `taken`.
    job: Option<Pending<u64>>,
    told: u64,
    taken: u64,
    fault: Option<Fault>,
}

/// What has become of it.
#[derive(Clone, Copy, Debug)]
pub struct Stored {
    /// Whether there was nothing before.
    pub created: bool,
    /// The version that stands there now.
    pub stat: Stat,
    /// Its SHA-256, if it was to be checked.
    pub digest: Option<[u8; 32]>,
}

impl Upload {
    /// Makes the parents of `path` and a part beside it, if all that is known allows it. Nothing is
    /// said of conditions: look at [`Root::find`].
    pub fn begin(root: &Root, path: &[u8], plan: Plan, disk: &Disk) -> Result<Upload, Fault> {
        root.check(path)?;
        let first = plan.first.unwrap_or(0);
        if split(path).1.is_empty() {
            return Err(Fault::IsDirectory);
        }
        if plan.most.is_some_and(|most| plan.total.unwrap_or(first) > most) {
            return Err(Fault::TooLarge);
        }
        if plan.total.is_some_and(|total| total < first) {
            return Err(Fault::Conflict("the range begins behind the end"));
        }
        let mut placed = place(root, path, &plan, disk);
        for _ in 1..TRIES {
            // A parent may have been made for another upload, which was refused and took it along.
            if !matches!(placed, Err(Fault::Missing)) {
                break;
            }
            placed = place(root, path, &plan, disk);
        }
        let (parents, part) = placed?;
        let hash = plan.digest.is_some().then(|| Arc::new(Mutex::new(Hash::new())));
        Ok(Upload {
            root: root.clone(),
            path: path.to_vec(),
            plan,
            part,
            parents,
            position: first,
            hash,
            disk: disk.clone(),
            job: None,
            told: first,
            taken: first,
            fault: None,
        })
    }

    /// How many bytes there are, those of an earlier upload included.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Appends all of `bytes`. After a fault, its space is given back and nothing more is taken.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let outcome = self.append(bytes);
        if outcome.is_err() {
            self.part.discard();
        }
        outcome
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        let end = self.position.saturating_add(bytes.len() as u64);
        if end > self.plan.most.unwrap_or(u64::MAX) {
            return Err(Fault::TooLarge);
        }
        if end > self.plan.total.unwrap_or(u64::MAX) {
            return Err(Fault::Conflict("more came than was announced"));
        }
        // At an offset: a write that failed half-way leaves no doubt where the next one begins.
        self.part.file().write_all_at(bytes, self.position)?;
        self.position = end;
        self.tell_disk();
        Ok(())
    }

    /// Whether so much waits for the disk that no more should be written now. Ask again a little
    /// later.
    pub fn is_ahead(&mut self) -> bool {
        self.tell_disk();
        self.fault.is_none() && self.position - self.taken > AHEAD
    }

    /// One job at a time takes all there is.
    fn tell_disk(&mut self) {
        match self.job.as_mut().and_then(Pending::poll) {
            Some(Ok(taken)) => (self.taken, self.job) = (taken, None),
            Some(Err(fault)) => (self.fault, self.job) = (Some(fault), None),
            None => {}
        }
        if self.job.is_none() && self.fault.is_none() && self.position - self.told >= STEP {
            let (file, hash) = (self.part.file().clone(), self.hash.clone());
            let (end, spoil) = (self.position, self.part.spoil());
            self.job = Some(self.disk.run(move || {
                // The kernel tells of what it has lost once. Whoever went on with the part would be
                // told that all is well.
                file.sync_data().inspect_err(|_| spoil())?;
                if let Some(hash) = hash {
                    let mut hash = hash.lock().unwrap_or_else(PoisonError::into_inner);
                    let until = end.min(hash.position + HASHED_BESIDE);
                    hash.read(&file, until)?;
                }
                Ok(end)
            }));
            self.told = end;
        }
    }

    /// Gives the target its new content, if `condition` holds of what stands there then, and answers
    /// when that is on the disk. Otherwise the part is removed.
    pub fn finish(mut self, condition: Condition) -> Pending<Stored> {
        let disk = self.disk.clone();
        disk.run(move || {
            let outcome = self.store(condition);
            if outcome.is_err() {
                self.part.discard();
            }
            outcome
        })
    }

    /// Leaves what has come for one that goes on there, and how much that is, unless the disk has
    /// lost some of it.
    pub fn pause(mut self) -> Result<u64, Fault> {
        self.tell_disk();
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(self.position),
        }
    }

    /// Removes what has come.
    pub fn abandon(mut self) {
        self.part.discard();
    }

    fn store(&mut self, condition: Condition) -> Result<Stored, Fault> {
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        // What it finds is told to nobody else. It was given to the disk earlier than this was, and
        // so is under way, or over.
        if let Some(job) = self.job.take() {
            self.taken = job.wait()?;
        }
        if self.plan.total.is_some_and(|total| total != self.position) {
            return Err(Fault::Conflict("less came than was announced"));
        }
        let file = self.part.file().clone();
        let ours = Mode::from_raw_mode(fstat(&file)?.st_mode);
        if let Some((.., mode)) = self.root.present(self.part.directory(), &self.path)?
            && permissions(mode) != permissions(ours)
        {
            fchmod(&file, permissions(mode))?;
        }
        self.part.forget_total();
        file.sync_all()?;
        if let (Some(hash), Some(digest)) = (&self.hash, &self.plan.digest) {
            let mut hash = hash.lock().unwrap_or_else(PoisonError::into_inner);
            hash.read(&file, self.position)?;
            if hash.digest() != *digest {
                return Err(Fault::WrongDigest);
            }
        }
        let created = self.rename(condition)?;
        sync_directory(self.part.directory())?;
        self.parents.sync()?;
        let stat = Stat::new(&fstat(&file)?);
        Ok(Stored { created, stat, digest: self.plan.digest })
    }

    /// Whether there was nothing of its name.
    fn rename(&mut self, condition: Condition) -> Result<bool, Fault> {
        let must_be_new = matches!(condition, Condition::Nothing);
        let directory = self.part.directory();
        let (part, target) = (self.part.name(), split(&self.path).1);
        let _change = part::lock(&self.root.change);
        let present = self.root.present(directory, &self.path)?;
        match present {
            _ if !condition.holds(present.as_ref().map(|(stat, ..)| stat)) => {
                return Err(Fault::Precondition);
            }
            None | Some((_, FileType::RegularFile, _)) => {}
            Some((_, FileType::Directory, _)) => return Err(Fault::IsDirectory),
            Some(_) => return Err(Fault::Forbidden),
        }
        let renamed = match must_be_new {
            false => renameat(directory, part, directory, target),
            true => match renameat_with(directory, part, directory, target, RenameFlags::NOREPLACE)
            {
                // Not every file system can. A second name is given to nothing that exists, either.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    linkat(directory, part, directory, target, AtFlags::empty())
                        .and_then(|()| unlinkat(directory, part, AtFlags::empty()))
                }
                renamed => renamed,
            },
        };
        match renamed {
            Ok(()) => {
                self.part.renamed();
                self.parents.keep();
            }
            Err(Errno::EXIST) if must_be_new => return Err(Fault::Precondition),
            Err(Errno::NOENT) => {
                return Err(Fault::Conflict("its directory was removed meanwhile"));
            }
            Err(errno) => return Err(errno.into()),
        }
        Ok(present.is_none())
    }
}

/// The parents of `path` and a part beside it.
fn place(root: &Root, path: &[u8], plan: &Plan, disk: &Disk) -> Result<(Parents, Part), Fault> {
    let (parent, name) = split(path);
    let (parents, directory) = Parents::make(root, parent)?;
    let mode = match root.present(directory.as_fd(), path)? {
        None => Mode::from_raw_mode(0o666),
        Some((_, FileType::RegularFile, mode)) => permissions(mode),
        Some((_, FileType::Directory, _)) => return Err(Fault::IsDirectory),
        Some(_) => return Err(Fault::Forbidden),
    };
    let first = plan.first.unwrap_or(0);
    let part = match first {
        0 => Part::fresh(directory, name, mode, plan.first.is_some(), disk)?,
        _ => Part::resumed(directory, name, first, plan.total, disk)?,
    };
    has_room(part.directory(), plan.total.unwrap_or(first) - first)?;
    if let Some(total) = plan.total {
        part.announce(total);
    }
    Ok((parents, part))
}

/// How many bytes an upload to `path` can go on behind, if one was interrupted. One that runs may
/// move on meanwhile: who resumes it is told that it is busy.
pub fn waiting(root: &Root, path: &[u8]) -> Option<u64> {
    root.check(path).ok()?;
    let (parent, name) = split(path);
    let part = join(parent, canonical(name).as_bytes());
    let stat = fstat(root.open_beneath(&part, OFlags::PATH | OFlags::NOFOLLOW).ok()?).ok()?;
    let len = Stat::new(&stat).len;
    (kind(&stat) == FileType::RegularFile && len > 0).then_some(len)
}

/// Without the bits that make a program run as somebody else.
fn permissions(mode: Mode) -> Mode {
    mode & Mode::from_raw_mode(0o777)
}

/// Refuses what cannot fit, before it is sent. File systems that do not know say that they have no
/// blocks at all.
fn has_room(directory: BorrowedFd<'_>, bytes: u64) -> Result<(), Fault> {
    let room = fstatvfs(directory)?;
    let is_full = room.f_blocks > 0 && room.f_bavail.saturating_mul(room.f_frsize) < bytes;
    if is_full { Err(Fault::NoSpace) } else { Ok(()) }
}

/// SHA-256 of a file's first bytes.
struct Hash {
    context: Context,
    position: u64,
}

impl Hash {
    fn new() -> Hash {
        Hash { context: Context::new(&SHA256), position: 0 }
    }

    fn read(&mut self, file: &File, until: u64) -> Result<(), Fault> {
        let mut piece = vec![0; PIECE];
        while self.position < until {
            let want = (until - self.position).min(PIECE as u64) as usize;
            file.read_exact_at(&mut piece[..want], self.position)?;
            self.context.update(&piece[..want]);
            self.position += want as u64;
        }
        Ok(())
    }

    fn digest(&self) -> [u8; 32] {
        let digest = self.context.clone().finish();
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("position", &self.position).finish_non_exhaustive()
    }
}

//! The temporary file of an upload, beside its target.
//!
//! One upload of a name at a time has the *canonical* part, whose name follows from the target's: it
//! outlives its upload, so that another can go on. Uploads at the same time have parts of their own.
//! Who has a part has it locked (flock(2)), and the kernel lets go of the lock when a process dies.

use std::fs::{File, TryLockError};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ring::digest::{SHA256, digest};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, Stat, XattrFlags, fgetxattr, fremovexattr, fsetxattr, fstat,
    openat, statat, unlinkat,
};
use rustix::io::Errno;

use super::disk::Disk;
use super::fault::Fault;
use super::stat::kind;

/// No file that is served has a name that begins so.
pub(super) const PREFIX: &str = ".socklab-";

/// And those that are cleaned up end so, too.
pub(super) const SUFFIX: &str = ".part";

/// What tells how many bytes it is to have (xattr(7)).
const TOTAL: &str = "user.socklab.total";

/// How often a part may be taken away between two system calls before that is no chance any more.
const TRIES: usize = 16;

const IN_THE_WAY: Fault =
    Fault::Conflict("something that cannot be written to stands where its part has to");

/// A path's last name, and those before it.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// `path` and a name beneath it.
pub(super) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
    [path, separator, name].concat()
}

/// Even if somebody panicked with it in his hands: there is nothing in it to spoil.
pub(super) fn lock(mutex: &Mutex<()>) -> MutexGuard<'_, ()> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of the part that can be resumed.
pub(super) fn canonical(name: &[u8]) -> String {
    let digest = digest(&SHA256, name);
    let digits = digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}"));
    format!("{PREFIX}{}{SUFFIX}", digits.collect::<String>())
}

/// A part that is ours.
#[derive(Debug)]
pub(super) struct Part {
    directory: Arc<OwnedFd>,
    file: Arc<File>,
    name: String,
    is_canonical: bool,
    /// Whether it stands in the directory under its name still.
    exists: bool,
    disk: Disk,
}

impl Part {
    /// An empty one. Where an upload of the same name runs, it gets one of its own, unless it
    /// `must_last`.
    pub(super) fn fresh(
        directory: OwnedFd,
        target: &[u8],
        mode: Mode,
        must_last: bool,
        disk: &Disk,
    ) -> Result<Part, Fault> {
        let name = canonical(target);
        for _ in 0..TRIES {
            match take(directory.as_fd(), &name)? {
                // Its mode was meant for another version.
                Taken::Ours(file) => {
                    unlinkat(&directory, &name, AtFlags::empty())?;
                    give_back(Arc::new(file), disk);
                }
                Taken::Absent => {}
                Taken::Held if must_last => return Err(Fault::Busy),
                Taken::Foreign if must_last => return Err(IN_THE_WAY),
                Taken::Held | Taken::Foreign => break,
            }
            if let Some(file) = create(directory.as_fd(), &name, mode)? {
                return Ok(Part::new(directory, file, name, true, disk));
            }
        }
        if must_last {
            return Err(Fault::Busy);
        }
        for _ in 0..TRIES {
            static NEXT: AtomicU64 = AtomicU64::new(1);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let stem = name.trim_end_matches(SUFFIX);
            let name = format!("{stem}.{}-{number}{SUFFIX}", process::id());
            if let Some(file) = create(directory.as_fd(), &name, mode)? {
                return Ok(Part::new(directory, file, name, false, disk));
            }
        }
        Err(Fault::Busy)
    }

    /// What an interrupted upload has left, cut at `first`. One that was to have another `total` was
    /// of another file, and nobody goes on with it.
    pub(super) fn resumed(
        directory: OwnedFd,
        target: &[u8],
        first: u64,
        total: Option<u64>,
        disk: &Disk,
    ) -> Result<Part, Fault> {
        let name = canonical(target);
        let file = match take(directory.as_fd(), &name)? {
            Taken::Ours(file) => file,
            Taken::Absent => return Err(Fault::Offset(0)),
            Taken::Held => return Err(Fault::Busy),
            Taken::Foreign => return Err(IN_THE_WAY),
        };
        let announced = announced(&file);
        if announced.is_some() && total.is_some() && announced != total {
            return Err(Fault::Offset(0));
        }
        let length = file.metadata()?.len();
        if length < first {
            return Err(Fault::Offset(length));
        }
        file.set_len(first)?;
        Ok(Part::new(directory, file, name, true, disk))
    }

    fn new(directory: OwnedFd, file: File, name: String, is_canonical: bool, disk: &Disk) -> Part {
        let (directory, file) = (Arc::new(directory), Arc::new(file));
        Part { directory, file, name, is_canonical, exists: true, disk: disk.clone() }
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    pub(super) fn directory(&self) -> BorrowedFd<'_> {
        self.directory.as_fd()
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Remembers how many bytes it is to have at last. Where the file system cannot, a part belongs to
    /// whatever goes on with it.
    pub(super) fn announce(&self, total: u64) {
        let _ = fsetxattr(&self.file, TOTAL, &total.to_be_bytes(), XattrFlags::empty());
    }

    /// What becomes a file has no total.
    pub(super) fn forget_total(&self) {
        let _ = fremovexattr(&self.file, TOTAL);
    }

    /// It has become something else.
    pub(super) fn renamed(&mut self) {
        self.exists = false;
    }

    /// What takes its name away, though it may be another's by then: nobody can go on with it, nor make
    /// it a file that is served.
    pub(super) fn spoil(&self) -> impl FnOnce() + Send + use<> {
        let (directory, name, file) =
            (self.directory.clone(), self.name.clone(), self.file.clone());
        move || {
            if let Ok(Some(_)) = named(directory.as_fd(), &name, &file) {
                let _ = unlinkat(&directory, &name, AtFlags::empty());
            }
        }
    }

    /// Gives its space back.
    pub(super) fn discard(&mut self) {
        if std::mem::take(&mut self.exists) {
            // What fails here is left to the next start's cleaning.
            self.spoil()();
            give_back(self.file.clone(), &self.disk);
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let is_empty = self.file.metadata().map_or(true, |metadata| metadata.len() == 0);
        if !self.is_canonical || is_empty {
            self.discard();
        }
        // A job may still have the file open, and the next upload must not wait for that.
        let _ = self.file.unlock();
    }
}

/// How many bytes a part is to have.
fn announced(file: &File) -> Option<u64> {
    let mut total = [0; 8];
    let length = fgetxattr(file, TOTAL, &mut total[..]).ok()?;
    (length == total.len()).then(|| u64::from_be_bytes(total))
}

/// Frees the blocks of a file that has no name any more, which takes the kernel a while if they are
/// many. Whoever has it open still does not keep them.
fn give_back(file: Arc<File>, disk: &Disk) {
    drop(disk.run(move || Ok(file.set_len(0)?)));
}

/// What became of taking a part.
pub(super) enum Taken {
    Ours(File),
    /// By others.
    Held,
    /// It is somebody else's, or no part at all. It is in the way, and it stays.
    Foreign,
    Absent,
}

/// Takes a part that exists.
pub(super) fn take(directory: BorrowedFd<'_>, name: &str) -> Result<Taken, Fault> {
    for _ in 0..TRIES {
        match openat(directory, name, flags(), Mode::empty()) {
            Ok(file) => match hold(directory, name, File::from(file))? {
                Hold::Ours(file) => return Ok(Taken::Ours(file)),
                Hold::Others => return Ok(Taken::Held),
                Hold::Gone => {}
            },
            Err(Errno::NOENT) => return Ok(Taken::Absent),
            Err(Errno::ACCESS | Errno::PERM | Errno::LOOP | Errno::ISDIR | Errno::NXIO) => {
                return Ok(Taken::Foreign);
            }
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(Taken::Held)
}

/// `None`: another one was quicker.
fn create(directory: BorrowedFd<'_>, name: &str, mode: Mode) -> Result<Option<File>, Fault> {
    // Whoever goes on with it has to open it, and its target may be one that nobody may write to.
    let mode = mode | Mode::RUSR | Mode::WUSR;
    match openat(directory, name, flags() | OFlags::CREATE | OFlags::EXCL, mode) {
        Ok(file) => match hold(directory, name, File::from(file))? {
            Hold::Ours(file) => Ok(Some(file)),
            Hold::Others | Hold::Gone => Ok(None),
        },
        Err(Errno::EXIST) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

fn flags() -> OFlags {
    OFlags::RDWR | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC
}

enum Hold {
    Ours(File),
    Others,
    Gone,
}

/// Locks it, and looks whether it still has its name: between opening and locking its owner may have
/// made it a file that is served, which nobody may write to.
fn hold(directory: BorrowedFd<'_>, name: &str, file: File) -> Result<Hold, Fault> {
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(Hold::Others),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    let Some(ours) = named(directory, name, &file)? else { return Ok(Hold::Gone) };
    // Something with a second name is not only a part.
    let is_part = kind(&ours) == FileType::RegularFile && ours.st_nlink == 1;
    Ok(if is_part { Hold::Ours(file) } else { Hold::Others })
}

/// What it is, if it has this name still.
fn named(directory: BorrowedFd<'_>, name: &str, file: &File) -> Result<Option<Stat>, Fault> {
    let ours = fstat(file)?;
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        named => {
            let named = named?;
            Ok(((ours.st_dev, ours.st_ino) == (named.st_dev, named.st_ino)).then_some(ours))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_was_renamed_before_it_was_locked_is_nobodys() {
        let place = std::env::temp_dir().join(format!("socklab-part-{}", process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let directory = File::open(&place).unwrap();
        let look = |file: File| match hold(directory.as_fd(), "part", file).unwrap() {
            Hold::Ours(_) => "ours",
            Hold::Others => "others",
            Hold::Gone => "gone",
        };
        let open = || File::create(place.join("part")).unwrap();
        let (early, second) = (open(), open());
        assert_eq!(look(second), "ours");
        std::fs::rename(place.join("part"), place.join("served")).unwrap();
        assert_eq!(look(early.try_clone().unwrap()), "gone", "its name is gone");
        let late = open();
        assert_eq!(look(early), "gone", "its name is another's");
        std::fs::hard_link(place.join("part"), place.join("second name")).unwrap();
        assert_eq!(look(late), "others");
        std::fs::remove_dir_all(place).unwrap();
    }

    #[test]
    fn a_path_is_its_last_name_and_those_before() {
        assert_eq!(split(b"a/b/c"), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!(join(b"a/b", b"c"), b"a/b/c");
        assert_eq!(join(b"", b"c"), b"c");
    }
}

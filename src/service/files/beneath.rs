//! Opening a path so that what is opened lies beneath a directory, whatever links say: as openat2(2)
//! does it, or name by name where the kernel has none.
//!
//! Both follow links that stay beneath, and answer EXDEV for those that lead out: an absolute one
//! does even where it leads back.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, readlinkat};
use rustix::io::{Errno, Result};

use super::stat::kind;

/// As many links as the kernel follows for one path (path_resolution(7)).
const MOST_LINKS: usize = 40;

/// A path has fewer bytes than this (PATH_MAX, its zero byte counted).
const MOST_BYTES: usize = 4096;

/// openat2(2) gives EAGAIN when something was renamed while it looked. A few tries are enough,
/// unless somebody renames on purpose.
const TRIES: usize = 32;

/// How lookups are kept beneath a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// openat2(2), Linux 5.6.
    Kernel,
    /// Name by name. It costs a system call or two for each.
    Walk,
}

impl Way {
    /// The better of those that work here. Filters in containers answer ENOSYS or EPERM for calls
    /// that they do not know.
    pub(super) fn of(root: BorrowedFd<'_>) -> Way {
        match Way::Kernel.open(root, b"", OFlags::PATH) {
            Err(Errno::NOSYS | Errno::PERM) => Way::Walk,
            _ => Way::Kernel,
        }
    }

    /// Opens `path`, which is relative; an empty one is the root. Devices on other file systems are
    /// opened, too.
    pub(super) fn open(self, root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        match self {
            Way::Kernel => resolve(root, path, flags, ResolveFlags::empty()),
            Way::Walk => walk(root, path, flags),
        }
    }

    /// The same, and nothing on another file system: EXDEV. `None` where this way cannot tell.
    pub(super) fn open_here(
        self,
        root: BorrowedFd<'_>,
        path: &[u8],
        flags: OFlags,
    ) -> Option<Result<OwnedFd>> {
        (self == Way::Kernel).then(|| resolve(root, path, flags, ResolveFlags::NO_XDEV))
    }
}

fn resolve(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    further: ResolveFlags,
) -> Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let how = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | further;
    let mut outcome = Err(Errno::AGAIN);
    for _ in 0..TRIES {
        outcome = openat2(root, path, flags | OFlags::CLOEXEC, Mode::empty(), how);
        if !matches!(outcome, Err(Errno::AGAIN | Errno::INTR)) {
            break;
        }
    }
    outcome
}

/// One descriptor is held at a time, however deep the path: for `..`, which only links contain, the
/// way down is gone again. So nothing that is moved meanwhile leads out.
fn walk(root: BorrowedFd<'_>, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
    if path.len() >= MOST_BYTES {
        return Err(Errno::NAMETOOLONG);
    }
    // The names to come, the next one last; those of the directories above; and the one below them.
    let mut names: Vec<Vec<u8>> = path.split(|&byte| byte == b'/').rev().map(Vec::from).collect();
    let mut above: Vec<Vec<u8>> = Vec::new();
    let mut below: Option<OwnedFd> = None;
    let mut links = 0;
    while let Some(name) = names.pop() {
        let here = below.as_ref().map_or(root, |fd| fd.as_fd());
        match &*name {
            b"" | b"." => continue,
            b".." => {
                above.pop().ok_or(Errno::XDEV)?;
                below = down(root, &above)?;
                continue;
            }
            _ => {}
        }
        let found = step(here, &name)?;
        match kind(&fstat(&found)?) {
            FileType::Symlink if !(names.is_empty() && flags.contains(OFlags::NOFOLLOW)) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(Errno::LOOP);
                }
                let target = readlinkat(&found, "", Vec::new())?.into_bytes();
                if target.starts_with(b"/") {
                    return Err(Errno::XDEV);
                }
                names.extend(target.split(|&byte| byte == b'/').rev().map(Vec::from));
            }
            FileType::Directory => {
                below = Some(found);
                above.push(name);
            }
            _ if !names.is_empty() => return Err(Errno::NOTDIR),
            _ => return openat(here, &*name, last(flags), Mode::empty()),
        }
    }
    openat(below.as_ref().map_or(root, |fd| fd.as_fd()), ".", last(flags), Mode::empty())
}

fn down(root: BorrowedFd<'_>, names: &[Vec<u8>]) -> Result<Option<OwnedFd>> {
    let mut below = None;
    for name in names {
        below = Some(step(below.as_ref().map_or(root, |fd: &OwnedFd| fd.as_fd()), name)?);
    }
    Ok(below)
}

/// What has the name, a link itself included, without doing anything to it.
fn step(directory: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// It was no link a moment ago.
fn last(flags: OFlags) -> OFlags {
    flags | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

//! What becomes of parts that uploads have left behind.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FileType, OFlags, fstat, statat, unlinkat};

use super::disk::{Disk, Pending};
use super::fault::Fault;
use super::part::{PREFIX, SUFFIX, Taken, join, take};
use super::root::Root;
use super::stat::{Stat, kind};

/// An interrupted upload can be resumed for so long at least.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Names that [`clean`] looks at before it gives up: a minute's work for a slow disk.
const MOST_NAMES: usize = 1_000_000;

/// Removes what uploads of the past have left beneath `root`: parts that nobody can resume, and those
/// that nobody has resumed for a day. Gives how many. What belongs to a running upload stays, that of
/// another process, too.
pub fn clean(root: &Root, disk: &Disk) -> Pending<usize> {
    let root = root.clone();
    disk.run(move || Ok(sweep(&root)))
}

fn sweep(root: &Root) -> usize {
    let (mut removed, mut names) = (0, 0);
    let mut directories = vec![Vec::new()];
    while let Some(path) = directories.pop() {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        // What cannot be read can have no parts of ours that could be removed.
        let Ok(directory) = root.open_beneath(&path, flags) else { continue };
        let Ok(mut entries) = Dir::read_from(&directory) else { continue };
        while let Some(Ok(entry)) = entries.read() {
            names += 1;
            if names > MOST_NAMES {
                log::warn!("more than {MOST_NAMES} files: parts of old uploads may be left");
                return removed;
            }
            let name = entry.file_name().to_bytes();
            let is_directory = match entry.file_type() {
                FileType::Unknown => statat(&directory, name, AtFlags::SYMLINK_NOFOLLOW)
                    .is_ok_and(|stat| kind(&stat) == FileType::Directory),
                kind => kind == FileType::Directory,
            };
            if is_directory && name != b"." && name != b".." {
                directories.push(join(&path, name));
            } else if let Some(is_canonical) = is_part(name)
                && let Ok(name) = std::str::from_utf8(name)
                && let Ok(Taken::Ours(file)) = take(directory.as_fd(), name)
                && (!is_canonical || is_old(&file).unwrap_or(false))
                && unlinkat(&directory, name, AtFlags::empty()).is_ok()
            {
                removed += 1;
            }
        }
    }
    removed
}

/// Removes what uploads have left in a directory that has nothing else in it, and looks empty to
/// everybody. Whether it is empty now.
pub(super) fn clear(directory: BorrowedFd<'_>) -> Result<bool, Fault> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        match entry.file_name().to_bytes() {
            b"." | b".." => {}
            name if is_part(name).is_some() => names.push(entry.file_name().to_owned()),
            _ => return Ok(false),
        }
    }
    for name in names {
        let name = name.to_string_lossy();
        match take(directory, &name)? {
            Taken::Ours(_locked) => unlinkat(directory, &*name, AtFlags::empty())?,
            Taken::Absent => {}
            Taken::Held | Taken::Foreign => return Ok(false),
        }
    }
    Ok(true)
}

/// Whether a file's name is that of a part, and of one that can be resumed.
fn is_part(name: &[u8]) -> Option<bool> {
    let middle = name.strip_prefix(PREFIX.as_bytes())?.strip_suffix(SUFFIX.as_bytes())?;
    let (digits, rest) = middle.split_at_checked(16)?;
    if !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    match rest {
        [] => Some(true),
        [b'.', number @ ..] => {
            number.iter().all(|&byte| byte.is_ascii_digit() || byte == b'-').then_some(false)
        }
        _ => None,
    }
}

fn is_old(file: &File) -> io::Result<bool> {
    let stat = fstat(file)?;
    let age = SystemTime::now().duration_since(Stat::new(&stat).modified());
    Ok(stat.st_size == 0 || age.is_ok_and(|age| age > KEPT))
}

#[cfg(test)]
mod tests {
    use super::super::part::canonical;
    use super::*;

    #[test]
    fn only_names_of_parts_are_taken_for_such() {
        let name = canonical(b"a name");
        assert_eq!(is_part(name.as_bytes()), Some(true));
        assert_eq!(is_part(b".socklab-0123456789abcdef.77-3.part"), Some(false));
        for other in [
            ".socklab-0123456789abcdef",
            ".socklab-0123456789abcdeg.part",
            ".socklab-0123.part",
            ".socklab-0123456789abcdefx.part",
            ".socklab-0123456789abcdef.x.part",
            "socklab-0123456789abcdef.part",
        ] {
            assert_eq!(is_part(other.as_bytes()), None, "{other}");
        }
    }
}

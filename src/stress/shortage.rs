//! A limit of a server's processes that is lowered for a while, so that they run out of something.

use std::cell::Cell;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use nix::unistd::Pid;
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, geteuid, prlimit};

use super::arena::Arena;
use super::verdict::Breach;
use crate::failure::cause;
use crate::observe::ProcessTree;

/// Free descriptors among those held that are few enough to be taken, too.
const GAPS: u64 = 8;

/// The limit is as it was when this is dropped.
#[derive(Debug)]
pub struct Shortage {
    lowered: Arc<Lowered>,
    /// Descriptors that can still be had: so many callers get one.
    pub left: usize,
}

/// A limit that was lowered.
#[derive(Debug)]
struct Lowered {
    root: Pid,
    resource: Resource,
    before: Mutex<Vec<(Pid, Rlimit)>>,
}

/// All that are lowered now.
static LOWERED: Mutex<Vec<Arc<Lowered>>> = Mutex::new(Vec::new());

/// Has all limits as they were, whoever has lowered them: a visit that does not come back does not put
/// anything back itself.
pub fn put_back() {
    all_lowered().iter().for_each(|lowered| lowered.put_back());
}

fn all_lowered() -> MutexGuard<'static, Vec<Arc<Lowered>>> {
    LOWERED.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shortage {
    /// Leaves the server's processes few descriptors beyond those they hold. Below the limit some may
    /// be free: of connections that have just ended, and those that sleepers in accept(2) have taken in
    /// advance, which are not listed. Those far above stay open.
    pub fn of_files(arena: &Arena) -> Result<Shortage, Breach> {
        let left = Cell::new(0);
        let mut shortage = Shortage::begin(arena, Resource::Nofile, |pid| {
            let mut held: Vec<u64> = fs::read_dir(format!("/proc/{pid}/fd"))?
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
                .collect();
            held.sort_unstable();
            let below = held.iter().zip(0..).take_while(|(file, index)| **file <= index + GAPS);
            let (most, taken) = below.last().map_or((0, 0), |(file, index)| (file + 1, index + 1));
            left.set(left.get() + (most - taken) as usize);
            Ok(most)
        })?;
        shortage.left = left.get();
        Ok(shortage)
    }

    /// Lets them have no further thread. It does not hold a process of root.
    pub fn of_threads(arena: &Arena) -> Result<Shortage, Breach> {
        Shortage::begin(arena, Resource::Nproc, |_| Ok(1))
    }

    fn begin(
        arena: &Arena,
        resource: Resource,
        most: impl Fn(Pid) -> io::Result<u64>,
    ) -> Result<Shortage, Breach> {
        let pids = arena.pids()?;
        let before = Mutex::default();
        let shortage =
            Shortage { lowered: Arc::new(Lowered { root: pids[0], resource, before }), left: 0 };
        all_lowered().push(shortage.lowered.clone());
        for pid in pids {
            let failed = |error: io::Error| {
                Breach::skipped(format!(
                    "cannot lower a limit of process {pid}: {}; be its user, or root",
                    cause(&error)
                ))
            };
            let before = limit(pid, resource).map_err(failed)?;
            let current = Some(most(pid).map_err(failed)?);
            set(pid, resource, Rlimit { current, ..before }).map_err(failed)?;
            shortage.lowered.before().push((pid, before));
        }
        Ok(shortage)
    }
}

impl Lowered {
    fn before(&self) -> MutexGuard<'_, Vec<(Pid, Rlimit)>> {
        self.before.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put_back(&self) {
        // Whom they have forked meanwhile, they have forked with the lowered limit.
        let now = ProcessTree::of(self.root).map(|tree| tree.pids().collect::<Vec<_>>());
        let before = self.before();
        for pid in now.unwrap_or_default() {
            let own = before.iter().find(|(known, _)| *known == pid);
            if let Some((_, before)) = own.or(before.first()) {
                // It may have ended.
                let _ = set(pid, self.resource, *before);
            }
        }
    }
}

impl Drop for Shortage {
    fn drop(&mut self) {
        self.lowered.put_back();
        all_lowered().retain(|lowered| !Arc::ptr_eq(lowered, &self.lowered));
    }
}

/// Lowers or raises the soft limit. The hard one is as it was.
fn set(pid: Pid, resource: Resource, limit: Rlimit) -> io::Result<()> {
    // Of none it would be this process's limit.
    let of = rustix::process::Pid::from_raw(pid.as_raw()).ok_or(io::ErrorKind::InvalidInput)?;
    match prlimit(Some(of), resource, limit) {
        // Root without CAP_SYS_RESOURCE, as in a container, may not, and its user may.
        Err(Errno::PERM) if geteuid().is_root() => set_as_its_user(pid, resource, limit),
        outcome => Ok(outcome.map(drop)?),
    }
}

fn set_as_its_user(pid: Pid, resource: Resource, limit: Rlimit) -> io::Result<()> {
    let option = if resource == Resource::Nofile { "--nofile" } else { "--nproc" };
    let soft = limit.current.map_or("unlimited".into(), |soft| soft.to_string());
    let process = fs::metadata(format!("/proc/{pid}"))?;
    let outcome = Command::new("prlimit")
        .args(["--pid", &pid.to_string(), &format!("{option}={soft}:")])
        .uid(process.uid())
        .gid(process.gid())
        .stdin(Stdio::null())
        .output()?;
    match outcome.status.success() {
        true => Ok(()),
        false => Err(io::ErrorKind::PermissionDenied.into()),
    }
}

/// A limit, as a line of /proc/PID/limits has it: its name, soft and hard limit, unit.
fn limit(pid: Pid, resource: Resource) -> io::Result<Rlimit> {
    let name = if resource == Resource::Nofile { "Max open files" } else { "Max processes" };
    let limits = fs::read_to_string(format!("/proc/{pid}/limits"))?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    // "unlimited" is no number.
    let mut values = line.split_whitespace().map(|value| value.parse().ok());
    let (current, maximum) = (values.next().flatten(), values.next().flatten());
    Ok(Rlimit { current, maximum })
}

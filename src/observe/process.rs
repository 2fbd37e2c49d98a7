//! A server as a tree of processes: a shell that wraps it, workers that it forked, and all their
//! threads.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::{Pid, SysconfVar, sysconf};

use crate::failure;

/// A process, its descendants, and what they use.
///
/// CPU time is that of all processes known at the last [`refresh`](ProcessTree::refresh), to the
/// nanosecond, and of those that had ended by then, in steps of 10 ms (proc_pid_stat(5), cutime and
/// cstime). So a server that forks for every connection has to be refreshed at both ends of a
/// stretch; one that keeps its processes needs it once, after they have started.
///
/// Not seen are children that moved out of the tree: a daemon, whose parent has ended.
#[derive(Debug)]
pub struct ProcessTree {
    root: Pid,
    members: Vec<Member>,
    /// What members say of their children that they have waited for, at the last refresh.
    waited_for: Duration,
    /// CPU time of processes that have ended, as those say who waited for them.
    counted: Duration,
    /// CPU time of processes that have ended, as far as it was seen here.
    seen: Duration,
    /// The last sum.
    total: Duration,
}

#[derive(Debug)]
struct Member {
    pid: Pid,
    clock: ClockId,
    /// The clock's last reading.
    used: Duration,
}

impl ProcessTree {
    /// Observes the process `root` and its descendants. The error says in one line why not.
    pub fn of(root: Pid) -> io::Result<ProcessTree> {
        let mut tree = ProcessTree {
            root,
            members: Vec::new(),
            waited_for: Duration::ZERO,
            counted: Duration::ZERO,
            seen: Duration::ZERO,
            total: Duration::ZERO,
        };
        tree.refresh()?;
        Ok(tree)
    }

    /// The process that the others descend from.
    pub fn root(&self) -> Pid {
        self.root
    }

    /// Whether there is a process with the root's PID.
    pub fn exists(&self) -> bool {
        matches!(kill(self.root, None), Ok(()) | Err(Errno::EPERM))
    }

    /// Whether the root has ended, though it may not have been waited for (Z of proc_pid_stat(5)).
    pub fn has_ended(&self) -> bool {
        match fs::read_to_string(format!("/proc/{}/stat", self.root)) {
            Ok(stat) => stat
                .rsplit_once(')')
                .is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X'])),
            Err(_) => !self.exists(),
        }
    }

    /// Processes known at the last refresh, the root first.
    pub fn pids(&self) -> impl Iterator<Item = Pid> {
        self.members.iter().map(|member| member.pid)
    }

    /// Whether one of its processes has the socket that listens on this TCP port of this machine; nothing
    /// where that cannot be seen: the server is elsewhere, or somebody else's.
    pub fn listens_on(&self, port: u16) -> Option<bool> {
        let sockets = listeners(port);
        if sockets.is_empty() {
            return None;
        }
        for pid in self.pids() {
            let files = fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
            let mut links = files.flatten().filter_map(|file| fs::read_link(file.path()).ok());
            if links.any(|link| sockets.iter().any(|socket| link.as_os_str() == &socket[..])) {
                return Some(true);
            }
        }
        Some(false)
    }

    /// CPU time in user mode and in the kernel, one system call for each process (0.3 µs, and for
    /// 10,000 threads 0.5 ms: the kernel adds them up). It never goes back: a process that has ended
    /// keeps its last reading until the next refresh.
    pub fn cpu(&mut self) -> io::Result<Duration> {
        // A process that was waited for is counted by its parent, with all that it had counted
        // itself. One that nobody waits for (SIGCHLD ignored) is counted by nobody: then what was
        // seen of it is all there is.
        let mut sum = self.counted.max(self.seen);
        for member in &mut self.members {
            match clock_gettime(member.clock) {
                Ok(used) => member.used = used.into(),
                Err(_) if member.pid == self.root => return Err(no_process(self.root)),
                Err(_) => {}
            }
            sum += member.used;
        }
        // What was seen is exact, what is counted instead is rounded down.
        self.total = self.total.max(sum);
        Ok(self.total)
    }

    /// Looks for processes that came and went since. Reads a file for each process on this machine.
    pub fn refresh(&mut self) -> io::Result<()> {
        let found = family(self.root)?;
        if found.is_empty() {
            return Err(no_process(self.root));
        }
        let mut known: HashMap<Pid, Member> =
            self.members.drain(..).map(|member| (member.pid, member)).collect();
        for &Process { pid, .. } in &found {
            if let Some(member) = known.remove(&pid) {
                self.members.push(member);
            } else if let Ok(clock) = clock_getcpuclockid(pid) {
                self.members.push(Member { pid, clock, used: Duration::ZERO });
            }
        }
        let waited_for = found.iter().map(|process| process.waited_for).sum::<Duration>();
        self.counted += waited_for.saturating_sub(self.waited_for);
        self.seen += known.values().map(|member| member.used).sum::<Duration>();
        self.waited_for = waited_for;
        self.cpu().map(drop)
    }

    /// Context switches of all threads alive, voluntary and not, after a refresh. Reads a file for
    /// each thread, about 20 µs; a thread that has ended has taken its count with it.
    pub fn switches(&mut self) -> io::Result<u64> {
        self.refresh()?;
        let mut sum = 0;
        for pid in self.pids() {
            let Some(threads) = present(fs::read_dir(format!("/proc/{pid}/task")))? else {
                continue;
            };
            for thread in threads {
                let status =
                    thread.and_then(|thread| fs::read_to_string(thread.path().join("status")));
                let Some(status) = present(status)? else { continue };
                sum += field(&status, "voluntary_ctxt_switches")
                    + field(&status, "nonvoluntary_ctxt_switches");
            }
        }
        Ok(sum)
    }
}

fn no_process(pid: Pid) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("no process has the PID {pid}"))
}

/// What was read about a process; `None` if it has ended meanwhile.
pub(super) fn present<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(io::Error::new(
            error.kind(),
            format!("cannot observe the process: {}; be its user, or root", failure::cause(&error)),
        )),
        Err(error) => Err(error),
    }
}

/// The number in a line `name: number`, 0 where there is none.
pub(super) fn field(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let number = line.and_then(|value| value.split_whitespace().next()?.parse().ok());
    number.unwrap_or(0)
}

/// A process as /proc/PID/stat has it.
pub(super) struct Process {
    pub pid: Pid,
    parent: Pid,
    /// CPU time of children it has waited for, and of theirs.
    waited_for: Duration,
}

/// `root`, if it exists, and all its descendants. Their parents are asked, not their threads for
/// their children: a server may have 20,000 threads, and there are fewer processes than that.
pub(super) fn family(root: Pid) -> io::Result<Vec<Process>> {
    let mut found = Vec::new();
    let mut children: HashMap<Pid, Vec<Process>> = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        let Some(process) = stat.ok().and_then(|stat| parse(Pid::from_raw(pid), &stat)) else {
            continue;
        };
        match process.pid == root {
            true => found.push(process),
            false => children.entry(process.parent).or_default().push(process),
        }
    }
    let mut at = 0;
    while let Some(process) = found.get(at) {
        found.extend(children.remove(&process.pid).unwrap_or_default());
        at += 1;
    }
    Ok(found)
}

fn parse(pid: Pid, stat: &str) -> Option<Process> {
    // The program's name may hold anything, parentheses too.
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<i64> =
        rest.split_whitespace().skip(1).map_while(|field| field.parse().ok()).collect();
    let (parent, ticks) = (*fields.first()?, fields.get(12)? + fields.get(13)?);
    let second = sysconf(SysconfVar::CLK_TCK).ok().flatten().unwrap_or(100);
    let waited_for = Duration::from_secs_f64(ticks.max(0) as f64 / second as f64);
    Some(Process { pid, parent: Pid::from_raw(i32::try_from(parent).ok()?), waited_for })
}

/// The sockets that listen on a TCP port, as links to them are spelled (proc(5), /proc/net/tcp).
fn listeners(port: u16) -> Vec<String> {
    let tables = ["tcp", "tcp6"].map(|name| fs::read_to_string(format!("/proc/net/{name}")));
    let port = format!(":{port:04X}");
    let socket = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let listens = columns.get(1)?.ends_with(&port) && *columns.get(3)? == "0A";
        listens.then(|| Some(format!("socket:[{}]", columns.get(9)?)))?
    };
    tables.iter().flatten().flat_map(|table| table.lines()).filter_map(socket).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let stat = "7 (a ) (b) S 3 7 7 0 -1 4194560 1 2 3 4 10 20 150 50 20 0 1 0 99 1 1";
        let process = parse(Pid::from_raw(7), stat).unwrap();
        assert_eq!(process.parent, Pid::from_raw(3));
        assert_eq!(process.waited_for, Duration::from_secs(2));
    }

    #[test]
    fn a_name_is_not_the_end_of_another() {
        let status = "voluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(field(status, "voluntary_ctxt_switches"), 12);
        assert_eq!(field(status, "nonvoluntary_ctxt_switches"), 3);
        assert_eq!(field(status, "switches"), 0);
    }

    #[test]
    fn an_unknown_pid_is_named() {
        // The highest PID that Linux can give is 2^22.
        let error = ProcessTree::of(Pid::from_raw(5_000_000)).unwrap_err();
        assert_eq!(error.to_string(), "no process has the PID 5000000");
    }
}

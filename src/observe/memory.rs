//! What a tree of processes holds in memory, by who holds it.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use nix::unistd::{Pid, SysconfVar, sysconf};

use super::process::{ProcessTree, field, present};
use crate::report::document::Memory;

/// Memory of a tree of processes, in bytes.
///
/// *Resident* is anonymous and shared memory, each page shared out among the processes that have it
/// (Pss_Anon and Pss_Shmem of smaps_rollup), so forked workers do not count their common pages each.
/// Not in it are pages of files: they are there once, however many connect, and leave and return as
/// other processes use the same libraries. VmRSS has them, and strays by 64 pages for each CPU.
///
/// What the kernel holds is counted in pieces, a piece being its share of a slab: from /proc/slabinfo
/// where that can be read (by root), otherwise as measured on Linux 6.18 for x86-64. With 10,000
/// connections their sum is within 5 % of what the whole machine's figures grow by. Left out: bytes in
/// flight, io_uring, the mappings of a thread's two stacks (0.8 KiB), what makes a process more than
/// a thread, and that a socket which is not TCP is smaller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Resident memory of the processes.
    pub resident: u64,
    /// Kernel stacks and task structures of the threads.
    pub threads: u64,
    /// Page tables.
    pub page_tables: u64,
    /// Socket, file and epoll structures.
    pub sockets: u64,
}

/// A kernel stack: 16 KiB on x86-64, arm64 and riscv64.
const KERNEL_STACK: u64 = 16 * 1024;

/// A slab's name in /proc/slabinfo, and the bytes for an object of it where that does not tell:
/// because it cannot be read, or because the slab was merged with another one of the same size.
type Slab = (&'static str, u64);

const THREAD: [Slab; 2] = [("task_struct", 6_553), ("pid", 195)];
const SOCKET: [Slab; 6] = [
    ("TCP", 2_520),
    ("sock_inode_cache", 862),
    ("lsm_inode_cache", 32),
    ("dentry", 195),
    ("filp", 195),
    ("lsm_file_cache", 24),
];
const EPOLL_ITEM: [Slab; 3] = [("eventpoll_epi", 128), ("eventpoll_pwq", 64), ("ep_head", 16)];

impl ProcessTree {
    /// What all processes hold, after a refresh. Reads a link for each open file: 10,000 take some
    /// 40 ms, in which an epoll descriptor may be locked for a moment.
    pub fn memory(&mut self) -> io::Result<Held> {
        self.refresh()?;
        let slabs = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
        let mut held = Held::default();
        let mut files = Files::default();
        let mut threads = 0;
        for pid in self.pids() {
            let directory = format!("/proc/{pid}");
            let Some(status) = present(fs::read_to_string(format!("{directory}/status")))? else {
                continue;
            };
            threads += field(&status, "Threads");
            held.page_tables += field(&status, "VmPTE") * 1024;
            held.resident += resident(pid, &status)? * 1024;
            files.count(Path::new(&directory))?;
        }
        held.threads = threads * (KERNEL_STACK + bytes(&slabs, &THREAD));
        held.sockets = files.sockets.len() as u64 * bytes(&slabs, &SOCKET)
            + files.epoll_items * bytes(&slabs, &EPOLL_ITEM);
        Ok(held)
    }
}

/// Kibibytes. A zombie has no memory and no rollup; a kernel before 5.9 does not split its Pss.
fn resident(pid: Pid, status: &str) -> io::Result<u64> {
    let rollup = present(fs::read_to_string(format!("/proc/{pid}/smaps_rollup")))?;
    Ok(match rollup {
        Some(rollup) if rollup.contains("Pss_Anon:") => {
            field(&rollup, "Pss_Anon") + field(&rollup, "Pss_Shmem")
        }
        _ => field(status, "RssAnon") + field(status, "RssShmem"),
    })
}

/// Open files that matter here, each once, however many processes have it.
#[derive(Default)]
struct Files {
    /// What /proc calls them: `socket:[inode]`.
    sockets: HashSet<Vec<u8>>,
    epoll_items: u64,
}

impl Files {
    fn count(&mut self, process: &Path) -> io::Result<()> {
        let Some(descriptors) = present(fs::read_dir(process.join("fd")))? else { return Ok(()) };
        for descriptor in descriptors {
            let Some(descriptor) = present(descriptor)? else { continue };
            let Some(link) = present(fs::read_link(descriptor.path()))? else { continue };
            let link = link.into_os_string().into_encoded_bytes();
            if link.starts_with(b"socket:") {
                self.sockets.insert(link);
            } else if link == b"anon_inode:[eventpoll]" {
                let path = process.join("fdinfo").join(descriptor.file_name());
                let info = present(fs::read_to_string(path))?.unwrap_or_default();
                self.epoll_items +=
                    info.lines().filter(|line| line.starts_with("tfd:")).count() as u64;
            }
        }
        Ok(())
    }
}

/// What an object of each of `structures` takes, together.
fn bytes(slabs: &str, structures: &[Slab]) -> u64 {
    let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten().unwrap_or(4096) as u64;
    let share = |name: &str| {
        let mut lines = slabs.lines().map(str::split_whitespace);
        let mut columns = lines.find_map(|mut line| (line.next()? == name).then_some(line))?;
        // Active objects, all objects, object size, objects in a slab, pages in a slab.
        let objects: u64 = columns.nth(3)?.parse().ok().filter(|objects| *objects > 0)?;
        Some(columns.next()?.parse::<u64>().ok()? * page / objects)
    };
    structures.iter().map(|(name, measured)| share(name).unwrap_or(*measured)).sum()
}

impl Held {
    /// The growth from `before` to `after` for each of `connections`. What shrank has not grown.
    pub fn per_connection(before: &Held, after: &Held, connections: u64) -> Memory {
        let each = |before: u64, after: u64| {
            after.saturating_sub(before) as f64 / connections.max(1) as f64
        };
        Memory {
            connections,
            resident_bytes: each(before.resident, after.resident),
            threads_bytes: each(before.threads, after.threads),
            page_tables_bytes: each(before.page_tables, after.page_tables),
            sockets_bytes: each(before.sockets, after.sockets),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_takes_its_share_of_a_slab() {
        let slabs = "# name\nTCPv6 1 2 2496 13 8 : x\nTCP 66 66 2368 13 8 : tunables 0 0 0\n";
        assert_eq!(bytes(slabs, &[("TCP", 1)]), 8 * 4096 / 13);
        assert_eq!(bytes(slabs, &[("TCP", 1), ("filp", 195)]), 8 * 4096 / 13 + 195);
        assert_eq!(bytes("", &[("TCP", 1), ("filp", 195)]), 196);
    }

    #[test]
    fn what_shrank_has_not_grown() {
        let before = Held { resident: 1000, threads: 0, page_tables: 4096, sockets: 0 };
        let after = Held { resident: 400, threads: 2000, page_tables: 8192, sockets: 0 };
        let memory = Held::per_connection(&before, &after, 10);
        assert_eq!((memory.resident_bytes, memory.threads_bytes), (0.0, 200.0));
        assert_eq!((memory.page_tables_bytes, memory.sockets_bytes), (409.6, 0.0));
    }
}

//! Which CPUs a process may use, written as the kernel writes it: `0-3,8`.

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::str::FromStr;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// A set of CPUs, never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuList(BTreeSet<usize>);

impl CpuList {
    /// These CPUs; `None` where there are none.
    pub fn new(cpus: impl IntoIterator<Item = usize>) -> Option<CpuList> {
        Some(CpuList(cpus.into_iter().collect())).filter(|list| !list.0.is_empty())
    }

    /// How many they are.
    #[expect(clippy::len_without_is_empty, reason = "a list is never empty")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `cpu` is one of them.
    pub fn contains(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    /// From the lowest to the highest.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = usize> {
        self.0.iter().copied()
    }
}

impl FromStr for CpuList {
    type Err = String;

    fn from_str(list: &str) -> Result<CpuList, String> {
        let wrong = || format!("{list:?} is no list of CPUs; write it like 0-3,8");
        let number = |text: &str| text.trim().parse::<usize>().map_err(|_| wrong());
        let mut cpus = BTreeSet::new();
        for range in list.split(',') {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            let (first, last) = (number(first)?, number(last)?);
            if last >= CpuSet::count() {
                return Err(format!("there is no CPU {last}; the last one is {}", most()));
            }
            if first > last {
                return Err(wrong());
            }
            cpus.extend(first..=last);
        }
        Ok(CpuList(cpus))
    }
}

/// The highest number that a set of the C library can hold.
fn most() -> usize {
    CpuSet::count() - 1
}

impl fmt::Display for CpuList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = rest.next() {
            let mut last = first;
            while let Some(next) = rest.next_if_eq(&(last + 1)) {
                last = next;
            }
            match first == last {
                true => write!(f, "{comma}{first}")?,
                false => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

/// The CPUs that the calling thread may use (sched_getaffinity(2)).
pub fn allowed() -> io::Result<CpuList> {
    let set = sched_getaffinity(Pid::from_raw(0))?;
    let cpus = (0..CpuSet::count()).filter(|cpu| set.is_set(*cpu).unwrap_or(false));
    Ok(CpuList::new(cpus).expect("a thread that runs has a CPU"))
}

/// Confines the thread `thread` to `cpus` (sched_setaffinity(2)): the main thread of the process
/// with that PID, or the calling thread if it is 0. Threads and children that it starts from then on
/// inherit it, those it has already do not. CPUs that do not exist are left out; an error if none
/// remains.
pub fn confine(thread: Pid, cpus: &CpuList) -> io::Result<()> {
    let mut set = CpuSet::new();
    for cpu in cpus.iter() {
        set.set(cpu)?;
    }
    Ok(sched_setaffinity(thread, &set)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_as_the_kernel_writes_it() {
        for (given, written) in [
            ("0", "0"),
            ("0-3,8", "0-3,8"),
            ("8,0-1,2,3", "0-3,8"),
            ("5-5", "5"),
            ("1,3,5-6", "1,3,5-6"),
            (" 1, 2\n", "1-2"),
        ] {
            assert_eq!(given.parse::<CpuList>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn what_is_no_list_is_named_in_one_line() {
        for wrong in ["", "a", "0-", "-1", "3-1", "0,,1", "0;1"] {
            let error = wrong.parse::<CpuList>().unwrap_err();
            assert_eq!(error, format!("{wrong:?} is no list of CPUs; write it like 0-3,8"));
        }
        let error = "0-99999".parse::<CpuList>().unwrap_err();
        assert_eq!(error, "there is no CPU 99999; the last one is 1023");
    }

    #[test]
    fn a_thread_can_be_confined_to_one_of_its_cpus() {
        let one = CpuList::new(allowed().unwrap().iter().next_back()).unwrap();
        // A thread of its own, so that the other tests keep their CPUs.
        let confined = std::thread::spawn({
            let one = one.clone();
            move || confine(Pid::from_raw(0), &one).and_then(|()| allowed())
        });
        assert_eq!(confined.join().unwrap().unwrap(), one);
    }
}

//! Listings of long directories: taken on a thread of the disk, one after the other, and kept until
//! they are sent.
//!
//! All that are kept have so much memory and no more. Where another one needs it, that goes which
//! nobody has read from for the longest time. So peers that do not read cost memory up to the bound,
//! and one that reads is cut off only while others ask for listing after listing and it is slower
//! than all of them.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::directory::Directory;
use super::disk::{Disk, Pending};
use super::entries::Entries;
use super::fault::Fault;
use super::listing::{Order, Totals};
use super::stat::Stat;

/// Entries of one listing: three to thirty megabytes, by the lengths of their names. What is beyond is
/// left out, and the log says so.
pub(super) const MOST: usize = 100_000;

/// Bytes that are kept, besides the listing that is being taken.
pub(super) const KEPT: usize = 64 * 1024 * 1024;

/// Names that are read before it is looked whether anybody still waits.
const BATCH: usize = 4096;

/// So long a listing serves those who come for the same one after it was begun. Names that come or
/// go are seen, for they change the directory; files that grow are not.
const FRESH: Duration = Duration::from_secs(1);

/// Where they are kept. Clones share it.
#[derive(Clone)]
pub(super) struct Shelf {
    disk: Disk,
    most: usize,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    next: u64,
    waiting: VecDeque<Job>,
    is_running: bool,
    kept: HashMap<u64, Weak<Taken>>,
    /// Bytes of all that are kept.
    memory: usize,
}

/// A listing to be taken, and who waits for it.
struct Job {
    id: u64,
    directory: Directory,
    entries: Entries,
    order: Order,
    sender: SyncSender<Result<Arc<Taken>, Fault>>,
    wanted: Weak<()>,
    since: Instant,
}

/// A listing that was taken. Its place on the shelf is free once nobody has it any more.
pub(super) struct Taken {
    entries: Mutex<Option<Entries>>,
    pub totals: Totals,
    place: Option<Place>,
}

/// What a listing is on the shelf.
struct Place {
    id: u64,
    memory: usize,
    /// A number that grows with each look at any listing.
    read: AtomicU64,
    version: Stat,
    order: Order,
    /// Whom it serves: those who come until then; nobody else where its version may be that of the
    /// next one, too.
    until: Option<Instant>,
    shelf: Arc<Mutex<State>>,
}

/// A listing that is wanted. Who drops it is not waited for.
pub(super) struct Wanted {
    id: u64,
    pending: Pending<Arc<Taken>>,
    shelf: Shelf,
    _alive: Arc<()>,
}

impl Shelf {
    /// With room for so many bytes.
    pub fn new(disk: &Disk, most: usize) -> Shelf {
        Shelf { disk: disk.clone(), most, state: Arc::default() }
    }

    /// What `directory` holds, in this order, of which `entries` were read already.
    pub fn take(&self, directory: Directory, entries: Entries, order: Order) -> Wanted {
        let (sender, receiver) = mpsc::sync_channel(1);
        let alive = Arc::new(());
        let (wanted, since) = (Arc::downgrade(&alive), Instant::now());
        let mut state = self.lock();
        let id = state.number();
        state.waiting.push_back(Job { id, directory, entries, order, sender, wanted, since });
        self.start(state);
        Wanted { id, pending: Pending::new(receiver), shelf: self.clone(), _alive: alive }
    }

    /// Gives the disk the next one, if it has none.
    fn start(&self, mut state: MutexGuard<'_, State>) {
        if state.is_running {
            return;
        }
        let Some(job) = state.waiting.pop_front() else { return };
        state.is_running = true;
        drop(state);
        // Whatever happens to the job, its turn ends.
        let turn = Turn { shelf: self.clone() };
        drop(self.disk.run(move || {
            let sender = job.sender.clone();
            let outcome = turn.shelf.find(&job).map_or_else(|| turn.shelf.work(job), Ok);
            let _ = sender.send(outcome);
            Ok(())
        }));
    }

    /// One that was begun since it was asked for, or a moment before.
    fn find(&self, job: &Job) -> Option<Arc<Taken>> {
        self.kept().into_iter().find(|taken| {
            taken.place.as_ref().is_some_and(|place| {
                place.order == job.order
                    && place.version == *job.directory.stat()
                    && place.until.is_some_and(|until| job.since < until)
            })
        })
    }

    fn work(&self, job: Job) -> Result<Arc<Taken>, Fault> {
        let Job { mut directory, mut entries, order, wanted, .. } = job;
        let until = directory.settled.then(|| Instant::now() + FRESH);
        while directory.read(BATCH, &mut entries)? {
            if entries.len() >= MOST {
                log::warn!("a directory has more than {MOST} entries; the others are not listed");
                break;
            }
            if wanted.strong_count() == 0 {
                return Err(Fault::Busy);
            }
        }
        entries.sort(order);
        entries.shrink();
        Ok(self.keep(entries, order, *directory.stat(), until))
    }

    fn keep(
        &self,
        entries: Entries,
        order: Order,
        version: Stat,
        until: Option<Instant>,
    ) -> Arc<Taken> {
        let memory = entries.memory();
        let taken = Taken::new(entries);
        // The one that was not read from for the longest time is the last. None of them may be
        // dropped with the lock held.
        let mut kept = self.kept();
        kept.sort_by_key(|taken| Reverse(taken.place.as_ref().map(Place::last_read)));
        let mut state = self.lock();
        let mut victims = Vec::new();
        while state.memory + memory > self.most
            && let Some(victim) = kept.pop()
        {
            victim.place.iter().for_each(|place| state.forget(place));
            victims.push(victim);
        }
        let (id, read, shelf) = (state.number(), AtomicU64::new(look()), self.state.clone());
        let place = Place { id, memory, read, version, order, until, shelf };
        let taken = Arc::new(Taken { place: Some(place), ..taken });
        state.kept.insert(id, Arc::downgrade(&taken));
        state.memory += memory;
        drop(state);
        for victim in victims {
            log::debug!("a listing that nobody reads is given up, for others need its memory");
            drop(lock(&victim.entries).take());
        }
        taken
    }

    fn kept(&self) -> Vec<Arc<Taken>> {
        self.lock().kept.values().filter_map(Weak::upgrade).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn forget(&mut self, place: &Place) {
        if self.kept.remove(&place.id).is_some() {
            self.memory -= place.memory;
        }
    }
}

impl Place {
    fn last_read(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        lock(&self.shelf).forget(self);
    }
}

impl Taken {
    /// One that is on no shelf.
    pub fn new(entries: Entries) -> Taken {
        let totals = Totals::of(entries.from(0));
        Taken { totals, entries: Mutex::new(Some(entries)), place: None }
    }

    /// What `look` makes of the entries; `None` where they were given up.
    pub fn read<T>(&self, look: impl FnOnce(&Entries) -> T) -> Option<T> {
        if let Some(place) = &self.place {
            place.read.store(self::look(), Ordering::Relaxed);
        }
        lock(&self.entries).as_ref().map(look)
    }
}

impl Wanted {
    /// The listing, once it is there.
    pub fn poll(&mut self) -> Option<Result<Arc<Taken>, Fault>> {
        self.pending.poll()
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        let mut state = self.shelf.lock();
        let at = state.waiting.iter().position(|job| job.id == self.id);
        // Its directory is closed without the lock.
        let job = at.and_then(|at| state.waiting.remove(at));
        drop(state);
        drop(job);
    }
}

/// A listing's turn to be taken.
struct Turn {
    shelf: Shelf,
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut state = self.shelf.lock();
        state.is_running = false;
        self.shelf.start(state);
    }
}

/// The number of the next look.
fn look() -> u64 {
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    LOOKS.fetch_add(1, Ordering::Relaxed)
}

/// Even if somebody panicked with it in his hands: there is nothing in it to spoil.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;
    use std::time::SystemTime;

    use super::super::directory::{Entry, Kind};
    use super::*;

    const VERSION: Stat = Stat { device: 1, inode: 1, len: 1, modified: (1, 1), changed: (1, 1) };

    /// Two megabytes, a little more or less.
    fn entries() -> Entries {
        let mut entries = Entries::default();
        for _ in 0..8_000 {
            entries.push(&Entry {
                name: Cow::Borrowed(&[b'x'; 230]),
                kind: Kind::File,
                bytes: 0,
                modified: SystemTime::UNIX_EPOCH,
            });
        }
        entries.shrink();
        entries
    }

    fn keep(shelf: &Shelf) -> Arc<Taken> {
        shelf.keep(entries(), Order::default(), VERSION, None)
    }

    #[test]
    fn what_is_kept_has_a_bound_and_what_is_read_stays() {
        let shelf = Shelf::new(&Disk::default(), KEPT);
        let read = keep(&shelf);
        let others: Vec<_> = (0..100)
            .map(|_| {
                assert_eq!(read.read(Entries::len), Some(8_000));
                keep(&shelf)
            })
            .collect();
        let kept: usize =
            others.iter().chain([&read]).filter_map(|taken| taken.read(Entries::memory)).sum();
        assert!(kept <= KEPT && kept > KEPT / 8 * 7, "{kept} bytes are kept");
        assert_eq!(shelf.lock().memory, kept);
        // The oldest are given up, and nobody else.
        let mut alive = others.iter().map(|taken| taken.read(Entries::len).is_some());
        assert!(alive.by_ref().take_while(|alive| !alive).count() > 60);
        assert!(alive.all(|alive| alive));
        drop((read, others));
        let state = shelf.lock();
        assert_eq!((state.memory, state.kept.len()), (0, 0));
    }

    #[test]
    fn one_that_was_taken_a_moment_ago_serves_others_of_its_version() {
        let tree = std::env::temp_dir().join(format!("socklab-shelf-{}", std::process::id()));
        std::fs::create_dir_all(&tree).unwrap();
        std::fs::write(tree.join("a"), "a").unwrap();
        let root = super::super::Root::open(&tree, false).unwrap();
        let shelf = Shelf::new(&Disk::default(), KEPT);
        let find = || {
            let Ok(super::super::Found::Directory(directory)) = root.find(b"") else { panic!() };
            directory
        };
        let take = |directory: Directory, order: Order| {
            let mut wanted = shelf.take(directory, Entries::default(), order);
            loop {
                if let Some(taken) = wanted.poll() {
                    return taken.unwrap();
                }
                std::thread::yield_now();
            }
        };
        while !find().settled {
            std::thread::yield_now();
        }
        let first = take(find(), Order::default());
        let since = Instant::now();
        let second = take(find(), Order::default());
        assert!(Arc::ptr_eq(&first, &second) || since.elapsed() > FRESH / 2);
        assert!(!Arc::ptr_eq(&first, &take(find(), Order::parse(b"order=desc"))));
        std::fs::write(tree.join("b"), "b").unwrap();
        let mut unsettled = find();
        unsettled.settled = false;
        let third = take(unsettled, Order::default());
        assert_eq!(third.read(Entries::len), Some(2));
        // Of the same version, but nobody could tell.
        let fourth = take(find(), Order::default());
        assert!(!Arc::ptr_eq(&third, &fourth));
        std::fs::remove_dir_all(tree).unwrap();
    }
}

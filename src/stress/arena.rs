//! Where a hostile client meets a server: how it is called, what is known of its process, and what
//! is asked of it.

use std::fs;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};

use super::fault::Fault;
use super::own::Starter;
use super::peer::Peer;
use super::verdict::Breach;
use crate::load::secure::Secure;
use crate::load::watch::Watch;
use crate::load::work::Stream;
use crate::observe::ProcessTree;
use crate::report::numbers::bytes;

/// What a server speaks, as far as hostile clients care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Everything comes back.
    Echo,
    /// IRC.
    Chat,
    /// HTTP.
    Files,
    /// Something else: only what needs no answer is tried.
    Other,
}

impl Protocol {
    /// "that speak IRC", of servers.
    pub fn named(self) -> &'static str {
        match self {
            Protocol::Echo => "that echo",
            Protocol::Chat => "that speak IRC",
            Protocol::Files => "that speak HTTP",
            Protocol::Other => "of any kind",
        }
    }
}

/// Between two looks at memory that may grow, and what it has grown by if it is still.
const GROWTH: Duration = Duration::from_millis(300);
const STILL: u64 = 1 << 20;

/// A server, and how its visitors behave.
pub struct Arena {
    /// Where it listens.
    pub server: SocketAddr,
    /// How it is called over TLS.
    pub secure: Option<Secure>,
    /// What it speaks.
    pub protocol: Protocol,
    /// Over HTTP, its name and a path that is there.
    pub page: Option<(String, String)>,
    /// How many connections a crowd has.
    pub clients: usize,
    /// How long anything may take. A promise that takes longer is broken.
    pub patience: Duration,
    /// Where what is sent comes from.
    pub seed: u64,
    /// How long those take that take as long as they are given.
    pub duration: Duration,
    /// Shared with whoever wants to end the run.
    pub watch: Arc<Watch>,
    /// Its process, where it is known.
    pub process: Option<Mutex<ProcessTree>>,
    /// How one more of its kind is started, where that is known.
    pub starter: Option<Starter>,
    /// Whether others are there, so that what its process uses is not for one visitor to judge.
    pub is_crowded: bool,
}

/// Bytes of a straw's buffers. The kernel doubles them, and keeps half for itself.
const STRAW: usize = 16 * 1024;

/// Bytes of a segment, as on an Ethernet. On the loopback they have 64 KiB, and buffers grow with
/// them.
const SEGMENT: u32 = 1400;

/// What a server's processes use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Open descriptors.
    pub files: usize,
    /// Threads.
    pub threads: usize,
    /// Resident memory and what the kernel holds for it, in bytes.
    pub memory: u64,
    /// CPU time so far.
    pub cpu: Duration,
}

impl Arena {
    /// Connects, and shakes hands where there is TLS.
    pub fn call(&self) -> Result<Peer, Breach> {
        let mut peer = self.connect()?;
        peer.shake_hands()?;
        Ok(peer)
    }

    /// Connects, and says not a byte.
    pub fn connect(&self) -> Result<Peer, Breach> {
        let stop = self.watch.stop.clone();
        Ok(Peer::connect(self.server, self.secure.as_ref(), self.patience, stop)?)
    }

    /// Connects with small buffers and small segments, and shakes hands: what it does not read waits
    /// at the server, and hardly any of it on the way.
    pub fn call_through_a_straw(&self) -> Result<Peer, Breach> {
        let socket = Socket::new(Domain::for_address(self.server), Type::STREAM, None)?;
        // Before it connects: both decide what is offered to the server from the start.
        socket.set_recv_buffer_size(STRAW)?;
        socket.set_send_buffer_size(STRAW)?;
        socket.set_tcp_mss(SEGMENT)?;
        socket.connect_timeout(&self.server.into(), self.patience).map_err(Fault::Refused)?;
        let stop = self.watch.stop.clone();
        let mut peer = Peer::over(socket.into(), self.secure.as_ref(), self.patience, stop)?;
        peer.shake_hands()?;
        Ok(peer)
    }

    /// Whether a visit that began then has gone on for long enough: a server far away, or one that
    /// forks for each caller, is visited by fewer.
    pub fn is_late(&self, since: Instant) -> bool {
        since.elapsed() >= self.patience
    }

    /// So many who come one by one, as `come` has each do; as many as come in time.
    pub fn gather(
        &self,
        most: usize,
        mut come: impl FnMut(usize) -> Result<Peer, Breach>,
    ) -> Result<Vec<Peer>, Breach> {
        let since = Instant::now();
        (0..most).take_while(|number| *number == 0 || !self.is_late(since)).map(&mut come).collect()
    }

    /// Says a short message, and hears it again where the server echoes.
    pub fn speak(&self, peer: &mut Peer, number: u64) -> Result<(), Breach> {
        let message = self.pattern(number, 64);
        match self.protocol {
            Protocol::Echo => peer.echoes(&message)?,
            _ => peer.begin(&message),
        }
        Ok(())
    }

    /// Bytes that differ for each `number` and for each seed of the run.
    pub fn pattern(&self, number: u64, length: usize) -> Vec<u8> {
        let stream = Stream::seeded(self.seed);
        let mut bytes = Vec::with_capacity(length);
        while bytes.len() < length {
            let piece = stream.piece(number as usize, bytes.len() as u64);
            bytes.extend_from_slice(&piece[..piece.len().min(length - bytes.len())]);
        }
        bytes
    }

    /// The same arena for many visitors at once.
    pub(super) fn crowded(&self) -> Arena {
        Arena { is_crowded: true, ..self.bare() }
    }

    /// The same, of which nothing is known but how it is called.
    pub(super) fn bare(&self) -> Arena {
        Arena {
            server: self.server,
            secure: self.secure.clone(),
            protocol: self.protocol,
            page: self.page.clone(),
            clients: self.clients,
            patience: self.patience,
            seed: self.seed,
            duration: self.duration,
            watch: Arc::clone(&self.watch),
            process: None,
            starter: None,
            is_crowded: false,
        }
    }

    /// Whether the user has had enough.
    pub fn stopped(&self) -> bool {
        self.watch.stop.load(Ordering::Relaxed)
    }

    /// What the server's processes use, where they are known.
    pub fn usage(&self) -> Result<Option<Usage>, Breach> {
        let Some(process) = &self.process else { return Ok(None) };
        let mut tree = process.lock().unwrap_or_else(PoisonError::into_inner);
        let held = tree.memory()?;
        let mut usage = Usage {
            memory: held.resident + held.threads + held.page_tables + held.sockets,
            cpu: tree.cpu()?,
            ..Usage::default()
        };
        for pid in tree.pids() {
            usage.files += entries(pid, "fd");
            usage.threads += entries(pid, "task");
        }
        Ok(Some(usage))
    }

    /// The same, or why it cannot be tried.
    pub fn needed_usage(&self) -> Result<Usage, Breach> {
        let usage = self.usage()?;
        usage.ok_or_else(|| self.unknown())
    }

    fn unknown(&self) -> Breach {
        Breach::skipped(match self.is_crowded {
            true => "what the process uses tells nothing of one visitor while others are there",
            false => "the server's process is not known; give --pid PID",
        })
    }

    /// The server's processes, the first one first, or why it cannot be tried.
    pub fn pids(&self) -> Result<Vec<Pid>, Breach> {
        let process = self.process.as_ref().ok_or_else(|| self.unknown())?;
        let mut tree = process.lock().unwrap_or_else(PoisonError::into_inner);
        tree.refresh()?;
        Ok(tree.pids().collect())
    }

    /// Whether its process is known and has ended.
    pub fn is_gone(&self) -> bool {
        self.process.as_ref().is_some_and(|process| {
            process.lock().unwrap_or_else(PoisonError::into_inner).has_ended()
        })
    }

    /// Its processes' share of one CPU, over a while in which nothing happens.
    pub fn cpu_share(&self, time: Duration) -> Result<f64, Breach> {
        let (before, since) = (self.needed_usage()?.cpu, Instant::now());
        self.pause(time)?;
        let used = self.needed_usage()?.cpu.saturating_sub(before);
        Ok(used.as_secs_f64() / since.elapsed().as_secs_f64())
    }

    /// How much more memory the server uses than `before`, as the end of a sentence; nothing where its
    /// process is not known. With more than `most` a promise is broken.
    pub fn grown(&self, before: Option<Usage>, most: u64) -> Result<String, Breach> {
        let (Some(before), Some(now)) = (before, self.usage()?) else { return Ok(String::new()) };
        let grown = now.memory.saturating_sub(before.memory);
        match grown > most {
            true => Err(Breach::broken(format!(
                "{} more memory for who does not read",
                bytes(grown as f64)
            ))),
            false => Ok(format!(", for {} more memory", bytes(grown as f64))),
        }
    }

    /// The same once it grows no more: a slow server has its time.
    pub fn grown_in_the_end(&self, before: Option<Usage>, most: u64) -> Result<String, Breach> {
        let (since, mut last) = (Instant::now(), 0);
        loop {
            self.pause(GROWTH)?;
            let told = self.grown(before, most)?;
            let now = self.usage()?.map_or(0, |usage| usage.memory);
            if now <= last + STILL || since.elapsed() > self.patience {
                return Ok(told);
            }
            last = now;
        }
    }

    /// Waits until the server's process holds no more descriptors and threads than `before`, and
    /// says how long that took; zero where the process is not known.
    pub fn settles_to(&self, before: Option<Usage>) -> Result<Duration, Breach> {
        let Some(before) = before else { return Ok(Duration::ZERO) };
        let since = Instant::now();
        loop {
            let now = self.needed_usage()?;
            if now.files <= before.files && now.threads <= before.threads {
                return Ok(since.elapsed());
            }
            if since.elapsed() > self.patience {
                return Err(Breach::broken(format!(
                    "{} descriptors and {} threads more than before, though all have left",
                    now.files.saturating_sub(before.files),
                    now.threads.saturating_sub(before.threads)
                )));
            }
            self.pause(Duration::from_millis(5))?;
        }
    }

    /// Whether anybody is served at all, as this protocol has it, before somebody hostile comes.
    pub fn is_served(&self) -> Result<(), Breach> {
        self.serves_one()
    }

    /// Whether somebody new is served.
    pub fn serves(&self) -> Result<(), Breach> {
        self.serves_one().map_err(|breach| breach.of("who came afterwards"))
    }

    /// Sleeps, unless the user has had enough.
    pub fn pause(&self, time: Duration) -> Result<(), Breach> {
        match self.stopped() {
            true => Err(Breach::Interrupted),
            false => {
                std::thread::sleep(time);
                Ok(())
            }
        }
    }
}

fn entries(pid: Pid, of: &str) -> usize {
    // It may have ended meanwhile.
    fs::read_dir(format!("/proc/{pid}/{of}")).map_or(0, Iterator::count)
}

//! Servers that run out of things, or are told to stop, each a process of its own: a thread for each
//! client, right in all but one thing.

use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use nix::errno::Errno;
use signal_hook::consts::{SIGHUP, SIGTERM};
use signal_hook::flag;

use super::run::{again, name, named, own_listener};

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Temper {
    /// Nothing.
    Right,
    /// A descriptor that cannot be had ends it.
    DiesOnEmfile,
    /// It tries again at once.
    SpinsOnEmfile,
    /// It takes no caller any more after the first shortage.
    GivesUpOnEmfile,
    /// A thread that cannot be had ends it.
    DiesWithoutThread,
    /// It tries again at once.
    SpinsWithoutThread,
    /// It lets everybody in, however many seats it has.
    HasNoCap,
    /// Who finds no seat is sent away without a word.
    SendsAway,
    /// A seat that was taken once is never free again, but for that of the first caller.
    LosesSeats,
    /// Silent peers stay.
    NeverIdle,
    /// Every peer leaves after the idle time, whatever it does.
    CountsFromTheStart,
    /// SIGTERM ends it at once.
    DropsAllAtTerm,
    /// SIGTERM: it goes when all others have gone.
    WaitsForAll,
    /// SIGTERM: it takes newcomers until the last of the others has gone.
    TakesNewcomers,
    /// SIGTERM: who is answered slowly is cut off.
    CutsOffTheSlow,
    /// SIGTERM: it reads what has arrived, answers none of it, and says goodbye.
    ForgetsAtTerm,
    /// SIGTERM: who is answered slowly is answered no more, and cut off a long while later.
    HoldsTheSlow,
    /// SIGTERM: all is well but the exit status.
    ExitsWith1,
    /// SIGHUP ends it at once.
    DropsAllAtHup,
    /// A second SIGTERM is like the first.
    IgnoresTheSecond,
}

/// Between two looks at what cannot wake it.
const GLANCE: Duration = Duration::from_millis(5);

/// After a shortage.
const REST: Duration = Duration::from_millis(75);

/// What it takes to stop at most.
const GRACE: Duration = Duration::from_secs(2);

/// How long one is held who is answered no more: longer than any grace.
const HELD: Duration = Duration::from_secs(4);

/// How long who was sent its end may take to leave.
const LINGER: Duration = Duration::from_millis(250);

/// The command that starts one. Seats are `seats`, and the idle time is `idle`.
pub fn command(temper: Temper, seats: usize, idle: Duration) -> String {
    let (seats, idle) = (seats.to_string(), idle.as_millis().to_string());
    let told = [("MORTAL", &*name(temper)), ("MORTAL_SEATS", &seats), ("MORTAL_IDLE", &idle)];
    again("a_mortal_server", &told)
}

/// Is that server, where the environment says so. Whoever else calls it returns.
pub fn serve() {
    let Some(temper) = named("MORTAL") else { return };
    let number = |name: &str| -> u64 { env::var(name).unwrap().parse().unwrap() };
    let server = Arc::new(Mortal {
        temper,
        seats: number("MORTAL_SEATS") as usize,
        idle: Duration::from_millis(number("MORTAL_IDLE")),
        calls: AtomicUsize::new(0),
        taken: AtomicUsize::new(0),
        stop: Arc::default(),
        cut_off: AtomicBool::new(false),
    });
    let listener = own_listener();
    server.catch_signals();
    server.run(listener);
}

struct Mortal {
    temper: Temper,
    seats: usize,
    idle: Duration,
    calls: AtomicUsize,
    taken: AtomicUsize,
    stop: Arc<AtomicBool>,
    cut_off: AtomicBool,
}

impl Mortal {
    fn catch_signals(&self) {
        for signal in [SIGTERM, SIGHUP] {
            let at_once = match self.temper {
                Temper::DropsAllAtTerm => signal == SIGTERM,
                Temper::DropsAllAtHup => signal == SIGHUP,
                _ => false,
            };
            if at_once {
                flag::register_conditional_shutdown(signal, 0, Arc::new(AtomicBool::new(true)))
                    .unwrap();
            } else if self.temper != Temper::IgnoresTheSecond {
                flag::register_conditional_shutdown(signal, 130, self.stop.clone()).unwrap();
            }
            flag::register(signal, self.stop.clone()).unwrap();
        }
    }

    fn run(self: &Arc<Mortal>, listener: TcpListener) {
        listener.set_nonblocking(true).unwrap();
        let mut gave_up = false;
        let mut told = None;
        loop {
            let stopping = self.stop.load(Ordering::SeqCst);
            if stopping {
                told.get_or_insert_with(Instant::now);
            }
            let is_full = self.taken.load(Ordering::SeqCst) >= self.seats;
            let waits = !matches!(self.temper, Temper::HasNoCap | Temper::SendsAway);
            if gave_up || (is_full && waits) {
                if stopping {
                    break;
                }
                thread::sleep(GLANCE);
                continue;
            }
            match listener.accept() {
                Ok(_) if is_full && self.temper == Temper::SendsAway => {}
                Ok((stream, _)) => self.seat(stream),
                // Who was in the queue is in.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if stopping && !self.takes_newcomers(told) {
                        break;
                    }
                    thread::sleep(GLANCE);
                }
                Err(error) if error.raw_os_error() == Some(Errno::EMFILE as i32) => {
                    match self.temper {
                        Temper::DiesOnEmfile => {
                            eprintln!("cannot accept: {error}");
                            process::exit(1);
                        }
                        Temper::SpinsOnEmfile => {}
                        Temper::GivesUpOnEmfile => gave_up = true,
                        _ => thread::sleep(REST),
                    }
                }
                Err(_) => thread::sleep(REST),
            }
        }
        drop(listener);
        let since = Instant::now();
        let patient = matches!(
            self.temper,
            Temper::WaitsForAll | Temper::IgnoresTheSecond | Temper::HoldsTheSlow
        );
        while self.taken.load(Ordering::SeqCst) > 0 && (patient || since.elapsed() < GRACE) {
            let slow = self.temper == Temper::CutsOffTheSlow && since.elapsed() > LINGER;
            self.cut_off.store(slow, Ordering::SeqCst);
            thread::sleep(GLANCE);
        }
        process::exit(if self.temper == Temper::ExitsWith1 { 1 } else { 0 });
    }

    fn takes_newcomers(&self, told: Option<Instant>) -> bool {
        self.temper == Temper::TakesNewcomers
            && self.taken.load(Ordering::SeqCst) > 0
            && told.is_some_and(|told| told.elapsed() < 10 * GRACE)
    }

    fn seat(self: &Arc<Mortal>, stream: TcpStream) {
        let is_first = self.calls.fetch_add(1, Ordering::SeqCst) == 0;
        self.taken.fetch_add(1, Ordering::SeqCst);
        let stream = Arc::new(stream);
        loop {
            let (server, stream) = (self.clone(), stream.clone());
            let spawned = thread::Builder::new().spawn(move || {
                let _ = server.converse(&stream);
                drop(stream);
                if server.temper != Temper::LosesSeats || is_first {
                    server.taken.fetch_sub(1, Ordering::SeqCst);
                }
            });
            match (spawned, self.temper) {
                (Ok(_), _) => return,
                (Err(error), Temper::DiesWithoutThread) => {
                    eprintln!("cannot spawn: {error}");
                    process::exit(1);
                }
                (Err(_), Temper::SpinsWithoutThread) => {}
                (Err(_), _) => thread::sleep(REST),
            }
        }
    }

    /// Until the peer has said all, or is idle, or the server stops and nothing more is there.
    fn converse(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(GLANCE))?;
        stream.set_write_timeout(Some(GLANCE))?;
        let mut progress = Instant::now();
        let mut input = vec![0; 65_536];
        loop {
            // Asked before: what it does not find after that has not come in time.
            let stopping = self.stop.load(Ordering::SeqCst);
            match stream.read(&mut input) {
                Ok(0) => return Ok(()),
                Ok(_) if self.forgets() => {}
                Ok(n) => {
                    if matches!(self.temper, Temper::DropsAllAtTerm | Temper::DropsAllAtHup) {
                        // Or it may have answered before the signal ends it.
                        thread::sleep(REST);
                    }
                    let mut moved = Instant::now();
                    let said = self.say(stream, &input[..n], &mut moved)?;
                    if self.temper != Temper::CountsFromTheStart {
                        progress = moved;
                    }
                    if !said {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_not_yet(&error) && stopping => {
                    if matches!(self.temper, Temper::WaitsForAll | Temper::TakesNewcomers) {
                        continue;
                    }
                    return self.see_off(stream, &mut input);
                }
                Err(error) if is_not_yet(&error) => {}
                Err(error) => return Err(error),
            }
            if self.is_idle(progress) {
                return Ok(());
            }
        }
    }

    /// Whether the signal was there before what was read, or with it.
    fn forgets(&self) -> bool {
        self.temper == Temper::ForgetsAtTerm && {
            thread::sleep(REST);
            self.stop.load(Ordering::SeqCst)
        }
    }

    /// Whether all was said.
    fn say(
        &self,
        mut stream: &TcpStream,
        mut bytes: &[u8],
        progress: &mut Instant,
    ) -> std::io::Result<bool> {
        while !bytes.is_empty() {
            if self.is_idle(*progress) || self.cut_off.load(Ordering::SeqCst) {
                return Ok(false);
            }
            if self.temper == Temper::HoldsTheSlow && self.stop.load(Ordering::SeqCst) {
                thread::sleep(HELD);
                return Ok(false);
            }
            match stream.write(bytes) {
                Ok(n) => (bytes, *progress) = (&bytes[n..], Instant::now()),
                Err(error) if is_not_yet(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn is_idle(&self, progress: Instant) -> bool {
        progress.elapsed() > self.idle && self.temper != Temper::NeverIdle
    }

    fn see_off(&self, mut stream: &TcpStream, input: &mut [u8]) -> std::io::Result<()> {
        stream.shutdown(Shutdown::Write)?;
        let since = Instant::now();
        while since.elapsed() < LINGER {
            match stream.read(input) {
                Ok(0) => return Ok(()),
                Err(error) if !is_not_yet(&error) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }
}

fn is_not_yet(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

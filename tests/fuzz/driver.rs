//! An engine without sockets: some sessions of one service, the mail between them, and a clock.
//!
//! It keeps the engine's side of the contract, and does all that this allows; of a session that
//! does not keep its own side it says which law was broken. The numbers are those of
//! `src/session.rs`.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socklab::session::{ConnectionId, Output, Service, Session, Want};

use super::script::Step;
use super::support::PATIENCE;

/// Calls in a row in which a session may want to write and say nothing: it works through something
/// large, in turns.
const MOST_SILENT: u32 = 1000;

/// Letters after which an output is full, and those of one line more.
const MOST_LETTERS: usize = 4096 + 1000;

/// Whoever talks to a session.
pub trait Peer {
    /// The next words, `most` bytes at most. None: nothing can be said now.
    fn words(&mut self, most: usize) -> Vec<u8>;

    /// What the session said.
    fn hears(&mut self, bytes: &[u8]);
}

/// One who says what was written down beforehand.
#[derive(Default)]
pub struct Reciter {
    pub words: VecDeque<u8>,
    pub heard: Vec<u8>,
}

impl Reciter {
    pub fn new(words: &[u8]) -> Reciter {
        Reciter { words: words.to_vec().into(), heard: Vec::new() }
    }
}

impl Peer for Reciter {
    fn words(&mut self, most: usize) -> Vec<u8> {
        self.words.drain(..self.words.len().min(most)).collect()
    }

    fn hears(&mut self, bytes: &[u8]) {
        self.heard.extend_from_slice(bytes);
    }
}

/// How much may be said in one call.
#[derive(Clone, Copy, Debug)]
pub struct Bound {
    /// Chunks: one, or two where a session inside another one fills its own.
    pub chunks: usize,
    /// Bytes besides, and besides what was received: one reply.
    pub reply: usize,
}

/// Sessions of one service, each with its peer.
pub struct World<P> {
    service: Arc<dyn Service>,
    chunk: usize,
    bound: Bound,
    pub now: Instant,
    pub seats: Vec<Seat<P>>,
    serial: u32,
}

/// A session and what an engine keeps beside it.
pub struct Seat<P> {
    id: ConnectionId,
    session: Box<dyn Session>,
    pub peer: P,
    pub want: Want,
    alarm: Option<Instant>,
    /// One in whose place another was asked for.
    former: Option<Instant>,
    letters: VecDeque<Arc<[u8]>>,
    /// The peer takes what is said.
    reads: bool,
    /// Something was said that the peer has not taken.
    blocked: bool,
    eof: bool,
    drained: bool,
    pub ended: bool,
    silent: u32,
    pub failure: Option<String>,
}

/// What a session is told.
#[derive(Clone, Copy, Debug)]
enum News<'a> {
    Open,
    Receive(&'a [u8]),
    Produce,
    Deliver,
    Eof,
    Idle,
    Wake,
    Drain,
    Overflow,
    End(&'a str),
}

impl<P: Peer> World<P> {
    pub fn new(service: Arc<dyn Service>, chunk: usize, bound: Bound) -> World<P> {
        let (now, seats) = (Instant::now(), Vec::new());
        World { service, chunk, bound, now, seats, serial: 0 }
    }

    /// A conversation begins.
    pub fn sit_down(&mut self, peer: P) -> usize {
        let seat = self.seats.len();
        self.serial += 1;
        let id = ConnectionId::new(seat as u32, self.serial);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 1024 + seat as u16));
        self.seats.push(Seat {
            id,
            session: self.service.accept(address, id),
            peer,
            want: Want::Read,
            alarm: None,
            former: None,
            letters: VecDeque::new(),
            reads: true,
            blocked: false,
            eof: false,
            drained: false,
            ended: false,
            silent: 0,
            failure: None,
        });
        self.tell(seat, News::Open);
        seat
    }

    /// Does what the script says, where an engine may do it now.
    pub fn step(&mut self, seat: usize, step: Step) {
        if self.seats[seat].ended {
            return;
        }
        self.seats[seat].blocked &= !self.seats[seat].reads;
        if self.seats[seat].want == Want::Close {
            // The words before the last one are taken, or they are not.
            self.tell(seat, News::End("finished"));
            return;
        }
        let Seat { want, blocked, eof, drained, .. } = self.seats[seat];
        match step {
            Step::Hear(most) if want == Want::Read && !blocked && !eof => {
                let words = self.seats[seat].peer.words(most.max(1));
                if !words.is_empty() {
                    self.tell(seat, News::Receive(&words));
                }
            }
            Step::Hear(_) | Step::Produce if want == Want::Write && !blocked => {
                self.tell(seat, News::Produce);
            }
            Step::Hear(_) | Step::Produce => {}
            Step::Stall => self.seats[seat].reads = false,
            Step::Take => (self.seats[seat].reads, self.seats[seat].blocked) = (true, false),
            Step::Pass(time) => self.now += time,
            Step::Wake => self.ring(seat),
            Step::WakeEarly if self.seats[seat].alarm.is_some_and(|alarm| alarm > self.now) => {
                self.tell(seat, News::Wake);
            }
            Step::Mail => self.hand_over(seat),
            Step::Eof if !eof => self.tell(seat, News::Eof),
            Step::Drain if !drained => self.tell(seat, News::Drain),
            Step::Idle => self.tell(seat, News::Idle),
            Step::Overflow if self.service.takes_mail() => self.tell(seat, News::Overflow),
            Step::Break => self.tell(seat, News::End("broken: connection reset by peer")),
            Step::Eof | Step::Drain | Step::Overflow | Step::WakeEarly => {}
        }
    }

    /// Wakes a session that has asked for it: at its time; at one that it had asked for before; and
    /// who waits for nothing else, by letting the time come.
    fn ring(&mut self, seat: usize) {
        let Seat { want, alarm, former, .. } = self.seats[seat];
        let Some(alarm) = alarm else {
            return;
        };
        if want == Want::Wait && alarm > self.now {
            // What is waited for goes on in time of another kind.
            thread::sleep((alarm - self.now).min(Duration::from_millis(50)) / 20);
            self.now = alarm;
        }
        if alarm <= self.now {
            self.seats[seat].alarm = None;
            self.tell(seat, News::Wake);
        } else if former.is_some_and(|former| former <= self.now) {
            self.seats[seat].former = None;
            self.tell(seat, News::Wake);
        }
    }

    /// The letters that wait for it, in one piece.
    fn hand_over(&mut self, seat: usize) {
        if !self.seats[seat].letters.is_empty() && self.seats[seat].want != Want::Close {
            self.call(seat, News::Deliver);
        }
    }

    fn tell(&mut self, seat: usize, news: News) {
        // What was posted before it is heard before it.
        self.hand_over(seat);
        if self.seats[seat].want != Want::Close || matches!(news, News::End(_)) {
            self.call(seat, news);
        }
    }

    fn call(&mut self, seat: usize, news: News) {
        let mut out = Output::new(self.chunk);
        out.set_now(self.now);
        let Seat { session, letters, .. } = &mut self.seats[seat];
        let letters = match news {
            News::Deliver => std::mem::take(letters),
            _ => VecDeque::new(),
        };
        let session = &mut **session;
        let want = match news {
            News::Open => session.open(&mut out),
            News::Receive(input) => session.receive(input, &mut out),
            News::Produce => session.produce(&mut out),
            News::Deliver => letters.iter().fold(Want::Read, |want, letter| match want {
                Want::Close => Want::Close,
                _ => session.deliver(letter, &mut out),
            }),
            News::Eof => session.eof(&mut out),
            News::Idle => session.idle(&mut out),
            News::Wake => session.wake(&mut out),
            News::Drain => session.drain(&mut out),
            News::Overflow => {
                session.overflow(&mut out);
                Want::Close
            }
            News::End(why) => {
                session.end(why, &mut out);
                Want::Close
            }
        };
        self.judge(seat, news, letters.len(), want, &mut out);
    }

    /// Looks whether the session has kept its side, and passes on what it said.
    fn judge(&mut self, index: usize, news: News, letters: usize, want: Want, out: &mut Output) {
        let seat = &mut self.seats[index];
        let before = std::mem::replace(&mut seat.want, want);
        let input = if let News::Receive(input) = news { input } else { &[] };
        let (wake, failure, mail) = (out.take_wake(), out.take_failure(), out.take_mail());
        let repeats = !out.repeated(b"x").is_empty();
        assert!(
            !repeats || !input.is_empty(),
            "it repeats what it did not receive, when told {news:?}"
        );
        let (repeated, written) = (out.repeated(input), out.bytes());
        let said = repeated.len() + written.len();
        let bound = match news {
            News::Deliver => letters * self.bound.reply,
            _ => self.bound.chunks * self.chunk + input.len() + self.bound.reply,
        };
        assert!(
            said <= bound,
            "law 2: it says {said} bytes when told {news:.50?}, and {bound} are a chunk and a reply"
        );
        assert!(
            failure.is_none() || want == Want::Close,
            "it gives up ({failure:?}) and wants {want:?}"
        );
        seat.failure = seat.failure.take().or(failure.map(Into::into));
        match news {
            News::Deliver => {
                assert!(wake.is_none(), "law 4: it asks to be woken when mail is delivered");
                assert!(
                    want == before || want == Want::Close,
                    "law 4: it wanted {before:?}, and {want:?} when mail was delivered"
                );
            }
            News::Idle => assert_eq!(want, Want::Close, "the idle time does not end it"),
            News::End(_) => {
                assert!(said == 0, "law 6: it says {said} bytes after its end");
                (seat.ended, seat.letters) = (true, VecDeque::new());
            }
            News::Eof => seat.eof = true,
            News::Drain => seat.drained = true,
            _ => {}
        }
        if let Some(wake) = wake {
            seat.former = seat.alarm.replace(wake).filter(|former| *former < wake);
        }
        match want {
            Want::Wait => {
                let alarm = seat.alarm.expect("law 1: it waits, and has not asked to be woken");
                assert!(
                    alarm > self.now || !matches!(news, News::Wake),
                    "it waits for a time that is over, and would be woken for ever"
                );
            }
            Want::Write if said == 0 && matches!(news, News::Produce) => {
                seat.silent += 1;
                assert!(seat.silent < MOST_SILENT, "it wants to write for ever, and says nothing");
            }
            _ => seat.silent = 0,
        }
        seat.peer.hears(repeated);
        seat.peer.hears(written);
        seat.blocked = said > 0 && !seat.reads;
        assert!(mail.len() <= MOST_LETTERS, "law 2: it posts {} letters at once", mail.len());
        assert!(mail.is_empty() || self.service.takes_mail(), "it posts, and takes no mail");
        assert!(
            mail.is_empty() || !matches!(news, News::Deliver),
            "law 4: it posts mail when mail is delivered"
        );
        let own = seat.id;
        for letter in mail {
            assert_ne!(letter.to, own, "law 4: it posts to itself");
            let to = self.seats.iter_mut().find(|seat| seat.id == letter.to && !seat.ended);
            if let Some(receiver) = to {
                receiver.letters.push_back(letter.bytes);
            }
        }
    }

    /// Whatever was not done is done, and every conversation ends: of itself, once it is told of the
    /// stop, that nothing more will come, and that time passes.
    pub fn finish(&mut self) {
        for seat in 0..self.seats.len() {
            self.step(seat, Step::Take);
            self.step(seat, Step::Drain);
            self.end(seat);
        }
    }

    /// The peer says all it has to say, in pieces of these sizes, and hears all answers.
    pub fn hear_out(&mut self, seat: usize, sizes: &[usize]) {
        let mut sizes = sizes.iter().copied().cycle();
        loop {
            match self.settled(seat) {
                Want::Read => {
                    let most = sizes.next().unwrap_or(usize::MAX);
                    let words = self.seats[seat].peer.words(most.max(1));
                    if words.is_empty() {
                        return;
                    }
                    self.tell(seat, News::Receive(&words));
                }
                _ => return,
            }
        }
    }

    /// Its last word was said, to the last answer.
    pub fn end(&mut self, seat: usize) {
        if !self.seats[seat].ended && self.settled(seat) == Want::Read {
            self.step(seat, Step::Eof);
            if self.settled(seat) == Want::Read {
                let lasts = self.service.takes_mail();
                assert!(!lasts, "its peer says no more, the server stops, and it goes on");
            }
        }
        if !self.seats[seat].ended {
            self.tell(seat, News::End("finished"));
        }
    }

    /// Until it wants to read, or nothing more.
    fn settled(&mut self, seat: usize) -> Want {
        // Since it has wanted anything but to wait.
        let mut start = Instant::now();
        let mut steps: usize = 0;
        loop {
            match self.seats[seat].want {
                Want::Write => {
                    start = Instant::now();
                    steps += self.chunk;
                    assert!(
                        steps < 16_000_000 + 10_000 * self.chunk,
                        "it is told to end, or to read, and goes on writing"
                    );
                    self.seats[seat].blocked = false;
                    self.tell(seat, News::Produce);
                }
                Want::Wait => {
                    assert!(start.elapsed() < PATIENCE, "it waits, and never goes on");
                    self.ring(seat);
                }
                want => return want,
            }
        }
    }
}

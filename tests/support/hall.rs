//! A chat service without sockets: a table of seats, whose words are said one after the other and
//! whose mail is handed round at once, with a clock that the test holds.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use socklab::service::Chat;
use socklab::service::chat::Settings;
use socklab::session::{ConnectionId, Mail, Output, Service, Session, Want};

pub struct Table {
    chat: Chat,
    pub seats: Vec<Seat>,
    pub now: Instant,
    /// When a session's output is full.
    pub chunk: usize,
    mail: VecDeque<Mail>,
}

pub struct Seat {
    id: ConnectionId,
    session: Box<dyn Session>,
    pub want: Want,
    heard: Vec<u8>,
    wake: Option<Instant>,
    /// Its connection is over.
    pub gone: bool,
    pub failure: Option<String>,
    /// The longest that it said in one call.
    pub longest: usize,
}

impl Table {
    pub fn new(settings: Settings) -> Table {
        Table {
            chat: Chat::new(settings),
            seats: Vec::new(),
            now: Instant::now(),
            chunk: Output::CHUNK,
            mail: VecDeque::new(),
        }
    }

    /// Somebody takes a seat, and says nothing yet.
    pub fn sit_down(&mut self) -> usize {
        self.sit_down_from(Ipv4Addr::LOCALHOST)
    }

    pub fn sit_down_from(&mut self, address: Ipv4Addr) -> usize {
        let seat = self.seats.len();
        let id = ConnectionId::new(seat as u32, seat as u32 + 1);
        let peer = SocketAddr::from((address, 1024 + seat as u16));
        self.seats.push(Seat {
            id,
            session: self.chat.accept(peer, id),
            want: Want::Read,
            heard: Vec::new(),
            wake: None,
            gone: false,
            failure: None,
            longest: 0,
        });
        self.tell(seat, |session, out| session.open(out));
        seat
    }

    /// Somebody takes a seat and registers.
    pub fn register(&mut self, nick: &str) -> usize {
        let seat = self.sit_down();
        self.say(seat, &format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\n"));
        seat
    }

    /// Says `text` in one piece, and goes on until everybody is silent.
    pub fn say(&mut self, seat: usize, text: &str) {
        self.say_bytes(seat, text.as_bytes());
    }

    pub fn say_bytes(&mut self, seat: usize, bytes: &[u8]) {
        if !bytes.is_empty() && self.seats[seat].want == Want::Read {
            self.tell(seat, |session, out| session.receive(bytes, out));
        }
        self.settle();
    }

    /// Time passes, and who asked for it is woken.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        loop {
            let due = |seat: &Seat| seat.wake.filter(|_| seat.want != Want::Close);
            let next = self.seats.iter().filter_map(due).min().filter(|at| *at <= end);
            let Some(at) = next else {
                break;
            };
            self.now = self.now.max(at);
            for seat in 0..self.seats.len() {
                if due(&self.seats[seat]).is_some_and(|wake| wake <= at) {
                    self.seats[seat].wake = None;
                    self.tell(seat, |session, out| session.wake(out));
                }
            }
            self.settle();
        }
        self.now = end;
    }

    /// The peer has gone without a word.
    pub fn break_off(&mut self, seat: usize) {
        self.end(seat, "broken: connection reset by peer");
        self.settle();
    }

    pub fn overflow(&mut self, seat: usize) {
        self.tell(seat, |session, out| {
            session.overflow(out);
            Want::Close
        });
        self.settle();
    }

    pub fn eof(&mut self, seat: usize) {
        self.tell(seat, |session, out| session.eof(out));
        self.settle();
    }

    pub fn drain(&mut self, seat: usize) {
        self.tell(seat, |session, out| session.drain(out));
        self.settle();
    }

    /// What somebody has heard since the last time, a line each.
    pub fn heard(&mut self, seat: usize) -> Vec<String> {
        let heard = std::mem::take(&mut self.seats[seat].heard);
        let text = String::from_utf8(heard).expect("only UTF-8 is said");
        assert!(text.is_empty() || text.ends_with("\r\n"), "{text:?}");
        text.split_terminator("\r\n").map(str::to_owned).collect()
    }

    /// Throws away what all have heard so far.
    pub fn forget(&mut self) {
        self.seats.iter_mut().for_each(|seat| seat.heard.clear());
    }

    fn tell(&mut self, seat: usize, news: impl FnOnce(&mut dyn Session, &mut Output) -> Want) {
        let mut out = Output::new(self.chunk);
        out.set_now(self.now);
        let seat = &mut self.seats[seat];
        assert_ne!(seat.want, Want::Close, "nothing is told after the end");
        seat.want = news(&mut *seat.session, &mut out);
        seat.heard.extend_from_slice(out.bytes());
        seat.longest = seat.longest.max(out.bytes().len());
        seat.wake = out.take_wake().or(seat.wake);
        seat.failure = seat.failure.take().or(out.take_failure().map(Into::into));
        self.mail.extend(out.take_mail());
    }

    /// Mail reaches whom it is for, who has more to say says it, and who is done leaves.
    fn settle(&mut self) {
        loop {
            while let Some(mail) = self.mail.pop_front() {
                let seat = self.seats.iter().position(|seat| seat.id == mail.to);
                let seat = seat.expect("mail is for somebody");
                if self.seats[seat].want == Want::Close || self.seats[seat].gone {
                    continue;
                }
                let before = self.seats[seat].want;
                self.tell(seat, |session, out| {
                    let want = session.deliver(&mail.bytes, out);
                    assert!(out.take_mail().is_empty() && out.take_wake().is_none());
                    want
                });
                let after = self.seats[seat].want;
                assert!(after == before || after == Want::Close, "{before:?} became {after:?}");
            }
            if let Some(seat) = self.seats.iter().position(|seat| seat.want == Want::Write) {
                self.tell(seat, |session, out| session.produce(out));
                continue;
            }
            let done = |seat: &Seat| seat.want == Want::Close && !seat.gone;
            match self.seats.iter().position(done) {
                Some(seat) => self.end(seat, "finished"),
                None => return,
            }
        }
    }

    fn end(&mut self, seat: usize, why: &str) {
        let mut out = Output::new(self.chunk);
        let seat = &mut self.seats[seat];
        seat.session.end(why, &mut out);
        (seat.gone, seat.want) = (true, Want::Close);
        self.mail.extend(out.take_mail());
    }
}

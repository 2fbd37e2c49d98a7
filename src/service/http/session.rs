//! One conversation over HTTP/1.1: a request, its body, its answer, and the next one.
//!
//! What has come and was not heard yet waits in `unheard`: a part of a head, or what was read at once
//! with a request that is not answered yet. Nothing more is read before it is.

use std::fmt;
use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::{Level, debug, log_enabled};

use super::body::{Body, Next};
use super::head::{self, LONGEST_HEAD, Method, Refusal, Request};
use super::reply::{Alive, Progress, Reply, Sending};
use super::{Answer, Deadlines, Intake, Pending, Site};
use crate::session::{ConnectionId, Output, Session, Want};

/// Bytes of a body nobody wants that are read, so that the connection can go on. With more it ends.
const LONGEST_SKIPPED: u64 = 64 * 1024;

/// The first look at what takes its time, and the longest between two.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// A connection over HTTP.
pub struct Conversation {
    site: Arc<dyn Site>,
    deadlines: Arc<Deadlines>,
    id: ConnectionId,
    unheard: Vec<u8>,
    stage: Stage,
    /// When the stage began.
    since: Instant,
    /// A request was answered before.
    has_answered: bool,
    request: Asked,
    /// The connection ends after this answer.
    closing: bool,
    /// The peer says no more.
    eof: bool,
    /// What is wanted.
    wanted: Want,
    /// What takes its time is looked at again after this time.
    pause: Duration,
    /// When the engine was asked to wake it.
    alarm: Option<Instant>,
    /// When the peer's time was over.
    expired: Option<Instant>,
}

enum Stage {
    /// A head is read.
    Head,
    /// A body is read.
    Body { intake: Box<dyn Intake>, body: Body, received: u64, paused: Option<Instant> },
    /// Something is worked out elsewhere.
    Later(Box<dyn Pending>),
    /// An answer is being said.
    Reply(Sending),
    /// A body that nobody wants is read.
    Skip { body: Body, left: u64 },
    /// Nothing more is said.
    Over,
}

/// What is remembered of a request until it is answered.
#[derive(Default)]
struct Asked {
    is_modern: bool,
    /// Only the head of the answer is wanted.
    is_head: bool,
    /// Its body, which nobody wants.
    unwanted: Option<Body>,
    /// Method and target, for the log.
    line: String,
}

/// What stops the conversation for now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// More input is needed.
    Input,
    /// There is enough to send, or enough was done in one turn.
    Full,
    /// Something is not ready.
    Pause,
    /// That was all.
    Over,
}

impl Conversation {
    pub fn new(site: Arc<dyn Site>, deadlines: Arc<Deadlines>, id: ConnectionId) -> Conversation {
        Conversation {
            site,
            deadlines,
            id,
            unheard: Vec::new(),
            stage: Stage::Head,
            since: Instant::now(),
            has_answered: false,
            request: Asked::default(),
            closing: false,
            eof: false,
            wanted: Want::Read,
            pause: FIRST_PAUSE,
            alarm: None,
            expired: None,
        }
    }
}

impl Session for Conversation {
    fn open(&mut self, out: &mut Output) -> Want {
        self.since = out.now();
        self.want(Stop::Input, out)
    }

    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        if self.unheard.is_empty() {
            if matches!(self.stage, Stage::Head) {
                self.since = out.now();
            }
            let (heard, stop) = self.advance(input, out);
            self.unheard.extend_from_slice(&input[heard..]);
            return self.want(stop, out);
        }
        self.unheard.extend_from_slice(input);
        // A head is not over before the end of a line.
        if self.unheard.len() < LONGEST_HEAD && !input.contains(&b'\n') {
            return self.want(Stop::Input, out);
        }
        self.produce(out)
    }

    fn produce(&mut self, out: &mut Output) -> Want {
        if let Some(expired) = self.expired.take() {
            if out.now().saturating_duration_since(expired) < LONGEST_PAUSE {
                return self.time_out(out);
            }
            // It was busy with the answer before, and nothing was read from it meanwhile.
            self.since = out.now();
        }
        let mut unheard = mem::take(&mut self.unheard);
        let (heard, stop) = self.advance(&unheard, out);
        if heard < unheard.len() {
            unheard.drain(..heard);
            self.unheard = unheard;
        }
        self.want(stop, out)
    }

    fn eof(&mut self, out: &mut Output) -> Want {
        self.eof = true;
        match (self.wanted, &self.stage) {
            // It was not looked at, for want of the end of a line, and may be malformed as it is.
            (Want::Read, Stage::Head) if !self.unheard.is_empty() => return self.produce(out),
            (Want::Read, Stage::Body { .. }) => out.fail("HTTP: it left in the middle of a body"),
            _ => {}
        }
        match self.wanted {
            Want::Read => Want::Close,
            wanted => wanted,
        }
    }

    fn wake(&mut self, out: &mut Output) -> Want {
        self.alarm = None;
        let is_over = self.deadline().is_some_and(|deadline| deadline <= out.now());
        match self.wanted {
            Want::Read if !is_over => self.want(Stop::Input, out),
            Want::Read => {
                // An answer may be on its way still, and what is said now goes behind it.
                self.expired = Some(out.now());
                self.wanted = Want::Write;
                Want::Write
            }
            // What is ready is said when there is room for it.
            Want::Wait | Want::Write => {
                self.wanted = Want::Write;
                Want::Write
            }
            Want::Close => Want::Close,
        }
    }

    fn drain(&mut self, _out: &mut Output) -> Want {
        self.closing = true;
        match self.wanted {
            Want::Read if matches!(self.stage, Stage::Head) => Want::Close,
            wanted => wanted,
        }
    }
}

impl Conversation {
    /// Goes on as far as that is possible. Returns how much of `input` was heard, and what stops it.
    fn advance(&mut self, input: &[u8], out: &mut Output) -> (usize, Stop) {
        let mut heard = 0;
        loop {
            let rest = &input[heard..];
            match &mut self.stage {
                Stage::Over => return (input.len(), Stop::Over),
                _ if out.is_full() => return (heard, Stop::Full),
                Stage::Head if rest.is_empty() => return (heard, Stop::Input),
                Stage::Head => {
                    let begun = head::read(rest, |request, length| {
                        self.begin(request, rest.len() > length, out);
                        length
                    });
                    match begun {
                        Ok(Some(length)) => heard += length,
                        Ok(None) => return (heard, Stop::Input),
                        Err(refusal) => {
                            self.request = Asked { is_modern: true, ..Asked::default() };
                            self.refuse(refusal, out);
                        }
                    }
                }
                Stage::Body { intake, body, received, paused } => {
                    if !intake.is_ready() {
                        paused.get_or_insert(out.now());
                        return (heard, Stop::Pause);
                    }
                    if let Some(paused) = paused.take() {
                        // This was not the peer's time.
                        self.since += out.now().saturating_duration_since(paused);
                        self.pause = FIRST_PAUSE;
                    }
                    let (length, pieces, ended) = body.gather(rest);
                    heard += length;
                    *received += pieces.len() as u64;
                    // What came before a mistake is taken, as if that had come later.
                    let taken = match pieces.is_empty() {
                        true => Ok(()),
                        false => intake.take(&pieces),
                    };
                    match (taken, ended) {
                        (Err(reply), _) => {
                            self.closing = true;
                            self.reply(reply, out);
                        }
                        (Ok(()), Err(refusal)) => self.refuse(refusal, out),
                        (Ok(()), Ok(true)) => {
                            let taken = mem::replace(&mut self.stage, Stage::Over);
                            if let Stage::Body { intake, .. } = taken {
                                self.stage = Stage::Later(intake.finish());
                            }
                        }
                        (Ok(()), Ok(false)) if length == 0 => return (heard, Stop::Input),
                        (Ok(()), Ok(false)) if heard < input.len() => return (heard, Stop::Full),
                        (Ok(()), Ok(false)) => {}
                    }
                }
                Stage::Later(pending) => match pending.poll() {
                    Some(reply) => self.reply(reply, out),
                    None => return (heard, Stop::Pause),
                },
                Stage::Reply(sending) => match sending.write(out) {
                    Ok(Progress::Done) => self.finish(out),
                    Ok(Progress::More) => return (heard, Stop::Full),
                    Ok(Progress::Later) => return (heard, Stop::Pause),
                    Err(error) => {
                        out.fail(format!("HTTP: {error}"));
                        self.stage = Stage::Over;
                    }
                },
                Stage::Skip { body, left } => match body.next(rest) {
                    Ok(Next::Framing(0) | Next::Piece(0)) => return (heard, Stop::Input),
                    Ok(Next::Framing(length) | Next::Piece(length)) => {
                        heard += length;
                        match left.checked_sub(length as u64) {
                            Some(rest) => *left = rest,
                            None => self.stage = Stage::Over,
                        }
                    }
                    Ok(Next::End) => self.proceed(out),
                    Err(_) => self.stage = Stage::Over,
                },
            }
        }
    }

    /// What is wanted once nothing can be done for now.
    fn want(&mut self, stop: Stop, out: &mut Output) -> Want {
        self.wanted = match stop {
            Stop::Over => Want::Close,
            Stop::Full => Want::Write,
            Stop::Pause => {
                self.wake_at(out.now() + self.pause, out);
                self.pause = (2 * self.pause).min(LONGEST_PAUSE);
                Want::Wait
            }
            Stop::Input if self.eof => Want::Close,
            Stop::Input if self.closing && matches!(self.stage, Stage::Head) => Want::Close,
            Stop::Input => {
                if let Some(deadline) = self.deadline() {
                    self.wake_at(deadline, out);
                }
                Want::Read
            }
        };
        self.wanted
    }

    /// An alarm that goes off too early looks for the deadline again, so that a busy peer does not
    /// set one for each request.
    fn wake_at(&mut self, at: Instant, out: &mut Output) {
        if self.alarm.is_none_or(|alarm| at < alarm) {
            self.alarm = Some(at);
            out.wake_at(at);
        }
    }

    /// Until when the peer has to have sent what is waited for.
    fn deadline(&self) -> Option<Instant> {
        let deadlines = &self.deadlines;
        let patience = match &self.stage {
            Stage::Head if self.has_answered && self.unheard.is_empty() => deadlines.keep_alive,
            Stage::Head => deadlines.head,
            Stage::Body { received, .. } => {
                deadlines.body + Duration::from_secs(received / Deadlines::SLOWEST)
            }
            Stage::Skip { .. } => deadlines.body,
            Stage::Later(_) | Stage::Reply(_) | Stage::Over => return None,
        };
        Some(self.since + patience)
    }

    fn time_out(&mut self, out: &mut Output) -> Want {
        match self.stage {
            Stage::Head if !self.unheard.is_empty() => {}
            Stage::Body { .. } => {}
            // It has nothing to be answered.
            _ => return Want::Close,
        }
        self.unheard = Vec::new();
        self.refuse(Refusal { status: 408, why: "the request took too long" }, out);
        self.produce(out)
    }

    /// The head of a request has come, and perhaps `more`.
    fn begin(&mut self, request: &Request<'_>, more: bool, out: &mut Output) {
        self.request = Asked {
            is_modern: request.is_modern,
            is_head: request.method == Method::Head,
            unwanted: None,
            line: match log_enabled!(Level::Debug) {
                true => format!("{} {}", request.name, request.target),
                false => String::new(),
            },
        };
        self.closing |= !request.keeps_alive();
        self.pause = FIRST_PAUSE;
        let body = Body::new(request.framing);
        let expected = request.expects_continue();
        let is_expected = expected != Ok(false);
        let answer = match (request.method, expected) {
            (Method::Unknown, _) => Answer::Now(Reply::text(501, "this method is not known here")),
            (_, Err(refusal)) => Answer::Now(Reply::text(refusal.status, refusal.why)),
            _ => self.site.answer(request),
        };
        if let Answer::Take(intake) = answer {
            if is_expected && !more {
                out.write(b"HTTP/1.1 100 Continue\r\n\r\n");
            }
            self.since = out.now();
            self.stage = Stage::Body { intake, body, received: 0, paused: None };
            return;
        }
        match body.length() {
            Some(0) => {}
            // Who waits to be told may send its body or not, and then nobody knows what it is.
            Some(..=LONGEST_SKIPPED) if !is_expected => self.request.unwanted = Some(body),
            None if !is_expected => self.request.unwanted = Some(body),
            _ => self.closing = true,
        }
        match answer {
            Answer::Now(reply) => self.reply(reply, out),
            Answer::Later(pending) => self.stage = Stage::Later(pending),
            Answer::Take(_) => {}
        }
    }

    /// What comes cannot be understood, or not in time. Nothing that follows can be, either.
    fn refuse(&mut self, refusal: Refusal, out: &mut Output) {
        self.closing = true;
        self.request.unwanted = None;
        self.reply(Reply::text(refusal.status, refusal.why), out);
    }

    fn reply(&mut self, reply: Reply, out: &mut Output) {
        let Asked { is_modern, is_head, .. } = self.request;
        let length = reply.content.length();
        debug!("{}: {}: {}, {} bytes", self.id, self.request.line, reply.status, Length(length));
        if length.is_none() && !is_modern {
            self.closing = true;
        }
        let alive = if self.closing { Alive::No } else { Alive::Yes };
        reply.write_head(out, alive, is_modern);
        match is_head || length == Some(0) {
            true => self.finish(out),
            false => self.stage = Stage::Reply(Sending::new(reply.content, is_modern)),
        }
    }

    /// The answer was said.
    fn finish(&mut self, out: &mut Output) {
        self.has_answered = true;
        match self.request.unwanted.take() {
            Some(body) => {
                self.since = out.now();
                self.stage = Stage::Skip { body, left: LONGEST_SKIPPED };
            }
            None => self.proceed(out),
        }
    }

    /// The next request, if there may be one.
    fn proceed(&mut self, out: &mut Output) {
        self.since = out.now();
        self.stage = if self.closing { Stage::Over } else { Stage::Head };
    }
}

/// A length for the log.
struct Length(Option<u64>);

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(length) => write!(f, "{length}"),
            None => f.write_str("some"),
        }
    }
}

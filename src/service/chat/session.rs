//! A client's seat: its words become lines, its lines are heard one after the other, and time passes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::bucket::Bucket;
use super::hall::{Hall, State};
use super::letter::Letter;
use super::lines::{Lines, Next};
use super::listing::{self, Listing};
use super::message::{Message, Tags};
use super::numeric::ERR_INPUTTOOLONG;
use super::registration::Entry;
use super::settings::Settings;
use super::talk::client_only;
use super::turn::Turn;
use super::voice::Voice;
use super::{command, settings};
use crate::failure::time;
use crate::session::{ConnectionId, Output, Session, Want};

pub struct Seat {
    hall: Arc<Hall>,
    id: ConnectionId,
    lines: Lines,
    bucket: Option<Bucket>,
    voice: Voice,
    entry: Option<Entry>,
    /// Counted among the strangers.
    stranger: bool,
    listing: Option<Listing>,
    /// When it has to have said who it is.
    deadline: Option<Instant>,
    heard: Option<Instant>,
    /// It was asked whether it is there, and has said nothing since.
    asked: Option<Instant>,
    /// When there is a token for the line that waits.
    refilled: Option<Instant>,
    /// When it will be woken.
    alarm: Option<Instant>,
    over: bool,
    /// The server is stopping, and there is nobody to tell that it leaves.
    drained: bool,
}

impl Seat {
    pub fn new(hall: Arc<Hall>, peer: SocketAddr, id: ConnectionId) -> Seat {
        hall.enter().strangers += 1;
        Seat {
            hall,
            id,
            lines: Lines::default(),
            bucket: None,
            voice: Voice::default(),
            entry: Some(Entry::new(peer)),
            stranger: true,
            listing: None,
            deadline: None,
            heard: None,
            asked: None,
            refilled: None,
            alarm: None,
            over: false,
            drained: false,
        }
    }

    fn settings(&self) -> &Settings {
        &self.hall.settings
    }

    /// What `act` does in a turn of this client, and what is noted afterwards.
    fn take_turn<R>(
        &mut self,
        tags: &str,
        out: &mut Output,
        act: impl FnOnce(&mut Turn) -> R,
    ) -> R {
        let mut state = self.hall.enter();
        let now = out.now();
        let mut turn = Turn {
            hall: &self.hall,
            state: &mut state,
            me: self.id,
            now,
            voice: &mut self.voice,
            entry: &mut self.entry,
            listing: &mut self.listing,
            out,
            over: &mut self.over,
            tags,
        };
        let outcome = act(&mut turn);
        if self.entry.is_none() {
            // Whoever has registered was taken out of the strangers' number by that.
            self.stranger = false;
            self.deadline = None;
        }
        if self.over {
            forget(&mut state, &mut self.stranger);
        }
        outcome
    }

    /// Hears what waits, as far as its tokens go and as the answers are taken.
    fn hear(&mut self, out: &mut Output) -> Want {
        loop {
            if self.over {
                return Want::Close;
            }
            if self.listing.is_some() && !self.go_on_listing(out) {
                return Want::Write;
            }
            if self.lines.length() > self.settings().receive_queue {
                return self.leave("Excess Flood", out);
            }
            if !self.lines.has_line() {
                // Frees what was heard.
                self.lines.next();
                self.set_alarm(out);
                return Want::Read;
            }
            if out.is_full() {
                return Want::Write;
            }
            if let Err(until) = self.look_into_bucket(out.now()) {
                if self.lines.waiting() > self.settings().receive_queue {
                    return self.leave("Excess Flood", out);
                }
                self.refilled = Some(until);
                self.set_alarm(out);
                return Want::Read;
            }
            self.hear_line(out);
        }
    }

    /// Whether there is a token for the line that is next, and when there will be.
    fn look_into_bucket(&mut self, now: Instant) -> Result<(), Instant> {
        let Some(flood) = self.hall.settings.flood else {
            return Ok(());
        };
        self.bucket.get_or_insert_with(|| Bucket::new(flood, now)).look(now)
    }

    fn charge(&mut self, cost: u32) {
        if let Some(bucket) = &mut self.bucket {
            bucket.charge(cost);
        }
    }

    fn hear_line(&mut self, out: &mut Output) {
        let mut lines = std::mem::take(&mut self.lines);
        match lines.next() {
            Next::Line(line) => self.hear_message(line, out),
            Next::Overlong => {
                self.charge(1);
                self.take_turn("", out, |turn| {
                    turn.numeric(ERR_INPUTTOOLONG, &[], "Input line was too long");
                });
            }
            Next::Unfinished => {}
        }
        self.lines = lines;
    }

    fn hear_message(&mut self, line: &[u8], out: &mut Output) {
        let Some(message) = Message::parse(line) else {
            return;
        };
        let Ok(name) = str::from_utf8(message.command) else {
            return self.refuse_bytes("*", message.tags, out);
        };
        let name = name.to_ascii_uppercase();
        let mut parameters = [""; super::message::MOST_PARAMETERS];
        let count = message.parameters().len();
        for (text, bytes) in parameters.iter_mut().zip(message.parameters()) {
            match str::from_utf8(bytes) {
                Ok(valid) => *text = valid,
                Err(_) => return self.refuse_bytes(&name, message.tags, out),
            }
        }
        if str::from_utf8(message.tags.0).is_err() {
            return self.refuse_bytes(&name, Tags::default(), out);
        }
        let parameters = &parameters[..count];
        self.charge(command::cost(&name, parameters));
        let label = label(message.tags);
        let tags = client_only(message.tags);
        self.take_turn(&tags, out, |turn| {
            turn.voice.begin(label);
            command::hear(turn, &name, parameters);
            turn.finish_answer();
        });
    }

    /// UTF8ONLY: what is no text is passed on to nobody.
    fn refuse_bytes(&mut self, command: &str, tags: Tags<'_>, out: &mut Output) {
        self.charge(1);
        self.take_turn("", out, |turn| {
            turn.voice.begin(label(tags));
            turn.say(format_args!("FAIL {command} INVALID_UTF8 :Only UTF-8 is spoken here"));
            turn.finish_answer();
        });
    }

    fn go_on_listing(&mut self, out: &mut Output) -> bool {
        self.take_turn("", out, |turn| {
            listing::go_on(turn);
            turn.finish_answer();
            turn.listing.is_none()
        })
    }

    /// Lets the client go, for a reason that everybody hears.
    fn leave(&mut self, reason: &str, out: &mut Output) -> Want {
        if !self.over {
            self.take_turn("", out, |turn| turn.leave(reason, reason));
        }
        self.lines.clear();
        self.listing = None;
        Want::Close
    }

    /// What is wanted still.
    fn wanted(&mut self) -> Want {
        match () {
            () if self.over => Want::Close,
            () if self.listing.is_some() => Want::Write,
            () if self.refilled.is_none() && self.lines.has_line() => Want::Write,
            () => Want::Read,
        }
    }

    /// When something is to be done though nothing is said.
    fn due(&self) -> Option<Instant> {
        let settings = self.settings();
        let silence = match (self.asked, self.heard) {
            (Some(asked), _) => Some(asked + settings.ping_timeout),
            (None, heard) => heard.map(|heard| heard + settings.ping_interval),
        };
        let presence = self.deadline.or(silence);
        [presence, self.refilled].into_iter().flatten().min()
    }

    /// Asks to be woken then, unless that was asked for, or for earlier.
    fn set_alarm(&mut self, out: &mut Output) {
        if let Some(due) = self.due()
            && self.alarm.is_none_or(|alarm| due < alarm)
        {
            self.alarm = Some(due);
            out.wake_at(due);
        }
    }
}

/// It counts no more.
fn forget(state: &mut State, stranger: &mut bool) {
    if std::mem::take(stranger) {
        state.strangers -= 1;
    }
}

fn label<'a>(tags: Tags<'a>) -> Option<&'a str> {
    tags.value(b"label").and_then(|label| str::from_utf8(label).ok())
}

impl Session for Seat {
    fn open(&mut self, out: &mut Output) -> Want {
        let now = out.now();
        self.deadline = Some(now + self.settings().registration_timeout);
        self.heard = Some(now);
        self.set_alarm(out);
        Want::Read
    }

    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        self.heard = Some(out.now());
        self.asked = None;
        self.lines.add(input);
        if self.refilled.is_some_and(|until| out.now() < until) {
            if self.lines.waiting() > self.settings().receive_queue {
                return self.leave("Excess Flood", out);
            }
            return Want::Read;
        }
        self.refilled = None;
        self.hear(out)
    }

    fn produce(&mut self, out: &mut Output) -> Want {
        if self.refilled.is_some() && self.listing.is_none() {
            return self.wanted();
        }
        self.hear(out)
    }

    fn deliver(&mut self, mail: &[u8], out: &mut Output) -> Want {
        if self.over {
            return Want::Close;
        }
        let letter = Letter::open(mail);
        letter.write(self.voice.capabilities, "", out);
        self.over |= letter.last;
        self.wanted()
    }

    fn eof(&mut self, out: &mut Output) -> Want {
        self.leave("Connection closed", out)
    }

    fn idle(&mut self, out: &mut Output) -> Want {
        self.leave("Ping timeout", out)
    }

    fn wake(&mut self, out: &mut Output) -> Want {
        let now = out.now();
        // One in whose place another was asked for may ring as well.
        self.alarm = self.alarm.filter(|alarm| *alarm > now);
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            let patience = time(self.settings().registration_timeout);
            out.fail(format!("has not registered within {patience}"));
            return self.leave("Registration timed out", out);
        }
        let settings::Settings { ping_interval, ping_timeout, .. } = *self.settings();
        if let Some(asked) = self.asked {
            if asked + ping_timeout <= now {
                let silence = time(ping_interval + ping_timeout);
                out.fail(format!("ping timeout: silent for {silence}"));
                return self.leave(&format!("Ping timeout: {silence}"), out);
            }
        } else if self.deadline.is_none() && self.heard.is_some_and(|at| at + ping_interval <= now)
        {
            self.asked = Some(now);
            let name = self.settings().name.clone();
            self.take_turn("", out, |turn| turn.say_line("", &format!("PING :{name}")));
        }
        if self.refilled.is_some_and(|until| until <= now) {
            self.refilled = None;
            let want = self.hear(out);
            self.set_alarm(out);
            return want;
        }
        // Also of one who takes no answer, and may never come to say anything again.
        self.set_alarm(out);
        self.wanted()
    }

    fn drain(&mut self, out: &mut Output) -> Want {
        self.drained = true;
        let host = match self.hall.enter().clients.get(&self.id) {
            Some(client) => client.host.clone(),
            None => self.entry.as_ref().map(|entry| entry.host.clone()).unwrap_or_default(),
        };
        let line = format!("ERROR :Closing Link: {host} (Server is shutting down)");
        Letter::new(&line).write(self.voice.capabilities, "", out);
        self.over = true;
        Want::Close
    }

    fn overflow(&mut self, out: &mut Output) {
        self.leave("SendQ exceeded", out);
    }

    fn end(&mut self, why: &str, out: &mut Output) {
        let mut state = self.hall.enter();
        if self.drained {
            // Everybody leaves, and nobody is left to hear of it.
            let mut nobody = Output::new(0);
            state.quit(self.id, self.id, "", &mut nobody);
        } else {
            state.quit(self.id, self.id, &reason(why), out);
        }
        forget(&mut state, &mut self.stranger);
        self.over = true;
    }
}

/// Why a connection has ended, as the others are told.
fn reason(why: &str) -> String {
    let why = why.strip_prefix("broken: ").unwrap_or(why);
    match why.split_at_checked(1) {
        Some((first, rest)) => first.to_uppercase() + rest,
        None => "Connection closed".into(),
    }
}

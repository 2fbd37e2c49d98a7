//! Who is heard when: everybody who has news, in turns, and talkers whose lines are due.

use std::io;

use mio::event::Event;
use mio::{Events, Token};

use super::Rooms;
use super::member::{Member, Stage};
use crate::load::crowd::client::State;
use crate::load::pace::Schedule;
use crate::load::tally::LATE;

impl Rooms {
    /// Sleeps until there is news, or until a line is due.
    pub(super) fn wait(&mut self, due: Option<u64>) -> io::Result<()> {
        let goes_on = !self.again.is_empty();
        self.lookout.wait(due, goes_on || !self.owing.is_empty())?;
        self.tick();
        if !self.owing.is_empty() {
            let idle = self.lookout.events.is_empty() && !goes_on;
            self.acknowledge(idle);
            if idle {
                self.lookout.wait(due, false)?;
                self.tick();
            }
        }
        Ok(())
    }

    /// Gives everybody who has news a turn, and everybody who was not done.
    pub(super) fn turns(&mut self) {
        let waiting = self.again.len();
        let events = std::mem::replace(&mut self.lookout.events, Events::with_capacity(0));
        for event in &events {
            self.note(event);
        }
        self.lookout.events = events;
        for _ in 0..waiting {
            if let Some(index) = self.again.pop_front() {
                self.members[index].line.queued = false;
                self.turn(index);
            }
        }
    }

    fn note(&mut self, event: &Event) {
        let Token(index) = event.token();
        let Some(Member { line, .. }) = self.members.get_mut(index) else {
            return;
        };
        line.hidden |= event.is_read_closed() || event.is_error();
        line.readable |= line.hidden || event.is_readable();
        line.blocked &= !event.is_writable();
        if line.stream.is_some() {
            self.turn(index);
        }
    }

    pub(super) fn queue(&mut self, index: usize) {
        let line = &mut self.members[index].line;
        if !line.queued {
            line.queued = true;
            self.again.push_back(index);
        }
    }

    /// Lets a client hear what there is and say what it may; and then those who have waited for it.
    pub(super) fn turn(&mut self, index: usize) {
        match self.members[index].line.state {
            State::Out | State::Away => return,
            State::Calling => self.answer_the_call(index),
            State::Greeting | State::Talking | State::Leaving | State::Suspecting => {}
        }
        self.hear(index);
        self.flush(index);
        self.say(index);
        self.settle(index);
        while let Some(talker) = self.ready.pop() {
            self.say(talker);
        }
    }

    /// Counts it among those who are not where they should be, or not.
    pub(super) fn settle(&mut self, index: usize) {
        let member = &mut self.members[index];
        let busy = match member.line.state {
            State::Calling | State::Greeting => true,
            State::Talking => member.stage != Stage::There,
            State::Leaving => member.stage != Stage::Done,
            State::Away | State::Out | State::Suspecting => false,
        };
        if busy != member.line.busy {
            member.line.busy = busy;
            self.busy = if busy { self.busy + 1 } else { self.busy - 1 };
        }
    }

    pub(super) fn send_what_is_due(&mut self, schedule: Schedule) {
        // A pass sends each talker's next line at most, so that deliveries are not left waiting.
        for _ in 0..self.rooms.len() * self.talkers {
            let (due, index) = self.due(&schedule, self.next);
            if self.left == 0 || due > self.now {
                return;
            }
            self.tick();
            let late = self.now > due + LATE;
            self.next += 1;
            let Member { room, place, .. } = self.members[index];
            let talker = &mut self.rooms[room].talkers[place];
            let at_rest = talker.begun == talker.before + talker.due;
            talker.due += 1;
            self.say(index);
            let talker = &self.rooms[room].talkers[place];
            // What the server held back is not the driver's fault.
            let sent = at_rest && talker.begun == talker.before + talker.due;
            self.tally.late += u64::from(late && sent);
        }
    }
}

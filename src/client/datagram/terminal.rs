//! A person at a terminal over UDP: each line is a datagram, answers are shown at once, and what is
//! lost or late is told.
//!
//! Which address serves cannot be asked. The first one is talked to, and when it refuses, the next:
//! the lines that wait are sent again there. When all refuse, that is told, and the person may go on:
//! a server that starts later hears the next line.

use std::time::{Duration, Instant};

use super::lines::Lines;
use super::server::{Event, Server};
use super::unanswered::{Remark, Unanswered};
use crate::client::screen::{Screen, forget_typed};
use crate::client::{Error, FAREWELL};
use crate::failure::time;

/// Sends each line typed, with its line end, and shows what comes back. `exit` or Ctrl-D leaves, as
/// soon as all lines have been answered or given up, or have had a moment for it.
///
/// Fails if the terminal does, or on a line longer than a datagram.
pub fn terminal(server: Server, patience: Duration) -> Result<(), Error> {
    println!("each line is a datagram to {}; `exit` or Ctrl-D leaves", server.address());
    let unanswered = Unanswered::new(patience);
    let mut talk = Talk { server, patience, screen: Screen::default(), unanswered, refusals: 0 };
    talk.screen.show(b"");
    let outcome = talk.run();
    talk.screen.leave();
    if outcome.is_err() {
        forget_typed();
    }
    outcome
}

struct Talk {
    server: Server,
    patience: Duration,
    screen: Screen,
    unanswered: Unanswered,
    /// Addresses that have refused in a row.
    refusals: usize,
}

impl Talk {
    fn run(&mut self) -> Result<(), Error> {
        let mut keyboard = Lines::of_stdin()?;
        let mut end = None;
        loop {
            let due = self.unanswered.due();
            if end.is_some_and(|end| due.is_none() || end <= Instant::now()) {
                return Ok(());
            }
            let input = if end.is_none() { keyboard.input() } else { None };
            let event = self.server.wait(input, due.into_iter().chain(end).min())?;
            for number in self.unanswered.overdue(Instant::now()) {
                let patience = time(self.patience);
                self.note(&format!(
                    "no answer to line {number} within {patience}: lost, or not answered"
                ));
            }
            match event {
                Event::Answer(answer) => self.show(answer),
                Event::Refused(error) => self.turn_away(error),
                Event::Silence => {}
                Event::Input => {
                    keyboard.read()?;
                    let mut left = keyboard.ended();
                    while let Some(line) = keyboard.next(self.server.limit())? {
                        if line.trim_ascii() == b"exit" {
                            left = true;
                            break;
                        }
                        self.send(line);
                    }
                    end = left.then(|| Instant::now() + FAREWELL);
                }
            }
        }
    }

    fn send(&mut self, line: Vec<u8>) {
        if line.ends_with(b"\n") {
            self.screen.entered();
        }
        self.refusals = 0;
        let outcome = self.server.send(&line);
        self.unanswered.sent(line, Instant::now());
        if let Err(error) = outcome {
            self.turn_away(error);
        }
    }

    /// A datagram is whole, so its last line is, too.
    fn show(&mut self, mut answer: Vec<u8>) {
        self.refusals = 0;
        match self.unanswered.answer(&answer, Instant::now()) {
            Some(Remark::Late(number, after)) => {
                self.note(&format!("late: answer to line {number} after {}", time(after)));
            }
            Some(Remark::Again(number)) => {
                self.note(&format!("again: answer to line {number}"));
            }
            None => {}
        }
        if answer.is_empty() {
            return self.note("a datagram of no bytes");
        }
        if !answer.ends_with(b"\n") {
            answer.push(b'\n');
        }
        self.screen.show(&answer);
    }

    fn turn_away(&mut self, mut refusal: Error) {
        loop {
            self.refusals += 1;
            if self.refusals >= self.server.addresses() {
                self.refusals = 0;
                self.unanswered.give_up();
                return self.note(&refusal.to_string());
            }
            let silent = self.server.address();
            self.server.turn_to_next();
            self.note(&format!("nobody listens on {silent}; trying {}", self.server.address()));
            match self.unanswered.texts().try_for_each(|line| self.server.send(line)) {
                Ok(()) => return,
                Err(error) => refusal = error,
            }
        }
    }

    fn note(&self, text: &str) {
        self.screen.show(format!("({text})\n").as_bytes());
    }
}

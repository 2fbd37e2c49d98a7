//! Answers over HTTP: where each ends, its body compared, and what follows if the server closes then.

use super::Crowd;
use super::client::State;
use super::conversation::answered;
use crate::load::fault::{Kind, text};
use crate::load::http::Progress;

impl Crowd {
    /// `n` bytes have come where a file is fetched.
    pub(super) fn heard_page(&mut self, index: usize, n: usize) {
        let number = self.number(index);
        let Some(page) = self.work.fetched() else {
            return;
        };
        let (client, answer) = (&mut self.clients[index], &mut self.answers[index]);
        let mut rest = &self.input.bytes()[..n];
        let (mut closes, mut wrong) = (false, None);
        while !rest.is_empty() && wrong.is_none() {
            if closes || client.answered == client.begun {
                wrong = Some((
                    Kind::Extra,
                    format!("{} came, though nothing more was due", text(rest)),
                ));
                break;
            }
            let (taken, progress) = answer.read(page, rest, &mut self.known);
            client.heard += taken as u64;
            rest = &rest[taken..];
            match progress {
                Progress::More => break,
                Progress::Complete { closes: last } => {
                    let (times, tally) = (&mut self.times, &mut self.tally);
                    answered(client, number, self.now, self.pace.schedule.as_ref(), times, tally);
                    closes = last;
                }
                Progress::Wrong(kind, why) => wrong = Some((kind, why)),
            }
        }
        match wrong {
            Some((kind, why)) => self.lose(index, kind, why),
            None if closes => self.expect_the_end(index),
            None => {}
        }
    }

    /// The server will close, as it has said. What it has not answered by now is asked again, on
    /// another connection (RFC 9112, 9.3.2 and 9.6).
    fn expect_the_end(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let unanswered = client.rewind(self.work.message);
        client.state = State::Leaving;
        client.returns = self.pace.leaves_after.is_none_or(|last| client.answered < last);
        self.tally.begun = self.tally.begun.saturating_sub(unanswered);
        self.tally.closes += 1;
    }

    /// Whether what the server still has to do is to close.
    pub(super) fn has_said_that_it_closes(&self, index: usize) -> bool {
        self.answers.get(index).is_some_and(|answer| answer.closes())
    }

    /// Where the end of the connection is the end of an answer, that is counted.
    pub(super) fn count_what_the_end_completes(&mut self, index: usize) {
        let number = self.number(index);
        let (Some(page), Some(answer)) = (self.work.fetched(), self.answers.get(index)) else {
            return;
        };
        let client = &mut self.clients[index];
        let is_talking = matches!(client.state, State::Talking | State::Leaving);
        if !is_talking || client.answered == client.begun || !answer.is_ended_by_the_end(page) {
            return;
        }
        let (times, tally) = (&mut self.times, &mut self.tally);
        answered(client, number, self.now, self.pace.schedule.as_ref(), times, tally);
        self.expect_the_end(index);
    }
}

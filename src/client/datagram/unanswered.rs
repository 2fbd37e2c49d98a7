//! Which line a datagram answers, as far as that can be told.
//!
//! Nothing numbers datagrams. An echo is known by its content, so a datagram answers a line of the
//! same bytes: one that waits, else one that has waited too long, else one that was answered already
//! (then it is there twice). Any other datagram answers the line that has waited longest; a server
//! that answers something else, and late, is thus taken to answer the line after.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Lines remembered. Whoever comes later than this many others is nobody's answer.
const MEMORY: usize = 1024;

/// The lines that were sent last.
pub struct Unanswered {
    patience: Duration,
    lines: VecDeque<Line>,
    sent: u64,
}

struct Line {
    number: u64,
    text: Vec<u8>,
    sent: Instant,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Waiting,
    Overdue,
    Answered,
}

/// What is worth saying about a datagram that came.
#[derive(Debug, PartialEq)]
pub enum Remark {
    /// It answers the line of this number, so long after it was sent.
    Late(u64, Duration),
    /// The line of this number was answered before.
    Again(u64),
}

impl Unanswered {
    /// A line is overdue after `patience`.
    pub fn new(patience: Duration) -> Unanswered {
        Unanswered { patience, lines: VecDeque::new(), sent: 0 }
    }

    /// A line was sent; the first one has the number 1.
    pub fn sent(&mut self, text: Vec<u8>, now: Instant) {
        self.sent += 1;
        if self.lines.len() == MEMORY {
            self.lines.pop_front();
        }
        let (number, state) = (self.sent, State::Waiting);
        self.lines.push_back(Line { number, text, sent: now, state });
    }

    /// A datagram came.
    pub fn answer(&mut self, datagram: &[u8], now: Instant) -> Option<Remark> {
        let find = |state: State, same: bool| {
            let fits = |line: &Line| line.state == state && (!same || line.text == datagram);
            self.lines.iter().position(fits)
        };
        let at = find(State::Waiting, true)
            .or_else(|| find(State::Overdue, true))
            .or_else(|| find(State::Answered, true))
            .or_else(|| find(State::Waiting, false))
            .or_else(|| find(State::Overdue, false))?;
        let line = &mut self.lines[at];
        match std::mem::replace(&mut line.state, State::Answered) {
            State::Waiting => None,
            State::Overdue => Some(Remark::Late(line.number, now - line.sent)),
            State::Answered => Some(Remark::Again(line.number)),
        }
    }

    /// The numbers of the lines that have become overdue.
    pub fn overdue(&mut self, now: Instant) -> Vec<u64> {
        let patience = self.patience;
        let late = self.waiting().filter(|line| line.sent + patience <= now);
        late.map(|line| {
            line.state = State::Overdue;
            line.number
        })
        .collect()
    }

    /// No line that waits will be answered.
    pub fn give_up(&mut self) {
        self.waiting().for_each(|line| line.state = State::Overdue);
    }

    /// When the next line becomes overdue; `None` if no line waits.
    pub fn due(&mut self) -> Option<Instant> {
        let patience = self.patience;
        self.waiting().next().map(|line| line.sent + patience)
    }

    /// The lines that wait, the oldest first.
    pub fn texts(&mut self) -> impl Iterator<Item = &[u8]> {
        self.waiting().map(|line| line.text.as_slice())
    }

    fn waiting(&mut self) -> impl Iterator<Item = &mut Line> {
        self.lines.iter_mut().filter(|line| line.state == State::Waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(1);

    fn sent(lines: &[&str]) -> (Unanswered, Instant) {
        let now = Instant::now();
        let mut unanswered = Unanswered::new(PATIENCE);
        lines.iter().for_each(|line| unanswered.sent(line.as_bytes().to_vec(), now));
        (unanswered, now)
    }

    #[test]
    fn an_echo_is_known_by_its_content_in_whatever_order_it_comes() {
        let (mut lines, start) = sent(&["a", "b", "c"]);
        assert_eq!(lines.answer(b"c", start), None);
        assert_eq!(lines.overdue(start + PATIENCE), [1, 2]);
        let after = PATIENCE * 2;
        assert_eq!(lines.answer(b"b", start + after), Some(Remark::Late(2, after)));
        assert_eq!(lines.answer(b"c", start + after), Some(Remark::Again(3)));
        assert_eq!(lines.answer(b"a", start + after), Some(Remark::Late(1, after)));
    }

    #[test]
    fn any_other_answer_is_that_of_the_line_that_waits_longest() {
        let (mut lines, start) = sent(&["time?", "date?"]);
        assert_eq!(lines.answer(b"noon", start), None);
        assert_eq!(lines.overdue(start + PATIENCE), [2]);
        lines.sent(b"year?".to_vec(), start + PATIENCE);
        // The third line still waits, so it comes before the second.
        assert_eq!(lines.answer(b"2026", start + PATIENCE), None);
        assert_eq!(lines.answer(b"May", start + PATIENCE), Some(Remark::Late(2, PATIENCE)));
        assert_eq!(lines.answer(b"what nobody asked", start + PATIENCE), None);
    }

    #[test]
    fn of_two_equal_lines_the_one_that_still_waits_is_answered_first() {
        let (mut lines, start) = sent(&["hi"]);
        assert_eq!(lines.overdue(start + PATIENCE), [1]);
        lines.sent(b"hi".to_vec(), start + PATIENCE);
        assert_eq!(lines.answer(b"hi", start + PATIENCE), None);
        assert_eq!(lines.answer(b"hi", start + PATIENCE), Some(Remark::Late(1, PATIENCE)));
    }

    #[test]
    fn a_line_is_overdue_once_and_due_until_then() {
        let (mut lines, start) = sent(&["a"]);
        assert_eq!(lines.due(), Some(start + PATIENCE));
        assert!(lines.overdue(start + PATIENCE / 2).is_empty());
        assert_eq!(lines.overdue(start + PATIENCE), [1]);
        assert!(lines.overdue(start + PATIENCE * 2).is_empty());
        assert_eq!(lines.due(), None);
    }

    #[test]
    fn memory_is_bounded() {
        let (mut lines, start) = sent(&["first"]);
        for number in 0..MEMORY {
            lines.sent(number.to_string().into_bytes(), start);
        }
        lines.give_up();
        assert_eq!(lines.lines.len(), MEMORY);
        let second = Some(Remark::Late(2, Duration::ZERO));
        assert_eq!(lines.answer(b"first", start), second, "the first is forgotten");
    }
}

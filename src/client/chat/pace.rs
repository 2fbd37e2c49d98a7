//! No more is sent than the server has taken: after a batch of lines it is asked PING, and its PONG
//! says that it is through with all that came before.
//!
//! Servers hold lines back that come faster than they like (RFC 1459, 8.10), and end a connection
//! whose lines they have no more room for. How many they like, none tells; so this asks.

use std::collections::VecDeque;

/// Lines sent before the server is asked. Servers take ten to fifty at once and then a few per
/// second.
const MOST_LINES: usize = 20;

/// Bytes sent before the server is asked: with the question they fit the 8 to 10 KiB that servers keep
/// for lines they have not looked at.
const MOST_BYTES: usize = 8 * 1024;

/// What a PING of ours begins with.
const TOKEN: &str = "socklab-";

/// Lines that wait, and what the server has not answered for.
#[derive(Default)]
pub struct Pace {
    waiting: VecDeque<Vec<u8>>,
    /// Lines and bytes since the last answer.
    lines: usize,
    bytes: usize,
    /// The number in the question that was not answered.
    asked: Option<u64>,
    questions: u64,
}

impl Pace {
    /// Puts a line, with its end, behind those that wait.
    pub fn push(&mut self, line: Vec<u8>) {
        self.waiting.push_back(line);
    }

    /// The next line that may be sent: one that waits, or the question whether all were taken.
    pub fn next(&mut self) -> Option<Vec<u8>> {
        if self.asked.is_some() {
            return None;
        }
        let fits = |line: &Vec<u8>| {
            self.lines == 0 || self.lines < MOST_LINES && self.bytes + line.len() <= MOST_BYTES
        };
        match self.waiting.front() {
            Some(line) if fits(line) => {
                let line = self.waiting.pop_front()?;
                self.lines += 1;
                self.bytes += line.len();
                Some(line)
            }
            _ if self.lines > 0 => Some(self.ask()),
            _ => None,
        }
    }

    /// A question, asked whether or not there is a reason: to learn whether anybody is there.
    pub fn ask(&mut self) -> Vec<u8> {
        self.questions += 1;
        self.asked = Some(self.questions);
        format!("PING {TOKEN}{}\r\n", self.questions).into_bytes()
    }

    /// Takes an answer of the server. `true` if it is to the last question.
    pub fn answered(&mut self, token: &str) -> bool {
        let number = token.strip_prefix(TOKEN).and_then(|number| number.parse().ok());
        let answered = self.asked.is_some() && number == self.asked;
        if answered {
            (self.lines, self.bytes, self.asked) = (0, 0, None);
        }
        answered
    }

    /// Whether a question is not answered.
    pub fn is_waiting(&self) -> bool {
        self.asked.is_some()
    }

    /// Lines that were not sent.
    pub fn unsent(&self) -> usize {
        self.waiting.len()
    }

    /// Whether the server has taken everything.
    pub fn is_settled(&self) -> bool {
        self.waiting.is_empty() && self.lines == 0 && self.asked.is_none()
    }

    /// Forgets what was not sent.
    pub fn give_up(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(pace: &mut Pace) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| pace.next()).collect()
    }

    #[test]
    fn after_twenty_lines_the_server_is_asked() {
        let mut pace = Pace::default();
        (0..50).for_each(|line| pace.push(format!("{line}\r\n").into_bytes()));
        for (number, length) in [(1, 20), (2, 20), (3, 10)] {
            let sent = batch(&mut pace);
            assert_eq!(sent.len(), length + 1);
            assert_eq!(sent[length], format!("PING socklab-{number}\r\n").as_bytes());
            assert!(!pace.is_settled());
            assert!(!pace.answered("socklab-9") && !pace.answered("7") && pace.next().is_none());
            assert!(pace.answered(&format!("socklab-{number}")));
        }
        assert!(pace.is_settled() && pace.next().is_none());
    }

    #[test]
    fn no_batch_is_longer_than_servers_keep() {
        let mut pace = Pace::default();
        (0..100).for_each(|_| pace.push(vec![b'x'; 512]));
        let mut lines = 0;
        for number in 1.. {
            let sent = batch(&mut pace);
            if sent.is_empty() {
                break;
            }
            assert!(sent.iter().map(Vec::len).sum::<usize>() <= 10 * 1024);
            lines += sent.len() - 1;
            assert!(pace.answered(&format!("socklab-{number}")));
        }
        assert_eq!(lines, 100);
    }
}

//! A pipe over UDP: each line of the input is a datagram, and answers are printed as they come.
//!
//! TCP would slow a fast sender down. UDP does not: what the server's buffer cannot hold is dropped.
//! So no more than a window of datagrams is under way at once, as long as answers keep coming that
//! open it again. A server that never answers sets no pace.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::time::{Duration, Instant};

use log::warn;

use super::lines::Lines;
use super::server::{Event, Server};
use crate::client::{Error, printed, stdout};

/// Datagrams under way at once. Linux gives a socket room for 256 small ones (measured: what each
/// costs besides its bytes counts, too), which the clients of a server share.
const WINDOW: usize = 64;

/// The same for long ones, of which that memory holds three.
const WINDOW_BYTES: usize = 64_000;

/// After this much silence, what is under way counts as lost.
const PAUSE: Duration = Duration::from_millis(250);

/// Sends standard input line by line, with the line ends, and prints what comes back.
///
/// It ends once the input has, and either as many answers as datagrams have come (which of them
/// answers which, or twice, cannot be told) or none has for `patience`. Datagrams that were not
/// answered are told in a warning; if no datagram was, or the server is gone, it fails, as it does on
/// a line longer than a datagram.
pub fn pipe(server: Server, patience: Duration) -> Result<(), Error> {
    let mut lines = Lines::of_stdin()?;
    let mut flow = Flow {
        server,
        out: stdout()?,
        under_way: VecDeque::new(),
        paced: true,
        sent: 0,
        answered: 0,
        last_move: Instant::now(),
    };
    loop {
        let mut all_taken = false;
        while !flow.is_full() && !all_taken {
            match lines.next(flow.server.limit())? {
                Some(line) => flow.send(line)?,
                None => all_taken = true,
            }
        }
        let until = match (all_taken, lines.ended()) {
            (true, true) if flow.answered >= flow.sent => break,
            (true, true) => Some(flow.last_move + patience),
            (true, false) => None,
            (false, _) => Some(flow.last_move + PAUSE),
        };
        let input = if all_taken { lines.input() } else { None };
        match flow.server.wait(input, until)? {
            Event::Answer(answer) => {
                if !flow.print(&answer)? {
                    return Ok(());
                }
            }
            Event::Input => lines.read()?,
            Event::Refused(error) => flow.turn_away(error)?,
            Event::Silence if all_taken => break,
            Event::Silence => flow.give_up(),
        }
    }
    match flow.sent.saturating_sub(flow.answered) {
        0 => Ok(()),
        _ if flow.answered == 0 => Err(Error::NoAnswer {
            server: flow.server.name().into(),
            patience,
            datagrams: flow.sent,
        }),
        lost => {
            warn!("{lost} of {} datagrams were not answered", flow.sent);
            Ok(())
        }
    }
}

struct Flow {
    server: Server,
    out: File,
    /// Sent and neither answered nor given up, the oldest first.
    under_way: VecDeque<Vec<u8>>,
    /// Whether answers set the pace.
    paced: bool,
    sent: u64,
    answered: u64,
    /// When something was last sent or answered.
    last_move: Instant,
}

impl Flow {
    /// Until the first answer the window is one datagram: which address serves is not yet known, and
    /// what one refuses has to be sent to the next.
    fn is_full(&self) -> bool {
        match self.answered {
            0 => self.paced && !self.under_way.is_empty(),
            _ => {
                let bytes = self.under_way.iter().map(Vec::len).sum::<usize>();
                self.under_way.len() >= WINDOW || bytes >= WINDOW_BYTES
            }
        }
    }

    fn send(&mut self, line: Vec<u8>) -> Result<(), Error> {
        let outcome = self.server.send(&line);
        self.sent += 1;
        self.last_move = Instant::now();
        if self.paced {
            self.under_way.push_back(line);
        }
        outcome.or_else(|error| self.turn_away(error))
    }

    /// `false`: standard output was closed.
    fn print(&mut self, answer: &[u8]) -> Result<bool, Error> {
        self.answered += 1;
        self.paced = true;
        self.last_move = Instant::now();
        self.under_way.pop_front();
        printed(self.out.write_all(answer))
    }

    /// An address has refused. Before the first answer, another one may be the one that serves, and
    /// gets what this one has not taken; after it, the server is gone.
    fn turn_away(&mut self, mut refusal: Error) -> Result<(), Error> {
        loop {
            if self.answered > 0 || !self.paced || !self.server.leave_current() {
                return Err(refusal);
            }
            match self.under_way.iter().try_for_each(|line| self.server.send(line)) {
                Ok(()) => return Ok(()),
                Err(error) => refusal = error,
            }
        }
    }

    /// Nothing came while the window was full.
    fn give_up(&mut self) {
        self.under_way.clear();
        self.paced = self.answered > 0;
    }
}

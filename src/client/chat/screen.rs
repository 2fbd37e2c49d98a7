//! What a person sees: the line being typed, and above it what happens.
//!
//! While a line is edited, the screen belongs to the editor, and what is shown goes through it. In
//! between, what is shown waits: the line that was typed may still have to go. The thread that edits
//! moves from one moment to the next, for it alone knows. At the end it is stopped where it holds
//! neither the screen nor the terminal's modes, so that both can be given back.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustyline::ExternalPrinter;
use unicode_width::UnicodeWidthChar;

/// How long the last lines may take to reach the screen, and the editor to stop.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Up and down again: lines that show nothing, to have the editor draw the prompt.
const STIR: &str = "\x1b[A\n";

/// Standard output, for all threads that write there.
#[derive(Default)]
pub struct Screen {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    moment: Moment,
    /// What is shown when a line is edited again.
    waiting: String,
    /// What the editor was given and has not shown.
    given: Option<String>,
    /// The editor is to stop.
    leaving: bool,
    /// It has.
    stopped: bool,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Moment {
    /// Nobody edits: whoever has something to show writes it.
    #[default]
    Free,
    /// No line is edited, but one was or will be.
    Idle,
    /// The editor takes the terminal.
    Begun,
    /// The prompt stands there.
    Editing,
    /// The line is entered; the editor gives the terminal back.
    Entered,
}

impl Screen {
    /// Shows whole lines, now or when the prompt stands again.
    pub fn show(&self, lines: &str) {
        let mut state = self.state();
        match state.moment {
            Moment::Free => write(lines),
            _ => state.waiting.push_str(lines),
        }
        self.changed.notify_all();
    }

    /// A line is about to be edited.
    pub fn begin(&self) {
        let mut state = self.state();
        state.moment = Moment::Begun;
        self.stop_if_leaving(state);
    }

    /// The editor is about to draw the prompt, below all that it was given.
    pub fn draw(&self) {
        let mut state = self.state();
        if state.moment == Moment::Free {
            return;
        }
        state.given = None;
        if state.moment == Moment::Begun {
            state.moment = Moment::Editing;
        }
        self.changed.notify_all();
        self.stop_if_leaving(state);
    }

    /// The line is entered.
    pub fn entered(&self) {
        let mut state = self.state();
        if state.moment == Moment::Editing {
            state.moment = Moment::Entered;
        }
    }

    /// The editor has given the terminal back.
    pub fn returned(&self) {
        let mut state = self.state();
        if state.moment != Moment::Free {
            state.moment = Moment::Idle;
        }
        self.changed.notify_all();
    }

    /// Gives the editor what is to be shown, for ever.
    pub fn print_with(&self, mut printer: impl ExternalPrinter) {
        loop {
            let ready = |state: &mut State| {
                state.moment != Moment::Editing || state.waiting.is_empty() || state.given.is_some()
            };
            let state = self.changed.wait_while(self.state(), ready);
            let mut state = state.unwrap_or_else(PoisonError::into_inner);
            let lines = std::mem::take(&mut state.waiting);
            state.given = Some(lines.clone());
            drop(state);
            // May sleep until the editor has shown what came before. Nothing is locked.
            if printer.print(lines).is_err() {
                return;
            }
        }
    }

    /// Stops the editor, and shows what was to be shown. `true`: it was about to edit a line, and had
    /// the terminal as it needs it.
    pub fn free(&self) -> bool {
        let mut state = self.state();
        state.leaving = true;
        if state.moment == Moment::Editing && state.waiting.is_empty() {
            state.waiting.push_str(STIR);
        }
        self.changed.notify_all();
        let busy = |state: &mut State| {
            !state.stopped && !matches!(state.moment, Moment::Free | Moment::Idle)
        };
        let state = self.changed.wait_timeout_while(state, LAST_LINES, busy);
        let (mut state, _) = state.unwrap_or_else(PoisonError::into_inner);
        let was_editing = !matches!(state.moment, Moment::Free | Moment::Idle);
        if was_editing {
            // The editor holds the picture back (2026) while it draws.
            write("\x1b[?2026l\r\x1b[J");
        }
        state.moment = Moment::Free;
        let given = state.given.take().unwrap_or_default();
        write(&(given + &std::mem::take(&mut state.waiting)));
        was_editing
    }

    /// Never returns to an editor whose terminal is given back.
    fn stop_if_leaving(&self, mut state: MutexGuard<'_, State>) {
        // What was given last is shown first.
        if !state.leaving || !state.waiting.is_empty() {
            return;
        }
        state.stopped = true;
        drop(state);
        self.changed.notify_all();
        loop {
            thread::park();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A terminal that is gone ends the program with its other reader, the keyboard.
fn write(text: &str) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Takes a line that was entered off a screen with so many columns: it is shown again as everybody
/// sees it. One whose rows cannot be counted for certain stays.
pub fn erase(prompt: &str, line: &str, columns: usize) {
    if let Some(rows) = rows(prompt, line, columns) {
        write(&format!("\x1b[{rows}A\r\x1b[J"));
    }
}

/// How many rows a line takes that begins with a prompt. `None`: terminals differ.
fn rows(prompt: &str, line: &str, columns: usize) -> Option<usize> {
    let (mut rows, mut column) = (1, 0);
    for letter in prompt.chars().chain(line.chars()) {
        if letter == '\n' {
            (rows, column) = (rows + 1, 0);
            continue;
        }
        // Joiners, variants and marks make one of several.
        let width = letter.width().filter(|width| *width > 0)?;
        if ('\u{1f1e6}'..='\u{1f1ff}').contains(&letter)
            || ('\u{1f3fb}'..='\u{1f3ff}').contains(&letter)
        {
            return None;
        }
        if column + width > columns {
            (rows, column) = (rows + 1, 0);
        }
        column += width;
    }
    // The editor moves on when a row is full.
    Some(if column == columns { rows + 1 } else { rows })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_counted_where_that_is_certain() {
        assert_eq!(rows("> ", "", 10), Some(1));
        assert_eq!(rows("> ", "1234567", 10), Some(1));
        assert_eq!(rows("> ", "12345678", 10), Some(2));
        assert_eq!(rows("> ", "123456789", 10), Some(2));
        assert_eq!(rows("> ", "1234567你好", 10), Some(2));
        assert_eq!(rows("> ", "one\ntwo", 10), Some(2));
        assert_eq!(rows("> ", "e\u{301}", 10), None);
        assert_eq!(rows("> ", "🇫🇷", 10), None);
        assert_eq!(rows("> ", "a\tb", 10), None);
    }
}

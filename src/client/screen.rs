//! What a person at a terminal sees: a prompt, and above it what the server says.
//!
//! Line editing is the terminal's own affair, so the screen knows no more than where the cursor is.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use nix::sys::termios::{FlushArg, tcflush};

const PROMPT: &str = "> ";

/// Back to the first column, and away with the prompt that stands there.
const ERASE_LINE: &str = "\r\x1b[K";

/// Standard output, for all threads that write there.
#[derive(Default)]
pub struct Screen(Mutex<Cursor>);

/// What is known of the cursor.
#[derive(Default)]
struct Cursor {
    /// The server's last word was no whole line.
    mid_line: bool,
}

impl Screen {
    /// Shows what the server said in place of the prompt, and the prompt below it. A line that is
    /// not complete gets no prompt: the rest of it may come, or it asks for something.
    pub fn show(&self, text: &[u8]) {
        let mut cursor = self.cursor();
        let mut shown = Vec::with_capacity(text.len() + 8);
        if !cursor.mid_line {
            shown.extend_from_slice(ERASE_LINE.as_bytes());
        }
        shown.extend_from_slice(text);
        if let Some(last) = text.last() {
            cursor.mid_line = *last != b'\n';
        }
        if !cursor.mid_line {
            shown.extend_from_slice(PROMPT.as_bytes());
        }
        print(&shown);
    }

    /// The person has pressed Enter, so the cursor stands in the first column.
    pub fn entered(&self) {
        self.cursor().mid_line = false;
        print(PROMPT.as_bytes());
    }

    /// The last word was said: the next thing stands in a line of its own.
    pub fn leave(&self) {
        let cursor = self.cursor();
        print(if cursor.mid_line { b"\n" } else { ERASE_LINE.as_bytes() });
    }

    fn cursor(&self) -> MutexGuard<'_, Cursor> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A terminal that is gone ends the program with its other reader, the keyboard.
fn print(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// What was typed and not entered was for the server, not for the shell that reads next.
pub fn forget_typed() {
    let _ = tcflush(io::stdin(), FlushArg::TCIFLUSH);
}

//! From bytes to lines: what has come and was not heard yet (the receive queue).

use std::mem;

/// The longest line without its tags and without CR LF (RFC 1459, 2.3).
pub const LONGEST: usize = 510;

/// The longest tags of a client, with `@` and the space behind them (IRCv3 message-tags).
const LONGEST_TAGS: usize = 4096;

/// Words that wait to be heard.
#[derive(Default)]
pub struct Lines {
    bytes: Vec<u8>,
    /// How much of them was heard.
    heard: usize,
    /// How much of them was looked at for an end of line.
    looked: usize,
}

/// The next line, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A line without its end, and without any CR or NUL.
    Line(&'a [u8]),
    /// It was longer than lines are, and is thrown away whole.
    Overlong,
    /// It has not ended yet, or nothing has come.
    Unfinished,
}

impl Lines {
    /// Takes what came.
    pub fn add(&mut self, bytes: &[u8]) {
        // Somebody may never be silent, and what was heard has to go all the same.
        if self.heard >= self.waiting() {
            self.forget_heard();
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Bytes that wait.
    pub fn waiting(&self) -> usize {
        self.bytes.len() - self.heard
    }

    /// Whether a whole line waits.
    pub fn has_line(&mut self) -> bool {
        let from = self.looked.max(self.heard);
        match self.bytes[from..].iter().position(|&byte| byte == b'\n') {
            Some(at) => {
                self.looked = from + at;
                true
            }
            None => {
                self.looked = self.bytes.len();
                false
            }
        }
    }

    /// Bytes of the line that is next, whether it has ended or not.
    pub fn length(&mut self) -> usize {
        self.has_line();
        self.looked - self.heard
    }

    /// Takes the next line.
    pub fn next(&mut self) -> Next<'_> {
        if !self.has_line() {
            // What was heard makes room, and a client that is silent now holds no memory.
            self.forget_heard();
            if self.bytes.is_empty() {
                self.bytes = Vec::new();
            }
            return Next::Unfinished;
        }
        let (start, end) = (self.heard, self.looked);
        (self.heard, self.looked) = (end + 1, end + 1);
        // CR and NUL are no part of any line, wherever they stand.
        let mut kept = start;
        for at in start..end {
            let byte = self.bytes[at];
            if byte != b'\r' && byte != 0 {
                self.bytes[kept] = byte;
                kept += 1;
            }
        }
        let line = &self.bytes[start..kept];
        let tags = match line.first() {
            Some(b'@') => {
                line.iter().position(|&byte| byte == b' ').map_or(line.len(), |at| at + 1)
            }
            _ => 0,
        };
        if tags > LONGEST_TAGS || line.len() - tags > LONGEST {
            return Next::Overlong;
        }
        Next::Line(line)
    }

    fn forget_heard(&mut self) {
        let heard = mem::take(&mut self.heard);
        self.bytes.drain(..heard);
        self.looked = self.looked.saturating_sub(heard);
    }

    /// Throws away what waits.
    pub fn clear(&mut self) {
        *self = Lines::default();
    }
}

/// `text` up to `most` bytes, cut between two characters.
pub fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(lines: &mut Lines) -> Vec<String> {
        let mut heard = Vec::new();
        loop {
            match lines.next() {
                Next::Line(line) => heard.push(String::from_utf8(line.to_vec()).unwrap()),
                Next::Overlong => heard.push("overlong".into()),
                Next::Unfinished => return heard,
            }
        }
    }

    #[test]
    fn lines_are_the_same_in_every_split() {
        let long = "x".repeat(511);
        let tagged = format!("@{} y", "t".repeat(4094));
        let text = format!("a\r\nb\nc\0d\re\r\r\n\n{long}\r\n{tagged}\n@{tagged}\nlast");
        let expected = ["a", "b", "cde", "", "overlong", &tagged, "overlong"];
        for size in [1, 2, 3, 7, 512, 100_000] {
            let mut lines = Lines::default();
            let mut heard = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                lines.add(piece);
                heard.extend(all(&mut lines));
            }
            assert_eq!(heard, expected);
            assert_eq!((lines.waiting(), lines.length()), (4, 4));
        }
    }

    #[test]
    fn what_was_heard_makes_room_though_another_line_always_waits() {
        let mut lines = Lines::default();
        lines.add(b"first\r\nwait");
        for _ in 0..1000 {
            assert!(matches!(lines.next(), Next::Line(_)));
            lines.add(b"ing\r\nwait");
            assert_eq!((lines.waiting(), lines.length()), (13, 8));
            assert!(lines.bytes.len() < 64, "{}", lines.bytes.len());
        }
    }

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("naïve", 3), "na");
        assert_eq!(cut("naïve", 4), "naï");
        assert_eq!(cut("na", 4), "na");
    }
}

//! What the server says on a connection: heads, and bodies to their ends, in constant memory.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::Duration;

use super::head::{Framing, Head, LONGEST};
use super::{Error, Watch};
use crate::client::CHUNK;
use crate::client::stream::Receiver;

/// A line that gives the size of a chunk, with whatever extensions, is no longer than this.
const LONGEST_LINE: usize = 4096;

/// The half that receives, and what it has received but nobody has taken.
pub struct Incoming {
    receiver: Receiver,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    patience: Duration,
    watch: Arc<Watch>,
}

impl Incoming {
    /// Waits for `patience` while nothing moves, here or as `watch` has it.
    pub fn new(
        receiver: Receiver,
        patience: Duration,
        watch: Arc<Watch>,
    ) -> Result<Incoming, Error> {
        receiver.set_read_timeout(Some(patience)).map_err(Error::Broken)?;
        // A whole head fits, whatever came before it.
        let buffer = vec![0; CHUNK];
        Ok(Incoming { receiver, buffer, start: 0, end: 0, patience, watch })
    }

    /// Cuts the connection, for the sender, too.
    pub fn abort(&self) {
        self.receiver.abort();
    }

    /// Whether nothing is waiting to be taken.
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    fn waiting(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Reads more behind what is waiting. `false`: the connection has ended.
    fn fill(&mut self) -> Result<bool, Error> {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        loop {
            let before = self.watch.done();
            // Sleeps here while the server is silent.
            match self.receiver.read(&mut self.buffer[self.end..]) {
                Ok(n) => {
                    self.end += n;
                    return Ok(n > 0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // An upload that gets on is no silence.
                    if self.watch.done() == before && !self.watch.waits_for_input() {
                        return Err(Error::Silent(self.patience));
                    }
                }
                Err(error) => return Err(Error::broken(error)),
            }
        }
    }

    /// The next head, whatever its status.
    pub fn head(&mut self) -> Result<Head, Error> {
        let mut searched = 0;
        loop {
            let waiting = self.waiting();
            if !b"HTTP/".starts_with(&waiting[..waiting.len().min(5)]) {
                return Err(Error::Malformed("its answer does not begin with HTTP".into()));
            }
            if let Some(length) = end_of_head(waiting, searched).filter(|length| *length <= LONGEST)
            {
                let head = Head::parse(&waiting[..length])?;
                self.start += length;
                return Ok(head);
            }
            searched = waiting.len();
            if searched > LONGEST {
                return Err(Error::Malformed("the head of its answer has no end".into()));
            }
            if !self.fill()? {
                return Err(match searched {
                    0 => Error::NoAnswer,
                    _ => Error::Malformed("the head of its answer is cut off".into()),
                });
            }
        }
    }

    /// The next line of the framing of chunks.
    fn line(&mut self) -> Result<String, Error> {
        loop {
            let end = self.waiting().iter().position(|byte| *byte == b'\n');
            if let Some(length) = end.filter(|length| *length <= LONGEST_LINE) {
                let line = String::from_utf8_lossy(&self.waiting()[..length])
                    .trim_end_matches('\r')
                    .into();
                self.start += length + 1;
                return Ok(line);
            }
            if self.waiting().len() > LONGEST_LINE {
                return Err(Error::Malformed("the size of a chunk has no end".into()));
            }
            if !self.fill()? {
                return Err(Error::NoAnswer);
            }
        }
    }
}

impl Drop for Incoming {
    /// Or the server would take the end of TCP for a cut.
    fn drop(&mut self) {
        self.receiver.leave();
    }
}

/// The length of the head that begins here, up to the empty line. What was searched is not searched
/// again, but for what may be half of its end.
fn end_of_head(bytes: &[u8], searched: usize) -> Option<usize> {
    let from = searched.saturating_sub(2);
    let line_ends = (from..bytes.len()).filter(|&at| bytes[at] == b'\n');
    line_ends.into_iter().find_map(|at| match bytes[at + 1..] {
        [b'\n', ..] => Some(at + 2),
        [b'\r', b'\n', ..] => Some(at + 3),
        _ => None,
    })
}

/// A body, as far as it has come.
pub struct Body {
    left: Left,
    /// Bytes that were taken.
    pub came: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Bytes(u64),
    /// So much of a chunk; the end of its line is still to come.
    Chunk(u64),
    NextChunk,
    UntilClose,
    Nothing,
}

impl Body {
    /// The one that comes now.
    pub fn new(framing: Framing) -> Body {
        let left = match framing {
            Framing::Length(length) => Left::Bytes(length),
            Framing::Chunked => Left::NextChunk,
            Framing::UntilClose => Left::UntilClose,
        };
        Body { left, came: 0 }
    }

    /// Some more of it. `None`: that was all, as the server says itself.
    pub fn next<'a>(&mut self, incoming: &'a mut Incoming) -> Result<Option<&'a [u8]>, Error> {
        let most = loop {
            match self.left {
                Left::Nothing | Left::Bytes(0) => {
                    self.left = Left::Nothing;
                    return Ok(None);
                }
                Left::NextChunk => {
                    self.left = self.chunk(incoming).map_err(|error| self.cut(error))?
                }
                Left::Bytes(n) | Left::Chunk(n) => break n,
                Left::UntilClose => break u64::MAX,
            }
        };
        if incoming.is_empty() {
            match incoming.fill() {
                Ok(true) => {}
                Ok(false) if self.left == Left::UntilClose => {
                    self.left = Left::Nothing;
                    return Ok(None);
                }
                Ok(false) => return Err(Error::Truncated(self.came, None)),
                // Where TLS is cut, the end of TCP is not that of the file.
                Err(error) => return Err(self.cut(error)),
            }
        }
        let there = incoming.end - incoming.start;
        let n = usize::try_from(most).unwrap_or(there).min(there);
        let start = incoming.start;
        incoming.start += n;
        self.came += n as u64;
        self.left = match self.left {
            Left::Bytes(left) => Left::Bytes(left - n as u64),
            Left::Chunk(left) if left == n as u64 => Left::NextChunk,
            Left::Chunk(left) => Left::Chunk(left - n as u64),
            other => other,
        };
        Ok(Some(&incoming.buffer[start..start + n]))
    }

    /// The next chunk's size (RFC 9112 §7.1); the last one has the trailers behind it.
    fn chunk(&self, incoming: &mut Incoming) -> Result<Left, Error> {
        if self.came > 0 && !incoming.line()?.is_empty() {
            return Err(Error::Malformed("a chunk is longer than it said".into()));
        }
        let line = incoming.line()?;
        let digits = line.split(';').next().unwrap_or_default().trim();
        let is_size = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        match u64::from_str_radix(digits, 16) {
            Ok(0) if is_size => {
                let mut trailers = 0;
                loop {
                    match incoming.line()?.len() {
                        0 => return Ok(Left::Nothing),
                        length => trailers += length,
                    }
                    if trailers > LONGEST {
                        return Err(Error::Malformed("its trailers have no end".into()));
                    }
                }
            }
            Ok(size) if is_size => Ok(Left::Chunk(size)),
            _ => Err(Error::Malformed("the size of a chunk is no number".into())),
        }
    }

    /// The end of the connection in the middle of it, as such.
    fn cut(&self, error: Error) -> Error {
        match error {
            Error::NoAnswer => Error::Truncated(self.came, None),
            error => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_end_at_the_empty_line_however_they_come() {
        for head in
            ["HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "HTTP/1.1 200 OK\nA: b\n\n", "HTTP/1.1 200\r\n\n"]
        {
            let bytes = [head.as_bytes(), b"\r\n\r\nbody"].concat();
            for searched in 0..head.len() {
                assert_eq!(end_of_head(&bytes[..searched], 0), None);
                assert_eq!(end_of_head(&bytes, searched), Some(head.len()), "{head:?} {searched}");
            }
        }
    }
}

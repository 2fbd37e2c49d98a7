//! The body of a request, cut out of the stream (RFC 9112, 6 and 7.1).

use std::borrow::Cow;

use super::head::{Framing, Refusal};

/// Bytes of a line that begins a chunk, or of one behind the last chunk. Extensions and trailers are
/// read and forgotten.
const LONGEST_LINE: usize = 4096;

/// Bytes of framing that are read in one go, a tenth of a millisecond's work: others have their turns
/// before what a peer sends in tiny chunks is heard to its end.
const MOST_FRAMING: usize = 16 * 1024;

/// Lines behind the last chunk.
const MOST_TRAILERS: u32 = 100;

/// What is left of a body.
#[derive(Debug)]
pub struct Body {
    state: State,
    trailers: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    /// So many bytes, and that was all.
    Length(u64),
    /// In the line that begins a chunk.
    Size(Line),
    /// So many bytes of this chunk.
    Chunk(u64),
    /// In the line end behind a chunk, of which so many bytes have come.
    ChunkEnd(u8),
    /// In a line behind the last chunk.
    Trailer(Line),
    End,
}

/// A line as it comes.
#[derive(Debug, Default, PartialEq, Eq)]
struct Line {
    length: usize,
    size: u64,
    digits: u32,
    /// The digits are over.
    ended: bool,
    /// What makes the rest of the line an extension, or a field, has come.
    marked: bool,
    /// A CR has come, and only a LF may follow.
    cr: bool,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// So many bytes were framing.
    Framing(usize),
    /// So many bytes belong to the body.
    Piece(usize),
    /// The body is over: what follows is the next request.
    End,
}

const MALFORMED: Refusal = Refusal { status: 400, why: "a chunk is malformed" };

impl Body {
    /// None of it has come.
    pub fn new(framing: Framing) -> Body {
        let state = match framing {
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::Size(Line::default()),
        };
        Body { state, trailers: 0 }
    }

    /// How long it is, as far as that is known from its head.
    pub fn length(&self) -> Option<u64> {
        match self.state {
            State::Length(length) => Some(length),
            State::End => Some(0),
            _ => None,
        }
    }

    /// What the first bytes of `input` are; some of them, unless it is empty or the body is over.
    pub fn next(&mut self, input: &[u8]) -> Result<Next, Refusal> {
        match &mut self.state {
            State::Length(0) | State::End => Ok(Next::End),
            State::Length(left) => {
                let piece = most(*left, input);
                *left -= piece as u64;
                Ok(Next::Piece(piece))
            }
            State::Chunk(left) => {
                let piece = most(*left, input);
                *left -= piece as u64;
                if *left == 0 {
                    self.state = State::ChunkEnd(0);
                }
                Ok(Next::Piece(piece))
            }
            _ => {
                for (at, byte) in input.iter().enumerate() {
                    self.frame(*byte)?;
                    if matches!(self.state, State::Chunk(_) | State::End) {
                        return Ok(Next::Framing(at + 1));
                    }
                }
                Ok(Next::Framing(input.len()))
            }
        }
    }

    /// What of the body is in `input`, in one piece: a chunk for each byte must not cost a write for
    /// each. With it how much of `input` that was, framing included, and whether the body is over. It
    /// is all of it, unless that were too much framing.
    pub fn gather<'a>(&mut self, input: &'a [u8]) -> (usize, Cow<'a, [u8]>, Result<bool, Refusal>) {
        let (mut at, mut framing) = (0, 0);
        let mut pieces = Cow::Borrowed(&b""[..]);
        loop {
            if framing >= MOST_FRAMING {
                return (at, pieces, Ok(false));
            }
            let rest = &input[at..];
            match self.next(rest) {
                Ok(Next::Framing(0) | Next::Piece(0)) => return (at, pieces, Ok(false)),
                Ok(Next::Framing(length)) => {
                    at += length;
                    framing += length;
                }
                Ok(Next::Piece(length)) => {
                    match pieces.is_empty() {
                        true => pieces = Cow::Borrowed(&rest[..length]),
                        false => pieces.to_mut().extend_from_slice(&rest[..length]),
                    }
                    at += length;
                }
                Ok(Next::End) => return (at, pieces, Ok(true)),
                Err(refusal) => return (at, pieces, Err(refusal)),
            }
        }
    }

    fn frame(&mut self, byte: u8) -> Result<(), Refusal> {
        match &mut self.state {
            State::ChunkEnd(seen) => match (*seen, byte) {
                (0, b'\r') => *seen = 1,
                (1, b'\n') => self.state = State::Size(Line::default()),
                _ => return Err(MALFORMED),
            },
            State::Size(line) => {
                if line.ends(byte)? {
                    self.state = match (line.digits, line.size) {
                        (0, _) => return Err(MALFORMED),
                        (_, 0) => State::Trailer(Line::default()),
                        (_, size) => State::Chunk(size),
                    };
                } else if !line.cr && !line.marked {
                    match (byte as char).to_digit(16) {
                        // Fifteen digits are more than any file has.
                        Some(_) if line.ended || line.digits == 15 => return Err(MALFORMED),
                        Some(digit) => {
                            line.size = line.size << 4 | u64::from(digit);
                            line.digits += 1;
                        }
                        None if line.digits == 0 => return Err(MALFORMED),
                        None if byte == b';' => line.marked = true,
                        None if b"\t ".contains(&byte) => line.ended = true,
                        None => return Err(MALFORMED),
                    }
                }
            }
            State::Trailer(line) => {
                match byte {
                    _ if line.marked => {}
                    b':' if line.length > 0 => line.marked = true,
                    b'\r' if line.length == 0 => {}
                    b'\n' if line.cr => {}
                    // The name of a field has no blanks, neither in front nor behind.
                    byte if is_token(byte) => {}
                    _ => return Err(MALFORMED),
                }
                if line.ends(byte)? {
                    self.trailers += 1;
                    self.state = match line.length {
                        0 => State::End,
                        _ if self.trailers > MOST_TRAILERS => return Err(MALFORMED),
                        _ => State::Trailer(Line::default()),
                    };
                }
            }
            State::Length(_) | State::Chunk(_) | State::End => {}
        }
        Ok(())
    }
}

impl Line {
    /// Whether the line ends with this byte: CR LF ends it, and neither stands alone.
    fn ends(&mut self, byte: u8) -> Result<bool, Refusal> {
        match (self.cr, byte) {
            (true, b'\n') => return Ok(true),
            (false, b'\r') => self.cr = true,
            (true, _) | (false, b'\n' | 0) => return Err(MALFORMED),
            (false, _) if self.length == LONGEST_LINE => return Err(MALFORMED),
            (false, _) => self.length += 1,
        }
        Ok(false)
    }
}

/// RFC 9110, 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn most(left: u64, input: &[u8]) -> usize {
    input.len().min(usize::try_from(left).unwrap_or(usize::MAX))
}

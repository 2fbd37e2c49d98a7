//! Answers: a head that is written at once, and content that is said as far as fits.

use std::borrow::Cow;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use super::date;
use crate::session::Output;

/// What goes back for a request.
pub struct Reply {
    /// The status code (RFC 9110, 15).
    pub status: u16,
    fields: Vec<u8>,
    /// What follows the head.
    pub content: Content,
}

/// What follows the head of an answer.
pub enum Content {
    /// Nothing, and no length either: 204 and 304.
    None,
    /// These bytes.
    Bytes(Cow<'static, [u8]>),
    /// This part of a file.
    File(Arc<File>, Range<u64>),
    /// Parts of a file and what stands between them, as multipart/byteranges has it.
    Parts(Arc<File>, Vec<Part>),
    /// What is composed as it goes, of unknown length.
    Stream(Box<dyn Stream>),
}

/// A part among others.
pub struct Part {
    /// What goes before it.
    pub before: Vec<u8>,
    /// Where it lies in the file.
    pub range: Range<u64>,
}

/// Content that is composed as it goes.
pub trait Stream: Send {
    /// Appends the next piece, of some kilobytes.
    fn next(&mut self, into: &mut Vec<u8>) -> io::Result<Progress>;
}

/// How far something has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// There is more.
    More,
    /// It takes a moment, for the disk is asked: try again a little later.
    Later,
    /// That was all.
    Done,
}

impl Reply {
    /// An answer with this content.
    pub fn new(status: u16, content: Content) -> Reply {
        Reply { status, fields: Vec::new(), content }
    }

    /// An answer that says, in a line of plain text, what happened.
    pub fn text(status: u16, line: impl Display) -> Reply {
        let text = format!("{line}\n").into_bytes();
        Reply::new(status, Content::Bytes(text.into()))
            .with("Content-Type", "text/plain; charset=utf-8")
            .with("X-Content-Type-Options", "nosniff")
    }

    /// The same with a field more. What breaks lines is left out of the value.
    pub fn with(mut self, name: &str, value: impl Display) -> Reply {
        let _ = write!(self.fields, "{name}: ");
        let begin = self.fields.len();
        let _ = write!(self.fields, "{value}\r\n");
        let end = self.fields.len() - 2;
        for byte in &mut self.fields[begin..end] {
            if byte.is_ascii_control() {
                *byte = b' ';
            }
        }
        self
    }

    /// Says the head of it, which ends the connection or keeps it `alive`.
    pub(super) fn write_head(&self, out: &mut Output, alive: Alive, is_modern: bool) {
        let mut head = Vec::with_capacity(256 + self.fields.len());
        let _ = write!(head, "HTTP/1.1 {} {}\r\nDate: ", self.status, reason(self.status));
        head.extend_from_slice(&date::now());
        head.extend_from_slice(b"\r\n");
        head.extend_from_slice(&self.fields);
        match self.content.length() {
            _ if matches!(self.content, Content::None) => {}
            Some(length) => drop(write!(head, "Content-Length: {length}\r\n")),
            None if is_modern => head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            None => {}
        }
        head.extend_from_slice(match alive {
            Alive::No => b"Connection: close\r\n\r\n",
            Alive::Yes if is_modern => b"\r\n",
            Alive::Yes => b"Connection: keep-alive\r\n\r\n",
        });
        out.write(&head);
    }
}

/// Whether a connection outlives an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alive {
    Yes,
    No,
}

impl Content {
    /// How long it is, where that is known.
    pub fn length(&self) -> Option<u64> {
        match self {
            Content::None => Some(0),
            Content::Bytes(bytes) => Some(bytes.len() as u64),
            Content::File(_, range) => Some(range.end - range.start),
            Content::Parts(_, parts) => Some(
                parts
                    .iter()
                    .map(|part| part.before.len() as u64 + part.range.end - part.range.start)
                    .sum(),
            ),
            Content::Stream(_) => None,
        }
    }
}

/// Content on its way.
pub(super) struct Sending {
    content: Content,
    /// What was said of the bytes, or which part it is.
    at: usize,
    /// Pieces of unknown length say how long each is (RFC 9112, 7.1).
    chunked: bool,
}

impl Sending {
    pub fn new(content: Content, chunked: bool) -> Sending {
        Sending { content, at: 0, chunked }
    }

    /// Says what fits. Fails where what was promised is not there any more.
    pub fn write(&mut self, out: &mut Output) -> io::Result<Progress> {
        let Sending { content, at, chunked } = self;
        let outcome = match content {
            Content::None => Ok(Progress::Done),
            Content::Bytes(bytes) => Ok(write_bytes(bytes, at, out)),
            Content::File(file, range) => write_file(file, range, out),
            Content::Parts(file, parts) => write_parts(file, parts, at, out),
            Content::Stream(stream) => write_stream(&mut **stream, *chunked, out),
        };
        match outcome {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Progress::Later),
            outcome => outcome,
        }
    }
}

fn write_bytes(bytes: &[u8], at: &mut usize, out: &mut Output) -> Progress {
    let piece = &bytes[*at..bytes.len().min(*at + out.room())];
    out.write(piece);
    *at += piece.len();
    if *at == bytes.len() { Progress::Done } else { Progress::More }
}

fn write_file(file: &Arc<File>, range: &mut Range<u64>, out: &mut Output) -> io::Result<Progress> {
    while !range.is_empty() {
        if out.is_full() {
            return Ok(Progress::More);
        }
        match out.write_file(file, range.start, range.end - range.start)? {
            0 => {
                return Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the file became shorter while it was sent",
                ));
            }
            said => range.start += said,
        }
    }
    Ok(Progress::Done)
}

fn write_parts(
    file: &Arc<File>,
    parts: &mut [Part],
    at: &mut usize,
    out: &mut Output,
) -> io::Result<Progress> {
    while let Some(part) = parts.get_mut(*at) {
        if out.is_full() {
            return Ok(Progress::More);
        }
        out.write(&std::mem::take(&mut part.before));
        match write_file(file, &mut part.range, out)? {
            Progress::Done => *at += 1,
            other => return Ok(other),
        }
    }
    Ok(Progress::Done)
}

fn write_stream(stream: &mut dyn Stream, chunked: bool, out: &mut Output) -> io::Result<Progress> {
    let mut piece = Vec::new();
    while !out.is_full() {
        piece.clear();
        let progress = stream.next(&mut piece);
        if chunked && !piece.is_empty() {
            out.write(format!("{:x}\r\n", piece.len()).as_bytes());
            piece.extend_from_slice(b"\r\n");
        }
        out.write(&piece);
        match progress? {
            // It works without having anything to say: others have their turns meanwhile.
            Progress::More if piece.is_empty() => return Ok(Progress::More),
            Progress::More => {}
            Progress::Later => return Ok(Progress::Later),
            Progress::Done => {
                if chunked {
                    out.write(b"0\r\n\r\n");
                }
                return Ok(Progress::Done);
            }
        }
    }
    Ok(Progress::More)
}

/// The phrase that goes with a status code (RFC 9110, 15; RFC 4918, 11.5; RFC 6585).
pub fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        304 => "Not Modified",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        503 => "Service Unavailable",
        505 => "HTTP Version Not Supported",
        507 => "Insufficient Storage",
        _ => "",
    }
}

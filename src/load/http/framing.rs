//! Where an HTTP/1.1 response begins and ends, and which of its bytes are its body (RFC 9112).
//!
//! Bytes come in any pieces, and parts go out as they are found: nothing of a body is kept, and of a
//! head only what came before the rest of it. A head that is the same as the one before, to the last
//! byte, is not parsed again: from a server under load, all of a second are.

use httparse::{EMPTY_HEADER, Header, Response, Status};

use crate::load::fault::text;

/// The longest head, and the most that may stand around chunks: as much as servers take of requests.
pub const HEAD: usize = 16 * 1024;

/// Fields of a head at most.
const FIELDS: usize = 100;

/// The response that is being received on one connection.
#[derive(Debug, Default)]
pub struct Framing {
    phase: Phase,
    /// The beginning of a head whose rest has not come. Without heap while heads come whole.
    partial: Vec<u8>,
}

/// A head that came before, and what it says.
#[derive(Debug, Default)]
pub struct Known {
    bytes: Vec<u8>,
    head: Head,
}

/// What a head says of what follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The status code.
    pub status: u16,
    /// Bytes of the body, where that is said beforehand.
    pub length: Option<u64>,
    /// Whether the connection ends with this response.
    pub closes: bool,
    chunked: bool,
}

/// What the first bytes of an input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Nothing by themselves: the rest has to come first.
    More,
    /// What stands around the body.
    Framing,
    /// The head, with all that came of it before.
    Head(Head),
    /// Bytes of the body.
    Body,
    /// The end of the response, which is no byte.
    End,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Phase {
    #[default]
    Head,
    /// So many bytes of the body are to come.
    Length(u64),
    /// All that comes is body.
    UntilClose,
    /// Chunks: where in them, and how many bytes stood around them so far.
    Chunked(Chunk, usize),
}

/// Where in a chunked body (RFC 9112, 7.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Chunk {
    /// In its size, of which so many digits have come.
    Size(u64, u32),
    /// After the size, before the line ends.
    Extension(u64),
    /// So many of its bytes are to come.
    Data(u64),
    /// The line break after them: whether its CR has come.
    DataEnd(bool),
    /// After the last one, in a line of so many bytes.
    Trailer(usize),
    Over,
}

impl Framing {
    /// What the first bytes of `input` are, and how many they are. What is no HTTP is said in words.
    pub fn next(&mut self, input: &[u8], known: &mut Known) -> Result<(usize, Part), String> {
        match self.phase {
            Phase::Head => self.head(input, known),
            Phase::Length(0) | Phase::Chunked(Chunk::Over, _) => {
                self.phase = Phase::Head;
                Ok((0, Part::End))
            }
            _ if input.is_empty() => Ok((0, Part::More)),
            Phase::Length(left) => {
                let n = left.min(input.len() as u64);
                self.phase = Phase::Length(left - n);
                Ok((n as usize, Part::Body))
            }
            Phase::UntilClose => Ok((input.len(), Part::Body)),
            Phase::Chunked(Chunk::Data(left @ 1..), around) => {
                let n = left.min(input.len() as u64);
                self.phase = Phase::Chunked(Chunk::Data(left - n), around);
                Ok((n as usize, Part::Body))
            }
            Phase::Chunked(chunk, around) => {
                let n;
                (n, self.phase) = chunk.skip(input, around)?;
                Ok((n, Part::Framing))
            }
        }
    }

    /// Whether the end of the connection is the end of the response, and not something missing.
    pub fn ends_with_connection(&self) -> bool {
        self.phase == Phase::UntilClose
    }

    fn head(&mut self, input: &[u8], known: &mut Known) -> Result<(usize, Part), String> {
        let before = self.partial.len();
        if before == 0 && !known.bytes.is_empty() && input.starts_with(&known.bytes) {
            self.phase = known.head.phase();
            return Ok((known.bytes.len(), Part::Head(known.head)));
        }
        let room = (HEAD - before).min(input.len());
        let came = match before {
            0 => &input[..room],
            _ => {
                self.partial.extend_from_slice(&input[..room]);
                &self.partial
            }
        };
        let mut fields = [EMPTY_HEADER; FIELDS];
        let mut response = Response::new(&mut fields);
        match response.parse(came) {
            Ok(Status::Complete(end)) => {
                let head = Head::of(&response)?;
                // 100, 103: the response itself is still to come (RFC 9110, 15.2).
                if head.status / 100 != 1 {
                    known.head = head;
                    known.bytes.clear();
                    known.bytes.extend_from_slice(&came[..end]);
                    self.phase = head.phase();
                }
                self.partial.clear();
                let part = if head.status / 100 == 1 { Part::Framing } else { Part::Head(head) };
                Ok((end - before, part))
            }
            Ok(Status::Partial) if came.len() == HEAD => {
                Err(format!("a head of more than {HEAD} bytes came"))
            }
            Ok(Status::Partial) => {
                if before == 0 {
                    self.partial.extend_from_slice(input);
                }
                Ok((input.len(), Part::More))
            }
            Err(_) if came.starts_with(&[21, 3]) => {
                Err("an alert of TLS came: the server speaks TLS; use https:// or --tls".into())
            }
            Err(error) => Err(format!("{} is no head of HTTP/1.1: {error}", text(came))),
        }
    }
}

impl Head {
    fn of(response: &Response) -> Result<Head, String> {
        let status = response.code.unwrap_or(0);
        let mut head = Head { status, closes: response.version == Some(0), ..Head::default() };
        for Header { name, value } in response.headers.iter() {
            if name.eq_ignore_ascii_case("Content-Length") {
                let length = number(value).ok_or_else(|| {
                    format!("Content-Length: {} is no number", value.escape_ascii())
                })?;
                if head.length.is_some_and(|other| other != length) {
                    return Err("the head has two Content-Lengths that differ".into());
                }
                head.length = Some(length);
            } else if name.eq_ignore_ascii_case("Transfer-Encoding") {
                if !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    let value = value.escape_ascii();
                    return Err(format!("Transfer-Encoding: {value} was not asked for"));
                }
                head.chunked = true;
            } else if name.eq_ignore_ascii_case("Connection") {
                for word in value.split(|byte| *byte == b',') {
                    match word.trim_ascii() {
                        word if word.eq_ignore_ascii_case(b"close") => head.closes = true,
                        word if word.eq_ignore_ascii_case(b"keep-alive") => head.closes = false,
                        _ => {}
                    }
                }
            }
        }
        if head.chunked && head.length.is_some() {
            return Err("the head has both Content-Length and Transfer-Encoding".into());
        }
        if matches!(status, 204 | 304) {
            head.length = Some(0);
            head.chunked = false;
        }
        head.closes |= head.length.is_none() && !head.chunked;
        Ok(head)
    }

    fn phase(&self) -> Phase {
        match self.length {
            Some(length) => Phase::Length(length),
            None if self.chunked => Phase::Chunked(Chunk::Size(0, 0), 0),
            None => Phase::UntilClose,
        }
    }
}

/// A number without a sign.
fn number(digits: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(digits.trim_ascii()).ok()?;
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

impl Chunk {
    /// Goes on to the next data, or to the end: how many bytes stand before it, and what is then.
    fn skip(mut self, input: &[u8], mut around: usize) -> Result<(usize, Phase), String> {
        for (n, &byte) in input.iter().enumerate() {
            if matches!(self, Chunk::Data(1..) | Chunk::Over) {
                return Ok((n, Phase::Chunked(self, around)));
            }
            around += 1;
            self = self.after(byte)?;
            // Data that came in between is paid for with what stands around it.
            match self {
                Chunk::Data(_) => around = 0,
                _ if around > HEAD => return Err("more came around chunks than any need".into()),
                _ => {}
            }
        }
        Ok((input.len(), Phase::Chunked(self, around)))
    }

    fn after(self, byte: u8) -> Result<Chunk, String> {
        let sized = |size| if size == 0 { Chunk::Trailer(0) } else { Chunk::Data(size) };
        Ok(match (self, byte) {
            (Chunk::Size(size, digits @ 0..16), b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16).expect("it is one");
                Chunk::Size(size << 4 | u64::from(digit), digits + 1)
            }
            (Chunk::Size(size, 1..), b';' | b' ' | b'\t' | b'\r') | (Chunk::Extension(size), _)
                if byte != b'\n' =>
            {
                Chunk::Extension(size)
            }
            (Chunk::Size(size, 1..) | Chunk::Extension(size), b'\n') => sized(size),
            (Chunk::Data(_) | Chunk::DataEnd(false), b'\r') => Chunk::DataEnd(true),
            (Chunk::Data(_) | Chunk::DataEnd(_), b'\n') => Chunk::Size(0, 0),
            (Chunk::Trailer(0), b'\n') => Chunk::Over,
            (Chunk::Trailer(_), b'\n') => Chunk::Trailer(0),
            (Chunk::Trailer(0), b'\r') => Chunk::Trailer(0),
            (Chunk::Trailer(length), _) => Chunk::Trailer(length + 1),
            (Chunk::Size(..), _) => {
                return Err(format!("{} came in the size of a chunk", text(&[byte])));
            }
            (_, _) => return Err(format!("{} came where a chunk was to end", text(&[byte]))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Statuses and bodies of all responses that are complete, in pieces of so many bytes.
    fn read(input: &[u8], piece: usize) -> Result<Vec<(Head, Vec<u8>)>, String> {
        let (mut framing, mut known) = (Framing::default(), Known::default());
        let (mut all, mut head, mut body) = (Vec::new(), Head::default(), Vec::new());
        for mut piece in input.chunks(piece) {
            loop {
                let (n, part) = framing.next(piece, &mut known)?;
                match part {
                    Part::More => break assert_eq!(n, piece.len()),
                    Part::Framing => {}
                    Part::Head(came) => head = came,
                    Part::Body => body.extend_from_slice(&piece[..n]),
                    Part::End => all.push((head, std::mem::take(&mut body))),
                }
                piece = &piece[n..];
            }
        }
        if framing.ends_with_connection() {
            all.push((head, body));
        }
        Ok(all)
    }

    #[test]
    fn responses_are_the_same_in_every_split() {
        let input = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello\
            HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld\
            HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 404 Not Found\r\ncontent-length:0\r\n\r\n\
            HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n\
            3;x=\"y\"\r\nabc\r\n0A\r\n0123456789\r\n00\r\nSum: 1\r\n\r\n\
            HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n\
            HTTP/1.1 200 OK\r\nConnection: x, close\r\nContent-Length: 1\r\n\r\n!\
            HTTP/1.0 200 OK\r\n\r\nto the end";
        for piece in 1..=input.len() {
            let all = read(input, piece).unwrap();
            let bodies: Vec<&[u8]> = all.iter().map(|(_, body)| &body[..]).collect();
            let due: [&[u8]; 7] =
                [b"hello", b"world", b"", b"abc0123456789", b"", b"!", b"to the end"];
            assert_eq!(bodies, due, "in pieces of {piece}");
            let statuses: Vec<u16> = all.iter().map(|(head, _)| head.status).collect();
            assert_eq!(statuses, [200, 200, 404, 200, 304, 200, 200]);
            let closes: Vec<bool> = all.iter().map(|(head, _)| head.closes).collect();
            assert_eq!(closes, [false, false, false, false, false, true, true]);
        }
    }

    #[test]
    fn what_is_no_http_is_named_in_every_split() {
        let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(HEAD));
        let extension = format!("1;{}\r\n", "x".repeat(HEAD));
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        for (input, words) in [
            ("SSH-2.0-OpenSSH_10.0\r\n".into(), "is no head of HTTP/1.1"),
            ("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\n".into(), "+5 is no number"),
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n".into(),
                "two Content-Lengths",
            ),
            (
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n".into(),
                "Transfer-Encoding: gzip was not asked for",
            ),
            (chunked.replace("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\n"), "both Content-Length"),
            (format!("{chunked}x\r\n"), "\"x\" came in the size of a chunk"),
            (format!("{chunked}\r\n"), "came in the size of a chunk"),
            (format!("{chunked}11112222333344445\r\n"), "came in the size of a chunk"),
            (format!("{chunked}1\r\nab"), "\"b\" came where a chunk was to end"),
            (format!("{chunked}{extension}"), "more came around chunks"),
            (long, "a head of more than"),
        ] {
            for piece in [1, 7, 1000, input.len()] {
                let why = read(input.as_bytes(), piece).unwrap_err();
                assert!(why.contains(words), "{input:.60}: {why}");
            }
        }
    }
}

//! One file over HTTP/1.1: what is asked for, what every answer must be, and how far one has come.

pub mod fetch;
pub mod framing;

use std::fmt;

use super::fault::{Kind, text};
use framing::{Framing, Head, Known, Part};

/// A file: how it is asked for, and its bytes.
pub struct Page {
    /// The head of the request, which has no body.
    pub request: Vec<u8>,
    /// What each answer must carry.
    pub body: Vec<u8>,
    /// Whether it is compared. Otherwise a status of 200 is enough, and any body.
    pub compared: bool,
}

impl Page {
    /// A file that is asked for by its `path` at `authority`, as in `localhost:8000`.
    pub fn new(authority: &str, path: &str, body: Vec<u8>) -> Page {
        Page { request: request(authority, path), body, compared: true }
    }
}

/// The head of a request. Encodings that servers may choose among are not asked for, so that the file
/// itself comes.
pub fn request(authority: &str, path: &str) -> Vec<u8> {
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: socklab/{version}\r\n\
         Accept: */*\r\n\r\n"
    )
    .into()
}

impl fmt::Debug for Page {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Page of {} bytes", self.body.len())
    }
}

/// The answer that one client is receiving.
#[derive(Debug, Default)]
pub struct Answer {
    framing: Framing,
    /// Right bytes of its body so far.
    body: u64,
    /// It is the last of its connection.
    closes: bool,
}

/// What came of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The rest is still to come.
    More,
    /// The answer is complete, and the connection ends with it, or goes on.
    Complete {
        /// The server closes.
        closes: bool,
    },
    /// It is not what it should be.
    Wrong(Kind, String),
}

impl Answer {
    /// Takes bytes from `input`, to the end of the answer at most: how many of them were right, and
    /// what came of it.
    pub fn read(&mut self, page: &Page, input: &[u8], known: &mut Known) -> (usize, Progress) {
        let mut taken = 0;
        loop {
            let rest = &input[taken..];
            let (n, part) = match self.framing.next(rest, known) {
                Ok(found) => found,
                Err(why) => return (taken, Progress::Wrong(Kind::Wrong, why)),
            };
            match part {
                Part::More => return (taken + n, Progress::More),
                Part::Framing => {}
                Part::Head(head) => match page.objection(&head) {
                    Some(why) => return (taken, Progress::Wrong(Kind::Wrong, why)),
                    None => self.closes = head.closes,
                },
                Part::Body => {
                    let right = page.matching(self.body, &rest[..n]);
                    self.body += right as u64;
                    if right < n {
                        let (kind, why) = page.difference(self.body, &rest[right..n]);
                        return (taken + right, Progress::Wrong(kind, why));
                    }
                }
                Part::End => return (taken, self.end(page)),
            }
            taken += n;
        }
    }

    /// Whether the server closes after this answer, or the one before, as it has said.
    pub fn closes(&self) -> bool {
        self.closes
    }

    /// Whether it is whole if the connection ends here.
    pub fn is_ended_by_the_end(&self, page: &Page) -> bool {
        let is_whole = !page.compared || self.body == page.body.len() as u64;
        self.framing.ends_with_connection() && is_whole
    }

    fn end(&mut self, page: &Page) -> Progress {
        let (came, due) = (std::mem::take(&mut self.body), page.body.len() as u64);
        match page.compared && came < due {
            true => {
                Progress::Wrong(Kind::Wrong, format!("the body ended after {came} of {due} bytes"))
            }
            false => Progress::Complete { closes: self.closes },
        }
    }
}

impl Page {
    /// What is wrong with a head.
    fn objection(&self, head: &Head) -> Option<String> {
        let due = self.body.len() as u64;
        match head.length {
            _ if head.status != 200 => {
                Some(format!("status {} came where 200 was due", head.status))
            }
            Some(length) if self.compared && length != due => {
                Some(format!("Content-Length {length} came where {due} was due"))
            }
            _ => None,
        }
    }

    /// How many bytes at the beginning of `came` are those of the body from `at` on.
    fn matching(&self, at: u64, came: &[u8]) -> usize {
        if !self.compared {
            return came.len();
        }
        let due = &self.body[at as usize..];
        match due.starts_with(came) {
            true => came.len(),
            false => came.iter().zip(due).take_while(|(came, due)| came == due).count(),
        }
    }

    /// What came at this place of the body instead of its bytes.
    fn difference(&self, at: u64, came: &[u8]) -> (Kind, String) {
        match self.body.get(at as usize) {
            Some(due) => {
                let why = format!(
                    "0x{:02x} came where 0x{due:02x} was due, at byte {at} of the body",
                    came[0]
                );
                (Kind::Wrong, why)
            }
            None => (Kind::Extra, format!("{} came after the {at} bytes of the body", text(came))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What comes of `input`, in pieces of so many bytes, for a file that says "hello".
    fn read(input: &str, piece: usize) -> Progress {
        let page = Page::new("localhost", "/", b"hello".to_vec());
        let (mut answer, mut known) = (Answer::default(), Known::default());
        for mut piece in input.as_bytes().chunks(piece) {
            loop {
                let (n, progress) = answer.read(&page, piece, &mut known);
                match progress {
                    Progress::More => break,
                    Progress::Complete { .. } if n < piece.len() => piece = &piece[n..],
                    Progress::Complete { .. } => break,
                    wrong => return wrong,
                }
            }
        }
        Progress::Complete { closes: answer.closes }
    }

    #[test]
    fn every_fault_is_told_in_every_split() {
        let ok = "HTTP/1.1 200 OK\r\n";
        let right = format!("{ok}Content-Length: 5\r\n\r\nhello");
        let chunked = format!("{ok}Transfer-Encoding: chunked\r\n\r\n");
        for (input, kind, why) in [
            ("HTTP/1.1 404 Not Found\r\n\r\n".into(), Kind::Wrong, "status 404 came where 200"),
            (
                format!("{ok}Content-Length: 6\r\n\r\n"),
                Kind::Wrong,
                "Content-Length 6 came where 5 was due",
            ),
            (
                right.replace('o', "O"),
                Kind::Wrong,
                "0x4f came where 0x6f was due, at byte 4 of the body",
            ),
            (format!("{chunked}4\r\nhell\r\n0\r\n\r\n"), Kind::Wrong, "ended after 4 of 5 bytes"),
            (format!("{chunked}6\r\nhello!\r\n0\r\n\r\n"), Kind::Extra, "\"!\" came after the 5"),
            (format!("{right}{right}oops\r\n\r\n"), Kind::Wrong, "is no head of HTTP/1.1"),
        ] {
            for piece in 1..=input.len() {
                match read(&input, piece) {
                    Progress::Wrong(of, what) => {
                        assert_eq!(of, kind, "{input:?}");
                        assert!(what.contains(why), "{input:?}: {what}");
                    }
                    other => panic!("{input:?}: {other:?}"),
                }
            }
        }
        let all = format!("{right}{right}{chunked}2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n");
        for piece in 1..=all.len() {
            assert_eq!(read(&all, piece), Progress::Complete { closes: false });
        }
    }
}

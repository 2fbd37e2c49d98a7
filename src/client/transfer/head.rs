//! The heads of answers (RFC 9112 §4), as far as transfers need them.

use httparse::{EMPTY_HEADER, Status};

use super::Error;
use super::digest::Digest;
use crate::client::chat::plain;

/// No server sends a longer one; what goes on for ever must not fill the memory.
pub const LONGEST: usize = 64 * 1024;

const MOST_FIELDS: usize = 256;

/// The head of an answer.
#[derive(Debug)]
pub struct Head {
    /// 200 and the like.
    pub status: u16,
    /// What it says in words.
    reason: String,
    /// HTTP/1.0, where connections end with an answer.
    old: bool,
    fields: Vec<(String, Vec<u8>)>,
}

/// How the end of a body is known (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// It has so many bytes.
    Length(u64),
    /// It says so itself.
    Chunked,
    /// The connection ends with it.
    UntilClose,
}

/// What a 206 or a 416 says of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The first and the last byte that come; none with 416.
    pub bytes: Option<(u64, u64)>,
    /// How much the file has.
    pub total: Option<u64>,
}

impl Head {
    /// One whole head.
    pub fn parse(bytes: &[u8]) -> Result<Head, Error> {
        let mut fields = vec![EMPTY_HEADER; MOST_FIELDS];
        let mut answer = httparse::Response::new(&mut fields);
        match answer.parse(bytes) {
            Ok(Status::Complete(_)) => {}
            Ok(Status::Partial) => {
                return Err(Error::Malformed("the head of its answer is cut off".into()));
            }
            Err(error) => {
                return Err(Error::Malformed(format!("{error} in the head of its answer")));
            }
        }
        let fields = answer.headers.iter();
        Ok(Head {
            status: answer.code.expect("it is complete"),
            reason: plain(answer.reason.unwrap_or_default().as_bytes()),
            old: answer.version == Some(0),
            fields: fields.map(|field| (field.name.into(), field.value.to_vec())).collect(),
        })
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = self.fields.iter().filter(move |(field, _)| field.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_slice())
    }

    /// The first field of this name, if it is text.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.values(name).next().and_then(|value| str::from_utf8(value).ok()).map(str::trim)
    }

    fn has_word(&self, name: &str, word: &str) -> bool {
        let text = self.values(name).filter_map(|value| str::from_utf8(value).ok());
        text.flat_map(|value| value.split(',')).any(|one| one.trim().eq_ignore_ascii_case(word))
    }

    /// 404 Not Found.
    pub fn status_line(&self) -> String {
        format!("{} {}", self.status, self.reason).trim_end().into()
    }

    /// The number in the field, if it is one.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.field(name).and_then(number)
    }

    /// How the body ends that comes with it, in an answer to GET or PUT.
    pub fn framing(&self) -> Result<Framing, Error> {
        if matches!(self.status, 100..200 | 204 | 304) {
            return Ok(Framing::Length(0));
        }
        let mut lengths = self
            .values("Content-Length")
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(|value| str::from_utf8(value).ok().and_then(|text| number(text.trim())));
        let length = match lengths.next() {
            None => None,
            Some(first) if first.is_some() && lengths.all(|other| other == first) => first,
            Some(_) => return Err(Error::Malformed("its Content-Length is no number".into())),
        };
        let coded = self.values("Transfer-Encoding").next().is_some();
        match (coded, length) {
            (false, Some(length)) => Ok(Framing::Length(length)),
            (false, None) => Ok(Framing::UntilClose),
            // Whoever is in between may believe the other one (RFC 9112 §6.3).
            (true, Some(_)) => {
                Err(Error::Malformed("it gives a Content-Length and a Transfer-Encoding".into()))
            }
            (true, None) => {
                let codings: Vec<&[u8]> = self.values("Transfer-Encoding").collect();
                match codings[..] {
                    [one] if !self.old && one.trim_ascii().eq_ignore_ascii_case(b"chunked") => {
                        Ok(Framing::Chunked)
                    }
                    _ => Err(Error::Malformed("its Transfer-Encoding is not chunked".into())),
                }
            }
        }
    }

    /// Whether the server goes on with the connection after this answer.
    pub fn keeps_connection(&self) -> bool {
        match self.old {
            true => self.has_word("Connection", "keep-alive"),
            false => !self.has_word("Connection", "close"),
        }
    }

    /// The tag of what the file is now, if it changes with every byte of it.
    pub fn strong_tag(&self) -> Option<&str> {
        self.field("ETag")
            .filter(|tag| tag.len() >= 2 && tag.starts_with('"') && tag.ends_with('"'))
    }

    /// When the file was changed last; only if it could not have been changed again in that second
    /// and look the same (RFC 9110 §8.8.2.2).
    pub fn strong_time(&self) -> Option<&str> {
        let field = self.field("Last-Modified")?;
        let changed = httpdate::parse_http_date(field).ok()?;
        let now = httpdate::parse_http_date(self.field("Date")?).ok()?;
        now.duration_since(changed).is_ok_and(|age| age.as_secs() >= 1).then_some(field)
    }

    /// Whether both answers are of the same bytes, as far as the server says.
    pub fn same_file(&self, other: &Head) -> bool {
        ["ETag", "Last-Modified"].iter().all(|name| self.field(name) == other.field(name))
    }

    /// SHA-256 of the whole file, if it says.
    pub fn digest(&self) -> Option<Digest> {
        self.field("Repr-Digest").and_then(Digest::of_field)
    }

    /// Which part comes (RFC 9110 §14.4).
    pub fn content_range(&self) -> Option<ContentRange> {
        let (range, total) =
            self.field("Content-Range")?.strip_prefix("bytes ")?.split_once('/')?;
        let total = match total {
            "*" => None,
            total => Some(number(total)?),
        };
        let bytes = match range {
            "*" => None,
            range => {
                let (first, last) = range.split_once('-')?;
                Some((number(first)?, number(last)?))
            }
        };
        let fits = bytes.is_none_or(|(first, last)| {
            first <= last && last < u64::MAX && total.is_none_or(|total| last < total)
        });
        fits.then_some(ContentRange { bytes, total })
    }
}

/// Digits and nothing else: no sign, no space.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(fields: &str) -> Head {
        Head::parse(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes()).expect("it is one")
    }

    #[test]
    fn a_body_ends_in_one_way_only() {
        for (fields, framing) in [
            ("", Some(Framing::UntilClose)),
            ("Content-Length: 5\r\n", Some(Framing::Length(5))),
            ("content-length: 5\r\nContent-Length: 5\r\n", Some(Framing::Length(5))),
            ("Content-Length: 5, 5\r\n", Some(Framing::Length(5))),
            ("Transfer-Encoding: Chunked\r\n", Some(Framing::Chunked)),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", None),
            ("Content-Length: +5\r\n", None),
            ("Content-Length: \r\n", None),
            ("Content-Length: 99999999999999999999\r\n", None),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", None),
            ("Transfer-Encoding: gzip, chunked\r\n", None),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", None),
        ] {
            assert_eq!(head(fields).framing().ok(), framing, "{fields:?}");
        }
    }

    #[test]
    fn only_what_changes_with_every_byte_is_strong() {
        let tag = |tag: &str| head(&format!("ETag: {tag}\r\n")).strong_tag().is_some();
        assert!(tag("\"a\"") && !tag("W/\"a\"") && !tag("a") && !tag("\""));
        let time = |date: &str| {
            let changed = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
            head(&format!("{changed}{date}")).strong_time().is_some()
        };
        assert!(time("Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"));
        assert!(!time("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n") && !time(""));
    }

    #[test]
    fn ranges_are_read_strictly() {
        let range = |text: &str| head(&format!("Content-Range: {text}\r\n")).content_range();
        let some = |bytes, total| Some(ContentRange { bytes, total });
        assert_eq!(range("bytes 5-9/10"), some(Some((5, 9)), Some(10)));
        assert_eq!(range("bytes 5-9/*"), some(Some((5, 9)), None));
        assert_eq!(range("bytes */10"), some(None, Some(10)));
        for wrong in
            ["", "bytes 9-5/10", "bytes 5-10/10", "lines 1-2/3", "bytes 5-/10", "bytes +5-9/10"]
        {
            assert_eq!(range(wrong), None, "{wrong}");
        }
    }

    /// What heads are made of, and what is in none.
    fn piece() -> impl Strategy<Value = String> {
        let known = proptest::sample::select(
            &[
                "HTTP/1.1 206 Partial\r\n",
                "HTTP/1.0 200\r\n",
                "Content-Length: ",
                "5",
                ", ",
                "-",
                "Transfer-Encoding: chunked",
                "\r\n",
                "\n",
                "Content-Range: bytes ",
                "0-4/5",
                "*/5",
                "18446744073709551615",
                "/",
                "*",
                "ETag: \"",
                "\"",
                "Connection: close",
                " ",
                ":",
                "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
                "Repr-Digest: sha-256=:",
                "=:",
                "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n",
            ][..],
        );
        prop_oneof![8 => known.prop_map(str::to_owned), 1 => any::<String>()]
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_head_is_refused_or_right(pieces in proptest::collection::vec(piece(), 0..12)) {
            let fields = pieces.concat();
            for text in [format!("{fields}\r\n\r\n"), format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n")] {
                let Ok(head) = Head::parse(text.as_bytes()) else {
                    continue;
                };
                if let Some(ContentRange { bytes: Some((first, last)), total }) = head.content_range() {
                    prop_assert!(first <= last && last < total.unwrap_or(u64::MAX));
                }
                prop_assert!(head.strong_tag().is_none_or(|tag| tag.starts_with('"')));
                prop_assert!(head.same_file(&head));
                let _ = (head.framing(), head.keeps_connection(), head.strong_time(), head.digest());
                prop_assert!(!head.status_line().contains(|letter: char| letter.is_control()));
            }
        }
    }
}

//! The head of a request: read by httparse, then judged. Two readers of one stream must find the same
//! requests in it, or one can be smuggled past the other (RFC 9112, 11.2); so whatever can be read in
//! two ways is refused.

use std::str;

use httparse::{Error, Status};

/// Bytes of a head.
pub const LONGEST_HEAD: usize = 16 * 1024;

/// Bytes of a request target. RFC 9110, 4.1, asks for 8,000 at least.
const LONGEST_TARGET: usize = 8 * 1024;

/// Fields of a head.
const MOST_FIELDS: usize = 100;

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The content.
    Get,
    /// What GET would say, without the content.
    Head,
    /// What can be done.
    Options,
    /// To store what follows.
    Put,
    /// To remove.
    Delete,
    /// One that is known, and that nothing here allows: POST, PATCH, CONNECT, TRACE.
    Known,
    /// One that nobody knows.
    Unknown,
}

impl Method {
    fn new(name: &str) -> Method {
        match name {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "OPTIONS" => Method::Options,
            "PUT" => Method::Put,
            "DELETE" => Method::Delete,
            "POST" | "PATCH" | "CONNECT" | "TRACE" => Method::Known,
            _ => Method::Unknown,
        }
    }
}

/// A request's head.
#[derive(Debug)]
pub struct Request<'a> {
    /// What is asked for.
    pub method: Method,
    /// The same, as it was sent.
    pub name: &'a str,
    /// The path as it was sent, from its first slash; `*` for the server itself. Printable ASCII.
    pub target: &'a str,
    /// What follows the question mark, as it was sent.
    pub query: &'a str,
    /// The fields.
    pub fields: Fields<'a>,
    /// Whether the peer speaks HTTP/1.1, and not 1.0.
    pub is_modern: bool,
    pub(super) framing: Framing,
}

/// The fields of a head.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'a>(&'a [httparse::Header<'a>]);

/// How the body of a message ends (RFC 9112, 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// After so many bytes.
    Length(u64),
    /// With the chunk that says so.
    Chunked,
}

/// Why no answer is given but this one, after which the connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub status: u16,
    pub why: &'static str,
}

fn refusal<T>(status: u16, why: &'static str) -> Result<T, Refusal> {
    Err(Refusal { status, why })
}

/// Reads the head at the beginning of `input` and passes it, and its length, to `judge`; `None` where
/// it has not come whole.
pub(super) fn read<T>(
    input: &[u8],
    judge: impl FnOnce(&Request<'_>, usize) -> T,
) -> Result<Option<T>, Refusal> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(&input[..input.len().min(LONGEST_HEAD)]) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) if input.len() < LONGEST_HEAD => return Ok(None),
        Ok(Status::Partial) => {
            return match head.path {
                Some(_) => refusal(431, "the head of a request has 16 KiB at most"),
                None => refusal(414, "a request target has 8 KiB at most"),
            };
        }
        Err(Error::TooManyHeaders) => {
            return refusal(431, "the head of a request has 100 fields at most");
        }
        Err(Error::Version) if names_version(input) => {
            return refusal(505, "this is a server of HTTP/1.1");
        }
        Err(Error::HeaderName) => return refusal(400, "the name of a field is malformed"),
        Err(Error::HeaderValue) => return refusal(400, "the value of a field is malformed"),
        Err(_) => return refusal(400, "the request is malformed"),
    };
    let (Some(method), Some(target), Some(version)) = (head.method, head.path, head.version) else {
        return refusal(400, "the request is malformed");
    };
    if target.len() > LONGEST_TARGET {
        return refusal(414, "a request target has 8 KiB at most");
    }
    if !target.bytes().all(|byte| byte.is_ascii_graphic()) || target.contains('#') {
        return refusal(400, "the request target is malformed");
    }
    let fields = Fields(head.headers);
    let is_modern = version == 1;
    check_host(fields, is_modern)?;
    let framing = framing(fields, is_modern)?;
    let (name, method) = (method, Method::new(method));
    let (target, query) = origin(method, target)?;
    Ok(Some(judge(&Request { method, name, target, query, fields, is_modern, framing }, length)))
}

/// Whether the first line has a version where that of a request has it. What comes behind that may not
/// have come yet, and does not count.
fn names_version(input: &[u8]) -> bool {
    let line = input.trim_ascii_start().split(|byte| *byte == b'\n').next().unwrap_or_default();
    let third = line.split(|byte| *byte == b' ').nth(2);
    third.is_some_and(|word| word.starts_with(b"HTTP/"))
}

/// Path and query of a target in any form (RFC 9112, 3.2).
fn origin(method: Method, target: &str) -> Result<(&str, &str), Refusal> {
    let target = match target.split_once("://") {
        Some((scheme, rest)) if is_http(scheme) => match rest.find(['/', '?']) {
            Some(at) if rest.as_bytes()[at] == b'/' => &rest[at..],
            _ => "/",
        },
        _ => target,
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let is_understood = path.starts_with('/')
        || (path == "*" && method == Method::Options)
        // CONNECT names a host. It is refused all the same, and more clearly.
        || matches!(method, Method::Known | Method::Unknown);
    match is_understood {
        true => Ok((path, query)),
        false => refusal(400, "a request target begins with a slash"),
    }
}

fn is_http(scheme: &str) -> bool {
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

/// RFC 9112, 3.2: one in HTTP/1.1, none or one in 1.0, and nothing in it that is no host.
fn check_host(fields: Fields, is_modern: bool) -> Result<(), Refusal> {
    let mut hosts = fields.all("Host");
    match (hosts.next(), hosts.next()) {
        (None, _) if !is_modern => Ok(()),
        (None, _) => refusal(400, "HTTP/1.1 wants a Host"),
        (Some(_), Some(_)) => refusal(400, "more than one Host"),
        (Some(host), None) => {
            let is_part =
                |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~:[]%!$&'()*+,;=".contains(byte);
            match host.iter().all(is_part) {
                true => Ok(()),
                false => refusal(400, "the Host is malformed"),
            }
        }
    }
}

/// RFC 9112, 6.3, where it leaves no doubt.
fn framing(fields: Fields, is_modern: bool) -> Result<Framing, Refusal> {
    let mut lengths = fields.all("Content-Length");
    let mut codings = fields.all("Transfer-Encoding");
    match (lengths.next(), codings.next()) {
        (None, None) => Ok(Framing::Length(0)),
        (Some(_), Some(_)) => refusal(400, "both Content-Length and Transfer-Encoding"),
        (None, Some(_)) if codings.next().is_some() => {
            refusal(400, "more than one Transfer-Encoding")
        }
        (None, Some(_)) if !is_modern => refusal(400, "HTTP/1.0 has no Transfer-Encoding"),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Framing::Chunked),
        (None, Some(_)) => refusal(501, "no Transfer-Encoding but chunked is understood"),
        (Some(_), None) if lengths.next().is_some() => refusal(400, "more than one Content-Length"),
        (Some(length), None) => match number(length) {
            Some(length) => Ok(Framing::Length(length)),
            None => refusal(400, "the Content-Length is malformed"),
        },
    }
}

/// Digits, and no more than files have.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    let is_plain = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    let number: u64 = str::from_utf8(digits).ok().filter(|_| is_plain)?.parse().ok()?;
    i64::try_from(number).is_ok().then_some(number)
}

impl<'a> Fields<'a> {
    /// The values of all fields of this name, without the blanks around them.
    pub fn all(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.0
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value.trim_ascii())
    }

    /// The value of the first one.
    pub fn first(self, name: &str) -> Option<&'a [u8]> {
        self.all(name).next()
    }

    /// The same, where there is no second one.
    pub fn only(self, name: &str) -> Option<&'a [u8]> {
        let mut values = self.all(name);
        let first = values.next();
        first.filter(|_| values.next().is_none())
    }

    /// The elements of all lists of this name (RFC 9110, 5.6.1), without quoted strings.
    pub fn list(self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.all(name)
            .flat_map(|value| value.split(|byte| *byte == b','))
            .map(|element| element.trim_ascii())
            .filter(|element| !element.is_empty())
    }
}

impl Request<'_> {
    /// Whether the connection outlives the answer, as far as the peer wishes (RFC 9112, 9.3).
    pub(super) fn keeps_alive(&self) -> bool {
        let has = |name: &[u8]| {
            self.fields.list("Connection").any(|option| option.eq_ignore_ascii_case(name))
        };
        !has(b"close") && (self.is_modern || has(b"keep-alive"))
    }

    /// What the peer expects (RFC 9110, 10.1.1): to be told that its body is wanted, or `Err`,
    /// something that nobody knows. HTTP/1.0 has no expectations.
    pub(super) fn expects_continue(&self) -> Result<bool, Refusal> {
        let mut expected = self.fields.list("Expect").filter(|_| self.is_modern).peekable();
        let expects = expected.peek().is_some();
        match expected.all(|value| value.eq_ignore_ascii_case(b"100-continue")) {
            true => Ok(expects),
            false => refusal(417, "nothing but 100-continue can be expected"),
        }
    }

    /// The length of its body, as far as that is known from its head.
    pub fn length(&self) -> Option<u64> {
        match self.framing {
            Framing::Length(length) => Some(length),
            Framing::Chunked => None,
        }
    }

    /// The path with its percent-encoding undone, one name after the other; `None` where one of them
    /// cannot be a name.
    pub fn names(&self) -> Option<Vec<u8>> {
        let path = self.target.strip_prefix('/')?.as_bytes();
        let mut names = Vec::with_capacity(path.len());
        let mut rest = path.iter();
        while let Some(&byte) = rest.next() {
            let byte = match byte {
                b'%' => {
                    let mut digit = || Some((*rest.next()? as char).to_digit(16)? as u8);
                    match digit()? << 4 | digit()? {
                        // A slash or a zero in a name.
                        b'/' | 0 => return None,
                        byte => byte,
                    }
                }
                byte => byte,
            };
            names.push(byte);
        }
        Some(names)
    }
}

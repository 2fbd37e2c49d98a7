//! Mail between the clients of a chat server: a line, with what some receivers see of it and others
//! do not. It is composed once, whoever many share it; each receiver takes what it has asked for.

use std::sync::Arc;
use std::time::SystemTime;

use super::capability::Capabilities;
use super::lines::{LONGEST, cut};
use crate::session::Output;

/// One line on its way.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    /// When it was said, if that was not just now.
    pub time: Option<Time>,
    /// `key=value;…` for those with message-tags.
    pub tags: &'a str,
    /// The line, without its end.
    pub line: &'a str,
    /// Bytes of the line for those without extended-join.
    pub plain: usize,
    /// Whether it is the last that its receiver hears.
    pub last: bool,
}

/// The time of a line as server-time has it: `2026-11-25T18:41:19.123Z`.
#[derive(Clone, Copy, Debug)]
pub struct Time([u8; Time::LENGTH]);

impl Time {
    const LENGTH: usize = 24;

    /// The present, to a millisecond.
    pub fn now() -> Time {
        let text = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        Time(text.as_bytes().try_into().expect("years have four digits"))
    }
}

/// What stands before the line in a sealed letter: `last`, the time, and the lengths of tags and of
/// the plain line.
const HEAD: usize = 1 + Time::LENGTH + 2 + 2;

impl<'a> Letter<'a> {
    /// A line that is the same for all, cut to its longest.
    pub fn new(line: &'a str) -> Letter<'a> {
        let line = cut(line, LONGEST);
        Letter { time: None, tags: "", line, plain: line.len(), last: false }
    }

    /// In one piece, with `scratch` to compose it in.
    pub fn seal(&self, scratch: &mut Vec<u8>) -> Arc<[u8]> {
        scratch.clear();
        scratch.push(self.last.into());
        scratch.extend_from_slice(&self.time.unwrap_or_else(Time::now).0);
        scratch.extend_from_slice(&(self.tags.len() as u16).to_be_bytes());
        scratch.extend_from_slice(&(self.plain as u16).to_be_bytes());
        scratch.extend_from_slice(self.tags.as_bytes());
        scratch.extend_from_slice(self.line.as_bytes());
        scratch.as_slice().into()
    }

    /// What was sealed. Nobody else posts, so it is whole.
    pub fn open(sealed: &'a [u8]) -> Letter<'a> {
        let (head, rest) = sealed.split_at(HEAD);
        let length = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
        let (tags, line) = rest.split_at(length(HEAD - 4));
        let text = |bytes| str::from_utf8(bytes).expect("it was sealed from text");
        Letter {
            time: Some(Time(head[1..][..Time::LENGTH].try_into().expect("it has this length"))),
            tags: text(tags),
            line: text(line),
            plain: length(HEAD - 2),
            last: head[0] != 0,
        }
    }

    /// Writes it for a receiver with these capabilities; `own` are tags for it alone.
    pub fn write(&self, capabilities: Capabilities, own: &str, out: &mut Output) {
        let mut mark: &[u8] = b"@";
        if capabilities.have(Capabilities::SERVER_TIME) {
            out.write(b"@time=");
            out.write(&self.time.unwrap_or_else(Time::now).0);
            mark = b";";
        }
        let shared = if capabilities.have(Capabilities::MESSAGE_TAGS) { self.tags } else { "" };
        for tags in [own, shared].into_iter().filter(|tags| !tags.is_empty()) {
            out.write(mark);
            out.write(tags.as_bytes());
            mark = b";";
        }
        if mark == b";" {
            out.write(b" ");
        }
        let length = match capabilities.have(Capabilities::EXTENDED_JOIN) {
            true => self.line.len(),
            false => self.plain,
        };
        out.write(&self.line.as_bytes()[..length]);
        out.write(b"\r\n");
    }
}

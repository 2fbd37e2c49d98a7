//! A line of IRC, taken apart without copying: `@tags :source COMMAND parameters` (RFC 1459, 2.3.1;
//! IRCv3 message-tags). What a line may be as a whole is settled before it comes here: no CR, LF or
//! NUL is left in it.

use std::borrow::Cow;

/// Parameters of one message. The last one takes whatever is left of the line (RFC 1459, 2.3).
pub const MOST_PARAMETERS: usize = 15;

/// One message, whose parts lie in the line it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    /// What stood behind `@`, still escaped.
    pub tags: Tags<'a>,
    /// Who says it, as its server has it: `nick!user@host` or a server's name. What clients write
    /// here counts for nothing.
    pub source: Option<&'a [u8]>,
    /// A word or three digits, in the case it came in.
    pub command: &'a [u8],
    parameters: [&'a [u8]; MOST_PARAMETERS],
    count: usize,
}

impl<'a> Message<'a> {
    /// `line` without its end. `None` where it has no command.
    pub fn parse(line: &'a [u8]) -> Option<Message<'a>> {
        let mut rest = skip_spaces(line);
        let mut tags = Tags(&[]);
        if let Some(tagged) = rest.strip_prefix(b"@") {
            let (all, after) = word(tagged);
            (tags, rest) = (Tags(all), after);
        }
        let mut source = None;
        if let Some(sourced) = rest.strip_prefix(b":") {
            let (who, after) = word(sourced);
            (source, rest) = (Some(who), after);
        }
        let (command, mut rest) = word(rest);
        if command.is_empty() {
            return None;
        }
        let mut parameters = [&[][..]; MOST_PARAMETERS];
        let mut count = 0;
        while !rest.is_empty() && count < MOST_PARAMETERS {
            let last = count == MOST_PARAMETERS - 1;
            (parameters[count], rest) = match rest.strip_prefix(b":") {
                Some(trailing) => (trailing, &[][..]),
                None if last => (rest, &[][..]),
                None => word(rest),
            };
            count += 1;
        }
        Some(Message { tags, source, command, parameters, count })
    }

    /// The parameters, at most [`MOST_PARAMETERS`].
    pub fn parameters(&self) -> &[&'a [u8]] {
        &self.parameters[..self.count]
    }
}

/// Everything up to a space, and what comes behind that and all spaces that follow it.
fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b' ').unwrap_or(bytes.len());
    (&bytes[..end], skip_spaces(&bytes[end..]))
}

fn skip_spaces(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| byte != b' ').unwrap_or(bytes.len());
    &bytes[start..]
}

/// The tags in front of a message: `key=value` pairs, separated by `;`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tags<'a>(pub &'a [u8]);

impl<'a> Tags<'a> {
    /// Keys with their values, still escaped; empty where there is none.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let tags = self.0.split(|&byte| byte == b';').filter(|tag| !tag.is_empty());
        tags.map(|tag| match tag.iter().position(|&byte| byte == b'=') {
            Some(at) => (&tag[..at], &tag[at + 1..]),
            None => (tag, &[][..]),
        })
    }

    /// The value of `key`, still escaped. Of several the last one counts.
    pub fn value(self, key: &[u8]) -> Option<&'a [u8]> {
        self.iter().filter(|(name, _)| *name == key).last().map(|(_, value)| value)
    }
}

/// The value of a tag as it was meant. A backslash before nothing, or before what needs none, falls
/// away.
pub fn unescape(value: &[u8]) -> Cow<'_, [u8]> {
    if !value.contains(&b'\\') {
        return Cow::Borrowed(value);
    }
    let mut plain = Vec::with_capacity(value.len());
    let mut bytes = value.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => plain.extend(bytes.next().map(|&escaped| match escaped {
                b':' => b';',
                b's' => b' ',
                b'r' => b'\r',
                b'n' => b'\n',
                other => other,
            })),
            other => plain.push(other),
        }
    }
    Cow::Owned(plain)
}

/// A source taken apart: `nick!user@host`. What is not there is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source<'a> {
    /// The nickname, or the name of a server.
    pub nick: &'a [u8],
    /// The user name.
    pub user: &'a [u8],
    /// The host.
    pub host: &'a [u8],
}

impl<'a> Source<'a> {
    /// Of whatever stands before a message.
    pub fn parse(source: &'a [u8]) -> Source<'a> {
        let (rest, host) = split_at_first(source, b'@');
        let (nick, user) = split_at_first(rest, b'!');
        Source { nick, user, host }
    }
}

fn split_at_first(bytes: &[u8], mark: u8) -> (&[u8], &[u8]) {
    match bytes.iter().position(|&byte| byte == mark) {
        Some(at) => (&bytes[..at], &bytes[at + 1..]),
        None => (bytes, &[]),
    }
}

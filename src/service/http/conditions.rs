//! Requests that hold only while something is as it was (RFC 9110, 13).

use std::str;
use std::time::{Duration, SystemTime};

use super::head::{Fields, Method, Request};

/// What there is, as far as conditions go.
#[derive(Clone, Copy, Debug)]
pub struct Version<'a> {
    /// The opaque part of its strong entity tag, without quotes.
    pub tag: &'a str,
    /// When it was last changed.
    pub modified: SystemTime,
}

/// What conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Do it.
    Holds,
    /// The peer has it already: 304.
    NotModified,
    /// 412.
    Failed,
}

/// The conditions of a request.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    tags: Option<Tags>,
    unmodified_since: Option<SystemTime>,
    no_tags: Option<Tags>,
    modified_since: Option<SystemTime>,
    reads: bool,
}

/// Entity tags, as they were sent.
#[derive(Clone, Debug)]
enum Tags {
    Any,
    Of(Vec<Vec<u8>>),
}

impl Conditions {
    /// Those of `request`.
    pub fn of(request: &Request<'_>) -> Conditions {
        let fields = request.fields;
        Conditions {
            tags: tags(fields, "If-Match"),
            unmodified_since: date(fields, "If-Unmodified-Since"),
            no_tags: tags(fields, "If-None-Match"),
            modified_since: date(fields, "If-Modified-Since"),
            reads: matches!(request.method, Method::Get | Method::Head),
        }
    }

    /// Whether they hold, in the order of RFC 9110, 13.2.2.
    pub fn check(&self, present: Option<&Version<'_>>) -> Verdict {
        let modified = present.map(|present| seconds(present.modified));
        let holds = match (&self.tags, self.unmodified_since) {
            (Some(tags), _) => present.is_some_and(|present| tags.name(present.tag, false)),
            (None, Some(date)) => modified.is_none_or(|modified| modified <= date),
            (None, None) => true,
        };
        if !holds {
            return Verdict::Failed;
        }
        let is_known = match (&self.no_tags, self.modified_since) {
            (Some(tags), _) => present.is_some_and(|present| tags.name(present.tag, true)),
            (None, Some(date)) if self.reads => modified.is_some_and(|modified| modified <= date),
            _ => false,
        };
        match is_known {
            false => Verdict::Holds,
            true if self.reads => Verdict::NotModified,
            true => Verdict::Failed,
        }
    }

    /// Whether there are none.
    pub fn are_none(&self) -> bool {
        let dates = [self.unmodified_since, self.modified_since.filter(|_| self.reads)];
        self.tags.is_none() && self.no_tags.is_none() && dates == [None, None]
    }

    /// Whether they fail wherever something is.
    pub fn wants_none(&self) -> bool {
        matches!(self.no_tags, Some(Tags::Any))
    }
}

impl Tags {
    /// Whether `tag` is among them. A weak one is good enough for what has not changed, but not to
    /// replace a part or the whole of it (RFC 9110, 8.8.3.2).
    fn name(&self, tag: &str, weak: bool) -> bool {
        match self {
            Tags::Any => true,
            Tags::Of(tags) => tags.iter().any(|named| is_tag(named, tag, weak)),
        }
    }
}

fn is_tag(named: &[u8], tag: &str, weak: bool) -> bool {
    let named = if weak { named.strip_prefix(b"W/").unwrap_or(named) } else { named };
    let inside = named.strip_prefix(b"\"").and_then(|named| named.strip_suffix(b"\""));
    inside == Some(tag.as_bytes())
}

/// Whether the Range of a request may be answered with a part (RFC 9110, 13.1.5): there is no
/// If-Range, or what it names is what there is.
pub fn range_holds(fields: Fields<'_>, present: &Version<'_>, now: SystemTime) -> bool {
    match fields.first("If-Range") {
        None => true,
        Some(value) if value.contains(&b'"') => is_tag(value, present.tag, false),
        // Within the second of a change it may change again.
        Some(value) => parse_date(value).is_some_and(|date| {
            date == seconds(present.modified) && date + Duration::from_secs(1) <= now
        }),
    }
}

fn tags(fields: Fields<'_>, name: &str) -> Option<Tags> {
    fields.first(name)?;
    // A comma inside of a tag cuts it in two, and neither is one of ours.
    let tags: Vec<_> = fields.list(name).map(<[u8]>::to_vec).collect();
    match tags.iter().any(|tag| tag == b"*") {
        true => Some(Tags::Any),
        false => Some(Tags::Of(tags)),
    }
}

/// A date that is none is no condition.
fn date(fields: Fields<'_>, name: &str) -> Option<SystemTime> {
    parse_date(fields.only(name)?)
}

fn parse_date(text: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(str::from_utf8(text).ok()?).ok()
}

/// Dates have seconds.
fn seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

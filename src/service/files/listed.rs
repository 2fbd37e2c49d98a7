//! Directories on their way out. What is in one is read some hundred names at a time, sorted, and
//! written as fast as the peer takes it.

use std::io;
use std::{mem, vec};

use super::directory::{Directory, Entry};
use super::fault::Fault;
use super::listing::{self, Listing, Order, Totals, json};
use super::site::Files;
use crate::service::http::{Answer, Content, Progress, Reply, Request, Stream};

/// Names that are looked at in one go: half a millisecond.
const BATCH: usize = 256;

/// Entries of one listing: ten megabytes, while it is under way. What is beyond is left out, and the
/// log says so.
const MOST: usize = 100_000;

/// Bytes that are written in one go.
const PIECE: usize = 16 * 1024;

/// What a directory is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Html,
    Json,
}

impl Format {
    /// What the peer would rather have (RFC 9110, 12.5.1). Who does not care gets the page.
    pub fn of(request: &Request<'_>) -> Format {
        let quality = |media: &[u8]| {
            let mut accepted = request.fields.list("Accept").map(|range| {
                let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
                let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(media));
                let quality = parts.find_map(|part| part.strip_prefix(b"q="));
                let quality = quality.and_then(|text| std::str::from_utf8(text).ok()?.parse().ok());
                if named { quality.unwrap_or(1.0_f32) } else { 0.0 }
            });
            accepted.by_ref().fold(0.0, f32::max)
        };
        match quality(b"application/json") > quality(b"text/html") {
            true => Format::Json,
            false => Format::Html,
        }
    }
}

/// GET or HEAD of a directory.
pub(super) fn answer(
    site: &Files,
    directory: Directory,
    path: &[u8],
    order: Order,
    format: Format,
) -> Answer {
    let writable = site.settings.writable;
    let listing = Listing { path: path.to_vec(), order, writable, totals: Totals::default() };
    let stage = Stage::Read { directory, entries: Vec::new() };
    let content = Content::Stream(Box::new(Listed { listing, format, stage }));
    let reply = Reply::new(200, content)
        .with("Cache-Control", "no-cache")
        .with("Vary", "Accept")
        .with("X-Content-Type-Options", "nosniff");
    Answer::Now(match format {
        Format::Html => reply
            .with("Content-Type", "text/html; charset=utf-8")
            .with("Content-Security-Policy", listing::policy(writable)),
        Format::Json => reply.with("Content-Type", "application/json"),
    })
}

struct Listed {
    listing: Listing,
    format: Format,
    stage: Stage,
}

enum Stage {
    Read { directory: Directory, entries: Vec<Entry> },
    Write { entries: vec::IntoIter<Entry>, place: usize },
    Over,
}

impl Stream for Listed {
    fn next(&mut self, into: &mut Vec<u8>) -> io::Result<Progress> {
        match &mut self.stage {
            Stage::Read { directory, entries } => {
                let more = directory.read(BATCH, entries).map_err(|fault| match fault {
                    Fault::Failed(error) => error,
                    fault => io::Error::other(fault),
                })?;
                if more && entries.len() < MOST {
                    return Ok(Progress::More);
                }
                if more {
                    log::warn!(
                        "a directory has more than {MOST} entries; the others are not listed"
                    );
                }
                let mut entries = mem::take(entries);
                self.listing.order.sort(&mut entries);
                self.listing.totals = Totals::of(&entries);
                match self.format {
                    Format::Html => self.listing.begin(into),
                    Format::Json => json::begin(&self.listing, into),
                }
                self.stage = Stage::Write { entries: entries.into_iter(), place: 0 };
            }
            Stage::Write { entries, place } => {
                while into.len() < PIECE {
                    let Some(entry) = entries.next() else {
                        match self.format {
                            Format::Html => self.listing.end(into),
                            Format::Json => json::end(into),
                        }
                        self.stage = Stage::Over;
                        return Ok(Progress::Done);
                    };
                    match self.format {
                        Format::Html => self.listing.row(&entry, into),
                        Format::Json => json::row(*place, &entry, into),
                    }
                    *place += 1;
                }
            }
            Stage::Over => return Ok(Progress::Done),
        }
        Ok(Progress::More)
    }
}

//! Directories on their way out. A short one is read at once, a long one on a thread of the disk, and
//! both are written as fast as the peer takes them.

use std::io;
use std::mem;
use std::sync::Arc;

use super::directory::Directory;
use super::entries::Entries;
use super::fault::Fault;
use super::listing::{self, Listing, Order, Totals, json};
use super::shelf::{Shelf, Taken, Wanted};
use super::site::Files;
use crate::service::http::{Answer, Content, Progress, Reply, Request, Stream};

/// Names that are looked at at once: half a millisecond. A directory with more of them is a long one.
const SHORT: usize = 256;

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
    let stage = Stage::Read(directory);
    let listed = Listed { listing, format, shelf: site.shelf.clone(), stage };
    let content = Content::Stream(Box::new(listed));
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
    shelf: Shelf,
    stage: Stage,
}

enum Stage {
    Read(Directory),
    Wait(Wanted),
    Write { taken: Arc<Taken>, place: usize },
    Over,
}

impl Stream for Listed {
    fn next(&mut self, into: &mut Vec<u8>) -> io::Result<Progress> {
        match mem::replace(&mut self.stage, Stage::Over) {
            Stage::Read(mut directory) => {
                let mut entries = Entries::default();
                let order = self.listing.order;
                if directory.read(SHORT, &mut entries).map_err(failure)? {
                    self.stage = Stage::Wait(self.shelf.take(directory, entries, order));
                    return Ok(Progress::Later);
                }
                entries.sort(order);
                self.begin(Arc::new(Taken::new(entries)), into);
            }
            Stage::Wait(mut wanted) => match wanted.poll() {
                None => {
                    self.stage = Stage::Wait(wanted);
                    return Ok(Progress::Later);
                }
                Some(outcome) => self.begin(outcome.map_err(failure)?, into),
            },
            Stage::Write { taken, place } => match self.rows(&taken, place, into)? {
                0 => {
                    match self.format {
                        Format::Html => self.listing.end(into),
                        Format::Json => json::end(into),
                    }
                    return Ok(Progress::Done);
                }
                written => self.stage = Stage::Write { taken, place: place + written },
            },
            Stage::Over => return Ok(Progress::Done),
        }
        Ok(Progress::More)
    }
}

impl Listed {
    fn begin(&mut self, taken: Arc<Taken>, into: &mut Vec<u8>) {
        self.listing.totals = taken.totals;
        match self.format {
            Format::Html => self.listing.begin(into),
            Format::Json => json::begin(&self.listing, into),
        }
        self.stage = Stage::Write { taken, place: 0 };
    }

    /// Some of those from `place` on, and how many.
    fn rows(&self, taken: &Taken, place: usize, into: &mut Vec<u8>) -> io::Result<usize> {
        let written = taken.read(|entries| {
            let mut written = 0;
            for entry in entries.from(place) {
                match self.format {
                    Format::Html => self.listing.row(&entry, into),
                    Format::Json => json::row(place + written, &entry, into),
                }
                written += 1;
                if into.len() >= PIECE {
                    break;
                }
            }
            written
        });
        written.ok_or_else(|| {
            let why = "the listing was not read for too long, and others needed its memory";
            io::Error::other(why)
        })
    }
}

fn failure(fault: Fault) -> io::Error {
    match fault {
        Fault::Failed(error) => error,
        fault => io::Error::other(fault),
    }
}

//! A file from a server: streamed, resumed where an earlier attempt ended, and checked.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Instant;

use log::{debug, warn};

use super::agent::Hops;
use super::digest::{Digest, Follower, Hash};
use super::head::{Framing, Head};
use super::incoming::Body;
use super::part::{Memory, Part};
use super::watch::{Kept, Stage, shown};
use super::{Agent, Done, Error, Url};

/// Where a file goes.
pub enum Destination {
    /// Here, all at once when it is whole.
    File(PathBuf),
    /// Into a pipe or a device, of this name, as it comes.
    Stream(File, String),
}

impl Destination {
    /// A path as a person gives it. What is no file is written to as it is; a link leads to what is
    /// replaced.
    pub fn at(path: PathBuf) -> Result<Destination, Error> {
        let failed = |error| Error::Local(shown(&path), error);
        match fs::metadata(&path) {
            Ok(there) if there.is_file() && path.is_symlink() => {
                Ok(Destination::File(path.canonicalize().map_err(failed)?))
            }
            Ok(there) if there.is_file() => Ok(Destination::File(path)),
            Ok(there) if there.is_dir() => Err(failed(io::ErrorKind::IsADirectory.into())),
            Ok(_) => {
                let file = File::options().write(true).open(&path).map_err(failed)?;
                Ok(Destination::Stream(file, shown(&path)))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Destination::File(path)),
            Err(error) => Err(failed(error)),
        }
    }

    fn name(&self) -> String {
        match self {
            Destination::File(path) => shown(path),
            Destination::Stream(_, name) => name.clone(),
        }
    }
}

/// An answer that has what was asked for.
struct Answer {
    head: Head,
    /// Where it came from in the end.
    url: Url,
    body: Body,
    /// How long the file is, where that is known before its end.
    total: Option<u64>,
    /// How much of it is here already.
    start: u64,
}

impl Agent {
    /// Gets `url`. `None`: whoever reads the stream has seen enough.
    pub fn get(&mut self, url: &Url, to: Destination) -> Result<Option<Done>, Error> {
        let name = to.name();
        self.watch.next(name.clone());
        let began = Instant::now();
        let (target, left) = match to {
            Destination::Stream(out, name) => {
                let answer = self.fetch(url, None)?;
                return self.stream(answer, out, name, began);
            }
            Destination::File(path) => {
                let left = Part::left(&path, url)?;
                (path, left)
            }
        };
        let mut answer = self.fetch(url, left.as_ref())?;
        let mut part = match left {
            Some(part) => part,
            None => Part::create(&target, Memory::of(url, &answer.head, answer.total))?,
        };
        let mut follower = self.lay(url, &answer, &mut part)?;
        let mut start = answer.start;
        loop {
            if let Err(error) = self.receive(&mut answer, &mut part, &follower) {
                self.line = None;
                return Err(kept(error, &answer, part));
            }
            if answer.total.is_none_or(|total| part.length >= total) {
                break;
            }
            if part.length == answer.start {
                return Err(Error::Malformed("a part that it gives has no bytes".into()));
            }
            // A server may give less than it was asked for at once (RFC 9110 §15.3.7); and what it has
            // may change before it is asked again.
            answer = self.fetch(url, Some(&part))?;
            if answer.start == 0 {
                follower = self.lay(url, &answer, &mut part)?;
                start = 0;
            }
        }
        let length = part.length;
        let digest = self.told(&answer, &part.memory);
        self.watch.set(|scene| scene.stage = Stage::Checking);
        let own = follower.finish().map_err(|error| Error::Local(shown(&part.path), error))?;
        if let Err(why) = compare(own, digest) {
            let removed = shown(&part.path);
            part.discard();
            return Err(Error::WrongBytes(format!(
                "{url}: {why}; {removed} was removed, get it again"
            )));
        }
        let path = part.path.clone();
        part.finish().map_err(|error| Error::Kept(Box::new(error), path, length))?;
        let checked = digest.is_some();
        Ok(Some(Done {
            name,
            total: length,
            moved: length - start,
            time: began.elapsed(),
            checked,
        }))
    }

    /// Makes the part ready for what comes behind it, or in place of it.
    fn lay(&self, url: &Url, answer: &Answer, part: &mut Part) -> Result<Follower, Error> {
        if answer.start == 0 {
            part.begin(Memory::of(url, &answer.head, answer.total))?;
        }
        self.watch.begin(Stage::Moving, answer.start, answer.total);
        let can_be_gone_on_with = part.memory.validator().is_some();
        let kept = if can_be_gone_on_with { Kept::Part(part.path.clone()) } else { Kept::Nothing };
        self.watch.set(|scene| scene.kept = kept);
        Follower::start(part.reader()?, part.length)
            .map_err(|error| Error::Local("a second thread".into(), error))
    }

    /// Asks until there is an answer with the file, or with what is missing of it behind `part`.
    fn fetch(&mut self, url: &Url, mut part: Option<&Part>) -> Result<Answer, Error> {
        let mut here = url.clone();
        let mut hops = Hops::default();
        loop {
            let part_now = part.filter(|part| part.length > 0);
            let resume = part_now.and_then(|part| Some((part, part.memory.validator()?)));
            let mut fields = String::from("Want-Repr-Digest: sha-256=10\r\n");
            if let Some((part, validator)) = resume {
                fields += &format!("Range: bytes={}-\r\nIf-Range: {validator}\r\n", part.length);
            }
            let head = self.ask("GET", &here, &fields)?;
            let resumed = resume.map(|(part, _)| part);
            match (head.status, resumed) {
                (200 | 203, _) => {
                    let framing = head.framing()?;
                    let total = match framing {
                        Framing::Length(length) => Some(length),
                        _ => None,
                    };
                    if resumed.is_some() {
                        debug!(
                            "what the server has now is not what the part is of, so all comes again"
                        );
                    }
                    return Ok(Answer {
                        head,
                        url: here,
                        body: Body::new(framing),
                        total,
                        start: 0,
                    });
                }
                (206, Some(part)) if continues(part, &head) => {
                    let framing = head.framing()?;
                    let total =
                        head.content_range().and_then(|range| range.total).or(part.memory.length);
                    let body = Body::new(framing);
                    return Ok(Answer { head, url: here, body, total, start: part.length });
                }
                (416, Some(part)) if is_whole(part, &head) => {
                    // Its body is about that, and nobody wants it.
                    self.remark(&head);
                    let (body, total) = (Body::new(Framing::Length(0)), Some(part.length));
                    return Ok(Answer { head, url: here, body, total, start: part.length });
                }
                (206 | 416, Some(_)) => {
                    warn!(
                        "the server gave another part than was asked for, so all is asked for again"
                    );
                    self.remark(&head);
                    part = None;
                }
                (301 | 302 | 303 | 307 | 308, _) => {
                    let next = hops.next(&head, &here);
                    self.remark(&head);
                    here = next?;
                }
                _ => return Err(self.refused("GET", &here, &head)),
            }
        }
    }

    /// Puts the body of `answer` behind the part.
    fn receive(
        &mut self,
        answer: &mut Answer,
        part: &mut Part,
        follower: &Follower,
    ) -> Result<(), Error> {
        // It may have ended with the head.
        let Some(line) = &mut self.line else {
            return Ok(());
        };
        while let Some(bytes) = answer.body.next(&mut line.incoming)? {
            let room = answer.total.map(|total| total - part.length);
            if room.is_some_and(|room| room < bytes.len() as u64) {
                return Err(Error::Malformed("more bytes came than the file has".into()));
            }
            part.write(bytes)?;
            follower.reached(part.length);
            self.watch.add(bytes.len());
        }
        let to_its_end = answer.head.framing()? != Framing::UntilClose;
        if answer.head.status != 416 {
            self.settle(&answer.head, to_its_end);
        }
        Ok(())
    }

    /// What the server says is the digest of the file.
    fn told(&mut self, answer: &Answer, memory: &Memory) -> Option<Digest> {
        let head = &answer.head;
        let digest = head.digest().or_else(|| match head.status {
            200 | 203 => self.digest(&answer.url, |now| now.same_file(head)),
            _ => self.digest(&answer.url, |now| memory.fits(now)),
        });
        if digest.is_none() {
            debug!(
                "the server gives no SHA-256: its word on length and ETag is all that was checked"
            );
        }
        digest
    }

    /// Hands on what comes as it comes.
    fn stream(
        &mut self,
        mut answer: Answer,
        mut out: File,
        name: String,
        began: Instant,
    ) -> Result<Option<Done>, Error> {
        self.watch.begin(Stage::Moving, 0, answer.total);
        let mut hash = Hash::new();
        let line = self.line.as_mut().expect("its answer is still to be read");
        loop {
            match answer.body.next(&mut line.incoming) {
                Ok(Some(bytes)) => {
                    match out.write_all(bytes) {
                        Ok(()) => {}
                        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                            self.line = None;
                            return Ok(None);
                        }
                        Err(error) => return Err(Error::Local(name, error)),
                    }
                    hash.update(bytes);
                    self.watch.add(bytes.len());
                }
                Ok(None) => break,
                Err(error) => {
                    self.line = None;
                    return Err(Error::NotKept(Box::new(with_total(error, &answer))));
                }
            }
        }
        let to_its_end = answer.head.framing()? != Framing::UntilClose;
        self.settle(&answer.head, to_its_end);
        let total = answer.body.came;
        let digest = self.told(&answer, &Memory::default());
        compare(hash.finish(), digest).map_err(|why| {
            Error::WrongBytes(format!("{}: {why}; what was written is wrong", answer.url))
        })?;
        let (time, checked) = (began.elapsed(), digest.is_some());
        Ok(Some(Done { name, total, moved: total, time, checked }))
    }
}

/// Whether a 206 goes on where the part ends, in the same file.
fn continues(part: &Part, head: &Head) -> bool {
    let Some(range) = head.content_range() else {
        return false;
    };
    let Some((first, last)) = range.bytes else {
        return false;
    };
    let length_fits = match head.framing() {
        Ok(Framing::Length(length)) => length == last - first + 1,
        Ok(_) => true,
        Err(_) => false,
    };
    let total_fits = match (range.total, part.memory.length) {
        (Some(total), Some(remembered)) => total == remembered,
        _ => true,
    };
    // Those that a 206 must have if a 200 has them (RFC 9110 §15.3.7), but not all servers know.
    let tag_fits = head.field("ETag").is_none() || part.memory.fits(head);
    first == part.length && length_fits && total_fits && tag_fits
}

/// Whether a 416 says that nothing is missing.
fn is_whole(part: &Part, head: &Head) -> bool {
    let total = head.content_range().and_then(|range| range.total);
    total == Some(part.length) && part.memory.length.is_none_or(|length| length == part.length)
}

fn compare(own: Digest, told: Option<Digest>) -> Result<(), String> {
    debug!("SHA-256 {}", own.hex());
    match told {
        Some(told) if told != own => {
            Err(format!("its SHA-256 is {} at the server, but {} here", told.hex(), own.hex()))
        }
        _ => Ok(()),
    }
}

fn with_total(error: Error, answer: &Answer) -> Error {
    match error {
        Error::Truncated(came, _) => Error::Truncated(answer.start + came, answer.total),
        error => error,
    }
}

/// What failed, with what there is to go on from. A part that nobody could go on with is removed.
fn kept(error: Error, answer: &Answer, part: Part) -> Error {
    let error = with_total(error, answer);
    let overlong = matches!(error, Error::Malformed(_))
        && answer.total.is_some_and(|total| part.length >= total);
    if part.length == 0 || part.memory.validator().is_none() || overlong {
        part.discard();
        return Error::NotKept(Box::new(error));
    }
    Error::Kept(Box::new(error), part.path, part.length)
}

//! A file to a server: gone on with where the server has it, its digest ahead of it, and an answer
//! heard while it is still being sent.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use log::{debug, warn};

use super::agent::{self, Hops};
use super::digest::{Digest, Hash};
use super::head::Head;
use super::incoming::Incoming;
use super::watch::{Kept, Stage, Watch, shown};
use super::{Agent, Done, Error, Url};
use crate::client::CHUNK;
use crate::client::stream::Sender;

/// How long a server may think about a file before it comes anyway: those that do not know
/// `Expect: 100-continue` wait for the file (RFC 9110 §10.1.1).
const CONSIDERATION: Duration = Duration::from_secs(1);

/// How long the thread that sends has to say that it is done, once the server has answered to all.
const GRACE: Duration = Duration::from_millis(100);

/// How often an upload begins again elsewhere in the file, when the server says so.
const MOST_TURNS: usize = 3;

/// What is sent.
pub struct Source {
    file: File,
    /// For people.
    name: String,
    /// What it has, if it is a file. All else is sent as it comes.
    length: Option<u64>,
}

impl Source {
    /// What stands at this path.
    pub fn at(path: PathBuf) -> Result<Source, Error> {
        let name = shown(&path);
        let file = File::open(&path).map_err(|error| Error::Local(name.clone(), error))?;
        let about = file.metadata().map_err(|error| Error::Local(name.clone(), error))?;
        if about.is_dir() {
            return Err(Error::Local(name, io::ErrorKind::IsADirectory.into()));
        }
        Ok(Source { file, name, length: about.is_file().then_some(about.len()) })
    }

    /// What comes, in one pass, whatever it is.
    pub fn stream(file: File, name: String) -> Source {
        Source { file, name, length: None }
    }

    fn failed(&self, error: io::Error) -> Error {
        Error::Local(self.name.clone(), error)
    }

    /// Reads some more, however often signals come.
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            match self.file.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read.map_err(|error| self.failed(error)),
            }
        }
    }

    fn seek(&mut self, start: u64) -> Result<(), Error> {
        let sought = io::Seek::seek(&mut self.file, io::SeekFrom::Start(start));
        sought.map(drop).map_err(|error| self.failed(error))
    }

    fn check_length(&self, length: u64) -> Result<(), Error> {
        match self.file.metadata() {
            Ok(about) if about.len() == length => Ok(()),
            Ok(_) => Err(Error::Changed(self.name.clone())),
            Err(error) => Err(self.failed(error)),
        }
    }

    /// Of all of it, in one read.
    fn digest(&mut self, length: u64, watch: &Watch) -> Result<Digest, Error> {
        watch.begin(Stage::Checking, 0, Some(length));
        self.seek(0)?;
        let mut hash = Hash::new();
        let mut chunk = vec![0; CHUNK];
        let mut hashed = 0;
        while let n @ 1.. = self.read(&mut chunk)? {
            hash.update(&chunk[..n]);
            hashed += n as u64;
            watch.at(hashed);
            // One that grows faster than it is read has no end.
            if hashed > length {
                break;
            }
        }
        match hashed == length {
            true => Ok(hash.finish()),
            false => Err(Error::Changed(self.name.clone())),
        }
    }
}

/// The server's answer to an upload.
struct Answer {
    head: Head,
    /// What it has to say about it.
    line: Option<String>,
    /// It came when all was sent.
    to_all: bool,
    /// Of what was sent, where it was not known before.
    digest: Option<Digest>,
}

impl Agent {
    /// Puts what `source` has at `url`.
    pub fn put(&mut self, mut source: Source, url: &Url) -> Result<Done, Error> {
        self.watch.next(source.name.clone());
        let began = Instant::now();
        let mut here = url.clone();
        let mut start = 0;
        let mut digest = None;
        if let Some(length) = source.length {
            start = self.offset(&here, length)?;
            // Only now: it may take a while, and is in vain where nobody answers.
            digest = Some(source.digest(length, &self.watch.clone())?);
            self.watch.set(|scene| scene.kept = Kept::AtServer);
        }
        let (mut hops, mut turns, mut expect) = (Hops::default(), 0, true);
        let asked = Instant::now();
        let answer = loop {
            let answer = self.send(&mut source, &here, start, digest, expect)?;
            let again = source.length.is_some() && turns < MOST_TURNS;
            turns += 1;
            match answer.head.status {
                200..=204 if !answer.to_all => {
                    let why = "it says that it has the file, but was not sent all of it";
                    return Err(Error::Malformed(why.into()));
                }
                202 if answer.head.number("Upload-Offset").is_some() => {
                    let why = "it was sent all of the file, but wants more of it";
                    return Err(Error::Malformed(why.into()));
                }
                200..=204 => break answer,
                301 | 302 | 307 | 308 if source.length.is_some() || self.watch.done() == 0 => {
                    here = hops.next(&answer.head, &here)?;
                    start = match source.length {
                        Some(length) => self.offset(&here, length)?,
                        None => 0,
                    };
                }
                409 if start > 0 && again => {
                    let offset =
                        answer.head.number("Upload-Offset").filter(|offset| *offset < start);
                    start = offset.unwrap_or(0);
                    debug!("the server has {start} bytes of it");
                }
                400 if start > 0 && again => {
                    warn!(
                        "the server has a part of something else, or takes none; sending all of {}",
                        source.name
                    );
                    start = 0;
                }
                417 if expect => expect = false,
                // One that has not noticed yet that the last attempt was interrupted.
                503 if source.length.is_some() && asked.elapsed() < self.patience => {
                    let Some(pause) = answer.head.number("Retry-After") else {
                        return Err(agent::refusal("PUT", &here, &answer.head, answer.line));
                    };
                    debug!("the server is busy, and says when to ask again: in {pause} s");
                    thread::sleep(Duration::from_secs(pause).min(self.patience));
                }
                _ => return Err(agent::refusal("PUT", &here, &answer.head, answer.line)),
            }
        };
        let total = self.watch.done();
        let own = digest.or(answer.digest);
        let told = answer.head.digest().or_else(|| {
            let tag = answer.head.field("ETag");
            self.digest(&here, |now| tag.is_none() || now.field("ETag") == tag)
        });
        match (own, told) {
            (Some(own), Some(told)) if own != told => Err(Error::WrongBytes(format!(
                "{here}: the server has other bytes than were sent: its SHA-256 is {}, but {} here; \
                 put it there again",
                told.hex(),
                own.hex()
            ))),
            _ => Ok(Done {
                name: source.name,
                total,
                moved: total - start,
                time: began.elapsed(),
                checked: told.is_some(),
            }),
        }
    }

    /// How much the server has of an upload that did not come to its end. Never all: there must be
    /// something left to send.
    fn offset(&mut self, url: &Url, length: u64) -> Result<u64, Error> {
        let head = self.ask("HEAD", url, "")?;
        self.settle(&head, true);
        match head.number("Upload-Offset") {
            Some(offset) if offset <= length => Ok(offset.min(length.saturating_sub(1))),
            _ => Ok(0),
        }
    }

    /// Sends from `start`, and hears the answer, whichever comes first.
    fn send(
        &mut self,
        source: &mut Source,
        url: &Url,
        start: u64,
        digest: Option<Digest>,
        expect: bool,
    ) -> Result<Answer, Error> {
        let expect = expect && source.length != Some(start);
        let request = agent::request("PUT", url, &fields(source.length, start, digest, expect));
        loop {
            if source.length.is_some() {
                source.seek(start)?;
            }
            self.watch.begin(Stage::Asking, start, source.length);
            let (watch, patience) = (self.watch.clone(), self.patience);
            let line = self.line(url)?;
            let (incoming, sender) = (&mut line.incoming, &mut line.sender);
            let (tell, news) = mpsc::channel();
            let (done, finished) = mpsc::channel();
            let (sent, heard) = thread::scope(|scope| {
                let hearing = scope.spawn(move || hear(incoming, &tell, &finished));
                let mut body =
                    Upload { source: &mut *source, watch: &watch, news, expect, patience };
                let sent = body.send(sender, request.as_bytes());
                match &sent {
                    Ok(Sent::All(_)) => drop(done.send(())),
                    // The other thread hears why.
                    Ok(Sent::Stopped) | Err(Error::NoAnswer | Error::Broken(_)) => {}
                    // A server that waits for more would keep the other thread.
                    Err(_) => sender.abort(),
                }
                drop(done);
                (sent, hearing.join())
            });
            let heard = heard.expect("it does not panic");
            let used = line.used;
            match (sent, heard) {
                (Err(error @ (Error::Local(..) | Error::Changed(_))), _) => {
                    self.line = None;
                    return Err(error);
                }
                (sent, Ok((head, line, whole))) => {
                    debug!("PUT {url}: {}", head.status_line());
                    let (to_all, digest) = match sent {
                        Ok(Sent::All(digest)) => (true, digest),
                        _ => (false, None),
                    };
                    self.settle(&head, whole && to_all);
                    return Ok(Answer { head, line, to_all, digest });
                }
                // It was us who cut the connection.
                (Err(error @ Error::Silent(_)), Err(_)) => {
                    self.line = None;
                    return Err(error);
                }
                (_, Err(error)) => {
                    self.line = None;
                    if !(used && agent::is_stale(&error) && self.watch.done() == start) {
                        return Err(error);
                    }
                    debug!(
                        "the server has closed the connection meanwhile; asking again on a new one"
                    );
                }
            }
        }
    }
}

fn fields(length: Option<u64>, start: u64, digest: Option<Digest>, expect: bool) -> String {
    let mut fields = match length {
        Some(length) => format!("Content-Length: {}\r\n", length - start),
        None => "Transfer-Encoding: chunked\r\n".into(),
    };
    if let Some(length) = length.filter(|_| start > 0) {
        fields += &format!("Content-Range: bytes {start}-{}/{length}\r\n", length - 1);
    }
    if let Some(digest) = digest {
        fields += &format!("Repr-Digest: {}\r\n", digest.field());
    }
    if expect {
        fields += "Expect: 100-continue\r\n";
    }
    fields
}

/// What the thread that hears tells the one that sends.
enum News {
    /// The file may come.
    Continue,
    /// The answer has come, and nothing more is wanted.
    Over,
}

/// Hears the answer. Whoever sends is woken by the cut of a connection on which an early one came:
/// the server may read no more, and the sender sleep in `write`.
fn hear(
    incoming: &mut Incoming,
    tell: &mpsc::Sender<News>,
    finished: &mpsc::Receiver<()>,
) -> Result<(Head, Option<String>, bool), Error> {
    let answer = loop {
        match incoming.head() {
            Ok(head) if head.status == 100 => drop(tell.send(News::Continue)),
            Ok(head) if (100..200).contains(&head.status) => {}
            answer => break answer,
        }
    };
    // Nobody listens any more if all is sent.
    let _ = tell.send(News::Over);
    let answer = answer.map(|head| {
        let (line, whole) = agent::remark(incoming, &head);
        (head, line, whole)
    });
    if finished.recv_timeout(GRACE).is_err() {
        incoming.abort();
    }
    answer
}

/// How sending ended.
enum Sent {
    /// All; with the digest of what was not known before.
    All(Option<Digest>),
    /// The server wants no more, or is gone.
    Stopped,
}

/// A request on its way.
struct Upload<'a> {
    source: &'a mut Source,
    watch: &'a Watch,
    news: mpsc::Receiver<News>,
    expect: bool,
    patience: Duration,
}

impl Upload<'_> {
    fn send(&mut self, sender: &mut Sender, request: &[u8]) -> Result<Sent, Error> {
        self.write(sender, request)?;
        if self.expect {
            match self.news.recv_timeout(CONSIDERATION) {
                Ok(News::Continue) | Err(RecvTimeoutError::Timeout) => {}
                Ok(News::Over) | Err(RecvTimeoutError::Disconnected) => return Ok(Sent::Stopped),
            }
        }
        self.watch.set(|scene| scene.stage = Stage::Moving);
        match self.source.length {
            Some(length) => self.send_file(sender, length),
            None => self.send_chunks(sender),
        }
    }

    /// Whether the answer has come already.
    fn is_over(&self) -> bool {
        loop {
            match self.news.try_recv() {
                Ok(News::Continue) => {}
                Ok(News::Over) | Err(mpsc::TryRecvError::Disconnected) => return true,
                Err(mpsc::TryRecvError::Empty) => return false,
            }
        }
    }

    fn send_file(&mut self, sender: &mut Sender, length: u64) -> Result<Sent, Error> {
        let mut chunk = vec![0; CHUNK];
        let mut left = length - self.watch.done();
        while left > 0 {
            if self.is_over() {
                return Ok(Sent::Stopped);
            }
            let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
            let n = self.source.read(&mut chunk[..most])?;
            left -= n as u64;
            if n == 0 {
                return Err(Error::Changed(self.source.name.clone()));
            }
            if left == 0 {
                // The server must not take for all what is all no more.
                self.source.check_length(length)?;
            }
            self.write(sender, &chunk[..n])?;
            self.watch.add(n);
        }
        Ok(Sent::All(None))
    }

    /// As it comes, each read a chunk (RFC 9112 §7.1).
    fn send_chunks(&mut self, sender: &mut Sender) -> Result<Sent, Error> {
        let mut hash = Hash::new();
        let mut chunk = vec![0; CHUNK];
        let mut framed = Vec::with_capacity(CHUNK + 16);
        loop {
            if self.is_over() {
                return Ok(Sent::Stopped);
            }
            self.watch.wait_for_input(true);
            let read = self.source.read(&mut chunk);
            self.watch.wait_for_input(false);
            let n = read?;
            framed.clear();
            framed.extend_from_slice(format!("{n:x}\r\n").as_bytes());
            framed.extend_from_slice(&chunk[..n]);
            framed.extend_from_slice(b"\r\n");
            hash.update(&chunk[..n]);
            self.write(sender, &framed)?;
            self.watch.add(n);
            if n == 0 {
                return Ok(Sent::All(Some(hash.finish())));
            }
        }
    }

    fn write(&self, sender: &mut Sender, bytes: &[u8]) -> Result<(), Error> {
        sender.write_all(bytes).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => Error::Silent(self.patience),
            _ => Error::broken(error),
        })
    }
}

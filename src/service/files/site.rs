//! What a request means for files: which one, whether it may be done, and who does it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use log::{error, info};
use percent_encoding::percent_encode;

use super::disk::{self, Disk};
use super::fault::Fault;
use super::listing::text::RESERVED;
use super::listing::{self, Order};
use super::part::join;
use super::root::{Condition, Found, Root};
use super::shelf::{KEPT, Shelf};
use super::stat::Stat;
use super::{Digests, clean, fetched, listed, stored, waiting};
use crate::service::http::conditions::{Conditions, Verdict, Version};
use crate::service::http::{
    Answer, Content, Deadlines, Fields, Http, Method, Pending, Reply, Request, Site, reason,
};

/// What a directory is shown as, where it has one.
const INDEX: &[u8] = b"index.html";

/// What may be done with the files.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Files can be left, replaced and removed.
    pub writable: bool,
    /// Names that begin with a dot are found.
    pub hidden: bool,
    /// Bytes that an upload may have.
    pub max_upload: Option<u64>,
}

/// A tree of files over HTTP.
pub struct Files {
    pub(super) root: Root,
    pub(super) disk: Disk,
    pub(super) digests: Digests,
    pub(super) shelf: Shelf,
    pub(super) settings: Settings,
}

impl Files {
    /// What lies beneath `directory`. Where files can be left, what uploads of the past have left is
    /// cleaned up in the background.
    pub fn open(directory: &Path, settings: Settings) -> io::Result<Files> {
        let root = Root::open(directory, settings.hidden)?;
        let disk = Disk::default();
        if settings.writable {
            drop(clean(&root, &disk));
        }
        let (digests, shelf) = (Digests::new(&disk), Shelf::new(&disk, KEPT));
        Ok(Files { root, disk, digests, shelf, settings })
    }

    /// The same, and so many bytes are kept of long listings that wait to be read.
    pub fn keeping(self, bytes: usize) -> Files {
        Files { shelf: Shelf::new(&self.disk, bytes), ..self }
    }

    /// The same as a service.
    pub fn http(self, deadlines: Deadlines) -> Http {
        Http::new(Arc::new(self), deadlines)
    }

    fn allowed(&self) -> &'static str {
        match self.settings.writable {
            true => "GET, HEAD, OPTIONS, PUT, DELETE",
            false => "GET, HEAD, OPTIONS",
        }
    }
}

impl Site for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn answer(&self, request: &Request<'_>) -> Answer {
        let outcome = match request.method {
            Method::Get | Method::Head => self.find(request),
            Method::Options => {
                let reply = Reply::new(204, Content::None).with("Allow", self.allowed());
                Ok(Answer::Now(reply))
            }
            Method::Put if self.settings.writable => stored::begin(self, request),
            Method::Delete if self.settings.writable => self.remove(request),
            Method::Put | Method::Delete | Method::Known | Method::Unknown => {
                let detail = match (request.method, self.settings.writable) {
                    (Method::Put | Method::Delete, false) => "nothing can be left or removed here",
                    _ => "files are not used in this way",
                };
                Err(refusal(request, 405, detail).with("Allow", self.allowed()))
            }
        };
        outcome.unwrap_or_else(Answer::Now)
    }
}

impl Files {
    /// GET and HEAD.
    fn find(&self, request: &Request<'_>) -> Result<Answer, Reply> {
        let path = path(request)?;
        let (path, slash) = match path.strip_suffix(b"/") {
            Some(path) => (path, true),
            None => (&path[..], path.is_empty()),
        };
        match self.root.find(path) {
            Ok(Found::File(found)) if !slash => fetched::answer(self, request, path, found),
            Ok(Found::File(_)) => Err(refusal(request, 404, "not found")),
            Ok(Found::Directory(_)) if !slash => Err(moved(request, path)),
            Ok(Found::Directory(directory)) => {
                let format = listed::Format::of(request);
                let index = join(path, INDEX);
                if format == listed::Format::Html
                    && let Ok(Found::File(found)) = self.root.find(&index)
                {
                    return fetched::answer(self, request, &index, found);
                }
                Ok(listed::answer(
                    self,
                    directory,
                    path,
                    Order::parse(request.query.as_bytes()),
                    format,
                ))
            }
            Err(fault) => {
                let mut reply = told(request, &fault);
                if let Some(offset) = self.offset(request, path) {
                    reply = reply.with("Upload-Offset", offset);
                }
                Err(reply)
            }
        }
    }

    /// Where an upload can go on, for who asks.
    pub(super) fn offset(&self, request: &Request<'_>, path: &[u8]) -> Option<u64> {
        let asks = request.method == Method::Head && self.settings.writable;
        asks.then(|| waiting(&self.root, path)).flatten()
    }

    fn remove(&self, request: &Request<'_>) -> Result<Answer, Reply> {
        let path = path(request)?;
        let path = path.strip_suffix(b"/").unwrap_or(&path).to_vec();
        let (root, condition) = (self.root.clone(), condition(Conditions::of(request)));
        let name = shown(&path);
        let job = self.disk.run(move || root.remove(&path, condition));
        Ok(later(job, request, move |()| {
            info!("removed {name}");
            Reply::new(204, Content::None)
        }))
    }
}

/// The path of a request, decoded: the names in it, and a slash at the end where it has one.
pub(super) fn path(request: &Request<'_>) -> Result<Vec<u8>, Reply> {
    request.names().ok_or_else(|| refusal(request, 404, "not found"))
}

/// A directory has a slash behind its name, or the links in it would lead elsewhere.
fn moved(request: &Request<'_>, path: &[u8]) -> Reply {
    let mut place = String::new();
    for name in path.split(|byte| *byte == b'/') {
        place.push('/');
        place.extend(percent_encode(name, RESERVED));
    }
    let query = if request.query.is_empty() { "" } else { "?" };
    // Browsers keep a redirect for good, and tomorrow there may be a file of this name.
    Reply::text(301, "it is a directory")
        .with("Location", format_args!("{place}/{query}{}", request.query))
        .with("Cache-Control", "no-store")
}

/// A condition on what stands there, as the tree has it.
pub(super) fn condition(conditions: Conditions) -> Condition {
    match conditions.are_none() {
        true => Condition::Any,
        false if conditions.wants_none() => Condition::Nothing,
        false => {
            Condition::If(Box::new(move |present| check(&conditions, present) == Verdict::Holds))
        }
    }
}

/// What conditions come to for what stands there.
pub(super) fn check(conditions: &Conditions, present: Option<&Stat>) -> Verdict {
    let present = present.map(|stat| (stat.tag(), stat.modified()));
    let version =
        present.as_ref().map(|(tag, modified)| Version { tag: tag.as_str(), modified: *modified });
    conditions.check(version.as_ref())
}

/// A refusal: a page for who asked with a browser, a line for the others.
pub(super) fn refusal(request: &Request<'_>, status: u16, detail: &str) -> Reply {
    refuse(wants_page(request.fields), status, detail)
}

fn refuse(page: bool, status: u16, detail: &str) -> Reply {
    match page {
        false => {
            let text = listing::error_text(status, reason(status), detail);
            Reply::new(status, Content::Bytes(text.into()))
                .with("Content-Type", "text/plain; charset=utf-8")
        }
        true => {
            let page = listing::error_page(status, reason(status), detail);
            Reply::new(status, Content::Bytes(page.into()))
                .with("Content-Type", "text/html; charset=utf-8")
                .with("Content-Security-Policy", listing::policy(false))
        }
    }
    .with("X-Content-Type-Options", "nosniff")
}

fn wants_page(fields: Fields<'_>) -> bool {
    fields.list("Accept").any(|accepted| accepted.starts_with(b"text/html"))
}

/// What a fault is called in HTTP.
pub(super) fn told(request: &Request<'_>, fault: &Fault) -> Reply {
    tell(wants_page(request.fields), fault)
}

pub(super) fn tell(page: bool, fault: &Fault) -> Reply {
    let status = match fault {
        Fault::Missing => 404,
        Fault::Forbidden => 403,
        Fault::IsDirectory | Fault::Conflict(_) | Fault::Offset(_) => 409,
        Fault::Busy => 503,
        Fault::TooLarge => 413,
        Fault::NoSpace => 507,
        Fault::WrongDigest => 400,
        Fault::Precondition => 412,
        Fault::Failed(failure) => {
            error!("files: {failure}");
            500
        }
    };
    // What the system says is not for everybody.
    let detail = match fault {
        Fault::Failed(_) => String::new(),
        fault => fault.to_string(),
    };
    let reply = refuse(page, status, &detail);
    match fault {
        Fault::Offset(offset) => reply.with("Upload-Offset", offset),
        Fault::Busy => reply.with("Retry-After", 1),
        _ => reply,
    }
}

/// A name for the log.
pub(super) fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path).escape_debug())
}

/// The answer to what is done on the disk.
pub(super) fn later<T: Send + 'static>(
    job: disk::Pending<T>,
    request: &Request<'_>,
    done: impl FnOnce(T) -> Reply + Send + 'static,
) -> Answer {
    Answer::Later(Box::new(Job { job, page: wants_page(request.fields), done: Some(done) }))
}

pub(super) struct Job<T, D> {
    pub job: disk::Pending<T>,
    pub page: bool,
    pub done: Option<D>,
}

impl<T: Send, D: FnOnce(T) -> Reply + Send> Pending for Job<T, D> {
    fn poll(&mut self) -> Option<Reply> {
        let outcome = self.job.poll()?;
        let done = self.done.take()?;
        Some(match outcome {
            Ok(value) => done(value),
            Err(fault) => tell(self.page, &fault),
        })
    }
}

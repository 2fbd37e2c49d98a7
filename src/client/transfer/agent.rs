//! Who asks and answers are read: one connection at a time, kept while the same server is asked.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use log::{debug, warn};

use super::head::{Framing, Head};
use super::incoming::{Body, Incoming};
use super::{Digest, Error, Url, Watch};
use crate::client::chat::plain;
use crate::client::connect;
use crate::client::stream::Sender;
use crate::tls::Connector;

/// As many as browsers follow about half of.
const MOST_REDIRECTS: usize = 10;

/// A longer answer that nobody wants costs more than a new connection.
const LONGEST_REMARK: u64 = 64 * 1024;

/// How much of its first line is shown.
const LONGEST_LINE: usize = 200;

/// A client of HTTP/1.1 servers, for several files one after the other.
pub struct Agent {
    trust: Box<dyn Fn() -> Result<Connector, String>>,
    connector: Option<Connector>,
    pub(super) patience: Duration,
    /// How far it is.
    pub watch: Arc<Watch>,
    pub(super) line: Option<Line>,
}

/// The connection, at a place where an answer has ended.
pub(super) struct Line {
    server: Url,
    pub(super) incoming: Incoming,
    pub(super) sender: Sender,
    /// It has had an answer, so the server may have closed it since.
    pub(super) used: bool,
    /// Whether the server gives digests, once it was asked.
    gives_digests: Option<bool>,
}

impl Agent {
    /// One that gives a server `patience` to connect, and while nothing moves. `trust` is asked once
    /// there is something to do over TLS.
    pub fn new(
        trust: impl Fn() -> Result<Connector, String> + 'static,
        patience: Duration,
        watch: Arc<Watch>,
    ) -> Agent {
        Agent { trust: Box::new(trust), connector: None, patience, watch, line: None }
    }

    /// The connection to the server of `url`.
    pub(super) fn line(&mut self, url: &Url) -> Result<&mut Line, Error> {
        if self.line.as_ref().is_none_or(|line| !line.server.same_server(url)) {
            self.line = None;
            if url.tls && self.connector.is_none() {
                self.connector = Some((self.trust)().map_err(Error::Tls)?);
            }
            let tls = self.connector.as_ref().filter(|_| url.tls);
            // Nothing here waits longer than that for anything.
            let stream = connect(&url.host, url.port, tls, self.patience, None)
                .map_err(|error| Error::unreachable(error, self.patience))?;
            debug!("connected to {}", stream.server());
            let (receiver, sender) = stream.split();
            sender.set_write_timeout(Some(self.patience)).map_err(Error::Broken)?;
            let incoming = Incoming::new(receiver, self.patience, self.watch.clone())?;
            let server = url.clone();
            self.line = Some(Line { server, incoming, sender, used: false, gives_digests: None });
        }
        Ok(self.line.as_mut().expect("it is there now"))
    }

    /// Asks without a body, and reads the head of the answer.
    pub(super) fn ask(&mut self, method: &str, url: &Url, fields: &str) -> Result<Head, Error> {
        let request = request(method, url, fields);
        loop {
            let line = self.line(url)?;
            let sent = line.sender.write_all(request.as_bytes()).map_err(Error::broken);
            let answered = sent.and_then(|()| {
                loop {
                    match line.incoming.head()? {
                        head if (100..200).contains(&head.status) => {}
                        head => break Ok(head),
                    }
                }
            });
            match answered {
                Ok(head) => {
                    debug!("{method} {url}: {}", head.status_line());
                    return Ok(head);
                }
                Err(error) => {
                    let stale = line.used && is_stale(&error);
                    self.line = None;
                    if !stale {
                        return Err(error);
                    }
                    debug!(
                        "the server has closed the connection meanwhile; asking again on a new one"
                    );
                }
            }
        }
    }

    /// The answer with this head was read to its end, or was not.
    pub(super) fn settle(&mut self, head: &Head, to_its_end: bool) {
        match &mut self.line {
            // What nobody has asked for would be taken for the next answer.
            Some(line) if to_its_end && head.keeps_connection() && line.incoming.is_empty() => {
                line.used = true;
            }
            _ => self.line = None,
        }
    }

    /// Reads a body that is not a file, and gives its first line if it is text.
    pub(super) fn remark(&mut self, head: &Head) -> Option<String> {
        let incoming = &mut self.line.as_mut()?.incoming;
        let (line, whole) = remark(incoming, head);
        self.settle(head, whole);
        line
    }

    /// The server says no.
    pub(super) fn refused(&mut self, method: &'static str, url: &Url, head: &Head) -> Error {
        let line = self.remark(head);
        refusal(method, url, head, line)
    }

    /// SHA-256 of what the server has there, if it says, and if what it has is still the `same`. The
    /// server may have to read it all for that.
    pub(super) fn digest(&mut self, url: &Url, same: impl Fn(&Head) -> bool) -> Option<Digest> {
        // No digest is worth a new connection, nor a second question in vain.
        let line = self.line.as_mut().filter(|line| line.gives_digests != Some(false))?;
        line.used = false;
        let head = match self.ask("HEAD", url, "Want-Repr-Digest: sha-256=10\r\n") {
            Ok(head) => head,
            Err(error @ Error::Silent(_)) => {
                warn!("the server has not said the SHA-256 of {url}: {error}");
                return None;
            }
            Err(error) => {
                debug!("asked for the SHA-256 of {url}, the server failed: {error}");
                return None;
            }
        };
        self.settle(&head, true);
        let digest = head.digest().filter(|_| head.status == 200);
        if let Some(line) = &mut self.line {
            line.gives_digests = Some(digest.is_some());
        }
        digest.filter(|_| same(&head))
    }
}

/// A whole request but for its body.
pub(super) fn request(method: &str, url: &Url, fields: &str) -> String {
    format!(
        "{method} {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: socklab/{}\r\nAccept: */*\r\n\
         Accept-Encoding: identity\r\n{fields}\r\n",
        url.target,
        url.authority(),
        env!("CARGO_PKG_VERSION")
    )
}

/// Whether a kept connection fails like this when the server has closed it before it was used again.
pub(super) fn is_stale(error: &Error) -> bool {
    matches!(error, Error::NoAnswer | Error::Broken(_))
}

/// The first line of a body that is text; and whether all of it was read.
pub(super) fn remark(incoming: &mut Incoming, head: &Head) -> (Option<String>, bool) {
    let Ok(framing) = head.framing() else {
        return (None, false);
    };
    let is_text = head.field("Content-Type").is_some_and(|kind| kind.starts_with("text/plain"));
    let mut body = Body::new(framing);
    let mut text = Vec::new();
    let bounded = matches!(framing, Framing::Length(..LONGEST_REMARK) | Framing::Chunked);
    let mut whole = false;
    // Of one that is long, or ends when the server likes, no more is read than what comes first.
    while text.is_empty() || (bounded && body.came < LONGEST_REMARK) {
        match body.next(incoming) {
            Ok(Some(bytes)) => text.extend_from_slice(&bytes[..bytes.len().min(LONGEST_LINE)]),
            Ok(None) => {
                whole = true;
                break;
            }
            Err(_) => break,
        }
    }
    let first = text.split(|byte| *byte == b'\n').next().unwrap_or_default().trim_ascii();
    let line: String = plain(first).chars().take(LONGEST_LINE).collect();
    ((is_text && !line.is_empty()).then_some(line), whole && framing != Framing::UntilClose)
}

pub(super) fn refusal(method: &'static str, url: &Url, head: &Head, line: Option<String>) -> Error {
    let status = head.status_line();
    // Many servers repeat it there.
    let line = line.and_then(|line| {
        let rest = line.strip_prefix(&status).unwrap_or(&line).trim_start_matches([':', ' ']);
        (!rest.is_empty()).then(|| rest.to_owned())
    });
    Error::Refused { method, url: url.to_string(), status, line }
}

/// Redirects that were followed.
#[derive(Default)]
pub(super) struct Hops(usize);

impl Hops {
    /// Where this answer leads from `here`.
    pub(super) fn next(&mut self, head: &Head, here: &Url) -> Result<Url, Error> {
        let status = head.status_line();
        let Some(location) = head.field("Location") else {
            return Err(Error::Malformed(format!("{status} without a Location")));
        };
        let refuse = |why: &str| {
            let location = plain(location.as_bytes());
            Err(Error::Redirect(format!(
                "{here} leads to {location}, which is not followed: {why}"
            )))
        };
        self.0 += 1;
        if self.0 > MOST_REDIRECTS {
            return refuse("it is one redirect too many; check the URL");
        }
        match here.join(location) {
            Ok(there) if here.tls && !there.tls => refuse("it leads out of TLS"),
            Ok(there) => {
                debug!("{here} leads to {there} ({status})");
                Ok(there)
            }
            Err(why) => refuse(&why),
        }
    }
}

//! A client of a server of files: it asks, in its own words where it has to, and hears answer by
//! answer.

use super::arena::Arena;
use super::fault::Fault;
use super::peer::Peer;
use super::verdict::Breach;
use crate::load::http::framing::{Framing, Head, Known, Part};
use crate::load::http::request;

/// What an answer may carry, or it is not kept.
const LARGEST: usize = 256 << 20;

/// A connection over HTTP.
pub struct Browser {
    /// Its connection.
    pub peer: Peer,
    /// What came behind the last answer.
    unread: Vec<u8>,
    known: Known,
}

/// What was answered.
#[derive(Clone, Debug)]
pub struct Reply {
    /// What the head says of it.
    pub head: Head,
    /// What the answer carries.
    pub body: Vec<u8>,
}

impl Arena {
    /// A new connection to a server of files.
    pub fn browser(&self) -> Result<Browser, Breach> {
        Ok(Browser::over(self.call()?))
    }

    /// What the server calls itself, and the path of the page that it has.
    pub fn known_page(&self) -> Result<(&str, &str), Breach> {
        match &self.page {
            Some((authority, path)) => Ok((authority, path)),
            None => Err(Breach::skipped("no page is known there; give http://HOST/PATH")),
        }
    }

    /// A request for `path`.
    pub fn get(&self, path: &str) -> Result<Vec<u8>, Breach> {
        Ok(request(self.known_page()?.0, path))
    }

    /// The page that is known, as somebody gets it who behaves.
    pub fn reference(&self) -> Result<Vec<u8>, Breach> {
        let path = self.known_page()?.1;
        let reply = self.browser()?.ask(&self.get(path)?)?;
        match reply.head.status {
            200 => Ok(reply.body),
            status => Err(Breach::skipped(format!("{path} is answered with {status}"))),
        }
    }

    /// A path beside the known page that nobody has.
    pub fn new_path(&self) -> Result<String, Breach> {
        let path = self.known_page()?.1;
        let path = path.split('?').next().unwrap_or_default();
        let folder = &path[..=path.rfind('/').unwrap_or_default()];
        Ok(format!("{folder}{}.bin", super::irc::unique('s')))
    }
}

impl Browser {
    /// Over a connection that is there.
    pub fn over(peer: Peer) -> Browser {
        Browser { peer, unread: Vec::new(), known: Known::default() }
    }

    /// Says a request, and hears the answer.
    pub fn ask(&mut self, request: &[u8]) -> Result<Reply, Breach> {
        self.peer.begin(request);
        self.reply()
    }

    /// The next answer, while what was begun goes out. An end before it is an error.
    pub fn reply(&mut self) -> Result<Reply, Breach> {
        match self.reply_or_end()? {
            Some(reply) => Ok(reply),
            None => Err(self.left().into()),
        }
    }

    /// The next answer, or nothing where the server ends before one begins, in whatever way.
    pub fn reply_or_end(&mut self) -> Result<Option<Reply>, Breach> {
        let mut framing = Framing::default();
        let (mut head, mut body) = (None, Vec::new());
        let mut begun = false;
        loop {
            let mut taken = 0;
            loop {
                let rest = &self.unread[taken..];
                let (n, part) = framing.next(rest, &mut self.known).map_err(Breach::broken)?;
                begun |= n > 0;
                match part {
                    Part::Head(came) => head = Some(came),
                    Part::Body if body.len() + n > LARGEST => {
                        return Err(Breach::broken("an answer of more than 256 MiB came"));
                    }
                    Part::Body => body.extend_from_slice(&rest[..n]),
                    Part::Framing => {}
                    // All of it is with the framing.
                    Part::More => break,
                    Part::End => {
                        self.unread.drain(..taken);
                        let head = head.expect("an answer begins with one");
                        return Ok(Some(Reply { head, body }));
                    }
                }
                taken += n;
            }
            self.unread = self.peer.hear_some()?;
            if self.unread.is_empty() {
                return match head.filter(|_| framing.ends_with_connection()) {
                    Some(head) if self.peer.broken().is_none() => Ok(Some(Reply { head, body })),
                    _ if begun => Err(self.left().into()),
                    _ => Ok(None),
                };
            }
        }
    }

    /// How many answers come until the server ends, and their statuses; `most` at most.
    pub fn statuses(&mut self, most: usize) -> Result<Vec<u16>, Breach> {
        let mut statuses = Vec::new();
        while statuses.len() < most {
            match self.reply_or_end()? {
                Some(reply) => statuses.push(reply.head.status),
                None => break,
            }
        }
        Ok(statuses)
    }

    fn left(&self) -> Fault {
        match self.peer.broken() {
            Some(kind) => Fault::Broken("waiting for an answer", kind.into()),
            None => Fault::Left { came: 0, due: 1 },
        }
    }
}

//! The file as the server gives it before a run: what all answers are compared with.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::StreamOwned;

use super::framing::{Framing, Known, Part};
use super::{Page, request};
use crate::failure::cause;
use crate::load::secure::{Secure, inner};

/// The largest body: it stays in memory, once for all clients.
pub const MOST: u64 = 2 << 30;

/// How often a fetch looks whether it should stop.
const GLANCE: Duration = Duration::from_millis(50);

/// Whom to ask for what.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// The server.
    pub server: SocketAddr,
    /// How to speak TLS with it; plain TCP where there is none.
    pub secure: Option<&'a Secure>,
    /// What the server is called in the request.
    pub authority: &'a str,
    /// What is asked for.
    pub path: &'a str,
    /// How long to wait without news.
    pub patience: Duration,
}

impl Source<'_> {
    /// The file, unless the server does not give it with status 200. Why not is said in words; `None`
    /// where it was stopped.
    pub fn fetch(&self, stop: &AtomicBool) -> Result<Option<Page>, String> {
        let mut stream = TcpStream::connect_timeout(&self.server, self.patience)
            .map_err(|error| format!("{}; is it running?", cause(&error)))?;
        let glance = GLANCE.min(self.patience);
        stream
            .set_read_timeout(Some(glance))
            .and_then(|()| stream.set_write_timeout(Some(glance)))
            .map_err(|error| cause(&error))?;
        let body = match self.secure {
            None => self.body(&mut stream, stop),
            Some(secure) => {
                let connection = secure.connector.connection(&secure.host)?;
                self.body(&mut StreamOwned::new(connection, stream), stop)
            }
        };
        let page =
            |body| Page { request: request(self.authority, self.path), body, compared: true };
        Ok(body?.map(page))
    }

    fn body(
        &self,
        stream: &mut (impl Read + Write),
        stop: &AtomicBool,
    ) -> Result<Option<Vec<u8>>, String> {
        let asked = request(self.authority, self.path);
        let mut said = &asked[..];
        while !said.is_empty() {
            match self.patiently(stop, || stream.write(said))? {
                Some(n) => said = &said[n..],
                None => return Ok(None),
            }
        }
        if self.patiently(stop, || stream.flush())?.is_none() {
            return Ok(None);
        }
        let (mut framing, mut known) = (Framing::default(), Known::default());
        let mut body = Vec::new();
        let mut input = vec![0; 64 * 1024];
        loop {
            let Some(came) = self.patiently(stop, || stream.read(&mut input))? else {
                return Ok(None);
            };
            if came == 0 {
                return match framing.ends_with_connection() {
                    true => Ok(Some(body)),
                    false if body.is_empty() => {
                        Err("the server closed before it had answered".into())
                    }
                    false => {
                        Err(format!("the server closed after {} bytes of the body", body.len()))
                    }
                };
            }
            let mut rest = &input[..came];
            loop {
                let (n, part) = framing.next(rest, &mut known)?;
                match part {
                    Part::More => break,
                    Part::Framing => {}
                    Part::Head(head) if head.status != 200 => {
                        let status = head.status;
                        return Err(format!(
                            "the server answers with status {status}; ask for what it has, with 200"
                        ));
                    }
                    Part::Head(head) => too_large(head.length.unwrap_or(0))?,
                    Part::Body => {
                        too_large((body.len() + n) as u64)?;
                        body.extend_from_slice(&rest[..n]);
                    }
                    Part::End => return Ok(Some(body)),
                }
                rest = &rest[n..];
            }
        }
    }

    /// Again and again, until it has succeeded or failed, or was stopped, or there is no patience.
    fn patiently<T>(
        &self,
        stop: &AtomicBool,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> Result<Option<T>, String> {
        let since = Instant::now();
        loop {
            match attempt() {
                Ok(done) => return Ok(Some(done)),
                Err(_) if stop.load(Ordering::Relaxed) => return Ok(None),
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) =>
                {
                    if since.elapsed() >= self.patience {
                        return Err(format!("no answer within {:?}", self.patience));
                    }
                }
                Err(error) => {
                    return Err(match (inner(&error), self.secure) {
                        (Some(tls), Some(secure)) => secure.explain(tls),
                        _ => cause(&error),
                    });
                }
            }
        }
    }
}

fn too_large(bytes: u64) -> Result<(), String> {
    match bytes {
        0..=MOST => Ok(()),
        _ => Err(format!(
            "the file has {bytes} bytes or more, and all answers are compared with one in memory, \
             which has {MOST} at most; ask for a smaller one"
        )),
    }
}

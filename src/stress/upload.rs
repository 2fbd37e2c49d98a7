//! Files that hostile clients leave on a server for a while, where it takes any.

use super::arena::Arena;
use super::verdict::Breach;

/// What it takes that a page is large: more than both kernels keep for one connection.
const LARGE: usize = 16 << 20;

/// A file on the server, which is removed when this is dropped.
pub struct Upload<'a> {
    arena: &'a Arena,
    /// Where it is.
    pub path: String,
    /// What it has.
    pub body: Vec<u8>,
    is_ours: bool,
}

impl Arena {
    /// The head of an upload to `path`, with these further fields.
    pub fn put(&self, path: &str, fields: &str) -> Result<Vec<u8>, Breach> {
        let host = self.known_page()?.0;
        Ok(format!("PUT {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n\r\n").into())
    }

    /// Leaves a file. It cannot be tried where that is not allowed.
    pub fn upload(&self, body: Vec<u8>) -> Result<Upload<'_>, Breach> {
        let path = self.new_path()?;
        let mut request = self.put(&path, &format!("Content-Length: {}", body.len()))?;
        request.extend_from_slice(&body);
        let upload = Upload { arena: self, path, body, is_ours: true };
        match self.browser()?.ask(&request)?.head.status {
            200..300 => Ok(upload),
            status => Err(Breach::skipped(format!("the server takes no uploads ({status})"))),
        }
    }

    /// A file of many megabytes: the known page, or one that is left for that.
    pub fn large_page(&self) -> Result<Upload<'_>, Breach> {
        let (_, path) = self.known_page()?;
        let body = self.reference()?;
        if body.len() >= LARGE {
            return Ok(Upload { arena: self, path: path.into(), body, is_ours: false });
        }
        self.upload(self.pattern(0, LARGE)).map_err(|breach| match breach {
            Breach::Skipped(why) => {
                Breach::skipped(format!("it needs a file of 16 MiB: {path} is smaller, and {why}"))
            }
            other => other,
        })
    }
}

impl Drop for Upload<'_> {
    fn drop(&mut self) {
        // Nobody is told where that does not work: the visit has its verdict.
        if self.is_ours
            && let Ok((host, _)) = self.arena.known_page()
            && let Ok(mut browser) = self.arena.browser()
        {
            let _ = browser
                .ask(format!("DELETE {} HTTP/1.1\r\nHost: {host}\r\n\r\n", self.path).as_bytes());
        }
    }
}

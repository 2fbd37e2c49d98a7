//! SHA-256 as HTTP carries it (`Repr-Digest`, RFC 9530), and of a file while another thread writes it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use crate::client::CHUNK;

/// SHA-256 of a whole file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u8; SHA256_OUTPUT_LEN]);

impl Digest {
    /// The one in a `Repr-Digest`, which may have others beside it. `None`: none of SHA-256.
    pub fn of_field(field: &str) -> Option<Digest> {
        field.split(',').find_map(|member| {
            let (name, value) = member.trim().split_once('=')?;
            let value = value.split(';').next().unwrap_or(value).trim();
            let coded = value.strip_prefix(':')?.strip_suffix(':')?;
            let bytes = BASE64_STANDARD.decode(coded).ok()?;
            (name == "sha-256").then(|| bytes.try_into().ok().map(Digest))?
        })
    }

    /// The value of `Repr-Digest`.
    pub fn field(&self) -> String {
        format!("sha-256=:{}:", BASE64_STANDARD.encode(self.0))
    }

    /// As sha256sum(1) prints it.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Takes bytes, gives their digest.
pub struct Hash(Context);

impl Hash {
    pub fn new() -> Hash {
        Hash(Context::new(&SHA256))
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }
}

/// A thread that reads a file from its beginning as far as it is written, and hashes it. A part that
/// was there before is caught up with while the rest comes: nothing waits for it but the end.
pub struct Follower {
    course: Arc<Course>,
    thread: Option<JoinHandle<io::Result<Digest>>>,
}

#[derive(Default)]
struct Course {
    reached: Mutex<Reached>,
    news: Condvar,
}

#[derive(Clone, Copy, Default)]
struct Reached {
    written: u64,
    ended: bool,
    abandoned: bool,
}

impl Course {
    fn reached(&self) -> MutexGuard<'_, Reached> {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, change: impl FnOnce(&mut Reached)) {
        change(&mut self.reached());
        self.news.notify_one();
    }
}

impl Follower {
    /// Follows the writer of `file`, which has `written` bytes.
    pub fn start(file: File, written: u64) -> io::Result<Follower> {
        let course = Arc::new(Course::default());
        course.reached().written = written;
        let followed = course.clone();
        let thread =
            thread::Builder::new().name("hash".into()).spawn(move || follow(&file, &followed));
        Ok(Follower { course, thread: Some(thread?) })
    }

    /// So much of the file is written.
    pub fn reached(&self, written: u64) {
        self.course.tell(|reached| reached.written = written);
    }

    /// All is written. Sleeps until it is hashed, too.
    pub fn finish(mut self) -> io::Result<Digest> {
        self.course.tell(|reached| reached.ended = true);
        let thread = self.thread.take().expect("it is taken here only");
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the hash failed")))
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.course.tell(|reached| reached.abandoned = true);
    }
}

fn follow(file: &File, course: &Course) -> io::Result<Digest> {
    let mut hash = Hash::new();
    let mut chunk = vec![0; CHUNK];
    let mut hashed = 0;
    loop {
        let reached = {
            let news = |reached: &mut Reached| {
                reached.written == hashed && !reached.ended && !reached.abandoned
            };
            let waited = course.news.wait_while(course.reached(), news);
            *waited.unwrap_or_else(PoisonError::into_inner)
        };
        if reached.abandoned || reached.written == hashed {
            return Ok(hash.finish());
        }
        let most = usize::try_from(reached.written - hashed).unwrap_or(CHUNK).min(CHUNK);
        match file.read_at(&mut chunk[..most], hashed) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => {
                hash.update(&chunk[..n]);
                hashed += n as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";

    #[test]
    fn digests_are_read_as_they_are_written() {
        let empty = Hash::new().finish();
        assert_eq!(empty.field(), EMPTY);
        assert!(empty.hex().starts_with("e3b0c442"));
        let beside = format!("md5=:AAAA:, {EMPTY};x=1 , sha-512=:AAAA:");
        assert_eq!([EMPTY, &beside].map(Digest::of_field), [Some(empty); 2]);
        for wrong in ["", "sha-256", "sha-256=:AAAA:", "sha-256=AAAA", "sha-512=:AAAA:"] {
            assert_eq!(Digest::of_field(wrong), None, "{wrong}");
        }
    }
}

//! What servers of files serve while they are compared: a folder of our own, gone when it is dropped.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::load::http::Page;
use crate::load::work::{PIECE, Stream};

/// A folder with a file of each size, of seeded bytes.
#[derive(Debug)]
pub struct Site {
    root: PathBuf,
    pages: Vec<Arc<Page>>,
}

impl Site {
    /// Makes it, among the temporary files of this machine (`TMPDIR`).
    pub fn new(sizes: &[u64], seed: u64) -> io::Result<Site> {
        // From here on it is removed, whatever fails.
        let mut site = Site { root: folder()?, pages: Vec::new() };
        let stream = Stream::seeded(seed);
        for (number, &size) in sizes.iter().enumerate() {
            let mut body = Vec::with_capacity(size as usize);
            while (body.len() as u64) < size {
                let piece = (size - body.len() as u64).min(PIECE as u64) as usize;
                body.extend_from_slice(&stream.piece(number, body.len() as u64)[..piece]);
            }
            let name = format!("{size}.bin");
            File::create_new(site.root.join(&name))?.write_all(&body)?;
            site.pages.push(Arc::new(Page::new("localhost", &format!("/{name}"), body)));
        }
        Ok(site)
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Its files, as they were asked for.
    pub fn pages(&self) -> &[Arc<Page>] {
        &self.pages
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// A new one. Whoever left others behind had the same number once.
fn folder() -> io::Result<PathBuf> {
    let pid = std::process::id();
    let mut attempt = 0;
    loop {
        let folder = std::env::temp_dir().join(format!("socklab-bench-{pid}-{attempt}"));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => attempt += 1,
            done => return done.map(|()| folder),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_site_has_what_is_expected_of_it_and_leaves_nothing() {
        let sizes = [0, 1, 1024, 3 * PIECE as u64 + 5];
        let site = Site::new(&sizes, 1).unwrap();
        let other = Site::new(&sizes, 1).unwrap();
        assert_ne!(site.root(), other.root());
        for (size, page) in sizes.iter().zip(site.pages()) {
            let name = format!("{size}.bin");
            assert_eq!(fs::read(site.root().join(&name)).unwrap(), page.body);
            assert_eq!(page.body.len() as u64, *size);
            assert!(page.request.starts_with(format!("GET /{name} ").as_bytes()));
        }
        let root = site.root().to_owned();
        drop(site);
        assert!(!root.exists());
    }
}

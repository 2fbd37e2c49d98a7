//! Directory trees for tests, gone when they are dropped.

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use socklab::service::files::{
    Condition, Disk, Entries, Fault, Found, Kind, Plan, Root, Stored, Upload,
};

/// A served directory, `root`, in one of its own, so that there is something outside.
pub struct Tree {
    base: PathBuf,
}

impl Tree {
    /// Beneath the build's directory: /tmp may be a tmpfs, which is not where files are served.
    pub fn new() -> Tree {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tree-{}-{number}", std::process::id());
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(base.join("root")).expect("there is space");
        Tree { base: base.canonicalize().expect("it was made") }
    }

    pub fn base(&self) -> &Path {
        &self.base
    }

    /// Where `path` of the served directory is.
    pub fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        self.base.join("root").join(path)
    }

    pub fn directory(&self, path: impl AsRef<Path>) -> &Tree {
        fs::create_dir_all(self.at(path)).expect("there is space");
        self
    }

    pub fn file(&self, path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) -> &Tree {
        fs::write(self.at(path), bytes).expect("there is space");
        self
    }

    pub fn link(&self, path: impl AsRef<Path>, target: impl AsRef<Path>) -> &Tree {
        symlink(target, self.at(path)).expect("there is nothing yet");
        self
    }

    pub fn pipe(&self, path: impl AsRef<Path>) -> &Tree {
        self.node(path, FileType::Fifo)
    }

    pub fn socket(&self, path: impl AsRef<Path>) -> &Tree {
        self.node(path, FileType::Socket)
    }

    fn node(&self, path: impl AsRef<Path>, kind: FileType) -> &Tree {
        mknodat(CWD, self.at(path), kind, Mode::RWXU, 0).expect("there is nothing yet");
        self
    }

    pub fn read(&self, path: impl AsRef<Path>) -> Vec<u8> {
        fs::read(self.at(path)).expect("it is there")
    }

    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        self.at(path).symlink_metadata().is_ok()
    }

    pub fn root(&self) -> Root {
        Root::open(self.at(""), false).expect("it was made")
    }

    /// With hidden files.
    pub fn whole(&self) -> Root {
        Root::open(self.at(""), true).expect("it was made")
    }

    /// What uploads have left in the directory `path`.
    pub fn parts(&self, path: impl AsRef<Path>) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.at(path)).expect("it was made");
        let paths = entries.map(|entry| entry.expect("it can be read").path());
        paths.filter(|path| path.to_string_lossy().contains("/.socklab-")).collect()
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.base);
    }
}

/// The root as the kernel keeps lookups beneath it, and as we do where it cannot.
pub fn both_ways(root: Root) -> [Root; 2] {
    [root.clone(), root.walking()]
}

/// What a path leads to, in a word or two.
pub fn outcome(root: &Root, path: impl AsRef<[u8]>) -> String {
    match root.find(path.as_ref()) {
        Ok(Found::File(file)) => format!("file of {}", file.stat.len),
        Ok(Found::Directory(_)) => "directory".into(),
        Err(fault) => format!("{fault}"),
    }
}

/// Names and kinds of a directory, in order, read `most` at a time.
pub fn listing(root: &Root, path: impl AsRef<[u8]>, most: usize) -> Vec<(Vec<u8>, Kind, u64)> {
    let Ok(Found::Directory(mut directory)) = root.find(path.as_ref()) else {
        panic!("it is no directory")
    };
    let mut entries = Entries::default();
    while directory.read(most, &mut entries).expect("it can be read") {}
    let mut entries: Vec<_> =
        entries.from(0).map(|entry| (entry.name.into_owned(), entry.kind, entry.bytes)).collect();
    entries.sort();
    entries
}

/// A whole upload in one piece.
pub fn put(
    root: &Root,
    path: &str,
    bytes: &[u8],
    plan: Plan,
    condition: Condition,
) -> Result<Stored, Fault> {
    let mut upload = Upload::begin(root, path.as_bytes(), plan, &Disk::default())?;
    upload.write(bytes)?;
    upload.finish(condition).wait()
}

/// One that is interrupted.
pub fn leave(root: &Root, path: &str, bytes: &[u8]) {
    let mut upload = Upload::begin(root, path.as_bytes(), Plan::default(), &Disk::default())
        .expect("nothing speaks against it");
    upload.write(bytes).expect("there is space");
}

/// SHA-256 of `bytes`.
pub fn sha_256(bytes: &[u8]) -> [u8; 32] {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    digest.as_ref().try_into().expect("it has 32 bytes")
}

/// As long as asked for, and without memory.
pub fn stretch(path: &Path, bytes: u64) {
    let file = File::options().write(true).open(path).expect("it is there");
    file.set_len(bytes).expect("the file system knows holes");
}

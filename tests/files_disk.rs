//! Uploads to a disk that fails.

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use support::http::{Response, exchange};
use support::tree::Tree;
use support::{Process, eventually, on_both_engines, pattern};

/// More than the disk is told to take in one go.
const STEP: usize = 9 * 1024 * 1024;

/// A library that a process is started with, and then its first fdatasync(2) fails.
fn failing() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let name = format!("failing_disk-{}.so", std::process::id());
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/failing_disk.c");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .args([&library, &source])
            .status()
            .expect("who links Rust has a C compiler");
        assert!(built.success());
        library
    })
}

fn server(engine: socklab::engine::Engine, tree: &Tree) -> Process {
    let root = tree.at("");
    let arguments = ["files", "--writable", "--root", root.to_str().expect("it is UTF-8")];
    let mut command = Process::command(engine, &arguments);
    Process::spawn(command.env("LD_PRELOAD", failing()).stderr(Stdio::null()))
}

fn put(server: &Process, fields: &str, body: &[u8]) -> Response {
    let head = format!(
        "PUT /file HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n{fields}Connection: close\r\n\r\n",
        body.len()
    );
    exchange(server.connect(), "PUT", &[head.as_bytes(), body].concat())
}

fn waiting(server: &Process) -> Option<String> {
    let head = b"HEAD /file HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    exchange(server.connect(), "HEAD", head).field("Upload-Offset").map(String::from)
}

on_both_engines! {
    fn what_the_disk_has_lost_is_not_stored(engine) {
        let tree = Tree::new();
        tree.file("file", "old");
        let server = server(engine, &tree);
        let bytes = pattern(1, STEP);
        assert_eq!(put(&server, "", &bytes).status, 500);
        assert_eq!(tree.read("file"), b"old");
        assert!(tree.parts("").is_empty());
        assert_eq!(put(&server, "", &bytes).status, 204, "it fails once");
        assert!(tree.read("file") == bytes);
    }

    fn nobody_goes_on_with_what_the_disk_has_lost(engine) {
        let tree = Tree::new();
        let server = server(engine, &tree);
        let bytes = pattern(2, STEP + 10);
        let total = bytes.len();
        let first = format!("Content-Range: bytes 0-{}/{total}\r\n", STEP - 1);
        // The disk may not have said yet that it failed.
        assert!([202, 500].contains(&put(&server, &first, &bytes[..STEP]).status));
        eventually("what is lost is gone", || waiting(&server).is_none());
        let rest = format!("Content-Range: bytes {STEP}-{}/{total}\r\n", total - 1);
        let refused = put(&server, &rest, &bytes[STEP..]);
        assert_eq!((refused.status, refused.field("Upload-Offset")), (409, Some("0")));
        assert_eq!(put(&server, "", &bytes).status, 201);
        assert!(tree.read("file") == bytes);
    }
}

//! `socklab server files` in a process of its own, over a tree, and what other people's clients need
//! to find it.

use std::net::SocketAddr;
use std::time::Duration;

use super::secure::Authority;
use super::tree::Tree;
use super::way::Way;
use super::{PATIENCE, Process};

/// Bytes of a file that is interrupted on its way: more than all buffers on it can hold. As many as
/// the environment's SOCKLAB_TEST_BYTES says, for who wants to see a gigabyte go both ways.
pub fn large() -> usize {
    let wanted = std::env::var("SOCKLAB_TEST_BYTES").ok();
    wanted.map_or(20_000_000, |bytes| bytes.parse().expect("SOCKLAB_TEST_BYTES is a number"))
}

/// Where it is interrupted.
pub fn halfway() -> u64 {
    large() as u64 / 5 * 2
}

/// So long it may take on its way.
pub fn patience() -> Duration {
    3 * PATIENCE + Duration::from_secs(large() as u64 / 5_000_000)
}

pub struct FileHost {
    pub server: Process,
    pub tree: Tree,
    authority: Authority,
    way: Way,
}

impl FileHost {
    /// Over an empty tree, into which files can be put.
    pub fn writable(way: Way) -> FileHost {
        FileHost::with(way, Tree::new(), &["--writable"])
    }

    pub fn with(way: Way, tree: Tree, options: &[&str]) -> FileHost {
        let authority = Authority::new();
        let server = start(way, &tree, &authority, options);
        FileHost { server, tree, authority, way }
    }

    /// Kills it where it stands, and starts another one.
    pub fn replace(&mut self, options: &[&str]) {
        self.server.signal(nix::sys::signal::Signal::SIGKILL);
        self.server.wait();
        self.server = start(self.way, &self.tree, &self.authority, options);
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    pub fn url(&self, path: &str) -> String {
        self.url_at(self.address(), path)
    }

    /// By way of a relay.
    pub fn url_at(&self, address: SocketAddr, path: &str) -> String {
        let scheme = if self.way.tls { "https" } else { "http" };
        format!("{scheme}://{address}/{path}")
    }

    /// Whether it speaks TLS.
    pub fn is_secure(&self) -> bool {
        self.way.tls
    }

    /// The file with the certificate of who has signed that of the server.
    pub fn ca(&self) -> String {
        self.authority.file()
    }
}

fn start(way: Way, tree: &Tree, authority: &Authority, options: &[&str]) -> Process {
    // Read before the server is ready, and needed no more.
    let identity = authority.identity();
    let certificate = identity.arguments();
    let root = tree.at("");
    let mut arguments = vec!["files", "--root", root.to_str().expect("it is UTF-8")];
    arguments.extend(options);
    if way.tls {
        arguments.push("--tls");
        arguments.extend(certificate.iter().map(String::as_str));
    }
    Process::start(way.engine, &arguments)
}

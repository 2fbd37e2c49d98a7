//! A contestant: a server in a process of its own, killed when it is dropped.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::time::{ClockId, clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// How to start a server. On its first line it says `listening on ADDRESS`.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// As the table calls it.
    pub name: String,
    /// The program and its arguments.
    pub command: Vec<String>,
}

/// A running server.
pub struct Contestant {
    pub name: String,
    pub address: SocketAddr,
    child: Child,
    clock: ClockId,
}

impl Recipe {
    pub fn new<S: Into<String>>(name: &str, command: impl IntoIterator<Item = S>) -> Recipe {
        Recipe { name: name.into(), command: command.into_iter().map(Into::into).collect() }
    }

    /// Starts it and waits until it listens.
    pub fn start(&self) -> Contestant {
        let name = &self.name;
        let mut child = Command::new(&self.command[0])
            .args(&self.command[1..])
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        let stdout = child.stdout.take().expect("it is piped");
        let pid = Pid::from_raw(child.id() as i32);
        // Made before anything below can panic: it is what kills the child.
        let mut contestant = Contestant {
            name: name.clone(),
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            child,
            clock: clock_getcpuclockid(pid).expect("it was not waited for"),
        };
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a pipe can be read");
        contestant.address = line
            .trim_end()
            .strip_prefix("listening on ")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("{name} said {line:?} instead of where it listens"));
        contestant
    }
}

impl Contestant {
    /// CPU time that all its threads have used, in user mode and in the kernel.
    pub fn cpu(&self) -> Duration {
        clock_gettime(self.clock)
            .unwrap_or_else(|error| panic!("{} has died: {error}", self.name))
            .into()
    }
}

impl Drop for Contestant {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

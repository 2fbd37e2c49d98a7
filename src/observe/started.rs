//! A server that a measurement starts, and that ends with it.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::Range;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, process, thread};

use nix::unistd::Pid;

use super::start_error::{Cause, StartError, after_colon, ending};
use super::words::Words;
use super::{CpuList, ProcessTree, local_ports};
use crate::transport::{self, Transport};

/// What stands for the port in a command.
pub(super) const PORT: &str = "{port}";

/// Ports that are tried, as each may be taken between our choice and the server's bind(2).
const TRIES: usize = 3;

/// Ports below this one belong to services that may come later.
const SERVICES: u32 = 10_000;

/// Ports that are looked at; where there are fewer, the kernel chooses.
const CHOICES: usize = 1000;

/// 2^32 divided by the golden ratio: products of numbers in a row lie far apart (Knuth, The Art of
/// Computer Programming 3, 6.4).
const SCATTER: u32 = 0x9E37_79B1;

/// Between two attempts to connect to a server that does not listen yet.
const RETRY: Duration = Duration::from_millis(3);

/// How long a datagram's answer is waited for; this machine says at once where nobody listens.
const SILENT: Duration = Duration::from_millis(200);

/// How long a server that has cut its clients off may take to be found dead: shells and keepers
/// stand between it and us, and a core dump may.
pub const DYING: Duration = Duration::from_secs(1);

/// How servers are started.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The socklab executable, which runs as their keeper. Commands find it as `socklab`.
    pub keeper: PathBuf,
    /// How it is told that a server is ready: it accepts a connection, or answers a datagram.
    pub transport: Transport,
    /// How long a server may take until then.
    pub patience: Duration,
    /// How long it may take to end after SIGTERM; none is SIGKILL at once.
    pub grace: Duration,
}

impl Launcher {
    /// A slow start (a JVM, a debug build) is a second or two.
    pub const PATIENCE: Duration = Duration::from_secs(10);

    /// Servers are kept by the executable `keeper` and killed without grace.
    pub fn new(keeper: impl Into<PathBuf>) -> Launcher {
        Launcher {
            keeper: keeper.into(),
            transport: Transport::Tcp,
            patience: Launcher::PATIENCE,
            grace: Duration::ZERO,
        }
    }

    /// The same for servers of this transport.
    pub fn over(self, transport: Transport) -> Launcher {
        Launcher { transport, ..self }
    }

    /// Runs `command` in a shell, on `cpus`, with a free port of 127.0.0.1 in place of `{port}`, and
    /// returns when it is ready: a connection to it was accepted, and closed again, or a datagram was
    /// answered. Errors call it `name`.
    pub fn start(
        &self,
        name: &str,
        command: &str,
        cpus: Option<&CpuList>,
    ) -> Result<Started, StartError> {
        let fail = |cause| StartError { name: name.into(), command: command.into(), cause };
        if !command.contains(PORT) {
            return Err(fail(Cause::NoPort));
        }
        let mut tries = 1;
        loop {
            match self.attempt(command, cpus) {
                Err(Cause::Ended { port, .. }) if tries < TRIES && !self.is_free(port) => {
                    tries += 1
                }
                outcome => return outcome.map_err(fail),
            }
        }
    }

    fn attempt(&self, command: &str, cpus: Option<&CpuList>) -> Result<Started, Cause> {
        let port = self.free_port().map_err(Cause::Port)?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut kept = self.spawn(&command.replace(PORT, &port.to_string()), cpus)?;
        let since = Instant::now();
        // The words "pid N", or the end of a keeper that could not start anything.
        let mut line = String::new();
        let _ = kept.output.read_line(&mut line);
        let pid = line.trim_end().strip_prefix("pid ").and_then(|pid| pid.parse().ok());
        let Some(pid) = pid.map(Pid::from_raw) else {
            let status = kept.child.wait().map_err(Cause::Keeper)?;
            return Err(Cause::Ended { port, status, words: kept.words.all() });
        };
        loop {
            // Asked after the connect, or a stranger who has snatched the port passes for it.
            let ready = match self.transport {
                Transport::Tcp => connects(address),
                Transport::Udp => takes_datagrams(address),
            };
            if let Some(status) = kept.child.try_wait().map_err(Cause::Keeper)? {
                return Err(Cause::Ended { port, status, words: kept.words.all() });
            }
            if ready && let Ok(tree) = ProcessTree::of(pid) {
                return Ok(Started { address, kept, tree });
            }
            if since.elapsed() >= self.patience {
                let patience = self.patience;
                let transport = self.transport;
                return Err(Cause::Mute { port, transport, patience, words: kept.words.so_far() });
            }
            thread::sleep(RETRY);
        }
    }

    fn spawn(&self, command: &str, cpus: Option<&CpuList>) -> Result<Kept, Cause> {
        let mut keeper = Command::new(&self.keeper);
        keeper.args(["keep", "--grace", &format!("{}ms", self.grace.as_millis())]);
        if let Some(cpus) = cpus {
            keeper.args(["--cpus", &cpus.to_string()]);
        }
        let mut child = keeper
            .args(["--", command])
            .env_remove("RUST_LOG")
            .env("PATH", self.path())
            // Not in the terminal's foreground: Ctrl-C is for the measurement, which may still have
            // answers to wait for.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(Cause::Keeper)?;
        let output = BufReader::new(child.stdout.take().expect("it is piped"));
        let words = Words::of(child.stderr.take().expect("it is piped"));
        Ok(Kept { child, output, words })
    }

    /// A port that is free for both, for some servers listen on both. Each call has another one, and
    /// processes begin at places of their own: two servers are hardly ever sent to the same.
    fn free_port(&self) -> io::Result<u16> {
        static CALLS: AtomicU32 = AtomicU32::new(0);
        let ports = quiet_ports();
        let first = process::id().wrapping_mul(SCATTER);
        for _ in 0..ports.len().min(CHOICES) {
            // Even ones only: there are servers that take the next one, too.
            let ahead = first.wrapping_add(2 * CALLS.fetch_add(1, Ordering::Relaxed));
            let port = (ports.start + ahead % ports.len() as u32) as u16 & !1;
            let address = (Ipv4Addr::LOCALHOST, port);
            if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
                return Ok(port);
            }
        }
        loop {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            let port = listener.local_addr()?.port();
            match UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                other => return other.map(|_| port),
            }
        }
    }

    fn is_free(&self, port: u16) -> bool {
        let local = (Ipv4Addr::LOCALHOST, port);
        match self.transport {
            Transport::Tcp => TcpListener::bind(local).is_ok(),
            Transport::Udp => UdpSocket::bind(local).is_ok(),
        }
    }

    /// Where commands are looked for: beside the keeper first, so that `socklab server` is the same
    /// program and is found before it is installed.
    fn path(&self) -> OsString {
        let beside = self.keeper.parent().filter(|parent| !parent.as_os_str().is_empty());
        let beside = beside.map(PathBuf::from);
        let inherited = env::var_os("PATH").unwrap_or_default();
        let all = beside.into_iter().chain(env::split_paths(&inherited));
        env::join_paths(all).unwrap_or(inherited)
    }
}

/// A running server. It is killed when this is dropped.
pub struct Started {
    address: SocketAddr,
    kept: Kept,
    tree: ProcessTree,
}

impl Started {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its first process: the shell, or what the shell made of itself.
    pub fn pid(&self) -> Pid {
        self.tree.root()
    }

    /// That process and its descendants.
    pub fn tree(&mut self) -> &mut ProcessTree {
        &mut self.tree
    }

    /// What its end was, if it has ended: shells say 128 and a signal for its signal.
    pub fn status(&mut self) -> Option<ExitStatus> {
        self.kept.child.try_wait().ok().flatten()
    }

    /// How it ended, if it did: `ended with exit status 1: out of memory`.
    pub fn ended(&mut self) -> Option<String> {
        let status = self.status()?;
        Some(format!("{}{}", ending(status), after_colon(&self.kept.words.all())))
    }

    /// How it ended, if it does within `patience`: its connections end first, and a moment later
    /// its keeper knows.
    pub fn ended_within(&mut self, patience: Duration) -> Option<String> {
        let since = Instant::now();
        loop {
            let ended = self.ended();
            if ended.is_some() || since.elapsed() >= patience {
                return ended;
            }
            thread::sleep(RETRY);
        }
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "server {} on {}", self.pid(), self.address)
    }
}

/// A keeper and what it keeps.
struct Kept {
    child: Child,
    output: BufReader<ChildStdout>,
    words: Words,
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Its standard input ends, so it ends the server and then itself.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Ports that the kernel gives to nobody by itself, so that hardly anybody takes one between our
/// choice and the server's bind(2). None where too few are left.
fn quiet_ports() -> Range<u32> {
    let Some((first, last)) = local_ports() else { return 0..0 };
    let both = [SERVICES..u32::from(first), (u32::from(last) + 2) & !1..1 << 16];
    both.into_iter().find(|ports| ports.len() >= CHOICES).unwrap_or(0..0)
}

/// Whether there is a socket that takes datagrams: it answers, or nobody says for a while that there
/// is none. That is what an accepted connection says of a listener, too; and one that takes
/// everything and never answers is a server.
fn takes_datagrams(address: SocketAddr) -> bool {
    transport::answers(address, SILENT).is_ok()
}

fn connects(address: SocketAddr) -> bool {
    let stream = TcpStream::connect_timeout(&address, Duration::from_secs(1));
    // Among the ports that the kernel gives to callers, a caller can meet itself.
    stream.is_ok_and(|stream| stream.local_addr().is_ok_and(|local| local != address))
}

/// One word of a shell command (sh(1), quoting).
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_server_has_a_port_that_nobody_else_is_given() {
        let launcher = Launcher::new("socklab");
        let mut ports: Vec<u16> = (0..200).map(|_| launcher.free_port().unwrap()).collect();
        let quiet = quiet_ports();
        let chosen = |port: &u16| quiet.contains(&u32::from(*port)) && port.is_multiple_of(2);
        assert!(quiet.is_empty() || ports.iter().all(chosen), "{quiet:?}: {ports:?}");
        ports.sort_unstable();
        ports.dedup();
        assert!(quiet.is_empty() || ports.len() == 200, "{ports:?}");
    }
}

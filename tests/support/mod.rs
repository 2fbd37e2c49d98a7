//! Servers for tests: each on port 0, each stopped when it is dropped.

#![allow(dead_code, unused_macros, unused_imports, missing_docs)]

pub mod arena;
pub mod browser;
pub mod certificate;
pub mod chat_host;
pub mod datagram;
pub mod faulty;
pub mod file_host;
pub mod hall;
pub mod http;
pub mod http_host;
pub mod http_wrong;
pub mod irc;
pub mod ircd;
pub mod kernel;
pub mod load;
pub mod metrics;
pub mod misled;
pub mod misled_chat;
pub mod misled_files;
pub mod mortal;
pub mod network;
pub mod ngircd;
pub mod person;
pub mod post;
pub mod relay;
pub mod run;
pub mod secure;
pub mod stranger;
pub mod talk;
pub mod tls;
pub mod tls_host;
pub mod tree;
pub mod way;
pub mod wrong;

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socklab::engine::{self, Endpoint, Engine, Limits, Stop};
use socklab::session::{Responder, Service};

/// Each test runs on both engines: `on_both_engines! { fn name(engine) { … } }`.
macro_rules! on_both_engines {
    ($($(#[$attribute:meta])* fn $name:ident($engine:ident) $body:block)*) => {
        $(fn $name($engine: socklab::engine::Engine) $body)*
        mod threads {
            $(#[test] $(#[$attribute])* fn $name() { super::$name(socklab::engine::Engine::Threads) })*
        }
        mod poll {
            $(#[test] $(#[$attribute])* fn $name() { super::$name(socklab::engine::Engine::Poll) })*
        }
    };
}
pub(crate) use on_both_engines;

/// No test waits longer for anything: a promise that takes longer is broken.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A server inside this process.
pub struct Server {
    pub address: SocketAddr,
    stop: Arc<Stop>,
    engine: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(engine: Engine, service: impl Service + 'static) -> Server {
        Server::with_limits(engine, service, Limits::default())
    }

    pub fn with_limits(engine: Engine, service: impl Service + 'static, limits: Limits) -> Server {
        let listeners = engine::listen("127.0.0.1", 0).expect("loopback is there");
        let address = listeners[0].local_addr().expect("a bound socket has an address");
        let service: Arc<dyn Service> = Arc::new(service);
        let endpoints = listeners
            .into_iter()
            .map(|listener| Endpoint::Stream { listener, service: service.clone() })
            .collect();
        Server::with_endpoints(engine, endpoints, limits, address)
    }

    /// A server of datagrams on every address of `host`; its address is the first of them.
    pub fn of_datagrams(
        engine: Engine,
        host: &str,
        responder: impl Responder + 'static,
        limits: Limits,
    ) -> Server {
        let sockets = engine::listen_datagrams(host, 0).expect("this machine has it");
        let address = sockets[0].local_addr().expect("a bound socket has an address");
        let responder: Arc<dyn Responder> = Arc::new(responder);
        let endpoints = sockets
            .into_iter()
            .map(|socket| Endpoint::Datagram { socket, responder: responder.clone() })
            .collect();
        Server::with_endpoints(engine, endpoints, limits, address)
    }

    pub fn with_endpoints(
        engine: Engine,
        endpoints: Vec<Endpoint>,
        limits: Limits,
        address: SocketAddr,
    ) -> Server {
        let stop = Arc::new(Stop::new().expect("a socket pair can be had"));
        let stopped = stop.clone();
        let engine =
            thread::spawn(move || engine.run(endpoints, limits, stopped).expect("it runs"));
        Server { address, stop, engine: Some(engine) }
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Requests the stop, and returns at once.
    pub fn request_stop(&self) {
        self.stop.request();
    }

    /// Waits until the engine has returned, and says how long that took.
    pub fn wait(mut self) -> Duration {
        let since = Instant::now();
        self.engine.take().expect("it was not waited for").join().expect("it does not panic");
        since.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.request();
        if let Some(engine) = self.engine.take() {
            let ended = engine.join();
            if !thread::panicking() {
                ended.expect("the engine does not panic");
            }
        }
    }
}

/// The binary as a server of its own process, for what only a process has: signals, limits, CPU
/// time, memory.
pub struct Process {
    pub child: Child,
    pub addresses: Vec<SocketAddr>,
    /// Where its metrics are.
    pub metrics: Vec<SocketAddr>,
    /// The fingerprint of its certificate, over TLS.
    pub fingerprint: Option<String>,
    pub stdout: BufReader<ChildStdout>,
}

impl Process {
    /// Starts `socklab server --engine ENGINE --port 0 ARGUMENTS` and waits until it is ready.
    pub fn start(engine: Engine, arguments: &[&str]) -> Process {
        let mut command = Process::command(engine, arguments);
        command.stderr(Stdio::null());
        Process::spawn(&mut command)
    }

    /// What [`Process::start`] runs, to be changed before it is given to [`Process::spawn`].
    pub fn command(engine: Engine, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_socklab"));
        command
            .args(["server", "--engine", &engine.to_string(), "--port", "0"])
            .args(arguments)
            .env_remove("RUST_LOG");
        command
    }

    pub fn spawn(command: &mut Command) -> Process {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("the binary starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        // All lines are written at once, so what is buffered after the first one is all.
        let mut addresses = Vec::new();
        let mut metrics = Vec::new();
        let mut fingerprint = None;
        while addresses.is_empty() || !stdout.buffer().is_empty() {
            let mut line = String::new();
            stdout.read_line(&mut line).expect("standard output can be read");
            if let Some(shown) = line.trim_end().strip_prefix("certificate SHA-256 ") {
                fingerprint = Some(shown.to_owned());
                continue;
            }
            if let Some(shown) = line.trim_end().strip_prefix("metrics at http://") {
                let address = shown.strip_suffix("/metrics").expect("it is a page");
                metrics.push(address.parse().expect("an address"));
                continue;
            }
            let address = line.trim_end().strip_prefix("listening on ").expect("it is ready");
            let address = address.trim_end_matches(" (UDP)").trim_end_matches(" (TLS)");
            addresses.push(address.parse().expect("an address"));
        }
        Process { child, addresses, metrics, fingerprint, stdout }
    }

    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    pub fn connect(&self) -> TcpStream {
        connect(self.address())
    }

    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("it was started here and not waited for");
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }

    /// Waits for its end, [`PATIENCE`] at most.
    pub fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the server exits", || {
            status = self.child.try_wait().expect("it can be waited for");
            status.is_some()
        });
        status.expect("it was seen to exit")
    }

    /// Stops it, and gives what it has logged. Its standard error has to be piped.
    pub fn log(mut self) -> String {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.wait().code(), Some(0));
        let mut log = String::new();
        self.child.stderr.take().expect("it is piped").read_to_string(&mut log).expect("UTF-8");
        log
    }

    /// Open descriptors.
    pub fn files(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.child.id())).expect("it runs").count()
    }

    /// A line of /proc/PID/status: threads, or kibibytes of memory.
    pub fn status(&self, name: &str) -> usize {
        let status =
            fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it is listed");
        let number =
            line.trim_start_matches(':').split_whitespace().next().expect("it has a value");
        number.parse().expect("it is a number")
    }

    /// Its own memory that is resident, in KiB, counted page by page (proc_pid_smaps(5)). VmRSS of
    /// the status strays by 32 pages for each CPU: the kernel adds them up later.
    pub fn resident(&self) -> usize {
        let path = format!("/proc/{}/smaps_rollup", self.child.id());
        let rollup = fs::read_to_string(path).expect("it runs");
        let line = rollup.lines().find_map(|line| line.strip_prefix("Anonymous:"));
        let number = line.and_then(|line| line.split_whitespace().next()).expect("it is listed");
        number.parse().expect("it is a number")
    }

    /// CPU time used so far.
    pub fn cpu(&self) -> Duration {
        let clock = nix::time::clock_getcpuclockid(self.pid()).expect("it runs");
        nix::time::clock_gettime(clock).expect("its clock can be read").into()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
    stream
}

/// Looks again and again until `true`; fails after [`PATIENCE`].
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < PATIENCE, "it never came true that {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the other side's kernel has all that was written. What this one's still holds has not
/// arrived, though `write` has taken it.
pub fn all_arrived(stream: &TcpStream) {
    let [local, remote] = [stream.local_addr(), stream.peer_addr()]
        .map(|address| format!(":{:04X}", address.expect("it is connected").port()));
    eventually("all has arrived", || {
        // Local address, remote address, state, tx_queue:rx_queue (proc(5)).
        let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
        let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        let line = lines.find(|line| line[1].ends_with(&local) && line[2].ends_with(&remote));
        line.expect("it is connected over IPv4")[4].starts_with("00000000:")
    });
}

/// Bytes that differ for each seed and repeat only after a long while.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Sends `bytes`, and checks that they come back.
pub fn echoes(stream: &mut TcpStream, bytes: &[u8]) {
    stream.write_all(bytes).expect("the server reads");
    let mut back = vec![0; bytes.len()];
    stream.read_exact(&mut back).expect("the server answers");
    assert!(back == bytes, "what came back differs from what was sent");
}

/// Closes the sending half and reads to the end.
pub fn finish(stream: &mut TcpStream) -> Vec<u8> {
    stream.shutdown(Shutdown::Write).expect("it is connected");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("the server closes");
    rest
}

/// Writes until the server takes no more, for nobody reads what it answers, and returns how much it
/// took.
pub fn fill(client: &mut TcpStream) -> usize {
    let chunk = [0x55; 65_536];
    client.set_nonblocking(true).unwrap();
    let mut taken = 0;
    let mut refused = 0;
    // The kernel moves bytes between the two buffers for a while after the first refusal.
    while refused < 20 {
        match client.write(&chunk) {
            Ok(n) => (taken, refused) = (taken + n, 0),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                refused += 1;
                thread::sleep(Duration::from_millis(2));
            }
            Err(error) => panic!("the server has left: {error}"),
        }
    }
    client.set_nonblocking(false).unwrap();
    taken
}

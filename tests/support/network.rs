//! Two network namespaces, and a line between them that can be as bad as wanted (tests/peers/link.py).

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{self, Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::run::{Running, SOCKLAB, by};

/// Where the server is to be found, by the line.
pub const SERVER: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 2);

pub struct Network {
    link: Child,
    server: Namespace,
    client: Namespace,
}

impl Network {
    /// A line with these faults, as link.py has them.
    pub fn with(faults: &[&str]) -> Network {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("sl{}n{number}{end}", process::id());
        let [server, client] = ["s", "c"].map(|end| Namespace::new(name(end)));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/link.py");
        let mut python = Command::new("python3");
        python.arg(script).args([&server.0, &client.0]).args(faults);
        let link = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let link = link.expect("python3 is installed");
        let mut network = Network { link, server, client };
        let mut ready = String::new();
        let stdout = network.link.stdout.take().expect("it is piped");
        BufReader::new(stdout).read_line(&mut ready).expect("it is UTF-8");
        assert_eq!(ready, "READY\n", "link.py needs root and /dev/net/tun");
        for (end, address) in [(&network.server, SERVER), (&network.client, CLIENT)] {
            let Namespace(name) = end;
            ip(&format!("link set dev {name} netns {name}"));
            ip(&format!("-netns {name} address add {address}/24 dev {name}"));
            ip(&format!("-netns {name} link set dev {name} up"));
            ip(&format!("-netns {name} link set dev lo up"));
        }
        network
    }

    /// `command`, at the server's end.
    pub fn serve(&self, command: &Command) -> Command {
        self.server.run(command)
    }

    /// socklab, at the client's end.
    pub fn socklab(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(SOCKLAB);
        command.args(arguments).env_remove("RUST_LOG").env_remove("SOCKLAB_CHAT_PASSWORD");
        self.client.run(&command)
    }

    /// The same, begun.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::spawn(&mut self.socklab(arguments))
    }

    /// A connection from the client's end.
    pub fn connect(&self, address: SocketAddr) -> TcpStream {
        let namespace = self.client.open();
        thread::scope(|scope| {
            // Namespaces belong to threads, and this one ends with its own.
            let thread = scope.spawn(|| {
                setns(namespace, CloneFlags::CLONE_NEWNET).expect("root may");
                TcpStream::connect(address).expect("the server accepts")
            });
            thread.join().expect("it does not panic")
        })
    }

    /// From now on nothing comes through, and nobody is told.
    pub fn cut(&self) {
        self.signal(Signal::SIGSTOP);
    }

    /// It goes on, with what has waited.
    pub fn mend(&self) {
        self.signal(Signal::SIGCONT);
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.link.id() as i32), signal).expect("it runs");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.link.kill();
        let _ = self.link.wait();
    }
}

/// Gone when it is dropped, once nobody is left in it.
struct Namespace(String);

impl Namespace {
    fn new(name: String) -> Namespace {
        ip(&format!("netns add {name}"));
        Namespace(name)
    }

    fn run(&self, command: &Command) -> Command {
        by(&["ip", "netns", "exec", &self.0], command)
    }

    fn open(&self) -> File {
        File::open(Path::new("/run/netns").join(&self.0)).expect("it was made")
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "delete", &self.0]).status();
    }
}

#[track_caller]
fn ip(words: &str) {
    let output = Command::new("ip").args(words.split(' ')).output();
    let output = output.expect("ip is installed (iproute2)");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cannot make a network: `ip {words}`, as root: {complaint}");
}

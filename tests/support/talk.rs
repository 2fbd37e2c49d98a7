//! The client as a process, and servers of every temper for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use super::{PATIENCE, eventually};

/// A server that takes one connection, for a test to be any server there is.
pub struct Host {
    pub address: SocketAddr,
    conversation: JoinHandle<()>,
}

impl Host {
    pub fn of(conversation: impl FnOnce(TcpStream) + Send + 'static) -> Host {
        Host::at("127.0.0.1:0", conversation)
    }

    /// The same on another address of loopback.
    pub fn at(address: &str, conversation: impl FnOnce(TcpStream) + Send + 'static) -> Host {
        let listener = TcpListener::bind(address).expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let conversation = thread::spawn(move || {
            let (stream, _) = listener.accept().expect("the client connects");
            stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
            stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
            conversation(stream);
        });
        Host { address, conversation }
    }

    /// Waits for the end of the conversation, which passes on what it asserted.
    pub fn join(self) {
        self.conversation.join().expect("the conversation goes as it should");
    }
}

pub fn command(address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_socklab"));
    command
        .args(["client", "--host", &address.ip().to_string()])
        .args(["--port", &address.port().to_string()])
        .args(arguments)
        .env_remove("RUST_LOG");
    command
}

/// The client in a pipe that stays open, stopped when it is dropped.
pub struct Talker(pub Child);

impl Talker {
    pub fn start(address: SocketAddr, arguments: &[&str]) -> Talker {
        Talker::given(address, arguments, Stdio::piped())
    }

    pub fn given(address: SocketAddr, arguments: &[&str], input: impl Into<Stdio>) -> Talker {
        let child = command(address, arguments)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Talker(child.expect("the binary starts"))
    }

    pub fn say(&mut self, bytes: &[u8]) {
        let stdin = self.0.stdin.as_mut().expect("it is piped and open");
        stdin.write_all(bytes).expect("the client reads");
    }

    pub fn heard(&mut self, length: usize) -> Vec<u8> {
        let mut heard = vec![0; length];
        let stdout = self.0.stdout.as_mut().expect("it is piped and open");
        stdout.read_exact(&mut heard).expect("the client prints");
        heard
    }

    /// Its exit status, and what it said on standard error. Its standard input stays open.
    pub fn end(&mut self) -> (Option<i32>, String) {
        let mut code = None;
        eventually("the client exits", || match self.0.try_wait().expect("it was started") {
            Some(status) => {
                code = status.code();
                true
            }
            None => false,
        });
        let mut complaint = String::new();
        let mut stderr = self.0.stderr.take().expect("it is piped");
        stderr.read_to_string(&mut complaint).expect("it is UTF-8");
        (code, complaint)
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

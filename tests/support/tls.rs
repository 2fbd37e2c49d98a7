//! Servers in TLS of every temper, and the client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use assert_cmd::assert::Assert;
use predicates::prelude::*;
use predicates::str::{contains, starts_with};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use super::PATIENCE;
pub use super::certificate::{Authority, Identity};
use super::talk::{Host, command};

/// What a test says and hears as a server.
pub type Peer = StreamOwned<ServerConnection, TcpStream>;

/// A server of one connection in TLS.
pub fn host(config: ServerConfig, conversation: impl FnOnce(Peer) + Send + 'static) -> Host {
    host_at("127.0.0.1:0", config, conversation)
}

/// The same on another address of loopback.
pub fn host_at(
    address: &str,
    config: ServerConfig,
    conversation: impl FnOnce(Peer) + Send + 'static,
) -> Host {
    Host::at(address, move |socket| conversation(peer(config, socket)))
}

/// The server's side, before the handshake.
pub fn peer(config: ServerConfig, socket: TcpStream) -> Peer {
    let connection = ServerConnection::new(Arc::new(config)).expect("the configuration is right");
    StreamOwned::new(connection, socket)
}

pub fn echo(mut peer: Peer) {
    let mut bytes = [0; 4096];
    while let n @ 1.. = peer.read(&mut bytes).expect("the client sends") {
        peer.write_all(&bytes[..n]).expect("the client reads");
    }
    end(&mut peer);
}

/// Reads to the client's `close_notify`; an end without it is a panic.
pub fn hear_out(peer: &mut Peer) -> Vec<u8> {
    let mut heard = Vec::new();
    peer.read_to_end(&mut heard).expect("the client ends with close_notify");
    heard
}

/// Says `close_notify`.
pub fn end(peer: &mut Peer) {
    peer.conn.send_close_notify();
    flush(peer);
}

pub fn flush(peer: &mut Peer) {
    while peer.conn.wants_write() {
        peer.conn.write_tls(&mut peer.sock).expect("the client reads");
    }
}

pub const VERSIONS: [&[&SupportedProtocolVersion]; 2] = [&[&TLS12], &[&TLS13]];

/// The client with `--message` and `arguments`.
pub fn message(address: SocketAddr, text: &str, arguments: &[&str]) -> Assert {
    let mut command = command(address, &["--message", text]);
    command.args(arguments).env_remove("SSLKEYLOGFILE");
    assert_cmd::Command::from_std(command).timeout(PATIENCE).assert()
}

/// The client in a pipe, given `input` and then its end.
pub fn pipe(address: SocketAddr, input: impl Into<Vec<u8>>, arguments: &[&str]) -> Assert {
    let command = command(address, arguments);
    assert_cmd::Command::from_std(command).timeout(PATIENCE).write_stdin(input).assert()
}

/// Both, for what must be the same with both.
pub const SAYING_HI: [fn(SocketAddr, &[&str]) -> Assert; 2] =
    [|to, arguments| message(to, "hi", arguments), |to, arguments| pipe(to, "hi", arguments)];

/// Exit status 1 and one line that says `why`.
pub fn broken(outcome: Assert, why: &str) -> Assert {
    let line = predicate::function(|text: &str| text.ends_with('\n') && text.lines().count() == 1);
    outcome.code(1).stderr(starts_with("socklab: ").and(contains(why))).stderr(line)
}

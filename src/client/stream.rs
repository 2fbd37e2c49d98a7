//! A connection in two halves, for one thread may receive while another sends. Plain or in TLS: who
//! talks need not know.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::{plain, tls};

/// A connection to a server.
pub struct Stream {
    server: String,
    receiver: Receiver,
    sender: Sender,
}

impl Stream {
    /// TCP and nothing else.
    pub(super) fn plain(socket: TcpStream) -> io::Result<Stream> {
        let server = socket.peer_addr()?.to_string();
        let sender = Sender::Plain(socket.try_clone()?);
        Ok(Stream { server, receiver: Receiver::Plain(plain::Receiver::new(socket)), sender })
    }

    /// What `server` is, and its two halves.
    pub(super) fn over_tls(server: String, receiver: tls::Receiver, sender: tls::Sender) -> Stream {
        Stream { server, receiver: Receiver::Tls(receiver), sender: Sender::Tls(sender) }
    }

    /// Who is at the other end, for people: an address, and what is spoken if it is more than TCP.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The halves, each for one thread.
    pub(super) fn split(self) -> (Receiver, Sender) {
        (self.receiver, self.sender)
    }
}

/// What the server says. Its end reads as `Ok(0)`, and a connection that was cut in place of it as
/// [`io::ErrorKind::UnexpectedEof`], which only TLS can tell.
pub enum Receiver {
    Plain(plain::Receiver),
    Tls(tls::Receiver),
}

impl Receiver {
    /// What one read waits at most, before it fails with [`io::ErrorKind::WouldBlock`].
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Receiver::Plain(receiver) => receiver.set_read_timeout(timeout),
            Receiver::Tls(receiver) => receiver.set_read_timeout(timeout),
        }
    }

    /// How long the server may take nothing of what was sent; `None` for as long as it likes.
    pub fn set_lost_after(&self, time: Option<Duration>) -> io::Result<()> {
        match self {
            Receiver::Plain(receiver) => receiver.set_lost_after(time),
            Receiver::Tls(receiver) => receiver.set_lost_after(time),
        }
    }

    /// Cuts the connection, for the sender, too.
    pub fn abort(&self) {
        match self {
            Receiver::Plain(receiver) => receiver.abort(),
            Receiver::Tls(receiver) => receiver.abort(),
        }
    }

    /// Says that nothing more comes, if the sender has not, when the server wants no more. Never
    /// waits.
    pub fn leave(&self) {
        match self {
            // The kernel does it.
            Receiver::Plain(_) => {}
            Receiver::Tls(receiver) => receiver.leave(),
        }
    }
}

impl Read for Receiver {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Receiver::Plain(receiver) => receiver.read(buffer),
            Receiver::Tls(receiver) => receiver.read(buffer),
        }
    }
}

/// What the server is told.
pub enum Sender {
    Plain(TcpStream),
    Tls(tls::Sender),
}

impl Sender {
    /// What one write waits at most, before it fails with [`io::ErrorKind::WouldBlock`]; over TLS
    /// nothing can be written after that.
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Sender::Plain(socket) => socket.set_write_timeout(timeout),
            Sender::Tls(sender) => sender.set_write_timeout(timeout),
        }
    }

    /// Nothing more is sent; what the server says is still received.
    pub fn end(&mut self) -> io::Result<()> {
        match self {
            Sender::Plain(socket) => socket.shutdown(Shutdown::Write),
            Sender::Tls(sender) => sender.end(),
        }
    }

    /// Cuts the connection, for the receiver, too.
    pub fn abort(&mut self) {
        // It may be cut already.
        let _ = match self {
            Sender::Plain(socket) => socket.shutdown(Shutdown::Both),
            Sender::Tls(sender) => sender.abort(),
        };
    }
}

impl Write for Sender {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Sender::Plain(socket) => socket.write(bytes),
            Sender::Tls(sender) => sender.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! Why a client failed.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::failure::{cause, time, unresolved};

/// Why a client failed, in one line: what was attempted, why it failed, what to do.
#[derive(Debug)]
pub enum Error {
    /// The host has no address.
    Resolve(String, io::Error),
    /// No address of the server took the connection.
    Connect(String, io::Error),
    /// The connection broke while it was in use.
    Broken(io::Error),
    /// TLS failed: why, and what to do.
    Tls(String),
    /// The server did not finish the TLS handshake in this time.
    NoHandshake(String, Duration),
    /// The connection ended during the TLS handshake.
    Handshake(String, io::Error),
    /// The server's end did not come, but that of the connection.
    Truncated,
    /// The server closed before it had taken all input; so much was sent.
    ClosedEarly(u64),
    /// The server neither answered nor closed in this time.
    NoReply(Duration),
    /// No address of the server takes datagrams.
    Unreachable(String, io::Error),
    /// The server answered none of the datagrams, each of which was given this time.
    NoAnswer {
        /// Its name.
        server: String,
        /// How long an answer was waited for.
        patience: Duration,
        /// How many were sent.
        datagrams: u64,
    },
    /// What is named has more bytes than a datagram can carry, which is so many.
    TooLong(String, usize),
    /// Standard input or output failed.
    Local(&'static str, io::Error),
}

impl Error {
    /// Why reading or writing failed, in the middle of a conversation.
    pub(super) fn broken(error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::Truncated,
            // What shutdown(2) calls one that was reset.
            io::ErrorKind::NotConnected => Error::Broken(io::ErrorKind::ConnectionReset.into()),
            // One with words of its own has them from TLS.
            _ if error.get_ref().is_some() => Error::Tls(error.to_string()),
            _ => Error::Broken(error),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Resolve(host, error) => {
                write!(f, "{}", unresolved(host, error))
            }
            Error::Connect(server, error) => {
                let advice = match error.kind() {
                    io::ErrorKind::ConnectionRefused => {
                        "nobody listens there; start `socklab server` or check --port"
                    }
                    io::ErrorKind::TimedOut => {
                        "nobody answers; check --host, or allow more time with --timeout"
                    }
                    _ => "check --host and --port",
                };
                write!(f, "cannot connect to {server}: {}; {advice}", cause(error))
            }
            Error::Broken(error) if error.kind() == io::ErrorKind::TimedOut => f.write_str(
                "the connection is lost: the server has shown no sign of life, or taken nothing, for \
                 as long as --lost-after allows; what was printed may be incomplete",
            ),
            Error::Broken(error) => write!(
                f,
                "the connection broke: {}; what was printed may be incomplete",
                cause(error)
            ),
            Error::Tls(why) => f.write_str(why),
            Error::NoHandshake(server, patience) => write!(
                f,
                "no TLS handshake with {server} within {}: it may not speak TLS on this port; leave \
                 out --tls, check the port, or allow more time with --timeout",
                time(*patience)
            ),
            Error::Handshake(server, error) => {
                let how = match error.kind() {
                    io::ErrorKind::UnexpectedEof => String::new(),
                    _ => format!(" ({})", cause(error)),
                };
                write!(
                    f,
                    "{server} ended the connection in the TLS handshake{how}: it may not speak TLS \
                     on this port; leave out --tls, or check the port"
                )
            }
            Error::Truncated => f.write_str(
                "the connection was cut: it ended without the server's close_notify, so what was \
                 printed may not be all; ask again, or look at the server's log",
            ),
            Error::ClosedEarly(sent) => write!(
                f,
                "the server closed the connection before it had taken all input ({sent} bytes \
                 were sent); what it did with them is unknown"
            ),
            Error::NoReply(patience) => write!(
                f,
                "no reply within {patience:?}: the server neither answered nor closed; allow more \
                 time with --timeout"
            ),
            Error::Unreachable(server, error) => {
                let advice = match error.kind() {
                    io::ErrorKind::ConnectionRefused => {
                        "nobody listens there; start `socklab server --udp` or check --port"
                    }
                    _ => "check --host and --port",
                };
                write!(f, "cannot reach {server} over UDP: {}; {advice}", cause(error))
            }
            Error::NoAnswer { server, patience, datagrams } => {
                let datagrams = match datagrams {
                    1 => "the datagram".into(),
                    _ => format!("any of {datagrams} datagrams"),
                };
                write!(
                    f,
                    "no answer within {} from {server} to {datagrams}: lost, dropped, nobody there, \
                     or a server that does not answer, which UDP cannot tell apart; allow more time \
                     with --timeout",
                    time(*patience)
                )
            }
            Error::TooLong(what, limit) => write!(
                f,
                "cannot send {what} in one datagram: it carries {limit} bytes at most; send less at \
                 once, or use TCP"
            ),
            Error::Local(stream, error) => write!(f, "cannot use {stream}: {}", cause(error)),
        }
    }
}

impl std::error::Error for Error {}

//! Why a transfer failed.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::size;
use super::watch::shown;
use crate::client;
use crate::failure::{cause, time};

/// Why a transfer failed, in one line: what was attempted, why it failed, what to do.
#[derive(Debug)]
pub enum Error {
    /// No connection to the server, as this says.
    Unreachable(String),
    /// The connection failed while it was in use.
    Broken(io::Error),
    /// TLS failed: why, and what to do.
    Tls(String),
    /// The connection ended after so many bytes of the file, of how many, before all had come.
    Truncated(u64, Option<u64>),
    /// The connection ended in place of an answer.
    NoAnswer,
    /// The server did nothing for this time.
    Silent(Duration),
    /// What came is not the HTTP that was asked for.
    Malformed(String),
    /// The server says no.
    Refused {
        /// What was asked for: GET, PUT.
        method: &'static str,
        /// Of what.
        url: String,
        /// Status and reason.
        status: String,
        /// The first line of what the server has to say about it, if it is text.
        line: Option<String>,
    },
    /// A redirect that is not followed.
    Redirect(String),
    /// The bytes are not those that the server has; what was done about it.
    WrongBytes(String),
    /// A local file or stream (its name) cannot be used as it should.
    Local(String, io::Error),
    /// The file changed while it was sent.
    Changed(String),
    /// The part of a download is in use, or is not ours.
    InTheWay(String),
    /// Another failure, and the part that is kept in spite of it, with so many bytes.
    Kept(Box<Error>, PathBuf, u64),
    /// Another failure, after which there is nothing to go on from.
    NotKept(Box<Error>),
}

impl Error {
    /// Why reading or writing failed, in the middle of a conversation.
    pub(super) fn broken(error: io::Error) -> Error {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Error::NoAnswer,
            // Without TLS, only what TLS servers say to that has words of its own.
            _ if error.get_ref().is_some() => match error.to_string() {
                text if text.ends_with("add --tls") => Error::Tls(
                    "the server speaks TLS on this port; write https:// in the URL".into(),
                ),
                text => Error::Tls(text),
            },
            _ => Error::Broken(error),
        }
    }

    /// In the words of a URL, where the client has options.
    pub(super) fn unreachable(error: client::Error, patience: Duration) -> Error {
        use client::Error as E;
        let without =
            "it may not speak TLS on this port; write http:// in the URL, or check the port";
        Error::Unreachable(match error {
            E::Resolve(host, why) => {
                let why = cause(&why);
                format!("cannot find the address of {host:?}: {why}; check the host in the URL")
            }
            E::Connect(server, why) => {
                let advice = match why.kind() {
                    io::ErrorKind::ConnectionRefused => {
                        "nobody listens there; check the port in the URL"
                    }
                    io::ErrorKind::TimedOut => {
                        "nobody answers; check the URL, or allow more time with --timeout"
                    }
                    _ => "check the host and the port in the URL",
                };
                format!("cannot connect to {server}: {}; {advice}", cause(&why))
            }
            E::NoHandshake(server, _) => {
                format!("no TLS handshake with {server} within {}: {without}", time(patience))
            }
            E::Handshake(server, why) => {
                let how = match why.kind() {
                    io::ErrorKind::UnexpectedEof => String::new(),
                    _ => format!(" ({})", cause(&why)),
                };
                format!("{server} ended the connection in the TLS handshake{how}: {without}")
            }
            E::Tls(why) => why.replace("leave out --tls", "write http:// in the URL"),
            error => error.to_string(),
        })
    }

    /// Whether other files may fare better on the same server.
    pub fn concerns_one_file(&self) -> bool {
        match self {
            Error::Unreachable(_) | Error::Tls(_) | Error::Silent(_) => false,
            Error::Kept(why, ..) | Error::NotKept(why) => why.concerns_one_file(),
            _ => true,
        }
    }

    /// Whether what came differs from what the server has.
    pub fn is_wrong_bytes(&self) -> bool {
        matches!(self, Error::WrongBytes(_))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unreachable(why) | Error::Tls(why) | Error::InTheWay(why) => f.write_str(why),
            Error::Broken(error) => {
                write!(
                    f,
                    "the connection broke: {}; try again, or look at the server's log",
                    cause(error)
                )
            }
            Error::Truncated(came, total) => {
                write!(f, "the connection was cut after {}", size(*came))?;
                match total {
                    Some(total) => write!(f, " of {}", size(*total)),
                    None => Ok(()),
                }
            }
            Error::NoAnswer => f.write_str(
                "the server closed the connection without an answer; try again, or look at its log",
            ),
            Error::Silent(patience) => write!(
                f,
                "nothing moved for {}; ask again, or allow more time with --timeout",
                time(*patience)
            ),
            Error::Malformed(what) => {
                write!(f, "the server does not speak HTTP/1.1 as it should: {what}; check the URL")
            }
            Error::Refused { method, url, status, line } => {
                write!(f, "the server refused {method} {url}: {status}")?;
                match line {
                    Some(line) => write!(f, ": {line}"),
                    None => Ok(()),
                }
            }
            Error::Redirect(why) | Error::WrongBytes(why) => f.write_str(why),
            Error::Local(name, error) => write!(f, "cannot use {name}: {}", cause(error)),
            Error::Changed(name) => write!(
                f,
                "{name} changed while it was sent, so the server was not given all of it; run it \
                 again when nobody writes there"
            ),
            Error::Kept(why, part, length) => {
                let (part, length) = (shown(part), size(*length));
                write!(f, "{why}; {part} has {length}: run it again to go on there")
            }
            Error::NotKept(why) => write!(f, "{why}; there is no part to go on from: run it again"),
        }
    }
}

impl std::error::Error for Error {}

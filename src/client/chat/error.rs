//! Why a chat came to an end that nobody wanted.

use std::fmt;
use std::time::Duration;

use crate::client;
use crate::failure::time;

/// Why a chat failed, in one line: what was attempted, why it failed, what to do.
#[derive(Debug)]
pub enum Error {
    /// There is no connection, it broke, or standard input or output failed.
    Client(client::Error),
    /// The server does not let us in.
    Denied {
        /// Its address.
        server: String,
        /// In words, with advice.
        why: String,
    },
    /// The server has ended the connection before it let us in.
    ShownOut {
        /// Its address.
        server: String,
        /// In its words, if it had any.
        why: Option<String>,
    },
    /// The server did not let us in within this time.
    NotLetIn(String, Duration),
    /// A room does not let us in, which is all that a script wants.
    NotJoined {
        /// Its name.
        room: String,
        /// In words.
        why: String,
    },
    /// Somebody has thrown us out of the last room, in words.
    Kicked(String),
    /// The server has ended the connection, and why, if it told.
    Ended(Option<String>),
    /// The server did not answer for this time.
    Silent(Duration),
    /// The server does not read what it is sent.
    Stuck,
    /// What a script had to say was refused: how often, and why the first time.
    Refused(usize, String),
}

impl From<client::Error> for Error {
    fn from(error: client::Error) -> Error {
        Error::Client(error)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Client(error) => error.fmt(f),
            Error::Denied { server, why } => write!(f, "cannot enter {server}: {why}"),
            Error::ShownOut { server, why: Some(why) } => write!(
                f,
                "cannot enter {server}: it has ended the connection ({why}); try again later, or \
                 ask those who run it"
            ),
            Error::ShownOut { server, why: None } => write!(
                f,
                "cannot enter {server}: it has ended the connection without a reason; it may be \
                 no chat server: check --port"
            ),
            Error::NotLetIn(server, patience) => write!(
                f,
                "cannot enter {server}: it has not let us in within {}; it may be no chat server: \
                 check --port, or allow more time with --timeout",
                time(*patience)
            ),
            Error::NotJoined { room, why } => {
                write!(f, "cannot enter {room}: {why}; choose another room with --join")
            }
            Error::Kicked(how) => write!(f, "{how}; ask them before you come back"),
            // Whether to call again, and when, depends on the reason: "Killed" is no invitation.
            Error::Ended(Some(why)) => write!(f, "the server has ended the connection: {why}"),
            Error::Ended(None) => f.write_str(
                "the server has ended the connection and did not say why; call again later",
            ),
            Error::Silent(patience) => write!(
                f,
                "the connection is lost: the server has not answered for {}; call again",
                time(*patience)
            ),
            Error::Stuck => f.write_str(
                "the connection is lost: the server asks and asks, and reads no answer; call again",
            ),
            Error::Refused(1, why) => write!(f, "one line was refused: {why}"),
            Error::Refused(lines, why) => {
                write!(f, "{lines} lines were refused; the first one: {why}")
            }
        }
    }
}

impl std::error::Error for Error {}

//! Load on any server, and what became of it.
//!
//! What is sent ([`work`]), when ([`pace`]) and how it is counted ([`tally`]) stand apart; the
//! [`driver`] brings them together, with a [`crowd`] of connections, a [`volley`] of datagrams or
//! [`rooms`] full of talkers on each of its threads. [`http`] is what a crowd hears where it fetches a
//! file. [`secure`] is TLS for those with connections, each of whom has sessions of its own.

pub mod callers;
pub mod clients;
pub mod condition;
pub mod crowd;
pub mod driver;
pub mod fault;
pub mod http;
mod lookout;
pub mod pace;
pub mod preflight;
pub mod rooms;
pub mod run;
mod search;
pub mod secure;
pub mod tally;
pub mod target;
pub mod volley;
pub mod watch;
pub mod work;

use std::fmt;

/// Why a measurement has no result, in one line: what was attempted, why it failed, what to do.
#[derive(Debug)]
pub enum Failure {
    /// The server sent what it should not have sent.
    Wrong(String),
    /// Something could not be done.
    Failed(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Failure::Wrong(text) | Failure::Failed(text)) = self;
        f.write_str(text)
    }
}

impl std::error::Error for Failure {}

impl From<String> for Failure {
    fn from(text: String) -> Failure {
        Failure::Failed(text)
    }
}

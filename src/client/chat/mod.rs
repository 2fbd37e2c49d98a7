//! A client for chat rooms (IRC): one connection, and a person or a script who talks.
//!
//! What the server's lines mean is settled in [`Conversation`], which knows neither sockets nor time:
//! lines in, [`Event`]s and lines out. `pace.rs` says how much may be sent, [`Words`] what
//! an event looks like, and `talk.rs` brings it together with a connection: one thread sleeps on the
//! server, one on the keyboard, one in `write`, and one has all the say. [`terminal`](terminal()) and
//! [`pipe`](pipe()) are its two faces.

mod completion;
mod conversation;
mod error;
mod event;
mod lines;
mod numerics;
mod pace;
mod pipe;
mod plain;
mod registration;
mod rooms;
mod screen;
mod server;
mod speech;
mod talk;
mod terminal;
mod typed;
mod words;

use std::os::unix::net::UnixStream;
use std::time::Duration;

pub use conversation::{Act, Conversation, room_name};
pub use error::Error;
pub use event::{Event, Manner, Place, Said};
pub use lines::Lines;
pub use pipe::pipe;
pub use plain::plain;
pub use rooms::{Room, Rooms};
pub use talk::Outcome;
pub use terminal::terminal;
pub use words::Words;

/// Who talks, where, and how.
pub struct Settings {
    /// The name that others see.
    pub nick: String,
    /// The name of the account, which servers show beside the nick.
    pub user: String,
    /// For servers that want one.
    pub password: Option<Vec<u8>>,
    /// Rooms to enter, each with its key if it needs one.
    pub rooms: Vec<(String, Option<String>)>,
    /// How long the server may take to let us in.
    pub patience: Duration,
    /// In a pipe: go on listening when the input has ended.
    pub listen: bool,
    /// In a pipe: no line is a command, whatever it begins with.
    pub verbatim: bool,
    /// Becomes readable when it is time to leave.
    pub interrupt: Option<UnixStream>,
}

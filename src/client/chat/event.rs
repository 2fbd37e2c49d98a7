//! What a server's lines mean for people. No text in here has a control character left in it.

use jiff::Timestamp;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody says something: the one thing that scripts are told.
    Said(Said),
    /// The server has let us in.
    Welcome {
        /// What we are called there.
        nick: String,
    },
    /// The nick is taken; another one is tried.
    NickTaken {
        /// The one that is taken.
        nick: String,
        /// The one that is tried.
        next: String,
    },
    /// Somebody has entered a room.
    Joined {
        /// Whose nick this is.
        who: String,
        /// Its name.
        room: String,
    },
    /// Somebody has left a room.
    Left {
        /// Whose nick this is.
        who: String,
        /// Its name.
        room: String,
        /// May be empty.
        reason: String,
    },
    /// Somebody was thrown out of a room.
    Kicked {
        /// Whose nick this is.
        who: String,
        /// Its name.
        room: String,
        /// By whom.
        by: String,
        /// May be empty.
        reason: String,
        /// It was us.
        me: bool,
    },
    /// Somebody has left the server.
    Quit {
        /// Whose nick this was.
        who: String,
        /// May be empty.
        reason: String,
    },
    /// Somebody is called otherwise.
    Renamed {
        /// As before.
        from: String,
        /// From now on.
        to: String,
    },
    /// The topic of a room, empty if there is none.
    Topic {
        /// Its name.
        room: String,
        /// What it says.
        text: String,
    },
    /// Who set the topic, and when.
    TopicSet {
        /// Its name.
        room: String,
        /// Whose nick this was.
        who: String,
        /// As the server remembers it.
        at: Option<Timestamp>,
    },
    /// Somebody has changed the topic.
    TopicChanged {
        /// Its name.
        room: String,
        /// Whose nick this is.
        who: String,
        /// What it says now, empty if there is none any more.
        text: String,
    },
    /// Who is in a room, sorted.
    Names {
        /// Its name.
        room: String,
        /// Nicks, with `@` before operators.
        names: Vec<String>,
    },
    /// Anything else that people may want to know: the message of the day, notices of the server.
    Told(String),
    /// The answer to something typed that needs no server.
    Help(&'static str),
    /// What was asked for is refused, in words.
    Refused(String),
    /// A room does not let us in.
    NotJoined {
        /// Its name.
        room: String,
        /// In words.
        why: String,
    },
    /// The server does not let us in, in words.
    Denied(String),
    /// The server ends the connection, and says why.
    Ended(String),
}

/// What somebody says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// When, if the server tells.
    pub at: Option<Timestamp>,
    /// Whose nick this is.
    pub who: String,
    /// Where.
    pub place: Place,
    /// How.
    pub manner: Manner,
    /// What.
    pub text: String,
    /// It is our own.
    pub own: bool,
}

/// Where something is said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a room.
    Room(String),
    /// To us alone.
    Private,
    /// By us, to somebody alone.
    To(String),
}

/// How something is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As everything is.
    Speech,
    /// As something that one does.
    Action,
    /// As something that no program answers.
    Notice,
}

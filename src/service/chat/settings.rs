//! What a chat server may be told: its names, who may enter, and every limit with its default.

use std::fmt;
use std::time::Duration;

use ring::digest::{SHA256, digest};

/// Everything that can be set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the server calls itself, in front of its own lines: a host name, without spaces.
    pub name: String,
    /// What it says of itself in LINKS.
    pub description: String,
    /// What it calls the network, of which it is the only server. One word.
    pub network: String,
    /// The message of the day, a line each. `None`: there is none (422).
    pub motd: Option<Vec<String>>,
    /// What ADMIN tells: a place, an organization, an address. A line each.
    pub admin: [String; 3],
    /// What PASS has to say before anybody is let in.
    pub password: Option<Secret>,
    /// Who becomes an operator of the server with OPER.
    pub operators: Vec<Operator>,
    /// Whether connections are encrypted, which WHOIS tells (671).
    pub secure: bool,
    /// Bytes of a nickname.
    pub nick_length: usize,
    /// Bytes of a channel's name, its `#` included.
    pub channel_length: usize,
    /// Bytes of a topic.
    pub topic_length: usize,
    /// Channels one client may be on.
    pub channels_per_client: usize,
    /// How long a client may take to say who it is.
    pub registration_timeout: Duration,
    /// After so much silence a client is asked whether it is there (PING).
    pub ping_interval: Duration,
    /// How long it may take to answer.
    pub ping_timeout: Duration,
    /// How fast a client may talk; `None` for as fast as it likes.
    pub flood: Option<Flood>,
    /// Bytes of a client's words that may wait to be heard (RecvQ).
    pub receive_queue: usize,
}

/// A bucket of tokens: each line takes one, and one more for each further target it names; PING and
/// PONG take none. When it is empty, lines wait in the receive queue, and a client whose queue is
/// full has to leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Flood {
    /// Lines that may be said at once.
    pub burst: u32,
    /// Lines that may be said each second in the long run.
    pub per_second: f64,
}

/// Somebody who may run the place.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The name for OPER; no nickname.
    pub name: String,
    /// The password for OPER.
    pub password: Secret,
}

/// A password, of which only a digest is kept: it cannot get into a log, and comparing takes the
/// same time whatever was guessed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret([u8; 32]);

impl Secret {
    /// Of the password itself.
    pub fn new(password: &str) -> Secret {
        let digest = digest(&SHA256, password.as_bytes());
        Secret(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// Whether `guess` is the password.
    pub fn is(&self, guess: &str) -> bool {
        *self == Secret::new(guess)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Settings {
    /// As long as a `From` line of mail; clients show it in a narrow column.
    pub const NICK_LENGTH: usize = 30;
    /// As most networks have it, give or take.
    pub const CHANNEL_LENGTH: usize = 64;
    /// Leaves room in a line for the longest names in front of it.
    pub const TOPIC_LENGTH: usize = 390;
    /// More than a person follows.
    pub const CHANNELS_PER_CLIENT: usize = 50;
    /// A household, an office behind one address; not a swarm.
    pub const CLIENTS_PER_ADDRESS: u32 = 64;
    /// Long for a program, even with a slow resolver; short for a seat.
    pub const REGISTRATION_TIMEOUT: Duration = Duration::from_secs(30);
    /// Short of the two minutes after which routers forget a silent connection.
    pub const PING_INTERVAL: Duration = Duration::from_secs(90);
    /// As long again.
    pub const PING_TIMEOUT: Duration = Duration::from_secs(90);
    /// A client that joins all its channels and asks about each at once is no flood; ten lines a
    /// second for ever are more than anybody reads.
    pub const FLOOD: Flood = Flood { burst: 100, per_second: 10.0 };
    /// Room for a line with all its tags, and for a paste of some twenty.
    pub const RECEIVE_QUEUE: usize = 10 * 1024;
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            name: "socklab.local".into(),
            description: "a laboratory for sockets".into(),
            network: "socklab".into(),
            motd: None,
            admin: [
                "A socklab chat server".into(),
                "Its administrator has not said who runs it".into(),
                "nobody@socklab.local".into(),
            ],
            password: None,
            operators: Vec::new(),
            secure: false,
            nick_length: Settings::NICK_LENGTH,
            channel_length: Settings::CHANNEL_LENGTH,
            topic_length: Settings::TOPIC_LENGTH,
            channels_per_client: Settings::CHANNELS_PER_CLIENT,
            registration_timeout: Settings::REGISTRATION_TIMEOUT,
            ping_interval: Settings::PING_INTERVAL,
            ping_timeout: Settings::PING_TIMEOUT,
            flood: Some(Settings::FLOOD),
            receive_queue: Settings::RECEIVE_QUEUE,
        }
    }
}

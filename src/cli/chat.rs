//! `socklab chat`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use socklab::client::chat::{self, Outcome, Settings, room_name};
use socklab::client::connect;
use socklab::failure::cause;

use super::client::{LOST_AFTER, at_terminal, connector};
use super::tls::Trust;
use super::{Exit, Failure, INTERRUPTED, interrupt, misused, units};

/// Where chat servers listen, without TLS and with it (RFC 7194).
const PORT: u16 = 6667;
const PORT_TLS: u16 = 6697;

/// Servers may ask others for the name of a client's host before they let it in.
const PATIENCE: Duration = Duration::from_secs(20);

/// The length of a nick that every server takes (RFC 1459, 1.2).
const NICK: usize = 9;

/// Where a password is found that nobody else should read.
const PASSWORD: &str = "SOCKLAB_CHAT_PASSWORD";

/// Talk with others in chat rooms (IRC)
///
/// On a terminal, each line typed goes to the room, and what others say is shown with the time. Tab
/// completes nicks, rooms and commands; /help lists the commands. Ctrl-D, Ctrl-C or /quit leaves.
///
/// In a pipe, each line of standard input becomes a message to the room that was entered last, once
/// all rooms of --join are entered, and no faster than the server takes them. Lines that begin with
/// a single / are commands as on a terminal, unless --verbatim; empty lines are left out. Each
/// message that comes is one line on standard output:
///
///   HH:MM:SS <nick> text           somebody speaks
///   HH:MM:SS * nick text           somebody does something
///   HH:MM:SS -nick- text           somebody gives notice
///
/// with `#room ` before the nick when several rooms were given or entered, and `(private) ` when it
/// is for you alone. Times are those of the server where it tells them, in local time. Everything
/// else goes to standard error; --quiet leaves that out. At the end of the input it leaves once the
/// server has taken all; to listen only: `socklab chat --join '#lab' --listen </dev/null`. The exit
/// status is 1 if a room or a line was refused: lines for a room that has put us out are, and go to
/// no other one until /join says which.
///
/// Control characters of others never reach the terminal. If the server wants a password, it may
/// stand in the environment variable SOCKLAB_CHAT_PASSWORD, too.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub struct Chat {
    /// Name or address of the server; its addresses are tried in turn
    #[arg(long, default_value = "localhost")]
    host: String,
    /// Port of the server [default: 6667, with --tls 6697]
    #[arg(long, value_parser = units::within::<u16>(1..=65_535))]
    port: Option<u16>,
    /// The name that others see; one with _ behind it if it is taken [default: $USER, or guest]
    #[arg(long, value_name = "NAME", value_parser = nick)]
    nick: Option<String>,
    /// Enter ROOM; several times, or separated by commas, for several rooms, of which the last one
    /// gets the lines. A key stands behind a space: '#lab secret'
    #[arg(long, value_name = "ROOM", value_delimiter = ',', value_parser = room)]
    join: Vec<(String, Option<String>)>,
    /// The password of the server, which others can see in the list of processes
    #[arg(long, value_name = "TEXT", conflicts_with = "password_file")]
    password: Option<String>,
    /// Take the password of the server from the first line of FILE
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// In a pipe: go on listening when the input has ended
    #[arg(long)]
    listen: bool,
    /// In a pipe: say every line as it stands, for input that others have written
    #[arg(long)]
    verbatim: bool,
    /// How long to wait for a connection, and for the server to let us in [default: 20s]
    #[arg(long, value_name = "TIME", value_parser = units::patience)]
    timeout: Option<Duration>,
    /// How long the server may show no sign of life, or take nothing of what was sent, until the
    /// connection is given up [default: 1m]
    ///
    /// Besides, a server that says nothing for two minutes is asked whether it is there, and may
    /// take one more to answer.
    #[arg(long, value_name = "TIME", value_parser = units::patience)]
    lost_after: Option<Duration>,
    /// Speak TLS (1.2 or 1.3)
    #[arg(long, help_heading = "TLS")]
    tls: bool,
    #[command(flatten)]
    trust: Trust,
}

impl Chat {
    /// Talks, and returns when the conversation is over.
    pub fn run(self) -> Result<(), Failure> {
        if let (false, Some(option)) = (self.tls, self.trust.given()) {
            misused("chat", format!("{option} needs --tls"));
        }
        let terminal = at_terminal();
        if terminal && self.verbatim {
            misused("chat", "--verbatim is for pipes; on a terminal // says a /");
        }
        if self.verbatim && self.join.is_empty() {
            misused("chat", "--verbatim says lines to a room; name it with --join");
        }
        let interrupt = interrupt::readable()?;
        let patience = self.timeout.unwrap_or(PATIENCE);
        let nick = self.nick.clone().unwrap_or_else(nick_of_user);
        let settings = Settings {
            user: user(&nick),
            nick,
            password: self.password()?,
            rooms: self.join.clone(),
            patience,
            listen: self.listen,
            verbatim: self.verbatim,
            interrupt: Some(interrupt),
        };
        let tls = self.tls.then(|| connector(&self.trust)).transpose()?;
        let port = self.port.unwrap_or(if self.tls { PORT_TLS } else { PORT });
        let lost_after = Some(self.lost_after.unwrap_or(LOST_AFTER));
        let stream = connect(&self.host, port, tls.as_ref(), patience, lost_after)?;
        let outcome = match terminal {
            true => chat::terminal(stream, &settings)?,
            false => chat::pipe(stream, &settings)?,
        };
        match outcome {
            Outcome::Left => Ok(()),
            Outcome::Interrupted => Err(Exit { status: INTERRUPTED, text: String::new() }.into()),
        }
    }

    fn password(&self) -> Result<Option<Vec<u8>>, Failure> {
        let password = match (&self.password, &self.password_file) {
            (Some(password), _) => Some(password.clone().into_bytes()),
            (None, Some(file)) => Some(first_line(file)?),
            (None, None) => env::var_os(PASSWORD).map(|text| text.into_encoded_bytes()),
        };
        match password {
            Some(password) if password.iter().any(u8::is_ascii_control) => {
                Err("cannot send the password: no server takes control characters in it".into())
            }
            password => Ok(password.filter(|password| !password.is_empty())),
        }
    }
}

fn first_line(file: &Path) -> Result<Vec<u8>, Failure> {
    let text = fs::read(file).map_err(|error| {
        let name = file.display();
        format!("cannot read {name} (--password-file): {}", cause(&error))
    })?;
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    Ok(line.strip_suffix(b"\r").unwrap_or(line).to_vec())
}

fn nick(text: &str) -> Result<String, String> {
    let wrong = |letter: char| letter.is_whitespace() || letter.is_control() || letter == ',';
    match text {
        "" => Err("it is empty".into()),
        _ if text.contains(wrong) => Err("a nick is one word, without commas".into()),
        _ if text.starts_with([':', '#', '&', '@', '$', '+']) => {
            Err("a nick begins with a letter".into())
        }
        _ => Ok(text.into()),
    }
}

fn room(text: &str) -> Result<(String, Option<String>), String> {
    if text.chars().any(char::is_control) {
        return Err("rooms have no control characters in their names".into());
    }
    let mut words = text.split_whitespace();
    match (words.next(), words.next(), words.next()) {
        (Some(room), key, None) => Ok((room_name(room), key.map(String::from))),
        (None, ..) => Err("it is empty".into()),
        _ => Err("a room is one word, and so is its key".into()),
    }
}

/// The name of whoever is logged in, as far as a nick can have it.
fn nick_of_user() -> String {
    let name = env::var("USER").or_else(|_| env::var("LOGNAME")).unwrap_or_default();
    let fits = |letter: &char| letter.is_ascii_alphanumeric() || "-_[]\\`^{|}".contains(*letter);
    let nick: String = name.chars().filter(fits).collect();
    let nick = nick.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '-');
    match &nick[..nick.len().min(NICK)] {
        "" => "guest".into(),
        nick => nick.into(),
    }
}

/// The name of the account: letters and digits that every server takes.
fn user(nick: &str) -> String {
    let user: String = nick.chars().filter(char::is_ascii_alphanumeric).take(NICK).collect();
    if user.is_empty() { "guest".into() } else { user }
}

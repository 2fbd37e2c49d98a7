//! A chat server that follows a script, and the client that talks with it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use super::run::SOCKLAB;
use super::talk::Host;

/// The server's end of a conversation.
pub struct Irc {
    lines: BufReader<TcpStream>,
    nick: String,
}

/// A server for one conversation.
pub fn host(conversation: impl FnOnce(&mut Irc) + Send + 'static) -> Host {
    Host::of(|stream| {
        conversation(&mut Irc { lines: BufReader::new(stream), nick: "nadia".into() })
    })
}

/// `socklab chat` with this server, as nadia.
pub fn chat(address: SocketAddr, arguments: &[&str]) -> Command {
    let mut command = Command::new(SOCKLAB);
    command
        .args(["chat", "--host", &address.ip().to_string()])
        .args(["--port", &address.port().to_string(), "--nick", "nadia"])
        .args(arguments)
        .env_remove("RUST_LOG")
        .env_remove("SOCKLAB_CHAT_PASSWORD")
        .env("TZ", "UTC");
    command
}

impl Irc {
    /// Says lines.
    pub fn say(&mut self, lines: &[&str]) {
        for line in lines {
            let line = format!("{line}\r\n");
            self.lines.get_mut().write_all(line.as_bytes()).expect("the client reads");
        }
    }

    /// The next line, questions and all; empty at the end.
    pub fn any(&mut self) -> String {
        let mut line = String::new();
        // A client that leaves without having read all resets the connection.
        let _ = self.lines.read_line(&mut line);
        line.trim_end_matches("\r\n").to_owned()
    }

    /// The next line that is no question; those are answered.
    pub fn hear(&mut self) -> String {
        loop {
            let line = self.any();
            match line.strip_prefix("PING ") {
                Some(token) => self.say(&[&format!(":srv PONG srv :{token}")]),
                None => return line,
            }
        }
    }

    /// Answers a question, and returns at once.
    pub fn hear_question(&mut self) {
        let question = self.any();
        let token = question.strip_prefix("PING ").expect("it is one");
        self.say(&[&format!(":srv PONG srv :{token}")]);
    }

    #[track_caller]
    pub fn hears(&mut self, lines: &[&str]) {
        for line in lines {
            assert_eq!(self.hear(), *line);
        }
    }

    /// Lets the client in, which knows capabilities, to a server that does not.
    pub fn let_in(&mut self) {
        self.hears(&["CAP LS 302", "NICK nadia", "USER nadia 0 * :nadia"]);
        self.say(&[":srv 421 nadia CAP :Unknown command", ":srv 001 nadia :Welcome"]);
    }

    /// Lets it into a room with these people.
    pub fn enter(&mut self, room: &str, names: &str) {
        assert_eq!(self.hear(), format!("JOIN {room}"));
        let nick = &self.nick;
        let lines = [
            format!(":{nick}!~{nick}@localhost JOIN {room}"),
            format!(":srv 353 {nick} = {room} :{nick} {names}"),
            format!(":srv 366 {nick} {room} :End of NAMES"),
        ];
        self.say(&lines.each_ref().map(String::as_str));
    }

    /// Hears the client leave.
    pub fn farewell(&mut self) {
        self.hears(&["QUIT"]);
        self.say(&["ERROR :Closing Link"]);
    }
}

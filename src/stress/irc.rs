//! A client of a chat: it registers, answers when it is asked whether it is there, and hears line by
//! line.

use std::sync::atomic::{AtomicU64, Ordering};

use super::arena::Arena;
use super::fault::Fault;
use super::peer::Peer;
use super::verdict::Breach;
use crate::service::chat::message::Message;

/// Nicks that are tried before it is the server's fault that none can be had.
const TRIES: usize = 8;

/// One line of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// As it came, without its end.
    pub raw: Vec<u8>,
    /// The nick of who says it, or the server's name.
    pub who: String,
    /// The command, or a number.
    pub command: String,
    /// What follows it.
    pub parameters: Vec<String>,
}

impl Line {
    fn of(raw: Vec<u8>) -> Line {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (mut who, mut command, mut parameters) = Default::default();
        if let Some(message) = Message::parse(&raw) {
            let source = message.source.unwrap_or_default();
            who = text(source.split(|byte| *byte == b'!').next().unwrap_or_default());
            command = text(message.command);
            parameters = message.parameters().iter().map(|bytes| text(bytes)).collect();
        }
        Line { raw, who, command, parameters }
    }

    /// A parameter, or nothing where there are fewer.
    pub fn parameter(&self, number: usize) -> &str {
        self.parameters.get(number).map_or("", String::as_str)
    }

    /// The last parameter.
    pub fn last(&self) -> &str {
        self.parameters.last().map_or("", String::as_str)
    }

    /// Whether it is this command of this client.
    pub fn is(&self, who: &str, command: &str) -> bool {
        self.who == who && self.command == command
    }

    /// For a report: as it came, as far as it can be read.
    pub fn shown(&self) -> String {
        let most = self.raw.len().min(100);
        format!("{:?}", String::from_utf8_lossy(&self.raw[..most]))
    }
}

/// Who has registered.
pub struct Member {
    /// Its connection.
    pub peer: Peer,
    /// What it is called.
    pub nick: String,
    /// Tokens that it has asked the server to say.
    asked: u64,
}

/// A word that nobody else on the server has: of nine letters, which every server takes.
pub fn unique(first: char) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let process = in_letters(u64::from(std::process::id()) % 36_u64.pow(3), 3);
    format!("{first}{process}{}", in_letters(COUNT.fetch_add(1, Ordering::Relaxed), 4))
}

/// A number of base 36, of so many digits at least.
fn in_letters(mut number: u64, length: usize) -> String {
    let mut letters = Vec::new();
    while number > 0 || letters.len() < length {
        letters.push(char::from_digit((number % 36) as u32, 36).expect("it is below 36"));
        number /= 36;
    }
    letters.into_iter().rev().collect()
}

impl Arena {
    /// Registers somebody new.
    pub fn member(&self) -> Result<Member, Breach> {
        self.member_over(self.call()?)
    }

    /// The same over a connection that is there.
    pub fn member_over(&self, peer: Peer) -> Result<Member, Breach> {
        let mut member = Member { peer, nick: unique('s'), asked: 0 };
        member.begin(&format!("NICK {}\r\nUSER stress 0 * :stress", member.nick));
        for _ in 0..TRIES {
            let answer = member.until(|line| {
                matches!(line.command.as_str(), "001" | "433" | "464" | "465" | "ERROR")
            })?;
            match answer.command.as_str() {
                "001" => {
                    member.nick = answer.parameter(0).to_owned();
                    return Ok(member);
                }
                "433" => {
                    member.nick = unique('s');
                    member.begin(&format!("NICK {}", member.nick));
                }
                _ => return Err(Breach::skipped(format!("nobody is let in: {}", answer.last()))),
            }
        }
        Err(Breach::broken(format!("{TRIES} nicks that nobody has are all in use")))
    }

    /// As many as that in a room of their own, and the room's name. Fewer come where no more are let
    /// in; with less than `least` it cannot be tried.
    pub fn room(&self, most: usize, least: usize) -> Result<(Vec<Member>, String), Breach> {
        let room = format!("#{}", unique('s'));
        let mut members = Vec::new();
        while members.len() < most {
            match self.member() {
                Ok(member) => members.push(member),
                Err(Breach::Interrupted) => return Err(Breach::Interrupted),
                // Or turned away at the door: no more of one address, as a rule.
                Err(_) if members.len() >= least => break,
                Err(breach) => return Err(breach),
            }
        }
        for member in &mut members {
            member.begin(&format!("JOIN {room}"));
        }
        for member in &mut members {
            member.until(|line| line.command == "366" && line.parameter(1) == room)?;
        }
        Ok((members, room))
    }
}

impl Member {
    /// Says a line, and the rest of it while it hears.
    pub fn begin(&mut self, line: &str) {
        self.peer.begin(format!("{line}\r\n").as_bytes());
    }

    /// The next line, whatever it is; only the question whether it is there is answered by itself.
    pub fn hear(&mut self) -> Result<Line, Breach> {
        loop {
            let line = Line::of(self.peer.hear_line()?);
            match line.command.as_str() {
                "PING" => self.begin(&format!("PONG :{}", line.last())),
                _ => return Ok(line),
            }
        }
    }

    /// The next line that is so; those before it are of no interest.
    pub fn until(&mut self, mut is_it: impl FnMut(&Line) -> bool) -> Result<Line, Breach> {
        loop {
            let line = self.hear()?;
            if is_it(&line) {
                return Ok(line);
            }
        }
    }

    /// Asks the server for a word; what it says before it came of what was said before.
    pub fn ask(&mut self) -> String {
        self.asked += 1;
        let token = format!("{}-{}", self.nick, self.asked);
        self.begin(&format!("PING {token}"));
        token
    }

    /// All lines up to the answer to [`Member::ask`].
    pub fn lines_until(&mut self, token: &str) -> Result<Vec<Line>, Breach> {
        let mut lines = Vec::new();
        loop {
            let line = self.hear()?;
            match line.command.as_str() {
                "PONG" if line.last() == token => return Ok(lines),
                _ => lines.push(line),
            }
        }
    }

    /// Has the server answer, and hears all lines before that.
    pub fn settle(&mut self) -> Result<Vec<Line>, Breach> {
        let token = self.ask();
        self.lines_until(&token)
    }

    /// Who is in the room, without their marks, in order.
    pub fn names(&mut self, room: &str) -> Result<Vec<String>, Breach> {
        self.begin(&format!("NAMES {room}"));
        let mut names: Vec<String> = Vec::new();
        self.until(|line| {
            if line.command == "353" && line.parameter(2) == room {
                let bare = |name: &str| name.trim_start_matches(['@', '+', '%', '&', '~']).into();
                names.extend(line.last().split_whitespace().map(bare));
            }
            line.command == "366" && line.parameter(1) == room
        })?;
        names.sort_unstable();
        Ok(names)
    }

    /// Says goodbye, and waits for the end.
    pub fn leave(mut self) -> Result<(), Breach> {
        self.begin("QUIT");
        match self.peer.outlast() {
            Ok(_) => Ok(()),
            Err(fault @ Fault::Interrupted) => Err(fault.into()),
            Err(fault) => Err(Breach::from(fault).of("after QUIT")),
        }
    }
}

//! An IRC server of every temper: it knows what a load needs, and is right but for one fault, at one
//! line, to one member.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use socklab::load::driver::{Driver, Length, Outcome, Party};
use socklab::load::pace::Pace;
use socklab::load::watch::Watch;
use socklab::load::work::Work;
use socklab::session::{ConnectionId, Output, Service, Session, Want};

use super::load::{SEED, party};

/// Whose line is bent, and which of them; and who hears it so: clients by number.
pub const TALKER: u64 = 0;
pub const LINE: u64 = 5;
pub const VICTIM: u64 = 2;

/// What goes wrong, or what is unusual and right.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Temper {
    /// Nothing.
    Right,
    /// Lines come in pieces of three bytes.
    Chops,
    /// Between any two lines it says something else, and wants its pings answered.
    Chats,
    /// Tags stand before each line, and no two are alike.
    Tags,
    /// A word without a space in it is not marked as the last one.
    Terse,
    /// Each nick is taken at first.
    KnowsThatName,
    /// It wants this password.
    Locked(&'static str),
    /// There everything stops for so long, once.
    Stalls(Duration),

    /// The line does not come.
    Loses,
    /// It comes twice.
    Duplicates,
    /// It comes after the next one.
    Reorders,
    /// A bit of its last byte is turned.
    Corrupts,
    /// Its last byte does not come.
    Shortens,
    /// It comes from somebody else in the room.
    Renames,
    /// It comes from another host.
    Moves,
    /// It comes as if said in another room.
    Misdirects,
    /// The talker hears it, too.
    Echoes,
    /// It is followed by one that nobody has said.
    Invents,
    /// The talker is told this instead.
    Refuses(&'static str),
    /// The victim is told this instead, and the connection ends.
    Dismisses(&'static str),
    /// The victim's connection ends there.
    Closes,

    /// Nobody is welcomed.
    Mute,
    /// Everybody hears this when he comes, and the connection ends.
    Greets(&'static str),
    /// Nobody is let into a room, but told this.
    Bars(&'static str),
}

/// The server.
#[derive(Clone)]
pub struct Irc {
    temper: Temper,
    hall: Arc<Mutex<Hall>>,
    /// Pings sent, and answered.
    pub pings: Arc<AtomicU64>,
    pub pongs: Arc<AtomicU64>,
}

#[derive(Default)]
struct Hall {
    members: Vec<Member>,
    refused: Vec<Vec<u8>>,
    /// A line that waits for the next one.
    held: Option<Arc<[u8]>>,
    stalled: bool,
}

#[derive(Clone)]
struct Member {
    id: ConnectionId,
    nick: Vec<u8>,
    room: Vec<u8>,
}

struct Guest {
    irc: Irc,
    id: ConnectionId,
    nick: Vec<u8>,
    password: Vec<u8>,
    welcomed: bool,
    /// The beginning of a line.
    partial: Vec<u8>,
}

impl Irc {
    pub fn of(temper: Temper) -> Irc {
        Irc { temper, hall: Arc::default(), pings: Arc::default(), pongs: Arc::default() }
    }

    fn hall(&self) -> MutexGuard<'_, Hall> {
        self.hall.lock().unwrap()
    }
}

impl Service for Irc {
    fn accept(&self, _peer: SocketAddr, id: ConnectionId) -> Box<dyn Session> {
        let (nick, password, partial) = Default::default();
        Box::new(Guest { irc: self.clone(), id, nick, password, welcomed: false, partial })
    }

    fn takes_mail(&self) -> bool {
        true
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        if let Ok(mut hall) = self.irc.hall.lock() {
            hall.members.retain(|member| member.id != self.id);
        }
    }
}

impl Session for Guest {
    fn open(&mut self, out: &mut Output) -> Want {
        match self.irc.temper {
            Temper::Greets(words) => {
                out.write(words.as_bytes());
                Want::Close
            }
            Temper::Chats => {
                out.write(b"NOTICE AUTH :*** who are you?\r\nPING :who-are-you\r\n");
                self.irc.pings.fetch_add(1, Ordering::SeqCst);
                Want::Read
            }
            _ => Want::Read,
        }
    }

    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        self.partial.extend_from_slice(input);
        while let Some(end) = self.partial.windows(2).position(|two| two == b"\r\n") {
            let line: Vec<u8> = self.partial.drain(..end + 2).take(end).collect();
            if self.line(&line, out) == Want::Close {
                return Want::Close;
            }
        }
        Want::Read
    }

    fn deliver(&mut self, mail: &[u8], out: &mut Output) -> Want {
        out.write(mail);
        match mail.is_empty() || mail.starts_with(b"ERROR") {
            true => Want::Close,
            false => Want::Read,
        }
    }
}

/// The client's number, as it stands at the end of each nick.
pub fn number(nick: &[u8]) -> u64 {
    let digits = std::str::from_utf8(&nick[nick.len() - 4..]).unwrap();
    u64::from_str_radix(digits, 36).unwrap()
}

impl Guest {
    fn line(&mut self, line: &[u8], out: &mut Output) -> Want {
        let text = String::from_utf8(line.to_vec()).unwrap();
        let (command, rest) = text.split_once(' ').unwrap_or((&text, ""));
        let word = rest.strip_prefix(':').unwrap_or(rest);
        match command {
            _ if self.irc.temper == Temper::Mute => {}
            "PASS" => self.password = word.into(),
            "NICK" => {
                let mut hall = self.irc.hall();
                let nick = word.as_bytes().to_vec();
                let taken = self.irc.temper == Temper::KnowsThatName
                    && !hall
                        .refused
                        .iter()
                        .any(|one| one[one.len() - 4..] == nick[nick.len() - 4..]);
                if taken {
                    out.write(format!(":irc.test 433 * {word} :Nickname is taken\r\n").as_bytes());
                    hall.refused.push(nick);
                } else {
                    self.nick = nick;
                    drop(hall);
                    return self.welcome(out);
                }
            }
            "USER" => return self.welcome(out),
            "JOIN" => self.join(word.as_bytes(), out),
            "PRIVMSG" => {
                let (room, said) = rest.split_once(" :").unwrap();
                return self.say(room, said.as_bytes(), out);
            }
            "PING" => out.write(format!(":irc.test PONG irc.test :{word}\r\n").as_bytes()),
            "PONG" => {
                self.irc.pongs.fetch_add(1, Ordering::SeqCst);
            }
            "QUIT" => return Want::Close,
            other => panic!("a load does not say {other}"),
        }
        Want::Read
    }

    /// Who has said both.
    fn welcome(&mut self, out: &mut Output) -> Want {
        if let Temper::Locked(password) = self.irc.temper
            && password.as_bytes() != self.password
        {
            out.write(b":irc.test 464 * :Password incorrect\r\n");
            return Want::Close;
        }
        if !self.welcomed && !self.nick.is_empty() {
            self.welcomed = true;
            let nick = String::from_utf8(self.nick.clone()).unwrap();
            let welcome = format!(
                ":irc.test 001 {nick} :Welcome\r\n:irc.test 005 {nick} NICKLEN=9 :are supported\r\n\
                 :irc.test 422 {nick} :There is no message of the day\r\n"
            );
            out.write(welcome.as_bytes());
        }
        Want::Read
    }

    fn join(&mut self, room: &[u8], out: &mut Output) {
        if let Temper::Bars(numeric) = self.irc.temper {
            return out.write(numeric.as_bytes());
        }
        let mut hall = self.irc.hall();
        let member = Member { id: self.id, nick: self.nick.clone(), room: room.to_vec() };
        hall.members.push(member);
        let joined = [b":", &self.nick[..], b"!s@host JOIN :", room, b"\r\n"].concat();
        out.write(&joined);
        let mut names = Vec::new();
        for member in hall.members.iter().filter(|member| member.room == room) {
            names.extend_from_slice(if names.is_empty() { b"@" } else { b" " });
            names.extend_from_slice(&member.nick);
            if member.id != self.id {
                out.post(member.id, joined.clone().into());
            }
        }
        let head = [b":irc.test 353 ", &self.nick[..], b" = ", room, b" :"].concat();
        let tail = [b":irc.test 366 ", &self.nick[..], b" ", room, b" :End\r\n"].concat();
        out.write(&[&head[..], &names, b"\r\n", &tail].concat());
    }

    fn say(&mut self, room: &str, said: &[u8], out: &mut Output) -> Want {
        let line = std::str::from_utf8(&said[5..12]).unwrap();
        let line = u64::from_str_radix(line, 36).unwrap();
        let temper = self.irc.temper;
        let mut hall = self.irc.hall();
        if line == LINE && !hall.stalled {
            hall.stalled = true;
            if let Temper::Stalls(time) = temper {
                thread::sleep(time);
            }
        }
        let here = number(&self.nick) == TALKER && line == LINE;
        if here && let Temper::Refuses(words) = temper {
            out.write(words.as_bytes());
            return Want::Read;
        }
        let right = whole(temper, line, &self.nick, room, said);
        if here && temper == Temper::Echoes {
            out.write(&right);
        }
        let members = hall.members.clone();
        let others = members.iter().filter(|one| one.room == room.as_bytes() && one.id != self.id);
        for member in others {
            if temper == Temper::Chats {
                self.irc.pings.fetch_add(1, Ordering::SeqCst);
                let chat = b":irc.test NOTICE * :how nice\r\nPING :still-there\r\n\
                             :irc.test 372 x :- more of the day\r\n:o!o@o TOPIC #x :other\r\n";
                out.post(member.id, chat[..].into());
            }
            if here && number(&member.nick) == VICTIM {
                self.bend(member, &mut hall, (room, said), &right, out);
            } else if number(&self.nick) == TALKER && number(&member.nick) == VICTIM {
                out.post(member.id, right.clone());
                // What was held comes after it.
                if let Some(held) = hall.held.take() {
                    out.post(member.id, held);
                }
            } else if temper == Temper::Chops {
                right.chunks(3).for_each(|piece| out.post(member.id, piece.into()));
            } else {
                out.post(member.id, right.clone());
            }
        }
        Want::Read
    }

    /// Does to the victim what the temper says.
    fn bend(
        &self,
        victim: &Member,
        hall: &mut Hall,
        (room, said): (&str, &[u8]),
        right: &Arc<[u8]>,
        out: &mut Output,
    ) {
        let other =
            |nick: &[u8], room: &str, said: &[u8]| whole(Temper::Right, LINE, nick, room, said);
        let mut bent = said.to_vec();
        let words = match self.irc.temper {
            Temper::Loses => return,
            Temper::Reorders => {
                hall.held = Some(right.clone());
                return;
            }
            Temper::Duplicates => {
                out.post(victim.id, right.clone());
                right.clone()
            }
            Temper::Corrupts => {
                // It stays a letter.
                *bent.last_mut().unwrap() ^= 1;
                other(&self.nick, room, &bent)
            }
            Temper::Shortens => other(&self.nick, room, &said[..said.len() - 1]),
            Temper::Renames => {
                let mut nick = self.nick.clone();
                *nick.last_mut().unwrap() = b'1';
                other(&nick, room, said)
            }
            Temper::Moves => {
                let text = String::from_utf8(right.to_vec()).unwrap();
                text.replace("!s@host ", "!s@elsewhere ").into_bytes().into()
            }
            Temper::Misdirects => other(&self.nick, "#elsewhere", said),
            Temper::Invents => {
                out.post(victim.id, right.clone());
                other(&self.nick, room, b"buy now")
            }
            Temper::Dismisses(words) => words.as_bytes().into(),
            Temper::Closes => [][..].into(),
            _ => right.clone(),
        };
        out.post(victim.id, words);
    }
}

/// A line as members hear it.
fn whole(temper: Temper, line: u64, nick: &[u8], room: &str, said: &[u8]) -> Arc<[u8]> {
    let tags = match temper {
        Temper::Tags => format!("@time={line};x=y "),
        _ => String::new(),
    };
    let mark: &[u8] = if temper == Temper::Terse { b" " } else { b" :" };
    [tags.as_bytes(), b":", nick, b"!s@host PRIVMSG ", room.as_bytes(), mark, said, b"\r\n"]
        .concat()
        .into()
}

/// A room of three, one of whom talks.
pub fn room(server: SocketAddr) -> Party {
    rooms(server, (1, 3, 1), 64)
}

pub fn rooms(server: SocketAddr, (rooms, members, talkers): Shape, size: u64) -> Party {
    let work = Work::chat(size, SEED, rooms, talkers).acknowledged(true);
    Party { sources: Vec::new(), ..party(server, rooms * members, work) }
}

/// Rooms, members of each, and talkers of those.
pub type Shape = (usize, usize, usize);

/// Lets everybody in, says so many lines, and leaves.
pub fn load(party: &Party, pace: Pace, rate: Option<f64>, lines: u64) -> Outcome {
    let mut driver = Driver::new(party, Arc::new(Watch::new())).unwrap();
    let connected = driver.connect().unwrap();
    assert_eq!(connected.faults.total(), 0, "{:?}", connected.faults);
    assert_eq!(connected.connected, party.clients);
    let outcome = driver.slice(pace, rate, Length::Messages(lines)).unwrap();
    let left = driver.leave().unwrap();
    Outcome { faults: left.faults, ..outcome }
}

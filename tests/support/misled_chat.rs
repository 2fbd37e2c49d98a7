//! The chat among the misled servers.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use super::misled::{DEADLINE, Misled};

/// Lines that may wait for somebody.
const WAITING: usize = 1000;

/// Lines that one may say where others slow him down.
const TOO_MUCH: usize = 200;

/// Bytes of a line without its end.
const LONGEST: u64 = 510;

pub struct Hall {
    fault: Misled,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    serial: u64,
    people: BTreeMap<u64, Person>,
    rooms: BTreeMap<String, BTreeSet<u64>>,
}

struct Person {
    nick: String,
    has_user: bool,
    is_welcome: bool,
    lines: SyncSender<String>,
    stream: Arc<TcpStream>,
}

impl State {
    fn tell(&self, id: u64, line: &str) -> bool {
        let person = self.people.get(&id);
        person.is_none_or(|person| person.lines.try_send(format!("{line}\r\n")).is_ok())
    }

    /// Lets somebody in who has said both of its names.
    fn welcome(&mut self, id: u64) {
        let Some(person) = self.people.get_mut(&id) else { return };
        if person.has_user && !person.nick.is_empty() && !person.is_welcome {
            person.is_welcome = true;
            let welcome = format!(":x.y 001 {} :welcome", person.nick);
            self.tell(id, &welcome);
        }
    }

    fn owner(&self, nick: &str) -> bool {
        self.people.values().any(|person| person.nick == nick)
    }

    /// Those who share a room with somebody, and that one.
    fn neighbours(&self, id: u64) -> BTreeSet<u64> {
        let rooms = self.rooms.values().filter(|members| members.contains(&id));
        rooms.flatten().copied().chain([id]).collect()
    }
}

impl Hall {
    pub fn new(fault: Misled) -> Hall {
        Hall { fault, state: Mutex::default() }
    }

    /// Until one of both closes.
    pub fn serve(self: &Arc<Hall>, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        // So that what waits for somebody waits here, and soon.
        SockRef::from(&stream).set_send_buffer_size(16 * 1024)?;
        let stream = Arc::new(stream);
        let (lines, waiting) = sync_channel::<String>(WAITING);
        let writer = stream.clone();
        thread::spawn(move || {
            while let Ok(line) = waiting.recv() {
                if (&*writer).write_all(line.as_bytes()).is_err() {
                    return;
                }
            }
            let _ = writer.shutdown(Shutdown::Both);
        });
        let id = {
            let mut state = self.state.lock().unwrap();
            state.serial += 1;
            let (id, stream) = (state.serial, stream.clone());
            let nick = String::new();
            let person = Person { nick, has_user: false, is_welcome: false, lines, stream };
            state.people.insert(id, person);
            id
        };
        if self.fault != Misled::WaitsForNames {
            let hall = self.clone();
            thread::spawn(move || {
                thread::sleep(2 * DEADLINE);
                match hall.state.lock().unwrap().people.get(&id) {
                    Some(person) if !person.is_welcome => person.stream.shutdown(Shutdown::Both),
                    _ => Ok(()),
                }
            });
        }
        let reason = self.hear_all(id, &stream).unwrap_or_else(|_| "Connection closed".into());
        self.leave(id, &reason);
        Ok(())
    }

    fn hear_all(&self, id: u64, stream: &TcpStream) -> io::Result<String> {
        let mut reader = BufReader::new(stream);
        let mut said = 0;
        loop {
            said += 1;
            if self.fault == Misled::SlowsAll && said > TOO_MUCH {
                let _everybody = self.state.lock().unwrap();
                thread::sleep(Duration::from_secs(5));
            }
            let mut line = Vec::new();
            // One over the longest tells that it is too long.
            (&mut reader).take(LONGEST + 1).read_until(b'\n', &mut line)?;
            if line.is_empty() {
                return Ok("Connection closed".into());
            }
            if !line.ends_with(b"\n") && self.fault != Misled::CutsLines {
                let mut rest = Vec::new();
                reader.read_until(b'\n', &mut rest)?;
                continue;
            }
            let text = String::from_utf8_lossy(&line).replace(['\r', '\n', '\0'], "");
            if let Some(reason) = self.hear(id, &text) {
                return Ok(reason);
            }
        }
    }

    /// Why it leaves, if it does.
    fn hear(&self, id: u64, line: &str) -> Option<String> {
        let (words, trailing) = match line.split_once(" :") {
            Some((words, trailing)) => (words, Some(trailing)),
            None => (line, None),
        };
        let mut words: Vec<&str> = words.split_whitespace().collect();
        words.extend(trailing);
        let (command, parameter) = (*words.first()?, words.get(1).copied().unwrap_or_default());
        let mut state = self.state.lock().unwrap();
        let me = state.people.get(&id)?.nick.clone();
        match command {
            "NICK" => {
                let nick = parameter.to_owned();
                if state.owner(&nick) && self.fault != Misled::GivesNicksTwice {
                    state.tell(id, &format!(":x.y 433 {nick} {nick} :in use"));
                    return None;
                }
                if state.people[&id].is_welcome {
                    for other in state.neighbours(id) {
                        state.tell(other, &format!(":{me}!u@h NICK {nick}"));
                    }
                }
                state.people.get_mut(&id)?.nick = nick;
                state.welcome(id);
            }
            "USER" => {
                state.people.get_mut(&id)?.has_user = true;
                state.welcome(id);
            }
            "PING" => {
                state.tell(id, &format!(":x.y PONG x.y :{parameter}"));
            }
            "JOIN" => {
                state.rooms.entry(parameter.into()).or_default().insert(id);
                for &other in &state.rooms[parameter] {
                    state.tell(other, &format!(":{me}!u@h JOIN {parameter}"));
                }
                self.names(&state, id, &me, parameter);
            }
            "PART" => {
                for &other in state.rooms.get(parameter)? {
                    state.tell(other, &format!(":{me}!u@h PART {parameter}"));
                }
                if self.fault != Misled::KeepsMembers {
                    state.rooms.get_mut(parameter)?.remove(&id);
                }
            }
            "NAMES" => self.names(&state, id, &me, parameter),
            "PRIVMSG" => {
                let text = words.get(2).copied().unwrap_or_default();
                let line: String = format!(":{me}!u@h PRIVMSG {parameter} :{text}")
                    .chars()
                    .take(LONGEST as usize)
                    .collect();
                self.pass_on(&mut state, id, parameter, &line);
            }
            "QUIT" => return Some("Quit".into()),
            _ => {}
        }
        None
    }

    fn pass_on(&self, state: &mut State, from: u64, room: &str, line: &str) {
        let members: Vec<u64> = state.rooms.get(room).into_iter().flatten().copied().collect();
        for other in members.into_iter().rev() {
            if other != from && !state.tell(other, line) {
                if self.fault == Misled::DropsLines {
                    // The others do without it.
                    return;
                }
                let _ = state.people[&other].stream.shutdown(Shutdown::Both);
                Hall::depart(state, other, "SendQ exceeded", 1);
            }
        }
    }

    fn names(&self, state: &State, id: u64, me: &str, room: &str) {
        let members = state.rooms.get(room).into_iter().flatten();
        let names = members.filter_map(|member| state.people.get(member));
        for name in names.map(|person| &person.nick) {
            state.tell(id, &format!(":x.y 353 {me} = {room} :{name}"));
        }
        state.tell(id, &format!(":x.y 366 {me} {room} :end"));
    }

    fn leave(&self, id: u64, reason: &str) {
        let times = if self.fault == Misled::RepeatsDepartures { 2 } else { 1 };
        Hall::depart(&mut self.state.lock().unwrap(), id, reason, times);
    }

    fn depart(state: &mut State, id: u64, reason: &str, times: usize) {
        let neighbours = state.neighbours(id);
        let Some(person) = state.people.remove(&id) else { return };
        for other in neighbours {
            for _ in 0..times {
                state.tell(other, &format!(":{}!u@h QUIT :{reason}", person.nick));
            }
        }
        state.rooms.values_mut().for_each(|members| {
            members.remove(&id);
        });
        // Its thread that writes says what waits, and ends.
        let _ = person.stream.set_write_timeout(Some(Duration::from_secs(1)));
    }
}

//! The rooms one is in, who else is there, and the one that lines go to.
//!
//! Words never go to a room that the prompt did not name when they were typed. So no server has a say
//! in where lines go: a room entered because we asked to is the current one from the next prompt on,
//! and one that we are put out of has no successor until another one is asked for.

use std::collections::BTreeMap;

use super::plain;
use super::server::Server;

/// The rooms, in the order they were entered.
#[derive(Default)]
pub struct Rooms {
    list: Vec<Room>,
    /// The room that was chosen last. We may have left it since.
    chosen: Option<String>,
    /// The one that is chosen with the next prompt.
    next: Option<String>,
    /// A prompt names the one that is chosen.
    prompted: bool,
    /// Those that we asked to enter, and were not answered.
    asked: Vec<String>,
}

/// One of them.
pub struct Room {
    /// Its name as the server spells it.
    pub name: String,
    folded: String,
    /// Who is there: folded nicks, and as they are spelled.
    people: BTreeMap<String, String>,
    /// Names listed so far, with what stands before them; the list is not complete yet.
    listed: Vec<String>,
}

impl Rooms {
    /// Where lines go. `None`: nowhere, until a room is chosen.
    pub fn current(&self) -> Option<&Room> {
        let chosen = self.chosen.as_ref()?;
        self.list.iter().find(|room| room.name == *chosen)
    }

    /// The room that lines went to, and we are not in any more.
    pub fn lost(&self) -> Option<&str> {
        self.chosen.as_deref().filter(|_| self.current().is_none())
    }

    /// A prompt is about to name the current room: it stays the same until the next one does, unless
    /// what is typed says otherwise.
    pub fn prompt(&mut self) {
        self.prompted = true;
        if let Some(next) = self.next.take() {
            self.chosen = Some(next);
        }
    }

    /// Whether we are in none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether messages need to say which room they are from.
    pub fn are_several(&self) -> bool {
        self.list.len() > 1
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Room> {
        self.list.iter()
    }

    /// The room that is called so.
    pub fn find(&self, server: &Server, name: &str) -> Option<&Room> {
        let folded = server.fold(name);
        self.list.iter().find(|room| room.folded == folded)
    }

    /// The same, to change it.
    pub fn find_mut(&mut self, server: &Server, name: &str) -> Option<&mut Room> {
        let folded = server.fold(name);
        self.list.iter_mut().find(|room| room.folded == folded)
    }

    /// The server is asked to let us into these rooms, which are separated by commas.
    pub fn ask(&mut self, names: &str) {
        self.asked.extend(names.split(',').map(|name| plain(name.as_bytes())));
    }

    /// It answers for a room. Whether we had asked.
    pub fn answered(&mut self, server: &Server, name: &str) -> bool {
        let before = self.asked.len();
        self.asked.retain(|asked| !server.same(asked, name));
        self.asked.len() < before
    }

    /// We are in a room, which gets the lines if we asked for it: servers and their operators put
    /// people into rooms, too.
    pub fn enter(&mut self, server: &Server, name: &str) {
        let asked = self.answered(server, name);
        if self.find(server, name).is_none() {
            self.list.push(Room {
                name: name.into(),
                folded: server.fold(name),
                people: BTreeMap::new(),
                listed: Vec::new(),
            });
        }
        if asked {
            let name = self.find(server, name).map(|room| room.name.clone());
            match self.prompted {
                true => self.next = name,
                false => self.chosen = name,
            }
        }
    }

    /// Makes a room that was entered before the current one. `false`: there is none of that name.
    pub fn turn_to(&mut self, server: &Server, name: &str) -> bool {
        let Some(room) = self.find(server, name) else { return false };
        (self.chosen, self.next) = (Some(room.name.clone()), None);
        true
    }

    /// Leaves a room.
    pub fn leave(&mut self, server: &Server, name: &str) {
        let folded = server.fold(name);
        self.list.retain(|room| room.folded != folded);
    }

    /// Somebody is gone from all rooms.
    pub fn forget(&mut self, server: &Server, nick: &str) {
        let folded = server.fold(nick);
        for room in &mut self.list {
            room.people.remove(&folded);
        }
    }

    /// Somebody is called otherwise from now on.
    pub fn rename(&mut self, server: &Server, from: &str, to: &str) {
        let (from, folded) = (server.fold(from), server.fold(to));
        for room in &mut self.list {
            if room.people.remove(&from).is_some() {
                room.people.insert(folded.clone(), to.into());
            }
        }
    }
}

impl Room {
    /// Who is there, sorted.
    pub fn people(&self) -> impl Iterator<Item = &str> {
        self.people.values().map(String::as_str)
    }

    /// Somebody has come.
    pub fn add(&mut self, server: &Server, nick: &str) {
        self.people.insert(server.fold(nick), nick.into());
    }

    /// Somebody has left.
    pub fn remove(&mut self, server: &Server, nick: &str) {
        self.people.remove(&server.fold(nick));
    }

    /// Takes in names as they are listed, several lines of them.
    pub fn list(&mut self, names: &str) {
        self.listed.extend(names.split(' ').filter(|name| !name.is_empty()).map(String::from));
    }

    /// The list is complete: everybody in it, sorted without regard to what stands before them.
    pub fn listed(&mut self, server: &Server) -> Vec<String> {
        let mut names = std::mem::take(&mut self.listed);
        names.sort_by_cached_key(|name| server.fold(server.nick_of(name)));
        names.dedup();
        let nicks = names.iter().map(|name| server.nick_of(name));
        self.people = nicks.map(|nick| (server.fold(nick), nick.into())).collect();
        names
    }
}

//! The rooms one is in, and who else is there.

use std::collections::BTreeMap;

use super::server::Server;

/// The rooms, in the order they were entered; lines typed go to the current one.
#[derive(Default)]
pub struct Rooms {
    list: Vec<Room>,
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
    /// Where lines go: the room entered, or turned to, last.
    pub fn current(&self) -> Option<&Room> {
        self.list.last()
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

    /// Enters a room, which is the current one then.
    pub fn enter(&mut self, server: &Server, name: &str) {
        if !self.turn_to(server, name) {
            self.list.push(Room {
                name: name.into(),
                folded: server.fold(name),
                people: BTreeMap::new(),
                listed: Vec::new(),
            });
        }
    }

    /// Makes a room that was entered before the current one. `false`: there is none of that name.
    pub fn turn_to(&mut self, server: &Server, name: &str) -> bool {
        let folded = server.fold(name);
        let Some(at) = self.list.iter().position(|room| room.folded == folded) else {
            return false;
        };
        let room = self.list.remove(at);
        self.list.push(room);
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

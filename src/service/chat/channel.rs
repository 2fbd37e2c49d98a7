//! A channel: who is on it, and what its operators have decided.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{SystemTime, UNIX_EPOCH};

use super::mask;
use crate::session::ConnectionId;

/// Masks that each list of a channel may hold (MAXLIST).
pub const MOST_MASKS: usize = 100;

/// A channel exists as long as somebody is on it.
pub struct Channel {
    /// As who created it wrote it.
    pub name: String,
    pub created: SystemTime,
    pub topic: Option<Topic>,
    pub members: BTreeMap<ConnectionId, Member>,
    pub flags: Flags,
    pub key: Option<String>,
    pub limit: Option<usize>,
    /// `b`, `e` and `I`, in this order.
    pub lists: [Vec<Entry>; 3],
    /// Who was invited and has not come yet.
    pub invited: BTreeSet<ConnectionId>,
}

pub struct Topic {
    pub text: String,
    /// `nick!user@host`.
    pub setter: String,
    pub time: SystemTime,
}

/// What a member may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Member {
    pub operator: bool,
    pub voice: bool,
}

impl Member {
    /// `@`, `+`, or the higher one of both.
    pub fn signs(self, all: bool) -> &'static str {
        match (self.operator, self.voice) {
            (true, true) if all => "@+",
            (true, _) => "@",
            (false, true) => "+",
            (false, false) => "",
        }
    }
}

/// Modes without a parameter, by letter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u8);

impl Flags {
    /// Only those invited may join.
    pub const INVITE_ONLY: Flags = Flags(1);
    /// Only operators and those with a voice may speak.
    pub const MODERATED: Flags = Flags(2);
    /// Only members may speak.
    pub const NO_EXTERNAL: Flags = Flags(4);
    /// Nobody else is told that it exists.
    pub const SECRET: Flags = Flags(8);
    /// Only operators may set the topic.
    pub const TOPIC: Flags = Flags(16);

    const LETTERS: [(char, Flags); 5] = [
        ('i', Flags::INVITE_ONLY),
        ('m', Flags::MODERATED),
        ('n', Flags::NO_EXTERNAL),
        ('s', Flags::SECRET),
        ('t', Flags::TOPIC),
    ];

    pub fn of_letter(letter: char) -> Option<Flags> {
        let found = Flags::LETTERS.into_iter().find(|(known, _)| *known == letter);
        found.map(|(_, flag)| flag)
    }

    pub fn have(self, flag: Flags) -> bool {
        self.0 & flag.0 != 0
    }

    /// Sets it or takes it away. Whether that changed anything.
    pub fn set(&mut self, flag: Flags, on: bool) -> bool {
        let before = self.0;
        self.0 = if on { before | flag.0 } else { before & !flag.0 };
        self.0 != before
    }

    fn letters(self) -> impl Iterator<Item = char> {
        Flags::LETTERS
            .into_iter()
            .filter(move |(_, flag)| self.have(*flag))
            .map(|(letter, _)| letter)
    }
}

/// A mask in a list.
pub struct Entry {
    pub mask: String,
    /// `nick!user@host`.
    pub setter: String,
    pub time: SystemTime,
}

/// The lists of masks, by letter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum List {
    Ban = 0,
    Exception = 1,
    Invitation = 2,
}

impl List {
    pub fn of_letter(letter: char) -> Option<List> {
        match letter {
            'b' => Some(List::Ban),
            'e' => Some(List::Exception),
            'I' => Some(List::Invitation),
            _ => None,
        }
    }
}

impl Channel {
    /// As it is when its first member comes in, who becomes its operator: outsiders are not heard,
    /// and the topic is the operator's.
    pub fn new(name: &str) -> Channel {
        let mut flags = Flags::default();
        flags.set(Flags::NO_EXTERNAL, true);
        flags.set(Flags::TOPIC, true);
        Channel {
            name: name.into(),
            created: SystemTime::now(),
            topic: None,
            members: BTreeMap::new(),
            flags,
            key: None,
            limit: None,
            lists: Default::default(),
            invited: BTreeSet::new(),
        }
    }

    pub fn member(&self, id: ConnectionId) -> Option<Member> {
        self.members.get(&id).copied()
    }

    pub fn has_operator(&self, id: ConnectionId) -> bool {
        self.member(id).is_some_and(|member| member.operator)
    }

    /// Whether somebody, member or not, may know that it is there.
    pub fn is_visible_to(&self, id: ConnectionId) -> bool {
        !self.flags.have(Flags::SECRET) || self.members.contains_key(&id)
    }

    pub fn list(&self, list: List) -> &[Entry] {
        &self.lists[list as usize]
    }

    fn is_on(&self, list: List, source: &str) -> bool {
        let matches = |entry: &Entry| mask::matches(entry.mask.as_bytes(), source.as_bytes());
        self.list(list).iter().any(matches)
    }

    /// Whether `source` (`nick!user@host`) is banned, and not excepted.
    pub fn bans(&self, source: &str) -> bool {
        self.is_on(List::Ban, source) && !self.is_on(List::Exception, source)
    }

    /// Whether `source` needs no invitation.
    pub fn welcomes(&self, source: &str) -> bool {
        self.is_on(List::Invitation, source)
    }

    /// Whether `id`, who is `source`, may speak here.
    pub fn hears(&self, id: ConnectionId, source: &str) -> bool {
        match self.member(id) {
            Some(Member { operator: true, .. } | Member { voice: true, .. }) => true,
            Some(_) => !self.flags.have(Flags::MODERATED) && !self.bans(source),
            None => {
                let closed = [Flags::NO_EXTERNAL, Flags::MODERATED];
                !closed.into_iter().any(|flag| self.flags.have(flag)) && !self.bans(source)
            }
        }
    }

    /// `+klnt key 5`, the key only for those who may know it.
    pub fn modes(&self, with_key: bool) -> Vec<String> {
        let mut letters: String = self.flags.letters().collect();
        let mut parameters = Vec::new();
        if let Some(key) = &self.key {
            letters.push('k');
            parameters.push(if with_key { key.clone() } else { "*".into() });
        }
        if let Some(limit) = self.limit {
            letters.push('l');
            parameters.push(limit.to_string());
        }
        let mut modes = vec![format!("+{letters}")];
        modes.append(&mut parameters);
        modes
    }
}

/// Seconds since 1970, as IRC tells times.
pub fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

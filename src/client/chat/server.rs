//! What a server says of itself (RPL_ISUPPORT): which names are the same, what a room's name begins
//! with, and what stands before the names of operators.

/// What is known of a server. Until it says otherwise, what RFC 1459 has.
pub struct Server {
    /// `[]\~` are capitals of `{}|^` (RFC 1459, 2.2).
    scandinavian: bool,
    room_marks: String,
    rank_marks: String,
}

impl Default for Server {
    fn default() -> Server {
        Server { scandinavian: true, room_marks: "#&+!".into(), rank_marks: "~&@%+".into() }
    }
}

impl Server {
    /// Takes in one parameter of a line 005.
    pub fn learn(&mut self, parameter: &str) {
        match parameter.split_once('=') {
            Some(("CASEMAPPING", mapping)) => self.scandinavian = mapping.starts_with("rfc1459"),
            Some(("CHANTYPES", marks)) => self.room_marks = marks.into(),
            Some(("PREFIX", ranks)) => {
                if let Some((_, marks)) = ranks.split_once(')') {
                    self.rank_marks = marks.into();
                }
            }
            _ => {}
        }
    }

    /// The same for all spellings of a name.
    pub fn fold(&self, name: &str) -> String {
        let fold = |letter: char| match letter {
            '[' if self.scandinavian => '{',
            ']' if self.scandinavian => '}',
            '\\' if self.scandinavian => '|',
            '~' if self.scandinavian => '^',
            letter => letter.to_ascii_lowercase(),
        };
        name.chars().map(fold).collect()
    }

    /// Whether two spellings are one name.
    pub fn same(&self, one: &str, other: &str) -> bool {
        self.fold(one) == self.fold(other)
    }

    /// Whether this is the name of a room, not a nick.
    pub fn is_room(&self, name: &str) -> bool {
        name.starts_with(|mark| self.room_marks.contains(mark))
    }

    /// The room that a target means: `@#lab` are the operators of `#lab`.
    pub fn room_of<'a>(&self, target: &'a str) -> Option<&'a str> {
        let bare = self.nick_of(target);
        [target, bare].into_iter().find(|name| self.is_room(name))
    }

    /// A name in a list without what stands before it.
    pub fn nick_of<'a>(&self, listed: &'a str) -> &'a str {
        listed.trim_start_matches(|mark| self.rank_marks.contains(mark))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_as_the_server_compares_them() {
        let mut server = Server::default();
        assert!(server.same("Nadia[x]", "nadia{X}"));
        server.learn("CASEMAPPING=ascii");
        assert!(server.same("Nadia", "nADIA") && !server.same("a[", "a{"));
    }

    #[test]
    fn rooms_are_told_from_people() {
        let mut server = Server::default();
        assert!(server.is_room("#lab") && server.is_room("&lab") && !server.is_room("nadia"));
        assert_eq!(server.room_of("@#lab"), Some("#lab"));
        assert_eq!(server.room_of("nadia"), None);
        assert_eq!(server.nick_of("@+nadia"), "nadia");
        server.learn("CHANTYPES=#");
        assert!(!server.is_room("&lab"));
        server.learn("PREFIX=(o)!");
        assert_eq!(server.nick_of("!nadia"), "nadia");
    }
}

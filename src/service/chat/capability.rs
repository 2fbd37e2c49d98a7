//! What a client may ask for beyond RFC 1459 (IRCv3), each a bit.

use std::fmt;

/// A set of capabilities.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Capabilities(u16);

macro_rules! capabilities {
    ($($(#[$attribute:meta])* $constant:ident = $bit:literal, $name:literal;)*) => {
        impl Capabilities {
            $($(#[$attribute])* pub const $constant: Capabilities = Capabilities(1 << $bit);)*

            /// Each with its name, in the order they are listed.
            const NAMES: &[(Capabilities, &str)] = &[$((Capabilities::$constant, $name)),*];
        }
    };
}

capabilities! {
    /// AWAY of those on the same channels.
    AWAY_NOTIFY = 0, "away-notify";
    /// Lines that belong together are marked.
    BATCH = 1, "batch";
    /// News of capabilities. There are none as long as the server runs.
    CAP_NOTIFY = 2, "cap-notify";
    /// One's own words come back as the others hear them.
    ECHO_MESSAGE = 3, "echo-message";
    /// JOIN says more of who joins.
    EXTENDED_JOIN = 4, "extended-join";
    /// INVITE of others to one's channels.
    INVITE_NOTIFY = 5, "invite-notify";
    /// Answers carry the label of the question.
    LABELED_RESPONSE = 6, "labeled-response";
    /// Tags that clients give each other, and TAGMSG.
    MESSAGE_TAGS = 7, "message-tags";
    /// All signs of a member, not only the highest one.
    MULTI_PREFIX = 8, "multi-prefix";
    /// When a line was said.
    SERVER_TIME = 9, "server-time";
    /// SETNAME of those on the same channels.
    SETNAME = 10, "setname";
    /// NAMES tells `nick!user@host`.
    USERHOST_IN_NAMES = 11, "userhost-in-names";
}

impl Capabilities {
    /// All there are.
    pub fn all() -> Capabilities {
        Capabilities::NAMES.iter().fold(Capabilities::default(), |all, (one, _)| all.with(*one))
    }

    /// By its name.
    pub fn named(name: &str) -> Option<Capabilities> {
        let found = Capabilities::NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(capability, _)| *capability)
    }

    /// Whether all of `others` are among these.
    pub fn have(self, others: Capabilities) -> bool {
        self.0 & others.0 == others.0
    }

    /// These and `others`.
    pub fn with(self, others: Capabilities) -> Capabilities {
        Capabilities(self.0 | others.0)
    }

    /// These without `others`.
    pub fn without(self, others: Capabilities) -> Capabilities {
        Capabilities(self.0 & !others.0)
    }
}

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        for (capability, name) in Capabilities::NAMES {
            if self.have(*capability) {
                write!(f, "{space}{name}")?;
                space = " ";
            }
        }
        Ok(())
    }
}

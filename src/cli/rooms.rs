//! Rooms on the command line: who is in them, and who talks there.

use clap::{Args, ValueEnum};
use socklab::load::rooms::names::{self, HEADER, LONGEST};
use socklab::load::work::Work;
use socklab::report::document::Rooms;

use super::units;

/// Members of a room, and those of them that talk.
const MEMBERS: usize = 10;
/// See [`MEMBERS`].
pub const TALKERS: usize = 10;

/// What a load of an IRC server is asked for.
#[derive(Args)]
#[command(next_help_heading = "IRC")]
pub struct Chat {
    /// Rooms [default: 1]
    #[arg(long, value_name = "N",
        value_parser = units::within::<usize>(1..=1_000_000))]
    rooms: Option<usize>,
    /// Members of each room; each is a client, in that room only [default: 10]
    #[arg(long, value_name = "N",
        value_parser = units::within::<usize>(2..=1_000_000))]
    members: Option<usize>,
    /// Members of each room that talk [default: 10, or all where there are fewer]
    #[arg(long, value_name = "N",
        value_parser = units::within::<usize>(1..=1_000_000))]
    talkers: Option<usize>,
    /// When talkers acknowledge what they have received [default: delayed]
    ///
    /// A server that does not set TCP_NODELAY waits for that, up to 40 ms, which its users feel.
    /// `quick` shows what it can do beside that.
    #[arg(long, value_enum, value_name = "WHEN")]
    acks: Option<Acks>,
    /// What the server wants to be told first (PASS)
    #[arg(long, value_name = "TEXT")]
    password: Option<String>,
}

/// When what has come is acknowledged (TCP).
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Acks {
    /// As soon as nothing else is to be done, a millisecond later at most
    Quick,
    /// When the kernel thinks fit, as in most clients
    Delayed,
}

impl Chat {
    /// An option that was given.
    pub fn given(&self) -> Option<&'static str> {
        let options = [
            ("--rooms", self.rooms.is_some()),
            ("--members", self.members.is_some()),
            ("--talkers", self.talkers.is_some()),
            ("--acks", self.acks.is_some()),
            ("--password", self.password.is_some()),
        ];
        options.into_iter().find_map(|(name, given)| given.then_some(name))
    }

    /// How clients are spread.
    pub fn rooms(&self) -> Rooms {
        let members = self.members.unwrap_or(MEMBERS);
        Rooms {
            rooms: self.rooms.unwrap_or(1),
            members,
            talkers: self.talkers.unwrap_or(TALKERS.min(members)),
            quick_acks: self.acks == Some(Acks::Quick),
        }
    }

    /// What they say there.
    pub fn work(&self, size: u64, seed: u64) -> Work {
        let Rooms { rooms, talkers, quick_acks, .. } = self.rooms();
        Work::chat(size, seed, rooms, talkers)
            .opened_by(self.password.clone())
            .acknowledged(quick_acks)
    }

    /// What cannot be had together.
    pub fn contradiction(&self) -> Option<String> {
        let Rooms { rooms, members, talkers, .. } = self.rooms();
        let clients = rooms.saturating_mul(members);
        if talkers > members {
            return Some(format!(
                "of {members} members {talkers} cannot talk, so change --talkers"
            ));
        }
        if clients > names::MOST {
            return Some(format!(
                "{clients} clients are more than there are names, {}",
                names::MOST
            ));
        }
        let ends = |text: &String| text.contains(['\r', '\n', '\0']);
        self.password.as_ref().filter(|text| ends(text)).map(|_| "--password is one line".into())
    }
}

/// Why a line cannot have so many bytes of text.
pub fn not_of_a_line(size: usize) -> Option<String> {
    let fits = (HEADER..=LONGEST).contains(&size);
    (!fits).then(|| format!("a line has {HEADER} to {LONGEST} bytes of text, so change --size"))
}

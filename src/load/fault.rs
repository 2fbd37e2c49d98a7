//! What went wrong with a client, and what it was exactly.

use std::fmt;

use super::work::{Expected, Stream, Work};

/// Bytes of evidence that are enough for a diagnosis.
pub const EVIDENCE: usize = 4096;

/// Bytes that are looked for elsewhere in a stream: so many are hardly anywhere by chance.
const WINDOW: usize = 16;

/// The fewest bytes that tell where they come from: four random ones are in a stream of 262,139 by
/// chance once in 16,000 times.
const TELLING: usize = 4;

/// What kind of fault it was. Told apart by what the client can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Other bytes came than were expected, or what is no TLS.
    Wrong,
    /// More bytes came than were sent.
    Extra,
    /// The connection stayed open, but the rest of an answer never came, or a line.
    Lost,
    /// The server closed before it had answered all, or delivered all; of TLS also, without saying
    /// that it closes.
    Short,
    /// The connection was reset, or ended by an alert of TLS.
    Reset,
    /// No connection came about, or no TLS handshake; or it was not let into its room.
    Refused,
}

impl Kind {
    /// All of them, the worst first.
    pub const ALL: [Kind; 6] =
        [Kind::Wrong, Kind::Extra, Kind::Lost, Kind::Short, Kind::Reset, Kind::Refused];
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Wrong => "wrong",
            Kind::Extra => "extra",
            Kind::Lost => "lost",
            Kind::Short => "short",
            Kind::Reset => "reset",
            Kind::Refused => "refused",
        })
    }
}

/// How a client was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What happened.
    pub kind: Kind,
    /// The client's number, from 0.
    pub client: usize,
    /// Right bytes that it had received on this connection before.
    pub offset: u64,
    /// What it was exactly.
    pub detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault { kind, client, offset, detail } = self;
        write!(f, "{kind}: client {client} at offset {offset}: {detail}")
    }
}

/// The faults of many clients: how many of each kind, and the first of each.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    counts: [u64; Kind::ALL.len()],
    first: Vec<Fault>,
    /// Messages begun that were not answered.
    pub unanswered: u64,
}

impl Faults {
    /// Takes note of one.
    pub fn add(&mut self, fault: Fault) {
        self.counts[fault.kind as usize] += 1;
        if !self.first.iter().any(|first| first.kind == fault.kind) {
            self.first.push(fault);
        }
    }

    /// Adds those of another thread.
    pub fn merge(&mut self, other: Faults) {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.unanswered += other.unanswered;
        for fault in other.first {
            if !self.first.iter().any(|first| first.kind == fault.kind) {
                self.first.push(fault);
            }
        }
    }

    /// How many of this kind.
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts[kind as usize]
    }

    /// How many in all.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Whether bytes came that should not have come.
    pub fn wrong_bytes(&self) -> bool {
        self.count(Kind::Wrong) + self.count(Kind::Extra) > 0
    }

    /// The first of each kind, the worst kind first.
    pub fn examples(&self) -> impl Iterator<Item = &Fault> {
        let mut first: Vec<&Fault> = self.first.iter().collect();
        first.sort_by_key(|fault| fault.kind);
        first.into_iter()
    }
}

/// What came at `offset` instead of the expected stream: `evidence`, of which the first byte is
/// wrong, or one too many. `allowed` bytes of the stream may have come; it is one of so many `clients`.
pub fn diagnose(
    work: &Work,
    (client, clients): (usize, usize),
    offset: u64,
    allowed: u64,
    evidence: &[u8],
) -> (Kind, String) {
    let kind = if offset >= allowed { Kind::Extra } else { Kind::Wrong };
    let detail = match &work.expected {
        _ if offset == 0 && matches!(evidence, [21, 3, 0..=4, 0, 2, 1 | 2, _]) => {
            "an alert of TLS came: the server speaks TLS; use tls:// or --tls".into()
        }
        Expected::Anything | Expected::Nothing | Expected::Page(_) | Expected::Others(_) => {
            format!("{} came, though nothing should", text(evidence))
        }
        Expected::Other(_) if kind == Kind::Extra => {
            format!("{} came, though nothing more was due", text(evidence))
        }
        Expected::Other(stream) => {
            let due = &stream.piece(client, offset)[..work.reply as usize];
            format!("{} came where {} was due", text(evidence), text(due))
        }
        Expected::Same => disorder(&work.sent, (client, clients), offset, allowed, evidence),
    };
    (kind, detail)
}

fn disorder(
    stream: &Stream,
    (client, clients): (usize, usize),
    offset: u64,
    allowed: u64,
    evidence: &[u8],
) -> String {
    let due = stream.piece(client, offset);
    let n = evidence.len();
    let differing = evidence.iter().zip(due).filter(|(came, due)| came != due).count();
    let window = &evidence[..n.min(WINDOW)];
    let here = match offset < allowed {
        true => format!("0x{:02x} came where 0x{:02x} was due", evidence[0], due[0]),
        false => format!("0x{:02x} came where nothing was due", evidence[0]),
    };
    let displacement =
        (window.len() >= TELLING).then(|| stream.displacement(client, offset, window)).flatten();
    // Before all else, for after two blocks that changed places everything is right again.
    if let Some(ahead @ 1..) = displacement
        && offset + ahead as u64 <= allowed
        && is_reordered(stream, client, offset, ahead as u64, evidence)
    {
        return format!("reordered: the {} due here came after later ones", bytes(ahead as u64));
    }
    if offset < allowed && differing * 2 <= n {
        return format!("{} corrupted ({here})", bytes(differing as u64));
    }
    let other = displacement.and_then(|far| stream.addressee(client, far, clients));
    if let Some(other) = other {
        return format!("what came belongs to client {other}");
    }
    match displacement {
        None if window.len() < TELLING => format!("{here}; too few bytes followed to tell why"),
        None => format!("{here}; what follows is nowhere in the stream"),
        Some(0) => format!("{} more came than were sent", bytes(n as u64)),
        Some(back @ ..0) if back.unsigned_abs() <= offset => {
            format!("{} duplicated", bytes(back.unsigned_abs()))
        }
        Some(ahead @ 1..) if offset + ahead as u64 <= allowed => {
            format!("{} dropped", bytes(ahead as u64))
        }
        Some(_) => format!("{here}; what came was due to nobody"),
    }
}

/// Whether what was due at `offset` comes after bytes from `ahead` of it.
fn is_reordered(stream: &Stream, client: usize, offset: u64, ahead: u64, evidence: &[u8]) -> bool {
    let due = stream.piece(client, offset);
    let there = stream.piece(client, offset + ahead);
    let run = evidence.iter().zip(there).take_while(|(came, due)| came == due).count();
    let rest = &evidence[run..];
    let telling = rest.len().min(WINDOW).min(ahead as usize);
    telling >= TELLING.min(ahead as usize) && rest[..telling] == due[..telling]
}

fn bytes(n: u64) -> String {
    if n == 1 { "1 byte".into() } else { format!("{n} bytes") }
}

/// The beginning of what came, printable.
pub(super) fn text(bytes: &[u8]) -> String {
    const MOST: usize = 40;
    let more = if bytes.len() > MOST { "…" } else { "" };
    format!("\"{}\"{more}", bytes[..bytes.len().min(MOST)].escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: usize = 5;
    const CLIENTS: usize = 10;
    const OFFSET: u64 = 640;
    const ALLOWED: u64 = OFFSET + 4096;

    fn told(evidence: &[u8]) -> String {
        let (kind, detail) =
            diagnose(&Work::echo(64, 1), (CLIENT, CLIENTS), OFFSET, ALLOWED, evidence);
        assert_eq!(kind, Kind::Wrong);
        detail
    }

    fn due(from: i64, length: usize) -> Vec<u8> {
        let at = OFFSET.checked_add_signed(from).unwrap();
        Work::echo(64, 1).sent.piece(CLIENT, at)[..length].to_vec()
    }

    #[test]
    fn each_disorder_has_its_name() {
        let mut corrupted = due(0, 64);
        corrupted[0] ^= 1;
        assert!(told(&corrupted).starts_with("1 byte corrupted"), "{}", told(&corrupted));
        assert_eq!(told(&due(1, 53)), "1 byte dropped");
        assert_eq!(told(&due(64, 640)), "64 bytes dropped");
        assert_eq!(told(&due(-64, 128)), "64 bytes duplicated");
        let swapped = [due(64, 64), due(0, 64)].concat();
        assert_eq!(told(&swapped), "reordered: the 64 bytes due here came after later ones");
        let and_on = [due(64, 64), due(0, 64), due(128, 640)].concat();
        assert_eq!(told(&and_on), "reordered: the 64 bytes due here came after later ones");
        let other = Work::echo(64, 1).sent.piece(CLIENT + 1, OFFSET)[..64].to_vec();
        assert_eq!(told(&other), "what came belongs to client 6");
        assert!(told(&[0; 64]).ends_with("nowhere in the stream"));
        assert!(told(&[!due(0, 1)[0]]).ends_with("too few bytes followed to tell why"));
    }

    #[test]
    fn what_was_never_sent_is_extra() {
        let work = Work::echo(64, 1);
        let twice = diagnose(&work, (CLIENT, CLIENTS), OFFSET, OFFSET, &due(-64, 64));
        assert_eq!(twice, (Kind::Extra, "64 bytes duplicated".into()));
        let noise = diagnose(&Work::sink(64, 1), (CLIENT, CLIENTS), 0, 0, b"hello");
        assert_eq!(noise, (Kind::Extra, "\"hello\" came, though nothing should".into()));
    }

    #[test]
    fn a_reply_of_its_own_is_told_as_text() {
        let work = Work::echo(64, 1).saying(b"PING\r\n").answered_by(b"+PONG\r\n");
        let (kind, detail) = diagnose(&work, (0, 1), 7, 14, b"-ERR no\r\n");
        assert_eq!(kind, Kind::Wrong);
        assert_eq!(detail, r#""-ERR no\r\n" came where "+PONG\r\n" was due"#);
        let of_one_length = Work::echo(64, 1).saying(b"PING\r\n").answered_by(b"PONG\r\n");
        let (_, detail) = diagnose(&of_one_length, (0, 1), 6, 12, b"PLING\r");
        assert_eq!(detail, r#""PLING\r" came where "PONG\r\n" was due"#);
        let (kind, detail) = diagnose(&work, (0, 1), 7, 7, b"+PONG\r\n");
        assert_eq!(kind, Kind::Extra);
        assert_eq!(detail, r#""+PONG\r\n" came, though nothing more was due"#);
    }

    #[test]
    fn the_first_of_each_kind_is_kept() {
        let fault = |kind, client| Fault { kind, client, offset: 0, detail: String::new() };
        let mut faults = Faults::default();
        faults.add(fault(Kind::Reset, 1));
        faults.add(fault(Kind::Reset, 2));
        let mut others = Faults::default();
        others.add(fault(Kind::Reset, 3));
        others.add(fault(Kind::Wrong, 4));
        faults.merge(others);
        assert_eq!((faults.total(), faults.count(Kind::Reset)), (4, 3));
        let clients: Vec<usize> = faults.examples().map(|fault| fault.client).collect();
        assert_eq!(clients, [4, 1]);
    }
}

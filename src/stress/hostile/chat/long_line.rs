//! Who says what is no line.

use std::time::{Duration, Instant};

use crate::stress::arena::{Arena, Protocol};
use crate::stress::irc::{Line, Member};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const LONG_LINE: Hostile = Hostile {
    name: "long-line",
    fault: "a server that cuts, joins or passes on what is no line tells others what nobody has said",
    does: "says to a room lines of 600 and 20,000 bytes, tags of 6,000, binary garbage, NUL, lone CR, \
           bytes that are no text, 1,000 parameters, a source that it is not, and empty lines",
    holds: "others hear the beginning of what was said, or nothing: no line over 512 bytes, none with \
            CR or NUL in it, none in another's name",
    seen_in: "servers and bots that read into 512 bytes, and take the rest for the next line",
    needs: Needs::of(Protocol::Chat),
    visit,
};

/// What is said in the middle of a line, as a line of its own.
const HIDDEN: &str = "this was no line";

/// How long an answer is waited for, which nobody is owed here, and between two looks.
const PATIENCE: Duration = Duration::from_secs(3);
const LOOK: Duration = Duration::from_millis(50);

/// Bytes of a line with its end (RFC 1459, 2.3).
const LONGEST: usize = 512;

fn visit(arena: &Arena) -> Outcome {
    let (mut members, room) = arena.room(1, 1)?;
    let listener = members.pop().expect("there is one");
    let say = |text: &[u8]| [format!("PRIVMSG {room} :").as_bytes(), text].concat();
    let letters = |count: usize| -> Vec<u8> { (b'a'..=b'z').cycle().take(count).collect() };
    // Wherever it is cut, what is left begins with spaces.
    let hidden = say(HIDDEN.as_bytes());
    let hiding = |from, spaces| [&letters(from)[..], &b" ".repeat(spaces), &hidden].concat();
    let mut garbage = arena.pattern(6, 4096);
    // What would be a command is none of this.
    garbage.iter_mut().for_each(|byte| *byte |= 0x80 * u8::from(byte.is_ascii_alphabetic()));
    let tagged = |tags: usize| [b"@+x=", &letters(tags)[..], b" ", &say(b"tagged")].concat();
    let named = [b":somebody!else@there ", &say(b"in whose name?")[..]].concat();
    let cases: [(&str, Vec<u8>); 11] = [
        ("a line of 600 bytes", say(&hiding(420, 100))),
        ("a line of 20,000 bytes", say(&hiding(420, 19_500))),
        ("tags of 6,000 bytes", tagged(6000)),
        ("binary garbage", garbage),
        ("NUL", say(b"a\0b\0c")),
        ("a lone CR", say(b"a\rPRIVMSG")),
        ("bytes that are no text", say(b"\xff\xfe\xc0\x80")),
        ("1,000 parameters", say(&b" x".repeat(1000))),
        ("1,000 targets", format!("PRIVMSG {} :x", [&room[..]; 1000].join(",")).into()),
        ("the name of another", named),
        ("empty lines", b"\r\n".repeat(1000)),
    ];
    let all = cases.len();
    let mut trial = Trial { arena, room, listener, speakers: Vec::new() };
    let mut ends = Vec::new();
    for (what, words) in cases {
        ends.push(trial.say(&words).map_err(|breach| breach.of(what))?);
    }
    arena.serves()?;
    let count = |end: End| ends.iter().filter(|other| **other == end).count();
    Ok(format!(
        "of {all} kinds others heard nothing wrong; behind {} who said it was heard again, behind {} \
         it had to leave, behind {} it was not answered",
        count(End::Stays),
        count(End::Leaves),
        count(End::Silence)
    ))
}

/// What becomes of who has said it.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Stays,
    Leaves,
    Silence,
}

struct Trial<'a> {
    arena: &'a Arena,
    room: String,
    /// The others.
    listener: Member,
    /// Who has said something.
    speakers: Vec<String>,
}

impl Trial<'_> {
    fn say(&mut self, words: &[u8]) -> Result<End, Breach> {
        let mut member = self.arena.member()?;
        self.speakers.push(member.nick.clone());
        member.begin(&format!("JOIN {}", self.room));
        member.until(|line| line.command == "366")?;
        member.peer.begin(words);
        let last = format!("\r\nPRIVMSG {} :that was it\r\nPING over\r\n", self.room);
        member.peer.begin(last.as_bytes());
        let said = String::from_utf8_lossy(words).into_owned();
        let patience = Instant::now();
        loop {
            // Where who said it is made to wait, others are not.
            for line in self.listener.settle()? {
                self.check(&line)?;
                let is_its = line.who == member.nick;
                match line.command.as_str() {
                    "PRIVMSG" if line.last() == "that was it" && is_its => {
                        member.until(|line| line.command == "PONG")?;
                        member.leave()?;
                        return Ok(End::Stays);
                    }
                    "PRIVMSG" if is_its && line.last() == HIDDEN => {
                        return Err(Breach::broken(
                            "others heard as a line what stood in the middle of another line",
                        ));
                    }
                    "PRIVMSG" if is_its && !is_left_of(line.last(), &said) => {
                        return Err(Breach::broken(format!("others heard {}", line.shown())));
                    }
                    "QUIT" | "PART" if is_its => return Ok(End::Leaves),
                    _ => {}
                }
            }
            if patience.elapsed() > PATIENCE {
                return Ok(End::Silence);
            }
            self.arena.pause(LOOK)?;
        }
    }

    fn check(&self, line: &Line) -> Result<(), Breach> {
        let untagged = match line.raw.strip_prefix(b"@") {
            Some(tagged) => tagged.splitn(2, |byte| *byte == b' ').nth(1).unwrap_or_default(),
            None => &line.raw,
        };
        let is_known = self.speakers.contains(&line.who)
            || line.who == self.listener.nick
            || line.who.contains('.');
        let what = if untagged.len() + 2 > LONGEST {
            "a line that is too long"
        } else if line.raw.contains(&0) || line.raw.contains(&b'\r') {
            "a line with NUL or CR in it"
        } else if !is_known {
            "a line of somebody who is not there"
        } else {
            return Ok(());
        };
        Err(Breach::broken(format!("others heard {what}: {}", line.shown())))
    }
}

/// Whether `heard` is what is left of `said` when bytes that cannot be passed on are left out.
fn is_left_of(heard: &str, said: &str) -> bool {
    let mut rest = said.chars();
    heard.chars().all(|heard| rest.any(|said| said == heard))
}

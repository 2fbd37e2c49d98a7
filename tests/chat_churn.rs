//! Chat with everybody acting at once: whoever watches knows in the end who is where.

mod support;

use std::collections::BTreeSet;
use std::thread;

use support::irc::{House, Line, Talker, house};
use support::way::in_every_way;
use support::{eventually, pattern};

/// Somebody who does one thing after the other, and where that has led.
struct Guest {
    talker: Talker,
    inside: bool,
    names: usize,
}

impl Guest {
    fn act(mut self, house: &House, which: u8) -> Guest {
        let number = self.talker.nick.split('-').next().expect("it has one").to_owned();
        match which % 8 {
            0..=2 => {
                self.talker.say("JOIN #room");
                self.inside = true;
            }
            3 => {
                self.talker.say("PART #room :for a while");
                self.inside = false;
            }
            4 => {
                self.names += 1;
                let nick = format!("{number}-{}", self.names);
                self.talker.say(&format!("NICK {nick}"));
                self.talker.skip_to(&format!(":{} NICK {nick}", self.talker.nick));
                self.talker.nick = nick;
            }
            5 => self.talker.say("PRIVMSG #room :hello everybody"),
            leaves => {
                self.names += 1;
                let nick = format!("{number}-{}", self.names);
                if leaves == 6 {
                    self.talker.say("QUIT :back soon");
                    self.talker.is_shown_out();
                } else {
                    self.talker.peer.reset();
                }
                return Guest { talker: house.talker(&nick), inside: false, names: self.names };
            }
        }
        self.talker.flush();
        self
    }
}

/// What a line changes in the eyes of somebody inside.
fn watch(present: &mut BTreeSet<String>, line: &Line) {
    let source = line.source();
    let nick = source.split('!').next().expect("there is something");
    match line.command().as_str() {
        "JOIN" => assert!(present.insert(nick.to_owned()), "{line}"),
        "PART" | "QUIT" => assert!(present.remove(nick), "{line}"),
        "NICK" => {
            assert!(present.remove(nick), "{line}");
            assert!(present.insert(line.parameter(0)), "{line}");
        }
        "PRIVMSG" => assert!(present.contains(nick), "{line}"),
        _ => {}
    }
}

fn names(lines: &[Line]) -> BTreeSet<String> {
    let shown = lines.iter().filter(|line| line.command() == "353").map(Line::text);
    shown
        .flat_map(|text| {
            text.split(' ').map(|name| name.trim_start_matches('@').to_owned()).collect::<Vec<_>>()
        })
        .collect()
}

in_every_way! {
    fn in_the_end_everybody_knows_who_is_there(way) {
        let house = house(way);
        let mut eve = house.talker("eve");
        eve.say("JOIN #room");
        eve.flush();
        let guests: Vec<Guest> = thread::scope(|scope| {
            let house = &house;
            let threads: Vec<_> = (0..6).map(|number| {
                scope.spawn(move || {
                    let talker = house.talker(&format!("guest{number}"));
                    let guest = Guest { talker, inside: false, names: 0 };
                    pattern(number, 150).into_iter().fold(guest, |guest, which| guest.act(house, which))
                })
            }).collect();
            threads.into_iter().map(|thread| thread.join().expect("it has acted")).collect()
        });
        let expected: BTreeSet<String> = guests
            .iter()
            .filter(|guest| guest.inside)
            .map(|guest| guest.talker.nick.clone())
            .chain(["eve".to_owned()])
            .collect();
        // Those who left without a word may not have been missed yet.
        let mut present = BTreeSet::from(["eve".to_owned()]);
        eventually("the room is as it should be", || {
            eve.flush().iter().for_each(|line| watch(&mut present, line));
            present == expected
        });
        eve.say("NAMES #room");
        assert_eq!(names(&eve.flush()), expected);
    }
}

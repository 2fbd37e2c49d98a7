//! A session that keeps the contract and is otherwise unpredictable: it wants to write, to wait,
//! and to read in any order, and says what it likes. Who has one inside must bear that, lose
//! nothing of what it says, and tell it all that came.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use socklab::session::{ConnectionId, Output, Service, Session, Want};
use socklab::tls::Plain;

use super::cases;
use super::driver::{Bound, Reciter, World};
use super::guard::Guarded;
use super::script::{Script, Step, chunks, script, sizes};
use super::secure::{Client, WRAPPED, manner, tls};
use super::words::noise;

/// What a session does next.
#[derive(Clone, Copy, Debug)]
pub enum Whim {
    Read,
    Write,
    /// For so many milliseconds.
    Wait(u16),
    /// Or it asks to be woken at some time, and reads.
    Remember(u16),
}

/// What it does, one whim after the other, and what has become of it.
#[derive(Clone)]
struct Whims {
    whims: Vec<(Whim, u16)>,
    course: Arc<Mutex<Course>>,
}

#[derive(Default)]
struct Course {
    heard: Vec<u8>,
    said: Vec<u8>,
}

impl Service for Whims {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(Whimsical { whims: self.clone(), at: 0, want: Want::Read, due: None, over: false })
    }
}

struct Whimsical {
    whims: Whims,
    at: usize,
    want: Want,
    /// Until when it waits.
    due: Option<Instant>,
    /// It ends when it would read.
    over: bool,
}

impl Whimsical {
    fn go_on(&mut self, out: &mut Output) -> Want {
        let (whim, length) = self.whims.whims[self.at % self.whims.whims.len()];
        self.at += 1;
        let from = self.at % 251;
        let words: Vec<u8> = (from..from + usize::from(length)).map(|n| n as u8).collect();
        let words = &words[..words.len().min(out.room())];
        out.write(words);
        self.whims.course.lock().unwrap().said.extend_from_slice(words);
        self.due = None;
        self.want = match whim {
            Whim::Write => Want::Write,
            Whim::Wait(time) => {
                let due = out.now() + Duration::from_millis(1 + u64::from(time));
                out.wake_at(due);
                self.due = Some(due);
                Want::Wait
            }
            Whim::Remember(time) => {
                out.wake_at(out.now() + Duration::from_millis(1 + u64::from(time)));
                Want::Read
            }
            Whim::Read => Want::Read,
        };
        self.still()
    }

    fn still(&mut self) -> Want {
        if self.over && self.want == Want::Read {
            self.want = Want::Close;
        }
        self.want
    }
}

impl Session for Whimsical {
    fn open(&mut self, out: &mut Output) -> Want {
        self.go_on(out)
    }

    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        self.whims.course.lock().unwrap().heard.extend_from_slice(input);
        self.go_on(out)
    }

    fn produce(&mut self, out: &mut Output) -> Want {
        self.go_on(out)
    }

    fn eof(&mut self, _out: &mut Output) -> Want {
        self.over = true;
        self.still()
    }

    fn wake(&mut self, out: &mut Output) -> Want {
        match self.due {
            Some(due) if due <= out.now() => self.go_on(out),
            _ => self.still(),
        }
    }

    fn drain(&mut self, _out: &mut Output) -> Want {
        self.over = true;
        self.still()
    }
}

fn whims() -> impl Strategy<Value = Vec<(Whim, u16)>> {
    let whim = prop_oneof![
        3 => Just(Whim::Read),
        3 => Just(Whim::Write),
        2 => (0..30_u16).prop_map(Whim::Wait),
        1 => (0..2000_u16).prop_map(Whim::Remember),
    ];
    // It reads again in the end.
    vec((whim, prop_oneof![Just(0), 0..300_u16, 0..30_000_u16]), 0..20).prop_map(|mut whims| {
        whims.push((Whim::Read, 1));
        whims
    })
}

/// What one conversation by the script comes to: what was heard and said by the session.
fn course(world_of: impl FnOnce(Arc<dyn Service>), whims: &[(Whim, u16)]) -> (Vec<u8>, Vec<u8>) {
    let service = Whims { whims: whims.to_vec(), course: Arc::default() };
    let course = service.course.clone();
    world_of(Arc::new(service));
    let mut course = course.lock().unwrap();
    (std::mem::take(&mut course.heard), std::mem::take(&mut course.said))
}

/// Without what ends a conversation in the midst of it.
fn gentle(script: &Script) -> Script {
    let ends = |step: Step| matches!(step, Step::Idle | Step::Break | Step::Overflow | Step::Eof);
    Script(script.0.iter().copied().filter(|(_, step)| !ends(*step)).collect())
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn whims_are_borne_without_tls(
        whims in whims(),
        words in noise(),
        script in script(1, 200),
        chunk in chunks(),
    ) {
        let mut said = Vec::new();
        let (heard, expected) = course(
            |service| {
                let service = Arc::new(Guarded(Arc::new(Plain(service))));
                let mut world = World::new(service, chunk, Bound { chunks: 1, reply: 0 });
                let seat = world.sit_down(Reciter::new(&words));
                script.0.iter().for_each(|(_, step)| world.step(seat, *step));
                world.finish();
                said = std::mem::take(&mut world.seats[seat].peer.heard);
            },
            &whims,
        );
        prop_assert!(words.starts_with(&heard));
        prop_assert_eq!(said, expected);
    }

    #[test]
    fn whims_are_borne_in_tls(
        whims in whims(),
        words in noise(),
        manner in manner(),
        script in script(1, 300),
        chunk in chunks(),
    ) {
        let mut client = None;
        let (heard, expected) = course(
            |service| {
                let service = Arc::new(Guarded(tls(service)));
                let mut world = World::new(service, chunk, WRAPPED);
                let seat = world.sit_down(Client::new(&words, &manner));
                gentle(&script).0.iter().for_each(|(_, step)| world.step(seat, *step));
                world.finish();
                client = world.seats.pop().map(|seat| seat.peer);
            },
            &whims,
        );
        let client = client.expect("it was there");
        prop_assert!(words.starts_with(&heard), "it has heard something else");
        prop_assert!(client.heard == expected, "{} of {}", client.heard.len(), expected.len());
        prop_assert!(!client.broken);
    }

    #[test]
    fn whims_are_heard_out_in_tls(
        whims in whims(),
        words in noise(),
        manner in manner(),
        sizes in vec(sizes(), 1..10),
        chunk in chunks(),
    ) {
        let mut client = None;
        let manner = manner.closing();
        let (heard, expected) = course(
            |service| {
                let service = Arc::new(Guarded(tls(service)));
                let mut world = World::new(service, chunk, WRAPPED);
                let seat = world.sit_down(Client::new(&words, &manner));
                world.hear_out(seat, &sizes);
                world.end(seat);
                client = world.seats.pop().map(|seat| seat.peer);
            },
            &whims,
        );
        let client = client.expect("it was there");
        prop_assert!(heard == *words, "it has heard {} of {} bytes", heard.len(), words.len());
        prop_assert!(client.heard == expected, "{} of {}", client.heard.len(), expected.len());
        prop_assert!(client.noticed, "its end is not announced");
    }
}

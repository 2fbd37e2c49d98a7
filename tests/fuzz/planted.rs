//! Sessions that are wrong on purpose: each breaks one law, and the driver says which. Without them
//! nobody would know whether a driver that finds nothing looks.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};
use socklab::session::{ConnectionId, Output, Service, Session, Want};

use super::driver::{Bound, Reciter, World};
use super::guard::Guarded;
use super::script::{Script, chunks, script, sizes};
use super::services::{NOTHING, answers, drive};
use super::words::{Words, noise};

/// A service that makes sessions with a flaw, and may take mail.
struct Wrong {
    flaw: fn(ConnectionId) -> Box<dyn Session>,
    takes_mail: bool,
}

impl Service for Wrong {
    fn accept(&self, _peer: SocketAddr, id: ConnectionId) -> Box<dyn Session> {
        (self.flaw)(id)
    }

    fn takes_mail(&self) -> bool {
        self.takes_mail
    }
}

fn service(flaw: fn(ConnectionId) -> Box<dyn Session>) -> Arc<dyn Service> {
    Arc::new(Wrong { flaw, takes_mail: false })
}

fn runner() -> TestRunner {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(ProptestConfig { cases: 2000, max_shrink_iters: 0, ..config })
}

/// Why the driver does not let `service` pass.
fn fault(service: impl Fn() -> Arc<dyn Service>, reply: usize) -> String {
    let outcome = runner().run(&(noise(), script(2, 120), chunks()), |(words, script, chunk)| {
        converse(service(), &words, &script, chunk, Bound { chunks: 1, reply });
        Ok(())
    });
    match outcome {
        Err(TestError::Fail(why, _)) => why.to_string(),
        other => panic!("nothing is found: {other:?}"),
    }
}

/// Two of them, who may write to each other.
fn converse(service: Arc<dyn Service>, words: &Words, script: &Script, chunk: usize, bound: Bound) {
    let mut world = World::new(service, chunk, bound);
    world.sit_down(Reciter::new(words));
    world.sit_down(Reciter::new(words));
    for (seat, step) in &script.0 {
        world.step(*seat, *step);
    }
    world.finish();
}

/// A session that is right but for what is given.
macro_rules! wrong {
    ($name:ident { $($flaw:item)* }) => { wrong!($name(()) { $($flaw)* }); };
    ($name:ident($state:ty) { $($flaw:item)* }) => {
        #[derive(Default)]
        #[allow(dead_code, reason = "not every flaw needs a state")]
        struct $name($state, Option<ConnectionId>);
        impl Session for $name { $($flaw)* }
        impl $name {
            fn make(id: ConnectionId) -> Box<dyn Session> {
                Box::new($name(Default::default(), Some(id)))
            }
        }
    };
}

/// What all of them could say.
fn listen() -> Want {
    Want::Read
}

wrong!(Talkative {
    fn receive(&mut self, _input: &[u8], _out: &mut Output) -> Want { Want::Close }
    fn end(&mut self, _why: &str, out: &mut Output) { out.write(b"and another thing"); }
});

wrong!(Boundless {
    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        (0..10).for_each(|_| out.write(input));
        listen()
    }
});

wrong!(Sleeper(u32) {
    fn receive(&mut self, _input: &[u8], out: &mut Output) -> Want {
        out.wake_at(out.now() + Duration::from_millis(1));
        Want::Wait
    }
    // The second time it forgets to set the alarm.
    fn wake(&mut self, _out: &mut Output) -> Want { Want::Wait }
});

wrong!(Impatient {
    fn receive(&mut self, _input: &[u8], out: &mut Output) -> Want {
        out.wake_at(out.now());
        Want::Wait
    }
    fn wake(&mut self, out: &mut Output) -> Want {
        out.wake_at(out.now());
        Want::Wait
    }
});

wrong!(Deaf {
    fn receive(&mut self, _input: &[u8], _out: &mut Output) -> Want { listen() }
    fn idle(&mut self, _out: &mut Output) -> Want { listen() }
});

wrong!(Stubborn {
    fn open(&mut self, _out: &mut Output) -> Want { Want::Write }
    fn receive(&mut self, _input: &[u8], _out: &mut Output) -> Want { listen() }
    fn produce(&mut self, out: &mut Output) -> Want {
        out.write(b"more");
        Want::Write
    }
    fn drain(&mut self, _out: &mut Output) -> Want { Want::Write }
});

wrong!(Spinner {
    fn receive(&mut self, _input: &[u8], _out: &mut Output) -> Want { Want::Write }
    fn produce(&mut self, _out: &mut Output) -> Want { Want::Write }
    fn drain(&mut self, _out: &mut Output) -> Want { Want::Write }
});

wrong!(Parrot {
    fn receive(&mut self, _input: &[u8], _out: &mut Output) -> Want { Want::Write }
    fn produce(&mut self, out: &mut Output) -> Want {
        out.repeat();
        listen()
    }
});

wrong!(Selfish {
    fn receive(&mut self, _input: &[u8], out: &mut Output) -> Want {
        out.post(self.1.expect("it was made with it"), (&b"note"[..]).into());
        listen()
    }
});

/// To the other one of the two.
fn other(id: Option<ConnectionId>) -> ConnectionId {
    let slot = 1 - id.expect("it was made with it").slot() as u32;
    ConnectionId::new(slot, slot + 1)
}

wrong!(Courteous {
    fn receive(&mut self, _input: &[u8], out: &mut Output) -> Want {
        out.post(other(self.1), (&b"hello"[..]).into());
        listen()
    }
    fn deliver(&mut self, _mail: &[u8], out: &mut Output) -> Want {
        out.post(other(self.1), (&b"the same to you"[..]).into());
        listen()
    }
});

wrong!(Moody {
    fn receive(&mut self, _input: &[u8], out: &mut Output) -> Want {
        out.post(other(self.1), (&b"hello"[..]).into());
        listen()
    }
    fn deliver(&mut self, _mail: &[u8], _out: &mut Output) -> Want { Want::Write }
});

wrong!(Fragile {
    fn receive(&mut self, input: &[u8], _out: &mut Output) -> Want {
        assert_ne!(input.last(), Some(&b'!'), "it falls to pieces");
        listen()
    }
});

wrong!(Undecided {
    fn receive(&mut self, _input: &[u8], out: &mut Output) -> Want {
        out.fail("it gives up");
        listen()
    }
});

#[test]
fn every_broken_law_is_found_and_named() {
    type Flaw = fn(ConnectionId) -> Box<dyn Session>;
    let flaws: &[(Flaw, bool, &str)] = &[
        (Talkative::make, false, "law 6: it says 17 bytes after its end"),
        (Boundless::make, false, "a chunk and a reply"),
        (Sleeper::make, false, "law 1: it waits, and has not asked to be woken"),
        (Impatient::make, false, "would be woken for ever"),
        (Deaf::make, false, "the idle time does not end it"),
        (Stubborn::make, false, "goes on writing"),
        (Spinner::make, false, "wants to write for ever, and says nothing"),
        (Parrot::make, false, "repeats what it did not receive"),
        (Selfish::make, true, "law 4: it posts to itself"),
        (Selfish::make, false, "it posts, and takes no mail"),
        (Courteous::make, true, "law 4: it posts mail when mail is delivered"),
        (Moody::make, true, "law 4: it wanted Read, and Write when mail was delivered"),
        (Fragile::make, false, "it falls to pieces"),
        (Undecided::make, false, "it gives up (Some(\"it gives up\")) and wants Read"),
    ];
    for (flaw, takes_mail, words) in flaws {
        let (flaw, takes_mail) = (*flaw, *takes_mail);
        let why = fault(|| Arc::new(Wrong { flaw, takes_mail }), 1000);
        assert!(why.contains(words), "{words:?} was expected: {why}");
    }
}

wrong!(Counting {
    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        // Right only where a line comes in one piece.
        if input.ends_with(b"\n") {
            out.write(format!("{}\n", input.len()).as_bytes());
        }
        listen()
    }
});

#[test]
fn answers_that_depend_on_the_split_are_found() {
    let cuts = (noise(), proptest::collection::vec(sizes(), 1..10));
    let reply = Bound { chunks: 1, reply: 100 };
    let outcome = runner().run(&cuts, |(mut words, sizes)| {
        words.0.push(b'\n');
        let of = |sizes: &[usize]| answers(service(Counting::make), &words, sizes, 100, reply);
        prop_assert_eq!(of(&sizes), of(&[usize::MAX]));
        Ok(())
    });
    assert!(matches!(outcome, Err(TestError::Fail(..))), "{outcome:?}");
}

/// A session around another one, which it goes on telling of what comes after its last word.
struct Around(Box<dyn Session>);

impl Session for Around {
    fn open(&mut self, out: &mut Output) -> Want {
        self.0.open(out)
    }

    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        for piece in input.chunks(10) {
            self.0.receive(piece, out);
        }
        Want::Read
    }

    fn end(&mut self, why: &str, out: &mut Output) {
        self.0.end(why, out);
    }
}

struct Wrapper(Arc<dyn Service>);

impl Service for Wrapper {
    fn accept(&self, peer: SocketAddr, id: ConnectionId) -> Box<dyn Session> {
        Box::new(Around(self.0.accept(peer, id)))
    }
}

wrong!(Brief {
    fn receive(&mut self, _input: &[u8], _out: &mut Output) -> Want { Want::Close }
});

#[test]
fn a_session_that_is_told_something_after_its_end_says_so() {
    let service =
        || -> Arc<dyn Service> { Arc::new(Wrapper(Arc::new(Guarded(service(Brief::make))))) };
    let why = fault(service, 0);
    assert!(why.contains("law 6: receive after its last word"), "{why}");
}

proptest! {
    #![proptest_config(super::cases(50))]

    #[test]
    fn a_session_that_is_right_passes(words in noise(), script in script(1, 100), chunk in chunks()) {
        drive(service(Brief::make), &words, &script, chunk, NOTHING);
    }
}

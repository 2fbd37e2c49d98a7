//! Sessions that want to be woken: at their time, whatever their peer does meanwhile.

mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use socklab::engine::Limits;
use socklab::session::{ConnectionId, Output, Service, Session, Want};
use support::{Server, echoes, finish, on_both_engines};

/// Long enough to be told from no time at all.
const STEP: Duration = Duration::from_millis(150);

/// Says each time it is woken which time that was, and asks for the next until there were enough;
/// then it leaves, if it is told to.
#[derive(Clone, Copy)]
struct Sleeper {
    step: Duration,
    times: u8,
    leaves: bool,
    /// Mail may come, so that the thread engine has two threads for it.
    takes_mail: bool,
}

impl Service for Sleeper {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(Asleep { sleeper: *self, woken: 0, due: None })
    }

    fn takes_mail(&self) -> bool {
        self.takes_mail
    }
}

struct Asleep {
    sleeper: Sleeper,
    woken: u8,
    due: Option<Instant>,
}

impl Asleep {
    fn ask(&mut self, out: &mut Output) {
        let due = out.now() + self.sleeper.step;
        self.due = Some(due);
        out.wake_at(due);
    }
}

impl Session for Asleep {
    fn open(&mut self, out: &mut Output) -> Want {
        self.ask(out);
        Want::Read
    }

    fn receive(&mut self, _input: &[u8], out: &mut Output) -> Want {
        out.repeat();
        Want::Read
    }

    fn wake(&mut self, out: &mut Output) -> Want {
        if self.due.is_none_or(|due| due > out.now()) {
            return Want::Read;
        }
        self.due = None;
        self.woken += 1;
        out.write(&[self.woken]);
        if self.woken < self.sleeper.times {
            self.ask(out);
        } else if self.sleeper.leaves {
            out.fail("it has slept enough");
            return Want::Close;
        }
        Want::Read
    }
}

const SLEEPER: Sleeper = Sleeper { step: STEP, times: 3, leaves: true, takes_mail: false };

on_both_engines! {
    fn a_session_is_woken_at_its_time_and_again(engine) {
        for takes_mail in [false, true] {
            let server = Server::start(engine, Sleeper { takes_mail, ..SLEEPER });
            let mut client = server.connect();
            let since = Instant::now();
            let mut said = Vec::new();
            client.read_to_end(&mut said).unwrap();
            assert_eq!(said, [1, 2, 3]);
            assert!(since.elapsed() >= 3 * STEP, "{:?} is too early", since.elapsed());
        }
    }

    fn a_busy_peer_does_not_put_it_off(engine) {
        let server = Server::start(engine, SLEEPER);
        let mut client = server.connect();
        let mut reader = client.try_clone().unwrap();
        thread::scope(|scope| {
            // Until the server has left; it has to, for nobody stops here.
            scope.spawn(move || while client.write_all(b"x").is_ok() {});
            let mut said = Vec::new();
            let _ = reader.read_to_end(&mut said);
            said.retain(|byte| *byte != b'x');
            assert_eq!(said, [1, 2, 3]);
        });
    }

    fn an_alarm_neither_delays_the_idle_time_nor_hastens_it(engine) {
        let idle_timeout = Some(4 * STEP);
        let limits = || Limits { idle_timeout, ..Limits::default() };
        // Woken once, in the middle of its idle time, and then not before its end.
        let once = Sleeper { step: 2 * STEP, times: 0, leaves: false, takes_mail: false };
        let server = Server::with_limits(engine, once, limits());
        let mut client = server.connect();
        echoes(&mut client, b"something");
        let since = Instant::now();
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 1);
        // What it has said then is progress, after which the idle time begins anew.
        assert_eq!(client.read(&mut [0; 8]).unwrap(), 0);
        assert!(since.elapsed() >= 5 * STEP, "{:?} is too early", since.elapsed());
    }

    fn an_alarm_of_the_dead_wakes_nobody(engine) {
        let server = Server::start(engine, Sleeper { times: 1, leaves: false, ..SLEEPER });
        for _ in 0..200 {
            assert_eq!(finish(&mut server.connect()), b"");
        }
        // Each of the others is woken once, and hears nothing of theirs.
        let mut clients: Vec<_> = (0..20).map(|_| server.connect()).collect();
        for client in &mut clients {
            let mut said = [0];
            client.read_exact(&mut said).unwrap();
            assert_eq!((said, finish(client)), ([1], vec![]));
        }
    }
}

#[test]
fn time_stands_still_where_it_is_set() {
    let mut session = Arc::new(SLEEPER).accept(([127, 0, 0, 1], 7).into(), ConnectionId::new(0, 1));
    let start = Instant::now();
    let mut out = Output::new(Output::CHUNK);
    out.set_now(start);
    session.open(&mut out);
    assert_eq!(out.take_wake(), Some(start + STEP));
    session.wake(&mut out);
    assert_eq!(out.bytes(), b"");
    out.set_now(start + STEP);
    session.wake(&mut out);
    assert_eq!(out.bytes(), [1]);
}

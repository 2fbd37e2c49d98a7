//! A session that holds the loop up is told on, and named. Threads have nothing to tell.

mod support;

use std::net::SocketAddr;
use std::sync::{Mutex, Once, PoisonError};
use std::thread;
use std::time::Duration;

use log::{Level, LevelFilter, Log, Metadata, Record};
use socklab::engine::{Engine, Limits};
use socklab::session::{ConnectionId, Output, Service, Session, Want};
use support::{Server, echoes, eventually, on_both_engines};

/// Far more than a pass takes that waits for nothing, even here.
const BOUND: Duration = Duration::from_secs(2);

/// An echo that falls asleep where it must not.
struct Sleeper(&'static str);

/// The name of one that does so before there is a session, in the loop.
const SLOW_TO_ACCEPT: &str = "slow to accept";

/// What it is told that makes it sleep: the first byte of a message.
const SLEEP: u8 = b'z';

impl Service for Sleeper {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        if self.0 == SLOW_TO_ACCEPT {
            thread::sleep(BOUND + Duration::from_millis(200));
        }
        Box::new(Sleeper(self.0))
    }

    fn name(&self) -> &'static str {
        self.0
    }
}

impl Session for Sleeper {
    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        if input[0] == SLEEP {
            thread::sleep(BOUND + Duration::from_millis(200));
        }
        out.repeat();
        Want::Read
    }
}

/// Keeps warnings.
struct Kept;

static KEPT: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Log for Kept {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) {
            KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// Warnings that name this service.
fn warnings(service: &str) -> Vec<String> {
    warnings_with(&format!("({service})"))
}

fn warnings_with(words: &str) -> Vec<String> {
    let kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    kept.iter().filter(|line| line.contains(words)).cloned().collect()
}

fn start(engine: Engine, name: &'static str, slow_pass: Option<Duration>) -> Server {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_logger(&Kept).expect("there is no other");
        log::set_max_level(LevelFilter::Warn);
    });
    Server::with_limits(engine, Sleeper(name), Limits { slow_pass, ..Limits::default() })
}

on_both_engines! {
    fn a_session_that_holds_up_the_others_is_named(engine) {
        let name = if engine == Engine::Poll { "sleeper" } else { "thread sleeper" };
        let server = start(engine, name, Some(BOUND));
        let mut innocent = server.connect();
        let mut guilty = server.connect();
        for client in [&mut innocent, &mut guilty] {
            echoes(client, b"hello");
        }
        echoes(&mut guilty, &[SLEEP]);
        echoes(&mut innocent, b"hello again");
        if engine == Engine::Threads {
            assert_eq!(warnings(name), [""; 0]);
            return;
        }
        // The line is written at the end of the pass, after the answer.
        eventually("it is told on", || !warnings(name).is_empty());
        let told = warnings(name).remove(0);
        let peer = guilty.local_addr().unwrap();
        assert!(told.contains(&format!("ms to tell #2 {peer} ({name}): receive")), "{told}");
        assert!(told.contains("more than 2000 ms (--slow-pass)"), "{told}");
    }

    fn who_is_let_in_after_a_long_time_is_not_to_blame(engine) {
        let server = start(engine, SLOW_TO_ACCEPT, Some(BOUND));
        echoes(&mut server.connect(), b"at last");
        if engine == Engine::Poll {
            eventually("it is told", || !warnings_with(" ms to accept callers, ").is_empty());
        }
        assert_eq!(warnings(SLOW_TO_ACCEPT), [""; 0]);
    }

    fn nothing_is_told_where_nothing_is_slow(engine) {
        let name = if engine == Engine::Poll { "quick" } else { "quick thread" };
        let server = start(engine, name, Some(10 * BOUND));
        let mut client = server.connect();
        (0..100).for_each(|_| echoes(&mut client, b"hello"));
        echoes(&mut client, &[SLEEP]);
        drop((client, server));
        assert_eq!(warnings(name), [""; 0]);
    }

    fn nothing_is_told_where_nobody_wants_to_know(engine) {
        let name = if engine == Engine::Poll { "unwatched" } else { "unwatched thread" };
        let server = start(engine, name, None);
        echoes(&mut server.connect(), &[SLEEP]);
        drop(server);
        assert_eq!(warnings(name), [""; 0]);
    }
}

//! What sessions say from files, and sessions that wait for something else than their peer.

mod support;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::SocketAddr;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use socklab::engine::Limits;
use socklab::session::{ConnectionId, Output, Service, Session, Want};
use support::http::tempfile;
use support::way::in_every_way;
use support::{Server, all_arrived, eventually, pattern};

/// More than kernels buffer, and no multiple of anything.
const LENGTH: usize = 9_000_011;

fn file_of(bytes: &[u8]) -> Arc<File> {
    let file = tempfile();
    (&file).write_all(bytes).unwrap();
    Arc::new(file)
}

/// For each byte it hears it says `<`, the file and `>`.
struct Library {
    file: Arc<File>,
    length: u64,
}

struct Reader {
    file: Arc<File>,
    length: u64,
    /// How often it is to be said, and how much of the present one was.
    times: u32,
    at: Option<u64>,
}

impl Service for Library {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(Reader { file: self.file.clone(), length: self.length, times: 0, at: None })
    }
}

impl Session for Reader {
    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        self.times += input.len() as u32;
        self.produce(out)
    }

    fn produce(&mut self, out: &mut Output) -> Want {
        while self.times > 0 {
            if out.is_full() {
                return Want::Write;
            }
            let at = *self.at.get_or_insert_with(|| {
                out.write(b"<");
                0
            });
            if at == self.length {
                out.write(b">");
                self.times -= 1;
                self.at = None;
                continue;
            }
            match out.write_file(&self.file, at, self.length - at) {
                Ok(0) => {
                    out.fail("the file is too short");
                    return Want::Close;
                }
                Ok(said) => self.at = Some(at + said),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    out.wake_at(out.now() + Duration::from_millis(1));
                    return Want::Wait;
                }
                Err(error) => panic!("{error}"),
            }
        }
        Want::Read
    }

    fn wake(&mut self, _out: &mut Output) -> Want {
        Want::Write
    }

    fn eof(&mut self, _out: &mut Output) -> Want {
        if self.times > 0 { Want::Write } else { Want::Close }
    }
}

/// Reads nothing more until it is allowed to, and then repeats all it hears, unless it was told to
/// finish meanwhile.
#[derive(Clone)]
struct Patient {
    open: Arc<AtomicBool>,
    finishes: bool,
}

impl Patient {
    fn until(open: &Arc<AtomicBool>) -> Patient {
        Patient { open: open.clone(), finishes: false }
    }
}

impl Service for Patient {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(self.clone())
    }
}

impl Session for Patient {
    fn open(&mut self, out: &mut Output) -> Want {
        self.wake(out)
    }

    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        assert!(self.open.load(Ordering::SeqCst), "nothing is read from who waits");
        out.write(input);
        Want::Read
    }

    fn wake(&mut self, out: &mut Output) -> Want {
        if self.open.load(Ordering::SeqCst) {
            return if self.finishes { Want::Close } else { Want::Read };
        }
        out.wake_at(out.now() + Duration::from_millis(1));
        Want::Wait
    }

    fn drain(&mut self, _out: &mut Output) -> Want {
        self.finishes = true;
        if self.open.load(Ordering::SeqCst) { Want::Close } else { Want::Wait }
    }
}

in_every_way! {
    fn a_file_is_said_between_other_words(way) {
        for length in [0, 1, 1000, Output::CHUNK - 1, Output::CHUNK, Output::CHUNK + 1, LENGTH] {
            let bytes = pattern(1, length);
            let library = Library { file: file_of(&bytes), length: length as u64 };
            let reached = way.start(library);
            let mut peer = reached.call();
            peer.say(b"xy");
            for _ in 0..2 {
                assert_eq!(peer.hear(1), b"<");
                assert!(peer.hear(length) == bytes, "{length} bytes");
                assert_eq!(peer.hear(1), b">");
            }
        }
    }

    fn a_file_that_is_not_in_memory_is_fetched(way) {
        let bytes = pattern(2, LENGTH);
        let file = file_of(&bytes);
        file.sync_all().unwrap();
        // Where the kernel does not comply, this is the test above.
        let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
        let reached = way.start(Library { file, length: LENGTH as u64 });
        let mut peer = reached.call();
        peer.say(b"x");
        assert!(peer.hear(LENGTH + 2)[1..=LENGTH] == bytes);
    }

    fn one_who_does_not_read_holds_up_nobody(way) {
        let bytes = pattern(3, LENGTH);
        let reached = way.start(Library { file: file_of(&bytes), length: LENGTH as u64 });
        let mut slow = reached.call();
        slow.say(&[b'x'; 100]);
        let mut quick = reached.call();
        quick.say(b"x");
        assert!(quick.hear(LENGTH + 2)[1..=LENGTH] == bytes);
        // All that was promised is there still.
        for _ in 0..3 {
            assert!(slow.hear(LENGTH + 2)[1..=LENGTH] == bytes);
        }
    }

    fn a_file_that_shrinks_ends_its_connection_and_no_other(way) {
        let file = file_of(&pattern(4, 24_000_000));
        let reached = way.start(Library { file: file.clone(), length: 24_000_000 });
        let (mut peer, mut other) = (reached.call(), reached.call());
        peer.say(b"x");
        peer.hear(1000);
        file.set_len(500_000).unwrap();
        assert!(peer.rest().len() < 24_000_000);
        file.set_len(0).unwrap();
        file.write_all_at(&pattern(4, 24_000_000), 0).unwrap();
        other.say(b"x");
        assert!(other.hear(24_000_000 + 1)[1..] == pattern(4, 24_000_000));
    }

    fn a_small_chunk_changes_nothing(way) {
        let bytes = pattern(5, 300_000);
        let limits = Limits { backlog_bytes: 100, ..Limits::default() };
        let library = Library { file: file_of(&bytes), length: 300_000 };
        let reached = way.with_limits(library, limits);
        let mut peer = reached.call();
        peer.say(b"x");
        assert!(peer.hear(300_002)[1..=300_000] == bytes);
    }

    fn nothing_is_read_from_who_waits(way) {
        let open = Arc::new(AtomicBool::new(false));
        let reached = way.start(Patient::until(&open));
        let mut peer = reached.call();
        let said = peer.fill();
        assert!(said > 0);
        open.store(true, Ordering::SeqCst);
        assert_eq!(peer.hear(said).len(), said);
    }

    fn who_waits_is_stopped_with_the_server(way) {
        let open = Arc::new(AtomicBool::new(false));
        let reached = way.start(Patient::until(&open));
        let mut peer = reached.call();
        peer.begin(b"x");
        // Or the stop may come first, and find a handshake that is not over.
        all_arrived(&peer.tcp);
        reached.server.request_stop();
        open.store(true, Ordering::SeqCst);
        peer.rest();
        reached.server.wait();
    }
}

support::on_both_engines! {
    fn who_waits_and_has_no_peer_any_more_ends(engine) {
        let open = Arc::new(AtomicBool::new(false));
        let server = Server::start(engine, Patient::until(&open));
        let client = server.connect();
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        open.store(true, Ordering::SeqCst);
        let alive = Arc::downgrade(&open);
        eventually("its session is dropped", || alive.strong_count() == 2);
    }
}

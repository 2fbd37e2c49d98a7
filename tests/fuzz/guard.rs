//! Looks at what a session is told: whether whoever calls it, an engine or a session around it,
//! keeps the engine's side of the contract.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;

use socklab::session::{ConnectionId, Output, Service, Session, Want};

/// A service whose sessions are told nothing that they should not be.
pub struct Guarded(pub Arc<dyn Service>);

impl Service for Guarded {
    fn accept(&self, peer: SocketAddr, id: ConnectionId) -> Box<dyn Session> {
        let inside = self.0.accept(peer, id);
        Box::new(Guard {
            inside,
            want: None,
            asked: false,
            eof: false,
            drained: false,
            ended: false,
        })
    }

    fn takes_mail(&self) -> bool {
        self.0.takes_mail()
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        self.0.alpn()
    }
}

struct Guard {
    inside: Box<dyn Session>,
    /// What was wanted last; nothing before it was opened.
    want: Option<Want>,
    /// It has asked to be woken.
    asked: bool,
    eof: bool,
    drained: bool,
    ended: bool,
}

impl Guard {
    /// It may be told something.
    fn check(&self, what: &str) {
        assert!(!self.ended, "{what} after its end");
        assert!(self.want.is_some(), "{what} before it was opened");
        assert_ne!(self.want, Some(Want::Close), "law 6: {what} after its last word");
    }

    fn note(&mut self, want: Want, out: &mut Output) -> Want {
        self.want = Some(want);
        if let Some(at) = out.take_wake() {
            self.asked = true;
            out.wake_at(at);
        }
        assert!(
            want != Want::Wait || self.asked,
            "law 1: it waits, and has never asked to be woken"
        );
        want
    }
}

impl Session for Guard {
    fn open(&mut self, out: &mut Output) -> Want {
        assert!(self.want.is_none() && !self.ended, "opened twice");
        let want = self.inside.open(out);
        self.note(want, out)
    }

    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        self.check("receive");
        assert_eq!(self.want, Some(Want::Read), "law 3: receive, and it does not want to read");
        assert!(!input.is_empty(), "receive without input");
        assert!(!self.eof, "receive after eof");
        let want = self.inside.receive(input, out);
        self.note(want, out)
    }

    fn produce(&mut self, out: &mut Output) -> Want {
        self.check("produce");
        assert_eq!(self.want, Some(Want::Write), "produce, and it does not want to write");
        let want = self.inside.produce(out);
        self.note(want, out)
    }

    fn deliver(&mut self, mail: &[u8], out: &mut Output) -> Want {
        self.check("deliver");
        let want = self.inside.deliver(mail, out);
        assert!(want == Want::Close || Some(want) == self.want, "law 4: it wants something else");
        self.note(want, out)
    }

    fn eof(&mut self, out: &mut Output) -> Want {
        self.check("eof");
        assert!(!std::mem::replace(&mut self.eof, true), "eof twice");
        let want = self.inside.eof(out);
        self.note(want, out)
    }

    fn idle(&mut self, out: &mut Output) -> Want {
        self.check("idle");
        let want = self.inside.idle(out);
        self.note(want, out)
    }

    fn wake(&mut self, out: &mut Output) -> Want {
        self.check("wake");
        assert!(self.asked, "wake, and it has not asked for it");
        let want = self.inside.wake(out);
        self.note(want, out)
    }

    fn drain(&mut self, out: &mut Output) -> Want {
        self.check("drain");
        assert!(!std::mem::replace(&mut self.drained, true), "drain twice");
        let want = self.inside.drain(out);
        self.note(want, out)
    }

    fn overflow(&mut self, out: &mut Output) {
        self.check("overflow");
        self.inside.overflow(out);
        self.want = Some(Want::Close);
    }

    fn end(&mut self, why: &str, out: &mut Output) {
        assert!(self.want.is_some(), "end before it was opened");
        assert!(!std::mem::replace(&mut self.ended, true), "end twice");
        self.inside.end(why, out);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        assert!(self.ended || thread::panicking(), "law 6: it is gone, and was not told its end");
    }
}

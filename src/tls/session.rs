//! The session around a session: what comes is decrypted and handed in, what the one inside says is
//! encrypted and handed out.
//!
//! The one inside is made when the handshake is done, so it never waits for that and never hears of
//! who does not come so far. What comes while it wants to write, or while there is enough to send,
//! waits in `unread`, which holds what the engine has read at once and no more; for the engine reads
//! nothing until this session wants that. What rustls has decrypted is told to the end before more
//! is given to it.

use std::borrow::Cow;
use std::io::{self, BufRead, IoSlice, Write};
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use log::debug;
use rustls::{HandshakeKind, ProtocolVersion, ServerConfig, ServerConnection};

use super::server::Acceptor;
use super::words::for_server;
use crate::failure::time;
use crate::session::{ConnectionId, Output, Service, Session, Want};

/// How much of a peer's first words is kept, to say what they were if they were no hello.
const HEAD: usize = 16;

/// A service over TLS.
pub struct Tls {
    service: Arc<dyn Service>,
    config: Arc<ServerConfig>,
    patience: Duration,
}

impl Tls {
    /// How long a handshake may take, unless another time is set: long for a distant peer, short
    /// for one who holds a seat and says nothing.
    pub const HANDSHAKE: Duration = Duration::from_secs(10);

    /// `service` for those who have come through a handshake with `acceptor` within `patience`,
    /// counted from their call.
    pub fn new(service: Arc<dyn Service>, acceptor: &Acceptor, patience: Duration) -> Tls {
        let mut config = acceptor.config.clone();
        config.alpn_protocols = service.alpn().iter().map(|name| name.to_vec()).collect();
        Tls { service, config: Arc::new(config), patience }
    }
}

impl Service for Tls {
    fn accept(&self, peer: SocketAddr, id: ConnectionId) -> Box<dyn Session> {
        let tls = ServerConnection::new(self.config.clone()).map(|mut tls| {
            // Each step is bounded by itself, and sent before the next one.
            tls.set_buffer_limit(None);
            tls
        });
        Box::new(Secured {
            tls: tls.expect("the configuration is one that rustls has made"),
            stage: Stage::Handshake(Handshake {
                service: self.service.clone(),
                peer,
                id,
                patience: self.patience,
                deadline: None,
                head: Vec::new(),
            }),
            unread: Vec::new(),
            takes_mail: self.takes_mail(),
            want: Want::Read,
            ended: false,
            told_end: false,
            drains: false,
            wakes: false,
            framing: Framing::default(),
        })
    }

    fn takes_mail(&self) -> bool {
        self.service.takes_mail()
    }

    fn name(&self) -> &'static str {
        self.service.name()
    }

    fn is_for_watchers(&self) -> bool {
        self.service.is_for_watchers()
    }
}

/// One conversation over TLS.
struct Secured {
    tls: ServerConnection,
    stage: Stage,
    /// What came and was not given to rustls yet.
    unread: Vec<u8>,
    takes_mail: bool,
    /// What the session inside wants.
    want: Want,
    /// The connection has ended on the peer's side, with or without notice.
    ended: bool,
    /// The session inside knows that nothing more will come.
    told_end: bool,
    /// The server is stopping, and the session inside does not know yet.
    drains: bool,
    /// The session inside has asked to be woken at some time.
    wakes: bool,
    framing: Framing,
}

enum Stage {
    Handshake(Handshake),
    Open(Box<dyn Session>),
}

/// What is needed to make the session inside, or to say why it was not made.
struct Handshake {
    service: Arc<dyn Service>,
    peer: SocketAddr,
    id: ConnectionId,
    patience: Duration,
    deadline: Option<Instant>,
    head: Vec<u8>,
}

impl Session for Secured {
    fn open(&mut self, out: &mut Output) -> Want {
        if let Stage::Handshake(handshake) = &mut self.stage {
            let deadline = out.now() + handshake.patience;
            handshake.deadline = Some(deadline);
            out.wake_at(deadline);
        }
        Want::Read
    }

    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        if let Stage::Handshake(Handshake { head, .. }) = &mut self.stage {
            head.extend(input.iter().take(HEAD - head.len()));
        }
        self.advance(input, out)
    }

    fn produce(&mut self, out: &mut Output) -> Want {
        if self.want == Want::Write {
            self.tell(out, |inside, out| inside.produce(out));
        }
        if self.want != Want::Read {
            return self.answer(out);
        }
        let unread = mem::take(&mut self.unread);
        self.advance(&unread, out)
    }

    fn deliver(&mut self, mail: &[u8], out: &mut Output) -> Want {
        self.tell(out, |inside, out| inside.deliver(mail, out));
        self.answer(out)
    }

    fn eof(&mut self, out: &mut Output) -> Want {
        self.ended = true;
        self.answer(out)
    }

    fn idle(&mut self, out: &mut Output) -> Want {
        if let Stage::Handshake(_) = self.stage {
            return self.give_up("TLS: no handshake within the idle time", out);
        }
        self.tell(out, |inside, out| inside.idle(out));
        self.answer(out)
    }

    fn wake(&mut self, out: &mut Output) -> Want {
        match &self.stage {
            Stage::Handshake(handshake) => {
                if handshake.deadline.is_some_and(|deadline| deadline <= out.now()) {
                    let why = format!("TLS: no handshake within {}", time(handshake.patience));
                    return self.give_up(why, out);
                }
            }
            Stage::Open(_) => {
                // It may have been for the handshake. Who inside has asked for another time is told
                // too early then, and will be told at that time as well.
                if self.wakes {
                    self.tell(out, |inside, out| inside.wake(out));
                }
            }
        }
        self.answer(out)
    }

    fn drain(&mut self, out: &mut Output) -> Want {
        if let Stage::Handshake(_) = self.stage {
            return self.farewell(out);
        }
        self.drains = true;
        self.answer(out)
    }

    fn overflow(&mut self, out: &mut Output) {
        self.tell(out, |inside, out| {
            inside.overflow(out);
            Want::Close
        });
        self.farewell(out);
    }

    fn end(&mut self, why: &str, out: &mut Output) {
        if let Stage::Open(inside) = &mut self.stage {
            inside.end(why, out);
        }
    }
}

impl Secured {
    /// Gives `input` to rustls, and what that makes of it to the session inside, as far as both go.
    fn advance(&mut self, mut input: &[u8], out: &mut Output) -> Want {
        let all = input.len();
        // As without TLS, an answer can be as long as what was read. One that is longer by what
        // fits at once is continued later.
        while self.want == Want::Read && !out.is_full_after(all - input.len()) {
            if self.has_plaintext() {
                self.hand_in(out);
            } else if input.is_empty() {
                break;
            } else if let Err(error) = self.decrypt(&mut input, out) {
                let head = match &self.stage {
                    Stage::Handshake(handshake) => &handshake.head[..],
                    Stage::Open(_) => &[],
                };
                return self.give_up(for_server(&error, head), out);
            }
        }
        self.unread.extend_from_slice(input);
        self.answer(out)
    }

    /// One step of rustls: a record, or what there is of it. What was right is told before what is
    /// wrong is known, however both were cut.
    fn decrypt(&mut self, input: &mut &[u8], out: &mut Output) -> Result<(), rustls::Error> {
        let open = matches!(self.stage, Stage::Open(_));
        let (mut record, rest) = input.split_at(self.framing.take(input));
        *input = rest;
        while !record.is_empty() {
            match self.tls.read_tls(&mut record) {
                // Nothing counts after the peer's notice of its end.
                Ok(0) if self.is_noticed() => return Ok(()),
                Ok(1..) => {}
                Ok(0) | Err(_) => {
                    // Of what is no TLS, or not now, it knows better when it looks.
                    self.tls.process_new_packets()?;
                    return Err(rustls::Error::General(
                        "a message of the handshake is too long".into(),
                    ));
                }
            }
        }
        self.tls.process_new_packets()?;
        // Of itself rustls has nothing to say here, except that it declines.
        let version = self.tls.protocol_version();
        if open && version == Some(ProtocolVersion::TLSv1_2) && self.tls.wants_write() {
            return Err(rustls::Error::General("it asks for a renegotiation".into()));
        }
        if open {
            // The answer to an update of keys waits for the next words, which may never come.
            let _ = self.tls.writer().write(&[]);
        } else if !self.tls.is_handshaking() {
            self.open_inside(out);
        }
        self.send(out);
        Ok(())
    }

    fn open_inside(&mut self, out: &mut Output) {
        let Stage::Handshake(Handshake { service, peer, id, .. }) = &self.stage else {
            return;
        };
        debug!("{id}: {}", agreed(&self.tls));
        self.stage = Stage::Open(service.accept(*peer, *id));
        self.send(out);
        self.tell(out, |inside, out| inside.open(out));
    }

    fn has_plaintext(&mut self) -> bool {
        self.tls.reader().fill_buf().is_ok_and(|bytes| !bytes.is_empty())
    }

    /// Tells the session inside what was decrypted, a record or what was put into one.
    fn hand_in(&mut self, out: &mut Output) {
        let Stage::Open(inside) = &mut self.stage else {
            return;
        };
        let outside = out.enter();
        let most = out.room().max(1);
        let mut reader = self.tls.reader();
        let taken = match reader.fill_buf() {
            Ok(input) => {
                let input = &input[..input.len().min(most)];
                self.want = inside.receive(input, out);
                out.copy_repeated(input);
                input.len()
            }
            Err(_) => 0,
        };
        reader.consume(taken);
        self.encrypt(outside, out);
    }

    /// Tells the session inside anything else, unless there is none yet, or it has finished.
    fn tell(&mut self, out: &mut Output, news: impl FnOnce(&mut dyn Session, &mut Output) -> Want) {
        let Stage::Open(inside) = &mut self.stage else {
            return;
        };
        if self.want == Want::Close {
            return;
        }
        let outside = out.enter();
        self.want = news(&mut **inside, out);
        self.encrypt(outside, out);
    }

    /// What the session inside said becomes records.
    fn encrypt(&mut self, outside: usize, out: &mut Output) {
        // It fails only where the connection has failed before.
        let _ = self.tls.writer().write_all(out.bytes());
        out.leave(outside);
        self.wakes |= out.wakes();
        self.send(out);
    }

    /// Hands out what rustls has to say.
    fn send(&mut self, out: &mut Output) {
        while self.tls.wants_write() {
            let _ = self.tls.write_tls(&mut Records(out));
        }
    }

    /// What is wanted after all: to write while anything waits here, to read when the session inside
    /// does, to close when it is done.
    fn answer(&mut self, out: &mut Output) -> Want {
        let waits = !self.unread.is_empty() || self.has_plaintext();
        if self.want == Want::Read
            && !waits
            && let Some(want) = self.hear_end(out)
        {
            return want;
        }
        // What had arrived is told first, unless that would take as long as it has something to say.
        if self.drains && (!waits || self.want != Want::Read) {
            self.drains = false;
            self.tell(out, |inside, out| inside.drain(out));
        }
        match self.want {
            Want::Close => self.farewell(out),
            Want::Wait => Want::Wait,
            Want::Read if !waits => Want::Read,
            Want::Read | Want::Write => Want::Write,
        }
    }

    /// All that came was told, and perhaps nothing more will come: with notice, or without.
    fn hear_end(&mut self, out: &mut Output) -> Option<Want> {
        let noticed = self.is_noticed();
        match &self.stage {
            Stage::Open(_) if noticed => {
                if !mem::replace(&mut self.told_end, true) {
                    self.tell(out, |inside, out| inside.eof(out));
                }
                // Who has nothing more to hear and nothing to say has finished.
                if self.want == Want::Read && !self.takes_mail {
                    self.want = Want::Close;
                }
                None
            }
            _ if !self.ended && !noticed => None,
            Stage::Open(_) => Some(self.give_up(TRUNCATED, out)),
            Stage::Handshake(handshake) if handshake.head.is_empty() => {
                Some(self.give_up("TLS: it left before its hello", out))
            }
            Stage::Handshake(_) => Some(self.give_up("TLS: it left during the handshake", out)),
        }
    }

    /// Whether the peer has given notice of its end, and all that came before was told.
    fn is_noticed(&mut self) -> bool {
        matches!(self.tls.reader().fill_buf(), Ok([]))
    }

    fn give_up(&mut self, why: impl Into<Cow<'static, str>>, out: &mut Output) -> Want {
        out.fail(why);
        self.farewell(out)
    }

    /// Says that nothing more will come, so that the peer knows that nothing is missing.
    fn farewell(&mut self, out: &mut Output) -> Want {
        self.tls.send_close_notify();
        self.send(out);
        Want::Close
    }
}

/// What the log says of an end without notice (RFC 8446, 6.1).
const TRUNCATED: &str = "TLS: it ended without close_notify; what it sent may be cut short";

/// Version, cipher suite and kind of handshake, once that is done.
fn agreed(tls: &ServerConnection) -> String {
    let version = match tls.protocol_version() {
        Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
        _ => "TLS 1.2",
    };
    let suite = tls.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let kind = match tls.handshake_kind() {
        Some(HandshakeKind::Resumed) => "resumed",
        _ => "full",
    };
    format!("{version}, {}, {kind} handshake", suite.unwrap_or_default())
}

/// Where records begin and end (RFC 8446, 5.1).
#[derive(Default)]
struct Framing {
    header: [u8; 5],
    /// How much of the header has come.
    seen: usize,
    /// How much of the record has not come.
    left: usize,
}

impl Framing {
    /// How much of `input` belongs to the present record, or to the next one if that is complete.
    fn take(&mut self, input: &[u8]) -> usize {
        let mut header = 0;
        if self.left == 0 {
            header = input.len().min(self.header.len() - self.seen);
            self.header[self.seen..][..header].copy_from_slice(&input[..header]);
            self.seen += header;
            if self.seen < self.header.len() {
                return header;
            }
            self.seen = 0;
            self.left = u16::from_be_bytes([self.header[3], self.header[4]]).into();
        }
        let body = self.left.min(input.len() - header);
        self.left -= body;
        header + body
    }
}

/// Takes all records that rustls has at once.
struct Records<'a>(&'a mut Output);

impl Write for Records<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes);
        Ok(bytes.len())
    }

    fn write_vectored(&mut self, records: &[IoSlice<'_>]) -> io::Result<usize> {
        records.iter().map(|record| self.write(record)).sum()
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

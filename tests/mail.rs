//! Mail between sessions: it reaches whom it is for, in order, or nobody.

mod support;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use socklab::engine::Limits;
use socklab::session::{ConnectionId, Output, Service, Session, Want};
use support::way::{Peer, Reached, in_every_way};
use support::{PATIENCE, Server, eventually, finish, on_both_engines, pattern};

/// Whatever one client says, all others hear; nobody is told who is there.
#[derive(Clone, Default)]
struct Room {
    members: Arc<Mutex<Vec<ConnectionId>>>,
    /// How often somebody was heard.
    heard: Arc<Mutex<usize>>,
    /// Who says no more may stay to listen.
    is_patient: bool,
}

impl Room {
    fn with_patience(&self) -> Room {
        Room { is_patient: true, ..self.clone() }
    }
}

struct Member {
    id: ConnectionId,
    room: Room,
}

impl Service for Room {
    fn accept(&self, _peer: SocketAddr, id: ConnectionId) -> Box<dyn Session> {
        self.members.lock().unwrap().push(id);
        Box::new(Member { id, room: self.clone() })
    }

    fn takes_mail(&self) -> bool {
        true
    }
}

impl Session for Member {
    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        assert_ne!(input, b"\x07", "the test wants a panic");
        if input[0] == b'?' {
            out.repeat();
        }
        *self.room.heard.lock().unwrap() += 1;
        let bytes: Arc<[u8]> = input.into();
        for member in self.room.members.lock().unwrap().iter() {
            if *member != self.id {
                out.post(*member, bytes.clone());
            }
        }
        Want::Read
    }

    fn deliver(&mut self, mail: &[u8], out: &mut Output) -> Want {
        if mail == b"\x18" {
            return Want::Close;
        }
        out.write(mail);
        if mail == b"\x04" { Want::Close } else { Want::Read }
    }

    fn eof(&mut self, _out: &mut Output) -> Want {
        if self.room.is_patient { Want::Read } else { Want::Close }
    }

    fn idle(&mut self, out: &mut Output) -> Want {
        for member in self.room.members.lock().unwrap().iter() {
            if *member != self.id {
                out.post(*member, b"is there anybody?".repeat(10).into());
            }
        }
        Want::Close
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.room.members.lock().unwrap().retain(|member| *member != self.id);
    }
}

/// Every session posts what it hears to all who were ever there, present or not.
#[derive(Clone, Default)]
struct Postcards {
    ever: Arc<Mutex<Vec<ConnectionId>>>,
}

struct Writer {
    id: ConnectionId,
    ever: Arc<Mutex<Vec<ConnectionId>>>,
}

impl Service for Postcards {
    fn accept(&self, _peer: SocketAddr, id: ConnectionId) -> Box<dyn Session> {
        self.ever.lock().unwrap().push(id);
        Box::new(Writer { id, ever: self.ever.clone() })
    }

    fn takes_mail(&self) -> bool {
        true
    }
}

impl Session for Writer {
    /// The first byte says for whom of them it is.
    fn receive(&mut self, input: &[u8], out: &mut Output) -> Want {
        for card in input.chunks(2) {
            let to = self.ever.lock().unwrap()[usize::from(card[0])];
            assert_ne!(to, self.id);
            out.post(to, card.into());
        }
        Want::Read
    }

    fn deliver(&mut self, mail: &[u8], out: &mut Output) -> Want {
        out.write(mail);
        Want::Read
    }
}

/// Connects `n` members, one after the other, so that their order is known.
fn gather(server: &Server, room: &Room, n: usize) -> Vec<TcpStream> {
    let mut clients = Vec::new();
    for present in 1..=n {
        clients.push(server.connect());
        eventually("it is a member", || room.members.lock().unwrap().len() == present);
    }
    clients
}

/// The same in every way.
fn call_together(server: &Reached<Server>, room: &Room, n: usize) -> Vec<Peer> {
    let mut clients = Vec::new();
    for present in 1..=n {
        clients.push(server.call());
        eventually("it is a member", || room.members.lock().unwrap().len() == present);
    }
    clients
}

in_every_way! {
    fn everybody_hears_everybody_else(way) {
        let room = Room::default();
        let server = way.start(room.clone());
        let clients = call_together(&server, &room, 8);
        let said = 20_000;
        thread::scope(|scope| {
            for (me, mut client) in clients.into_iter().enumerate() {
                scope.spawn(move || {
                    // A byte is who speaks. What it says goes out while it hears the others.
                    for _ in 0..said / 100 {
                        client.begin(&[me as u8; 100]);
                    }
                    let heard = client.hear(7 * said);
                    for other in 0..8 {
                        let count = heard.iter().filter(|byte| **byte == other as u8).count();
                        assert_eq!(count, if other == me { 0 } else { said });
                    }
                });
            }
        });
    }

    fn one_talker_is_heard_in_order(way) {
        let room = Room::default();
        let server = way.start(room.clone());
        let mut clients = call_together(&server, &room, 3);
        let speech = pattern(7, 1 << 20);
        let mut talker = clients.remove(0);
        thread::scope(|scope| {
            scope.spawn(|| talker.say(&speech));
            for client in &mut clients {
                assert!(client.hear(speech.len()) == speech);
            }
        });
    }

    fn who_does_not_read_its_mail_is_cut_off_and_the_others_hear_all(way) {
        let room = Room::default();
        let limits = Limits { backlog_bytes: 64 * 1024, ..Limits::default() };
        let server = way.with_limits(room.clone(), limits);
        let mut clients = call_together(&server, &room, 3);
        let mut deaf = clients.pop().unwrap();
        let mut listener = clients.pop().unwrap();
        let mut talker = clients.pop().unwrap();
        // Each piece is heard before the next is said, so only the deaf one falls behind.
        let piece = pattern(8, 60_000);
        let mut rounds = 0;
        let since = Instant::now();
        while room.members.lock().unwrap().len() == 3 {
            talker.say(&piece);
            assert!(listener.hear(piece.len()) == piece);
            rounds += 1;
            assert!(since.elapsed() < PATIENCE, "somebody who never reads is kept for ever");
        }
        // What had been sent may still be read; then comes the end, or a reset.
        assert!(deaf.remains().len() < rounds * piece.len());
    }

    fn mail_can_end_a_conversation_without_a_word(way) {
        let room = Room::default();
        let server = way.start(room.clone());
        let mut clients = call_together(&server, &room, 2);
        clients[1].say(b"\x18");
        assert_eq!(clients[0].rest(), b"");
    }

    fn mail_can_end_a_conversation(way) {
        let room = Room::default();
        let server = way.start(room.clone());
        let mut clients = call_together(&server, &room, 2);
        clients[1].say(b"\x04");
        assert_eq!(clients[0].rest(), b"\x04");
        drop(clients.remove(0));
        eventually("it has left the room", || room.members.lock().unwrap().len() == 1);
    }

    fn a_half_closed_peer_still_gets_its_mail(way) {
        let room = Room::default();
        let server = way.start(room.with_patience());
        let mut clients = call_together(&server, &room, 2);
        clients[0].close();
        for round in 0..20 {
            let word = pattern(round, 100);
            clients[1].say(&word);
            assert!(clients[0].hear(100) == word);
        }
    }
}

on_both_engines! {
    fn late_mail_never_reaches_the_next_tenant_of_a_slot(engine) {
        let service = Postcards::default();
        let ever = service.ever.clone();
        let server = Server::start(engine, service);
        let arrivals = |n| eventually("it is seated", || ever.lock().unwrap().len() == n);
        let mut writer = server.connect();
        arrivals(1);
        let mut former = server.connect();
        arrivals(2);
        assert_eq!(finish(&mut former), b"");
        drop(former);
        let mut tenant = server.connect();
        arrivals(3);
        let ids = ever.lock().unwrap().clone();
        if engine == socklab::engine::Engine::Poll {
            // With threads the slot may still be the former's: it is free when its thread has left.
            assert_eq!(ids[1].slot(), ids[2].slot());
        }
        assert_ne!(ids[1], ids[2]);
        // For the former tenant a hundred times, then once for the present one.
        writer.write_all(&[1, b'!'].repeat(100)).unwrap();
        writer.write_all(&[2, b'?']).unwrap();
        let mut card = [0; 2];
        tenant.read_exact(&mut card).unwrap();
        assert_eq!(card, [2, b'?']);
        assert_eq!(finish(&mut tenant), b"");
    }

    fn mail_is_delivered_though_its_sender_breaks(engine) {
        let room = Room::default();
        let server = Server::start(engine, room.clone());
        let mut listener = gather(&server, &room, 1).remove(0);
        for _ in 0..50 {
            let mut talker = server.connect();
            eventually("it is a member", || room.members.lock().unwrap().len() == 2);
            // Its answer meets a socket that is reset.
            talker.write_all(b"?last words").unwrap();
            SockRef::from(&talker).set_linger(Some(Duration::ZERO)).unwrap();
            drop(talker);
            eventually("it has left", || room.members.lock().unwrap().len() == 1);
        }
        // A reset can overtake what was sent before it; what was heard is told by the room.
        let said = *room.heard.lock().unwrap();
        let mut heard = vec![0; said * b"?last words".len()];
        listener.read_exact(&mut heard).unwrap();
        assert_eq!(heard, b"?last words".repeat(said));
    }

    fn who_is_cut_off_by_the_mail_of_an_idle_session_harms_nobody(engine) {
        let room = Room::default();
        let limits = Limits {
            backlog_bytes: 100,
            idle_timeout: Some(Duration::from_millis(300)),
            ..Limits::default()
        };
        let server = Server::with_limits(engine, room.clone(), limits);
        let mut clients = gather(&server, &room, 6);
        for client in &mut clients {
            client.set_nonblocking(true).unwrap();
            // It is answered until it takes no more.
            while client.write(&[b'?'; 65_536]).is_ok() {}
        }
        eventually("all are cut off", || room.members.lock().unwrap().is_empty());
        assert_eq!(finish(&mut server.connect()), b"");
    }

    fn a_session_that_panics_ends_its_own_conversation_only(engine) {
        let room = Room::default();
        let limits = Limits { max_clients: 2, ..Limits::default() };
        let server = Server::with_limits(engine, room.clone(), limits);
        let _neighbour = gather(&server, &room, 1);
        for _ in 0..5 {
            let mut client = server.connect();
            client.write_all(b"\x07").unwrap();
            let mut rest = Vec::new();
            let _ = client.read_to_end(&mut rest);
            drop(client);
            eventually("its seat is free", || room.members.lock().unwrap().len() == 1);
        }
    }
}

//! Mail between sessions: it reaches whom it is for, in order, or nobody.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use socklab::engine::Limits;
use socklab::session::{ConnectionId, Output, Service, Session, Want};
use support::{Server, eventually, finish, on_both_engines, pattern};

/// Whatever one client says, all others hear; nobody is told who is there.
#[derive(Clone, Default)]
struct Room {
    members: Arc<Mutex<Vec<ConnectionId>>>,
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
        let bytes: Arc<[u8]> = input.into();
        for member in self.room.members.lock().unwrap().iter() {
            if *member != self.id {
                out.post(*member, bytes.clone());
            }
        }
        Want::Read
    }

    fn deliver(&mut self, mail: &[u8], out: &mut Output) -> Want {
        out.write(mail);
        if mail == b"\x04" { Want::Close } else { Want::Read }
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

    fn everybody_hears_everybody_else_in_order(engine) {
        let room = Room::default();
        let server = Server::start(engine, room.clone());
        let mut clients = gather(&server, &room, 8);
        let said = 20_000;
        thread::scope(|scope| {
            for (me, client) in clients.iter_mut().enumerate() {
                let mut speaker = client.try_clone().unwrap();
                scope.spawn(move || {
                    // A byte is who speaks, so that the others' order can be told apart.
                    for _ in 0..said / 100 {
                        speaker.write_all(&[me as u8; 100]).unwrap();
                    }
                });
                scope.spawn(move || {
                    let mut heard = vec![0; 7 * said];
                    client.read_exact(&mut heard).unwrap();
                    for other in 0..8 {
                        let count = heard.iter().filter(|byte| **byte == other as u8).count();
                        assert_eq!(count, if other == me { 0 } else { said });
                    }
                });
            }
        });
    }

    fn one_talker_is_heard_in_order(engine) {
        let room = Room::default();
        let server = Server::start(engine, room.clone());
        let mut clients = gather(&server, &room, 3);
        let speech = pattern(7, 1 << 20);
        let mut talker = clients.remove(0);
        thread::scope(|scope| {
            scope.spawn(|| talker.write_all(&speech).unwrap());
            for client in &mut clients {
                let mut heard = vec![0; speech.len()];
                client.read_exact(&mut heard).unwrap();
                assert!(heard == speech);
            }
        });
    }

    fn who_does_not_read_its_mail_is_cut_off_and_the_others_hear_all(engine) {
        let room = Room::default();
        let limits = Limits { backlog_bytes: 64 * 1024, ..Limits::default() };
        let server = Server::with_limits(engine, room.clone(), limits);
        let mut clients = gather(&server, &room, 3);
        let mut deaf = clients.pop().unwrap();
        let mut listener = clients.pop().unwrap();
        let mut talker = clients.pop().unwrap();
        // Each piece is heard before the next is said, so only the deaf one falls behind.
        let piece = pattern(8, 60_000);
        let mut rounds = 0;
        while room.members.lock().unwrap().len() == 3 {
            talker.write_all(&piece).unwrap();
            let mut heard = vec![0; piece.len()];
            listener.read_exact(&mut heard).unwrap();
            assert!(heard == piece);
            rounds += 1;
            assert!(rounds < 2000, "somebody who never reads is kept for ever");
        }
        // What had been sent may still be read; then comes the end, or a reset.
        let mut rest = Vec::new();
        match deaf.read_to_end(&mut rest) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
        }
        assert!(rest.len() < rounds * piece.len());
    }

    fn mail_can_end_a_conversation(engine) {
        let room = Room::default();
        let server = Server::start(engine, room.clone());
        let mut clients = gather(&server, &room, 2);
        clients[1].write_all(b"\x04").unwrap();
        let mut farewell = Vec::new();
        clients[0].read_to_end(&mut farewell).unwrap();
        assert_eq!(farewell, b"\x04");
        drop(clients.remove(0));
        eventually("it has left the room", || room.members.lock().unwrap().len() == 1);
    }
}

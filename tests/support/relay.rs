//! A line to a server that breaks after so many bytes, and stays broken until it is mended: to
//! another server, if need be. Clients see one address all the while.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

pub struct Relay {
    pub address: SocketAddr,
    line: Arc<Mutex<Line>>,
}

struct Line {
    to: SocketAddr,
    /// Bytes until it breaks, of all connections and both directions.
    left: u64,
    /// Both ends of all connections.
    live: Vec<TcpStream>,
}

impl Relay {
    pub fn to(server: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let line = Arc::new(Mutex::new(Line { to: server, left: u64::MAX, live: Vec::new() }));
        let shared = line.clone();
        // It ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                connect(client, &shared);
            }
        });
        Relay { address, line }
    }

    /// It breaks once so many bytes have gone over it.
    pub fn breaks_after(&self, bytes: u64) {
        self.line.lock().unwrap().left = bytes;
    }

    pub fn is_broken(&self) -> bool {
        self.line.lock().unwrap().left == 0
    }

    /// It leads to `server`, and does not break again.
    pub fn mend(&self, server: SocketAddr) {
        let mut line = self.line.lock().unwrap();
        (line.to, line.left) = (server, u64::MAX);
    }
}

fn connect(client: TcpStream, line: &Arc<Mutex<Line>>) {
    let mut shared = line.lock().unwrap();
    if shared.left == 0 {
        return;
    }
    let Ok(server) = TcpStream::connect(shared.to) else { return };
    for (from, to) in [(&client, &server), (&server, &client)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let line = line.clone();
        thread::spawn(move || carry(from, to, &line));
    }
    shared.live.extend([client, server]);
}

fn carry(mut from: TcpStream, mut to: TcpStream, line: &Mutex<Line>) {
    let mut bytes = vec![0; 65_536];
    while let Ok(n @ 1..) = from.read(&mut bytes) {
        let mut shared = line.lock().unwrap();
        let fits = shared.left.min(n as u64);
        shared.left -= fits;
        if shared.left == 0 {
            for end in shared.live.drain(..) {
                let _ = end.shutdown(Shutdown::Both);
            }
            return;
        }
        drop(shared);
        if to.write_all(&bytes[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

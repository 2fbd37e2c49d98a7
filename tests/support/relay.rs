//! A line to a server on which something happens after so many bytes: it holds still, it is cut, or
//! it breaks until it is mended, to another server if need be. Clients see one address all the while.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

pub struct Relay {
    pub address: SocketAddr,
    line: Arc<Line>,
}

/// What happens.
#[derive(Clone, Copy, PartialEq)]
enum Event {
    /// Nothing goes on.
    Hold,
    /// All connections end; new ones can be made.
    Cut,
    /// All connections end at once, new ones too.
    Break,
}

struct Line {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    to: SocketAddr,
    event: Event,
    /// Bytes until it happens, of all connections and both directions.
    left: u64,
    /// Bytes that have gone over it since it was mended.
    carried: u64,
    /// Both ends of all connections.
    live: Vec<TcpStream>,
}

impl Relay {
    pub fn to(server: SocketAddr) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let state =
            State { to: server, event: Event::Cut, left: u64::MAX, carried: 0, live: Vec::new() };
        let line = Arc::new(Line { state: Mutex::new(state), changed: Condvar::new() });
        let shared = line.clone();
        // It ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                shared.connect(client);
            }
        });
        Relay { address, line }
    }

    pub fn holds_after(&self, bytes: u64) {
        self.expect(Event::Hold, bytes);
    }

    pub fn is_cut_after(&self, bytes: u64) {
        self.expect(Event::Cut, bytes);
    }

    pub fn breaks_after(&self, bytes: u64) {
        self.expect(Event::Break, bytes);
    }

    fn expect(&self, event: Event, left: u64) {
        let mut state = self.line.state.lock().unwrap();
        (state.event, state.left) = (event, left);
        self.line.changed.notify_all();
        if left == 0 {
            state.happen();
        }
    }

    /// It leads to `server`, and nothing more happens.
    pub fn mend(&self, server: SocketAddr) {
        let mut state = self.line.state.lock().unwrap();
        (state.to, state.left, state.carried) = (server, u64::MAX, 0);
        self.line.changed.notify_all();
    }

    /// Bytes since it was mended.
    pub fn carried(&self) -> u64 {
        self.line.state.lock().unwrap().carried
    }
}

impl State {
    /// All bytes have gone over it that could.
    fn happen(&mut self) {
        match self.event {
            Event::Hold => return,
            Event::Cut => self.left = u64::MAX,
            Event::Break => {}
        }
        for end in self.live.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }
}

impl Line {
    fn connect(self: &Arc<Line>, client: TcpStream) {
        let mut state = self.state.lock().unwrap();
        if state.left == 0 && state.event == Event::Break {
            return;
        }
        let Ok(server) = TcpStream::connect(state.to) else { return };
        for (from, to) in [(&client, &server), (&server, &client)] {
            let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
            let line = self.clone();
            thread::spawn(move || line.carry(from, to));
        }
        state.live.extend([client, server]);
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = vec![0; 65_536];
        while let Ok(n @ 1..) = from.read(&mut bytes) {
            let is_held = |state: &mut State| state.left == 0 && state.event == Event::Hold;
            let mut state = self.changed.wait_while(self.state.lock().unwrap(), is_held).unwrap();
            if state.left == 0 {
                break;
            }
            state.left = state.left.saturating_sub(n as u64);
            state.carried += n as u64;
            if state.left == 0 {
                state.happen();
            }
            drop(state);
            if to.write_all(&bytes[..n]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Write);
    }
}

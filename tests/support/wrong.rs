//! Servers of every temper: each echoes, but for one fault, at one place, to one client.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

use super::pattern;

/// What goes wrong at the place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Temper {
    /// Nothing.
    Honest,
    /// A bit of the byte there is turned.
    Corrupts,
    /// The byte there never comes.
    Drops,
    /// So many bytes from there on come twice.
    Duplicates(usize),
    /// So many bytes from there on come after as many that are later.
    Reorders(usize),
    /// So many bytes that nobody sent come there.
    Adds(usize),
    /// From there on nothing comes, and the connection stays.
    FallsSilent,
    /// From there on nothing comes but the end.
    Closes,
    /// There the connection is reset.
    Resets,
    /// There everything stops for so long, once, and then goes on.
    Stalls(Duration),
}

/// The server. It stops when it is dropped.
pub struct Wrong {
    pub address: SocketAddr,
    stopped: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

/// One conversation.
struct Talk {
    stream: TcpStream,
    temper: Temper,
    place: u64,
    /// Bytes that came before, of those that were passed on or bent.
    position: u64,
    /// Bytes from the place on, until all are there that are bent together.
    window: Vec<u8>,
    done: bool,
}

impl Wrong {
    /// Whoever calls from `victim` meets `temper` after `place` bytes of his conversation; all others
    /// are echoed.
    pub fn start(temper: Temper, victim: IpAddr, place: u64) -> Wrong {
        // Any address of the loopback network reaches it.
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is there");
        Wrong::serve(listener, temper, Some(victim), place)
    }

    /// Everybody meets `temper`.
    pub fn to_all(temper: Temper, place: u64) -> Wrong {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is there");
        Wrong::serve(listener, temper, None, place)
    }

    pub fn serve(
        listener: TcpListener,
        temper: Temper,
        victim: Option<IpAddr>,
        place: u64,
    ) -> Wrong {
        let address = listener.local_addr().expect("it is bound");
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        let listener = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let caller = stream.peer_addr().map(|peer| peer.ip());
                let is_victim = victim.is_none() || caller.is_ok_and(|ip| Some(ip) == victim);
                let temper = if is_victim { temper } else { Temper::Honest };
                thread::spawn(move || Talk::new(stream, temper, place).run());
            }
        });
        Wrong { address, stopped, listener: Some(listener) }
    }
}

impl Drop for Wrong {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl Talk {
    fn new(stream: TcpStream, temper: Temper, place: u64) -> Talk {
        let _ = stream.set_nodelay(true);
        Talk { stream, temper, place, position: 0, window: Vec::new(), done: false }
    }

    /// A peer that leaves, however rudely, ends it.
    fn run(mut self) {
        let mut input = vec![0; 65_536];
        loop {
            match self.stream.read(&mut input) {
                Ok(0) => return,
                Ok(n) => {
                    if self.pass_on(&input[..n]).is_err() {
                        return;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Bytes that are bent together.
    fn wide(&self) -> usize {
        match self.temper {
            Temper::Corrupts | Temper::Drops => 1,
            Temper::Duplicates(block) => block,
            Temper::Reorders(block) => 2 * block,
            _ => 0,
        }
    }

    /// What came goes back in one piece, as far as it may.
    fn pass_on(&mut self, mut came: &[u8]) -> std::io::Result<()> {
        let mut out = Vec::new();
        if !self.done && self.temper != Temper::Honest {
            let before = came.len().min((self.place.saturating_sub(self.position)) as usize);
            out.extend_from_slice(&came[..before]);
            self.position += before as u64;
            came = &came[before..];
            if self.position < self.place {
                return self.stream.write_all(&out);
            }
            let more = came.len().min(self.wide() - self.window.len());
            self.window.extend_from_slice(&came[..more]);
            came = &came[more..];
            if self.window.len() < self.wide() {
                return self.stream.write_all(&out);
            }
            self.done = true;
            self.bend(&mut out)?;
        }
        out.extend_from_slice(came);
        self.stream.write_all(&out)
    }

    fn bend(&mut self, out: &mut Vec<u8>) -> std::io::Result<()> {
        let window = std::mem::take(&mut self.window);
        match self.temper {
            Temper::Honest | Temper::Drops => {}
            Temper::Corrupts => out.push(window[0] ^ 0x10),
            Temper::Duplicates(_) => {
                out.extend_from_slice(&window);
                out.extend_from_slice(&window);
            }
            Temper::Reorders(block) => {
                out.extend_from_slice(&window[block..]);
                out.extend_from_slice(&window[..block]);
            }
            Temper::Adds(n) => out.extend_from_slice(&pattern(4711, n)),
            Temper::Stalls(time) => thread::sleep(time),
            Temper::FallsSilent => {
                self.stream.write_all(out)?;
                return self.listen_on();
            }
            Temper::Closes => {
                self.stream.write_all(out)?;
                self.stream.shutdown(Shutdown::Write)?;
                // To close with bytes unread would be a reset.
                return self.listen_on();
            }
            Temper::Resets => {
                self.stream.write_all(out)?;
                SockRef::from(&self.stream).set_linger(Some(Duration::ZERO))?;
                // Whoever returns an error drops the stream.
                return Err(ErrorKind::ConnectionReset.into());
            }
        }
        Ok(())
    }

    /// Reads until the peer has left, and then says that it has.
    fn listen_on(&mut self) -> std::io::Result<()> {
        let mut input = [0; 65_536];
        while self.stream.read(&mut input)? > 0 {}
        Err(ErrorKind::UnexpectedEof.into())
    }
}

/// Sends everybody what was meant for another: the bytes of the caller `1` go to the caller `0` and
/// the other way round, as soon as both are there.
pub struct Mixed {
    pub address: SocketAddr,
}

impl Mixed {
    /// Two callers, told apart by the addresses they call from.
    pub fn start(messages: usize, size: usize) -> Mixed {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || -> std::io::Result<()> {
            let mut callers = Vec::new();
            let mut seen = HashSet::new();
            while callers.len() < 2 {
                let (mut stream, peer) = listener.accept()?;
                stream.set_nodelay(true)?;
                assert!(seen.insert(peer.ip()), "each calls from an address of his own");
                // The first message of each is answered by an echo, so that both get to talk.
                for _ in 0..messages {
                    let mut message = vec![0; size];
                    stream.read_exact(&mut message)?;
                    stream.write_all(&message)?;
                }
                callers.push(stream);
            }
            let mut texts = Vec::new();
            for stream in &mut callers {
                let mut message = vec![0; size];
                stream.read_exact(&mut message)?;
                texts.push(message);
            }
            callers[0].write_all(&texts[1])?;
            callers[1].write_all(&texts[0])?;
            for stream in &mut callers {
                let mut rest = Vec::new();
                let _ = stream.read_to_end(&mut rest);
            }
            Ok(())
        });
        Mixed { address }
    }
}

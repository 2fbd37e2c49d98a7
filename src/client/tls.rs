//! A connection in TLS, shared by a thread that sends and one that receives.
//!
//! rustls is a machine without a socket, and both threads need it. Its laws here:
//!
//! 1. The machine is never locked in a system call: a sender asleep in `write`, because the server
//!    does not read before it is read from, must not keep the receiver from decrypting.
//! 2. Whoever writes takes the wire first and makes ciphertext after, so that it leaves in the order
//!    in which it was made.
//! 3. The receiver never waits for the wire, nor for room on it. What it has to say (an answer to
//!    new keys, an alert) stays in the machine for whoever has the wire, who looks there after
//!    giving it back: so nothing is forgotten, whoever comes first.
//! 4. Only `close_notify` is the server's end. The end of TCP without it is a cut.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use rustls::ClientConnection;

use super::{CHUNK, lost};
use crate::tls::Connector;

/// The halves of a connection whose handshake is done, with what was `received` behind it.
pub fn halves(
    socket: TcpStream,
    connection: ClientConnection,
    received: Received,
    words: Words,
) -> (Receiver, Sender) {
    let machine = Mutex::new(Machine { connection, end: End::NotYet });
    let shared = Arc::new(Shared { socket, machine, wire: Mutex::default(), words });
    let sender = Sender(shared.clone());
    (Receiver { shared, received, cut: false, failure: None }, sender)
}

/// The half that receives.
pub struct Receiver {
    shared: Arc<Shared>,
    received: Received,
    /// TCP has ended.
    cut: bool,
    failure: Option<rustls::Error>,
}

impl Receiver {
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.shared.socket.set_read_timeout(timeout)
    }

    pub fn set_lost_after(&self, time: Option<Duration>) -> io::Result<()> {
        lost::limit(&self.shared.socket, time)
    }

    /// Cuts the connection, for the sender, too.
    pub fn abort(&self) {
        // It may be cut already.
        let _ = self.shared.socket.shutdown(Shutdown::Both);
    }

    /// Says the last word, as far as that needs no waiting.
    pub fn leave(&self) {
        lock(&self.shared.machine).end();
        self.shared.answer();
    }

    /// Plaintext, as much as there is and fits. `None`: more must come from the network first.
    fn decrypt(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let mut machine = lock(&self.shared.machine);
        let mut filled = 0;
        loop {
            match machine.connection.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Ok(Some(filled)),
                Ok(n) => filled += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            let more = !self.received.is_empty() && self.failure.is_none();
            if more && filled < buffer.len() {
                // What was decrypted before a failure comes first.
                self.failure = self.received.feed(&mut machine.connection).err();
                continue;
            }
            return match &self.failure {
                _ if filled > 0 => Ok(Some(filled)),
                Some(error) => Err(self.shared.words.told(error)),
                None if self.cut => Err(io::ErrorKind::UnexpectedEof.into()),
                None => Ok(None),
            };
        }
    }
}

impl Read for Receiver {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let plaintext = self.decrypt(buffer);
            self.shared.answer();
            if let Some(n) = plaintext? {
                return Ok(n);
            }
            // Sleeps here while the server is silent. Nothing is locked.
            self.cut = self.received.fill(&self.shared.socket)? == 0;
        }
    }
}

/// The half that sends.
pub struct Sender(Arc<Shared>);

impl Sender {
    pub fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.0.socket.set_write_timeout(timeout)
    }

    /// Sends `close_notify`, and goes on receiving.
    pub fn end(&mut self) -> io::Result<()> {
        self.0.say(|machine| {
            machine.end();
            Ok(())
        })
    }

    /// Cuts the connection: without `close_notify`, so that the server does not take what it has for
    /// all.
    pub fn abort(&mut self) -> io::Result<()> {
        self.0.socket.shutdown(Shutdown::Both)
    }
}

impl Write for Sender {
    /// Takes what rustls does at once, and has sent all of that when it returns.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.say(|machine| machine.connection.writer().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Shared {
    socket: TcpStream,
    /// Locked after the wire, if at all.
    machine: Mutex<Machine>,
    /// Ciphertext that the kernel has not taken. Its lock is the right to write, and held while the
    /// sender sleeps.
    wire: Mutex<Vec<u8>>,
    words: Words,
}

impl Shared {
    /// Sends what `say` makes, and waits until the kernel has taken it.
    fn say<T>(&self, say: impl FnOnce(&mut Machine) -> io::Result<T>) -> io::Result<T> {
        let mut wire = lock(&self.wire);
        let said = {
            let mut machine = lock(&self.machine);
            let said = say(&mut machine).map_err(|error| self.words.of_machine(error))?;
            machine.drain(&mut wire);
            said
        };
        // Sleeps here while the server does not read. The machine is free.
        let sent = (&self.socket).write_all(&wire);
        wire.clear();
        drop(wire);
        sent?;
        self.answer();
        Ok(said)
    }

    /// Sends what the machine has to say by itself, as far as the kernel takes it at once; the rest
    /// goes with what is read or written next. If another thread has the wire, it comes by here.
    fn answer(&self) {
        loop {
            let mut wire = match self.wire.try_lock() {
                Ok(wire) => wire,
                Err(TryLockError::Poisoned(wire)) => wire.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            // One answer at a time: a server that does not read them makes no heap of them.
            if wire.is_empty() {
                lock(&self.machine).drain(&mut wire);
            }
            if !wire.is_empty() {
                match send(&self.socket, &wire, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                    Ok(sent) => drop(wire.drain(..sent)),
                    Err(Errno::AGAIN | Errno::INTR) => {}
                    // Both halves see it for themselves.
                    Err(_) => wire.clear(),
                }
            }
            let stuck = !wire.is_empty();
            // What was put into the machine while the wire was here is for us, even if we had nothing
            // to send.
            drop(wire);
            if stuck || !lock(&self.machine).has_more() {
                return;
            }
        }
    }
}

/// What rustls knows of the connection.
struct Machine {
    connection: ClientConnection,
    end: End,
}

/// How far our last word is.
#[derive(PartialEq, Eq)]
enum End {
    NotYet,
    /// `close_notify` is in the machine.
    Made,
    /// It is on the wire, and nothing may follow it (RFC 8446, 6.1).
    Said,
}

impl Machine {
    fn end(&mut self) {
        if self.end == End::NotYet {
            self.connection.send_close_notify();
            self.end = End::Made;
        }
    }

    /// Whether there is ciphertext to send.
    fn has_more(&mut self) -> bool {
        if self.end == End::NotYet && !self.connection.wants_write() {
            // The answer to new keys waits in rustls, unseen, for something to be written.
            let _ = self.connection.writer().write(&[]);
        }
        self.end != End::Said && self.connection.wants_write()
    }

    /// Moves ciphertext to the wire.
    fn drain(&mut self, wire: &mut Vec<u8>) {
        while self.has_more() {
            self.connection.write_tls(wire).expect("memory takes everything");
        }
        if self.end == End::Made {
            self.end = End::Said;
        }
    }
}

/// Ciphertext that rustls has not seen: it takes in no more than a record or two at a time.
pub struct Received {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Received {
    pub fn new() -> Received {
        Received { bytes: vec![0; CHUNK], start: 0, end: 0 }
    }

    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Reads once; everything before must have been fed. Sleeps in `read`.
    pub fn fill(&mut self, mut socket: &TcpStream) -> io::Result<usize> {
        (self.start, self.end) = (0, 0);
        self.end = socket.read(&mut self.bytes)?;
        Ok(self.end)
    }

    /// Lets rustls take in what it likes.
    pub fn feed(&mut self, connection: &mut ClientConnection) -> Result<(), rustls::Error> {
        let taken = connection.read_tls(&mut &self.bytes[self.start..self.end]);
        self.start += taken.map_err(|error| rustls::Error::General(error.to_string()))?;
        connection.process_new_packets().map(drop)
    }
}

/// Failures of TLS for people to read, on their way through `Read` and `Write`.
pub struct Words {
    pub connector: Connector,
    pub host: String,
}

impl Words {
    fn told(&self, error: &rustls::Error) -> io::Error {
        let text = match error {
            rustls::Error::InvalidMessage(_) => {
                format!("{} sent what is no TLS, in the middle of the connection", self.host)
            }
            error => self.connector.explain(error, &self.host),
        };
        io::Error::new(io::ErrorKind::InvalidData, text)
    }

    /// The same of one that rustls has wrapped itself.
    fn of_machine(&self, error: io::Error) -> io::Error {
        match error.get_ref().and_then(|error| error.downcast_ref()) {
            Some(error) => self.told(error),
            None => error,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::mpsc;
    use std::thread;

    use rustls::crypto::ring::default_provider;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::version::TLS13;
    use rustls::{ServerConfig, ServerConnection, StreamOwned};
    use socket2::SockRef;

    use super::*;
    use crate::tls::client;

    /// Long enough for a busy machine.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// Two ends of a connection after the handshake, with next to no room in the kernel.
    fn connected() -> ((Receiver, Sender), StreamOwned<ServerConnection, TcpStream>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        SockRef::from(&listener).set_recv_buffer_size(2048).expect("it is a socket");
        let socket = TcpStream::connect(listener.local_addr().expect("it is bound"));
        let mut socket = socket.expect("it listens");
        SockRef::from(&socket).set_send_buffer_size(2048).expect("it is a socket");
        let made = rcgen::generate_simple_self_signed(["localhost".into()]).expect("it can be");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[&TLS13])
            .expect("ring has it")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .expect("the key fits");
        let server = ServerConnection::new(Arc::new(config)).expect("the configuration is right");
        let mut server = StreamOwned::new(server, listener.accept().expect("it is called").0);
        server.sock.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
        let shaking = thread::spawn(move || {
            server.conn.complete_io(&mut server.sock).expect("the client shakes hands");
            server
        });
        let options = client::Options { insecure: true, ..client::Options::default() };
        let connector = Connector::new(&options).expect("it needs no files");
        let mut connection = connector.connection("localhost").expect("it is a name");
        connection.complete_io(&mut socket).expect("the server shakes hands");
        let words = Words { connector, host: "localhost".into() };
        let client = halves(socket, connection, Received::new(), words);
        (client, shaking.join().expect("the server shakes hands"))
    }

    /// Asks for new keys, and says a word after that.
    fn ask_for_new_keys(server: &mut StreamOwned<ServerConnection, TcpStream>) {
        server.conn.refresh_traffic_keys().expect("TLS 1.3 has it");
        server.conn.writer().write_all(b".").expect("there is room");
        while server.conn.wants_write() {
            server.conn.write_tls(&mut server.sock).expect("the client reads");
        }
    }

    /// What the client reads next, by a thread that may get stuck.
    fn read_aside(mut receiver: Receiver) -> mpsc::Receiver<Vec<u8>> {
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            let mut heard = [0; 16];
            let n = receiver.read(&mut heard).expect("the server speaks");
            let _ = tell.send(heard[..n].to_vec());
        });
        told
    }

    #[test]
    fn a_stuck_sender_stops_no_receiver_and_answers_for_it_at_last() {
        const LENGTH: usize = 60_000;
        let ((receiver, mut sender), mut server) = connected();
        let sending = thread::spawn(move || {
            assert_eq!(sender.write(&[0; LENGTH]).expect("the server reads"), LENGTH);
            sender
        });
        // It has the wire once something comes, and keeps it until nearly all has gone.
        server.sock.peek(&mut [0]).expect("the client speaks");
        ask_for_new_keys(&mut server);
        let heard = read_aside(receiver).recv_timeout(PATIENCE);
        assert_eq!(heard.expect("it is not stuck, too"), b".");

        // All of it in four records of 22 bytes more, and the answer in one of five and these.
        let mut left = LENGTH + 4 * 22 + 5 + 22;
        while left > 0 {
            let read = server.conn.read_tls(&mut server.sock).expect("the answer comes, too");
            left = left.checked_sub(read).expect("there is nothing else to say");
            server.conn.process_new_packets().expect("all is in order");
            let _ = server.conn.reader().read(&mut [0; LENGTH]);
        }
        drop(sending.join().expect("all was sent"));
    }

    #[test]
    fn an_answer_waits_for_no_room() {
        let ((receiver, sender), mut server) = connected();
        ask_for_new_keys(&mut server);
        // Nobody reads this, so it need not be TLS.
        let mut refused = 0;
        // The other end acknowledges late, up to 40 ms, and that makes room again.
        while refused < 200 {
            match send(&sender.0.socket, &[0; 1024], SendFlags::DONTWAIT) {
                Ok(_) => refused = 0,
                Err(_) => refused += 1,
            }
            thread::sleep(Duration::from_millis(1));
        }
        let heard = read_aside(receiver).recv_timeout(PATIENCE);
        assert_eq!(heard.expect("it is not stuck"), b".");
    }
}

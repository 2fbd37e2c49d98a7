//! A TLS server for tests: it echoes, but for one manner of its own, and makes its own certificate.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{Certificate, CertificateParams, DnType, KeyPair};
use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;
use socklab::load::secure::Secure;
use socklab::tls::{Connector, Fingerprint, client};

use super::pattern;
use super::run::Scratch;

/// What it does with what it hears.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// Sends it back, and close_notify when it has heard the client's.
    Honest,
    /// The same, but it closes without close_notify.
    CutsOff,
    /// Sends it back, but for one fault after so many bytes.
    Fails(Fault, u64),
    /// Takes all, and says nothing until it is left.
    Takes,
    /// Takes so many bytes, and reads no more. The connection stays.
    StopsReading(u64),
    /// Speaks without being asked, and changes its key again and again: each time it waits for the
    /// client's answer to that.
    Speaks,
}

/// What goes wrong at the place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Fault {
    /// From there on nothing comes but close_notify, together with what came before. The connection
    /// stays.
    Closes,
    /// From there on nothing comes but the end of the connection.
    CutsOff,
    /// There the connection is reset.
    Resets,
    /// From there on nothing comes.
    FallsSilent,
    /// A bit of the byte there is turned before it is encrypted.
    Corrupts,
    /// A bit of its record is turned after it was encrypted.
    Garbles,
    /// A byte that nobody sent comes there.
    Adds,
}

/// How its connections are.
#[derive(Clone)]
pub struct Host {
    pub manner: Manner,
    /// Sizes of what is read and written at once, in turn.
    pub cuts: Vec<usize>,
    pub tls12: bool,
    /// Whether it gives tickets.
    pub tickets: bool,
    /// Whether bytes that are waiting may be few.
    pub narrow: bool,
}

impl Host {
    pub fn of(manner: Manner) -> Host {
        Host { manner, cuts: vec![usize::MAX], tls12: false, tickets: true, narrow: false }
    }

    pub fn start(self) -> Running {
        let (cert, signing_key) = identity();
        let version = if self.tls12 { &TLS12 } else { &TLS13 };
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(&[version])
            .expect("it is known")
            .with_no_client_auth()
            .with_single_cert(vec![cert.der().clone()], key)
            .expect("they belong together");
        match self.tickets {
            true => config.ticketer = Ticketer::new().expect("there are random numbers"),
            false => config.send_tls13_tickets = 0,
        }
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        if self.narrow {
            SockRef::from(&listener).set_recv_buffer_size(4096).expect("it may be small");
        }
        let address = listener.local_addr().expect("it is bound");
        let stopped = Arc::new(AtomicBool::new(false));
        let seen: Arc<Seen> = Arc::default();
        let (stop, sees) = (stopped.clone(), seen.clone());
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (host, config, sees) = (self.clone(), config.clone(), sees.clone());
                // However it ends, the client knows it.
                thread::spawn(move || host.serve(stream, config, &sees));
            }
        });
        let base64 = BASE64_STANDARD.encode(cert.der());
        let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
        let ca = Scratch::holding(&pem);
        let fingerprint = Fingerprint::of(&CertificateDer::from(cert.der().to_vec()));
        Running { address, ca, fingerprint, seen, stopped, thread: Some(thread) }
    }

    fn serve(&self, tcp: TcpStream, config: Arc<ServerConfig>, seen: &Seen) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        if self.narrow {
            SockRef::from(&tcp).set_send_buffer_size(4096)?;
        }
        let socket = Socket { tcp, cuts: self.cuts.clone(), next: 0, garble: false };
        let connection = ServerConnection::new(config).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, socket);
        if self.manner == Manner::Speaks {
            return speak(stream, &seen.updates);
        }
        let mut input = vec![0; 16 * 1024];
        let mut position = 0;
        loop {
            let n = stream.read(&mut input)?;
            if n == 0 {
                break;
            }
            let came = &mut input[..n];
            let begin = position;
            position += n as u64;
            match self.manner {
                Manner::Takes => {}
                Manner::StopsReading(enough) if position < enough => {}
                Manner::StopsReading(_) => {
                    seen.kept.lock().expect("nobody panics").push(stream.sock.tcp);
                    return Ok(());
                }
                Manner::Fails(fault, place) if (begin..position).contains(&place) => {
                    if !fail(&mut stream, fault, came, (place - begin) as usize)? {
                        return Ok(());
                    }
                }
                _ => stream.write_all(came)?,
            }
        }
        if self.manner != Manner::CutsOff {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        stream.sock.leave()
    }
}

/// Sends back what `came`, with a fault `at` a byte of it. Whether the conversation goes on.
fn fail(
    stream: &mut StreamOwned<ServerConnection, Socket>,
    fault: Fault,
    came: &mut [u8],
    at: usize,
) -> io::Result<bool> {
    match fault {
        Fault::Corrupts => came[at] ^= 1,
        Fault::Garbles => stream.sock.garble = true,
        Fault::Adds => {
            // In one piece, or the client could have too little of it to tell what it is.
            stream.write_all(&[&came[..at], &[came[at] ^ 1], &came[at..]].concat())?;
            return Ok(true);
        }
        Fault::Closes => {
            stream.conn.writer().write_all(&came[..at])?;
            stream.conn.send_close_notify();
            stream.flush()?;
            while stream.sock.tcp.read(&mut [0; 4096])? > 0 {}
            return Ok(false);
        }
        _ => {
            stream.write_all(&came[..at])?;
            match fault {
                Fault::CutsOff => stream.sock.leave()?,
                Fault::Resets => {
                    SockRef::from(&stream.sock.tcp).set_linger(Some(Duration::ZERO))?
                }
                Fault::FallsSilent => while stream.read(&mut [0; 4096])? > 0 {},
                _ => unreachable!("the others send all that came"),
            }
            return Ok(false);
        }
    }
    stream.write_all(came)?;
    Ok(true)
}

/// A certificate of localhost that nobody else has issued, and its key.
fn identity() -> (Certificate, KeyPair) {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let names = vec!["localhost".into(), "127.0.0.1".into()];
    let mut params = CertificateParams::new(names).expect("they are names");
    params.distinguished_name.push(DnType::CommonName, format!("test {number}"));
    let key = KeyPair::generate().expect("there are random numbers");
    (params.self_signed(&key).expect("it has a key"), key)
}

/// Changes of keys that one connection sees: more than 32 are too many for rustls.
const UPDATES: u64 = 20;

/// A client that does not answer a change of keys is told nothing more.
fn speak(mut stream: StreamOwned<ServerConnection, Socket>, updates: &AtomicU64) -> io::Result<()> {
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock)?;
    }
    for _ in 0..UPDATES {
        stream.write_all(&pattern(7, 5_000))?;
        stream.conn.refresh_traffic_keys().map_err(io::Error::other)?;
        stream.write_all(&pattern(8, 5_000))?;
        // A record from the client is its answer, for it says nothing else.
        stream.conn.read_tls(&mut stream.sock)?;
        stream.conn.process_new_packets().map_err(io::Error::other)?;
        updates.fetch_add(1, Ordering::SeqCst);
    }
    loop {
        stream.write_all(&pattern(9, 5_000))?;
    }
}

/// What its conversations have in common.
#[derive(Default)]
pub struct Seen {
    /// Answers to changes of its key.
    pub updates: AtomicU64,
    /// Connections that nobody reads any more.
    kept: Mutex<Vec<TcpStream>>,
}

/// The server. It stops when it is dropped.
pub struct Running {
    pub address: SocketAddr,
    /// A file with its certificate.
    pub ca: Scratch,
    pub fingerprint: Fingerprint,
    pub seen: Arc<Seen>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Running {
    /// How clients speak with it who trust its certificate.
    pub fn secure(&self, resumes: bool) -> Secure {
        let options = client::Options { pin: Some(self.fingerprint), ..client::Options::default() };
        let connector = Connector::new(&options).expect("there is no file to read");
        Secure { connector, host: "localhost".into(), resumes }
    }

    pub fn target(&self) -> String {
        format!("tls://{}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A socket that takes and gives no more at once than its cuts say.
struct Socket {
    tcp: TcpStream,
    cuts: Vec<usize>,
    next: usize,
    /// A bit of what is written next is turned.
    garble: bool,
}

impl Socket {
    fn cut(&mut self, length: usize) -> usize {
        self.next += 1;
        length.min(self.cuts[self.next % self.cuts.len()])
    }

    /// Closes, and takes what still comes, or the client would be reset.
    fn leave(&mut self) -> io::Result<()> {
        self.tcp.shutdown(Shutdown::Write)?;
        while self.tcp.read(&mut [0; 4096])? > 0 {}
        Ok(())
    }
}

impl Read for Socket {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = self.cut(into.len());
        self.tcp.read(&mut into[..most])
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let most = self.cut(bytes.len());
        let mut piece = bytes[..most].to_vec();
        if let Some(last) = piece.last_mut().filter(|_| std::mem::take(&mut self.garble)) {
            *last ^= 1;
        }
        match self.tcp.write(&piece) {
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(0),
            outcome => outcome,
        }
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| &piece[..]).collect();
        self.write(&pieces.concat())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

//! HTTP servers of every manner: each serves one file, whatever is asked for, right or wrong.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;
use socklab::load::secure::Secure;
use socklab::tls::{Connector, client};

/// How it answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Manner {
    /// With a Content-Length.
    Right,
    /// The same, a byte at a time.
    Crumbles,
    /// Each head is another, and 100 or 103 comes before it.
    Talkative,
    /// In chunks of so many bytes.
    Chunks(usize),
    /// With a Content-Length, and `Connection: close`, and then it closes.
    Closes,
    /// It closes after so many answers, as the last of them says: requests that have come by then are
    /// not answered, and with them unread, it resets the connection.
    ClosesAfter(u64),
    /// In HTTP/1.0, without a length: the end of the connection is the end of the body.
    EndsWithConnection,

    /// A bit of this byte of the body is turned.
    Corrupts(usize),
    /// So many bytes at the end are missing; Content-Length says so.
    Shortens(usize),
    /// The same, in chunks.
    ShortensChunks(usize),
    /// So many bytes come after the body that nobody has announced.
    Adds(usize),
    /// The same, in a chunk.
    AddsChunk(usize),
    /// This status, and the body.
    Says(u16),
    /// After so many bytes of the body nothing comes but the end.
    CutsOff(usize),
    /// After so many bytes of the body nothing comes.
    FallsSilent(usize),
    /// After so many bytes of the body the connection is reset.
    Resets(usize),
    /// No HTTP at all.
    Mumbles,
}

use Manner::*;

/// The server. It stops when it is dropped.
pub struct Httpd {
    pub address: SocketAddr,
    /// Requests that have come.
    pub requests: Arc<AtomicU64>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What is the same for all connections.
#[derive(Clone)]
pub struct Site {
    pub manner: Manner,
    pub body: Arc<Vec<u8>>,
    /// Where the file that is asked for is; the body, if it is nowhere.
    pub root: Option<PathBuf>,
    /// Answers of each connection that are right, before the others are in that manner.
    pub right: u64,
    /// Who gets those; everybody, if it is nobody in particular.
    pub victim: Option<IpAddr>,
    pub tls: bool,
}

impl Site {
    pub fn new(manner: Manner, body: impl Into<Vec<u8>>) -> Site {
        Site { manner, body: Arc::new(body.into()), root: None, right: 0, victim: None, tls: false }
    }

    pub fn start(self) -> Httpd {
        self.listen(TcpListener::bind("127.0.0.1:0").expect("loopback is there"))
    }

    pub fn listen(self, listener: TcpListener) -> Httpd {
        let address = listener.local_addr().expect("it is bound");
        let (stopped, requests) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let (stop, counts): (_, Arc<AtomicU64>) = (stopped.clone(), Arc::clone(&requests));
        let config = self.tls.then(config);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (site, counts, config) = (self.clone(), counts.clone(), config.clone());
                // However it ends, the client knows it.
                thread::spawn(move || site.serve(stream, config, &counts));
            }
        });
        Httpd { address, requests, stopped, thread: Some(thread) }
    }

    fn serve(
        &self,
        tcp: TcpStream,
        config: Option<Arc<ServerConfig>>,
        requests: &AtomicU64,
    ) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        let socket = tcp.try_clone()?;
        match config {
            None => self.talk(tcp, &socket, requests)?,
            Some(config) => {
                let connection = ServerConnection::new(config).map_err(io::Error::other)?;
                let mut stream = StreamOwned::new(connection, tcp);
                self.talk(&mut stream, &socket, requests)?;
                stream.conn.send_close_notify();
                stream.flush()?;
            }
        }
        socket.shutdown(Shutdown::Write)
    }

    /// Until one of both closes.
    fn talk(
        &self,
        mut stream: impl Read + Write,
        socket: &TcpStream,
        requests: &AtomicU64,
    ) -> io::Result<()> {
        let caller = socket.peer_addr()?.ip();
        let is_victim = self.victim.is_none_or(|victim| victim == caller);
        let (mut came, mut input, mut answered) = (Vec::new(), vec![0; 4096], 0);
        loop {
            let n = stream.read(&mut input)?;
            if n == 0 {
                return Ok(());
            }
            came.extend_from_slice(&input[..n]);
            while let Some(end) = came.windows(4).position(|four| four == b"\r\n\r\n") {
                let request = String::from_utf8_lossy(&came[..end]);
                let path = request.split(' ').nth(1).unwrap_or_default();
                let file = |root: &PathBuf| fs::read(root.join(path.trim_start_matches('/')));
                let body = match &self.root {
                    Some(root) => Arc::new(file(root)?),
                    None => self.body.clone(),
                };
                came.drain(..end + 4);
                requests.fetch_add(1, Ordering::SeqCst);
                let manner = if is_victim && answered >= self.right { self.manner } else { Right };
                answered += 1;
                if !answer(&body, &mut stream, socket, manner, answered)? {
                    return Ok(());
                }
            }
        }
    }
}

/// Whether the connection goes on.
fn answer(
    body: &[u8],
    stream: &mut (impl Read + Write),
    socket: &TcpStream,
    manner: Manner,
    nth: u64,
) -> io::Result<bool> {
    let ok = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    let right = [ok(body.len()).as_bytes(), body].concat();
    let head = right.len() - body.len();
    let closing = || {
        let head = format!(
            "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let (text, goes_on) = match manner {
        Right => (right, true),
        Crumbles => {
            for byte in right {
                stream.write_all(&[byte])?;
                stream.flush()?;
            }
            return Ok(true);
        }
        Talkative => {
            let before = ["HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Hint\r\nLink: x\r\n\r\n"];
            let head = ok(body.len()).replace("\r\n\r\n", &format!("\r\nNumber: {nth}\r\n\r\n"));
            let before = before[nth as usize % 2].as_bytes();
            ([before, head.as_bytes(), body].concat(), true)
        }
        Chunks(size) => (chunked(body, size), true),
        Closes => (closing(), false),
        ClosesAfter(last) => match nth == last {
            true => (closing(), false),
            false => (right, true),
        },
        EndsWithConnection => ([&b"HTTP/1.0 200 OK\r\n\r\n"[..], body].concat(), false),
        Corrupts(at) => {
            let mut text = right;
            text[head + at] ^= 0x10;
            (text, true)
        }
        Shortens(by) => {
            let less = body.len() - by;
            ([ok(less).as_bytes(), &body[..less]].concat(), true)
        }
        ShortensChunks(by) => (chunked(&body[..body.len() - by], 7), true),
        Adds(more) => ([&right[..], &vec![b'x'; more]].concat(), true),
        AddsChunk(more) => (chunked(&[body, &vec![b'x'; more]].concat(), body.len()), true),
        Says(status) => {
            let head = ok(body.len()).replace("200", &status.to_string());
            ([head.as_bytes(), body].concat(), true)
        }
        CutsOff(at) => (right[..head + at].to_vec(), false),
        FallsSilent(at) => {
            stream.write_all(&right[..head + at])?;
            stream.flush()?;
            while stream.read(&mut [0; 4096])? > 0 {}
            return Ok(false);
        }
        Resets(at) => {
            stream.write_all(&right[..head + at])?;
            stream.flush()?;
            // What was sent has to arrive before the reset, which takes back what has not.
            super::all_arrived(socket);
            SockRef::from(socket).set_linger(Some(Duration::ZERO))?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Mumbles => (b"220 ready\r\n".to_vec(), true),
    };
    stream.write_all(&text)?;
    stream.flush()?;
    Ok(goes_on)
}

impl Httpd {
    /// How clients speak TLS with it.
    pub fn secure() -> Secure {
        let options = client::Options { insecure: true, ..client::Options::default() };
        let connector = Connector::new(&options).expect("there is no file to read");
        Secure { connector, host: "localhost".into(), resumes: true }
    }

    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::SeqCst)
    }
}

impl Drop for Httpd {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut text = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(size.max(1)) {
        text.extend_from_slice(format!("{:X};name=value\r\n", chunk.len()).as_bytes());
        text.extend_from_slice(chunk);
        text.extend_from_slice(b"\r\n");
    }
    text.extend_from_slice(b"0\r\nTrailer: yes\r\n\r\n");
    text
}

pub fn config() -> Arc<ServerConfig> {
    let params = CertificateParams::new(vec!["localhost".into()]).expect("it is a name");
    let key = KeyPair::generate().expect("there are random numbers");
    let cert = params.self_signed(&key).expect("it has a key");
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .expect("they are known")
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key);
    Arc::new(config.expect("they belong together"))
}

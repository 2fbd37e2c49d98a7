//! An HTTP server that follows a script, byte for byte, and a place for the files of `get` and `put`.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use base64::prelude::{BASE64_STANDARD, Engine};
use rustls::ServerConfig;

use super::PATIENCE;
use super::run::{Ending, Running, SOCKLAB};
use super::tls::{self, Peer};

/// A server that ends with its script.
pub struct Site {
    pub address: SocketAddr,
    script: JoinHandle<()>,
}

impl Site {
    pub fn of(script: impl FnOnce(&mut Door) + Send + 'static) -> Site {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let script = thread::spawn(move || script(&mut Door(listener)));
        Site { address, script }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    pub fn tls_url(&self, path: &str) -> String {
        format!("https://{}/{path}", self.address)
    }

    /// Waits for the end of the script, which passes on what it asserted.
    pub fn join(self) {
        self.script.join().expect("the script goes as it should");
    }
}

/// Where callers come in, one after the other.
pub struct Door(TcpListener);

impl Door {
    pub fn address(&self) -> SocketAddr {
        self.0.local_addr().expect("it is bound")
    }

    fn socket(&mut self) -> TcpStream {
        let (stream, _) = self.0.accept().expect("the client connects");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream.set_write_timeout(Some(PATIENCE)).expect("a timeout can be set");
        stream
    }

    pub fn caller(&mut self) -> Caller {
        Caller(BufReader::new(Wire::Plain(self.socket())))
    }

    pub fn tls_caller(&mut self, config: ServerConfig) -> Caller {
        Caller(BufReader::new(Wire::Tls(Box::new(tls::peer(config, self.socket())))))
    }
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<Peer>),
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.read(buffer),
            Wire::Tls(peer) => peer.read(buffer),
        }
    }
}

/// A client on its connection, which ends when this is dropped.
pub struct Caller(BufReader<Wire>);

/// A request without its body.
pub struct Request {
    /// `GET /path`
    pub line: String,
    fields: Vec<(String, String)>,
}

impl Request {
    /// A field, empty where there is none.
    pub fn field(&self, name: &str) -> &str {
        let named = self.fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        named.map_or("", |(_, value)| value)
    }
}

impl Caller {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("the client asks");
        line
    }

    /// The next request. Its end before one is a panic.
    #[track_caller]
    pub fn request(&mut self) -> Request {
        let first = self.line();
        let line = first.strip_suffix(" HTTP/1.1\r\n").expect("a request comes").to_owned();
        let mut fields = Vec::new();
        loop {
            let field = self.line();
            match field.trim_end().split_once(": ") {
                Some((name, value)) => fields.push((name.into(), value.into())),
                None => {
                    assert_eq!(field, "\r\n");
                    return Request { line, fields };
                }
            }
        }
    }

    #[track_caller]
    pub fn asks(&mut self, line: &str) -> Request {
        let request = self.request();
        assert_eq!(request.line, line);
        request
    }

    /// A request, and an answer to it.
    #[track_caller]
    pub fn answers(&mut self, line: &str, answer: impl AsRef<[u8]>) -> Request {
        let request = self.asks(line);
        self.says(answer);
        request
    }

    pub fn says(&mut self, bytes: impl AsRef<[u8]>) {
        // A client that has heard enough may be gone.
        let _ = match self.0.get_mut() {
            Wire::Plain(stream) => stream.write_all(bytes.as_ref()),
            Wire::Tls(peer) => peer.write_all(bytes.as_ref()),
        };
    }

    pub fn body(&mut self, length: usize) -> Vec<u8> {
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).expect("the client sends");
        body
    }

    /// A body in chunks, put together.
    pub fn chunks(&mut self) -> Vec<u8> {
        let mut body = Vec::new();
        loop {
            let size = usize::from_str_radix(self.line().trim_end(), 16).expect("it is a size");
            body.extend(self.body(size));
            assert_eq!(self.line(), "\r\n");
            if size == 0 {
                return body;
            }
        }
    }

    /// What comes until the client closes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        // A cut is an end, too.
        let _ = self.0.read_to_end(&mut rest);
        rest
    }

    /// Says its last word, and so that it is heard.
    pub fn ends(mut self) {
        match self.0.get_mut() {
            Wire::Plain(stream) => {
                let _ = stream.shutdown(Shutdown::Write);
            }
            Wire::Tls(peer) => tls::end(peer),
        }
        self.rest();
    }

    /// Closes TCP without a word of TLS, but so that what was said is heard.
    pub fn cuts_off(mut self) {
        let socket = match self.0.get_ref() {
            Wire::Plain(stream) => stream,
            Wire::Tls(peer) => &peer.sock,
        };
        let _ = socket.shutdown(Shutdown::Write);
        self.rest();
    }
}

/// An answer with the whole file.
pub fn whole(fields: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{fields}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// An answer without a body.
pub fn bare(status: &str, fields: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n{fields}\r\n")
}

/// The digest of these bytes, as a field.
pub fn digest(bytes: &[u8]) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
    format!("Repr-Digest: sha-256=:{}:\r\n", BASE64_STANDARD.encode(digest))
}

/// An empty folder in which the binary runs, gone when this is dropped.
pub struct Home(PathBuf);

impl Home {
    pub fn new() -> Home {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("home-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let home = Home(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name));
        fs::create_dir_all(&home.0).expect("the target folder takes folders");
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, bytes: &[u8]) {
        fs::write(self.path(name), bytes).expect("there is space");
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// What is in it, in order.
    pub fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).expect("it is there");
        let name = |entry: std::io::Result<fs::DirEntry>| entry.expect("it is there").file_name();
        let mut names: Vec<String> =
            names.map(|entry| name(entry).into_string().expect("it is UTF-8")).collect();
        names.sort();
        names
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(SOCKLAB);
        command.args(arguments).current_dir(&self.0).env_remove("RUST_LOG");
        command.env_remove("SSLKEYLOGFILE");
        command
    }

    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::spawn(&mut self.command(arguments))
    }

    pub fn run(&self, arguments: &[&str]) -> Ending {
        self.start(arguments).end()
    }

    /// With this on standard input.
    pub fn given(&self, input: &[u8], arguments: &[&str]) -> Ending {
        let mut command = assert_cmd::Command::from_std(self.command(arguments));
        let output = command.timeout(PATIENCE).write_stdin(input).output().expect("it runs");
        let text = |bytes| String::from_utf8(bytes).expect("it is UTF-8");
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

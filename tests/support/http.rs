//! HTTP without sockets: a session, the time it asks for, and what a client makes of its answers.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use socklab::session::{ConnectionId, Output, Service, Session, Want};

/// A session and what an engine keeps beside it.
pub struct Dialogue {
    session: Box<dyn Session>,
    chunk: usize,
    pub want: Want,
    pub now: Instant,
    alarm: Option<Instant>,
    /// What is too much for the session: it has wanted to write, or to wait.
    unread: Vec<u8>,
    pub said: Vec<u8>,
    pub failure: Option<String>,
}

impl Dialogue {
    pub fn open(service: &dyn Service, chunk: usize) -> Dialogue {
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 7));
        let mut dialogue = Dialogue {
            session: service.accept(peer, ConnectionId::new(0, 1)),
            chunk,
            want: Want::Read,
            now: Instant::now(),
            alarm: None,
            unread: Vec::new(),
            said: Vec::new(),
            failure: None,
        };
        dialogue.tell(|session, out| session.open(out));
        dialogue
    }

    pub fn tell(&mut self, news: impl FnOnce(&mut dyn Session, &mut Output) -> Want) {
        assert_ne!(self.want, Want::Close, "nothing is told after the end");
        let mut out = Output::new(self.chunk);
        out.set_now(self.now);
        self.want = news(&mut *self.session, &mut out);
        self.said.extend_from_slice(out.bytes());
        self.alarm = out.take_wake().or(self.alarm);
        self.failure = out.take_failure().map(|why| why.into_owned()).or(self.failure.take());
    }

    /// The peer sends this.
    pub fn hear(&mut self, input: &[u8]) {
        self.unread.extend_from_slice(input);
        self.go_on();
    }

    /// Until nothing can be done without the peer. What is waited for is waited for in no time.
    pub fn go_on(&mut self) {
        loop {
            match self.want {
                Want::Read if self.unread.is_empty() => return,
                Want::Read => {
                    let input = std::mem::take(&mut self.unread);
                    self.tell(|session, out| session.receive(&input, out));
                }
                Want::Write => self.tell(|session, out| session.produce(out)),
                Want::Wait => {
                    let alarm = self.alarm.take().expect("who waits has asked to be woken");
                    // Disks are as slow as they are, whatever the time here.
                    thread::sleep(alarm.saturating_duration_since(self.now) / 20);
                    self.now = alarm;
                    self.tell(|session, out| session.wake(out));
                }
                Want::Close => return,
            }
        }
    }

    /// So much time goes by, in which the peer says nothing.
    pub fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(alarm) = self.alarm.filter(|alarm| *alarm <= end && self.want != Want::Close)
        {
            self.alarm = None;
            self.now = self.now.max(alarm);
            self.tell(|session, out| session.wake(out));
            self.go_on();
        }
        self.now = end;
    }

    /// The peer says no more.
    pub fn eof(&mut self) {
        if self.want == Want::Read {
            self.tell(|session, out| session.eof(out));
            self.go_on();
        }
    }

    pub fn is_over(&self) -> bool {
        self.want == Want::Close
    }

    /// All that was said so far, as answers to requests of these methods; what is over is an answer
    /// that ends with the connection.
    pub fn responses(&self, methods: &[&str]) -> Vec<Response> {
        let mut rest = &self.said[..];
        let mut responses = Vec::new();
        for method in methods {
            let (response, length) = Response::parse(rest, method);
            rest = &rest[length..];
            responses.push(response);
        }
        assert!(rest.is_empty(), "more was said: {}", rest.escape_ascii());
        responses
    }

    pub fn response(&self, method: &str) -> Response {
        self.responses(&[method]).remove(0)
    }
}

/// What a whole conversation comes to, whose peer says no more in the end.
pub fn ask(service: &dyn Service, chunk: usize, pieces: &[&[u8]]) -> Vec<u8> {
    let mut dialogue = Dialogue::open(service, chunk);
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        if !dialogue.is_over() {
            dialogue.hear(piece);
        }
    }
    dialogue.eof();
    dialogue.said
}

/// The answer to one request, whose connection goes on or not.
pub fn fetch(service: &dyn Service, request: &str) -> Response {
    let mut dialogue = Dialogue::open(service, Output::CHUNK);
    dialogue.hear(request.as_bytes());
    dialogue.response(request.split(' ').next().expect("a request has a method"))
}

/// The answer to one request over a connection of its own, which ends behind it.
pub fn exchange(mut connection: TcpStream, method: &str, request: &[u8]) -> Response {
    let mut said = Vec::new();
    thread::scope(|scope| {
        let mut writer = connection.try_clone().expect("there are descriptors");
        // Who is refused early is not listened to.
        scope.spawn(move || drop(writer.write_all(request)));
        connection.read_to_end(&mut said).expect("the server answers");
    });
    Response::parse(&said, method).0
}

/// A file without a name.
pub fn tempfile() -> File {
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .custom_flags(OFlag::O_TMPFILE.bits())
        .open(std::env::temp_dir())
        .unwrap()
}

/// An answer, read by the letter of RFC 9112.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first answer in `said`, and its length. Interim ones (1xx) are answers of their own.
    pub fn parse(said: &[u8], method: &str) -> (Response, usize) {
        let end = said.windows(4).position(|window| window == b"\r\n\r\n");
        let end =
            end.unwrap_or_else(|| panic!("no head: {:?}", said.escape_ascii().to_string())) + 4;
        let head = std::str::from_utf8(&said[..end]).expect("heads are ASCII");
        let mut lines = head.trim_end().split("\r\n");
        let line = lines.next().unwrap();
        assert!(line.starts_with("HTTP/1.1 "), "{line}");
        let status: u16 = line[9..12].parse().unwrap();
        let fields: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").unwrap_or_else(|| panic!("{line:?} is no field")))
            .map(|(name, value)| (name.into(), value.into()))
            .collect();
        let mut response = Response { status, fields, body: Vec::new() };
        let rest = &said[end..];
        let is_empty = method == "HEAD" || status < 200 || status == 204 || status == 304;
        let length = match (response.field("Content-Length"), response.field("Transfer-Encoding")) {
            _ if is_empty => 0,
            (Some(length), None) => {
                let length = length.parse().unwrap();
                response.body = rest.get(..length).expect("the body is whole").to_vec();
                length
            }
            (None, Some("chunked")) => response.chunks(rest),
            (None, None) => {
                response.body = rest.to_vec();
                rest.len()
            }
            both => panic!("how long is it? {both:?}"),
        };
        (response, end + length)
    }

    fn chunks(&mut self, rest: &[u8]) -> usize {
        let mut at = 0;
        loop {
            let line =
                rest[at..].windows(2).position(|end| end == b"\r\n").expect("a chunk's size");
            let size = std::str::from_utf8(&rest[at..at + line]).unwrap();
            let size = usize::from_str_radix(size, 16).expect("hexadecimal digits");
            at += line + 2;
            self.body.extend_from_slice(&rest[at..at + size]);
            at += size;
            assert_eq!(&rest[at..at + 2], b"\r\n");
            at += 2;
            if size == 0 {
                return at;
            }
        }
    }

    pub fn field(&self, name: &str) -> Option<&str> {
        let mut named = self.fields.iter().filter(|field| field.0.eq_ignore_ascii_case(name));
        let value = named.next();
        assert!(named.next().is_none(), "{name} is told twice: {:?}", self.fields);
        value.map(|field| &field.1[..])
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("it is text")
    }
}

//! The server of files among the misled ones: it keeps them in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::mem;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::channel;
use std::sync::{Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

use super::misled::{DEADLINE, Misled};
use super::pattern;

/// The longest head.
const HEAD: usize = 16 * 1024;

pub struct Store {
    fault: Misled,
    files: Mutex<HashMap<String, Vec<u8>>>,
}

/// What has come of one client and was not heard.
struct Input<'a> {
    stream: &'a TcpStream,
    bytes: Vec<u8>,
}

impl Input<'_> {
    fn more(&mut self, deadline: Option<Instant>) -> io::Result<()> {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let least = Duration::from_millis(1);
        self.stream.set_read_timeout(left.map(|left| left.max(least)))?;
        let mut piece = [0; 65_536];
        match self.stream.read(&mut piece)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            n => {
                self.bytes.extend_from_slice(&piece[..n]);
                Ok(())
            }
        }
    }

    /// Everything up to `end`, once it has come; an error with more than `most` before it.
    fn until(&mut self, end: &[u8], most: usize, deadline: Option<Instant>) -> io::Result<String> {
        let mut looked = 0;
        loop {
            let found = self.bytes[looked..].windows(end.len()).position(|some| some == end);
            if let Some(at) = found {
                let text = String::from_utf8_lossy(&self.bytes[..looked + at]).into_owned();
                self.bytes.drain(..looked + at + end.len());
                return Ok(text);
            }
            if self.bytes.len() > most {
                return Err(io::ErrorKind::FileTooLarge.into());
            }
            looked = self.bytes.len().saturating_sub(end.len() - 1);
            self.more(deadline)?;
        }
    }
}

impl Store {
    pub fn new(fault: Misled) -> Store {
        let page = ("/page".to_owned(), pattern(1, 4096));
        Store { fault, files: Mutex::new(HashMap::from([page])) }
    }

    fn files(&self) -> MutexGuard<'_, HashMap<String, Vec<u8>>> {
        self.files.lock().unwrap()
    }

    /// Until one of both closes.
    pub fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut input = Input { stream: &stream, bytes: Vec::new() };
        let mut nth = 0;
        let mut late: Option<Vec<u8>> = None;
        let (held, waiting) = channel::<Vec<u8>>();
        if self.fault == Misled::HoldsAnswers {
            let mut stream = stream.try_clone()?;
            thread::spawn(move || waiting.iter().try_for_each(|answer| stream.write_all(&answer)));
        }
        let say = |answer: &[u8]| match self.fault {
            Misled::HoldsAnswers => held.send(answer.to_vec()).map_err(io::Error::other),
            Misled::KeepsFiles => {
                let file = File::open("/dev/null")?;
                (&stream).write_all(answer).inspect_err(|_| mem::forget(file))
            }
            Misled::DropsAnswers => {
                stream.set_write_timeout(Some(Duration::from_millis(50)))?;
                (&stream).write(answer).map(drop)
            }
            _ => (&stream).write_all(answer),
        };
        loop {
            let deadline = Instant::now() + DEADLINE;
            let deadline = (self.fault != Misled::WaitsForHeads).then_some(deadline);
            let answer = match input.until(b"\r\n\r\n", self.longest_head(), deadline) {
                Ok(head) => self.answer(&head, &mut input)?,
                Err(error) => match error.kind() {
                    _ if self.fault == Misled::ServesNonsense && !input.bytes.is_empty() => {
                        input.bytes.clear();
                        reply(200, b"page\n")
                    }
                    io::ErrorKind::FileTooLarge => reply(431, b""),
                    io::ErrorKind::WouldBlock if !input.bytes.is_empty() => reply(408, b""),
                    _ => return Ok(()),
                },
            };
            nth += 1;
            // The second of each two is said before the first.
            if self.fault == Misled::AnswersOutOfOrder && !input.bytes.is_empty() {
                match late.take() {
                    None if nth % 2 == 1 => {
                        late = Some(answer);
                        continue;
                    }
                    earlier => {
                        (&stream).write_all(&[answer, earlier.unwrap_or_default()].concat())?
                    }
                }
            } else {
                say(&answer)?;
                if let Some(late) = late.take() {
                    (&stream).write_all(&late)?;
                }
                if answer.windows(5).any(|some| some == b"close") {
                    break;
                }
            }
        }
        stream.shutdown(Shutdown::Write)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        // What still comes must not take the answer back (RST).
        while (&stream).read(&mut [0; 65_536])? > 0 {}
        Ok(())
    }

    fn longest_head(&self) -> usize {
        if self.fault == Misled::TakesLongHeads { usize::MAX } else { HEAD }
    }

    fn answer(&self, head: &str, input: &mut Input<'_>) -> io::Result<Vec<u8>> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let is_lax = self.fault == Misled::AnswersTheHidden;
        let (mut length, mut chunked, mut ranges) = (None, false, 0);
        for line in lines {
            let (name, value) = line.split_once(':').unwrap_or_default();
            let is_wrong = name.is_empty() || name.contains([' ', '\t']) || line.contains('\r');
            if is_wrong && !is_lax {
                return Ok(reply(400, b""));
            }
            match name.trim().to_ascii_lowercase().as_str() {
                "content-length" => {
                    let digits = value.trim();
                    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
                    match digits.parse::<usize>() {
                        Ok(number) if plain && length.is_none() => length = Some(number),
                        _ if is_lax => {}
                        _ => return Ok(reply(400, b"")),
                    }
                }
                "transfer-encoding" if value.trim() == "chunked" || is_lax => chunked = true,
                "transfer-encoding" => return Ok(reply(501, b"")),
                "range" => ranges = value.split(',').count(),
                _ => {}
            }
        }
        if chunked && length.is_some() && !is_lax {
            return Ok(reply(400, b""));
        }
        let mut body = Vec::new();
        let deadline = Instant::now() + DEADLINE;
        let deadline = (self.fault != Misled::WaitsForBodies).then_some(deadline);
        if chunked {
            loop {
                let line = input.until(b"\r\n", HEAD, deadline)?;
                let digits = line.split(';').next().unwrap_or_default();
                let size = match usize::from_str_radix(digits, 16) {
                    Ok(size) if !digits.starts_with('+') => size,
                    _ if is_lax => 0,
                    _ => return Ok(reply(400, b"")),
                };
                while input.bytes.len() < size + 2 {
                    input.more(deadline)?;
                }
                body.extend(input.bytes.drain(..size));
                input.bytes.drain(..2);
                if size == 0 {
                    break;
                }
            }
            if self.fault == Misled::LosesChunks {
                body.truncate(1000);
            }
        } else {
            let length = length.unwrap_or(0);
            while input.bytes.len() < length {
                if self.fault == Misled::ShowsHalves && method == "PUT" {
                    self.files().insert(path.into(), input.bytes.clone());
                }
                if let Err(error) = input.more(deadline) {
                    match error.kind() {
                        io::ErrorKind::WouldBlock => return Ok(reply(408, b"")),
                        _ => return Err(error),
                    }
                }
            }
            body.extend(input.bytes.drain(..length));
        }
        let mut files = self.files();
        Ok(match method {
            "PUT" => {
                files.insert(path.into(), body);
                reply(204, b"")
            }
            "DELETE" => reply(if files.remove(path).is_some() { 204 } else { 404 }, b""),
            "GET" if path.len() > self.longest_head() / 2 => reply(414, b""),
            "GET" if path == "/" => reply(200, &b"page\n".repeat(10_000)),
            "GET" => match files.get(path) {
                Some(file) if self.fault == Misled::MultipliesRanges => {
                    reply(200, &file.repeat(ranges.max(1)))
                }
                Some(file) => reply(200, file),
                None => reply(404, b""),
            },
            _ => reply(501, b""),
        })
    }
}

fn reply(status: u16, body: &[u8]) -> Vec<u8> {
    let closing = if status < 400 || status == 404 { "" } else { "Connection: close\r\n" };
    let length = match status {
        204 => String::new(),
        _ => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = format!("HTTP/1.1 {status} x\r\n{closing}{length}\r\n");
    [head.as_bytes(), body].concat()
}

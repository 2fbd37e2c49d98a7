//! The client at a terminal, which script(1) plays.

use std::io::{BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use super::PATIENCE;
use super::talk::{Talker, command};

/// Somebody at a terminal, which script(1) plays.
pub struct Person {
    script: Talker,
    screen: Receiver<u8>,
}

impl Person {
    pub fn at(address: SocketAddr) -> Person {
        Person::with(&command(address, &[]))
    }

    /// Over UDP, where an answer is due after a second.
    pub fn with_datagrams(address: SocketAddr) -> Person {
        Person::with(&command(address, &["--udp"]))
    }

    pub fn with(client: &Command) -> Person {
        let words = std::iter::once(client.get_program()).chain(client.get_args());
        let words: Vec<&str> = words.map(|word| word.to_str().expect("it is UTF-8")).collect();
        let script = Command::new("script")
            .args(["--quiet", "--return", "--command", &words.join(" "), "/dev/null"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut script = Talker(script.expect("script(1) is installed"));
        let stdout = BufReader::new(script.0.stdout.take().expect("it is piped"));
        let (show, screen) = mpsc::channel();
        thread::spawn(move || {
            stdout.bytes().map_while(Result::ok).try_for_each(|byte| show.send(byte))
        });
        Person { script, screen }
    }

    pub fn types(&mut self, keys: &str) {
        self.script.say(keys.as_bytes());
    }

    /// Waits for `text`, and gives what was shown since the last look.
    pub fn sees(&mut self, text: &str) -> String {
        let mut shown = Vec::new();
        while !shown.ends_with(text.as_bytes()) {
            let byte = self.screen.recv_timeout(PATIENCE);
            let so_far = String::from_utf8_lossy(&shown);
            shown.push(byte.unwrap_or_else(|_| panic!("{text:?} is not in {so_far:?}")));
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    pub fn leaves(&mut self) -> Option<i32> {
        self.script.end().0
    }
}

//! The client at a terminal, which script(1) plays.

mod support;

use std::io::{BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use nix::sys::signal::Signal;
use support::talk::{Host, Talker, command};
use support::{PATIENCE, Process, on_both_engines};

/// Somebody at a terminal, which script(1) plays.
struct Person {
    script: Talker,
    screen: Receiver<u8>,
}

impl Person {
    fn at(address: SocketAddr) -> Person {
        let client = command(address, &[]);
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

    fn types(&mut self, keys: &str) {
        self.script.say(keys.as_bytes());
    }

    /// Waits for `text`, and gives what was shown since the last look.
    fn sees(&mut self, text: &str) -> String {
        let mut shown = Vec::new();
        while !shown.ends_with(text.as_bytes()) {
            let byte = self.screen.recv_timeout(PATIENCE);
            let so_far = String::from_utf8_lossy(&shown);
            shown.push(byte.unwrap_or_else(|_| panic!("{text:?} is not in {so_far:?}")));
        }
        String::from_utf8_lossy(&shown).into_owned()
    }

    fn leaves(&mut self) -> Option<i32> {
        self.script.end().0
    }
}

#[test]
#[ignore = "needs script"]
fn at_a_terminal_last_words_without_a_line_end_stay_on_the_screen() {
    let host = Host::of(|mut stream| {
        stream.write_all(b"last words").expect("the client reads");
    });
    let mut person = Person::at(host.address);
    person.sees("last words");
    let shown = person.sees("the server closed the connection");
    let rest_of_their_line = shown.lines().next().expect("something was shown");
    assert!(!rest_of_their_line.contains('\x1b'), "they are erased: {shown:?}");
    host.join();
}

on_both_engines! {
    #[ignore = "needs script"]
    fn at_a_terminal_each_line_is_answered_until_exit(engine) {
        let server = Process::start(engine, &[]);
        let mut person = Person::at(server.address());
        person.sees("connected to ");
        person.types("hello\n");
        // Once as the terminal shows what is typed, and once as the answer.
        person.sees("hello");
        person.sees("hello");
        person.types("你好\n");
        person.sees("你好");
        person.sees("你好");
        person.types("exit\n");
        assert_eq!(person.leaves(), Some(0));
    }

    #[ignore = "needs script"]
    fn at_a_terminal_the_end_of_the_server_is_told(engine) {
        let server = Process::start(engine, &[]);
        let mut person = Person::at(server.address());
        person.sees("connected to ");
        person.types("hello\n");
        person.sees("hello");
        person.sees("hello");
        server.signal(Signal::SIGTERM);
        person.sees("the server closed the connection");
        assert_eq!(person.leaves(), Some(0));
    }

    #[ignore = "needs script"]
    fn at_a_terminal_ctrl_d_twice_leaves_in_the_middle_of_a_line(engine) {
        let server = Process::start(engine, &[]);
        let mut person = Person::at(server.address());
        person.sees("connected to ");
        person.types("hal\x04");
        person.sees("hal");
        person.types("\x04");
        person.sees("hal");
        assert_eq!(person.leaves(), Some(0));
    }
}

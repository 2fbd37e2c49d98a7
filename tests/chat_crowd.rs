//! A full room: nobody is lost, everybody hears everybody in order, and a line is composed once
//! however many hear it.

mod support;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;

use socklab::engine::Limits;
use socklab::service::Chat;
use socklab::service::chat::Settings;
use socklab::session::{ConnectionId, Output, Service, Session};
use support::{PATIENCE, Server, on_both_engines};

const MEMBERS: usize = 1000;
const TALKERS: usize = 100;
const LINES: usize = 10;

struct Member {
    stream: BufReader<TcpStream>,
}

impl Member {
    fn of(server: &Server, nick: &str) -> Member {
        let mut member = Member { stream: BufReader::new(server.connect()) };
        member.say(&format!("NICK {nick}\r\nUSER {nick} 0 * :{nick}\r\nJOIN #full\r\n"));
        member.until(" 366 ");
        member
    }

    fn say(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).expect("the server reads");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.stream.read_line(&mut line).expect("the server goes on");
        assert!(line.ends_with("\r\n"), "cut off after {line:?}");
        line
    }

    /// Hears until a line has this in it, and gives what came before.
    fn until(&mut self, word: &str) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            if line.contains(word) {
                return lines;
            }
            lines.push(line);
        }
    }
}

fn chat() -> Chat {
    Chat::new(Settings { flood: None, ..Settings::default() })
}

on_both_engines! {
    fn a_thousand_members_hear_a_hundred_talkers_each_in_order(engine) {
        let server = Server::start(engine, chat());
        let mut members: Vec<Member> =
            (0..MEMBERS).map(|n| Member::of(&server, &format!("n{n}"))).collect();
        for line in 0..LINES {
            for (n, talker) in members.iter_mut().enumerate().take(TALKERS) {
                talker.say(&format!("PRIVMSG #full :{n} {line}\r\n"));
            }
        }
        for talker in members.iter_mut().take(TALKERS) {
            talker.say("PING said\r\n");
        }
        // Whoever asks after the talkers were answered has heard them before the answer.
        let mut said: Vec<Vec<String>> =
            members.iter_mut().take(TALKERS).map(|talker| talker.until(" :said")).collect();
        for (me, member) in members.iter_mut().enumerate() {
            member.say("PING heard\r\n");
            let mut lines = said.get_mut(me).map(std::mem::take).unwrap_or_default();
            lines.extend(member.until(" :heard"));
            let mut next: HashMap<usize, usize> = HashMap::new();
            for text in lines.iter().filter_map(|line| line.split_once(" PRIVMSG #full :")) {
                let (talker, line) = text.1.trim_end().split_once(' ').expect("both are there");
                let [talker, line] = [talker, line].map(|number| number.parse().unwrap());
                let due = next.entry(talker).or_default();
                assert_eq!(line, *due, "n{me} hears n{talker}");
                *due += 1;
            }
            let talkers = TALKERS - usize::from(me < TALKERS);
            assert_eq!(next.len(), talkers, "n{me}");
            assert!(next.values().all(|count| *count == LINES), "n{me}");
        }
    }

    fn who_does_not_read_hears_why_he_left_and_the_room_is_told(engine) {
        // As long as the test likes, he may take what waits.
        let limits = Limits { backlog_bytes: 64 * 1024, linger: PATIENCE, ..Limits::default() };
        let server = Server::with_limits(engine, chat(), limits);
        let mut deaf = Member::of(&server, "deaf");
        let mut talker = Member::of(&server, "talker");
        // More than both kernels and the limit hold.
        let line = format!("PRIVMSG #full :{}\r\n", "x".repeat(400));
        let mut told = Vec::new();
        for _ in 0..200 {
            talker.say(&line.repeat(250));
            talker.say("PING on\r\n");
            told.extend(talker.until(" :on"));
        }
        let mut heard = String::new();
        deaf.stream.read_to_string(&mut heard).expect("he is let go in peace");
        let last = heard.lines().last().expect("something came");
        assert_eq!(last, "ERROR :Closing Link: 127.0.0.1 (SendQ exceeded)");
        // No line before it is missing a piece.
        let talk = heard.lines().filter(|line| line.contains("PRIVMSG"));
        assert!(talk.into_iter().all(|line| line.ends_with(&"x".repeat(400))));
        // With threads the room hears of it when he has taken what waited.
        let quit = ":deaf!deaf@127.0.0.1 QUIT :SendQ exceeded";
        if !told.iter().any(|line| line.trim_end() == quit) {
            talker.until(quit);
        }
    }
}

#[test]
fn a_line_is_allocated_once_however_many_hear_it() {
    let chat = chat();
    let peer = ([127, 0, 0, 1], 7).into();
    let tell = |session: &mut Box<dyn Session>, text: &str| {
        let mut out = Output::new(Output::CHUNK);
        session.receive(text.as_bytes(), &mut out);
        out.take_mail()
    };
    let mut sessions: Vec<Box<dyn Session>> = (0..100)
        .map(|n| {
            let mut session = chat.accept(peer, ConnectionId::new(n, n + 1));
            // They differ in what they have asked for.
            let caps = ["", "CAP REQ server-time\r\n", "CAP REQ message-tags\r\n"][n as usize % 3];
            let hello = format!("{caps}NICK n{n}\r\nUSER n 0 * :n\r\nCAP END\r\nJOIN #full\r\n");
            tell(&mut session, &hello);
            session
        })
        .collect();
    for line in ["PRIVMSG #full :hi\r\n", "TOPIC #full :hi\r\n", "NICK other\r\n", "QUIT\r\n"] {
        let mail = tell(&mut sessions[0], line);
        assert_eq!(mail.len(), 99, "{line}");
        assert!(mail.iter().all(|letter| Arc::ptr_eq(&letter.bytes, &mail[0].bytes)), "{line}");
    }
}

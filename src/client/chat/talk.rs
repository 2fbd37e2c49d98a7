//! A conversation over a connection. Each thread sleeps in one place: on the server, on the keyboard,
//! in `write`, on the wish to leave. What they learn goes to the one that has all the say, which
//! sleeps until there is news, or until somebody has taken too long.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError};
use std::thread;
use std::time::{Duration, Instant};

use super::conversation::{Act, Conversation};
use super::event::Event;
use super::lines::Lines;
use super::{Error, Settings};
use crate::client::stream::{self, Stream};
use crate::client::{self, CHUNK, FAREWELL};

/// News that wait to be looked at; whoever has more sleeps.
const NEWS: usize = 64;

/// Lines that wait for `write`. What is typed is paced and never so many, so it is the server that
/// asks for more than it reads.
const LINES: usize = 256;

/// How long the server may be silent before it is asked whether it is there.
const IDLE: Duration = Duration::from_secs(120);

/// How long it may be silent then. Servers hold back those who say much.
const ANSWER: Duration = Duration::from_secs(60);

/// How a conversation ended that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// We left.
    Left,
    /// We left because we were told to: by Ctrl-C, or a signal.
    Interrupted,
}

/// Who talks: somebody at a terminal, or a script.
pub trait Face {
    /// Lines that may wait for the server before the next one is read.
    const MOST_UNSENT: usize;

    /// Shows what happened. `false`: nobody looks any more.
    fn show(&mut self, events: &[Event], conversation: &Conversation) -> Result<bool, Error>;

    /// The next line may be read.
    fn read_on(&mut self, conversation: &Conversation);
}

/// What the threads learn.
pub enum News {
    /// The server has said something.
    Heard(Vec<u8>),
    /// It says no more.
    End(io::Result<()>),
    /// It was not told all.
    Unsent(io::Error),
    /// Lines were typed.
    Typed(Vec<u8>),
    /// Nothing more will be typed.
    Over,
    /// It is time to leave.
    Interrupted,
    /// Nothing can be read.
    Unread(io::Error),
}

/// The way to whoever has the say.
pub type Tell = SyncSender<News>;

/// Talks with the server at the other end of `stream`, with the face that `face` makes, until either
/// leaves.
pub fn talk<F: Face>(
    stream: Stream,
    settings: &Settings,
    face: impl FnOnce(Tell) -> Result<F, Error>,
) -> Result<(Outcome, F), Error> {
    let (tell, news) = mpsc::sync_channel(NEWS);
    let server = stream.server().to_owned();
    let (receiver, sender) = stream.split();
    let (send, lines) = mpsc::sync_channel(LINES);
    let (listening, speaking) = (tell.clone(), tell.clone());
    thread::spawn(move || listen(receiver, &listening));
    thread::spawn(move || speak(sender, &lines, &speaking));
    if let Some(interrupt) = &settings.interrupt {
        let interrupt = interrupt.try_clone().map_err(client::Error::Broken)?;
        let telling = tell.clone();
        thread::spawn(move || wait_for(interrupt, &telling));
    }
    let now = Instant::now();
    let mut talk = Talk {
        conversation: Conversation::new(settings),
        settings,
        server,
        face: face(tell)?,
        news,
        send,
        reading: false,
        entered: false,
        asked: false,
        state: State::Staying,
        outcome: Outcome::Left,
        last_words: None,
        broken: None,
        started: now,
        heard: now,
        waiting_since: None,
    };
    talk.go_on()?;
    Ok((talk.outcome, talk.face))
}

struct Talk<'a, F> {
    conversation: Conversation,
    settings: &'a Settings,
    server: String,
    face: F,
    news: Receiver<News>,
    send: SyncSender<Vec<u8>>,
    /// A line is being read.
    reading: bool,
    /// The rooms that were asked for have answered.
    entered: bool,
    /// What the next line means depends on an answer.
    asked: bool,
    state: State,
    outcome: Outcome,
    /// Why the server ends the connection.
    last_words: Option<String>,
    /// Why it cannot be told anything.
    broken: Option<io::Error>,
    started: Instant,
    heard: Instant,
    waiting_since: Option<Instant>,
}

/// How far we are from leaving.
enum State {
    Staying,
    /// These are our last words, once everything before was taken.
    Leaving(Vec<u8>),
    /// They were said; the server may take until then to answer.
    Gone(Instant),
}

impl<F: Face> Talk<'_, F> {
    fn go_on(&mut self) -> Result<(), Error> {
        let mut lines = Lines::default();
        loop {
            self.take_stock()?;
            let wait = self.deadline().saturating_duration_since(Instant::now());
            // Sleeps here until there is news.
            let news = match self.news.recv_timeout(wait) {
                Ok(news) => news,
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {
                    match self.too_late()? {
                        true => return Ok(()),
                        false => continue,
                    }
                }
            };
            let mut events = Vec::new();
            match news {
                News::Heard(bytes) => {
                    self.heard = Instant::now();
                    let conversation = &mut self.conversation;
                    lines.split(&bytes, |line| conversation.hear(line, &mut events));
                }
                News::End(_) if matches!(self.state, State::Gone(_)) => return Ok(()),
                News::End(end) => return Err(self.why_it_ended(end)),
                // The server's last words may still come.
                News::Unsent(error) if self.broken.is_none() => self.broken = Some(error),
                News::Unsent(_) => {}
                News::Typed(text) => {
                    self.reading = false;
                    self.take(&text, &mut events);
                }
                News::Over if self.settings.listen => {}
                News::Over => self.leave(Vec::new()),
                News::Interrupted => {
                    self.outcome = Outcome::Interrupted;
                    match self.conversation.pace().unsent() {
                        0 => {}
                        unsent => events.push(Event::Told(format!("{unsent} lines were not sent"))),
                    }
                    self.quit(b"");
                }
                News::Unread(error) => {
                    return Err(client::Error::Local("standard input", error).into());
                }
            }
            if !self.show(events)? {
                self.quit(b"");
            }
        }
    }

    /// Sends what may be sent, and has the next line read if it may be.
    fn take_stock(&mut self) -> Result<(), Error> {
        if self.conversation.is_in() && self.conversation.is_settled() {
            (self.entered, self.asked) = (true, false);
            if let State::Leaving(words) = &mut self.state {
                let words = std::mem::take(words);
                self.quit(&words);
            }
        }
        while let Some(line) = self.conversation.next_line() {
            match self.send.try_send(line) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => return Err(Error::Stuck),
                // Why, is told already.
                Err(TrySendError::Disconnected(_)) => break,
            }
        }
        let waiting = self.conversation.pace().is_waiting();
        self.waiting_since =
            if waiting { self.waiting_since.or_else(|| Some(Instant::now())) } else { None };
        let room = self.conversation.pace().unsent() < F::MOST_UNSENT;
        let staying = matches!(self.state, State::Staying);
        if staying && self.entered && !self.asked && !self.reading && room {
            self.reading = true;
            self.conversation.prompt();
            self.face.read_on(&self.conversation);
        }
        Ok(())
    }

    /// What was typed: a line, or several that were pasted.
    fn take(&mut self, text: &[u8], events: &mut Vec<Event>) {
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if self.settings.verbatim {
                self.conversation.say(line, events);
                continue;
            }
            match self.conversation.obey(line, events) {
                Act::Done => {}
                Act::Asked => self.asked = true,
                Act::Quit(words) => return self.leave(words),
            }
        }
    }

    /// Leaves once everything said before was taken.
    fn leave(&mut self, words: Vec<u8>) {
        if matches!(self.state, State::Staying) {
            self.state = State::Leaving(words);
        }
    }

    /// Leaves now.
    fn quit(&mut self, words: &[u8]) {
        if !matches!(self.state, State::Gone(_)) {
            self.conversation.quit(words);
            self.state = State::Gone(Instant::now() + FAREWELL);
        }
    }

    fn show(&mut self, mut events: Vec<Event>) -> Result<bool, Error> {
        for event in &events {
            match event {
                Event::Denied(why) => {
                    let (server, why) = (self.server.clone(), why.clone());
                    return Err(Error::Denied { server, why });
                }
                Event::Ended(why) => self.last_words = Some(why.clone()),
                _ => {}
            }
        }
        // Why we end is told with the end itself.
        events.retain(|event| !matches!(event, Event::Ended(_)));
        // Our own farewell needs no words.
        let gone = matches!(self.state, State::Gone(_));
        Ok(gone || events.is_empty() || self.face.show(&events, &self.conversation)?)
    }

    /// Until when the server has to do something.
    fn deadline(&self) -> Instant {
        match (&self.state, self.waiting_since) {
            (State::Gone(until), _) => *until,
            _ if self.broken.is_some() || self.last_words.is_some() => {
                self.heard.max(self.started) + FAREWELL
            }
            _ if !self.conversation.is_in() => self.started + self.settings.patience,
            (_, Some(since)) => since.max(self.heard) + ANSWER,
            _ => self.heard + IDLE,
        }
    }

    /// It did not. `true`: nobody minds.
    fn too_late(&mut self) -> Result<bool, Error> {
        if matches!(self.state, State::Gone(_)) {
            return Ok(true);
        }
        if self.last_words.is_some() {
            return Err(self.why_it_ended(Ok(())));
        }
        if let Some(error) = self.broken.take() {
            return Err(client::Error::broken(error).into());
        }
        if !self.conversation.is_in() {
            return Err(Error::NotLetIn(self.server.clone(), self.settings.patience));
        }
        if self.waiting_since.is_some() {
            return Err(Error::Silent(ANSWER));
        }
        let question = self.conversation.pace().ask();
        // A full queue is a server that does not read, and gives no answer to this either.
        let _ = self.send.try_send(question);
        Ok(false)
    }

    fn why_it_ended(&mut self, end: io::Result<()>) -> Error {
        let why = self.last_words.take().filter(|why| !why.is_empty());
        // A loss is told once: who reads after who writes sees an end.
        let lost = self.broken.take_if(|error| error.kind() == ErrorKind::TimedOut);
        match lost.map_or(end, Err) {
            Err(error) if why.is_none() => match error.kind() {
                ErrorKind::ConnectionReset if !self.conversation.is_in() => {
                    Error::ShownOut { server: self.server.clone(), why }
                }
                _ => client::Error::broken(error).into(),
            },
            _ if !self.conversation.is_in() => Error::ShownOut { server: self.server.clone(), why },
            _ => Error::Ended(why),
        }
    }
}

fn listen(mut receiver: stream::Receiver, tell: &Tell) {
    let mut chunk = vec![0; CHUNK];
    let end = loop {
        match receiver.read(&mut chunk) {
            Ok(0) => {
                receiver.leave();
                break Ok(());
            }
            // Sleeps here while there is more news than anybody can look at.
            Ok(n) => match tell.send(News::Heard(chunk[..n].to_vec())) {
                Ok(()) => {}
                Err(_) => return,
            },
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    let _ = tell.send(News::End(end));
}

fn speak(mut sender: stream::Sender, lines: &Receiver<Vec<u8>>, tell: &Tell) {
    while let Ok(mut bytes) = lines.recv() {
        while let Ok(more) = lines.try_recv() {
            bytes.extend_from_slice(&more);
        }
        // Sleeps here while the server does not read.
        if let Err(error) = sender.write_all(&bytes) {
            let _ = tell.send(News::Unsent(error));
            return;
        }
    }
    let _ = sender.end();
}

fn wait_for(mut interrupt: UnixStream, tell: &Tell) {
    if interrupt.read(&mut [0]).is_ok() {
        let _ = tell.send(News::Interrupted);
    }
}

//! A person at a terminal, with a line editor.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use nix::sys::termios::{InputFlags, LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use rustyline::completion::Completer;
use rustyline::config::BellStyle;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{CompletionType, Config, Context, Editor, Helper, Prompt};
use unicode_width::UnicodeWidthStr;

use super::completion::{Names, complete};
use super::conversation::Conversation;
use super::event::Event;
use super::screen::{Screen, erase};
use super::talk::{Face, News, Outcome, Tell, talk};
use super::typed::{Typed, understand};
use super::words::Words;
use super::{Error, Settings, plain};
use crate::client::screen::forget_typed;
use crate::client::stream::Stream;

/// Lines that Up finds again.
const REMEMBERED: usize = 500;

/// Says what is typed, and shows what happens, until the person leaves.
pub fn terminal(stream: Stream, settings: &Settings) -> Result<Outcome, Error> {
    println!("connected to {}; /help says what there is, Ctrl-D leaves", stream.server());
    let screen = Arc::new(Screen::default());
    let modes = tcgetattr(io::stdin()).ok();
    let outcome = talk(stream, settings, |tell| Ok(Person::new(&screen, tell)));
    restore(&screen, modes.as_ref());
    outcome.map(|(outcome, _)| outcome)
}

/// Between two lines, too, keys wait for the editor as they are: a terminal with editing of its own
/// would show them, and take Ctrl-D for the end of what it has.
fn keep_keys() {
    if let Ok(mut modes) = tcgetattr(io::stdin()) {
        modes.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        modes.input_flags.remove(InputFlags::ICRNL);
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, &modes);
    }
}

/// The terminal as it was, for whoever has it next.
fn restore(screen: &Screen, modes: Option<&Termios>) {
    let was_editing = screen.free();
    if let Some(modes) = modes {
        let _ = tcsetattr(io::stdin(), SetArg::TCSADRAIN, modes);
    }
    if was_editing {
        let mut out = io::stdout();
        // Bracketed paste, off.
        let _ = out.write_all(b"\x1b[?2004l").and_then(|()| out.flush());
        forget_typed();
    }
}

struct Person {
    screen: Arc<Screen>,
    words: Words,
    names: Arc<Mutex<Names>>,
    /// Lines go to no room.
    nowhere: Arc<AtomicBool>,
    read_on: Sender<Shown>,
}

impl Person {
    fn new(screen: &Arc<Screen>, tell: Tell) -> Person {
        let names = Arc::new(Mutex::new(Names::default()));
        let (read_on, prompts) = mpsc::channel();
        let helper = Help { names: names.clone(), screen: screen.clone() };
        thread::spawn(move || edit(helper, &prompts, &tell));
        let words = Words { zone: TimeZone::system(), seconds: false };
        let nowhere = Arc::new(AtomicBool::new(true));
        Person { screen: screen.clone(), words, names, nowhere, read_on }
    }

    fn learn_names(&self, conversation: &Conversation) {
        let rooms = || conversation.rooms().iter();
        let own = conversation.nick();
        let others = rooms().flat_map(|room| room.people()).filter(|nick| *nick != own);
        *lock(&self.names) = Names {
            rooms: rooms().map(|room| room.name.clone()).collect(),
            people: others.map(String::from).collect(),
        };
    }
}

impl Face for Person {
    const MOST_UNSENT: usize = usize::MAX;

    fn show(&mut self, events: &[Event], conversation: &Conversation) -> Result<bool, Error> {
        let now = Timestamp::now();
        let several = conversation.rooms().are_several();
        // Before the lines, below which the prompt is drawn again.
        self.nowhere.store(conversation.rooms().current().is_none(), Ordering::Release);
        let lines = events.iter().map(|event| self.words.lines(event, now, several));
        self.screen.show(&lines.collect::<String>());
        if events.iter().any(|event| !matches!(event, Event::Said(_) | Event::Told(_))) {
            self.learn_names(conversation);
        }
        Ok(true)
    }

    fn read_on(&mut self, conversation: &Conversation) {
        let nick = plain(conversation.nick().as_bytes());
        let (text, without_room) = match conversation.rooms().current() {
            Some(room) => {
                let room = plain(room.name.as_bytes());
                (format!("{room} {nick}> "), format!("{} {nick}> ", "-".repeat(room.width())))
            }
            None => (format!("{nick}> "), format!("{nick}> ")),
        };
        let (screen, nowhere) = (self.screen.clone(), self.nowhere.clone());
        // The thread that edits has left, and said so.
        let _ = self.read_on.send(Shown { text, without_room, nowhere, screen });
    }
}

/// Has a line edited for each prompt.
fn edit(helper: Help, prompts: &mpsc::Receiver<Shown>, tell: &Tell) {
    let screen = helper.screen.clone();
    let mut editor = match editor(helper) {
        Ok(editor) => editor,
        Err(error) => {
            let _ = tell.send(News::Unread(cause(error)));
            return;
        }
    };
    // Terminals that cannot move their cursor get plain lines.
    let edits = match editor.create_external_printer() {
        Ok(printer) => {
            let screen = screen.clone();
            thread::spawn(move || screen.print_with(printer));
            keep_keys();
            true
        }
        Err(_) => false,
    };
    while let Ok(prompt) = prompts.recv() {
        if edits {
            screen.begin();
        }
        let news = match editor.readline(&prompt) {
            Ok(line) => {
                if edits && shows_again(&line) {
                    let columns = editor.dimensions().map_or(0, |(columns, _)| columns.into());
                    erase(&prompt.text, &line, columns);
                }
                News::Typed(line.into_bytes())
            }
            Err(ReadlineError::Eof) => News::Over,
            Err(ReadlineError::Interrupted) => News::Interrupted,
            Err(error) => News::Unread(cause(error)),
        };
        screen.returned();
        let over = !matches!(news, News::Typed(_));
        if tell.send(news).is_err() || over {
            return;
        }
    }
}

fn editor(helper: Help) -> Result<Editor<Help, DefaultHistory>, ReadlineError> {
    let config = Config::builder()
        .max_history_size(REMEMBERED)?
        .auto_add_history(true)
        .completion_type(CompletionType::List)
        // Or messages would wait for the next key.
        .completion_show_all_if_ambiguous(true)
        .bell_style(BellStyle::None)
        .build();
    let mut editor = Editor::with_config(config)?;
    editor.set_helper(Some(helper));
    Ok(editor)
}

/// Whether a line comes back as everybody sees it.
fn shows_again(line: &str) -> bool {
    line.split('\n').all(|line| {
        matches!(understand(line.as_bytes()), Ok(Typed::Say(_) | Typed::Me(_) | Typed::Msg(..)))
    })
}

fn cause(error: ReadlineError) -> io::Error {
    match error {
        ReadlineError::Io(error) => error,
        ReadlineError::Errno(number) => number.into(),
        error => io::Error::other(error.to_string()),
    }
}

/// A prompt that tells when it is about to be drawn, and names its room as long as lines go there.
struct Shown {
    text: String,
    /// As wide: the editor measures a prompt once.
    without_room: String,
    nowhere: Arc<AtomicBool>,
    screen: Arc<Screen>,
}

impl Prompt for Shown {
    fn raw(&self) -> &str {
        self.screen.draw();
        match self.nowhere.load(Ordering::Acquire) {
            true => &self.without_room,
            false => &self.text,
        }
    }
}

/// What the editor asks us.
struct Help {
    names: Arc<Mutex<Names>>,
    screen: Arc<Screen>,
}

impl Helper for Help {}
impl Hinter for Help {
    type Hint = String;
}
impl Highlighter for Help {}

impl Completer for Help {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        at: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        Ok(complete(line, at, &lock(&self.names)))
    }
}

impl Validator for Help {
    fn validate(&self, _: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        self.screen.entered();
        Ok(ValidationResult::Valid(None))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

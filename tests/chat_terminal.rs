//! `socklab chat` at a terminal, which script(1) plays.

mod support;

use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc;

use support::chat_host::{Irc, chat, host};
use support::person::Person;
use support::talk::Host;

/// nadia in `#lab` with bob and nadine, at a terminal that can move its cursor.
fn person(address: SocketAddr, terminal: &str) -> Person {
    // A # would begin a comment of the shell that script(1) starts.
    let client = chat(address, &["--join", "lab"]);
    let mut command = Command::new("env");
    command.args([&format!("TERM={terminal}"), "TZ=UTC"]);
    command.arg(client.get_program()).args(client.get_args());
    Person::with(&command)
}

fn lab(conversation: impl FnOnce(&mut Irc) + Send + 'static) -> Host {
    host(|irc| {
        irc.let_in();
        irc.enter("#lab", "@bob nadine");
        conversation(irc);
    })
}

const PROMPT: &str = "#lab nadia> ";

#[test]
#[ignore = "needs script"]
fn a_message_that_arrives_while_one_types_leaves_the_line_whole() {
    let (typed, may_speak) = mpsc::channel::<()>();
    let host = lab(move |irc| {
        irc.hear_question();
        may_speak.recv().expect("the test types");
        irc.say(&[":bob!b@h PRIVMSG #lab :I am here"]);
        irc.hears(&["PRIVMSG #lab :half a line"]);
        irc.farewell();
    });
    let mut person = person(host.address, "xterm");
    person.sees("in #lab: @bob nadia nadine\r\n");
    person.sees(PROMPT);
    person.types("half a li");
    person.sees("half a li");
    typed.send(()).expect("the server waits");
    let shown = person.sees("<bob> I am here\r\n");
    let before = shown.rsplit("\r").next().expect("there is something");
    assert!(!before.contains("half"), "the line is taken away first: {shown:?}");
    // And the line stands again below it.
    person.sees(&format!("{PROMPT}half a li"));
    person.types("ne\r");
    // What was typed goes, and comes as everybody sees it.
    let shown = person.sees("<nadia> half a line\r\n");
    assert!(shown.contains("\x1b[1A\r\x1b[J"), "{shown:?}");
    person.sees(PROMPT);
    person.types("/quit\r");
    assert_eq!(person.leaves(), Some(0));
    host.join();
}

#[test]
#[ignore = "needs script"]
fn tab_completes_nicks_rooms_and_commands() {
    let host = lab(|irc| {
        irc.hears(&["PRIVMSG #lab :bob: look at #lab nadine "]);
        irc.hears(&["NAMES #lab"]);
        irc.farewell();
    });
    let mut person = person(host.address, "xterm");
    person.sees(PROMPT);
    person.types("bo\tlook at #l\tna\t\r");
    person.sees("<nadia> bob: look at #lab nadine \r\n");
    person.sees(PROMPT);
    person.types("/nam\t\r");
    person.sees(PROMPT);
    person.types("\x04");
    assert_eq!(person.leaves(), Some(0));
    host.join();
}

#[test]
#[ignore = "needs script"]
fn the_prompt_follows_room_and_nick() {
    let host = lab(|irc| {
        irc.enter("#two", "");
        irc.hears(&["NICK nad"]);
        irc.say(&[":nadia!~nadia@localhost NICK nad"]);
        irc.hears(&["PRIVMSG #two :hello"]);
        irc.say(&[":bob!b@h PRIVMSG #lab :in lab"]);
        irc.hears(&["QUIT :good night"]);
    });
    let mut person = person(host.address, "xterm");
    person.sees(PROMPT);
    person.types("/join #two\r");
    person.sees("#two nadia> ");
    person.types("/nick nad\r");
    person.sees("#two nad> ");
    person.types("hello\r");
    person.sees("#two <nad> hello\r\n");
    person.sees("#lab <bob> in lab\r\n");
    person.types("/quit good night\r");
    assert_eq!(person.leaves(), Some(0));
    host.join();
}

#[test]
#[ignore = "needs script"]
fn a_line_typed_under_one_rooms_prompt_is_never_said_in_another() {
    let (typed, may_throw) = mpsc::channel::<()>();
    let host = lab(move |irc| {
        irc.enter("#two", "");
        irc.hear_question();
        may_throw.recv().expect("the test types");
        irc.say(&[":bob!b@h KICK #two nadia :out"]);
        // Nor does it go to a room that somebody else puts us into.
        irc.say(&[":nadia!~nadia@localhost JOIN #forced"]);
        irc.hears(&["PRIVMSG #lab :open"]);
        irc.farewell();
    });
    let mut person = person(host.address, "xterm");
    person.sees(PROMPT);
    person.types("/join #two\r");
    person.sees("#two nadia> ");
    person.types("sec");
    person.sees("sec");
    typed.send(()).expect("the server waits");
    person.sees("bob has thrown nadia out of #two (out)\r\n");
    person.sees("nadia has entered #forced\r\n");
    // The line stands again, with a prompt of the same width that names no room.
    person.sees("---- nadia> sec");
    person.types("ret\r");
    person.sees("-- you are not in #two any more; /join goes to another room\r\n");
    let shown = person.sees("nadia> ");
    assert!(!shown.contains('#'), "{shown:?}");
    person.types("/me whispers\r");
    person.sees("-- you are not in #two any more; /join goes to another room\r\n");
    person.sees("nadia> ");
    person.types("/join #lab\r");
    person.sees(PROMPT);
    person.types("open\r");
    person.sees("#lab <nadia> open\r\n");
    person.types("\x04");
    assert_eq!(person.leaves(), Some(0));
    host.join();
}

#[test]
#[ignore = "needs script"]
fn a_room_that_lets_us_in_late_gets_the_lines_from_the_next_prompt_on() {
    let (typed, may_enter) = mpsc::channel::<()>();
    let host = lab(move |irc| {
        irc.hears(&["JOIN #two"]);
        // As proxies answer, before the server has.
        irc.hear_question();
        may_enter.recv().expect("the test types");
        irc.say(&[":nadia!~nadia@localhost JOIN #two"]);
        irc.hears(&["PRIVMSG #lab :to lab", "PRIVMSG #two :to two"]);
        irc.farewell();
    });
    let mut person = person(host.address, "xterm");
    person.sees(PROMPT);
    person.types("/join #two\r");
    person.sees(PROMPT);
    person.types("to ");
    person.sees("to ");
    typed.send(()).expect("the server waits");
    person.sees("nadia has entered #two\r\n");
    person.types("lab\r");
    person.sees("#lab <nadia> to lab\r\n");
    person.sees("#two nadia> ");
    person.types("to two\r");
    person.sees("#two <nadia> to two\r\n");
    person.types("\x04");
    assert_eq!(person.leaves(), Some(0));
    host.join();
}

#[test]
#[ignore = "needs script"]
fn ctrl_c_leaves_with_130() {
    let host = lab(|irc| irc.farewell());
    let mut person = person(host.address, "xterm");
    person.sees(PROMPT);
    person.types("not entered\x03");
    assert_eq!(person.leaves(), Some(130));
    host.join();
}

#[test]
#[ignore = "needs script"]
fn the_servers_end_is_told_and_the_terminal_is_as_before() {
    let (typed, may_end) = mpsc::channel::<()>();
    let host = lab(move |irc| {
        irc.hear_question();
        may_end.recv().expect("the test types");
        irc.say(&[":bob!b@h PRIVMSG #lab :look out", "ERROR :Server going down"]);
    });
    let mut person = person(host.address, "xterm");
    person.sees(PROMPT);
    person.types("half a li");
    person.sees("half a li");
    typed.send(()).expect("the server waits");
    person.sees("<bob> look out\r\n");
    // Bracketed paste is off.
    person.sees("\x1b[?2004l");
    person.sees("socklab: the server has ended the connection: Server going down");
    assert_eq!(person.leaves(), Some(1));
    host.join();
}

#[test]
#[ignore = "needs script"]
fn what_is_pasted_waits_for_enter_and_keeps_its_lines() {
    let host = lab(|irc| {
        irc.hears(&["PRIVMSG #lab :one", "PRIVMSG #lab :two"]);
        irc.farewell();
    });
    let mut person = person(host.address, "xterm");
    person.sees(PROMPT);
    person.types("\x1b[200~one\ntwo\x1b[201~");
    person.types("\r");
    person.sees("<nadia> one\r\n");
    person.sees("<nadia> two\r\n");
    person.types("\x04");
    assert_eq!(person.leaves(), Some(0));
    host.join();
}

#[test]
#[ignore = "needs script"]
fn many_messages_while_one_types_all_arrive_in_order() {
    const MESSAGES: usize = 300;
    let host = lab(|irc| {
        for number in 0..MESSAGES {
            if number % 30 == 0 {
                irc.hears(&["PRIVMSG #lab :and I"]);
            }
            irc.say(&[&format!(":bob!b@h PRIVMSG #lab :message {number}.")]);
        }
        irc.farewell();
    });
    let mut person = person(host.address, "xterm");
    person.sees(PROMPT);
    for number in 0..MESSAGES {
        if number % 30 == 0 {
            person.types("and I\r");
        }
        person.sees(&format!("<bob> message {number}.\r\n"));
    }
    person.types("\x04");
    assert_eq!(person.leaves(), Some(0));
    host.join();
}

#[test]
#[ignore = "needs script"]
fn a_terminal_that_cannot_move_its_cursor_gets_plain_lines() {
    let host = lab(|irc| {
        irc.hears(&["PRIVMSG #lab :hello"]);
        irc.say(&[":bob!b@h PRIVMSG #lab :hi"]);
        irc.farewell();
    });
    let mut person = person(host.address, "dumb");
    person.sees(PROMPT);
    person.types("hello\n");
    person.sees("<nadia> hello\r\n");
    let shown = person.sees("<bob> hi\r\n");
    assert!(!shown.contains('\x1b'), "{shown:?}");
    person.types("\x04");
    assert_eq!(person.leaves(), Some(0));
    host.join();
}

//! The client at a terminal, which script(1) plays.

mod support;

use std::io::Write;
use std::net::UdpSocket;
use std::process::Command;
use std::sync::mpsc;

use nix::sys::signal::Signal;
use support::datagram::{DatagramHost, echo};
use support::person::Person;
use support::talk::{Host, command};
use support::{PATIENCE, Process, on_both_engines};

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

/// What is shown of a note before the prompt stands again below it.
const END: &str = ")\r\n> ";

fn no_answer(line: u64) -> String {
    format!("(no answer to line {line} within 1 s: lost, or not answered{END}")
}

#[test]
#[ignore = "needs script"]
fn over_udp_each_line_is_a_datagram_until_exit() {
    let (tell, told) = mpsc::channel();
    let host = DatagramHost::of(move |socket, datagram, from| {
        let _ = tell.send(datagram.to_vec());
        echo(socket, datagram, from);
    });
    let mut person = Person::with_datagrams(host.address);
    person.sees(&format!("each line is a datagram to {}; `exit` or Ctrl-D leaves", host.address));
    for line in ["hello", "你好", ""] {
        person.types(&format!("{line}\n"));
        assert_eq!(
            told.recv_timeout(PATIENCE).expect("it was sent"),
            format!("{line}\n").as_bytes()
        );
        // In place of the prompt, and above another one.
        person.sees(&format!("\r\x1b[K{line}\r\n> "));
    }
    person.types("exit\n");
    assert_eq!(person.leaves(), Some(0));
}

#[test]
#[ignore = "needs script"]
fn over_udp_ctrl_d_twice_sends_what_was_typed_and_leaves() {
    let host = DatagramHost::echo();
    let mut person = Person::with_datagrams(host.address);
    person.sees("> ");
    person.types("hal\x04");
    person.sees("hal");
    person.types("\x04");
    // It has no line end, but the datagram is whole.
    person.sees("\r\x1b[Khal\r\n");
    assert_eq!(person.leaves(), Some(0));
}

#[test]
#[ignore = "needs script"]
fn over_udp_lost_and_late_and_repeated_answers_are_told() {
    let mut kept = Vec::new();
    let host = DatagramHost::of(move |socket, datagram, from| match datagram {
        b"lose\n" => {}
        b"keep\n" => kept = datagram.to_vec(),
        b"give\n" => {
            echo(socket, &kept, from);
            echo(socket, datagram, from);
            echo(socket, datagram, from);
        }
        _ => echo(socket, datagram, from),
    });
    let mut person = Person::with_datagrams(host.address);
    person.sees("> ");
    person.types("lose\n");
    person.sees(&no_answer(1));
    person.types("keep\n");
    person.sees(&no_answer(2));
    person.types("give\n");
    person.sees("(late: answer to line 2 after ");
    let shown = person.sees("keep\r\n> ");
    assert!(shown.contains(" ms)\r\n") || shown.contains(" s)\r\n"), "{shown:?}");
    let shown = person.sees("give\r\n> ");
    assert!(!shown.contains('('), "it was in time: {shown:?}");
    person.sees(&format!("(again: answer to line 3{END}"));
    person.sees("give\r\n> ");
    person.types("\x04");
    assert_eq!(person.leaves(), Some(0));
}

#[test]
#[ignore = "needs script"]
fn over_udp_a_person_who_leaves_hears_the_last_answer() {
    let (release, held) = mpsc::channel::<()>();
    let host = DatagramHost::of(move |socket, datagram, from| {
        if datagram == b"last\n" {
            held.recv().expect("the test lets it go");
            echo(socket, b"and a good day to you", from);
        }
    });
    // Longer than the moment that is waited for at the end.
    let mut person = Person::with(&command(host.address, &["--udp", "--timeout", "1h"]));
    person.sees("> ");
    person.types("last\nexit\n");
    person.sees("exit");
    release.send(()).expect("the server waits for it");
    person.sees("and a good day to you\r\n");
    assert_eq!(person.leaves(), Some(0));

    let mut person = Person::with(&command(host.address, &["--udp", "--timeout", "1h"]));
    person.sees("> ");
    person.types("never answered\nexit\n");
    assert_eq!(person.leaves(), Some(0));
}

#[test]
#[ignore = "needs script"]
fn over_udp_an_answer_of_no_bytes_is_told() {
    let host = DatagramHost::of(|socket, _, from| echo(socket, b"", from));
    let mut person = Person::with_datagrams(host.address);
    person.sees("> ");
    person.types("anything\n");
    person.sees(&format!("(a datagram of no bytes{END}"));
}

#[test]
#[ignore = "needs script"]
fn over_udp_a_server_that_starts_later_is_heard() {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
    let address = socket.local_addr().expect("it is bound");
    drop(socket);
    let mut person = Person::with_datagrams(address);
    person.sees("> ");
    person.types("too early\n");
    person.sees(&format!(
        "(cannot reach {address} over UDP: connection refused; nobody listens there; start \
         `socklab server --udp` or check --port{END}"
    ));
    let socket = UdpSocket::bind(address).expect("it was free a moment ago");
    let _host = DatagramHost::on(socket, echo);
    person.types("in time\n");
    person.sees("in time\r\n");
    let shown = person.sees("in time\r\n> ");
    assert!(!shown.contains('('), "{shown:?}");
    person.types("exit\n");
    assert_eq!(person.leaves(), Some(0));
}

#[test]
#[ignore = "needs script"]
fn over_udp_the_next_address_of_a_name_is_tried_when_one_refuses() {
    let host = DatagramHost::on(UdpSocket::bind("[::1]:0").expect("loopback is there"), echo);
    let port = host.address.port();
    let mut client = Command::new(env!("CARGO_BIN_EXE_socklab"));
    client.args(["client", "--udp", "--host", "localhost", "--port", &port.to_string()]);
    let mut person = Person::with(&client);
    person.sees("> ");
    person.types("hello\n");
    person.sees(&format!("(nobody listens on 127.0.0.1:{port}; trying [::1]:{port}{END}"));
    person.sees("hello\r\n> ");
    person.types("exit\n");
    assert_eq!(person.leaves(), Some(0));
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

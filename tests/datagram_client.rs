//! The client over UDP, against servers that answer, drop, delay, repeat themselves, or are gone.

mod support;

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::Stdio;
use std::sync::mpsc;

use assert_cmd::assert::Assert;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use predicates::str::{contains, is_empty, starts_with};
use support::PATIENCE;
use support::datagram::{DatagramHost, echo};
use support::talk::{Talker, command};

/// The most that a datagram carries over IPv4, and over IPv6.
const MOST: [usize; 2] = [65_507, 65_527];

fn run(address: SocketAddr, arguments: &[&str], input: impl Into<Vec<u8>>) -> Assert {
    let mut command = command(address, &["--udp"]);
    command.args(arguments);
    assert_cmd::Command::from_std(command).timeout(PATIENCE).write_stdin(input).assert()
}

fn message(address: SocketAddr, text: &str, arguments: &[&str]) -> Assert {
    run(address, &[&["--message", text], arguments].concat(), "")
}

/// The client in a pipe, given `input` and then its end.
fn pipe(address: SocketAddr, input: impl Into<Vec<u8>>, arguments: &[&str]) -> Assert {
    run(address, arguments, input)
}

/// Exit status 1 and this line, after what was printed.
fn fails(outcome: Assert, line: &str) {
    outcome.code(1).stderr(format!("socklab: {line}\n"));
}

fn no_answer(patience: &str, address: SocketAddr, datagrams: &str) -> String {
    format!(
        "no answer within {patience} from {address} to {datagrams}: lost, dropped, nobody there, \
         or a server that does not answer, which UDP cannot tell apart; allow more time with \
         --timeout"
    )
}

fn refused(server: &str) -> String {
    format!(
        "cannot reach {server} over UDP: connection refused; nobody listens there; start `socklab \
         server --udp` or check --port"
    )
}

fn too_long(what: &str, limit: usize) -> String {
    format!(
        "cannot send {what} in one datagram: it carries {limit} bytes at most; send less at once, \
         or use TCP"
    )
}

fn bound(address: &str) -> UdpSocket {
    UdpSocket::bind((address, 0)).expect("loopback is there")
}

/// An address where nobody listens, and that no other test takes.
fn nobody() -> SocketAddr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let socket = bound(&format!("127.103.{high}.{}", low.clamp(1, 254)));
    socket.local_addr().expect("it is bound")
}

/// What has arrived at a socket that nobody reads otherwise.
fn arrived(socket: &UdpSocket) -> Vec<Vec<u8>> {
    socket.set_nonblocking(true).expect("it is a socket");
    let mut datagram = vec![0; 65_536];
    let mut all = Vec::new();
    loop {
        match socket.recv(&mut datagram) {
            Ok(length) => all.push(datagram[..length].to_vec()),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return all;
            }
        }
    }
}

/// Servers at the two addresses of `localhost`, one at a time.
fn at_either_loopback() -> impl Iterator<Item = DatagramHost> {
    ["127.0.0.1", "::1"].into_iter().map(|address| DatagramHost::on(bound(address), echo))
}

/// `socklab client --udp` for the name that has two addresses.
fn to_localhost(host: &DatagramHost, arguments: &[&str], input: &str) -> Assert {
    let port = host.address.port().to_string();
    let base = ["client", "--udp", "--host", "localhost", "--port", &port];
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_socklab"))
        .args([&base, arguments].concat())
        .env_remove("RUST_LOG")
        .timeout(PATIENCE)
        .write_stdin(input)
        .assert()
}

#[test]
fn any_echo_server_will_do() {
    let host = DatagramHost::echo();
    for text in ["hello", "two\nlines\n", "", "你好，服务器！", "naïve 🦀 \u{7f}", "--help"]
    {
        message(host.address, text, &[]).success().stdout(text.to_owned()).stderr(is_empty());
    }
}

#[test]
fn a_message_of_no_bytes_is_sent_and_so_may_be_its_answer() {
    let (tell, told) = mpsc::channel();
    let host = DatagramHost::of(move |socket, datagram, from| {
        tell.send(datagram.len()).expect("the test waits for it");
        echo(socket, datagram, from);
    });
    // An hour for the answer: it is not mistaken for silence.
    let outcome = message(host.address, "", &["--timeout", "1h", "-v"]);
    outcome.success().stdout(is_empty()).stderr(contains("the answer is a datagram of no bytes"));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [0]);
}

#[test]
fn a_message_fills_a_datagram_and_no_more() {
    for (address, limit) in ["127.0.0.1", "::1"].into_iter().zip(MOST) {
        let most = "x".repeat(limit);
        let host = DatagramHost::on(bound(address), echo);
        message(host.address, &most, &[]).success().stdout(most.clone()).stderr(is_empty());

        let silent = bound(address);
        let more = most + "x";
        let outcome = message(silent.local_addr().expect("it is bound"), &more, &[]);
        fails(outcome.stdout(is_empty()), &too_long(&format!("{} bytes", limit + 1), limit));
        assert!(arrived(&silent).is_empty());
    }
}

#[test]
fn silence_is_told_after_the_last_attempt() {
    for (retries, datagrams, line) in [
        (&["--timeout", "100ms"][..], 3, "any of 3 datagrams"),
        (&["--timeout", "0.1", "--retries", "1"], 2, "any of 2 datagrams"),
        (&["--timeout", "100ms", "--retries", "0"], 1, "the datagram"),
    ] {
        let silent = bound("127.0.0.1");
        let address = silent.local_addr().expect("it is bound");
        let outcome = message(address, "anybody?", retries).stdout(is_empty());
        fails(outcome, &no_answer("100 ms", address, line));
        assert_eq!(arrived(&silent), vec![b"anybody?"; datagrams]);
    }
}

#[test]
fn an_answer_is_waited_for_a_second_unless_told_otherwise() {
    let silent = bound("127.0.0.1");
    let address = silent.local_addr().expect("it is bound");
    let outcome = message(address, "anybody?", &["--retries", "0"]);
    fails(outcome, &no_answer("1 s", address, "the datagram"));
}

#[test]
fn a_port_where_nobody_listens_is_told_at_once() {
    let address = nobody();
    for outcome in [message(address, "x", &["--timeout", "1h"]), pipe(address, "x\ny\n", &[])] {
        fails(outcome.stdout(is_empty()), &refused(&address.to_string()));
    }
}

#[test]
fn an_address_without_a_way_to_it_is_told_at_once() {
    // Sending to a broadcast address is not allowed to those who have not asked for it.
    let address = SocketAddr::from(([255, 255, 255, 255], 9));
    let outcome = message(address, "x", &["--timeout", "1h"]).code(1).stdout(is_empty());
    outcome.stderr(starts_with("socklab: cannot reach 255.255.255.255:9 over UDP: "));
}

#[test]
fn a_second_attempt_may_succeed() {
    let mut heard = 0;
    let host = DatagramHost::of(move |socket, datagram, from| {
        heard += 1;
        if heard == 2 {
            echo(socket, datagram, from);
        }
    });
    let outcome = message(host.address, "again", &["--timeout", "250ms", "--retries", "9"]);
    outcome.success().stdout("again").stderr(is_empty());
}

#[test]
fn only_one_answer_is_printed_and_that_of_an_earlier_attempt_is_as_good() {
    let mut first = true;
    let host = DatagramHost::of(move |socket, _, from| {
        if !std::mem::take(&mut first) {
            for answer in ["to the first", "to the second", "to the second"] {
                echo(socket, answer.as_bytes(), from);
            }
        }
    });
    let outcome = message(host.address, "x", &["--timeout", "250ms", "--retries", "9"]);
    outcome.success().stdout("to the first").stderr(is_empty());
}

#[test]
fn only_the_server_is_heard() {
    let stranger = bound("127.0.0.1");
    let host = DatagramHost::of(move |socket, datagram, from| {
        echo(&stranger, b"not the server", from);
        echo(socket, datagram, from);
    });
    message(host.address, "hello", &[]).success().stdout("hello");
    pipe(host.address, "hello\n", &["--timeout", "1h"]).success().stdout("hello\n");
}

#[test]
fn whichever_address_of_a_name_serves_is_found() {
    for host in at_either_loopback() {
        for (arguments, input) in
            [(&["--message", "hello\n"][..], ""), (&["--timeout", "1h"], "hello\n")]
        {
            to_localhost(&host, arguments, input).success().stdout("hello\n").stderr(is_empty());
        }
    }
}

#[test]
fn a_message_passes_an_address_that_is_silent() {
    let host = DatagramHost::on(bound("::1"), echo);
    // The first of the two addresses: if somebody else has it, that is as good.
    let _silent = UdpSocket::bind(("127.0.0.1", host.address.port()));
    let arguments = ["--message", "hello", "--timeout", "250ms", "--retries", "9"];
    to_localhost(&host, &arguments, "").success().stdout("hello");
}

#[test]
fn each_line_of_a_pipe_is_a_datagram_with_its_end() {
    let (tell, told) = mpsc::channel();
    let host = DatagramHost::of(move |socket, datagram, from| {
        tell.send(datagram.to_vec()).expect("the test waits for it");
        echo(socket, datagram, from);
    });
    let input = "one\n\n三\r\nno end";
    // It ends with the last answer, not an hour after it.
    let outcome = pipe(host.address, input, &["--timeout", "1h"]);
    outcome.success().stdout(input).stderr(is_empty());
    let lines: Vec<Vec<u8>> = told.try_iter().collect();
    assert_eq!(lines, [&b"one\n"[..], b"\n", "三\r\n".as_bytes(), b"no end"]);
}

#[test]
fn an_answer_of_no_bytes_is_one_in_a_pipe_too() {
    let host = DatagramHost::of(|socket, _, from| echo(socket, b"", from));
    let outcome = pipe(host.address, "a\nb\n", &["--timeout", "1h"]);
    outcome.success().stdout(is_empty()).stderr(is_empty());
}

#[test]
fn an_input_of_no_bytes_sends_nothing() {
    let silent = bound("127.0.0.1");
    let outcome = pipe(silent.local_addr().expect("it is bound"), "", &["--timeout", "1h"]);
    outcome.success().stdout(is_empty()).stderr(is_empty());
    assert!(arrived(&silent).is_empty());
}

#[test]
fn a_pipe_is_no_faster_than_its_answers() {
    let host = DatagramHost::echo();
    let short: String = (0..20_000).map(|number| format!("{number}\n")).collect();
    let long: String = (0..200).map(|_| "x".repeat(MOST[0] - 1) + "\n").collect();
    for input in [short, long] {
        let outcome =
            pipe(host.address, input.clone(), &["--timeout", "10s"]).success().stderr(is_empty());
        // In whichever order.
        assert!(outcome.get_output().stdout == input.into_bytes(), "something was lost");
    }
}

#[test]
fn datagrams_of_a_pipe_that_were_not_answered_are_told() {
    let host = DatagramHost::of(|socket, datagram, from| {
        if !datagram.starts_with(b"drop") {
            echo(socket, datagram, from);
        }
    });
    let input = "1\n2\ndrop\n4\ndrop\n6\n7\n8\n9\ndrop";
    let outcome = pipe(host.address, input, &["--timeout", "1s"]).success();
    let lost = "WARN ] 3 of 10 datagrams were not answered\n";
    outcome.stdout("1\n2\n4\n6\n7\n8\n9\n").stderr(contains(lost));
}

#[test]
fn a_pipe_that_nobody_answers_sends_all_the_same_and_fails() {
    let (tell, told) = mpsc::channel();
    let host = DatagramHost::of(move |_, datagram, _| {
        tell.send(datagram.to_vec()).expect("the test waits for it");
    });
    let outcome = pipe(host.address, "a\nb\nc\n", &["--timeout", "100ms"]).stdout(is_empty());
    fails(outcome, &no_answer("100 ms", host.address, "any of 3 datagrams"));
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [b"a\n", b"b\n", b"c\n"]);
}

#[test]
fn a_line_longer_than_a_datagram_ends_a_pipe() {
    let host = DatagramHost::echo();
    for end in ["\n", ""] {
        let most = "x".repeat(MOST[0] - 1) + "\n";
        let outcome = pipe(host.address, format!("{most}x{}{end}", &most[1..]), &[]);
        outcome.success();
        let more = "x".repeat(MOST[0] + 1) + end;
        fails(pipe(host.address, most + &more, &[]), &too_long("line 2", MOST[0]));
    }
    // Neither does a line without an end fill the memory.
    let mut client = Talker::start(host.address, &["--udp"]);
    let mut stdin = client.0.stdin.take().expect("it is piped");
    while stdin.write_all(&[b'x'; 4096]).is_ok() {}
    assert_eq!(client.end(), (Some(1), format!("socklab: {}\n", too_long("line 1", MOST[0]))));
}

#[test]
fn a_pipe_prints_each_answer_as_it_comes_and_ends_when_the_server_is_gone() {
    let host = DatagramHost::echo();
    let address = host.address;
    let mut client = Talker::start(address, &["--udp", "--timeout", "1h"]);
    for line in ["first\n", "second\n"] {
        client.say(line.as_bytes());
        assert_eq!(client.heard(line.len()), line.as_bytes());
    }
    drop(host);
    client.say(b"third\n");
    assert_eq!(client.end(), (Some(1), format!("socklab: {}\n", refused(&address.to_string()))));
}

#[test]
fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let host = DatagramHost::echo();
    let mut client = Talker::start(host.address, &["--udp"]);
    client.say(b"first\n");
    assert_eq!(client.heard(6), b"first\n");
    drop(client.0.stdout.take());
    client.say(b"second\n");
    assert_eq!(client.end(), (Some(0), String::new()));
}

#[test]
fn an_interrupted_client_exits_with_status_130() {
    for arguments in [&["--udp"][..], &["--udp", "--message", "x", "--timeout", "1h"]] {
        let (tell, told) = mpsc::channel();
        let host = DatagramHost::of(move |_, _, _| {
            let _ = tell.send(());
        });
        let mut client = Talker::start(host.address, arguments);
        if arguments.len() == 1 {
            client.say(b"x\n");
        }
        told.recv_timeout(PATIENCE).expect("the client speaks");
        kill(Pid::from_raw(client.0.id() as i32), Signal::SIGINT).expect("it runs");
        assert_eq!(client.end(), (Some(130), String::new()), "with {arguments:?}");
    }
}

#[test]
fn input_and_output_that_cannot_be_used_are_told_in_one_line() {
    let host = DatagramHost::echo();
    let folder = File::open(env!("CARGO_TARGET_TMPDIR")).expect("it is there");
    let (code, complaint) = Talker::given(host.address, &["--udp"], folder).end();
    assert_eq!(code, Some(1));
    assert_eq!(complaint, "socklab: cannot use standard input: is a directory\n");

    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    let output = command(host.address, &["--udp", "--message", "x"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    let line = b"socklab: cannot use standard output: no space left on device\n";
    assert_eq!(output.stderr, line);
}

#[test]
fn retries_are_for_a_message_over_udp() {
    let missing = "error: the following required arguments were not provided:";
    for arguments in [
        &["--retries", "1"][..],
        &["--retries", "1", "--message", "x"],
        &["--retries", "1", "--udp"],
        &["--retries", "-1", "--udp", "--message", "x"],
    ] {
        let negative = arguments.contains(&"-1");
        let complaint =
            if negative { "error: invalid value '-1' for '--retries <N>'" } else { missing };
        assert_cmd::Command::new(env!("CARGO_BIN_EXE_socklab"))
            .arg("client")
            .args(arguments)
            .assert()
            .code(2)
            .stderr(starts_with(complaint));
    }
}

#[test]
fn the_classic_spelling_speaks_udp_as_well() {
    let host = DatagramHost::echo();
    let (ip, port) = (host.address.ip().to_string(), host.address.port().to_string());
    for words in [
        [
            "--mode",
            "client",
            "--udp",
            "--message",
            "你好，服务器！",
            "--host",
            &ip,
            "--port",
            &port,
        ],
        [
            "--udp",
            "--host",
            &ip,
            "--port",
            &port,
            "--message",
            "你好，服务器！",
            "--mode",
            "client",
        ],
    ] {
        let outcome = assert_cmd::Command::new(env!("CARGO_BIN_EXE_socklab")).args(words).assert();
        outcome.success().stdout("你好，服务器！");
    }
}

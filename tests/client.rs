//! The client against servers of every temper, and against ours on both engines.

mod support;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{self, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use assert_cmd::assert::Assert;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};
use socket2::SockRef;
use support::talk::{Host, Talker, command};
use support::{PATIENCE, Process, on_both_engines, pattern};

const MIB: usize = 1024 * 1024;

/// The client in a pipe, given `input` and then its end.
fn pipe(address: SocketAddr, input: impl Into<Vec<u8>>) -> Assert {
    let command = command(address, &[]);
    assert_cmd::Command::from_std(command).timeout(PATIENCE).write_stdin(input).assert()
}

/// The client with `--message`.
fn message(address: SocketAddr, text: &str, arguments: &[&str]) -> Assert {
    let mut command = command(address, &["--message", text]);
    command.args(arguments);
    assert_cmd::Command::from_std(command).timeout(PATIENCE).assert()
}

/// Exit status 1 and one line that says `why`.
fn broken(outcome: Assert, why: &str) {
    let line = predicate::function(|text: &str| text.ends_with('\n') && text.lines().count() == 1);
    outcome.code(1).stderr(starts_with("socklab: ").and(contains(why))).stderr(line);
}

/// An input that never pauses. A pipe does when this process is starved, and once the server has
/// closed, a pause is the end of the input.
fn file(name: &str, bytes: &[u8]) -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", process::id()));
    fs::write(&path, bytes).expect("the target folder takes files");
    let file = File::open(&path).expect("it was just written");
    fs::remove_file(&path).expect("it was just written");
    file
}

fn echo(mut stream: TcpStream) {
    let mut bytes = [0; 4096];
    while let n @ 1.. = stream.read(&mut bytes).expect("the client sends") {
        stream.write_all(&bytes[..n]).expect("the client reads");
    }
}

/// Reads to the client's last word.
fn hear_out(stream: &mut TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).expect("the client closes its sending half");
    heard
}

/// Closes with a reset instead of an end.
fn reset(stream: TcpStream) {
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("it is a socket");
}

#[test]
fn any_echo_server_will_do() {
    for text in ["hello", "two\nlines\n", "", "你好，服务器！", "naïve 🦀 \u{7f}"] {
        let host = Host::of(echo);
        message(host.address, text, &[]).success().stdout(text.to_owned()).stderr(is_empty());
        host.join();
    }
    let host = Host::of(echo);
    pipe(host.address, "hello\n").success().stdout("hello\n").stderr(is_empty());
    host.join();
}

#[test]
fn a_server_that_answers_only_after_the_last_word_is_heard() {
    let after_the_end = |mut stream: TcpStream| {
        assert_eq!(hear_out(&mut stream), b"hello");
        stream.write_all(b"you said hello").expect("the client reads");
    };
    let host = Host::of(after_the_end);
    message(host.address, "hello", &[]).success().stdout("you said hello").stderr(is_empty());
    host.join();
    let host = Host::of(after_the_end);
    pipe(host.address, "hello").success().stdout("you said hello").stderr(is_empty());
    host.join();
}

#[test]
fn a_server_that_answers_and_never_closes_is_left_after_the_timeout() {
    let (release, held) = mpsc::channel::<()>();
    let host = Host::of(move |mut stream| {
        stream.write_all(b"hello, and stay").expect("the client reads");
        let _ = held.recv();
    });
    // Long enough for an answer from a busy machine.
    let outcome = message(host.address, "hello", &["--timeout", "2s"]);
    outcome.success().stdout("hello, and stay").stderr(is_empty());
    drop(release);
    host.join();
}

#[test]
fn a_server_that_neither_answers_nor_closes_is_no_reply() {
    let (release, held) = mpsc::channel::<()>();
    let host = Host::of(move |mut stream| {
        assert_eq!(hear_out(&mut stream), b"anybody?");
        let _ = held.recv();
    });
    let outcome = message(host.address, "anybody?", &["--timeout", "250ms"]);
    broken(outcome.stdout(is_empty()), "no reply within 250ms");
    drop(release);
    host.join();
}

#[test]
fn a_reset_in_place_of_the_reply_is_told_in_one_line() {
    let message: fn(SocketAddr) -> Assert = |address| message(address, "hello", &[]);
    for client in [message, |address| pipe(address, "hello")] {
        let host = Host::of(|mut stream| {
            hear_out(&mut stream);
            reset(stream);
        });
        broken(client(host.address), "reset by peer");
        host.join();
    }
}

#[test]
fn a_reply_is_printed_though_a_reset_follows_it() {
    // Closing with the client's words unread is a reset, which may come before all was sent.
    for _ in 0..20 {
        let host = Host::of(|mut stream| {
            stream.write_all(b"Sunday\r\n").expect("the client reads");
        });
        message(host.address, "what day is it?", &[]).stdout("Sunday\r\n");
        host.join();
    }
}

#[test]
fn a_reset_in_the_middle_of_a_conversation_is_told_in_one_line() {
    let host = Host::of(|mut stream| {
        stream.read_exact(&mut [0; 5]).expect("the client sends");
        reset(stream);
    });
    let mut client = Talker::start(host.address, &[]);
    client.say(b"hello");
    host.join();
    let (code, complaint) = client.end();
    assert_eq!(code, Some(1));
    assert!(complaint.starts_with("socklab: the connection broke: "), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
}

#[test]
fn a_server_that_closes_before_all_was_sent_is_a_failure() {
    let reads_a_little: fn(TcpStream) = |mut stream| {
        stream.read_exact(&mut [0; 1000]).expect("the client sends");
        stream.write_all(b"enough").expect("the client reads");
    };
    let half_closes_and_leaves: fn(TcpStream) = |mut stream| {
        stream.write_all(b"enough").expect("the client reads");
        stream.shutdown(Shutdown::Write).expect("it is connected");
        stream.read_exact(&mut [0; 1000]).expect("the client sends");
    };
    for conversation in [reads_a_little, half_closes_and_leaves] {
        let host = Host::of(conversation);
        let input = file("too much", &pattern(1, 16 * MIB));
        let (code, complaint) = Talker::given(host.address, &[], input).end();
        assert_eq!(code, Some(1));
        // The half that sends may see it first, or the half that receives.
        assert!(complaint.starts_with("socklab: the "), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        host.join();
    }
}

#[test]
fn a_server_that_takes_nothing_is_given_up() {
    let (left, wait) = mpsc::channel::<()>();
    let host = Host::of(move |_stream| assert!(wait.recv_timeout(PATIENCE).is_err()));
    let input = file("nobody takes it", &pattern(1, 16 * MIB));
    let (code, complaint) = Talker::given(host.address, &["--lost-after", "1s"], input).end();
    assert_eq!(code, Some(1));
    assert!(complaint.starts_with("socklab: the connection is lost: "), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    drop(left);
    host.join();
}

#[test]
fn a_server_that_closes_its_sending_half_first_still_gets_everything() {
    let input = pattern(3, 8 * MIB);
    let copy = file("everything", &input);
    let host = Host::of(move |mut stream| {
        stream.write_all(b"go on").expect("the client reads");
        stream.shutdown(Shutdown::Write).expect("it is connected");
        let heard = hear_out(&mut stream);
        assert!(heard == input, "{} bytes came, not those sent", heard.len());
    });
    let mut client = Talker::given(host.address, &[], copy);
    assert_eq!(client.heard(5), b"go on");
    host.join();
    assert_eq!(client.end(), (Some(0), String::new()));
}

#[test]
fn an_open_but_silent_input_does_not_outlive_the_server() {
    let host = Host::of(|mut stream| {
        stream.write_all(b"goodbye\n").expect("the client reads");
    });
    let mut client = Talker::start(host.address, &[]);
    assert_eq!(client.heard(8), b"goodbye\n");
    assert_eq!(client.end(), (Some(0), String::new()));
    host.join();
}

#[test]
fn an_interrupted_client_exits_with_status_130() {
    for arguments in [&[][..], &["--message", "x", "--timeout", "1h"]] {
        let (tell, told) = mpsc::channel();
        let (release, held) = mpsc::channel::<()>();
        let host = Host::of(move |mut stream| {
            stream.read_exact(&mut [0; 1]).expect("the client sends");
            tell.send(()).expect("the test waits for it");
            let _ = held.recv();
        });
        let mut client = Talker::start(host.address, arguments);
        if arguments.is_empty() {
            client.say(b"x");
        }
        told.recv_timeout(PATIENCE).expect("the client speaks");
        kill(Pid::from_raw(client.0.id() as i32), Signal::SIGINT).expect("it runs");
        assert_eq!(client.end(), (Some(130), String::new()), "with {arguments:?}");
        drop(release);
        host.join();
    }
}

#[test]
fn an_input_that_cannot_be_read_is_told_in_one_line() {
    let host = Host::of(|mut stream| {
        hear_out(&mut stream);
    });
    let folder = File::open(env!("CARGO_TARGET_TMPDIR")).expect("it is there");
    let mut client = Talker::given(host.address, &[], folder);
    let (code, complaint) = client.end();
    assert_eq!(code, Some(1));
    assert!(complaint.starts_with("socklab: cannot use standard input: "), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    host.join();
}

#[test]
fn a_full_disk_is_told_in_one_line() {
    let host = Host::of(|mut stream| {
        stream.write_all(b"hello").expect("the client reads");
        // Closing before the client has spoken would be a reset instead.
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    let output = command(host.address, &["--message", "x"])
        .stdout(full)
        .stderr(Stdio::piped())
        .output()
        .expect("the binary starts");
    let complaint = String::from_utf8(output.stderr).expect("it writes UTF-8");
    assert_eq!(output.status.code(), Some(1));
    assert!(complaint.starts_with("socklab: cannot use standard output: "), "{complaint}");
    assert_eq!(complaint.lines().count(), 1, "{complaint}");
    host.join();
}

#[test]
fn input_that_the_server_has_never_taken_is_told_of() {
    let host = Host::of(drop);
    let mut talker = Talker::start(host.address, &[]);
    host.join();
    talker.say(b"hi\n");
    drop(talker.0.stdin.take());
    let (code, complaint) = talker.end();
    assert_eq!(code, Some(1), "{complaint}");
    assert!(complaint.contains("before it had taken all input (3 bytes were sent)"), "{complaint}");
}

on_both_engines! {
    fn a_message_comes_back_as_it_was(engine) {
        let server = Process::start(engine, &[]);
        for text in ["hello", "你好，服务器！", "naïve 🦀\r\n\t", "-v", "--help", "", " "] {
            for &address in &server.addresses {
                let outcome = message(address, text, &[]);
                outcome.success().stdout(text.to_owned()).stderr(is_empty());
            }
        }
    }

    fn a_message_that_nobody_answers_is_no_failure_if_the_server_closes(engine) {
        let server = Process::start(engine, &["discard"]);
        let outcome = message(server.address(), "hello", &[]);
        outcome.success().stdout(is_empty()).stderr(is_empty());
    }

    fn bytes_that_are_no_text_pass_through_a_pipe(engine) {
        let server = Process::start(engine, &[]);
        let every_byte: Vec<u8> = (0..=255).collect();
        for input in [vec![], vec![0], vec![0xff, 0xfe, 0x80], every_byte, pattern(4, 300_000)] {
            let outcome = pipe(server.address(), input.clone()).success().stderr(is_empty());
            assert!(outcome.get_output().stdout == input, "{} bytes differ", input.len());
        }
    }

    fn bulk_passes_through_a_pipe_in_constant_memory(engine) {
        let server = Process::start(engine, &[]);
        let mut client = Talker::start(server.address(), &[]);
        let mut stdin = client.0.stdin.take().expect("it is piped and open");
        let feeder = thread::spawn(move || {
            for seed in 0..64 {
                stdin.write_all(&pattern(seed, MIB)).expect("the client reads");
            }
            stdin
        });
        for seed in 0..64 {
            assert!(client.heard(MIB) == pattern(seed, MIB), "MiB {seed} differs");
        }
        let most = high_water(&client);
        assert!(most < 16 * 1024, "the client used {most} KiB");
        drop(feeder.join().expect("all was sent"));
        assert_eq!(client.end(), (Some(0), String::new()));
    }

    fn a_reader_who_has_seen_enough_ends_it_quietly(engine) {
        let server = Process::start(engine, &["chargen"]);
        for input_stays_open in [true, false] {
            let mut client = Talker::start(server.address(), &[]);
            if !input_stays_open {
                drop(client.0.stdin.take());
            }
            let heard = client.heard(100_000);
            assert!(heard.starts_with(b" !\"#$%&'()*+,-./0123456789"));
            drop(client.0.stdout.take());
            assert_eq!(client.end(), (Some(0), String::new()));
        }
        let mut client = Talker::start(server.address(), &["--message", "x"]);
        client.heard(100_000);
        drop(client.0.stdout.take());
        assert_eq!(client.end(), (Some(0), String::new()));
    }

    fn a_server_that_takes_nothing_while_nobody_takes_its_answers_is_not_given_up(engine) {
        let server = Process::start(engine, &[]);
        let text = pattern(1, 64 * MIB);
        let input = file("all of it", &text);
        let mut client = Talker::given(server.address(), &["--lost-after", "3s"], input);
        assert!(client.heard(MIB) == text[..MIB]);
        // Longer than the kernel takes to give up a server that has no room: it asks after 0.2, 0.6,
        // 1.4, 3 and 6.2 s, and gives up when more than --lost-after has passed.
        thread::sleep(Duration::from_secs(8));
        assert!(client.heard(63 * MIB) == text[MIB..]);
        assert_eq!(client.end(), (Some(0), String::new()));
    }

    fn a_server_that_stops_ends_a_client_that_waits_for_input(engine) {
        let server = Process::start(engine, &[]);
        let mut client = Talker::start(server.address(), &[]);
        client.say(b"hello");
        assert_eq!(client.heard(5), b"hello");
        server.signal(Signal::SIGTERM);
        assert_eq!(client.end(), (Some(0), String::new()));
    }
}

/// The most memory it ever had resident, in KiB.
fn high_water(client: &Talker) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", client.0.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is listed");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

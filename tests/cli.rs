//! The binary as its users and supervisors meet it: words, exit statuses, signals, ports.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;

use assert_cmd::assert::Assert;
use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};
use signal_hook::consts::SIGHUP;
use socket2::{Domain, Socket, Type};
use socklab::engine::Engine;
use support::{PATIENCE, Process, connect, echoes, eventually, finish, on_both_engines};

const SOCKLAB: &str = env!("CARGO_BIN_EXE_socklab");

fn socklab(arguments: &[&str]) -> Assert {
    assert_cmd::Command::new(SOCKLAB)
        .args(arguments)
        .env_remove("RUST_LOG")
        .timeout(PATIENCE)
        .assert()
}

/// Exit status 2, and `complaint` first of all.
fn is_wrong_usage(arguments: &[&str], complaint: &str) {
    socklab(arguments)
        .code(2)
        .stdout(is_empty())
        .stderr(starts_with(format!("error: {complaint}")));
}

/// Exit status 1, and one line that has all of `parts`: what was attempted, why, what to do.
fn fails_in_one_line(arguments: &[&str], parts: [&str; 3]) {
    let line = predicate::function(|text: &str| text.ends_with('\n') && text.lines().count() == 1);
    let [attempt, why, advice] = parts;
    socklab(arguments)
        .code(1)
        .stdout(is_empty())
        .stderr(starts_with(format!("socklab: cannot {attempt}: ")))
        .stderr(contains(why).and(contains(advice)))
        .stderr(line);
}

/// A loopback address that nobody else has, so that a port of it cannot be taken between two
/// servers of one test.
fn private_address(engine: Engine) -> Ipv4Addr {
    let [.., high, low] = std::process::id().to_be_bytes();
    let second = match engine {
        Engine::Threads => 101,
        Engine::Poll => 102,
    };
    Ipv4Addr::new(127, second, high, low.clamp(1, 254))
}

#[test]
fn without_arguments_it_explains_itself() {
    socklab(&[])
        .code(2)
        .stdout(is_empty())
        .stderr(contains("Usage: socklab").and(contains("server")));
}

#[test]
fn help_is_no_error() {
    socklab(&["--help"]).success().stderr(is_empty()).stdout(contains("Exit status: 0 fine"));
    socklab(&["-h"]).success().stdout(contains("Classic spelling"));
    socklab(&["help", "server"]).success().stdout(contains("--max-clients <N>"));
    socklab(&["client", "--help"]).success().stdout(contains("--message <TEXT>"));
    let version = format!("socklab {}\n", env!("CARGO_PKG_VERSION"));
    socklab(&["--version"]).success().stdout(version);
}

#[test]
fn wrong_usage_is_named_and_exits_2() {
    is_wrong_usage(&["serve"], "unrecognized subcommand 'serve'");
    is_wrong_usage(&["server", "finger"], "invalid value 'finger' for '[SERVICE]'");
    is_wrong_usage(&["server", "--engine", "epoll"], "invalid value 'epoll' for '--engine");
    is_wrong_usage(&["server", "--color"], "unexpected argument '--color'");
    is_wrong_usage(&["server", "echo", "discard"], "unexpected argument 'discard'");
    is_wrong_usage(&["server", "--port", "70000"], "invalid value '70000' for '--port");
    is_wrong_usage(&["server", "--port=-1"], "invalid value '-1' for '--port");
    is_wrong_usage(&["server", "--port", "http"], "invalid value 'http' for '--port");
    is_wrong_usage(&["server", "--max-clients", "0"], "invalid value '0' for '--max-clients");
    is_wrong_usage(&["server", "--max-clients", "many"], "invalid value 'many' for '--max");
    is_wrong_usage(&["client", "--port", "0"], "invalid value '0' for '--port");
    is_wrong_usage(&["client", "--message"], "a value is required for '--message <TEXT>'");
    is_wrong_usage(&["completions", "cmd.exe"], "invalid value 'cmd.exe' for '<SHELL>'");
    is_wrong_usage(&["man", "nothing"], "there is no command \"nothing\"");
    is_wrong_usage(&["-q", "-v", "server"], "the argument '--quiet' cannot be used with");
    is_wrong_usage(&["server", "-v", "--quiet"], "the argument '--verbose...' cannot be used with");
}

#[test]
fn wrong_durations_and_sizes_are_wrong_usage() {
    for flag in ["--idle-timeout", "--grace"] {
        for wrong in ["soon", "5 parsecs", "1e999", "", "-1", "NaN"] {
            let complaint = format!("invalid value '{wrong}' for '{flag} <TIME>'");
            is_wrong_usage(&["server", &format!("{flag}={wrong}")], &complaint);
        }
    }
    for flag in ["--backlog-bytes", "--stack-size"] {
        for wrong in ["much", "1 elephant", "-1", "64KiB 3"] {
            let complaint = format!("invalid value '{wrong}' for '{flag} <SIZE>'");
            is_wrong_usage(&["server", &format!("{flag}={wrong}")], &complaint);
        }
    }
    is_wrong_usage(&["client", "--timeout", "0"], "invalid value '0' for '--timeout <TIME>'");
    is_wrong_usage(&["client", "--timeout", "later"], "invalid value 'later' for '--timeout");
}

#[test]
fn what_is_no_number_is_told_with_what_is() {
    for (option, wrong, advice) in [
        ("--clients-per-address", "x", "a whole number is needed, 0 or more"),
        ("--max-clients", "many", "a whole number is needed, 1 or more"),
        ("--max-clients", "0", "a whole number is needed, 1 or more"),
        ("--max-clients", "5000000000", "nothing here is as large as that"),
        ("--receivers", "257", "a whole number is needed, from 1 to 256"),
        ("--rate-per-source", "1.5", "a whole number is needed, 0 or more"),
        ("--channels-per-client", "-1", "a whole number is needed, 0 or more"),
    ] {
        let complaint = format!("invalid value '{wrong}' for '{option} <N>': {advice}\n");
        is_wrong_usage(&["server", option, wrong], &complaint);
    }
    let complaint = "invalid value 'http' for '--port <PORT>': a whole number is needed, from 0 to";
    is_wrong_usage(&["server", "--port", "http"], complaint);
}

#[test]
fn a_negative_value_is_called_a_wrong_value() {
    is_wrong_usage(&["server", "--grace", "-1"], "invalid value '-1' for '--grace <TIME>'");
    is_wrong_usage(&["server", "--port", "-1"], "invalid value '-1' for '--port <PORT>'");
}

#[test]
fn the_classic_mode_is_server_or_client() {
    is_wrong_usage(&["--mode", "foo"], "--mode is server or client, not \"foo\"");
    is_wrong_usage(&["--mode=foo", "--port", "0"], "--mode is server or client, not \"foo\"");
    is_wrong_usage(&["--mode"], "--mode ");
    is_wrong_usage(&["--mode="], "--mode ");
    is_wrong_usage(&["--port", "0", "--mode", "man"], "--mode ");
}

#[test]
fn each_shell_gets_its_completions() {
    for (shell, mark) in [
        ("bash", "complete -F _socklab"),
        ("zsh", "#compdef socklab"),
        ("fish", "complete -c socklab"),
    ] {
        socklab(&["completions", shell])
            .success()
            .stderr(is_empty())
            .stdout(contains(mark).and(contains("idle-timeout")));
    }
}

#[test]
fn manual_pages_come_one_by_one() {
    socklab(&["man"]).success().stderr(is_empty()).stdout(contains(".TH socklab 1"));
    for (command, mark) in [("server", "max\\-clients"), ("client", "\\-\\-message")] {
        socklab(&["man", command]).success().stdout(contains(".TH").and(contains(mark)));
    }
}

#[test]
fn a_page_nobody_reads_is_no_failure() {
    let mut child = Command::new(SOCKLAB)
        .args(["man", "server"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());
    assert!(child.wait().expect("it was started").success());
}

#[test]
fn a_name_that_does_not_resolve_is_told_in_one_line() {
    let parts = ["find the address of \"name.invalid\"", "lookup", "check --host"];
    fails_in_one_line(&["server", "--host", "name.invalid", "--port", "0"], parts);
    fails_in_one_line(&["client", "--host", "name.invalid"], parts);
}

#[test]
fn an_address_of_another_machine_is_told_in_one_line() {
    // TEST-NET-1, which no machine has (RFC 5737).
    let parts = ["listen on 192.0.2.1:0", "assign requested address", "--host ::"];
    fails_in_one_line(&["server", "--host", "192.0.2.1", "--port", "0"], parts);
}

#[test]
fn an_address_in_use_is_told_in_one_line() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = taken.local_addr().expect("it is bound");
    let port = address.port().to_string();
    let parts = [&format!("listen on {address}"), "in use", "choose another --port"];
    fails_in_one_line(&["server", "--host", "127.0.0.1", "--port", &port], parts);
}

#[test]
fn a_refused_connection_is_told_in_one_line() {
    // Bound without listening: nobody else can take the port, and nobody answers there.
    let deaf = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket can be had");
    deaf.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).expect("loopback is there");
    let address = deaf.local_addr().expect("it is bound").as_socket().expect("it is IPv4");
    let port = address.port().to_string();
    let parts = [&format!("connect to {address}"), "refused", "start `socklab server`"];
    fails_in_one_line(&["client", "--host", "127.0.0.1", "--port", &port], parts);
    fails_in_one_line(&["client", "--host", "127.0.0.1", "--port", &port, "--message", "x"], parts);
}

#[test]
fn the_classic_spelling_starts_a_server_wherever_mode_stands() {
    for arguments in [
        &["--mode", "server", "--port", "0"][..],
        &["--mode=server", "--port", "0", "echo"],
        &["--port", "0", "--mode", "server"],
        &["--port", "0", "--mode=server", "--engine", "threads"],
        &["echo", "--mode", "server", "--port", "0"],
        &["-q", "--port", "0", "echo", "--mode", "server"],
    ] {
        let mut server =
            Process::spawn(Command::new(SOCKLAB).args(arguments).stderr(Stdio::null()));
        echoes(&mut server.connect(), b"hello");
        server.signal(Signal::SIGTERM);
        assert!(server.wait().success(), "{arguments:?}");
    }
}

#[test]
fn the_classic_spelling_starts_a_client_wherever_mode_stands() {
    let server = Process::start(Engine::Poll, &[]);
    let port = server.address().port().to_string();
    for arguments in [
        ["--mode", "client", "--port", &port, "--message", "hello"],
        ["--port", &port, "--mode", "client", "--message", "hello"],
        ["--port", &port, "--message", "hello", "--mode", "client"],
    ] {
        socklab(&arguments).success().stderr(is_empty()).stdout("hello");
    }
    socklab(&["--port", &port, "--mode=client", "--message", "server"]).success().stdout("server");
}

#[test]
fn a_message_may_look_like_the_classic_spelling() {
    let server = Process::start(Engine::Poll, &[]);
    let port = server.address().port().to_string();
    for message in ["--mode", "--mode=server"] {
        socklab(&["client", "--port", &port, "--message", message]).success().stdout(message);
    }
}

on_both_engines! {
    fn it_is_ready_once_it_has_told_its_addresses_and_tells_nothing_else(engine) {
        let mut server = Process::start(engine, &[]);
        let six = TcpListener::bind("[::1]:0").is_ok();
        assert_eq!(server.address().ip(), IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(server.addresses.len(), if six { 2 } else { 1 });
        for &address in &server.addresses {
            assert!(address.ip().is_loopback());
            assert_ne!(address.port(), 0);
            assert_eq!(address.port(), server.address().port(), "one port for all");
            echoes(&mut connect(address), b"hello");
        }
        server.signal(Signal::SIGTERM);
        assert!(server.wait().success());
        let mut rest = String::new();
        server.stdout.read_to_string(&mut rest).expect("it is UTF-8");
        assert_eq!(rest, "");
    }

    fn more_clients_than_the_machine_allows_are_lowered_with_one_warning(engine) {
        let mut command = Command::new("sh");
        command
            .args(["-c", "ulimit -n 100 && exec \"$0\" \"$@\"", SOCKLAB, "server", "--port", "0"])
            .args(["--engine", &engine.to_string(), "--max-clients", "5000"])
            .env_remove("RUST_LOG")
            .stderr(Stdio::piped());
        let server = Process::spawn(&mut command);
        echoes(&mut server.connect(), b"hello");
        let log = log_to_the_end(server);
        let warnings: Vec<&str> = log.lines().filter(|line| line.contains("WARN")).collect();
        assert_eq!(warnings.len(), 1, "{log}");
        assert!(warnings[0].contains("--max-clients 5000"), "{log}");
        assert!(warnings[0].contains("ulimit -n"), "{log}");
    }

    fn a_quiet_server_says_nothing_on_standard_error(engine) {
        let mut command = Process::command(engine, &["--quiet"]);
        let server = Process::spawn(command.stderr(Stdio::piped()));
        echoes(&mut server.connect(), b"hello");
        let log = log_to_the_end(server);
        assert_eq!(log, "");
    }

    fn each_signal_stops_it_with_status_0(engine) {
        // Under nohup(1) this process ignores SIGHUP, and so would its children: what is caught
        // here is theirs to catch again (execve(2)).
        signal_hook::flag::register(SIGHUP, Arc::default()).expect("SIGHUP can be caught");
        for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
            let mut server = Process::start(engine, &[]);
            let mut client = server.connect();
            echoes(&mut client, b"hello");
            server.signal(signal);
            assert_eq!(server.wait().code(), Some(0), "after {signal}");
            assert_eq!(finish(&mut client), b"", "after {signal}");
        }
    }

    fn a_second_signal_ends_it_at_once_with_status_130(engine) {
        for second in [Signal::SIGTERM, Signal::SIGINT] {
            let mut server = Process::start(engine, &["--grace", "60s"]);
            let _deaf = never_reads(&server);
            server.signal(Signal::SIGTERM);
            // Two signals of one kind sent together are one signal.
            eventually("callers are refused", || TcpStream::connect(server.address()).is_err());
            assert!(server.child.try_wait().expect("it was started").is_none(), "it is in grace");
            server.signal(second);
            assert_eq!(server.wait().code(), Some(130), "after {second}");
        }
    }

    fn the_longest_of_times_are_for_ever(engine) {
        for flag in ["--grace", "--idle-timeout"] {
            let mut server = Process::start(engine, &[flag, "1e19"]);
            echoes(&mut server.connect(), b"hello");
            server.signal(Signal::SIGTERM);
            assert_eq!(server.wait().code(), Some(0), "with {flag}");
        }
    }

    fn sighup_stays_ignored_where_it_was_ignored_at_the_start(engine) {
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", SOCKLAB, "server", "--port", "0"])
            .args(["--engine", &engine.to_string()])
            .stderr(Stdio::null());
        let mut server = Process::spawn(&mut command);
        let mut client = server.connect();
        echoes(&mut client, b"before");
        server.signal(Signal::SIGHUP);
        echoes(&mut client, b"after");
        echoes(&mut server.connect(), b"and a new caller");
        // Had it counted, this would be the second signal, and the status 130.
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait().code(), Some(0));
    }

    fn a_port_is_taken_while_it_is_served_and_free_at_once_afterwards(engine) {
        let host = private_address(engine).to_string();
        let mut first = Process::spawn(
            Process::command(engine, &["--host", &host]).stderr(Stdio::null()),
        );
        let address = first.address();
        let port = address.port().to_string();
        let again = ["server", "--engine", &engine.to_string(), "--host", &host, "--port", &port];
        let parts = [&format!("listen on {address}"), "in use", "--port 0"];
        fails_in_one_line(&again, parts);

        let mut client = first.connect();
        echoes(&mut client, b"hello");
        first.signal(Signal::SIGTERM);
        // The server closes first, so the connection's remains are on its side.
        assert_eq!(client.read(&mut [0; 1]).expect("the server closes"), 0);
        drop(client);
        assert!(first.wait().success());
        eventually("the old connection is in TIME_WAIT", || is_in_time_wait(address));

        let second = Process::spawn(Command::new(SOCKLAB).args(again).stderr(Stdio::null()));
        assert_eq!(second.address(), address);
        echoes(&mut second.connect(), b"hello");
    }
}

fn log_to_the_end(mut server: Process) -> String {
    server.signal(Signal::SIGTERM);
    assert!(server.wait().success());
    let mut log = String::new();
    let mut stderr = server.child.stderr.take().expect("it is piped");
    stderr.read_to_string(&mut log).expect("it is UTF-8");
    log
}

/// A client that sends and never reads, until the server holds an answer that nobody takes.
fn never_reads(server: &Process) -> TcpStream {
    let client = server.connect();
    client.set_nonblocking(true).expect("it is a socket");
    let mut quiet = 0;
    eventually("the server waits for its client to read", || {
        let stuck = (&client).write(&[0; 65536]).is_err();
        // Asleep with input to read: it waits for room to write. A server that is only starved of
        // CPU is not asleep.
        quiet = if stuck && sleeps(server) { quiet + 1 } else { 0 };
        quiet == 5
    });
    client
}

/// Whether all its threads sleep (proc_pid_stat(5), state).
fn sleeps(server: &Process) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", server.pid())).expect("it runs");
    tasks.flatten().all(|task| {
        let stat = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('S'))
    })
}

/// Whether the kernel keeps the remains of a connection to `address` (proc_net(5), state 6).
fn is_in_time_wait(address: SocketAddr) -> bool {
    let IpAddr::V4(ip) = address.ip() else {
        return false;
    };
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), address.port());
    let table = fs::read_to_string("/proc/net/tcp").expect("Linux has it");
    table.lines().any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&"06")
    })
}

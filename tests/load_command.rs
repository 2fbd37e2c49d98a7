//! `socklab load` as its users meet it: what it refuses, its conditions, Ctrl-C, the server's process.

mod support;

use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::{Signal, kill};
use socklab::engine::Engine;
use socklab::observe::local_ports;
use socklab::service::Echo;
use support::load::{Counting, load_as_json};
use support::run::{
    Marked, Running, SOCKLAB, Scratch, failed_in_one_line, fails_in_one_line, number, parsed,
    socklab,
};
use support::wrong::Temper::FallsSilent;
use support::wrong::Wrong;
use support::{Server, eventually, on_both_engines};

fn nobody_called(listener: &TcpListener) -> bool {
    listener.set_nonblocking(true).unwrap();
    matches!(listener.accept(), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn what_the_machine_cannot_do_is_said_before_anybody_connects() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    let script = format!("ulimit -n 100 && exec {SOCKLAB} load {target} -c 101");
    let ending = Running::spawn(Command::new("/bin/sh").args(["-c", &script])).end();
    failed_in_one_line(&ending, &["cannot open 101 connections", "ulimit -n", "lower --clients"]);

    let (first, last) = local_ports().unwrap();
    let clients = usize::from(last - first) + 2;
    let (_, files) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    // Where even root may not have so many files, that is what is said.
    let why = if files > clients as u64 + 100 { "--source" } else { "open files" };
    fails_in_one_line(
        &["load", &target, "-c", &clients.to_string()],
        &[&format!("cannot open {clients} connections"), why],
    );

    fails_in_one_line(&["load", &target, "--source", "::1"], &["cannot connect from ::1", "IPv6"]);
    fails_in_one_line(
        &["load", &target, "--json", "/nowhere/result.json"],
        &["cannot write /nowhere/result.json: no such file"],
    );
    fails_in_one_line(
        &["load", &target, "--json", "-", "--csv", "-"],
        &["only one of the documents can go to standard output"],
    );
    assert!(nobody_called(&listener));
}

#[test]
fn an_absent_server_is_said_in_one_line() {
    // Bound and deaf, so that nobody else takes the port.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let parts = ["cannot load", "no client was served", "connection refused", "is it running?"];
    fails_in_one_line(&["load", &format!("tcp://{address}")], &parts);
    fails_in_one_line(
        &["load", "tcp://no-such-host.invalid:80"],
        &["cannot find the address of \"no-such-host.invalid\""],
    );
    // It takes connections and never answers.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("tcp://{}", listener.local_addr().unwrap());
    fails_in_one_line(
        &["load", &target, "-c", "2", "--timeout", "300ms"],
        &["no client was served", "1 message unanswered for 300ms"],
    );
}

#[test]
fn wrong_usage_is_named_and_exits_2() {
    let target = "tcp://127.0.0.1:1";
    let table: [&[&str]; 27] = [
        &["load"],
        &["load", target, "--expect", "sink", "--message", "PING", "--reply", "PONG"],
        &["load", "sctp://127.0.0.1:1"],
        &["load", "tcp://127.0.0.1"],
        &["load", "tcp://127.0.0.1:0"],
        &["load", "tcp://::1:80"],
        &["load", target, "--rate", "0"],
        &["load", target, "--rate=-1"],
        &["load", target, "--rate", "fast"],
        &["load", target, "--connect-rate", "0"],
        &["load", target, "-c", "0"],
        &["load", target, "-n", "0"],
        &["load", target, "-n", "1", "-d", "1s"],
        &["load", target, "-d", "0"],
        &["load", target, "--timeout", "0"],
        &["load", target, "--size", "0"],
        &["load", target, "--threads", "0"],
        &["load", target, "--pipeline", "0"],
        &["load", target, "--per-connection", "10", "--rate", "10"],
        &["load", target, "--slo", "errors>0"],
        &["load", target, "--slo", "p99>1ms"],
        &["load", target, "--fail-if", "p98<1ms"],
        &["load", target, "--fail-if", "p99<5"],
        &["load", target, "--reply", "PONG"],
        &["load", target, "--message", ""],
        &["load", target, "--start-at", "2001-01-01T00:00:00Z"],
        &["load", target, "--pid", "1", "--server", "x {port}"],
    ];
    for arguments in table {
        let (code, printed, complaint) = socklab(arguments);
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {complaint}");
        assert!(complaint.starts_with("error: "), "{arguments:?}: {complaint}");
    }
    let (_, _, complaint) = socklab(&["load", target, "--start-at", "2001-01-01T00:00:00Z"]);
    assert!(complaint.contains("this time is over"), "{complaint}");
}

#[test]
fn conditions_set_the_exit_status() {
    let server = Server::start(Engine::Poll, Echo);
    let table = [
        ("errors>0", 0, ""),
        ("rate<0.001", 0, ""),
        ("p50>1h", 0, ""),
        ("max>=1ns", 4, "socklab: max>=1ns: it was "),
        ("rate>0.001", 4, "socklab: rate>0.001: it was "),
        ("cpu>0ns", 4, "socklab: cpu>0ns cannot be judged: it was not measured"),
        ("p99.99>1h", 4, "socklab: p99.99>1h cannot be judged: "),
    ];
    for (condition, status, words) in table {
        let arguments = ["-c", "2", "-n", "200", "--fail-if", condition];
        let (code, _, complaint) = load_as_json(server.address, &arguments);
        assert_eq!(code, status, "{condition}: {complaint}");
        assert!(complaint.starts_with(words), "{condition}: {complaint}");
    }
}

#[test]
fn the_highest_rate_that_keeps_an_objective_is_searched() {
    let server = Server::start(Engine::Poll, Echo);
    let objective = ["-c", "4", "-d", "200ms", "--rate", "200", "--slo", "p90<10s"];
    let (code, document, complaint) = load_as_json(server.address, &objective);
    let trials = document["trials"].as_array().unwrap();
    let rates = |passed: bool| {
        let these = trials.iter().filter(move |trial| trial["passed"] == passed);
        these.map(|trial| number(&trial["rate"]))
    };
    let highest = rates(true).fold(0.0, f64::max);
    // How fast this machine is, is not tested: only that the answer is the one that was found.
    assert!(highest > 0.0, "{trials:?}");
    assert_eq!((code, number(&document["options"]["rate"])), (0, highest), "{complaint}");
    assert!(rates(false).any(|rate| rate > highest), "{trials:?}");
    assert!(rates(false).any(|rate| rate <= highest * 1.05), "{trials:?}");
    assert!(trials.iter().all(|trial| trial["passed"] == trial["reason"].is_null()));
}

#[test]
fn an_objective_that_nothing_keeps_exits_4() {
    let server = Server::start(Engine::Poll, Echo);
    let objective = ["-c", "1", "-d", "50ms", "--rate", "2000", "--slo", "p50<1ns"];
    let (code, document, complaint) = load_as_json(server.address, &objective);
    assert_eq!(code, 4, "{complaint}");
    assert!(complaint.contains("socklab: no rate kept p50<1ns"), "{complaint}");
    let trials = document["trials"].as_array().unwrap();
    assert!(trials.len() > 10 && trials.iter().all(|trial| trial["passed"] == false));
}

#[test]
fn machines_can_start_together() {
    let server = Server::start(Engine::Poll, Echo);
    let time = SystemTime::now() + Duration::from_secs(4);
    let time = humantime::format_rfc3339_millis(time).to_string();
    let (code, document, complaint) =
        load_as_json(server.address, &["-c", "2", "-n", "10", "--start-at", &time]);
    assert_eq!(code, 0, "{complaint}");
    assert!(document["started"].as_str().unwrap() >= time.as_str(), "{document}");
}

#[test]
fn the_server_process_is_observed() {
    let server = Server::start(Engine::Poll, Echo);
    let me = std::process::id().to_string();
    let (code, document, complaint) =
        load_as_json(server.address, &["-c", "4", "-n", "2000", "--pid", &me]);
    assert_eq!(code, 0, "{complaint}");
    let usage = &document["server"];
    assert_eq!(usage["pid"].to_string(), me);
    assert!(number(&usage["cpu_per_message_ns"]) > 0.0, "{usage}");
    assert!(usage["memory"].is_null(), "four are too few to divide by");

    let mut ended = Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let target = format!("tcp://{}", server.address);
    fails_in_one_line(
        &["load", &target, "--pid", &ended.id().to_string()],
        &["no process has the PID", &ended.id().to_string()],
    );
}

#[test]
fn a_server_that_was_started_is_measured_and_leaves_nothing_behind() {
    let totals = ["threads", "poll"].map(|engine| {
        let marked = Marked::echo(engine);
        let arguments = ["-c", "100", "-n", "3000", "--json", "-", "--server", &marked.command];
        let (code, printed, complaint) = socklab(&[&["load"][..], &arguments].concat());
        assert_eq!(code, 0, "{complaint}");
        assert_eq!(marked.processes(), [""; 0]);
        let document = parsed(&printed);
        let usage = &document["server"];
        assert!(number(&usage["cpu_per_message_ns"]) > 0.0, "{usage}");
        assert!(number(&usage["switches_per_message"]) > 0.0, "{usage}");
        assert_eq!(usage["memory"]["connections"], 100);
        let part = |name: &str| number(&usage["memory"][name]);
        assert!(part("sockets_bytes") > 2048.0, "{usage}");
        assert_eq!(part("threads_bytes") > 0.0, engine == "threads", "{usage}");
        ["resident_bytes", "threads_bytes", "page_tables_bytes", "sockets_bytes"].map(part)
    });
    let [threads, poll] = totals.map(|parts| parts.iter().sum::<f64>());
    assert!(threads > 2.0 * poll, "{totals:?}");
}

#[test]
fn a_server_that_cannot_start_is_quoted() {
    fails_in_one_line(
        &["load", "--server", "echo no luck >&2; exit 5; : {port}"],
        &["cannot start the server", "exit status 5: no luck"],
    );
    let (code, _, complaint) = socklab(&["load", "--server", "socklab server"]);
    assert_eq!(code, 2, "{complaint}");
    assert!(complaint.contains("the command has no {port}"), "{complaint}");
}

#[test]
fn a_server_ends_with_an_interrupted_run() {
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL] {
        let marked = Marked::echo("threads");
        let load = Running::start(&["load", "-c", "2", "-d", "1h", "--server", &marked.command]);
        // A keeper and a shell come first.
        eventually("the server runs", || !marked.servers().is_empty());
        load.signal(signal);
        let (code, ..) = load.end();
        // SIGINT may have come before anything was measured.
        assert!(signal == Signal::SIGKILL || [1, 130].contains(&code), "{signal}: {code}");
        eventually("no process is left", || marked.processes().is_empty());
    }
}

on_both_engines! {
    fn ctrl_c_ends_a_run_with_a_report_of_what_was_measured(engine) {
        let messages = Arc::new(AtomicU64::new(0));
        let counting = Counting { size: 64, reply: None, messages: messages.clone() };
        let server = Server::start(engine, counting);
        for arguments in [&["-d", "1h"][..], &["-n", "1000000000"], &["-d", "1h", "-r", "2000"]] {
            let before = messages.load(Ordering::SeqCst);
            let json = Scratch::file("interrupted.json");
            let target = format!("tcp://{}", server.address);
            let load = Running::start(
                &[&["load", &target, "-c", "3", "--warmup", "0", "--json", json.path()], arguments]
                    .concat(),
            );
            eventually("it is under way", || messages.load(Ordering::SeqCst) > before + 200);
            load.signal(Signal::SIGINT);
            let (code, text, complaint) = load.end();
            assert_eq!((code, complaint.as_str()), (130, ""), "{arguments:?}");
            assert!(text.contains("\ninterrupted what follows is what was measured"), "{text}");
            let document = parsed(&json.read());
            assert_eq!(document["interrupted"], true);
            assert_eq!(document["faults"]["examples"], serde_json::json!([]));
            assert!(number(&document["messages"]) >= 100.0, "{document}");
            let counted = messages.load(Ordering::SeqCst) - before;
            assert_eq!(document["messages_in_all"], counted, "all answers were waited for");
        }
    }
}

#[test]
fn ctrl_c_does_not_wait_for_connections() {
    let deaf = Deaf::start();
    let target = format!("tcp://{}", deaf.address);
    let json = Scratch::file("deaf.json");
    let arguments = ["load", &target, "-c", "3", "--timeout", "1h", "--json", json.path()];
    let load = Running::start(&arguments);
    eventually("it calls", || is_connected(load.child.id(), deaf.address, " 02 "));
    load.signal(Signal::SIGINT);
    let (code, ..) = load.end();
    assert_eq!(code, 130);
    let document = parsed(&json.read());
    assert_eq!((&document["interrupted"], &document["connected"]), (&true.into(), &0.into()));
    assert_eq!(document["faults"]["examples"], serde_json::json!([]), "it was our decision");
}

/// A listener whose queue is full: the next caller gets no answer.
struct Deaf {
    address: SocketAddr,
    _queue: Vec<TcpStream>,
    _listener: socket2::Socket,
}

impl Deaf {
    fn start() -> Deaf {
        let listener =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
        listener.listen(0).unwrap();
        let address = listener.local_addr().unwrap().as_socket().unwrap();
        let call = || TcpStream::connect_timeout(&address, Duration::from_millis(200));
        let queue = std::iter::from_fn(|| call().ok()).collect();
        Deaf { address, _queue: queue, _listener: listener }
    }
}

#[test]
fn a_second_ctrl_c_does_not_wait_for_answers() {
    let server = Wrong::to_all(FallsSilent, 640);
    let target = format!("tcp://{}", server.address);
    let mut load = Running::start(&["load", &target, "-c", "1", "-d", "1h", "--timeout", "1h"]);
    // The first one is only known to have come when it has an effect, and here it has none.
    let mut code = None;
    eventually("it ends", || {
        let _ = kill(load.pid(), Signal::SIGINT);
        code = load.child.try_wait().unwrap().map(|status| status.code());
        code.is_some()
    });
    // Before it has prepared for it, a signal ends it, too.
    assert!(matches!(code, Some(Some(130) | None)), "{code:?}");
}

#[test]
fn answers_are_waited_for_no_longer_than_asked_after_ctrl_c() {
    let server = Wrong::to_all(FallsSilent, 640);
    let target = format!("tcp://{}", server.address);
    let json = Scratch::file("patience.json");
    let arguments = ["load", &target, "-c", "1", "-d", "1h", "--warmup", "0", "--timeout", "1s"];
    let load = Running::start(&[&arguments[..], &["--json", json.path()]].concat());
    eventually("it is connected", || is_connected(load.child.id(), server.address, " 01 "));
    load.signal(Signal::SIGINT);
    let (code, ..) = load.end();
    assert_eq!(code, 130);
    let document = parsed(&json.read());
    assert_eq!(document["interrupted"], true);
}

/// Whether a socket to `server` is in this state (proc_pid_net_tcp(5)); 01 is established, 02 has
/// called.
fn is_connected(pid: u32, server: SocketAddr, state: &str) -> bool {
    let port = format!(":{:04X}{state}", server.port());
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    table.lines().any(|line| line.contains(&port))
}

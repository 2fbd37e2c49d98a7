//! Hostile clients that take what a process has, or end it: they pass on both engines, and each finds
//! the server that is wrong in its way. And what becomes of a run whose server ends, or whose client
//! fails.

mod support;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socklab::engine::Engine;
use socklab::load::watch::Watch;
use socklab::observe::{Launcher, ProcessTree, Started};
use socklab::stress::arena::{Arena, Protocol};
use socklab::stress::hostile::ALL;
use socklab::stress::verdict::Breach;
use socklab::stress::{Hostile, Needs, Starter, Visited, visit};
use support::misled::{self, Misled, Tongue};
use support::mortal::{self, Temper};
use support::{PATIENCE, Process, eventually, on_both_engines};

/// Not a test of its own: the server that others start.
#[test]
fn a_mortal_server() {
    mortal::serve();
}

/// Nor is this.
#[test]
fn a_misled_server() {
    misled::serve();
}

fn stress(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_socklab"));
    command.arg("stress").args(arguments).env_remove("RUST_LOG").stdin(Stdio::null());
    command
}

fn told(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).unwrap()
}

/// The client comes back with a pass from our server of echo, in the clear and over TLS.
fn passes(engine: Engine, client: &str) {
    for tls in [&[][..], &["--tls"]] {
        let engine = engine.to_string();
        let arguments = ["--engine", &engine, "--service", "echo", "--only", client, "--clients"];
        let output = stress(&arguments).arg("200").args(tls).output().unwrap();
        let text = told(&output);
        assert!(output.status.success() && text.contains(&format!("pass  {client}")), "{text}");
    }
}

on_both_engines! {
    fn who_finds_no_seat_waits(engine) { passes(engine, "beyond-cap"); }

    fn no_descriptor_is_no_end(engine) { passes(engine, "files-exhausted"); }

    #[ignore = "needs prlimit, setpriv, and root to use them"]
    fn no_thread_is_no_end(engine) { passes(engine, "threads-exhausted"); }

    fn who_is_idle_has_no_seat(engine) { passes(engine, "idle"); }

    fn a_stop_is_an_end_for_everybody(engine) { passes(engine, "sigterm"); }

    fn a_hangup_is_no_loss(engine) { passes(engine, "sighup"); }

    fn a_second_signal_is_obeyed(engine) { passes(engine, "second-signal"); }

    fn a_late_reply_arrives(engine) { passes(engine, "late-reply"); }

    fn a_crowd_is_seen_off(engine) { passes(engine, "drain-of-a-crowd"); }

    fn a_given_process_gets_its_limit_back(engine) {
        let server = Process::start(engine, &[]);
        let limits = || fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
        let before = limits();
        let target = format!("tcp://{}", server.address());
        let pid = server.pid().to_string();
        let only = [target.as_str(), "--pid", &pid, "--only", "files-exhausted"];
        let output = stress(&only).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        assert_eq!(limits(), before);
        // And when the user has had enough in the midst of it.
        let mut running = stress(&only).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        eventually("the limit is lowered", || limits() != before);
        kill(Pid::from_raw(running.id() as i32), Signal::SIGINT).unwrap();
        assert_eq!(running.wait().unwrap().code(), Some(130));
        assert_eq!(limits(), before);
    }

    fn a_given_process_that_ends_has_broken_its_promise(engine) {
        let mut server = Process::start(engine, &[]);
        let target = format!("tcp://{}", server.address());
        let pid = server.pid().to_string();
        let mut running = stress(&[&target, "--pid", &pid, "--only", "flood,files-exhausted", "-d", "60s"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
        lines.next().unwrap();
        flooded(server.pid());
        server.signal(Signal::SIGKILL);
        let text: String = lines.map(|line| line + "\n").collect();
        assert_eq!(running.wait().unwrap().code(), Some(3), "{text}");
        assert!(text.contains("FAIL  flood              the server has ended: its process is gone"), "{text}");
        assert!(text.contains("skip  1 other            the server has ended"), "{text}");
        server.wait();
    }
}

/// Waits until somebody keeps a server busy.
fn flooded(server: Pid) {
    let clock = nix::time::clock_getcpuclockid(server).unwrap();
    eventually("the server is busy", || {
        Duration::from(nix::time::clock_gettime(clock).unwrap()) > Duration::from_millis(50)
    });
}

#[test]
fn the_next_place_is_visited_when_the_server_of_one_has_ended() {
    let mut running = stress(&["--service", "echo", "--only", "flood,beyond-cap", "-d", "6s"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(running.stdout.take().unwrap()).lines().map(Result::unwrap);
    // "poll, echo (127.0.0.1:36621, PID 9014)"
    let first = lines.next().unwrap();
    let (_, pid) = first.trim_end_matches(')').rsplit_once("PID ").unwrap();
    let pid = Pid::from_raw(pid.parse().unwrap());
    flooded(pid);
    kill(pid, Signal::SIGKILL).unwrap();
    let text: String = lines.map(|line| line + "\n").collect();
    assert_eq!(running.wait().unwrap().code(), Some(3), "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("  FAIL  flood              the server was ended by SIGKILL"),
        "{text}"
    );
    assert!(
        lines[3].starts_with("  skip  1 other            the server was ended by SIGKILL"),
        "{text}"
    );
    assert!(lines[4].starts_with("threads, echo"), "{text}");
    assert!(lines[5].starts_with("  pass  flood"), "{text}");
    assert!(lines[6].starts_with("  pass  beyond-cap"), "{text}");
    assert_eq!(lines[7], "2 passed, 1 failed, 1 skipped");
}

/// Nobody is idle who is only waited for.
const NEVER: Duration = Duration::from_secs(3600);

/// A foreign server is started, and said how it ended, with its last words, in text and in JSON.
#[test]
fn a_server_that_dies_on_a_shortage_is_told_of() {
    let command = mortal::command(Temper::DiesOnEmfile, 100, NEVER);
    let only = ["--server", &command, "--only", "half-close,files-exhausted,sigterm,sighup"];
    let output = stress(&only).output().unwrap();
    let text = told(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("  pass  half-close"), "{text}");
    let end =
        "the server ended with exit status 1: cannot accept: Too many open files (os error 24)";
    assert!(text.contains(&format!("FAIL  files-exhausted    {end}; ")), "{text}");
    assert!(text.contains(&format!("skip  2 others           {end}")), "{text}");
    assert!(text.contains("again:    socklab stress --server 'exec env MORTAL="), "{text}");
    let json = stress(&only).args(["--json", "-"]).output().unwrap();
    let lines = String::from_utf8(json.stdout).unwrap();
    let verdicts: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let verdicts: Vec<_> =
        verdicts.iter().map(|visit| visit["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, ["pass", "fail", "skip", "skip"]);
}

/// What a client needs is said where a server has it not.
#[test]
fn a_foreign_server_is_not_asked_for_our_options() {
    let command = mortal::command(Temper::Right, 100, NEVER);
    let output = stress(&["--server", &command, "--only", "beyond-cap,sigterm"]).output().unwrap();
    let text = told(&output);
    assert!(output.status.success(), "{text}");
    assert!(
        text.contains("skip  beyond-cap         it starts a server with --max-clients 4"),
        "{text}"
    );
    assert!(text.contains("pass  sigterm"), "{text}");
}

/// A server of that temper, and an arena for it.
fn arena(
    temper: Temper,
    seats: usize,
    idle: Duration,
    patience: Duration,
) -> (Arc<Arena>, Started) {
    arena_of(mortal::command(temper, seats, idle), Protocol::Echo, patience)
}

/// A server that is started so, and an arena for it.
fn arena_of(command: String, protocol: Protocol, patience: Duration) -> (Arc<Arena>, Started) {
    let launcher = Launcher::new(env!("CARGO_BIN_EXE_socklab"));
    let started = launcher.start("a server", &command, None).unwrap();
    let server = started.address();
    let arena = Arena {
        server,
        secure: None,
        protocol,
        page: (protocol == Protocol::Files).then(|| (server.to_string(), "/page".into())),
        clients: 50,
        patience,
        seed: 1,
        duration: Duration::ZERO,
        watch: Arc::new(Watch::new()),
        process: Some(Mutex::new(ProcessTree::of(started.pid()).unwrap())),
        // It has no options; those it is given are a comment.
        starter: Some(Starter { launcher, command, is_ours: true }),
        is_crowded: false,
    };
    (Arc::new(arena), started)
}

fn hostile(name: &str) -> &'static Hostile {
    ALL.iter().find(|hostile| hostile.name == name).unwrap()
}

/// Seats and idle time as the client asks our servers for them.
fn limits_for(client: &str) -> (usize, Duration) {
    match client {
        "beyond-cap" => (4, NEVER),
        "idle" => (3, Duration::from_secs(2)),
        "never-registers" => (12, NEVER),
        _ => (1000, NEVER),
    }
}

fn right(client: &str) {
    let (seats, idle) = limits_for(client);
    let (arena, _server) = arena(Temper::Right, seats, idle, PATIENCE);
    let visited = visit(hostile(client), &arena);
    assert!(matches!(visited, Visited::Back(Ok(_))), "{client}: {visited:?}");
}

/// The client finds what is wrong with this server, and says so with these words.
fn wrong(client: &str, temper: Temper, words: &str) {
    let (seats, idle) = limits_for(client);
    let (arena, _server) = arena(temper, seats, idle, IMPATIENCE);
    is_found(client, &arena, words);
}

/// As long as a right server needs at most, where nobody else is there.
const IMPATIENCE: Duration = Duration::from_secs(5);

fn is_found(client: &str, arena: &Arc<Arena>, words: &str) {
    match visit(hostile(client), arena) {
        Visited::Back(Err(Breach::Broken(what))) if what.contains(words) => {}
        visited => panic!("{client}: {visited:?}"),
    }
}

/// A misled server is found by its process, and the right one passes.
fn is_found_by_its_process(client: &str, fault: Misled, tongue: Tongue, words: &str) {
    let (protocol, (seats, _)) = (tongue.protocol(), limits_for(client));
    let (arena, _server) = arena_of(Misled::Right.command(tongue, seats), protocol, PATIENCE);
    let visited = visit(hostile(client), &arena);
    assert!(matches!(visited, Visited::Back(Ok(_))), "{client}: {visited:?}");
    let (arena, _server) = arena_of(fault.command(tongue, seats), protocol, IMPATIENCE);
    is_found(client, &arena, words);
}

#[test]
fn files_that_stay_open_are_found() {
    let words = "descriptors and 0 threads more than before";
    is_found_by_its_process("aborted-download", Misled::KeepsFiles, Tongue::Files, words);
}

#[test]
fn pages_that_wait_in_memory_are_found() {
    let words = "more memory for who does not read";
    is_found_by_its_process("unread-listing", Misled::HoldsAnswers, Tongue::Files, words);
}

#[test]
fn seats_of_who_has_no_name_are_found() {
    let words = "12 of 12 still hold their seats";
    is_found_by_its_process("never-registers", Misled::WaitsForNames, Tongue::Chat, words);
}

/// Right server first, then those that are wrong.
macro_rules! found {
    ($($(#[$attribute:meta])* fn $name:ident($client:literal) { $($temper:ident => $words:literal)* })*) => {
        $(#[test] $(#[$attribute])* fn $name() {
            right($client);
            $(wrong($client, Temper::$temper, $words);)*
        })*
    };
}

found! {
    fn beyond_cap_finds_its_faults("beyond-cap") {
        HasNoCap => "12 were served beyond 4 seats"
        SendsAway => "were sent away"
        LosesSeats => "12 of 12 who waited had no answer 5 s after there were seats"
    }

    fn files_exhausted_finds_its_faults("files-exhausted") {
        SpinsOnEmfile => "of a CPU while all it had to do was to wait"
        GivesUpOnEmfile => "4 of 4 who waited had no answer 5 s after others had left"
    }

    #[ignore = "needs prlimit, setpriv, and root to use them"]
    fn threads_exhausted_finds_its_faults("threads-exhausted") {
        DiesWithoutThread => "its server ended with exit status 1: cannot spawn"
        SpinsWithoutThread => "of a CPU while all it had to do was to wait"
    }

    fn idle_finds_its_faults("idle") {
        NeverIdle => "2 of two idle peers had their seats"
        CountsFromTheStart => "who was not idle"
    }

    fn sigterm_finds_its_faults("sigterm") {
        DropsAllAtTerm => "who had said something: "
        ForgetsAtTerm => "who had said something: the server ended the conversation after 0 of"
        WaitsForAll => "who had said something: nothing moved for 5 s"
        TakesNewcomers => "it still took newcomers 5 s after it was told to stop"
        ExitsWith1 => "exit status 0 was due; its server ended with exit status 1"
    }

    fn sighup_finds_its_faults("sighup") {
        DropsAllAtHup => "who had said something: "
    }

    fn second_signal_finds_its_faults("second-signal") {
        IgnoresTheSecond => "it was still there after 5 s"
    }

    fn late_reply_finds_its_faults("late-reply") {
        CutsOffTheSlow => "a slow reader"
        HoldsTheSlow => "bytes when it was cut off, "
        WaitsForAll => "had no end"
    }

    fn drain_of_a_crowd_finds_its_faults("drain-of-a-crowd") {
        DropsAllAtTerm => "who had said something: "
        ForgetsAtTerm => "who had said something: the server ended the conversation after 0 of"
        WaitsForAll => "who had said something: nothing moved for 5 s"
    }
}

#[test]
fn a_client_that_fails_or_stays_away_ends_nothing() {
    const FAILS: Hostile = Hostile {
        name: "fails",
        fault: "",
        does: "",
        holds: "",
        seen_in: "",
        needs: Needs::ANYBODY,
        visit: |_| panic!("it has failed"),
    };
    const STAYS: Hostile = Hostile {
        visit: |_| {
            loop {
                thread::sleep(PATIENCE);
            }
        },
        ..FAILS
    };
    const FAILS_IN_COMPANY: Hostile = Hostile {
        visit: |arena| {
            let failed = || -> Result<String, Breach> { panic!("it has failed") };
            arena.beside_a_witness(failed).map(|(told, _)| told)
        },
        ..FAILS
    };
    let (brief, _another) = arena(Temper::Right, 1, NEVER, Duration::ZERO);
    let (arena, _server) = arena(Temper::Right, 1, NEVER, PATIENCE);
    for fails in [FAILS, FAILS_IN_COMPANY] {
        let Visited::Failed(words) = visit(&fails, &arena) else { panic!("it has not failed") };
        assert_eq!(words, "it has failed");
    }
    assert!(matches!(visit(&STAYS, &brief), Visited::Away(_)));
}

//! Server processes: what they use is seen, and none is left behind.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Socket, Type};
use socklab::engine::Engine;
use socklab::observe::{CpuList, Held, Launcher, ProcessTree, Started, allowed};
use socklab::report::document::Memory;
use support::{Process, connect, echoes, eventually};

const SOCKLAB: &str = env!("CARGO_BIN_EXE_socklab");
const SERVER: &str = "socklab server --host 127.0.0.1 --port {port}";

fn start(command: &str) -> Started {
    Launcher::new(SOCKLAB).start("it", command, None).unwrap()
}

/// One line.
fn start_error(launcher: &Launcher, command: &str) -> String {
    let error = launcher.start("it", command, None).unwrap_err().to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
    error
}

/// A shell, and all that it starts with it, in a process group that is killed on drop.
struct Shell(Child);

impl Shell {
    fn run(script: &str) -> Shell {
        let mut shell = Command::new("/bin/sh");
        std::os::unix::process::CommandExt::process_group(&mut shell, 0);
        Shell(shell.args(["-c", script]).spawn().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(self.0.id() as i32)
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = nix::sys::signal::killpg(self.pid(), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

/// `socklab keep` by itself.
fn keep(grace: &str, command: &str) -> Child {
    Command::new(SOCKLAB)
        .args(["keep", "--grace", grace, "--", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn line(pipe: &mut Option<impl Read>) -> String {
    let mut line = String::new();
    BufReader::with_capacity(1, pipe.as_mut().unwrap()).read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Of a keeper, what it says first.
fn root(keeper: &mut Child) -> Pid {
    let line = line(&mut keeper.stdout);
    Pid::from_raw(line.strip_prefix("pid ").unwrap().parse().unwrap())
}

/// A zombie is over, too: its parent may be a slow init.
fn is_over(pid: Pid) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return true };
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('Z'))
}

#[test]
fn the_cpu_time_of_grandchildren_counts() {
    // Two commands each, so that no shell becomes what it runs.
    let shell = Shell::run("sh -c 'sh -c \"while :; do :; done\"; true'; true");
    let mut tree = ProcessTree::of(shell.pid()).unwrap();
    eventually("the loop is found", || {
        tree.refresh().unwrap();
        tree.pids().count() == 3
    });
    assert_eq!(tree.pids().next(), Some(shell.pid()));
    let before = tree.cpu().unwrap();
    eventually("it takes CPU time", || tree.cpu().unwrap() > before + Duration::from_millis(50));
}

#[test]
fn the_cpu_time_of_children_that_have_ended_counts_once() {
    let child = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; true";
    let shell = Shell::run(&format!(
        "for n in 1 2 3 4 5 6 7 8 9; do sh -c '{child}'; done; exec sleep 1000"
    ));
    let mut tree = ProcessTree::of(shell.pid()).unwrap();
    let mut last = tree.cpu().unwrap();
    eventually("nine children have come and gone", || {
        let done = fs::read_to_string(format!("/proc/{}/comm", shell.pid())).unwrap() == "sleep\n";
        tree.refresh().unwrap();
        let now = tree.cpu().unwrap();
        assert!(now >= last, "{now:?} is less than {last:?}");
        last = now;
        done
    });
    // As the kernel has it in ticks: its own time and theirs, in user mode and in the kernel.
    let stat = fs::read_to_string(format!("/proc/{}/stat", shell.pid())).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = rest.split(' ').skip(11).take(4).map(|n| n.parse::<u64>().unwrap()).sum();
    let (counted, rounding) = (Duration::from_millis(ticks * 10), Duration::from_millis(50));
    assert!(counted > rounding && counted.abs_diff(last) < rounding, "{last:?}, not {counted:?}");
}

#[test]
fn context_switches_of_all_threads_count() {
    for engine in [Engine::Threads, Engine::Poll] {
        let server = Process::start(engine, &[]);
        let mut tree = ProcessTree::of(server.pid()).unwrap();
        let mut client = server.connect();
        echoes(&mut client, b"once");
        let before = tree.switches().unwrap();
        for _ in 0..50 {
            echoes(&mut client, b"and again");
        }
        // The server sleeps between two messages, unless the client is slower than it.
        let after = tree.switches().unwrap();
        assert!(after >= before + 10, "{engine}: from {before} to {after}");
    }
}

fn per_connection(engine: Engine) -> Memory {
    const CONNECTIONS: u64 = 200;
    let server = Process::start(engine, &[]);
    echoes(&mut server.connect(), b"code that is used has been read from its file");
    let mut tree = ProcessTree::of(server.pid()).unwrap();
    let before = tree.memory().unwrap();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let mut client = server.connect();
            echoes(&mut client, b"here");
            client
        })
        .collect();
    let memory = Held::per_connection(&before, &tree.memory().unwrap(), CONNECTIONS);
    drop(clients);
    memory
}

fn sum(memory: &Memory) -> f64 {
    memory.resident_bytes + memory.threads_bytes + memory.page_tables_bytes + memory.sockets_bytes
}

#[test]
fn a_thread_holds_more_memory_than_an_entry_in_a_table() {
    let threads = per_connection(Engine::Threads);
    let poll = per_connection(Engine::Poll);
    assert!(sum(&threads) > 2.0 * sum(&poll), "{threads:?} {poll:?}");
    assert!(threads.threads_bytes >= 16384.0 && poll.threads_bytes == 0.0, "{threads:?} {poll:?}");
    // A TCP socket alone is more than 2 KiB, and epoll adds to it.
    assert!(threads.sockets_bytes > 2048.0, "{threads:?}");
    assert!(poll.sockets_bytes > threads.sockets_bytes, "{poll:?} {threads:?}");
}

#[test]
fn a_started_server_serves_where_it_says_and_ends_with_its_owner() {
    for engine in ["poll", "threads"] {
        let mut server = start(&format!("{SERVER} --engine {engine}"));
        echoes(&mut connect(server.address()), b"hello");
        let pid = server.pid();
        assert_eq!(server.ended(), None);
        assert!(server.tree().exists() && server.tree().cpu().unwrap() > Duration::ZERO);
        drop(server);
        assert!(is_over(pid));
    }
}

#[test]
fn a_panic_leaves_no_server_behind() {
    let (tell, told) = std::sync::mpsc::channel();
    let panicked = thread::spawn(move || {
        let server = start(SERVER);
        tell.send(server.pid()).unwrap();
        std::panic::resume_unwind(Box::new("on purpose"));
    });
    panicked.join().unwrap_err();
    assert!(is_over(told.recv().unwrap()));
}

/// Set for the process that the next test kills: this test binary once more, where it runs only
/// that test.
const STARTER: &str = "SOCKLAB_TEST_STARTER";

#[test]
fn a_starter_that_is_killed_leaves_no_server_behind() {
    if std::env::var_os(STARTER).is_some() {
        let server = start(&format!("sleep 1000 & {SERVER} & wait"));
        println!("\nserver {}", server.pid());
        loop {
            thread::park();
        }
    }
    let mut starter = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_starter_that_is_killed_leaves_no_server_behind", "--nocapture"])
        .env(STARTER, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(starter.stdout.take().unwrap()).lines();
    let pid = lines.find_map(|line| line.unwrap().strip_prefix("server ")?.parse().ok());
    let pids: Vec<Pid> = ProcessTree::of(Pid::from_raw(pid.unwrap())).unwrap().pids().collect();
    starter.kill().unwrap();
    starter.wait().unwrap();
    assert_eq!(pids.len(), 3);
    eventually("the servers have ended", || pids.iter().copied().all(is_over));
}

#[test]
fn whoever_kills_all_that_is_called_socklab_spares_the_keeper() {
    let mut keeper = keep("0s", "sleep 1000");
    root(&mut keeper);
    let name = fs::read_to_string(format!("/proc/{}/comm", keeper.id())).unwrap();
    assert_eq!(name, "keeper\n");
    drop(keeper.stdin.take());
    keeper.wait().unwrap();
}

#[test]
fn a_daemon_is_found_and_killed() {
    let daemon = "(setsid sh -c 'sleep 1000 & echo $!' &)";
    let mut keeper = keep("0s", &format!("{daemon}; sleep 1000"));
    let root = root(&mut keeper);
    let daemon = Pid::from_raw(line(&mut keeper.stderr).parse().unwrap());
    assert!(!is_over(root) && !is_over(daemon));
    drop(keeper.stdin.take());
    assert_eq!(keeper.wait().unwrap().code(), Some(137));
    assert!(is_over(root) && is_over(daemon));
}

#[test]
fn a_command_that_ends_leaves_no_daemon_behind() {
    let mut keeper = keep("0s", "sleep 1000 & echo $!; exit 5");
    // Which wait() would close.
    let _stdin = keeper.stdin.take();
    let daemon = Pid::from_raw(line(&mut keeper.stderr).parse().unwrap());
    assert_eq!(keeper.wait().unwrap().code(), Some(5));
    assert!(is_over(daemon));
}

#[test]
fn a_server_may_end_by_itself_if_it_is_given_time() {
    let mut keeper = keep("20s", "trap 'echo bye; exit 7' TERM; echo ready; while :; do :; done");
    assert_eq!(line(&mut keeper.stderr), "ready");
    for signal in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM] {
        kill(Pid::from_raw(keeper.id() as i32), signal).unwrap();
    }
    assert_eq!(keeper.try_wait().unwrap(), None);
    drop(keeper.stdin.take());
    assert_eq!(line(&mut keeper.stderr), "bye");
    assert_eq!(keeper.wait().unwrap().code(), Some(7));
}

#[test]
fn a_server_has_the_cpus_it_was_given() {
    let one = CpuList::new(allowed().unwrap().iter().next_back()).unwrap();
    let server = Launcher::new(SOCKLAB).start("it", SERVER, Some(&one)).unwrap();
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    assert!(status.contains(&format!("Cpus_allowed_list:\t{one}\n")), "{status}");

    let none = "1023".parse().unwrap();
    let error = Launcher::new(SOCKLAB).start("it", SERVER, Some(&none)).unwrap_err().to_string();
    assert!(error.contains("cannot run on CPUs 1023: invalid argument"), "{error}");
}

#[test]
fn a_server_that_says_much_does_not_wait_for_a_reader() {
    let mut server = start(&format!("head -c 1000000 /dev/zero; echo; {SERVER}; exit 3"));
    let children: Vec<Pid> = server.tree().pids().skip(1).collect();
    assert_eq!(children.len(), 1);
    kill(children[0], Signal::SIGKILL).unwrap();
    let mut ended = None;
    eventually("its end is noticed", || {
        ended = server.ended();
        ended.is_some()
    });
    let ended = ended.unwrap();
    assert!(ended.starts_with("ended with exit status 3: "), "{ended}");
}

#[test]
fn a_command_that_fails_is_quoted_with_its_last_words() {
    let launcher = Launcher::new(SOCKLAB);
    let error = start_error(&launcher, "echo so far; echo no luck >&2; exit 3; : {port}");
    assert!(error.starts_with("cannot start it: \"echo so far;"), "{error}");
    assert!(error.ends_with(" ended with exit status 3: no luck; try it by hand"), "{error}");
    let error = start_error(&launcher, "/no-such-server {port}");
    assert!(error.contains("ended with exit status 127: "), "{error}");
    assert!(error.contains("/no-such-server: "), "{error}");
    let error = start_error(&launcher, "kill -SEGV $$; : {port}");
    assert!(error.contains(" was ended by SIGSEGV; try it by hand"), "{error}");
    let error = start_error(&launcher, "(sleep 1000; : {port}) &");
    assert!(error.contains("exit status 0; it must stay in the foreground"), "{error}");
}

#[test]
fn a_port_that_was_snatched_is_replaced() {
    let directory = std::env::temp_dir().join(format!("socklab-observe-{}", std::process::id()));
    fs::create_dir(&directory).unwrap();
    let (port, taken) = (directory.join("port"), directory.join("taken"));
    let snatch = thread::spawn({
        let (port, taken) = (port.clone(), taken.clone());
        move || {
            let mut number = String::new();
            eventually("a port is chosen", || {
                number = fs::read_to_string(&port).unwrap_or_default();
                number.ends_with('\n')
            });
            let address = SocketAddr::from(([127, 0, 0, 1], number.trim().parse().unwrap()));
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            // Bound and deaf, so that nobody takes it for the server.
            socket.bind(&address.into()).unwrap();
            fs::write(taken, "").unwrap();
            (socket, address)
        }
    });
    let (port, taken) = (port.display(), taken.display());
    let mut server = start(&format!(
        "test -e {taken} || {{ echo {{port}} >{port}; until test -e {taken}; do :; done; exit 1; }}
         {SERVER}"
    ));
    let (_socket, snatched) = snatch.join().unwrap();
    assert_ne!(server.address(), snatched);
    assert_eq!(server.ended(), None);
    fs::remove_dir_all(directory).unwrap();
}

#[test]
fn a_command_that_never_listens_tries_our_patience() {
    let mut launcher = Launcher::new(SOCKLAB);
    launcher.patience = Duration::from_millis(300);
    let error = start_error(&launcher, "echo thinking; sleep 1000; : {port}");
    assert!(error.contains(" accepts no connection on 127.0.0.1:"), "{error}");
    assert!(error.contains(" within 300ms: thinking; it must listen on the port"), "{error}");
}

#[test]
fn a_command_needs_a_place_for_its_port() {
    let error = start_error(&Launcher::new(SOCKLAB), "nginx");
    assert!(error.starts_with("cannot start it: there is no {port} in \"nginx\"; "), "{error}");
}

#[test]
fn a_missing_keeper_is_an_error() {
    let error = start_error(&Launcher::new("/nowhere/socklab"), SERVER);
    let why = "cannot start it: its keeper does not run: no such file or directory; ";
    assert!(error.starts_with(why), "{error}");
}

#[test]
fn the_keeper_is_no_command_for_people() {
    for arguments in [&["--help"][..], &["completions", "bash"], &["completions", "fish"], &["man"]]
    {
        let output = Command::new(SOCKLAB).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // An objective is kept, and connections are with --keep-alive-timeout: those are other words.
        let mut words = text.split(|letter: char| !letter.is_alphanumeric() && letter != '-');
        assert!(output.status.success() && !words.any(|word| word == "keep"), "{text}");
    }
}

//! The price of a message in system calls, counted by strace.

mod support;

use std::collections::HashMap;
use std::fs;
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use socklab::engine::Engine;
use std::io::{Read, Write};
use support::{Process, echoes, eventually, finish};

/// strace, attached to a running server.
struct Trace {
    strace: Child,
    counts: String,
    /// Where the kernel lists the server's threads.
    threads: String,
}

impl Trace {
    fn attach(server: &Process, name: &str) -> Trace {
        let counts = format!("{}/{name}-{}", env!("CARGO_TARGET_TMPDIR"), server.child.id());
        let strace = Command::new("strace")
            .args([
                "-f",
                "-c",
                "-U",
                "calls,name",
                "-o",
                &counts,
                "-p",
                &server.child.id().to_string(),
            ])
            .stderr(Stdio::null())
            .spawn()
            .expect("strace is installed");
        let threads = format!("/proc/{}/task", server.child.id());
        let trace = Trace { strace, counts, threads };
        trace.wait("all threads are traced", |status| !status.contains("TracerPid:\t0\n"));
        trace
    }

    /// Waits until the status of every thread (proc_pid_status(5)) is as wished.
    fn wait(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        eventually(what, || {
            fs::read_dir(&self.threads).unwrap().all(|thread| {
                let status = fs::read_to_string(thread.unwrap().path().join("status"));
                status.is_ok_and(|status| is_so(&status))
            })
        });
    }

    /// Detaches it once the last call but that which everybody sleeps in has ended. Calls by name.
    fn finish(mut self) -> HashMap<String, usize> {
        self.wait("all threads are asleep", |status| status.contains("State:\tS"));
        let pid = Pid::from_raw(self.strace.id() as i32);
        nix::sys::signal::kill(pid, Signal::SIGINT).unwrap();
        self.strace.wait().unwrap();
        let table = fs::read_to_string(&self.counts).unwrap();
        fs::remove_file(&self.counts).unwrap();
        let row = |line: &str| {
            let mut words = line.split_whitespace();
            Some((words.next()?.parse().ok()?, words.next()?.to_owned()))
        };
        table.lines().filter_map(row).map(|(count, name)| (name, count)).collect()
    }
}

fn count(calls: &HashMap<String, usize>, names: &[&str]) -> usize {
    names.iter().filter_map(|name| calls.get(*name)).sum()
}

const RECEIVE: [&str; 2] = ["recvfrom", "read"];
const SEND: [&str; 2] = ["sendto", "write"];
const WAIT: [&str; 2] = ["epoll_wait", "epoll_pwait"];

#[test]
#[ignore = "needs strace"]
fn a_message_costs_the_poll_engine_one_receive_one_send_and_one_wait() {
    let server = Process::start(Engine::Poll, &["-q", "--metrics", "127.0.0.1:0"]);
    let mut client = server.connect();
    echoes(&mut client, b"seated");
    let trace = Trace::attach(&server, "one");
    for _ in 0..1000 {
        echoes(&mut client, &[1; 64]);
    }
    let calls = trace.finish();
    assert_eq!(count(&calls, &RECEIVE), 1000, "{calls:?}");
    assert_eq!(count(&calls, &SEND), 1000, "{calls:?}");
    // Attaching interrupts a wait or two.
    let waits = count(&calls, &WAIT);
    assert!((1000..1005).contains(&waits), "{calls:?}");
    assert_eq!(
        calls.values().sum::<usize>() - waits,
        2000 + count(&calls, &["restart_syscall", "total"]),
        "{calls:?}"
    );
}

#[test]
#[ignore = "needs strace"]
fn a_hundred_ready_clients_share_one_wait() {
    let server = Process::start(Engine::Poll, &["-q"]);
    let mut clients: Vec<TcpStream> = (0..100).map(|_| server.connect()).collect();
    for client in &mut clients {
        echoes(client, b"seated");
    }
    let trace = Trace::attach(&server, "hundred");
    for _ in 0..20 {
        // Nobody is served until all have spoken.
        server.signal(Signal::SIGSTOP);
        for client in &mut clients {
            client.write_all(&[1; 64]).unwrap();
        }
        server.signal(Signal::SIGCONT);
        for client in &mut clients {
            client.read_exact(&mut [0; 64]).unwrap();
        }
    }
    let calls = trace.finish();
    assert_eq!(count(&calls, &RECEIVE), 2000, "{calls:?}");
    assert_eq!(count(&calls, &SEND), 2000, "{calls:?}");
    assert!(count(&calls, &WAIT) < 200, "{calls:?}");
    assert_eq!(count(&calls, &["epoll_ctl"]), 0, "{calls:?}");
}

#[test]
#[ignore = "needs strace"]
fn a_pipelined_batch_costs_one_receive_and_one_send() {
    let server = Process::start(Engine::Poll, &["-q"]);
    let mut client = server.connect();
    echoes(&mut client, b"seated");
    let trace = Trace::attach(&server, "pipelined");
    for _ in 0..100 {
        echoes(&mut client, &[1; 16 * 64]);
    }
    let calls = trace.finish();
    assert_eq!(count(&calls, &RECEIVE), 100, "{calls:?}");
    assert_eq!(count(&calls, &SEND), 100, "{calls:?}");
}

#[test]
#[ignore = "needs strace"]
fn a_datagram_costs_one_receive_one_send_and_one_wait_and_many_share_the_first() {
    let server = Process::start(Engine::Poll, &["-q", "--udp-only"]);
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(server.address()).unwrap();
    let hear = || assert_eq!(client.recv(&mut [0; 65]).unwrap(), 64);
    let trace = Trace::attach(&server, "datagrams");
    for _ in 0..1000 {
        client.send(&[1; 64]).unwrap();
        hear();
    }
    let calls = trace.finish();
    assert_eq!(count(&calls, &["recvmmsg"]), 1000, "{calls:?}");
    assert_eq!(count(&calls, &["sendmsg"]), 1000, "{calls:?}");
    // The first may begin before strace comes, and the last ends after it has gone.
    assert!((999..1005).contains(&count(&calls, &WAIT)), "{calls:?}");
    let trace = Trace::attach(&server, "batches");
    for _ in 0..20 {
        // Nobody is served until all have come.
        server.signal(Signal::SIGSTOP);
        (0..64).for_each(|_| assert_eq!(client.send(&[1; 64]).unwrap(), 64));
        server.signal(Signal::SIGCONT);
        (0..64).for_each(|_| hear());
    }
    let calls = trace.finish();
    // Two batches are full, so a third call finds out that there is no more, unless there is.
    assert!(count(&calls, &["recvmmsg"]) <= 60, "{calls:?}");
    assert_eq!(count(&calls, &["sendmsg"]), 1280, "{calls:?}");
}

#[test]
#[ignore = "needs strace"]
fn a_connection_is_registered_once_and_costs_eight_calls_and_its_waits() {
    let server = Process::start(Engine::Poll, &["-q"]);
    assert_eq!(finish(&mut server.connect()), b"");
    let trace = Trace::attach(&server, "churn");
    for _ in 0..200 {
        let mut client = server.connect();
        echoes(&mut client, &[1; 64]);
        assert_eq!(finish(&mut client), b"");
    }
    let calls = trace.finish();
    assert_eq!(count(&calls, &["epoll_ctl"]), 200, "{calls:?}");
    assert_eq!(count(&calls, &["close"]), 200, "{calls:?}");
    let working = calls.values().sum::<usize>() - count(&calls, &["total"]) - count(&calls, &WAIT);
    assert!(working <= 200 * 8, "{calls:?}");
}

#[test]
#[ignore = "needs strace"]
fn a_message_costs_a_thread_two_calls() {
    let server = Process::start(Engine::Threads, &["-q", "--metrics", "127.0.0.1:0"]);
    let mut client = server.connect();
    echoes(&mut client, b"seated");
    let trace = Trace::attach(&server, "thread");
    for _ in 0..1000 {
        echoes(&mut client, &[1; 64]);
    }
    let calls = trace.finish();
    let receives = count(&calls, &RECEIVE);
    // Of the first only the end may be seen, and of the last only the begin; neither may count.
    // Attaching interrupts a read.
    assert!((999..1005).contains(&receives), "{calls:?}");
    assert_eq!(count(&calls, &SEND), 1000, "{calls:?}");
}

//! Both engines under a kernel that returns one byte, "try again" and "interrupted" as it likes say
//! what they say under any other: every byte is compared. Seeds are random and told when a test
//! fails; FAKE_KERNEL_SEED repeats one, and FAKE_KERNEL_ROUNDS has more of them.

#![cfg(target_arch = "x86_64")]

mod support;

use std::env;
use std::hash::{BuildHasher, RandomState};
use std::net::UdpSocket;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::{Command, Stdio};

use nix::sys::signal::Signal::SIGTERM;
use socklab::engine::Engine;
use support::irc::{House, gather};
use support::kernel::{Kernel, Lie};
use support::tree::Tree;
use support::way::{Peer, Reached, Way, in_every_way};
use support::{PATIENCE, Process, pattern};

const CLIENTS: usize = 6;

/// Longer than what one read takes, and than a socket does.
const LENGTH: usize = 300_000;

/// Runs `test` under kernels of several seeds, and says which one it failed with. Each has to have
/// told the server what is not so.
fn under_any(test: impl Fn(&Kernel, u64)) {
    let number = |name| env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    let rounds = number("FAKE_KERNEL_ROUNDS").unwrap_or(1);
    for round in 0..rounds {
        let random = RandomState::new().hash_one(round);
        let seed = number("FAKE_KERNEL_SEED").unwrap_or(random);
        let kernel = Kernel::new(seed);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| test(&kernel, seed))) {
            eprintln!("under the kernel of FAKE_KERNEL_SEED={seed}");
            resume_unwind(panic);
        }
        assert!(kernel.told(Lie::Short) > 0 && kernel.told(Lie::Interrupted) > 0);
    }
}

fn start(way: Way, kernel: &Kernel, arguments: &[&str]) -> Reached<Process> {
    way.process_by(arguments, |command| kernel.under(command))
}

/// It stops when it is told to, under this kernel, too.
fn stops(mut server: Process) {
    server.signal(SIGTERM);
    assert_eq!(server.wait().code(), Some(0));
}

/// The pattern of chargen.
fn generated(length: usize) -> Vec<u8> {
    let lines = (0..95).cycle().flat_map(|line: usize| {
        let characters = (0..72).map(move |column| b' ' + ((line + column) % 95) as u8);
        characters.chain(*b"\r\n")
    });
    lines.take(length).collect()
}

fn ask(peer: &mut Peer, request: &str) {
    peer.begin(format!("{request}\r\nHost: localhost\r\n\r\n").as_bytes());
}

/// The head of an answer, whose body comes next.
fn head(peer: &mut Peer) -> String {
    let mut head = String::new();
    loop {
        let line = String::from_utf8(peer.hear_line().expect("the server answers")).unwrap();
        match line.is_empty() {
            true => return head,
            false => head += &(line + "\n"),
        }
    }
}

in_every_way! {
    fn echo_says_every_byte(way) {
        under_any(|kernel, seed| {
            let reached = start(way, kernel, &["echo"]);
            let mut peers: Vec<Peer> = (0..CLIENTS).map(|_| reached.call()).collect();
            let texts: Vec<_> = (0..CLIENTS as u64).map(|at| pattern(seed ^ at, LENGTH)).collect();
            // All at once, in pieces as they come, and the last word with the end behind it.
            for (peer, text) in peers.iter_mut().zip(&texts) {
                peer.begin(&text[..LENGTH / 2]);
            }
            for (peer, text) in peers.iter_mut().zip(&texts) {
                assert!(peer.hear(LENGTH / 4) == text[..LENGTH / 4]);
                peer.begin(&text[LENGTH / 2..]);
                peer.close();
            }
            for (peer, text) in peers.iter_mut().zip(&texts) {
                assert!(peer.rest() == text[LENGTH / 4..]);
            }
            assert!(kernel.told(Lie::Refused) > 0);
            assert!(way.engine == Engine::Threads || kernel.told(Lie::News) > 0);
            stops(reached.server);
        });
    }

    fn chargen_says_every_byte(way) {
        under_any(|kernel, _| {
            let reached = start(way, kernel, &["chargen"]);
            let mut peers: Vec<Peer> = (0..CLIENTS).map(|_| reached.call()).collect();
            let text = generated(LENGTH);
            for peer in &mut peers {
                assert!(peer.hear(LENGTH) == text);
            }
            drop(peers);
            stops(reached.server);
        });
    }

    fn chat_says_every_line_in_order(way) {
        under_any(|kernel, _| {
            let reached = start(way, kernel, &["chat", "--flood", "off"]);
            let house = House::Process(reached);
            let mut people: Vec<_> =
                ["ann", "bob", "cyd", "dee"].map(|nick| house.talker(nick)).into();
            gather("#lab", &mut people);
            for line in 0..50 {
                for talker in &mut people {
                    let words = format!("PRIVMSG #lab :{line} {}", "x".repeat(line * 8));
                    talker.say(&words);
                }
            }
            for hearer in 0..people.len() {
                let mut next = [0; 4];
                for _ in 0..50 * 3 {
                    let line = people[hearer].next();
                    let source = line.source();
                    let talker = people.iter().position(|one| source.starts_with(&one.nick));
                    let talker = talker.expect("it is one of them");
                    let number = next[talker];
                    assert_eq!(line.text(), format!("{number} {}", "x".repeat(number * 8)));
                    next[talker] += 1;
                }
                assert_eq!(next.iter().sum::<usize>(), 150);
            }
            let House::Process(reached) = house else { unreachable!("it was made so") };
            drop(people);
            stops(reached.server);
        });
    }

    fn files_come_and_go_whole(way) {
        under_any(|kernel, seed| {
            let tree = Tree::new();
            let film = pattern(seed, 3 * LENGTH);
            tree.file("film", &film);
            let root = tree.at("");
            let root = root.to_str().unwrap();
            let reached = start(way, kernel, &["files", "--root", root, "--writable"]);
            let mut peers: Vec<Peer> = (0..CLIENTS).map(|_| reached.call()).collect();
            for (at, peer) in peers.iter_mut().enumerate() {
                // Two questions at once, and a body with them.
                ask(peer, "GET /film HTTP/1.1");
                ask(peer, "GET /film HTTP/1.1\r\nRange: bytes=100000-100009");
                let put = format!("PUT /copy{at} HTTP/1.1\r\nContent-Length: {LENGTH}");
                ask(peer, &put);
                peer.begin(&film[at..][..LENGTH]);
            }
            for (at, peer) in peers.iter_mut().enumerate() {
                assert!(head(peer).starts_with("HTTP/1.1 200 "));
                assert!(peer.hear(film.len()) == film);
                assert!(head(peer).starts_with("HTTP/1.1 206 "));
                assert!(peer.hear(10) == film[100_000..][..10]);
                let stored = head(peer);
                assert!(stored.starts_with("HTTP/1.1 201 "), "{stored}");
                assert!(tree.read(format!("copy{at}")) == film[at..][..LENGTH]);
            }
            drop(peers);
            stops(reached.server);
        });
    }
}

/// Every datagram is answered, one after the other: nothing gets lost on loopback.
fn datagrams_are_answered(engine: Engine) {
    under_any(|kernel, seed| {
        let mut command = Process::command(engine, &["echo", "--udp"]);
        command.stderr(Stdio::null());
        let mut under: Command = kernel.under(command);
        let server = Process::spawn(&mut under);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        for number in 0..200 {
            let datagram = pattern(seed ^ number, 1 + number as usize);
            socket.send_to(&datagram, server.address()).unwrap();
            let mut answer = [0; 2048];
            let (length, _) = socket.recv_from(&mut answer).expect("it is answered");
            assert!(answer[..length] == datagram);
        }
        stops(server);
    });
}

#[test]
fn datagrams_are_answered_by_threads() {
    datagrams_are_answered(Engine::Threads);
}

#[test]
fn datagrams_are_answered_by_poll() {
    datagrams_are_answered(Engine::Poll);
}

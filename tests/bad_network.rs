//! What holds on a network that loses, doubles, delays, reorders and damages packets, and on one that
//! is gone from one moment to the next: never a wrong byte, and nobody waits for ever.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::process::{Child, ChildStdin, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use support::network::{Network, SERVER};
use support::run::{failed_in_one_line, parsed};
use support::tree::Tree;
use support::way::{Peer, Reached, Way, in_every_way};
use support::{Process, eventually, on_both_engines, pattern};

/// One packet in thirty is lost, others come twice, late or damaged, and the line is narrow.
const BAD: &[&str] = &[
    "--seed=7",
    "--loss=0.03",
    "--twice=0.02",
    "--late=0.05",
    "--flip=0.01",
    "--delay=0.005",
    "--jitter=0.002",
    "--rate=2000000",
];

const LENGTH: usize = 400_000;

/// What the server is told of it.
const IDLE: Duration = Duration::from_secs(3);

/// What it is allowed: two idle times are promised (`Limits::idle_timeout`), and the machine is busy.
const ALLOWED: Duration = IDLE.saturating_mul(4);

fn serve(way: Way, network: &Network, service: &[&str]) -> Reached<Process> {
    let host = SERVER.to_string();
    let arguments = [service, &["--host", &host]].concat();
    way.process_by(&arguments, |command| {
        let mut command = network.serve(&command);
        command.stderr(Stdio::null());
        command
    })
}

/// What a client is told of this server: where it is, and whom to trust.
fn found(reached: &Reached<Process>) -> Vec<String> {
    let mut words = vec!["--host".into(), SERVER.to_string()];
    words.extend(["--port".into(), reached.server.address().port().to_string()]);
    words.extend(trust(reached));
    if reached.server.fingerprint.is_some() {
        words.push("--tls".into());
    }
    words
}

fn trust(reached: &Reached<Process>) -> Vec<String> {
    let pin = reached.server.fingerprint.iter();
    pin.flat_map(|pin| ["--pin".into(), pin.clone()]).collect()
}

fn url(reached: &Reached<Process>, path: &str) -> String {
    let scheme = if reached.server.fingerprint.is_some() { "https" } else { "http" };
    format!("{scheme}://{}/{path}", reached.server.address())
}

fn words<'a>(first: &[&'a str], more: &'a [String]) -> Vec<&'a str> {
    first.iter().copied().chain(more.iter().map(String::as_str)).collect()
}

/// Connections that the server still has. What the kernel alone tries to end belongs to nobody.
fn seats(server: &Process) -> usize {
    let table = fs::read_to_string(format!("/proc/{}/net/tcp", server.child.id()));
    let table = table.expect("it runs");
    let lines = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Its state (0A: it listens) and the inode of its descriptor (proc_pid_net(5)).
    lines.filter(|line| line[3] != "0A" && line[9] != "0").count()
}

/// A client whose input stays open.
struct Client {
    child: Child,
    stdin: ChildStdin,
    printed: Arc<Mutex<Vec<u8>>>,
    complaint: Arc<Mutex<Vec<u8>>>,
}

impl Client {
    fn start(network: &Network, arguments: &[&str]) -> Client {
        let mut command = network.socklab(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let stdin = child.stdin.take().expect("it is piped");
        let printed = keep(child.stdout.take().expect("it is piped"));
        let complaint = keep(child.stderr.take().expect("it is piped"));
        let mut client = Client { child, stdin, printed, complaint };
        client.say(b"hello\n");
        client
    }

    fn say(&mut self, bytes: &[u8]) {
        self.stdin.write_all(bytes).expect("it reads");
    }

    fn is_connected(&self) -> bool {
        let told = String::from_utf8_lossy(&self.complaint.lock().unwrap()).contains("in #lab");
        told || !self.printed.lock().unwrap().is_empty()
    }

    /// Ends with this as its last words.
    fn tells(mut self, why: &str) {
        let mut code = None;
        eventually("it ends", || {
            code = self.child.try_wait().unwrap().map(|status| status.code());
            code.is_some()
        });
        eventually("it tells why", || {
            let complaint = self.complaint.lock().unwrap();
            let complaint = String::from_utf8_lossy(&complaint);
            complaint.lines().last().is_some_and(|line| line.starts_with(why))
        });
        assert_eq!(code, Some(Some(1)));
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What comes, for whoever looks.
fn keep(mut pipe: impl Read + Send + 'static) -> Arc<Mutex<Vec<u8>>> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeping = kept.clone();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = pipe.read(&mut bytes) {
            keeping.lock().unwrap().extend_from_slice(&bytes[..n]);
        }
    });
    kept
}

on_both_engines! {
    #[ignore = "needs root, ip and python3"]
    fn what_becomes_of_datagrams_is_told(engine) {
        let network = Network::with(BAD);
        let reached = serve(Way { engine, tls: false }, &network, &["echo", "--udp", "--allow-reflection"]);
        let target = format!("udp://{}", reached.server.address());
        let load = ["load", &target, "-c", "4", "-d", "4s", "--rate", "400", "--json", "-"];
        let (code, printed, complaint) = network.start(&load).end();
        assert_eq!(code, 0, "{complaint}");
        let datagrams = &parsed(&printed)["datagrams"];
        for fate in ["lost", "duplicated", "reordered"] {
            assert!(datagrams[fate].as_u64() > Some(0), "{fate}: {datagrams}");
        }
        assert_eq!(datagrams["corrupted"], 0, "{datagrams}");
    }
}

in_every_way! {
    #[ignore = "needs root, ip and python3"]
    fn no_byte_is_wrong(way) {
        let network = Network::with(BAD);
        let reached = serve(way, &network, &["echo"]);
        let scheme = if way.tls { "tls" } else { "tcp" };
        let target = format!("{scheme}://{}", reached.server.address());
        let trust = trust(&reached);
        let load = ["load", &target, "-c", "8", "-d", "3s", "--size", "20KiB", "--json", "-"];
        let (code, printed, complaint) = network.start(&words(&load, &trust)).outlast();
        assert_eq!(code, 0, "{complaint}");
        let document = parsed(&printed);
        assert!(document["messages"].as_u64() > Some(0), "{document}");
        for fault in ["wrong", "extra", "short", "reset", "refused"] {
            assert_eq!(document["faults"][fault], 0, "{}", document["faults"]);
        }

        let text = pattern(1, LENGTH);
        let found = found(&reached);
        let mut client = network.socklab(&words(&["client"], &found));
        let mut client = client.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = client.stdin.take().unwrap();
        let said = text.clone();
        let saying = thread::spawn(move || stdin.write_all(&said).unwrap());
        let mut heard = Vec::new();
        client.stdout.take().unwrap().read_to_end(&mut heard).unwrap();
        saying.join().unwrap();
        assert!(client.wait().unwrap().success());
        assert!(heard == text);
    }

    #[ignore = "needs root, ip and python3"]
    fn files_come_and_go_whole(way) {
        let network = Network::with(BAD);
        let tree = Tree::new();
        let film = pattern(2, LENGTH);
        tree.file("film", &film);
        let root = tree.at("");
        let service = ["files", "--root", root.to_str().unwrap(), "--writable"];
        let reached = serve(way, &network, &service);
        let copy = tree.base().join("copy");
        let copy = copy.to_str().unwrap();
        let trust = trust(&reached);
        for (command, from, to) in
            [("get", url(&reached, "film").as_str(), copy), ("put", copy, &url(&reached, "back"))]
        {
            let (code, _, told) = network.start(&words(&[command, from, to], &trust)).outlast();
            assert_eq!(code, 0, "{told}");
            assert!(told.contains("SHA-256 checked"), "{told}");
        }
        assert!(fs::read(copy).unwrap() == film && tree.read("back") == film);
    }

    #[ignore = "needs root, ip and python3"]
    fn a_peer_that_has_vanished_frees_its_slot(way) {
        let tree = Tree::new();
        tree.file("film", pattern(3, 20_000_000));
        let root = tree.at("");
        let files = ["files", "--root", root.to_str().unwrap()];
        let get: &[u8] = b"GET /film HTTP/1.1\r\nHost: x\r\n\r\n";
        let register: &[u8] = b"NICK ann\r\nUSER ann 0 * :Ann\r\n";
        let services: [(&[&str], &[u8]); 5] = [
            // With nothing to say, and with more than the kernel takes.
            (&["echo"], b"hello"),
            (&["chargen"], b""),
            (&files, get),
            (&files, b"GET /none HTTP/1.1\r\nHost: x\r\n\r\n"),
            (&["chat"], register),
        ];
        let network = Network::with(&["--rate=20000000"]);
        let idle = format!("{}s", IDLE.as_secs());
        for (service, word) in services {
            let reached = serve(way, &network, &[service, &["--idle-timeout", &idle]].concat());
            let mut peers: Vec<Peer> =
                (0..3).map(|_| reached.call_with(network.connect(reached.server.address()))).collect();
            for peer in &mut peers {
                peer.say(word);
                peer.hear(5);
            }
            assert_eq!(seats(&reached.server), 3, "{service:?}");
            network.cut();
            let since = Instant::now();
            eventually("its slot is free", || seats(&reached.server) == 0);
            assert!(since.elapsed() < ALLOWED, "{service:?}: {:?}", since.elapsed());
            drop(peers);
            network.mend();
        }
    }

    #[ignore = "needs root, ip and python3"]
    fn half_a_message_is_no_success(way) {
        // Echoed as it comes, so part of the answer is there when the server vanishes.
        let network = Network::with(&["--rate=20000"]);
        let echo = serve(way, &network, &["echo"]);
        let text = "x".repeat(120_000);
        let client = ["client", "--timeout", "3s", "--message", &text];
        let client = network.start(&words(&client, &found(&echo)));
        eventually("it is connected", || seats(&echo.server) == 1);
        network.cut();
        let (code, _, complaint) = client.end();
        assert_eq!((code, complaint.lines().count()), (1, 1), "{complaint}");
    }

    #[ignore = "needs root, ip and python3"]
    fn a_client_tells_that_its_server_has_vanished(way) {
        let network = Network::with(&["--rate=2000000"]);
        let echo = serve(way, &network, &["echo"]);
        let chargen = serve(way, &network, &["chargen"]);
        let chat = serve(way, &network, &["chat"]);
        let tree = Tree::new();
        tree.file("film", pattern(4, 20_000_000));
        let root = tree.at("");
        let root = root.to_str().unwrap();
        let files = serve(way, &network, &["files", "--root", root, "--writable"]);
        let copy = tree.base().join("copy");
        let film = tree.at("film");
        let [from, to] = ["film", "back"].map(|path| url(&files, path));
        let (echo_words, chargen_words, chat_words) =
            (found(&echo), found(&chargen), found(&chat));
        let trust = trust(&files);
        let lost = ["client", "--lost-after", "2s"];
        let silent = "--timeout=2s";
        let scheme = if way.tls { "tls" } else { "tcp" };
        let load = format!("{scheme}://{}", echo.server.address());

        // One that waits, one that has said something since, and one in the midst of hearing.
        let waiting = Client::start(&network, &words(&lost, &echo_words));
        let speaking = Client::start(&network, &words(&lost, &echo_words));
        let hearing = Client::start(&network, &words(&lost, &chargen_words));
        let chatting = ["chat", "--lost-after", "2s", "--nick", "ann", "--join", "lab", "--listen"];
        let chatting = Client::start(&network, &words(&chatting, &chat_words));
        let talking = ["chat", "--lost-after", "2s", "--nick", "bob", "--join", "lab", "--listen"];
        let talking = Client::start(&network, &words(&talking, &chat_words));
        let get = ["get", silent, &from, copy.to_str().unwrap()];
        let get = network.start(&words(&get, &trust));
        let put = network.start(&words(&["put", silent, film.to_str().unwrap(), &to], &trust));
        let load = network.start(&words(&["load", &load, "-c", "3", "-d", "8s", silent], &trust));

        let all = [waiting, speaking, hearing, chatting, talking];
        eventually("they are connected", || all.iter().all(Client::is_connected));
        eventually("files move", || {
            tree.base().join("copy.part").exists() && !tree.parts("").is_empty()
        });
        network.cut();
        let [waiting, mut speaking, hearing, chatting, mut talking] = all;
        for client in [&mut speaking, &mut talking] {
            client.say(b"is anybody there?\n");
        }
        for client in [waiting, speaking, hearing, chatting, talking] {
            client.tells("socklab: the connection is lost: ");
        }
        failed_in_one_line(&get.end(), &["nothing moved for 2 s", "run it again to go on there"]);
        failed_in_one_line(&put.end(), &["nothing moved for 2 s"]);
        let (code, _, complaint) = load.end();
        assert_eq!((code, complaint.lines().count()), (1, 1), "{complaint}");
    }
}

//! What a server tells of itself: over HTTP as Prometheus reads it, and in its log after SIGUSR1.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use socklab::engine::Engine;
use support::metrics::{ask, ask_again, becomes, scrape, value};
use support::tree::Tree;
use support::{PATIENCE, Process, connect, echoes, eventually, fill, finish, on_both_engines};

const ECHO: &str = "service=\"echo\"";
const METRICS: &str = "service=\"metrics\"";

fn start(engine: Engine, arguments: &[&str]) -> Process {
    Process::start(engine, &[&["--metrics", "127.0.0.1:0"], arguments].concat())
}

/// Changes a limit of a running server.
fn prlimit(server: &Process, limit: &str) {
    let pid = server.child.id().to_string();
    let status = Command::new("prlimit").args(["--pid", &pid, limit]).status();
    assert!(status.expect("prlimit is installed").success());
}

on_both_engines! {
    fn connections_and_bytes_are_counted_by_service(engine) {
        let server = start(engine, &[]);
        let at = server.metrics[0];
        let mut clients: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
        for client in &mut clients {
            echoes(client, &[1; 1000]);
            echoes(client, &[2; 100_000]);
        }
        let page = scrape(at);
        let engine = format!("engine=\"{engine}\"");
        let labels = [ECHO, &engine];
        assert_eq!(value(&page, "socklab_connections_accepted_total", &labels), 3.0);
        assert_eq!(value(&page, "socklab_connections_open", &labels), 3.0);
        assert_eq!(value(&page, "socklab_received_bytes_total", &labels), 303_000.0);
        assert_eq!(value(&page, "socklab_connections_ended_total", &labels), 0.0);
        assert!(value(&page, "socklab_turns_total", &labels) >= 6.0);
        // A thread counts what it has sent after it has, when a client may know already.
        becomes(at, "socklab_sent_bytes_total", &labels, 303_000.0);
        for client in &mut clients {
            assert_eq!(finish(client), b"");
        }
        becomes(at, "socklab_connections_ended_total", &[ECHO, "reason=\"finished\""], 3.0);
        becomes(at, "socklab_connections_open", &[ECHO], 0.0);
        // Who asks is counted apart.
        assert!(value(&scrape(at), "socklab_connections_accepted_total", &[METRICS]) > 1.0);
        assert!(value(&scrape(at), "socklab_connections_open", &[METRICS]) >= 1.0);
    }

    fn what_is_thrown_away_after_the_last_word_is_counted_too(engine) {
        // A read takes no more than that, so it hears the last word long before the end.
        let arguments = ["chat", "--backlog-bytes", "4KiB", "--metrics", "127.0.0.1:0"];
        let mut command = Process::command(engine, &arguments);
        let server = Process::spawn(command.stderr(Stdio::piped()));
        let mut client = server.connect();
        client.write_all(&[&b"QUIT\r\n"[..], &[b'x'; 10_000]].concat()).unwrap();
        client.read_to_end(&mut Vec::new()).unwrap();
        drop(client);
        let labels = ["service=\"chat\""];
        becomes(server.metrics[0], "socklab_connections_ended_total", &labels, 1.0);
        let page = scrape(server.metrics[0]);
        assert_eq!(value(&page, "socklab_received_bytes_total", &labels), 10_006.0);
        let log = server.log();
        assert!(log.contains(": 10006 B in, "), "{log}");
    }

    fn ends_are_counted_by_reason(engine) {
        let server = start(engine, &["--idle-timeout", "200ms"]);
        let _idle = server.connect();
        becomes(server.metrics[0], "socklab_connections_ended_total", &["reason=\"idle\""], 1.0);
        // Over HTTP it is not the idle time that ends a connection.
        let page = scrape(server.metrics[0]);
        assert_eq!(value(&page, "socklab_connections_ended_total", &[ECHO]), 1.0);
        // On a busy machine an idle time would be over before it is gone.
        let server = start(engine, &[]);
        let broken = server.connect();
        socket2::SockRef::from(&broken).set_linger(Some(Duration::ZERO)).unwrap();
        drop(broken);
        becomes(server.metrics[0], "socklab_connections_ended_total", &["reason=\"broken\""], 1.0);
    }

    fn a_full_server_still_shows_its_metrics(engine) {
        let server = start(engine, &["--max-clients", "2"]);
        let mut seated = [server.connect(), server.connect()];
        seated.iter_mut().for_each(|client| echoes(client, b"seated"));
        let mut waiting = server.connect();
        waiting.write_all(b"x").unwrap();
        for _ in 0..20 {
            let page = scrape(server.metrics[0]);
            assert_eq!(value(&page, "socklab_connections_open", &[ECHO]), 2.0);
            assert_eq!(value(&page, "socklab_seats", &[]), 2.0);
            assert_eq!(value(&page, "socklab_seats_exhausted_total", &[]), 1.0);
        }
        // Those who ask took no seat, and gave none back.
        let page = scrape(server.metrics[0]);
        assert_eq!(value(&page, "socklab_connections_accepted_total", &[ECHO]), 2.0);
        drop(seated);
        waiting.read_exact(&mut [0; 1]).unwrap();
        assert!(value(&scrape(server.metrics[0]), "socklab_seats_exhausted_total", &[]) >= 1.0);
    }

    fn those_who_ask_have_few_seats_and_take_none_from_clients(engine) {
        let server = start(engine, &["--max-clients", "1"]);
        let mut askers: Vec<TcpStream> = (0..8).map(|_| connect(server.metrics[0])).collect();
        for asker in &mut askers {
            ask_again(asker);
            ask_again(asker);
        }
        // The ninth waits in the kernel's queue, and clients are served all the same.
        let mut ninth = connect(server.metrics[0]);
        ninth.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n").unwrap();
        for _ in 0..5 {
            assert_eq!(finish(&mut server.connect()), b"");
            echoes(&mut server.connect(), b"hello");
        }
        ninth.set_nonblocking(true).unwrap();
        assert!(ninth.peek(&mut [0; 1]).is_err());
        ninth.set_nonblocking(false).unwrap();
        askers.pop();
        ninth.read_exact(&mut [0; 15]).unwrap();
    }

    fn lists_do_not_concern_those_who_ask(engine) {
        let server = start(engine, &["--deny", "127.0.0.0/8,::1"]);
        for _ in 0..3 {
            let mut denied = server.connect();
            assert!(denied.read(&mut [0; 1]).is_ok_and(|n| n == 0));
        }
        let page = scrape(server.metrics[0]);
        let refused = "socklab_connections_refused_total";
        assert_eq!(value(&page, refused, &[ECHO, "reason=\"denied\""]), 3.0);
        assert_eq!(value(&page, refused, &["reason=\"share\""]), 0.0);
        assert_eq!(value(&page, "socklab_connections_accepted_total", &[ECHO]), 0.0);
    }

    fn there_is_one_page_and_it_can_only_be_read(engine) {
        let server = start(engine, &[]);
        let at = server.metrics[0];
        let (head, page) = ask(at, "GET", "/metrics");
        assert!(head.contains("\r\nContent-Type: text/plain; version=0.0.4"), "{head}");
        assert!(page.ends_with('\n'));
        let (head, nothing) = ask(at, "HEAD", "/metrics");
        assert!(head.starts_with("HTTP/1.1 200 ") && nothing.is_empty(), "{head}");
        for (method, target, status) in [
            ("GET", "/", "404"),
            ("GET", "/metrics/", "404"),
            ("GET", "/../metrics", "404"),
            ("PUT", "/metrics", "405"),
            ("DELETE", "/metrics", "405"),
            ("OPTIONS", "/metrics", "204"),
        ] {
            let (head, _) = ask(at, method, target);
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {target}: {head}");
        }
    }

    fn datagrams_are_counted(engine) {
        let server = start(engine, &["--udp", "--deny", "127.0.0.2"]);
        let client = UdpSocket::bind("127.0.0.1:0").unwrap();
        let denied = UdpSocket::bind("127.0.0.2:0").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        denied.send_to(b"hi", server.address()).unwrap();
        for _ in 0..10 {
            client.send_to(b"hi", server.address()).unwrap();
            assert_eq!(client.recv(&mut [0; 3]).unwrap(), 2);
        }
        let at = server.metrics[0];
        becomes(at, "socklab_datagrams_answered_total", &[ECHO], 10.0);
        becomes(at, "socklab_datagrams_received_total", &[ECHO], 11.0);
        becomes(at, "socklab_datagrams_refused_total", &["reason=\"denied\""], 1.0);
        becomes(at, "socklab_datagrams_refused_total", &[], 1.0);
    }

    fn letters_are_counted_and_none_is_left(engine) {
        let server = start(engine, &["chat"]);
        let mut talkers: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
        for (n, talker) in talkers.iter_mut().enumerate() {
            let words = format!("NICK n{n}\r\nUSER n n n :n\r\nJOIN #lab\r\nPING joined\r\n");
            talker.write_all(words.as_bytes()).unwrap();
            hears(talker, ":joined\r\n");
        }
        let posted = "socklab_mail_posted_total";
        let before = value(&scrape(server.metrics[0]), posted, &[]);
        assert!(before >= 6.0, "{before} for those who joined later");
        talkers[0].write_all(b"PRIVMSG #lab :hello\r\n").unwrap();
        for talker in &mut talkers[1..] {
            hears(talker, ":hello\r\n");
        }
        becomes(server.metrics[0], posted, &[], before + 3.0);
        becomes(server.metrics[0], "socklab_mail_held", &[], 0.0);
    }

    #[ignore = "needs prlimit"]
    fn shortages_are_counted(engine) {
        let server = start(engine, &[]);
        let mut asker = connect(server.metrics[0]);
        assert_eq!(value(&ask_again(&mut asker), "socklab_shortages_total", &[]), 0.0);
        prlimit(&server, &format!("--nofile={}:", server.files()));
        let _waiting: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
        eventually("a shortage is counted", || {
            value(&ask_again(&mut asker), "socklab_shortages_total", &[]) > 0.0
        });
    }

    fn the_process_is_described(engine) {
        let server = start(engine, &[]);
        let mut clients: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
        clients.iter_mut().for_each(|client| echoes(client, b"seated"));
        let mut asker = connect(server.metrics[0]);
        let page = ask_again(&mut asker);
        // An acceptor that sleeps has a descriptor for the next caller already.
        let reserved = if engine == Engine::Poll { 0 } else { server.addresses.len() + 1 };
        let files = server.files();
        let told = value(&page, "process_open_fds", &[]) as usize;
        assert!((files..=files + reserved).contains(&told), "{told}, and {files} are listed");
        assert!(value(&page, "process_max_fds", &[]) > 20.0);
        let threads = if engine == Engine::Poll { 1.0 } else { server.status("Threads") as f64 };
        assert_eq!(value(&page, "socklab_threads", &[]), threads);
        let resident = value(&page, "process_resident_memory_bytes", &[]);
        assert!((1e5..1e9).contains(&resident), "{resident}");
        assert!(value(&page, "process_virtual_memory_bytes", &[]) > resident);
        let cpu = value(&page, "process_cpu_seconds_total", &[]);
        assert!(cpu > 0.0 && cpu <= server.cpu().as_secs_f64(), "{cpu}");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let age = now.as_secs_f64() - value(&page, "process_start_time_seconds", &[]);
        // The kernel tells when it was started itself to the second.
        assert!((-2.0..PATIENCE.as_secs_f64() + 60.0).contains(&age), "{age}");
    }

    fn passes_of_the_loop_are_counted_by_their_time(engine) {
        let server = start(engine, &[]);
        let mut client = server.connect();
        (0..50).for_each(|_| echoes(&mut client, b"hello"));
        let page = scrape(server.metrics[0]);
        if engine == Engine::Threads {
            assert!(!page.contains("socklab_loop"), "there is no loop");
            return;
        }
        let count = value(&page, "socklab_loop_pass_seconds_count", &[]);
        assert!(count >= 50.0, "{count}");
        let bucket = "socklab_loop_pass_seconds_bucket";
        assert_eq!(value(&page, bucket, &["le=\"+Inf\""]), count);
        assert!(value(&page, bucket, &["le=\"0.0005\""]) <= count);
        assert!(value(&page, "socklab_loop_pass_seconds_sum", &[]) > 0.0);
    }

    fn a_stop_does_not_wait_for_those_who_ask(engine) {
        let mut server = start(engine, &["--grace", "1h"]);
        let mut asker = connect(server.metrics[0]);
        ask_again(&mut asker);
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait().code(), Some(0));
    }

    fn a_signal_has_the_figures_logged_and_disturbs_nobody(engine) {
        let mut command = Process::command(engine, &["--udp", "--idle-timeout", "1h"]);
        let server = Process::spawn(command.stderr(Stdio::piped()));
        let mut clients: Vec<TcpStream> = (0..8).map(|_| server.connect()).collect();
        // More lines than a pipe holds would be lost.
        for round in 0..50 {
            server.signal(Signal::SIGUSR1);
            for client in &mut clients {
                echoes(client, &[round as u8; 100]);
            }
        }
        assert_eq!(server.status("Threads") == 1, engine == Engine::Poll);
        let mut late = server.connect();
        echoes(&mut late, b"late");
        let log = server.log();
        let told = |what: &str| log.lines().filter(|line| line.contains(what)).count();
        assert!(told("echo: 8 open of 8 accepted, 0 refused; ") > 0, "{log}");
        let figures = "echo (UDP): datagrams received 0, answered 0, unsent 0, refused 0";
        assert!(told(figures) > 0, "{log}");
        assert!(told(&format!("{engine} engine: ")) > 0, "{log}");
        assert_eq!(told("loop: ") > 0, engine == Engine::Poll, "{log}");
        assert_eq!((told("5000 B in, 5000 B out; finished"), told("lines were lost")), (8, 0), "{log}");
    }

    fn a_server_that_is_stopping_has_its_figures_logged_too(engine) {
        let tree = Tree::new();
        let log = File::create(tree.at("log")).unwrap();
        let server =
            Process::spawn(Process::command(engine, &["--grace", "1h"]).stderr(Stdio::from(log)));
        let mut blocked = server.connect();
        fill(&mut blocked);
        server.signal(Signal::SIGTERM);
        eventually("nobody accepts any more", || server.status("Threads") <= 2);
        // While it still looks every few milliseconds whether all have noticed, it would hear anything.
        thread::sleep(Duration::from_millis(200));
        server.signal(Signal::SIGUSR1);
        eventually("the figures are logged", || {
            let log = String::from_utf8(tree.read("log")).unwrap();
            log.contains("echo: 1 open of 1 accepted")
        });
    }

    fn thousands_of_signals_do_not_hide_the_one_to_stop(engine) {
        let mut command = Process::command(engine, &[]);
        let mut server = Process::spawn(command.stderr(Stdio::piped()));
        server.signal(Signal::SIGSTOP);
        (0..2000).for_each(|_| server.signal(Signal::SIGUSR1));
        server.signal(Signal::SIGCONT);
        (0..2000).for_each(|_| server.signal(Signal::SIGUSR1));
        echoes(&mut server.connect(), b"hello");
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait().code(), Some(0));
    }

    #[ignore = "needs promtool"]
    fn promtool_finds_nothing_to_complain_about(engine) {
        for arguments in [&["--udp"][..], &["chat"]] {
            let server = start(engine, arguments);
            let mut client = server.connect();
            client.write_all(b"PING hello\r\n").unwrap();
            let page = scrape(server.metrics[0]);
            let mut promtool = Command::new("promtool")
                .args(["check", "metrics"])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("promtool is installed");
            promtool.stdin.take().expect("it is piped").write_all(page.as_bytes()).unwrap();
            let output = promtool.wait_with_output().unwrap();
            let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap());
            assert!(output.status.success() && said.iter().all(String::is_empty), "{said:?}\n{page}");
        }
    }
}

/// Reads until these words have come.
fn hears(talker: &mut TcpStream, words: &str) {
    let mut heard = Vec::new();
    while !String::from_utf8_lossy(&heard).contains(words) {
        let mut piece = [0; 4096];
        let n = talker.read(&mut piece).expect("it talks");
        assert!(n > 0, "it has left");
        heard.extend_from_slice(&piece[..n]);
    }
}

#[test]
fn what_is_no_place_is_told_with_status_2() {
    for place in [":9100", "localhost", "::1:9100", "9100x"] {
        let (status, printed, complaint) =
            support::run::socklab(&["server", "--port", "0", "--metrics", place]);
        assert_eq!((status, printed.as_str()), (2, ""), "{complaint}");
        assert!(complaint.contains("examples: 9100, 127.0.0.1:9100"), "{complaint}");
    }
}

#[test]
fn a_place_that_is_taken_is_told() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = taken.local_addr().unwrap().to_string();
    support::run::fails_in_one_line(
        &["server", "--port", "0", "-q", "--metrics", &place],
        &["cannot show metrics on", &place, "choose another --metrics"],
    );
}

//! The client in TLS against our own server on both engines, at a terminal, and against openssl.

mod support;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{ChildStdout, Command, Stdio};

use nix::sys::signal::Signal;
use predicates::str::{contains, is_empty};
use support::person::Person;
use support::talk::{Talker, command};
use support::tls::{Authority, Identity, Peer, broken, end, hear_out, host, message, pipe};
use support::{Process, on_both_engines, pattern};

const MIB: usize = 1024 * 1024;

on_both_engines! {
    fn our_own_server_in_tls(engine) {
        let server = Process::start(engine, &["--tls"]);
        let pin = server.fingerprint.clone().expect("it speaks TLS");
        let trust = ["--tls", "--pin", &pin];
        for text in ["hello", "", "你好，服务器！"] {
            for &address in &server.addresses {
                let outcome = message(address, text, &trust).success();
                outcome.stdout(text.to_owned()).stderr(is_empty());
            }
        }
        let bulk = pattern(8, 4 * MIB);
        let outcome = pipe(server.address(), bulk.clone(), &trust).success().stderr(is_empty());
        assert!(outcome.get_output().stdout == bulk, "what came back differs");
        let outcome = message(server.address(), "hello", &[]).stdout(is_empty());
        broken(outcome, "the server speaks TLS on this port; add --tls");
    }

    fn our_own_server_stops_with_close_notify(engine) {
        let server = Process::start(engine, &["--tls"]);
        let pin = server.fingerprint.clone().expect("it speaks TLS");
        let mut client = Talker::start(server.address(), &["--tls", "--pin", &pin]);
        client.say(b"hello");
        assert_eq!(client.heard(5), b"hello");
        server.signal(Signal::SIGTERM);
        assert_eq!(client.end(), (Some(0), String::new()));
    }

    fn our_own_server_without_tls(engine) {
        for service in ["echo", "chargen"] {
            let server = Process::start(engine, &[service]);
            let outcome = message(server.address(), "hello", &["--tls", "--insecure"]);
            // A server that knows TLS when it sees it may close instead.
            let why = contains("speak TLS on this port; leave out --tls, or check the port");
            outcome.code(1).stdout(is_empty()).stderr(why);
        }
    }

    #[ignore = "needs script"]
    fn at_a_terminal_each_line_is_answered_over_tls(engine) {
        let server = Process::start(engine, &["--tls"]);
        let pin = server.fingerprint.clone().expect("it speaks TLS");
        let client = || command(server.address(), &["--tls", "--pin", &pin]);
        let mut person = Person::with(&client());
        person.sees(&format!("connected to {} (TLS 1.3)", server.address()));
        for line in ["hello", "你好"] {
            person.types(&format!("{line}\n"));
            // Once as the terminal shows what is typed, and once as the answer.
            person.sees(line);
            person.sees(line);
        }
        person.types("exit\n");
        assert_eq!(person.leaves(), Some(0));

        let mut person = Person::with(&client());
        person.types("hello\n");
        person.sees("hello");
        person.sees("hello");
        server.signal(Signal::SIGTERM);
        person.sees("the server closed the connection");
        assert_eq!(person.leaves(), Some(0));
    }
}

#[test]
#[ignore = "needs script"]
fn at_a_terminal_a_cut_is_told_from_an_end() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file()];
    let greets: fn(Peer) = |mut peer| {
        peer.write_all(b"half a ").expect("the client reads");
    };
    let waits_for_the_end: fn(Peer) = |mut peer| {
        hear_out(&mut peer);
        peer.write_all(b"half a ").expect("the client reads");
    };
    for (conversation, keys) in [(greets, ""), (waits_for_the_end, "exit\n")] {
        let host = host(authority.identity().config(), conversation);
        let mut person = Person::with(&command(host.address, &trust));
        person.sees("connected to ");
        person.types(keys);
        person.sees("half a ");
        person.sees("socklab: the connection was cut");
        assert_eq!(person.leaves(), Some(1));
        host.join();
    }
}

#[test]
#[ignore = "needs script"]
fn at_a_terminal_a_server_that_closes_hears_close_notify() {
    let authority = Authority::new();
    let host = host(authority.identity().config(), |mut peer| {
        peer.write_all(b"bye\n").expect("the client reads");
        end(&mut peer);
        assert_eq!(hear_out(&mut peer), b"");
    });
    let mut person = Person::with(&command(host.address, &["--tls", "--ca", &authority.file()]));
    person.sees("the server closed the connection");
    assert_eq!(person.leaves(), Some(0));
    host.join();
}

/// `openssl s_server`, which sends what it is told and prints what it hears.
struct OpenSsl {
    server: Talker,
    address: SocketAddr,
    stdout: BufReader<ChildStdout>,
}

impl OpenSsl {
    fn start(identity: &Identity, arguments: &[&str]) -> OpenSsl {
        let mut server = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-naccept", "1"])
            .args(["-cert", &identity.certificate_file(), "-key", &identity.key_file()])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map(Talker)
            .expect("openssl is installed");
        let stdout = BufReader::new(server.0.stdout.take().expect("it is piped"));
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let mut openssl = OpenSsl { server, address, stdout };
        let ready = openssl.prints("ACCEPT ");
        openssl.address = ready.trim_start_matches("ACCEPT ").parse().expect("an address");
        openssl
    }

    /// The next line that begins so.
    fn prints(&mut self, start: &str) -> String {
        let mut line = String::new();
        while !line.starts_with(start) {
            line.clear();
            let read = self.stdout.read_line(&mut line).expect("it prints text");
            assert!(read > 0, "it ends before it prints {start:?}");
        }
        line.trim_end().into()
    }
}

#[test]
#[ignore = "needs openssl"]
fn openssl_is_talked_to_with_new_keys_and_both_kinds_of_end() {
    let authority = Authority::new();
    let (identity, trust) = (authority.identity(), ["--tls", "--ca", &authority.file()]);
    // What openssl is told to say before the handshake confuses it.
    let talking = |arguments: &[&str]| {
        let mut openssl = OpenSsl::start(&identity, arguments);
        let mut client = Talker::start(openssl.address, &trust);
        client.say(b"first\n");
        openssl.prints("first");
        (openssl, client)
    };
    for version in ["-tls1_2", "-tls1_3"] {
        let (mut openssl, mut client) = talking(&[version]);
        openssl.server.say(b"hello\n");
        assert_eq!(client.heard(6), b"hello\n");
        if version == "-tls1_3" {
            // New keys, and a request for ours.
            openssl.server.say(b"K\n");
            openssl.prints("SSL_do_handshake -> 1");
        }
        openssl.server.say(b"more\n");
        assert_eq!(client.heard(5), b"more\n");
        client.say(b"and back\n");
        openssl.prints("and back");
        drop(client.0.stdin.take());
        assert_eq!(client.end(), (Some(0), String::new()), "with {version}");

        let openssl = OpenSsl::start(&identity, &[version, "-rev"]);
        let outcome = message(openssl.address, "stressed\n", &trust).success();
        outcome.stdout("desserts\n").stderr(is_empty());

        let (mut openssl, mut client) = talking(&[version]);
        openssl.server.say(b"half a sentence\n");
        assert_eq!(client.heard(16), b"half a sentence\n");
        // To leave, as openssl does it, is to close the socket.
        openssl.server.say(b"Q\n");
        let (code, complaint) = client.end();
        assert_eq!(code, Some(1));
        assert!(complaint.starts_with("socklab: the connection was cut"), "{complaint}");
    }
}

#[test]
#[ignore = "needs openssl"]
fn openssl_is_shown_the_certificate_that_it_demands() {
    let authority = Authority::new();
    let (identity, file) = (authority.identity(), authority.file());
    let trust = ["--tls", "--ca", &file];
    let own = authority.sign(&["client"], |_| {});
    let own =
        [&trust[..], &["--client-cert", &own.certificate_file(), "--client-key", &own.key_file()]];
    for version in ["-tls1_2", "-tls1_3"] {
        let demands = [version, "-rev", "-Verify", "1", "-verify_return_error", "-CAfile", &file];
        let openssl = OpenSsl::start(&identity, &demands);
        message(openssl.address, "stressed\n", &own.concat()).success().stdout("desserts\n");

        let openssl = OpenSsl::start(&identity, &demands);
        let outcome = message(openssl.address, "stressed\n", &trust).stdout(is_empty());
        broken(outcome, "demands a certificate");
    }
}

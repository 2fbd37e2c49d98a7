//! Other people's TLS: clients that talk to our server, and scanners that look for its weaknesses.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use serde_json::Value;
use socklab::engine::Engine;
use support::run::Scratch;
use support::secure::{Authority, Identity};
use support::{PATIENCE, Process, eventually, on_both_engines, pattern};

/// A server over TLS with this certificate, whose log can be read once it has been stopped.
fn server(engine: Engine, identity: &Identity) -> Process {
    let mut command = Process::command(engine, &["--tls", "-v"]);
    Process::spawn(command.args(identity.arguments()).stderr(Stdio::piped()))
}

/// What `program` prints when `input` is piped into it. It has to end by itself.
fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = assert_cmd::Command::new(program);
    let outcome = command.args(arguments).timeout(PATIENCE).write_stdin(input).assert();
    outcome.success().get_output().stdout.clone()
}

/// openssl as a client that checks everything, and what it has printed so far.
struct OpenSsl {
    child: Child,
    stdin: ChildStdin,
    printed: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl OpenSsl {
    fn start(address: SocketAddr, authority: &Authority, arguments: &[&str]) -> OpenSsl {
        let mut child = Command::new("openssl")
            .args(["s_client", "-connect", &address.to_string(), "-servername", "localhost"])
            .args(["-CAfile", &authority.file(), "-verify_return_error"])
            .args(["-verify_hostname", "localhost"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl starts");
        let stdin = child.stdin.take().expect("it is piped");
        let mut stdout = child.stdout.take().expect("it is piped");
        let printed = Arc::new(Mutex::new(Vec::new()));
        let all = printed.clone();
        let reader = thread::spawn(move || {
            let mut bytes = vec![0; 65_536];
            while let Ok(n @ 1..) = stdout.read(&mut bytes) {
                all.lock().unwrap().extend_from_slice(&bytes[..n]);
            }
        });
        OpenSsl { child, stdin, printed, reader }
    }

    fn say(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).expect("it reads");
    }

    fn has_printed(&self, words: &str) -> bool {
        String::from_utf8_lossy(&self.printed.lock().unwrap()).contains(words)
    }

    fn prints(&self, words: &str) {
        eventually("it prints what was said", || self.has_printed(words));
    }

    /// Ends its input, and gives all that it printed, and whether it was content.
    fn end(mut self) -> (Vec<u8>, bool) {
        drop(self.stdin);
        let mut status = None;
        eventually("it ends", || {
            status = self.child.try_wait().expect("it was started");
            status.is_some()
        });
        self.reader.join().expect("it does not panic");
        let printed = std::mem::take(&mut *self.printed.lock().unwrap());
        (printed, status.is_some_and(|status| status.success()))
    }

    /// One that would wait for the server's end.
    fn kill(mut self) -> Vec<u8> {
        self.child.kill().expect("it runs");
        self.end().0
    }
}

on_both_engines! {
    #[ignore = "needs openssl"]
    fn openssl_gets_back_what_it_sends(engine) {
        let authority = Authority::new();
        let server = server(engine, &authority.identity());
        for version in ["-tls1_2", "-tls1_3"] {
            let mut client =
                OpenSsl::start(server.address(), &authority, &["-quiet", version]);
            let bytes = pattern(1, 1 << 20);
            client.stdin.write_all(&bytes).unwrap();
            eventually("all has come back", || client.printed.lock().unwrap().len() >= bytes.len());
            assert!(client.kill() == bytes, "{version}");
        }
    }

    #[ignore = "needs openssl"]
    fn openssl_resumes_its_session(engine) {
        let authority = Authority::new();
        let server = server(engine, &authority.identity());
        let client = OpenSsl::start(server.address(), &authority, &["-tls1_2", "-reconnect"]);
        let (printed, content) = client.end();
        let printed = String::from_utf8_lossy(&printed);
        assert!(content, "{printed}");
        assert_eq!(printed.matches("Reused, TLSv1.2").count(), 5, "{printed}");
        let log = server.log();
        assert_eq!(log.matches("resumed handshake").count(), 5, "{log}");
    }

    #[ignore = "needs openssl"]
    fn openssl_gets_its_keys_updated(engine) {
        let authority = Authority::new();
        let server = server(engine, &authority.identity());
        let mut client = OpenSsl::start(server.address(), &authority, &["-tls1_3"]);
        client.say("before\n");
        client.prints("before");
        // A K at the beginning of what it reads: it wants new keys of both sides.
        client.say("K\n");
        eventually("it is answered", || {
            client.say("after\n");
            client.has_printed("after")
        });
        assert!(client.end().1);
        let log = server.log();
        assert!(log.lines().any(|line| line.ends_with("; finished")), "{log}");
    }

    #[ignore = "needs openssl"]
    fn openssl_is_not_renegotiated_with(engine) {
        let authority = Authority::new();
        let server = server(engine, &authority.identity());
        let mut neighbour = OpenSsl::start(server.address(), &authority, &["-quiet"]);
        let mut client = OpenSsl::start(server.address(), &authority, &["-tls1_2"]);
        client.say("before\n");
        client.prints("before");
        client.say("R\n");
        assert!(!client.end().1);
        neighbour.say("undisturbed\n");
        neighbour.prints("undisturbed");
        neighbour.kill();
        let log = server.log();
        assert_eq!(log.matches("TLS: it asks for a renegotiation").count(), 1, "{log}");
    }

    #[ignore = "needs openssl"]
    fn an_rsa_key_serves(engine) {
        let authority = Authority::new();
        let identity = authority.identity();
        let (key, certificate) = (&identity.key_file(), &identity.certificate_file());
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:4096", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .args(["-keyout", key, "-out", certificate])
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        // It is its own authority.
        fs::copy(certificate, authority.file()).unwrap();
        let server = server(engine, &identity);
        for version in ["-tls1_2", "-tls1_3"] {
            let mut client =
                OpenSsl::start(server.address(), &authority, &["-quiet", version]);
            client.say("hello\n");
            client.prints("hello");
            client.kill();
        }
    }

    #[ignore = "needs ncat"]
    fn ncat_gets_back_what_it_sends(engine) {
        let authority = Authority::new();
        let server = server(engine, &authority.identity());
        let port = server.address().port().to_string();
        let bytes = pattern(2, 1 << 20);
        let ca = authority.file();
        let arguments = ["--ssl-verify", "--ssl-trustfile", &ca, "localhost", &port];
        assert!(pipe("ncat", &[&["-4"], &arguments[..]].concat(), &bytes) == bytes);
    }

    #[ignore = "needs socat"]
    fn socat_gets_back_what_it_sends(engine) {
        let authority = Authority::new();
        let server = server(engine, &authority.identity());
        let bytes = pattern(3, 1 << 20);
        let address = format!(
            "OPENSSL:127.0.0.1:{},cafile={},commonname=localhost",
            server.address().port(),
            &authority.file()
        );
        // It gives a late answer half a second, unless told to wait longer.
        assert!(pipe("socat", &["-t", "20", "-", &address], &bytes) == bytes);
        let log = server.log();
        assert!(log.contains("; finished"), "{log}");
    }

    #[ignore = "needs sslscan"]
    fn sslscan_finds_nothing_weak(engine) {
        let server = Process::start(engine, &["--tls"]);
        let report = Scratch::file("sslscan.xml");
        let xml = format!("--xml={}", report.path());
        pipe("sslscan", &[&xml, &server.address().to_string()], b"");
        let text = report.read();
        let document = roxmltree::Document::parse(&text).unwrap();
        let all = |name: &'static str| {
            document.descendants().filter(move |node| node.has_tag_name(name))
        };
        for protocol in all("protocol") {
            let version = protocol.attribute("version").unwrap();
            let enabled = protocol.attribute("enabled") == Some("1");
            assert_eq!(enabled, ["1.2", "1.3"].contains(&version), "{version}");
        }
        let ciphers: Vec<_> = all("cipher").map(|node| node.attribute("cipher").unwrap()).collect();
        assert!(ciphers.len() >= 4, "{text}");
        for cipher in ciphers {
            let strong = cipher.starts_with("TLS_") || cipher.starts_with("ECDHE-");
            let authenticated = cipher.contains("GCM") || cipher.contains("CHACHA20");
            assert!(strong && authenticated, "{cipher}");
        }
        assert!(all("renegotiation").all(|node| node.attribute("supported") == Some("0")));
        assert!(all("heartbleed").all(|node| node.attribute("vulnerable") == Some("0")));
    }
}

/// What it asks is asked of rustls, which is the same on both engines.
#[test]
#[ignore = "needs testssl"]
fn testssl_finds_nothing_but_the_self_made_chain() {
    let server = Process::start(Engine::Poll, &["--tls"]);
    let report = Scratch::file("testssl.json");
    let port = server.address().port();
    let outcome = Command::new("testssl")
        .args(["--quiet", "--color", "0", "--warnings", "batch", "--ip", "127.0.0.1"])
        .args(["--protocols", "--std", "--fs", "--server-preference", "--server-defaults"])
        .args(["--vulnerable", "--jsonfile", report.path(), &format!("localhost:{port}")])
        .stdin(Stdio::null())
        .output();
    let outcome = outcome.expect("testssl starts");
    let findings: Vec<Value> = serde_json::from_str(&report.read()).expect("it writes JSON");
    assert!(findings.len() > 40, "{}", String::from_utf8_lossy(&outcome.stdout));
    for finding in findings {
        let field = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
        // Nobody has signed it, so nobody can revoke it either, and its name is in no zone.
        let own = ["cert_chain_of_trust", "cert_revocation", "DNS_CAArecord"];
        // Its openssl leaves right after the handshake, and at times before it has seen the tickets.
        let early = field("severity") == "WARN" && field("id").starts_with("sessionresumption");
        let weak = !["OK", "INFO", "DEBUG"].contains(&field("severity").as_str());
        assert!(!weak || early || own.contains(&field("id").as_str()), "{finding}");
    }
}

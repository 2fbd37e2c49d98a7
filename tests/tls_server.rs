//! TLS on both engines: handshakes of every kind, what ends them, certificates, and what the log
//! says of those who come with something else.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rcgen::{KeyPair, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use rustls::{ClientConfig, HandshakeKind, ProtocolVersion};
use socket2::{Domain, SockRef, Socket, Type};
use socklab::engine::{Engine, Limits};
use socklab::service::{Chargen, Discard, Echo};
use socklab::session::{ConnectionId, Output, Service, Session, Want};
use socklab::tls::server::{Oldest, Options};
use socklab::tls::{Acceptor, Fingerprint, Source, Tls};
use support::run::Scratch;
use support::secure::{
    ALL, Authority, Caller, Identity, LONG, TLS12, TLS13, client, config, ends, records,
};
use support::{Process, Server, connect, eventually, finish, on_both_engines, pattern};

/// A server over TLS in this process, and a client that trusts it.
struct Secure {
    server: Server,
    config: Arc<ClientConfig>,
}

impl Secure {
    fn start(engine: Engine, service: impl Service + 'static) -> Secure {
        Secure::with(engine, service, LONG, ALL)
    }

    fn with(
        engine: Engine,
        service: impl Service + 'static,
        patience: Duration,
        versions: &[&'static rustls::SupportedProtocolVersion],
    ) -> Secure {
        let authority = Authority::new();
        let identity = authority.identity();
        let (certificates, key) = (identity.certificate_file().into(), identity.key_file().into());
        let source = Source::Files { certificates, key };
        let options = Options { source, client_ca: None, oldest: Oldest::Tls12 };
        let acceptor = Acceptor::new(&options).expect("the files are fine");
        let tls = Tls::new(Arc::new(service), &acceptor, patience);
        let server = Server::with_limits(engine, tls, Limits::default());
        Secure { server, config: Arc::new(config(versions, &authority, None)) }
    }

    fn call(&self) -> Caller {
        Caller::served(self.server.connect(), &self.config)
    }
}

/// The binary as a server over TLS with this certificate.
fn process(engine: Engine, identity: &Identity, arguments: &[&str]) -> Process {
    Process::spawn(command(engine, identity, arguments).stderr(Stdio::piped()))
}

fn command(engine: Engine, identity: &Identity, arguments: &[&str]) -> Command {
    let mut command = Process::command(engine, arguments);
    command.arg("--tls").args(identity.arguments());
    command
}

/// The one line that says how `peer` left.
#[track_caller]
fn departure(log: &str, peer: SocketAddr) -> &str {
    let of_peer = format!("{peer} left after");
    let mut lines = log.lines().filter(|line| line.contains(&of_peer));
    let line = lines.next().unwrap_or_else(|| panic!("{peer} is not in {log}"));
    assert_eq!(lines.next(), None);
    line
}

on_both_engines! {
    fn a_handshake_byte_by_byte_succeeds(engine) {
        for versions in [TLS12, TLS13] {
            let secure = Secure::with(engine, Echo, LONG, versions);
            let mut caller = Caller::new(secure.server.connect(), &secure.config);
            while caller.tls.is_handshaking() {
                for byte in records(&mut caller.tls) {
                    caller.tcp.write_all(&[byte]).unwrap();
                }
                if caller.tls.is_handshaking() {
                    assert!(caller.hear().unwrap(), "the server has left");
                }
            }
            for byte in records(&mut caller.tls) {
                caller.tcp.write_all(&[byte]).unwrap();
            }
            caller.say(b"at last");
            assert_eq!(caller.heard(7), b"at last");
        }
    }

    fn data_in_the_segment_of_the_last_handshake_message_is_answered(engine) {
        for versions in [TLS12, TLS13] {
            let secure = Secure::with(engine, Echo, LONG, versions);
            let mut caller = Caller::new(secure.server.connect(), &secure.config);
            caller.tls.writer().write_all(b"with it").unwrap();
            SockRef::from(&caller.tcp).set_tcp_cork(true).unwrap();
            while caller.tls.is_handshaking() {
                caller.send();
                SockRef::from(&caller.tcp).set_tcp_cork(false).unwrap();
                SockRef::from(&caller.tcp).set_tcp_cork(true).unwrap();
                if caller.tls.is_handshaking() {
                    assert!(caller.hear().unwrap(), "the server has left");
                }
            }
            caller.send();
            SockRef::from(&caller.tcp).set_tcp_cork(false).unwrap();
            assert_eq!(caller.heard(7), b"with it", "{versions:?}");
        }
    }

    fn a_handshake_that_drips_is_over_at_its_deadline(engine) {
        let secure = Secure::with(engine, Echo, Duration::from_millis(400), ALL);
        let mut silent = secure.server.connect();
        let mut neighbour = secure.call();
        let mut drip = secure.server.connect();
        drip.set_nodelay(true).unwrap();
        let hello = records(&mut client(&secure.config));
        assert!(hello.len() > 200, "it takes four seconds and more");
        for byte in &hello {
            if drip.write_all(&[*byte]).is_err() {
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        // Had it come through, a hello would come back: a record of type 22.
        assert_ne!(ends(&mut drip).first(), Some(&22));
        assert_ne!(ends(&mut silent).first(), Some(&22));
        neighbour.say(b"in time");
        assert_eq!(neighbour.heard(7), b"in time");
    }

    fn who_talks_goes_on_after_the_deadline_of_its_handshake(engine) {
        let secure = Secure::with(engine, Chargen, Duration::from_millis(300), ALL);
        let mut caller = secure.call();
        let since = Instant::now();
        while since.elapsed() < Duration::from_millis(900) {
            caller.heard(100_000);
        }
    }

    fn a_peer_whose_window_is_shut_is_not_waited_for_after_its_deadline(engine) {
        let authority = Authority::new();
        // A flight that fills the window of a peer with hardly any: its certificate has many names.
        let names = (0..2000).map(|n| format!("name-{n}.example")).chain(["localhost".into()]);
        let names: Vec<String> = names.collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let identity = authority.sign(&names, |_| {});
        let server = process(engine, &identity, &["--handshake-timeout", "500ms"]);
        let config = Arc::new(config(TLS12, &authority, None));
        let hello = records(&mut client(&config));
        // Once somebody is served, the server has all files that it needs itself.
        let _neighbour = Caller::served(server.connect(), &config);
        let before = server.files();
        let peers: Vec<Socket> = (0..5).map(|_| {
            let peer = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            peer.set_recv_buffer_size(1).unwrap();
            peer.connect(&server.address().into()).unwrap();
            peer.send(&hello).unwrap();
            peer
        }).collect();
        eventually("they are seated", || server.files() >= before + peers.len());
        eventually("their seats are free again", || server.files() <= before);
    }

    fn the_peers_notice_of_its_end_is_a_half_close(engine) {
        let secure = Secure::start(engine, Echo);
        let bytes = pattern(7, 1 << 20);
        let mut caller = secure.call();
        let mut sender = caller.tcp.try_clone().unwrap();
        caller.tls.set_buffer_limit(None);
        caller.tls.writer().write_all(&bytes).unwrap();
        caller.tls.send_close_notify();
        let said = records(&mut caller.tls);
        thread::scope(|scope| {
            // The socket stays open: nothing but the notice says that this was all.
            scope.spawn(move || sender.write_all(&said).unwrap());
            assert!(caller.rest() == bytes);
        });
    }

    fn an_end_without_notice_is_answered_with_one_and_told(engine) {
        let authority = Authority::new();
        let server = process(engine, &authority.identity(), &[]);
        let config = Arc::new(config(ALL, &authority, None));
        let mut cut = Caller::served(server.connect(), &config);
        cut.say(b"half a sent");
        assert_eq!(cut.heard(11), b"half a sent");
        cut.tcp.shutdown(Shutdown::Write).unwrap();
        assert_eq!(cut.rest(), b"");
        let mut whole = Caller::served(server.connect(), &config);
        whole.close();
        assert_eq!(whole.rest(), b"");
        let peers = [cut, whole].map(|caller| caller.tcp.local_addr().unwrap());
        let log = server.log();
        assert!(departure(&log, peers[0]).contains("TLS: it ended without close_notify"), "{log}");
        assert!(departure(&log, peers[1]).ends_with("finished"), "{log}");
    }

    fn an_update_of_keys_is_answered_by_one_who_only_listens(engine) {
        let secure = Secure::with(engine, Discard, LONG, TLS13);
        let mut caller = secure.call();
        caller.say(b"something");
        for round in 0..5 {
            // What the server has to say by itself: its tickets, in the first round.
            caller.tls.refresh_traffic_keys().unwrap();
            caller.say(&pattern(round, 1000));
            let mut answer = [0; 1];
            caller.tcp.peek(&mut answer).expect("it answers");
            while caller.tcp.peek(&mut answer).is_ok() {
                caller.hear().expect("it can be decrypted");
                caller.tcp.set_nonblocking(true).unwrap();
            }
            caller.tcp.set_nonblocking(false).unwrap();
        }
        caller.close();
        assert_eq!(caller.rest(), b"");
    }

    fn sessions_are_resumed(engine) {
        for versions in [TLS12, TLS13] {
            let secure = Secure::with(engine, Echo, LONG, versions);
            let kinds = (0..4).map(|_| {
                let mut caller = secure.call();
                caller.say(b"tickets come before the first word");
                caller.heard(34);
                caller.tls.handshake_kind()
            });
            let kinds: Vec<_> = kinds.collect();
            assert_eq!(kinds[0], Some(HandshakeKind::Full));
            assert!(kinds[1..].iter().all(|kind| *kind == Some(HandshakeKind::Resumed)), "{kinds:?}");
        }
    }

    fn a_session_that_panics_says_nothing_in_clear(engine) {
        let secure = Secure::start(engine, Indiscreet);
        let mut neighbour = secure.call();
        let mut caller = secure.call();
        caller.say(b"?");
        let came = ends(&mut caller.tcp);
        assert!(!came.windows(6).any(|bytes| bytes == b"secret"), "{came:?}");
        neighbour.close();
        assert_eq!(neighbour.rest(), b"");
    }

    fn a_protocol_with_a_name_is_agreed_upon_or_refused(engine) {
        let secure = Secure::start(engine, Named);
        let with = |names: &[&[u8]]| {
            let mut config = ClientConfig::clone(&secure.config);
            config.alpn_protocols = names.iter().map(|name| name.to_vec()).collect();
            Caller::new(secure.server.connect(), &Arc::new(config))
        };
        let mut agreed = with(&[b"other", b"named"]);
        agreed.shake_hands().unwrap();
        assert_eq!(agreed.tls.alpn_protocol(), Some(&b"named"[..]));
        let mut silent = with(&[]);
        silent.shake_hands().unwrap();
        assert_eq!(silent.tls.alpn_protocol(), None);
        let refused = with(&[b"other"]).shake_hands().unwrap_err();
        assert!(refused.to_string().contains("NoApplicationProtocol"), "{refused}");
    }

    fn the_oldest_version_is_a_choice(engine) {
        let authority = Authority::new();
        let identity = authority.identity();
        let old = Arc::new(config(TLS12, &authority, None));
        let new = Arc::new(config(TLS13, &authority, None));
        let server = process(engine, &identity, &[]);
        for (config, version) in
            [(&old, ProtocolVersion::TLSv1_2), (&new, ProtocolVersion::TLSv1_3)]
        {
            let caller = Caller::served(server.connect(), config);
            assert_eq!(caller.tls.protocol_version(), Some(version));
        }
        let server = process(engine, &identity, &["--tls-min", "1.3"]);
        Caller::served(server.connect(), &new);
        let mut refused = Caller::new(server.connect(), &old);
        assert!(refused.shake_hands().is_err());
        let peer = refused.tcp.local_addr().unwrap();
        drop(refused);
        let log = server.log();
        assert!(departure(&log, peer).ends_with("TLS: no version of TLS in common"), "{log}");
    }

    fn clients_show_a_certificate_where_one_is_demanded(engine) {
        let (authority, other) = (Authority::new(), Authority::new());
        let identity = authority.identity();
        let ca = authority.file();
        let server = process(engine, &identity, &["--tls-client-ca", &ca]);
        let mut peers = Vec::new();
        for (identity, right) in [
            (Some(authority.identity()), true),
            (Some(other.identity()), false),
            (None, false),
        ] {
            for versions in [TLS12, TLS13] {
                let config = Arc::new(config(versions, &authority, identity.as_ref()));
                let mut caller = Caller::new(server.connect(), &config);
                let served = is_served(&mut caller);
                assert_eq!(served, right, "{versions:?}");
                peers.push(caller.tcp.local_addr().unwrap());
            }
        }
        let log = server.log();
        for (index, words) in [
            (2, "TLS: its certificate is not signed by an authority of --tls-client-ca"),
            (3, "TLS: its certificate is not signed by an authority of --tls-client-ca"),
            (4, "TLS: it has shown no certificate, and must"),
            (5, "TLS: it has shown no certificate, and must"),
        ] {
            assert!(departure(&log, peers[index]).ends_with(words), "{log}");
        }
    }

    fn a_chain_of_any_length_is_no_harm(engine) {
        let (authority, other) = (Authority::new(), Authority::new());
        let ca = authority.file();
        let server = process(engine, &authority.identity(), &["--tls-client-ca", &ca]);
        for (root, right) in [(&authority, true), (&other, false)] {
            let identity = root.sign_below(6, &authority);
            for versions in [TLS12, TLS13] {
                let config = Arc::new(config(versions, &authority, Some(&identity)));
                let mut caller = Caller::new(server.connect(), &config);
                assert_eq!(is_served(&mut caller), right, "{versions:?}");
            }
        }
        server.log();
    }

    fn hangup_has_the_certificate_read_again_and_drops_nobody(engine) {
        let authority = Authority::new();
        let identity = authority.identity();
        let mut server = process(engine, &identity, &[]);
        let stderr = server.child.stderr.take().expect("it is piped");
        let log = Arc::new(Mutex::new(String::new()));
        let reader = {
            let log = log.clone();
            thread::spawn(move || {
                use std::io::{BufRead, BufReader};
                for line in BufReader::new(stderr).lines() {
                    log.lock().unwrap().push_str(&(line.unwrap() + "\n"));
                }
            })
        };
        let logged = |words: &str| log.lock().unwrap().matches(words).count();
        let config = Arc::new(config(ALL, &authority, None));
        let shown = |server: &Process| {
            let mut fresh = ClientConfig::clone(&config);
            fresh.resumption = rustls::client::Resumption::disabled();
            let caller = Caller::served(server.connect(), &Arc::new(fresh));
            Fingerprint::of(&caller.tls.peer_certificates().unwrap()[0]).to_string()
        };
        let first = server.fingerprint.clone().expect("it is printed");
        assert_eq!(shown(&server), first);
        let mut old = Caller::served(server.connect(), &config);

        let renewed = authority.identity();
        fs::copy(renewed.certificate_file(), identity.certificate_file()).unwrap();
        server.signal(Signal::SIGHUP);
        eventually("the log says so", || logged("does not belong to") == 1);
        assert_eq!(shown(&server), first, "a certificate without its key is refused");

        fs::copy(renewed.key_file(), identity.key_file()).unwrap();
        server.signal(Signal::SIGHUP);
        eventually("the log says so", || logged("the certificate was read again") == 1);
        let second = shown(&server);
        assert_ne!(second, first);
        assert_eq!(logged(&second), 1);

        fs::write(identity.certificate_file(), "nothing").unwrap();
        server.signal(Signal::SIGHUP);
        eventually("the log says so", || logged("it has no certificate in PEM") == 1);
        fs::remove_file(identity.certificate_file()).unwrap();
        nix::unistd::mkfifo(&*identity.certificate_file(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        server.signal(Signal::SIGHUP);
        eventually("the log says so", || logged("it is not a regular file") == 1);
        fs::remove_file(identity.certificate_file()).unwrap();
        let endless = fs::File::create(identity.certificate_file()).unwrap();
        endless.set_len(1 << 30).unwrap();
        server.signal(Signal::SIGHUP);
        eventually("the log says so", || logged("it is larger than 1 MiB") == 1);
        assert_eq!(shown(&server), second);
        old.say(b"still here");
        assert_eq!(old.heard(10), b"still here");
        old.close();
        server.signal(Signal::SIGTERM);
        assert_eq!(server.wait().code(), Some(0));
        reader.join().unwrap();
    }

    fn without_files_hangup_is_the_end(engine) {
        let mut server = Process::start(engine, &["--tls"]);
        server.signal(Signal::SIGHUP);
        assert_eq!(server.wait().code(), Some(0));
    }

    fn what_is_no_tls_gets_one_line_and_disturbs_nobody(engine) {
        let authority = Authority::new();
        let server = process(engine, &authority.identity(), &[]);
        let config = Arc::new(config(ALL, &authority, None));
        let mut neighbour = Caller::served(server.connect(), &config);
        let cases: [(&[u8], &str); 5] = [
            (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "TLS: an HTTP request without TLS"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", r#"TLS: no TLS hello but "SSH-2.0-OpenSSH_""#),
            (b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", r#"TLS: no TLS hello but "\x80."#),
            (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "TLS: "),
            (b"\x16\x03\x01\xff\xff\x01\x00\xff\xfb\x03\x03", "TLS: "),
        ];
        let peers = cases.map(|(garbage, _)| {
            let mut tcp = server.connect();
            tcp.write_all(garbage).unwrap();
            // An alert in clear, and the end.
            let came = ends(&mut tcp);
            assert_eq!(came.first(), Some(&21), "{came:?}");
            neighbour.say(b"undisturbed");
            assert_eq!(neighbour.heard(11), b"undisturbed");
            tcp.local_addr().unwrap()
        });
        let mut left = server.connect();
        assert_eq!(finish(&mut left).first(), Some(&21));
        let log = server.log();
        for ((_, words), peer) in cases.iter().zip(peers) {
            assert!(departure(&log, peer).contains(words), "{words}: {log}");
        }
        let line = departure(&log, left.local_addr().unwrap());
        assert!(line.ends_with("TLS: it left before its hello"), "{line}");
    }

    fn a_hello_without_tls_gets_one_line_and_disturbs_nobody(engine) {
        let authority = Authority::new();
        let server = Process::spawn(Process::command(engine, &[]).stderr(Stdio::piped()));
        let mut neighbour = server.connect();
        let config = Arc::new(config(ALL, &authority, None));
        let mut tcp = server.connect();
        tcp.write_all(&records(&mut client(&config))).unwrap();
        assert_eq!(ends(&mut tcp), b"");
        support::echoes(&mut neighbour, b"undisturbed");
        let log = server.log();
        let line = departure(&log, tcp.local_addr().unwrap());
        assert!(line.ends_with("a TLS hello, and this port has no TLS"), "{line}");
    }

    fn ten_thousand_unfinished_handshakes_hurt_nobody(engine) {
        let authority = Authority::new();
        let identity = authority.identity();
        let mut command = command(engine, &identity, &["-q"]);
        let _turn = MANY_FILES.lock();
        let server = Process::spawn(command.stderr(Stdio::null()));
        let config = Arc::new(config(ALL, &authority, None));
        let mut neighbour = Caller::served(server.connect(), &config);
        let hello = records(&mut client(&config));
        let files_before = server.files();
        // A third says nothing, one half of it, and one goes silent in the middle.
        let unfinished: Vec<TcpStream> = (0..crowd_size(10_000)).map(|index| {
            let mut tcp = connect(server.address());
            SockRef::from(&tcp).set_linger(Some(Duration::ZERO)).unwrap();
            tcp.write_all(&hello[..[0, hello.len() / 2, hello.len()][index % 3]]).unwrap();
            tcp
        }).collect();
        neighbour.say(b"unhurt");
        assert_eq!(neighbour.heard(6), b"unhurt");
        let mut late = Caller::served(server.connect(), &config);
        late.say(b"neither");
        assert_eq!(late.heard(7), b"neither");
        eventually_within(LONG, "the server has let them go", || server.files() <= files_before + 1);
        drop(unfinished);
        late.say(b"still here");
        assert_eq!(late.heard(10), b"still here");
    }

    fn keys_of_every_kind_serve(engine) {
        let authority = Authority::new();
        let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let ed25519 = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        for (name, key) in [("p384", p384), ("ed25519", ed25519)] {
            let server = process(engine, &authority.identity_of(&key), &[]);
            for versions in [TLS12, TLS13] {
                let config = Arc::new(config(versions, &authority, None));
                let mut caller = Caller::served(server.connect(), &config);
                caller.say(b"hi");
                assert_eq!(caller.heard(2), b"hi", "{name}, {versions:?}");
            }
        }
    }

    fn no_key_is_ever_logged(engine) {
        let authority = Authority::new();
        let identity = authority.identity();
        let keys = Scratch::file("keys");
        let mut command = command(engine, &identity, &["-vv"]);
        command.env("SSLKEYLOGFILE", keys.path());
        let server = Process::spawn(command.stderr(Stdio::piped()));
        let mut caller =
            Caller::served(server.connect(), &Arc::new(config(ALL, &authority, None)));
        caller.say(b"hi");
        assert_eq!(caller.heard(2), b"hi");
        let log = server.log();
        assert!(log.contains("TLS 1.3, TLS13_AES_256_GCM_SHA384, full handshake"), "{log}");
        for word in ["TRAFFIC_SECRET", "CLIENT_RANDOM", "PRIVATE KEY"] {
            assert!(!log.contains(word), "{log}");
        }
        assert!(!fs::exists(keys.path()).unwrap());
    }

    fn chargen_over_tls_is_stopped_and_drained(engine) {
        let secure = Secure::start(engine, Chargen);
        let mut caller = secure.call();
        let text = caller.heard(1 << 20);
        assert!(text.starts_with(b" !\"#$%&'()*+,-./0123456789"));
        secure.server.request_stop();
        // A prefix, and a clean end.
        assert!(caller.rest().len() < 16 << 20);
    }
}

/// Whether it comes through the handshake and is answered.
fn is_served(caller: &mut Caller) -> bool {
    if caller.shake_hands().is_err() {
        return false;
    }
    caller.tls.writer().write_all(b"me").unwrap();
    let _ = caller.tcp.write_all(&records(&mut caller.tls));
    // In TLS 1.3 a client learns only afterwards what the server thinks of it.
    let mut heard = [0; 2];
    loop {
        match caller.tls.reader().read(&mut heard) {
            Ok(n) => return n == 2,
            Err(_) => match caller.hear() {
                Ok(true) => {}
                _ => return false,
            },
        }
    }
}

/// Panics once it has said its secret.
struct Indiscreet;

impl Service for Indiscreet {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(Indiscreet)
    }
}

impl Session for Indiscreet {
    fn receive(&mut self, _input: &[u8], out: &mut Output) -> Want {
        out.write(b"a secret");
        panic!("on purpose");
    }
}

/// Its protocol has a name.
struct Named;

impl Service for Named {
    fn accept(&self, _peer: SocketAddr, _id: ConnectionId) -> Box<dyn Session> {
        Box::new(Discard)
    }

    fn alpn(&self) -> &'static [&'static [u8]] {
        &[b"named"]
    }
}

/// Tests that hold thousands of descriptors of this process take turns.
static MANY_FILES: Mutex<()> = Mutex::new(());

fn crowd_size(most: usize) -> usize {
    let open_files = socklab::engine::raise_open_files().expect("the limit can be raised");
    most.min(open_files.saturating_sub(200))
}

fn eventually_within(patience: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let since = Instant::now();
    while !condition() {
        assert!(since.elapsed() < patience, "it never came true that {what}");
        thread::sleep(Duration::from_millis(20));
    }
}

//! Whom the client trusts in TLS, and what it says of those whom it does not: the handshake.

mod support;

use std::fs;
use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{self, Command};
use std::thread;
use std::time::Duration;

use predicates::prelude::*;
use predicates::str::{contains, is_empty};
use rcgen::{ExtendedKeyUsagePurpose, date_time_ymd};
use rustls::ServerConfig;
use rustls::version::{TLS12, TLS13};
use support::PATIENCE;
use support::talk::{Host, command};
use support::tls::{Authority, SAYING_HI, VERSIONS, broken, echo, host, host_at, message, peer};

#[test]
fn the_systems_authorities_are_trusted_unless_others_are_named() {
    let (system, other) = (Authority::new(), Authority::new());
    let named = ["--tls", "--ca", &other.file()];
    for (arguments, code) in [(&["--tls"][..], 0), (&named, 1)] {
        let host = host(system.identity().config(), |mut peer| {
            // Who is refused says nothing.
            if peer.conn.complete_io(&mut peer.sock).is_ok() {
                echo(peer);
            }
        });
        let mut client = command(host.address, &["--message", "hi"]);
        client.args(arguments).env("SSL_CERT_FILE", system.file()).env_remove("SSL_CERT_DIR");
        let outcome = assert_cmd::Command::from_std(client).timeout(PATIENCE).assert();
        outcome.code(code).stdout(if code == 0 { "hi" } else { "" });
        host.join();
    }
}

#[test]
fn each_check_that_fails_has_its_name() {
    let authority = Authority::new();
    let (file, other) = (authority.file(), Authority::new());
    let ca = ["--tls", "--ca", &file];
    let local = ["localhost", "127.0.0.1"];

    let old = |params: &mut rcgen::CertificateParams| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 29);
    };
    let expired = authority.sign(&local, old);
    let why = "the certificate of 127.0.0.1 has expired: it was valid until 2020-02-29T00:00:00Z; \
               check the clock here, or have the server get a new one";
    refused(expired.config(), &ca, why);

    let early = authority.sign(&local, |params| params.not_before = date_time_ymd(3000, 1, 1));
    refused(early.config(), &ca, "127.0.0.1 is not valid before 3000-01-01T00:00:00Z; check the");

    let elsewhere = authority.sign(&["a.example", "192.0.2.1"], |_| {});
    let why =
        "the certificate is not for 127.0.0.1 but for a.example, 192.0.2.1; call it by a name";
    refused(elsewhere.config(), &ca, why);
    let named = ["--tls", "--ca", &file, "--server-name", "b.example"];
    refused(elsewhere.config(), &named, "the certificate is not for b.example but for a.example, ");
    let named = ["--tls", "--ca", &file, "--server-name", "a.example"];
    accepted(elsewhere.config(), &named);
    refused(authority.sign(&[], |_| {}).config(), &ca, "not for 127.0.0.1 but for no name at all");
    let many: Vec<String> = (0..300).map(|number| format!("{number}.example")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let why = "for 0.example, 1.example, 2.example, 3.example, 4.example, 295 more; call it";
    refused(authority.sign(&many, |_| {}).config(), &ca, why);

    let stranger = other.sign(&local, |_| {});
    let why = format!(
        "the certificate of 127.0.0.1 is not signed by an authority that is trusted here; trust its \
         authority with --ca FILE, or trust it alone with --pin {}",
        stranger.fingerprint()
    );
    refused(stranger.config(), &ca, &why);

    let namesake = Authority::called(authority.name()).sign(&local, |_| {});
    let why = "the certificate of 127.0.0.1 is signed by a namesake of the authority that is trusted \
               here; trust its own with --ca FILE, or trust it alone with --pin ";
    refused(namesake.config(), &ca, why);

    let itself = authority.itself();
    let why = format!(
        "the certificate of 127.0.0.1 is an authority's own (CA:TRUE), which nobody else may show; \
         have it sign one for the server, or trust it alone with --pin {}",
        itself.fingerprint()
    );
    refused(itself.config(), &ca, &why);
    accepted(itself.config(), &["--tls", "--pin", &itself.fingerprint()]);

    let for_clients = authority.sign(&local, |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    refused(for_clients.config(), &ca, "is for another purpose (extended key usage)");

    let shown = authority.identity();
    let pin = ["--tls", "--pin", &stranger.fingerprint()];
    let why = format!(
        "the certificate of 127.0.0.1 is not the one that was pinned: its fingerprint is {}",
        shown.fingerprint()
    );
    refused(shown.config(), &pin, &why);
    // With both, both must hold.
    let both = ["--tls", "--pin", &stranger.fingerprint(), "--ca", &file];
    refused(stranger.config(), &both, "is not signed by an authority that is trusted here");
    refused(shown.config(), &both, "is not the one that was pinned");
}

fn refused(config: ServerConfig, arguments: &[&str], why: &str) {
    let host = host(config, |mut peer| {
        // The alert says it to the server, too.
        let refusal = peer.read(&mut [0]).expect_err("the client refuses");
        assert_eq!(refusal.kind(), io::ErrorKind::InvalidData, "{refusal}");
    });
    broken(message(host.address, "secret", arguments).stdout(is_empty()), why);
    host.join();
}

fn accepted(config: ServerConfig, arguments: &[&str]) {
    let host = host(config, echo);
    message(host.address, "hi", arguments).success().stdout("hi").stderr(is_empty());
    host.join();
}

#[test]
fn any_certificate_will_do_if_it_must_and_a_warning_says_so() {
    let host = host(Authority::new().sign(&["a.example"], |_| {}).config(), echo);
    let outcome = message(host.address, "hi", &["--tls", "--insecure"]).success().stdout("hi");
    outcome.stderr(contains("--insecure: nobody checks who the server is"));
    host.join();
}

#[test]
fn a_server_that_demands_a_certificate_gets_one() {
    let authority = Authority::new();
    let (shown, identity) = (authority.identity(), authority.sign(&["client"], |_| {}));
    let stranger = Authority::new().sign(&["client"], |_| {});
    let file = authority.file();
    let trust = ["--tls", "--ca", &file];
    for versions in VERSIONS {
        let config = || shown.config_for_clients_of(&authority, versions);
        let with = |certificate: &str, key: &str| {
            let mut with = Vec::from(trust.map(String::from));
            with.extend(["--client-cert", certificate, "--client-key", key].map(String::from));
            with
        };
        let own = with(&identity.certificate_file(), &identity.key_file());
        accepted(config(), &own.iter().map(String::as_str).collect::<Vec<_>>());

        let demand = match versions {
            // The alert comes after the client's handshake is done.
            [version] if **version == TLS13 => {
                "127.0.0.1 ended the connection: it demands a certificate (alert: certificate \
                 required); --client-cert and --client-key give one"
            }
            _ => "demands a certificate",
        };
        for client in SAYING_HI {
            let host = host(config(), |mut peer| {
                peer.read(&mut [0]).expect_err("the client has no certificate");
            });
            broken(client(host.address, &trust).stdout(is_empty()), demand);
            host.join();
        }

        let wrong = with(&stranger.certificate_file(), &stranger.key_file());
        let host = host(config(), |mut peer| {
            peer.read(&mut [0]).expect_err("the client has no such certificate");
        });
        let wrong: Vec<&str> = wrong.iter().map(String::as_str).collect();
        let outcome = message(host.address, "hi", &wrong).stdout(is_empty());
        broken(outcome, "it does not trust who signed the certificate (alert: unknown CA)");
        host.join();
    }
}

#[test]
fn a_server_without_tls_is_told_from_one_that_fails_in_it() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file(), "--timeout", "2s"];
    let none = "127.0.0.1 does not speak TLS on this port; leave out --tls, or check the port";
    let perhaps = "in the TLS handshake";
    let greets: fn(TcpStream) = |mut stream| {
        stream.write_all(b"220 mail.example\r\n").expect("the client reads");
        let _ = stream.read_to_end(&mut Vec::new());
    };
    let echoes: fn(TcpStream) = |mut stream| {
        let mut bytes = [0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut bytes) {
            let _ = stream.write_all(&bytes[..n]);
        }
    };
    let ends: fn(TcpStream) = |mut stream| {
        stream.shutdown(Shutdown::Write).expect("it is connected");
        let _ = stream.read_to_end(&mut Vec::new());
    };
    let leaves: fn(TcpStream) = drop;
    let listens: fn(TcpStream) = |mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    };
    let silence = "no TLS handshake with 127.0.0.1:";
    let cases = [(greets, none), (echoes, none), (ends, perhaps), (leaves, perhaps)];
    for (temper, why) in cases.into_iter().chain([(listens, silence)]) {
        let host = Host::of(temper);
        broken(message(host.address, "hi", &trust).stdout(is_empty()), why);
        host.join();
    }
}

#[test]
fn a_handshake_that_drips_does_not_get_more_time() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file(), "--timeout", "500ms"];
    let config = authority.identity().config_of(&[&TLS12]);
    let host = Host::of(move |socket| {
        let mut peer = peer(config, socket);
        while peer.conn.is_handshaking() && !peer.conn.wants_write() {
            peer.conn.read_tls(&mut peer.sock).expect("the client says hello");
            peer.conn.process_new_packets().expect("it is a hello");
        }
        let mut flight = Vec::new();
        while peer.conn.wants_write() {
            peer.conn.write_tls(&mut flight).expect("memory takes everything");
        }
        // Each byte comes long before the client loses its patience, and all would take minutes.
        for byte in flight {
            if peer.sock.write_all(&[byte]).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(100));
        }
        panic!("the client waited for all of it");
    });
    let outcome = message(host.address, "hi", &trust).stdout(is_empty());
    broken(outcome, "within 500 ms");
    host.join();
}

#[test]
fn without_tls_a_word_of_tls_is_understood() {
    let config = Authority::new().identity().config();
    for text in ["hello", "GET / HTTP/1.0\r\n\r\n"] {
        let host = host(config.clone(), |mut peer| {
            peer.read(&mut [0]).expect_err("it is no hello");
            let _ = peer.sock.shutdown(Shutdown::Write);
            let _ = peer.sock.read_to_end(&mut Vec::new());
        });
        let outcome = message(host.address, text, &[]).stdout(is_empty());
        broken(outcome, "the server speaks TLS on this port; add --tls");
        host.join();
    }
    // What only looks like one is printed.
    let alert = [21, 3, 3, 0, 2, 2, 50];
    let longer = [&alert[..], b"x"].concat();
    for reply in [&alert[..6], &longer, &alert[1..]] {
        for step in [1, reply.len()] {
            let said = reply.to_vec();
            let host = Host::of(move |mut stream| {
                stream.set_nodelay(true).expect("it is a socket");
                stream.read_to_end(&mut Vec::new()).expect("the client ends");
                for bytes in said.chunks(step) {
                    stream.write_all(bytes).expect("the client reads");
                }
            });
            let outcome = message(host.address, "hello", &[]).success().stderr(is_empty());
            assert_eq!(outcome.get_output().stdout, reply);
            host.join();
        }
    }
}

#[test]
fn the_next_address_is_tried_where_nobody_listens_and_not_where_tls_fails() {
    let authority = Authority::new();
    let by_name = |port: u16| {
        let mut client = Command::new(env!("CARGO_BIN_EXE_socklab"));
        client.args(["client", "--host", "localhost", "--port", &port.to_string()]);
        client.args(["--message", "hi", "--tls", "--ca", &authority.file()]);
        client.env_remove("RUST_LOG").env_remove("SSLKEYLOGFILE");
        assert_cmd::Command::from_std(client).timeout(PATIENCE).assert()
    };
    let second = host_at("[::1]:0", authority.identity().config(), echo);
    let outcome = by_name(second.address.port()).success();
    outcome.stdout("hi").stderr(is_empty());
    second.join();

    // The same port on both addresses may take a few attempts.
    let (first, second) = loop {
        let first = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let port = first.local_addr().expect("it is bound").port();
        if let Ok(second) = TcpListener::bind(("::1", port)) {
            break (first, second);
        }
    };
    let port = first.local_addr().expect("it is bound").port();
    let elsewhere = authority.sign(&["a.example"], |_| {}).config();
    let conversation = thread::spawn(move || {
        let mut peer = peer(elsewhere, first.accept().expect("the client connects").0);
        peer.read(&mut [0]).expect_err("the client refuses");
    });
    broken(by_name(port), "the certificate is not for localhost but for a.example");
    conversation.join().expect("the conversation goes as it should");
    second.set_nonblocking(true).expect("it is a socket");
    let other = second.accept().expect_err("nobody came here");
    assert_eq!(other.kind(), io::ErrorKind::WouldBlock);
}

#[test]
fn the_keys_are_written_where_the_environment_says() {
    let authority = Authority::new();
    let keys = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-keys", process::id()));
    let host = host(authority.identity().config_of(&[&TLS13]), echo);
    let mut command = command(host.address, &["--tls", "--ca", &authority.file()]);
    command.args(["--message", "hi"]).env("SSLKEYLOGFILE", &keys);
    let outcome = assert_cmd::Command::from_std(command).timeout(PATIENCE).assert();
    outcome.success().stdout("hi").stderr(contains("whoever reads").and(contains("-keys")));
    host.join();
    let written = fs::read_to_string(&keys).expect("it was written");
    let mode = fs::metadata(&keys).expect("it was just read").permissions().mode();
    assert_eq!(mode & 0o077, 0, "others may read it");
    fs::remove_file(&keys).expect("it was just read");
    assert!(written.contains("CLIENT_TRAFFIC_SECRET_0 "), "{written}");

    // What cannot be written is told, and no reason not to talk.
    let other = support::tls::host(authority.identity().config(), echo);
    let mut command = support::talk::command(other.address, &["--tls", "--ca", &authority.file()]);
    command.args(["--message", "hi"]).env("SSLKEYLOGFILE", "/nowhere/keys");
    let outcome = assert_cmd::Command::from_std(command).timeout(PATIENCE).assert();
    outcome.success().stdout("hi").stderr(contains("no keys are logged"));
    other.join();
}

#[test]
fn options_that_make_no_sense_are_wrong_usage() {
    let cases: &[(&[&str], &str)] = &[
        (&["--tls", "--udp"], "--tls is spoken over TCP; leave out --udp, or --tls"),
        (&["--ca", "x"], "--ca needs --tls"),
        (&["--pin", &"ab".repeat(32)], "--pin needs --tls"),
        (&["--insecure"], "--insecure needs --tls"),
        (&["--insecure", "--udp"], "--insecure needs --tls"),
        (&["--server-name", "x"], "--server-name needs --tls"),
        (&["--client-cert", "x", "--client-key", "x"], "--client-cert needs --tls"),
        (&["--tls", "--pin", "abc"], "64 hexadecimal digits"),
        (&["--tls", "--insecure", "--ca", "x"], "cannot be used with"),
        (&["--tls", "--client-cert", "x"], "--client-key"),
    ];
    let address = SocketAddr::from(([127, 0, 0, 1], 1));
    for (arguments, why) in cases {
        message(address, "x", arguments).code(2).stdout(is_empty()).stderr(contains(*why));
    }
    let outcome = message(address, "x", &["--tls", "--ca", "/nowhere/ca.pem"]);
    broken(outcome, "cannot use /nowhere/ca.pem: no such file or directory");
}

//! The client in TLS, in a conversation with servers of every temper.

mod support;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process;
use std::sync::mpsc;
use std::thread;

use predicates::str::is_empty;
use rustls::version::TLS13;
use support::pattern;
use support::talk::{Host, Talker};
use support::tls::{
    Authority, Peer, SAYING_HI, VERSIONS, broken, echo, end, flush, hear_out, host, message, pipe,
};

const MIB: usize = 1024 * 1024;

#[test]
fn any_echo_server_in_tls_will_do() {
    let authority = Authority::new();
    let identity = authority.identity();
    let ca = ["--tls", "--ca", &authority.file()];
    let pinned = ["--tls", "--pin", &identity.fingerprint()];
    for versions in VERSIONS {
        for text in ["hello", "two\nlines\n", "", "你好，服务器！"] {
            for trust in [ca, pinned] {
                let host = host(identity.config_of(versions), echo);
                let outcome = message(host.address, text, &trust);
                outcome.success().stdout(text.to_owned()).stderr(is_empty());
                host.join();
            }
        }
        let host = host(identity.config_of(versions), echo);
        pipe(host.address, "hello\n", &ca).success().stdout("hello\n").stderr(is_empty());
        host.join();
    }
}

#[test]
fn close_notify_is_a_half_close() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file()];
    for client in SAYING_HI {
        let host = host(authority.identity().config(), |mut peer| {
            assert_eq!(hear_out(&mut peer), b"hi");
            peer.sock.set_nonblocking(true).expect("it is a socket");
            let beyond = peer.sock.peek(&mut [0]).expect_err("TCP has not ended with it");
            assert_eq!(beyond.kind(), io::ErrorKind::WouldBlock);
            peer.sock.set_nonblocking(false).expect("it is a socket");
            peer.write_all(b"you said hi").expect("the client reads");
            end(&mut peer);
        });
        client(host.address, &trust).success().stdout("you said hi").stderr(is_empty());
        host.join();
    }
}

#[test]
fn the_servers_close_notify_is_its_end_though_tcp_goes_on() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file(), "--timeout", "1h"];
    let (release, held) = mpsc::channel::<()>();
    let host = host(authority.identity().config(), move |mut peer| {
        peer.write_all(b"all").expect("the client reads");
        end(&mut peer);
        let _ = held.recv();
    });
    message(host.address, "hi", &trust).success().stdout("all").stderr(is_empty());
    drop(release);
    host.join();
}

#[test]
fn a_server_that_closes_first_still_gets_everything_and_the_clients_close_notify() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file()];
    let input = pattern(3, 8 * MIB);
    let copy = file("everything", &input);
    let hears_on = host(authority.identity().config(), move |mut peer| {
        peer.write_all(b"go on").expect("the client reads");
        end(&mut peer);
        let heard = hear_out(&mut peer);
        assert!(heard == input, "{} bytes came, not those sent", heard.len());
    });
    let mut client = Talker::given(hears_on.address, &trust, copy);
    assert_eq!(client.heard(5), b"go on");
    hears_on.join();
    assert_eq!(client.end(), (Some(0), String::new()));

    // An input that stays open and silent does not keep it from the server.
    let host = host(authority.identity().config(), move |mut peer| {
        peer.write_all(b"bye").expect("the client reads");
        end(&mut peer);
        assert_eq!(hear_out(&mut peer), b"");
    });
    let mut client = Talker::start(host.address, &trust);
    assert_eq!(client.heard(3), b"bye");
    assert_eq!(client.end(), (Some(0), String::new()));
    host.join();
}

#[test]
fn an_end_without_close_notify_is_a_cut() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file()];
    let at_a_record: fn(Peer) = |mut peer| {
        hear_out(&mut peer);
        peer.write_all(b"half a ").expect("the client reads");
    };
    let in_a_record: fn(Peer) = |mut peer| {
        hear_out(&mut peer);
        peer.write_all(b"half a ").expect("the client reads");
        peer.conn.writer().write_all(b"sentence").expect("it has room");
        let mut record = Vec::new();
        peer.conn.write_tls(&mut record).expect("memory takes it");
        peer.sock.write_all(&record[..record.len() / 2]).expect("the client reads");
    };
    for versions in VERSIONS {
        for cut in [at_a_record, in_a_record] {
            for client in SAYING_HI {
                let host = host(authority.identity().config_of(versions), cut);
                let outcome = client(host.address, &trust).stdout("half a ");
                broken(outcome, "the connection was cut: it ended without the server's close_no");
                host.join();
            }
        }
        let nothing_said = host(authority.identity().config_of(versions), |mut peer| {
            hear_out(&mut peer);
        });
        let outcome = message(nothing_said.address, "hi", &trust).stdout(is_empty());
        broken(outcome, "the connection was cut");
        nothing_said.join();
    }
    // With an input that stays open.
    let host = host(authority.identity().config(), |mut peer| {
        peer.write_all(b"half a ").expect("the client reads");
    });
    let mut client = Talker::start(host.address, &trust);
    assert_eq!(client.heard(7), b"half a ");
    let (code, complaint) = client.end();
    assert_eq!(code, Some(1));
    assert!(complaint.starts_with("socklab: the connection was cut"), "{complaint}");
    host.join();
}

#[test]
fn data_right_behind_the_handshake_is_not_forgotten() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file()];
    let words = pattern(5, 60_000);
    let said = words.clone();
    let mut config = authority.identity().config();
    config.send_half_rtt_data = true;
    let host = host(config, move |mut peer| {
        // Into the flight that ends the server's half of the handshake.
        peer.conn.writer().write_all(&said).expect("there is room");
        peer.conn.complete_io(&mut peer.sock).expect("the client shakes hands");
        hear_out(&mut peer);
        end(&mut peer);
    });
    let outcome = message(host.address, "", &trust).success().stderr(is_empty());
    assert!(outcome.get_output().stdout == words, "what was printed differs");
    host.join();
}

#[test]
fn new_keys_are_answered_though_the_client_has_nothing_to_say() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file()];
    let host = host(authority.identity().config_of(&[&TLS13]), |mut peer| {
        peer.write_all(b"hello").expect("the client reads");
        // rustls takes 32 without data in between for an attack.
        for round in 0..30 {
            peer.conn.refresh_traffic_keys().expect("TLS 1.3 has it");
            peer.conn.writer().write_all(b".").expect("there is room");
            flush(&mut peer);
            // All that it can say: its input is open and silent.
            let read = peer.conn.read_tls(&mut peer.sock).expect("the client answers");
            assert!(read > 0, "the client left in round {round}");
            let state = peer.conn.process_new_packets().expect("it is an answer");
            assert_eq!(state.plaintext_bytes_to_read(), 0);
        }
        end(&mut peer);
        assert_eq!(hear_out(&mut peer), b"");
    });
    let mut client = Talker::start(host.address, &trust);
    assert_eq!(client.heard(35), [&b"hello"[..], &[b'.'; 30]].concat());
    assert_eq!(client.end(), (Some(0), String::new()));
    host.join();
}

#[test]
fn both_directions_may_be_full_at_once() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file()];
    let (there, back) = (pattern(6, 16 * MIB), pattern(7, 16 * MIB));
    let (input, expected) = (file("full", &there), back.clone());
    let host = host(authority.identity().config_of(&[&TLS13]), move |mut peer| {
        // The client's sender is stuck until all this is read by its receiver, which new keys must
        // not stop.
        for mib in back.chunks(MIB) {
            peer.write_all(mib).expect("the client reads");
            peer.conn.refresh_traffic_keys().expect("TLS 1.3 has it");
        }
        let mut heard = vec![0; there.len()];
        peer.read_exact(&mut heard).expect("the client sends");
        assert!(heard == there, "what came differs from what was sent");
        assert_eq!(hear_out(&mut peer), b"");
        end(&mut peer);
    });
    let mut client = Talker::given(host.address, &trust, input);
    let heard = client.heard(16 * MIB);
    assert!(heard == expected, "what was printed differs from what was said");
    host.join();
    assert_eq!(client.end(), (Some(0), String::new()));
}

#[test]
fn bulk_passes_in_constant_memory() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file()];
    let host = host(authority.identity().config(), echo);
    let mut client = Talker::start(host.address, &trust);
    let mut stdin = client.0.stdin.take().expect("it is piped and open");
    let feeder = thread::spawn(move || {
        for seed in 0..32 {
            stdin.write_all(&pattern(seed, MIB)).expect("the client reads");
        }
        stdin
    });
    for seed in 0..32 {
        assert!(client.heard(MIB) == pattern(seed, MIB), "MiB {seed} differs");
    }
    let most = high_water(&client);
    assert!(most < 20 * 1024, "the client used {most} KiB");
    drop(feeder.join().expect("all was sent"));
    assert_eq!(client.end(), (Some(0), String::new()));
    host.join();
}

/// The most memory it ever had resident, in KiB.
fn high_water(client: &Talker) -> usize {
    let status = fs::read_to_string(format!("/proc/{}/status", client.0.id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it is listed");
    line.trim().trim_end_matches(" kB").parse().expect("it is a number")
}

#[test]
fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file()];
    let host = host(authority.identity().config(), |mut peer| {
        while peer.write_all(&[b'x'; 4096]).is_ok() {}
        // Its input had not ended, so the server must not think so.
        peer.read_to_end(&mut Vec::new()).expect_err("no close_notify comes");
    });
    let mut client = Talker::start(host.address, &trust);
    client.heard(100_000);
    drop(client.0.stdout.take());
    assert_eq!(client.end(), (Some(0), String::new()));
    host.join();
}

#[test]
fn an_input_that_cannot_be_read_is_told_and_not_that_we_cut_the_connection() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file()];
    for _ in 0..10 {
        let host = host(authority.identity().config(), |mut peer| {
            let cut = peer.read_to_end(&mut Vec::new()).expect_err("the input was not all");
            assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        });
        let folder = File::open(env!("CARGO_TARGET_TMPDIR")).expect("it is there");
        let (code, complaint) = Talker::given(host.address, &trust, folder).end();
        assert_eq!(code, Some(1));
        assert!(complaint.starts_with("socklab: cannot use standard input: "), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        host.join();
    }
}

#[test]
fn what_comes_broken_is_told_after_what_came_whole() {
    let authority = Authority::new();
    let trust = ["--tls", "--ca", &authority.file()];
    let not_decrypted: fn(&mut [u8]) = |record| *record.last_mut().expect("it is long") ^= 1;
    let no_record: fn(&mut [u8]) = |record| record.fill(b'x');
    let cases = [(not_decrypted, "cannot be decrypted"), (no_record, "sent what is no TLS")];
    for (damage, why) in cases {
        let conversation = move |mut peer: Peer, after_all: bool| {
            if after_all {
                hear_out(&mut peer);
            }
            peer.write_all(b"whole").expect("the client reads");
            peer.conn.writer().write_all(b"broken").expect("there is room");
            let mut record = Vec::new();
            peer.conn.write_tls(&mut record).expect("memory takes it");
            damage(&mut record);
            peer.sock.write_all(&record).expect("the client reads");
            let _ = peer.read_to_end(&mut Vec::new());
        };
        let before = host(authority.identity().config(), move |peer| conversation(peer, false));
        let mut client = Talker::start(before.address, &trust);
        assert_eq!(client.heard(5), b"whole");
        let (code, complaint) = client.end();
        assert_eq!(code, Some(1));
        assert!(complaint.starts_with("socklab: ") && complaint.contains(why), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
        before.join();

        for client in SAYING_HI {
            let after = host(authority.identity().config(), move |peer| conversation(peer, true));
            broken(client(after.address, &trust).stdout("whole"), why);
            after.join();
        }
    }
}

/// An input that never pauses.
fn file(name: &str, bytes: &[u8]) -> File {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", process::id()));
    fs::write(&path, bytes).expect("the target folder takes files");
    let file = File::open(&path).expect("it was just written");
    fs::remove_file(&path).expect("it was just written");
    file
}

/// Whichever way it is spoken to, what a TLS server says to it is no answer.
#[test]
fn a_pipe_without_tls_does_not_take_an_alert_for_an_answer() {
    for alert in [&[21, 3, 3, 0, 2, 2, 50][..], &[21, 3, 1, 0, 2, 2, 10]] {
        let alert = alert.to_vec();
        let host = Host::of(move |mut socket| {
            socket.read_exact(&mut [0; 2]).expect("the client sends");
            for byte in alert {
                socket.write_all(&[byte]).expect("the client reads");
            }
        });
        let outcome = pipe(host.address, "hi", &[]).code(1).stdout("");
        broken(outcome, "the server speaks TLS on this port; add --tls");
        host.join();
    }
    // What only begins like one is printed, as soon as it is known.
    for other in [&[21][..], &[21, 3, 3, 0, 2, 2, 50, 0], &[21, 3, 3, 0, 3]] {
        let said = other.to_vec();
        let host = Host::of(move |mut socket| socket.write_all(&said).expect("the client reads"));
        pipe(host.address, "", &[]).success().stdout(predicates::ord::eq(other));
        host.join();
    }
}

//! Other people's clients: what they own is a client already.

mod support;

use std::io::{Read, Write};
use std::process::{Command, Stdio};

use support::{PATIENCE, Process, on_both_engines, pattern};

/// What `program` prints when `input` is piped into it. It has to end by itself.
fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let mut command = assert_cmd::Command::new(program);
    let outcome = command.args(arguments).timeout(PATIENCE).write_stdin(input).assert();
    outcome.success().get_output().stdout.clone()
}

on_both_engines! {
    #[ignore = "needs nc (netcat-openbsd)"]
    fn nc_gets_back_what_it_sends(engine) {
        let server = Process::start(engine, &[]);
        let port = server.address().port().to_string();
        let bytes = pattern(1, 1 << 20);
        assert!(pipe("nc", &["-N", "127.0.0.1", &port], &bytes) == bytes);
    }

    #[ignore = "needs ncat"]
    fn ncat_gets_back_what_it_sends(engine) {
        let server = Process::start(engine, &[]);
        let port = server.address().port().to_string();
        let bytes = pattern(2, 1 << 20);
        assert!(pipe("ncat", &["127.0.0.1", &port], &bytes) == bytes);
    }

    #[ignore = "needs socat"]
    fn socat_gets_back_what_it_sends(engine) {
        let server = Process::start(engine, &[]);
        let port = server.address().port();
        let bytes = pattern(3, 1 << 20);
        // It gives a late answer half a second, unless told to wait longer.
        assert!(pipe("socat", &["-t", "20", "-", &format!("TCP:127.0.0.1:{port}")], &bytes) == bytes);
    }

    #[ignore = "needs nc (netcat-openbsd)"]
    fn nc_gets_back_a_datagram(engine) {
        let server = Process::start(engine, &["--udp-only"]);
        let port = server.address().port().to_string();
        // Nothing ends a conversation of datagrams, so nc waits for a silent second.
        assert_eq!(pipe("nc", &["-u", "-w", "1", "127.0.0.1", &port], b"hi"), b"hi");
    }

    #[ignore = "needs ncat"]
    fn ncat_gets_back_a_datagram(engine) {
        let server = Process::start(engine, &["--udp-only"]);
        let port = server.address().port().to_string();
        let mut ncat = Command::new("ncat")
            .args(["-u", "127.0.0.1", &port])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // It leaves at the end of its input, and does not wait for an answer.
        let mut input = ncat.stdin.take().unwrap();
        input.write_all(b"hi").unwrap();
        let mut answer = [0; 2];
        ncat.stdout.take().unwrap().read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"hi");
        drop(input);
        ncat.wait().unwrap();
    }

    #[ignore = "needs socat"]
    fn socat_gets_back_a_datagram(engine) {
        let server = Process::start(engine, &["--udp-only"]);
        let address = format!("UDP:{}", server.address());
        assert_eq!(pipe("socat", &["-t", "1", "-", &address], b"hi"), b"hi");
    }
}

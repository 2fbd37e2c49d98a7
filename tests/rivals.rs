//! Other people's servers and load generators: what socklab says of them has to agree with them.

mod support;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use socklab::observe::{Launcher, Started};
use support::connect;

const SOCKLAB: &str = env!("CARGO_BIN_EXE_socklab");

/// 50,000 round trips are seconds on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Its exit status, what it printed, and what it complained about.
fn run(program: &str, arguments: &[&str]) -> (i32, String, String) {
    let output = assert_cmd::Command::new(program)
        .args(arguments)
        .env_remove("RUST_LOG")
        .timeout(LONG)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn load(arguments: &[&str]) -> Value {
    let common = ["load", "--json", "-", "--fail-if", "errors>0"];
    let (code, printed, complaint) = run(SOCKLAB, &[&common[..], arguments].concat());
    assert_eq!(code, 0, "{complaint}");
    serde_json::from_str(&printed).unwrap()
}

fn redis() -> Started {
    let command = "exec redis-server --port {port} --bind 127.0.0.1 --save '' --appendonly no \
                   --daemonize no";
    Launcher::new(SOCKLAB).start("redis", command, None).unwrap()
}

/// How many PINGs redis says it has answered.
fn pings(address: SocketAddr) -> u64 {
    let mut stream = connect(address);
    stream.write_all(b"INFO commandstats\r\nQUIT\r\n").unwrap();
    let mut told = String::new();
    stream.read_to_string(&mut told).unwrap();
    let calls = told.lines().find_map(|line| line.strip_prefix("cmdstat_ping:calls="));
    calls.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
}

#[test]
#[ignore = "needs redis-server and redis-benchmark (redis-tools)"]
fn what_load_says_of_redis_is_what_redis_says() {
    let server = redis();
    let address = server.address();
    let (target, pid) = (format!("tcp://{address}"), server.pid().to_string());
    let ping = ["--message", r"PING\r\n", "--reply", r"+PONG\r\n"];
    let table: [&[&str]; 3] = [
        &["-n", "50000", "-c", "50"],
        &["-n", "50000", "-c", "50", "--pipeline", "16", "--threads", "2"],
        &["-n", "2000", "-c", "7", "--per-connection", "10", "--warmup", "100ms"],
    ];
    let mut rates = Vec::new();
    for arguments in table {
        let before = pings(address);
        let result = load(&[&[target.as_str(), "--pid", &pid], &ping[..], arguments].concat());
        assert_eq!(result["messages"].to_string(), arguments[1]);
        assert_eq!(result["messages_in_all"], pings(address) - before, "{arguments:?}");
        assert!(result["server"]["cpu_per_message_ns"].as_f64() > Some(0.0), "{result}");
        rates.push(result["messages_per_second"].as_f64().unwrap());
    }
    let port = address.port().to_string();
    let arguments = ["-t", "ping_inline", "-c", "50", "-n", "50000", "--csv", "-p", &port];
    let (code, csv, complaint) = run("redis-benchmark", &arguments);
    assert_eq!(code, 0, "{complaint}");
    let line = csv.lines().find(|line| line.starts_with("\"PING_INLINE\"")).unwrap();
    let theirs: f64 = line.split(',').nth(1).unwrap().trim_matches('"').parse().unwrap();
    let ratio = rates[0] / theirs;
    assert!((0.1..10.0).contains(&ratio), "{} here, {theirs} there", rates[0]);
}

#[test]
#[ignore = "needs redis-server"]
fn an_answer_of_redis_that_was_not_expected_is_quoted() {
    let server = redis();
    let target = format!("tcp://{}", server.address());
    let wrong = ["load", &target, "-n", "10", "--message", r"PLING\r\n", "--reply", r"+PONG\r\n"];
    let (code, _, complaint) = run(SOCKLAB, &wrong);
    assert_eq!(code, 3, "{complaint}");
    let words = r#""-ERR unknown command \'PLING\'"#;
    assert!(complaint.contains(words), "{complaint}");
    assert!(complaint.contains(r#"came where "+PONG\r\n" was due"#), "{complaint}");
}

#[test]
#[ignore = "needs ncat"]
fn the_children_that_ncat_forks_are_counted() {
    let server = "exec ncat -l -k -e /bin/cat 127.0.0.1 {port}";
    let result = load(&["--server", server, "-c", "10", "-n", "5000", "--pipeline", "4"]);
    assert_eq!(result["messages"], 5000);
    // A read and a write for each, which only the children do.
    let cpu = result["server"]["cpu_per_message_ns"].as_f64();
    assert!(cpu > Some(100.0), "{result}");
}

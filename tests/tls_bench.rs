//! A bench over TLS: all servers, or those that are named.

mod support;

use socklab::report::document::Document;
use socklab::report::{html, text};
use support::run::{Ending, Running, Scratch, array, fails_in_one_line, number, parsed, socklab};
use support::tls_host::{Host, Manner};

/// Two clients, short slices, and time for a round or two.
const SHORT: [&str; 7] = ["bench", "--clients", "2", "--max-time", "3s", "--slice", "5ms"];

const PLAIN: &str = "plain=socklab server --port {port} -q";
const SECURE: &str = "secure=socklab server --tls --port {port} -q";

/// However long it takes: on a busy machine a bench lasts longer than our patience.
fn bench(arguments: &[&str]) -> Ending {
    Running::start(&[&SHORT[..], arguments].concat()).outlast()
}

#[test]
fn both_engines_compete_over_tls() {
    let [json, page] = ["result.json", "page.html"].map(Scratch::file);
    let files = ["--json", json.path(), "--html", page.path()];
    let (code, printed, complaint) = bench(&[&["--tls"], &files[..]].concat());
    assert_eq!((code, complaint.as_str()), (0, ""), "nobody is warned of what bench does itself");
    let result = parsed(&json.read());
    assert_eq!(result["options"]["tls"], serde_json::json!(["poll", "threads"]));
    assert_eq!(result["options"]["resumption"], true);
    for contestant in array(&result["contestants"]) {
        assert!(contestant["command"].as_str().unwrap().contains(" --tls "), "{contestant}");
    }
    let rounds = array(&result["rows"][0]["rounds"]).len() as f64;
    for standing in array(&result["rows"][0]["standings"]) {
        let tls = &standing["tls"];
        assert_eq!(tls["handshakes"], serde_json::json!({"full": 0, "resumed": 0}));
        assert_eq!(number(&tls["handshakes_in_all"]["full"]), 2.0 * rounds, "{tls}");
        assert!(tls["agreed"][0].as_str().unwrap().starts_with("TLS 1.3, "), "{tls}");
    }
    assert!(printed.contains("; over TLS; "), "{printed}");
    assert!(printed.contains("  handshakes                    poll     "), "{printed}");
    assert!(page.read().contains(", over TLS</p>"), "it is on the page");
    assert!(page.read().contains(">TLS handshakes</th>"), "it is on the page");
    let Document::Bench(document) = serde_json::from_value(result).unwrap() else {
        panic!("it is of a bench")
    };
    assert_eq!((printed, page.read()), (text::bench(&document), html::page(&document)));
}

#[test]
fn one_of_two_may_speak_tls() {
    let servers = ["--server", PLAIN, "--server", SECURE];
    let (code, printed, complaint) =
        bench(&[&["--tls=secure", "--json", "-"], &servers[..]].concat());
    assert_eq!(code, 0, "{complaint}");
    let result = parsed(&printed);
    assert_eq!(result["options"]["tls"], serde_json::json!(["secure"]));
    let standings = array(&result["rows"][0]["standings"]);
    assert!(standings[0]["tls"].is_null() && !standings[1]["tls"].is_null(), "{standings:?}");
    // Who is spoken to in the wrong way does not answer.
    let (code, _, complaint) = bench(&[&["--tls=plain"], &servers[..]].concat());
    assert_eq!(code, 1, "{complaint}");
    assert!(
        complaint.starts_with("socklab: plain does not answer: refused: client "),
        "{complaint}"
    );
}

#[test]
fn handshakes_are_compared_where_clients_come_and_go() {
    for (more, resumed) in [(&[][..], true), (&["--no-resumption"], false)] {
        let common = ["--tls", "--per-connection", "1", "--json", "-"];
        let (code, printed, complaint) = bench(&[&common, more].concat());
        assert_eq!(code, 0, "{complaint}");
        let result = parsed(&printed);
        assert_eq!(result["options"]["resumption"], resumed);
        for standing in array(&result["rows"][0]["standings"]) {
            let handshakes = &standing["tls"]["handshakes"];
            let kinds = ["full", "resumed"].map(|kind| number(&handshakes[kind]) > 0.0);
            assert_eq!(kinds, [!resumed, resumed], "{handshakes}");
        }
    }
}

#[test]
fn whoever_is_not_trusted_is_out() {
    let host = Host::of(Manner::Honest).start();
    let trust = ["--tls", "--ca", host.ca.path()];
    fails_in_one_line(
        &[&SHORT[..], &trust].concat(),
        &["does not answer: refused: client ", "is not signed by an authority"],
    );
}

#[test]
fn what_is_wrong_usage_is_said_so() {
    let table: [(&[&str], &str); 6] = [
        (&["--tls", "--udp"], "datagrams have no TLS here"),
        (&["--ca", "x.pem"], "--ca needs --tls"),
        (&["--no-resumption"], "--no-resumption needs --tls"),
        (&["--tls=nobody"], "--tls=nobody is none of the servers, which are poll, threads"),
        (&["--tls=a,c", "--server", "a=a {port}", "--server", "b=b {port}"], "--tls=c is none"),
        (&["--tls=poll", "--server", "a=a {port}", "--server", "b=b {port}"], "which are a, b"),
    ];
    for (arguments, words) in table {
        let (code, printed, complaint) = socklab(&[&["bench"], arguments].concat());
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {complaint}");
        assert!(complaint.starts_with("error: ") && complaint.contains(words), "{complaint}");
    }
}

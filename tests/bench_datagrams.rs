//! A bench over UDP: who loses is seen to lose, who is wrong is out.

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use socklab::report::document::Document;
use socklab::report::{html, text};
use support::post::{Post, number};
use support::run::{Ending, Running, Scratch, array, fails_in_one_line, parsed};

/// However long it takes: on a busy machine a bench lasts longer than our patience.
fn socklab(arguments: &[&str]) -> Ending {
    Running::start(arguments).outlast()
}

/// Two clients, short slices, and time for a round or two.
const SHORT: [&str; 8] = ["bench", "--udp", "--clients", "2", "--max-time", "3s", "--slice", "5ms"];

const PORT: &str = "SOCKLAB_TEST_PORT";
const TEMPER: &str = "SOCKLAB_TEST_TEMPER";

/// A server command of this test binary.
fn server(name: &str, temper: &str) -> String {
    let me = std::env::current_exe().unwrap();
    format!(
        "{name}={PORT}={{port}} {TEMPER}={temper} exec {} --exact \
         this_binary_is_a_server_for_the_others --nocapture",
        me.display()
    )
}

#[test]
fn this_binary_is_a_server_for_the_others() {
    let Ok(port) = std::env::var(PORT) else { return };
    let temper = std::env::var(TEMPER).unwrap_or_default();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().unwrap()));
    let _server = Post::on(address, move |heard| {
        let Some(datagram) = heard else { return vec![] };
        let is_victim = number(datagram) % 200 == 50;
        let mut answer = datagram.to_vec();
        match temper.as_str() {
            "drops" if is_victim => return vec![],
            "corrupts" if is_victim => answer[30] ^= 1,
            "mute" => return vec![],
            _ => {}
        }
        vec![answer]
    });
    loop {
        thread::park();
    }
}

#[test]
fn loss_is_shown_for_whoever_loses() {
    let [json, page, csv] = ["result.json", "page.html", "result.csv"].map(Scratch::file);
    let servers = [server("good", "echoes"), server("bad", "drops")];
    let files = ["--json", json.path(), "--html", page.path(), "--csv", csv.path()];
    let named = ["--server", &servers[0], "--server", &servers[1]];
    let (code, printed, complaint) = socklab(&[&SHORT[..], &named, &files].concat());
    assert_eq!(code, 0, "{complaint}");
    let result = parsed(&json.read());
    assert_eq!(result["options"]["udp"], true);
    let row = &result["rows"][0];
    let lost = |place: usize| row["standings"][place]["datagrams"]["lost"].as_u64().unwrap();
    assert!(lost(1) > 0, "{row}");
    for round in array(&row["rounds"]) {
        for side in array(&round["sides"]) {
            assert!(side["datagrams"]["sent"].as_u64() > Some(0), "{side}");
            assert!(side["memory"].is_null() && side["open"]["messages"].as_u64() > Some(0));
            let answered = array(&side["slices"]).iter().all(|slice| slice["messages"] != 0);
            assert!(answered, "{side}");
        }
    }
    assert!(printed.contains("  datagrams lost                good  "), "{printed}");
    assert!(printed.contains("bad lost datagrams: "), "{printed}");
    assert!(page.read().contains(">Datagrams</th>"), "it is on the page");
    assert!(csv.read().lines().next().unwrap().contains("datagrams_lost"));
    let Document::Bench(document) = serde_json::from_value(result.clone()).unwrap() else {
        panic!("it is of a bench")
    };
    assert_eq!((printed, page.read()), (text::bench(&document), html::page(&document)));
}

#[test]
fn who_is_wrong_or_silent_is_out() {
    let good = server("good", "echoes");
    let table = [
        ("corrupts", 3, "socklab: bad does not echo: wrong: client ", "1 byte of datagram "),
        ("mute", 1, "socklab: bad does not answer: ", "not one datagram came back"),
    ];
    for (temper, status, beginning, words) in table {
        let bad = server("bad", temper);
        let named = ["--server", &good, "--server", &bad];
        let (code, printed, complaint) = socklab(&[&SHORT[..], &named].concat());
        assert_eq!((code, printed.as_str()), (status, ""), "{temper}: {complaint}");
        assert!(complaint.starts_with(beginning) && complaint.contains(words), "{complaint}");
        assert_eq!(complaint.lines().count(), 1, "{complaint}");
    }
    let absent = "absent=exec sleep 100 # {port}";
    let named = ["--server", &good, "--server", "dead=exit 3; : {port}"];
    fails_in_one_line(&[&SHORT[..], &named].concat(), &["cannot start dead: ", "exit status 3"]);
    let arguments = ["load", "--udp", "-c", "1", "-n", "1", "--server", &absent[7..]];
    fails_in_one_line(
        &arguments,
        &["cannot start the server: ", "takes no datagram on 127.0.0.1:"],
    );
}

#[test]
fn a_server_of_datagrams_can_be_started_and_loaded() {
    for (temper, expect) in [("echoes", "echo"), ("mute", "sink")] {
        let command = server("", temper);
        let arguments = ["load", "--udp", "--server", &command[1..], "--expect", expect];
        let short = ["-c", "80", "-n", "800", "--json", "-"];
        let (code, printed, complaint) = socklab(&[&arguments[..], &short].concat());
        assert_eq!(code, 0, "{complaint}");
        let document = parsed(&printed);
        assert!(document["options"]["target"].as_str().unwrap().starts_with("udp://127.0.0.1:"));
        assert_eq!(document["driver"]["sent"], 800);
        assert!(document["server"]["cpu_per_message_ns"].is_number(), "{document}");
        assert!(document["server"]["memory"].is_null(), "it holds nothing for one client");
    }
}

#[test]
fn what_datagrams_cannot_do_is_wrong_usage() {
    let table: [(&[&str], &str); 3] = [
        (&["--udp", "--per-connection", "5"], "--per-connection"),
        (&["--udp", "--size", "7"], "8 to 65507"),
        (&["--udp", "--size", "65508"], "8 to 65507"),
    ];
    for (arguments, words) in table {
        let (code, printed, complaint) = socklab(&[&["bench"], arguments].concat());
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {complaint}");
        assert!(complaint.starts_with("error: ") && complaint.contains(words), "{complaint}");
    }
}

#[test]
fn both_engines_compete_unless_others_are_named() {
    let (code, printed, complaint) = socklab(&[&SHORT[..], &["--json", "-"]].concat());
    assert_eq!(code, 0, "{complaint}");
    let result = parsed(&printed);
    let names: Vec<_> = array(&result["contestants"]).iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["poll", "threads"]);
}

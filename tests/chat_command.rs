//! `socklab server chat`: what the command line and a file say reaches the clients.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::{self, Command, Stdio};

use nix::sys::signal::Signal;
use support::irc::{House, Talker, gather};
use support::way::{Reached, Way, in_every_way};
use support::{Process, on_both_engines};

/// A file of this test's own.
fn file(name: &str, text: &str) -> PathBuf {
    let name = format!("{}-{name}", process::id());
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).expect("it can be written");
    path
}

fn house(way: Way, arguments: &[&str]) -> House {
    House::Process(way.process(&[&["chat"], arguments].concat()))
}

/// Somebody who comes in with a password, and has heard everything that newcomers are told.
fn welcomed(house: &House, nick: &str, password: &str) -> (Talker, Vec<String>) {
    let mut talker = house.call();
    talker.say(&format!("PASS {password}"));
    talker.introduce(nick);
    let lines = talker.flush();
    (talker, lines.iter().map(|line| line.to_string()).collect())
}

fn refusal(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_socklab"))
        .args(["server", "chat", "--port", "0"])
        .args(arguments)
        .output()
        .expect("the binary starts");
    assert!(!output.status.success());
    assert!(output.stdout.is_empty());
    String::from_utf8(output.stderr).expect("UTF-8")
}

in_every_way! {
    fn options_reach_the_clients(way) {
        let name = format!("options-{}-{}.motd", way.engine, way.tls);
        let motd = file(&name, "Be kind.\nBe brief.\n");
        let house = house(way, &[
            "--name", "irc.example.org", "--network", "Example", "--description", "a place to be",
            "--motd", motd.to_str().unwrap(), "--password", "sesame", "--oper", "root:to:or",
            "--admin", "Attic", "--admin", "Nobody in particular",
            "--nick-length", "12", "--channel-length", "20", "--topic-length", "100",
            "--channels-per-client", "3",
        ]);
        let (mut ann, lines) = welcomed(&house, "ann", "sesame");
        assert!(lines[0].starts_with(":irc.example.org 001 ann ") && lines[0].contains("Example"));
        assert!(lines.iter().any(|line| line.contains(" 372 ") && line.ends_with("Be brief.")));
        for token in ["NETWORK=Example", "NICKLEN=12", "CHANNELLEN=20", "TOPICLEN=100", "CHANLIMIT=#&:3"] {
            let told = lines.iter().any(|line| line.contains(&format!(" {token} ")));
            assert!(told, "no {token} in {lines:?}");
        }
        ann.ask("LINKS", &[
            "364 ann irc.example.org irc.example.org :0 a place to be", "365 ann * *",
        ]);
        ann.say("ADMIN");
        ann.hear("256 ann irc.example.org *");
        ann.hear("257 ann Attic");
        ann.hear("258 ann :Nobody in particular");
        ann.flush();
        ann.say("JOIN #a,#b,#c,#d");
        assert!(ann.flush().last().unwrap().is("405 ann #d *"));
        ann.ask("NICK abcdefghijklm", &["432 ann abcdefghijklm *"]);
        // Behind the first colon everything is password.
        ann.say("OPER root to:or");
        ann.skip_to("381 ann *");
        let (_, lines) = welcomed(&house, "ann2", "sesame");
        assert!(lines[0].contains(" 001 ann2 "));
    }
}

on_both_engines! {
    fn a_file_says_the_same_and_the_command_line_wins(engine) {
        let config = file(&format!("file-{engine}.toml"), "\
            name = \"irc.example.org\"\n\
            network = \"File\"\n\
            password = \"sesame\"\n\
            oper = [\"root:toor\"]\n\
            nick-length = 12\n\
            flood = \"off\"\n\
            ping-interval = \"2m\"\n");
        let way = Way { engine, tls: false };
        let house = house(way, &["--config", config.to_str().unwrap(), "--network", "Line"]);
        let (mut ann, lines) = welcomed(&house, "ann", "sesame");
        assert!(lines[0].starts_with(":irc.example.org 001 ann "));
        for token in ["NETWORK=Line", "NICKLEN=12"] {
            assert!(lines.iter().any(|line| line.contains(&format!(" {token} "))), "{lines:?}");
        }
        ann.say("OPER root toor");
        ann.skip_to("381 ann *");
        let mut eve = house.call();
        eve.introduce("eve");
        eve.hear("464 eve *");
        eve.is_shown_out();
    }

    fn a_stop_is_announced(engine) {
        let mut house = Way { engine, tls: false }.process(&["chat"]);
        let mut people: Vec<Talker> = ["ann", "bob"].into_iter().map(|nick| {
            let mut talker = Talker::of(house.call());
            talker.register(nick);
            talker
        }).collect();
        gather("#room", &mut people);
        let mut stranger = Talker::of(house.call());
        stranger.ask("PING here", &["PONG * here"]);
        house.server.signal(Signal::SIGTERM);
        for talker in people.iter_mut().chain([&mut stranger]) {
            let words = talker.last_words();
            assert!(words.last().unwrap().is("ERROR :*shutting down*"), "{words:?}");
            // Everybody goes: nobody needs to hear of the others.
            assert_eq!(words.len(), 1, "{words:?}");
        }
        assert!(house.server.wait().success());
    }

    fn an_address_of_ipv6_does_not_end_the_parameters(engine) {
        let mut command = Process::command(engine, &["--host", "::1", "chat"]);
        command.stderr(Stdio::null());
        let house = Process::spawn(&mut command);
        let address = house.address();
        let house = House::Process(Reached::plain(house, address));
        let mut ann = house.talker("ann");
        ann.say("WHOIS ann");
        ann.hear("311 ann ann ann 0::1 * :ANN in person");
        ann.flush();
        ann.say("USERHOST ann");
        ann.hear("302 ann ann=+ann@0::1");
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_one_line() {
    for (arguments, words) in [
        (&["--oper", "root"][..], "--oper is NAME:PASSWORD"),
        (&["--name", "two words"], "a name has letters"),
        (&["--nick-length", "0"], "a length from"),
        (&["--flood", "much"], "not a pace"),
        (&["--config", "/nowhere/at/all.toml"], "cannot read /nowhere/at/all.toml"),
        (&["--motd", "/nowhere/at/all.motd"], "cannot read /nowhere/at/all.motd"),
    ] {
        let told = refusal(arguments);
        assert!(told.contains(words), "{told}");
    }
    let bad = file("bad.toml", "name = \"irc.example.org\"\nnonsense = 1\n");
    let told = refusal(&["--config", bad.to_str().unwrap()]);
    assert!(told.contains("bad.toml, line 2") && told.contains("nonsense"), "{told}");
    // A password is not repeated.
    let told = refusal(&["--oper", ":secret"]);
    assert!(!told.contains("secret"), "{told}");
}

#[test]
fn other_services_have_no_rooms() {
    let output = Command::new(env!("CARGO_BIN_EXE_socklab"))
        .args(["server", "echo", "--port", "0", "--motd", "x"])
        .output()
        .expect("the binary starts");
    assert!(!output.status.success());
}

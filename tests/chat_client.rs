//! `socklab chat` in a pipe, with servers of every temper.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use assert_cmd::assert::Assert;
use nix::sys::signal::Signal;
use predicates::prelude::*;
use predicates::str::{contains, is_empty, starts_with};
use socklab::client::chat::Lines;
use support::PATIENCE;
use support::chat_host::{chat, host};
use support::run::{Running, SOCKLAB, Scratch, socklab};
use support::talk::{Host, Talker};
use support::tls::{self, Authority};

/// A script with `input`, in `#lab`.
fn script(address: SocketAddr, input: impl Into<Vec<u8>>, arguments: &[&str]) -> Assert {
    let mut command = chat(address, &["--join", "#lab", "--quiet"]);
    command.args(arguments);
    assert_cmd::Command::from_std(command).timeout(PATIENCE).write_stdin(input).assert()
}

/// Exit status 1 and one line that says `why`.
#[track_caller]
fn fails(outcome: Assert, why: &str) {
    let line = predicate::function(|text: &str| text.ends_with('\n') && text.lines().count() == 1);
    let outcome = outcome.code(1).stdout(is_empty()).stderr(line);
    outcome.stderr(starts_with("socklab: ").and(contains(why)));
}

/// Lines without the time that each begins with.
fn without_times(lines: &str) -> Vec<&str> {
    let line = |line: &'_ str| -> usize {
        let shape =
            line.bytes().take(9).map(|byte| if byte.is_ascii_digit() { b'9' } else { byte });
        assert!(shape.eq(*b"99:99:99 "), "{line}");
        9
    };
    lines.lines().map(|text| &text[line(text)..]).collect()
}

#[test]
fn a_line_in_is_a_message_and_a_message_is_a_line_out() {
    let host = host(|irc| {
        irc.let_in();
        irc.enter("#lab", "@bob");
        irc.hears(&["PRIVMSG #lab :hello", "PRIVMSG #lab :\u{1}ACTION waves\u{1}"]);
        irc.hears(&["PRIVMSG #lab :/slash", "PRIVMSG bob :psst", "PRIVMSG #lab :no end"]);
        irc.say(&[
            ":bob!b@h PRIVMSG #lab :hello, nadia",
            ":bob!b@h JOIN #other",
            ":srv NOTICE nadia :not a message",
            ":bob!b@h PRIVMSG nadia :psst",
            ":bob!b@h PRIVMSG #lab :\u{1}ACTION waves\u{1}",
            "@time=2001-09-09T01:46:40.123Z :bob!b@h PRIVMSG #lab :\u{1b}[2Jthen",
        ]);
        irc.farewell();
    });
    let input = "hello\r\n/me waves\n\n//slash\n/msg bob psst\nno end";
    let outcome = script(host.address, input, &[]).success().stderr(is_empty());
    let printed = String::from_utf8_lossy(&outcome.get_output().stdout).into_owned();
    assert!(printed.ends_with("01:46:40 <bob> \u{fffd}[2Jthen\n"), "{printed}");
    let messages = ["<bob> hello, nadia", "(private) <bob> psst", "* bob waves"];
    assert_eq!(without_times(&printed)[..3], messages);
    assert_eq!(printed.lines().count(), 4);
    host.join();
}

#[test]
fn rooms_are_told_apart_where_there_are_several() {
    let host = host(|irc| {
        irc.let_in();
        irc.enter("#lab", "bob");
        irc.enter("#two", "");
        irc.hears(&["PRIVMSG #two :hello"]);
        irc.say(&[":bob!b@h PRIVMSG #lab :hi"]);
        irc.farewell();
    });
    let outcome = script(host.address, "hello\n", &["--join", "two"]);
    outcome.success().stdout(predicates::str::ends_with(" #lab <bob> hi\n"));
    host.join();
}

#[test]
fn nothing_is_said_before_the_room_is_entered() {
    let (entered, may_enter) = mpsc::channel::<()>();
    let host = host(move |irc| {
        irc.let_in();
        assert_eq!(irc.hear(), "JOIN #lab");
        assert!(irc.any().starts_with("PING "), "it waits for the answer");
        may_enter.recv().expect("the test lets it in");
        irc.say(&[":nadia!n@h JOIN #lab", ":srv PONG srv :socklab-1"]);
        irc.hears(&["PRIVMSG #lab :hello"]);
        irc.farewell();
    });
    let mut client = Talker(
        chat(host.address, &["--join", "#lab", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts"),
    );
    client.say(b"hello\n");
    drop(client.0.stdin.take());
    entered.send(()).expect("the server waits");
    assert_eq!(client.end(), (Some(0), String::new()));
    host.join();
}

#[test]
fn no_more_is_said_than_the_server_takes() {
    let host = host(|irc| {
        irc.let_in();
        irc.enter("#lab", "");
        let mut number = 0;
        while number < 1000 {
            let (mut lines, mut bytes) = (0, 0);
            let token = loop {
                let line = irc.any();
                bytes += line.len() + 2;
                match line.strip_prefix("PING ") {
                    Some(token) => break token.to_owned(),
                    None => {
                        assert_eq!(line, format!("PRIVMSG #lab :{number} {}", "x".repeat(300)));
                        (number, lines) = (number + 1, lines + 1);
                    }
                }
            };
            assert!(lines <= 20 && bytes <= 10 * 1024, "{lines} lines, {bytes} bytes at once");
            irc.say(&[&format!(":srv PONG srv {token}")]);
        }
        irc.farewell();
    });
    let input: String = (0..1000).map(|number| format!("{number} {}\n", "x".repeat(300))).collect();
    script(host.address, input, &[]).success().stdout(is_empty()).stderr(is_empty());
    host.join();
}

#[test]
fn what_follows_a_command_waits_for_its_answer() {
    let host = host(|irc| {
        irc.let_in();
        irc.enter("#lab", "");
        irc.hears(&["PRIVMSG #lab :in lab"]);
        irc.enter("#two", "");
        irc.hears(&["PRIVMSG #two :in two"]);
        irc.hears(&["QUIT :good night"]);
    });
    let input = "in lab\n/join #two\nin two\n/quit good night\nnot said\n";
    script(host.address, input, &[]).success().stdout(is_empty());
    host.join();
}

#[test]
fn lines_for_a_room_that_has_thrown_us_out_are_said_nowhere_else() {
    let out: [&[&str]; 2] =
        [&[":bob!b@h KICK #two nadia :out"], &[":nadia!~nadia@localhost PART #two :by the server"]];
    for lines in out {
        let host = host(move |irc| {
            irc.let_in();
            irc.enter("#lab", "");
            irc.enter("#two", "");
            // What follows waits for the answer.
            irc.hears(&["PRIVMSG #two :hello", "NAMES #two"]);
            irc.say(lines);
            irc.say(&[":nadia!~nadia@localhost JOIN #forced"]);
            irc.hears(&["PRIVMSG #lab :open"]);
            irc.farewell();
        });
        let input = "hello\n/names\nsecret\n/me whispers\n/topic hush\n/join #lab\nopen\n";
        let outcome = script(host.address, input, &["--join", "#two"]);
        let why = "3 lines were refused; the first one: you are not in #two any more";
        fails(outcome, why);
        host.join();
    }
}

#[test]
fn lines_for_a_room_that_is_gone_before_the_first_one_are_said_nowhere_else() {
    let host = host(|irc| {
        irc.let_in();
        irc.enter("#lab", "");
        irc.enter("#two", "");
        irc.say(&[":bob!b@h KICK #two nadia :out"]);
        irc.farewell();
    });
    let outcome = script(host.address, "secret\n", &["--join", "#two", "--verbatim"]);
    fails(outcome, "one line was refused: you are not in #two any more");
    host.join();
}

#[test]
fn verbatim_lines_are_no_commands() {
    let host = host(|irc| {
        irc.let_in();
        irc.enter("#lab", "");
        irc.hears(&["PRIVMSG #lab :/quit", "PRIVMSG #lab ://etc", "PRIVMSG #lab :/usr/bin/env"]);
        irc.farewell();
    });
    script(host.address, "/quit\n//etc\n/usr/bin/env\n", &["--verbatim"]).success();
    host.join();
}

#[test]
fn a_listener_stays_until_it_is_interrupted() {
    let (tell, told) = mpsc::channel();
    let host = host(move |irc| {
        irc.let_in();
        irc.enter("#lab", "");
        // Its input has ended long ago.
        irc.say(&["PING :are you there"]);
        assert_eq!(irc.hear(), "PONG :are you there");
        tell.send(()).expect("the test listens");
        irc.hears(&["QUIT"]);
    });
    let mut command = chat(host.address, &["--join", "#lab", "--listen", "--quiet"]);
    let client = Running::spawn(&mut command);
    told.recv_timeout(PATIENCE).expect("it is there");
    client.signal(Signal::SIGINT);
    assert_eq!(client.end(), (130, String::new(), String::new()));
    host.join();
}

#[test]
fn a_reader_who_has_seen_enough_ends_it_quietly() {
    let host = host(|irc| {
        irc.let_in();
        irc.enter("#lab", "");
        loop {
            irc.say(&[":bob!b@h PRIVMSG #lab :hello", "PING x"]);
            if irc.hear() == "QUIT" {
                return;
            }
        }
    });
    let mut client = chat(host.address, &["--join", "#lab", "--listen", "--quiet"]);
    let client = client.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut client = Talker(client.expect("the binary starts"));
    assert!(client.heard(20).ends_with(b"<bob> hello"));
    drop(client.0.stdout.take());
    assert_eq!(client.end(), (Some(0), String::new()));
    host.join();
}

#[test]
fn status_is_told_apart_from_messages() {
    let host = host(|irc| {
        irc.hears(&["CAP LS 302", "NICK nadia", "USER nadia 0 * :nadia"]);
        irc.say(&[":srv 433 * nadia :taken"]);
        irc.hears(&["NICK nadia_"]);
        irc.say(&[":srv 001 nadia_ :Welcome"]);
        irc.hears(&["JOIN #lab"]);
        irc.say(&[":nadia_!n@h JOIN #lab", ":srv 332 nadia_ #lab :work"]);
        irc.farewell();
    });
    let mut command = chat(host.address, &["--join", "#lab"]);
    let outcome = assert_cmd::Command::from_std({
        command.stdin(Stdio::null());
        command
    })
    .timeout(PATIENCE)
    .assert();
    let outcome = outcome.success().stdout(is_empty());
    let told = String::from_utf8_lossy(&outcome.get_output().stderr).into_owned();
    assert_eq!(
        without_times(&told),
        [
            "-- the nick nadia is not to be had; trying nadia_",
            "-- the server has let you in as nadia_",
            "-- nadia_ has entered #lab",
            "-- the topic of #lab: work",
        ]
    );
    host.join();
}

#[test]
fn refusals_before_the_door_are_told_in_one_line() {
    let cases: [(&[&str], &str); 6] = [
        (&[":srv 464 * :Bad password", "ERROR :Closing Link"], "--password-file"),
        (&[":srv 465 * :go away", "ERROR :Closing Link"], "you are banned: go away"),
        (&["ERROR :Trying to reconnect too fast"], "(Trying to reconnect too fast)"),
        (&[":srv 432 * nadia :Erroneous Nickname"], "choose another one with --nick"),
        (&["HTTP/1.1 400 Bad Request", "Content-Length: 0", ""], "check --port"),
        (&[], "it may be no chat server: check --port"),
    ];
    for (lines, why) in cases {
        let host = host(move |irc| {
            irc.hears(&["CAP LS 302", "NICK nadia", "USER nadia 0 * :nadia"]);
            irc.say(lines);
        });
        let place = format!("cannot enter {}: ", host.address);
        let outcome = script(host.address, "hello\n", &[]).stderr(contains(place));
        fails(outcome, why);
        host.join();
    }
}

#[test]
fn a_nick_that_is_taken_in_every_way_is_told() {
    let host = host(|irc| {
        irc.hears(&["CAP LS 302", "NICK nadia", "USER nadia 0 * :nadia"]);
        for _ in 0..4 {
            irc.say(&[":srv 433 * x :taken"]);
            assert!(irc.hear().starts_with("NICK nadia_"));
        }
        irc.say(&[":srv 433 * x :taken"]);
        assert_eq!(irc.any(), "");
    });
    fails(script(host.address, "hello\n", &[]), "choose another one with --nick");
    host.join();
}

#[test]
fn a_server_that_never_lets_us_in_is_left_after_the_timeout() {
    let (release, held) = mpsc::channel::<()>();
    let host = host(move |irc| {
        irc.say(&[":srv NOTICE * :Looking up your hostname"]);
        let _ = held.recv();
    });
    let outcome = script(host.address, "hello\n", &["--timeout", "250ms"]);
    fails(outcome, "it has not let us in within 250 ms; it may be no chat server");
    drop(release);
    host.join();
}

#[test]
fn nobody_there_is_told_in_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    let address = listener.local_addr().expect("it is bound");
    drop(listener);
    fails(script(address, "hello\n", &[]), "connection refused; nobody listens there");
}

#[test]
fn a_room_that_is_closed_ends_a_script() {
    let host = host(|irc| {
        irc.let_in();
        irc.hears(&["JOIN #lab"]);
        irc.say(&[":srv 475 nadia #lab :Cannot join channel (+k)"]);
        irc.any();
    });
    fails(script(host.address, "hello\n", &[]), "cannot enter #lab: #lab needs a key");
    host.join();
}

#[test]
fn lines_that_are_refused_are_counted() {
    let host = host(|irc| {
        irc.let_in();
        irc.enter("#lab", "");
        irc.hears(&["PRIVMSG #lab :hello"]);
        irc.say(&[":srv 404 nadia #lab :Cannot send to channel"]);
        irc.hears(&["PRIVMSG ann :hello"]);
        irc.say(&[":srv 401 nadia ann :No such nick"]);
        irc.farewell();
    });
    let outcome = script(host.address, "hello\n/msg ann hello\n/foo\n", &[]);
    fails(outcome, "3 lines were refused; the first one: ");
    host.join();
}

#[test]
fn a_server_that_ends_it_is_told_with_its_reason() {
    let cases: [(&[&str], &str); 3] = [
        (&["ERROR :Excess Flood"], "the server has ended the connection: Excess Flood"),
        (&[], "did not say why"),
        (&[":bob!b@h KICK #lab nadia :spam"], "bob has thrown us out of #lab (spam)"),
    ];
    for (lines, why) in cases {
        let host = host(move |irc| {
            irc.let_in();
            irc.enter("#lab", "");
            irc.hears(&["PRIVMSG #lab :hello"]);
            irc.say(lines);
        });
        fails(script(host.address, "hello\n", &["--listen"]), why);
        host.join();
    }
}

#[test]
fn the_servers_end_is_told_once_with_advice_where_that_helps() {
    let cases: [(&[&str], &str); 3] = [
        (&["ERROR :Killed (eve (spam))"], ": Killed (eve (spam))\n"),
        (&["ERROR :"], " and did not say why; call again later\n"),
        (&[], " and did not say why; call again later\n"),
    ];
    for (lines, end) in cases {
        let host = host(move |irc| {
            irc.let_in();
            irc.enter("#lab", "");
            irc.hear_question();
            irc.say(lines);
        });
        let mut command = chat(host.address, &["--join", "#lab", "--listen"]);
        let (code, _, told) = Running::spawn(&mut command).end();
        assert_eq!(code, 1);
        let last = format!("socklab: the server has ended the connection{end}");
        assert!(told.ends_with(&last), "{told}");
        assert_eq!(told.matches("the connection").count(), 1, "{told}");
        host.join();
    }
}

#[test]
fn a_server_that_says_it_ends_the_connection_is_not_waited_for() {
    let (release, held) = mpsc::channel::<()>();
    let host = host(move |irc| {
        irc.let_in();
        irc.enter("#lab", "");
        irc.hear_question();
        irc.say(&["ERROR :Killed (eve (spam))"]);
        let _ = held.recv();
    });
    let outcome = script(host.address, "", &["--listen"]);
    fails(outcome, "the server has ended the connection: Killed (eve (spam))");
    drop(release);
    host.join();
}

#[test]
fn who_leaves_without_a_reason_is_told_without_one() {
    let host = host(|irc| {
        irc.let_in();
        irc.enter("#lab", "ann bob");
        irc.say(&[":ann!a@h QUIT :Quit: ", ":bob!b@h QUIT :Quit: gone fishing"]);
        irc.farewell();
    });
    let (_, _, told) = Running::spawn(&mut chat(host.address, &["--join", "#lab"])).end();
    let told = without_times(&told);
    assert!(told.ends_with(&["-- ann is gone", "-- bob is gone (Quit: gone fishing)"]), "{told:?}");
    host.join();
}

#[test]
fn passwords_come_from_where_nobody_looks() {
    let server = || {
        host(|irc| {
            irc.hears(&["CAP LS 302", "PASS :open sesame", "NICK nadia"]);
            irc.say(&[":srv 001 nadia :Welcome"]);
            irc.hears(&["USER nadia 0 * :nadia"]);
            irc.farewell();
        })
    };
    let file = Scratch::holding("open sesame\r\nanother line\n");
    let given: [&[&str]; 3] =
        [&["--password", "open sesame"], &["--password-file", file.path()], &[]];
    for arguments in given {
        let host = server();
        let mut command = chat(host.address, arguments);
        if arguments.is_empty() {
            command.env("SOCKLAB_CHAT_PASSWORD", "open sesame");
        }
        let (code, _, complaint) = Running::spawn(&mut command).end();
        assert_eq!(code, 0, "{complaint}");
        host.join();
    }
}

#[test]
fn wrong_usage_has_exit_status_2() {
    let cases: [&[&str]; 6] = [
        &["--nick", "two words"],
        &["--nick", ""],
        &["--join", "#a b c"],
        &["--join", "#a\nQUIT"],
        &["--verbatim"],
        &["--insecure"],
    ];
    for arguments in cases {
        let (code, printed, complaint) = socklab(&[&["chat"], arguments].concat());
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {complaint}");
    }
}

#[test]
fn plain_talk_to_a_server_in_tls_and_the_other_way_is_told() {
    let encrypted = Host::of(|mut stream| {
        let _ = stream.read(&mut [0; 512]);
        stream.write_all(&[21, 3, 3, 0, 2, 2, 70]).expect("the client reads");
    });
    fails(script(encrypted.address, "", &[]), "the server speaks TLS on this port; add --tls");
    encrypted.join();
    let plain = host(|irc| {
        irc.any();
        irc.say(&["ERROR :what is this"]);
    });
    fails(script(plain.address, "", &["--tls", "--insecure"]), "TLS");
    plain.join();
}

#[test]
fn it_talks_in_tls_as_well() {
    let authority = Authority::new();
    let server = tls::host(authority.identity().config(), |mut peer| {
        let mut lines = Lines::default();
        let mut chunk = [0; 512];
        let mut left = false;
        while !left {
            let n = peer.read(&mut chunk).expect("the client speaks");
            let mut answers = Vec::new();
            lines.split(&chunk[..n], |line| {
                let line = String::from_utf8_lossy(line);
                match line.split_once(' ').unwrap_or((&line, "")) {
                    ("USER", _) => answers.push(":srv 001 nadia :Welcome".into()),
                    ("JOIN", room) => answers.push(format!(":nadia!n@h JOIN {room}")),
                    ("PRIVMSG", text) => answers.push(format!(":bob!b@h PRIVMSG {text}, too")),
                    ("PING", token) => answers.push(format!(":srv PONG srv {token}")),
                    ("QUIT", _) => left = true,
                    _ => {}
                }
            });
            for answer in answers {
                write!(peer, "{answer}\r\n").expect("the client reads");
            }
        }
        tls::end(&mut peer);
    });
    let trust = ["--tls", "--ca", &authority.file()];
    let outcome = script(server.address, "hello\n", &trust).success().stderr(is_empty());
    let printed = String::from_utf8_lossy(&outcome.get_output().stdout).into_owned();
    assert_eq!(without_times(&printed), ["<bob> hello, too"]);
    server.join();
}

/// A real server, ended when it is dropped.
struct Ngircd {
    server: Child,
    address: SocketAddr,
    _file: Scratch,
}

impl Ngircd {
    fn start() -> Ngircd {
        // It cannot choose a port itself.
        let free = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let file = Scratch::holding(&format!(
            "[Global]\nName = irc.lab.example\nInfo = test\nListen = 127.0.0.1\nPorts = {}\n\
             MotdPhrase = Welcome to the lab\n[Limits]\nMaxConnectionsIP = 0\n\
             [Options]\nDNS = no\nIdent = no\nPAM = no\n",
            address.port()
        ));
        let mut server = Command::new("/usr/sbin/ngircd")
            .args(["--nodaemon", "--config", file.path()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("ngircd is installed");
        let mut log = BufReader::new(server.stdout.take().expect("it is piped")).lines();
        let ready = log.by_ref().map_while(Result::ok).any(|line| line.contains("ready"));
        assert!(ready, "ngircd starts");
        // It must not wait for us.
        thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        Ngircd { server, address, _file: file }
    }
}

impl Drop for Ngircd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
#[ignore = "needs ngircd"]
fn a_real_server_relays_what_is_said() {
    let server = Ngircd::start();
    let port = server.address.port().to_string();
    let bob = Command::new(SOCKLAB)
        .args(["chat", "--host", "127.0.0.1", "--port", &port, "--nick", "bob"])
        .args(["--join", "#lab", "--listen"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut bob = Talker(bob.expect("the binary starts"));
    let mut status = BufReader::new(bob.0.stderr.take().expect("it is piped")).lines();
    let entered = |line: String| line.ends_with("-- bob has entered #lab");
    assert!(status.by_ref().map_while(Result::ok).any(entered));
    // He must not wait for us.
    thread::spawn(move || status.map_while(Result::ok).for_each(drop));
    let mut heard = BufReader::new(bob.0.stdout.take().expect("it is piped")).lines();
    let mut seen = String::new();
    let long = "你好，".repeat(200);
    script(server.address, format!("hello\n/me waves\n{long}\n"), &[]).success();
    while !seen.ends_with(&long) {
        let line = heard.next().expect("there is more").expect("it is UTF-8");
        let (time, said) = line.split_once(' ').expect("a time stands before it");
        assert_eq!(time.len(), 8);
        match said {
            "<nadia> hello" | "* nadia waves" => {}
            part => seen += part.strip_prefix("<nadia> ").expect("nobody else speaks"),
        }
    }
}

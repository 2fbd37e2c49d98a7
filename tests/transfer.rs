//! `socklab get`, with servers of every temper.

mod support;

use std::fs;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::sync::mpsc;

use nix::sys::signal::Signal;
use support::http_host::{Door, Home, Site, bare, digest, whole};
use support::run::{Ending, failed_in_one_line};
use support::tls::Authority;
use support::{eventually, pattern};

/// Longer than any buffer on the way.
const LENGTH: usize = 3_000_000;

const TAG: &str = "ETag: \"one\"\r\n";

/// A server that says no SHA-256.
const UNKNOWN: &str = "HTTP/1.1 200 OK\r\nETag: \"one\"\r\n\r\n";

#[track_caller]
fn arrived((code, printed, told): &Ending, parts: &[&str]) {
    assert_eq!((*code, printed.as_str(), told.lines().count()), (0, "", 1), "{told}");
    for part in parts {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
}

/// A range of the file, as it was asked for.
fn partial(range: &str, fields: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {range}\r\nContent-Length: {length}\r\n\
         {fields}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// What became of a second attempt, after the first was cut off `at`; `script` is how the server goes
/// on. The home is as that left it.
#[track_caller]
fn again(
    file: &[u8],
    at: usize,
    script: impl FnOnce(&mut Door) + Send + 'static,
) -> (Home, Ending) {
    let home = Home::new();
    home.write("file", b"before");
    let mut start = whole(TAG, file);
    start.truncate(start.len() - file.len() + at);
    let site = Site::of(move |door| {
        let mut caller = door.caller();
        assert_eq!(caller.answers("GET /file", start).field("Range"), "");
        caller.ends();
        script(door);
    });
    let first = home.run(&["get", &site.url("file")]);
    failed_in_one_line(&first, &["the connection was cut after", "run it again to go on there"]);
    assert_eq!(home.names(), ["file", "file.part", "file.part.json"]);
    assert!(home.read("file.part") == file[..at] && home.read("file") == b"before");
    let second = home.run(&["get", &site.url("file")]);
    site.join();
    (home, second)
}

#[test]
fn a_file_comes_whole_under_the_name_in_its_url() {
    let file = pattern(1, LENGTH);
    let (home, sent) = (Home::new(), whole(&format!("{TAG}{}", digest(&file)), &file));
    let site = Site::of(move |door| {
        let address = door.address().to_string();
        let request = door.caller().answers("GET /a/my%20file?x=y", sent);
        assert_eq!(request.field("Host"), address);
        assert_eq!(request.field("Accept-Encoding"), "identity");
        assert_eq!(request.field("Want-Repr-Digest"), "sha-256=10");
    });
    let url = site.url("a/my file?x=y");
    arrived(&home.run(&["get", &url]), &["my file  3.00 MB in ", ", SHA-256 checked"]);
    assert_eq!(home.names(), ["my file"]);
    assert!(home.read("my file") == file);
    site.join();
}

#[test]
fn a_body_in_any_framing_is_the_same_file() {
    let file = pattern(2, 300_000);
    let mut chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for (index, chunk) in file.chunks(70_001).enumerate() {
        let size = chunk.len();
        let size = if index % 2 == 0 { format!("{size:X};x=\"y\"") } else { format!("00{size:x}") };
        chunked.extend([size.as_bytes(), b"\r\n", chunk, b"\r\n"].concat());
    }
    chunked.extend(b"0\r\nX-Trailer: 1\r\n\r\n");
    let until_close = [b"HTTP/1.0 200 OK\n\n", &file[..]].concat();
    for answer in [whole("", &file), chunked, until_close] {
        for cuts in [vec![1, 7, 17, 100, 40_000], vec![200_000], vec![]] {
            for tls in [false, true] {
                let authority = Authority::new();
                let (home, sent, cuts) = (Home::new(), answer.clone(), cuts.clone());
                let config = authority.identity().config();
                let site = Site::of(move |door| {
                    let mut caller = if tls { door.tls_caller(config) } else { door.caller() };
                    caller.asks("GET /file");
                    let mut rest = &sent[..];
                    for cut in cuts {
                        let (now, later) = rest.split_at(cut);
                        caller.says(now);
                        rest = later;
                    }
                    caller.says(rest);
                    caller.ends();
                });
                let url = if tls { site.tls_url("file") } else { site.url("file") };
                let trust = ["--ca", &authority.file()];
                let trust = if tls { &trust[..] } else { &[] };
                arrived(&home.run(&[&["get", &url], trust].concat()), &["file  300 KB"]);
                assert!(home.read("file") == file && home.names() == ["file"]);
                site.join();
            }
        }
    }
}

#[test]
fn what_is_cut_off_is_no_file() {
    let chunked =
        |body: &str| format!("HTTP/1.1 200 OK\r\n{TAG}Transfer-Encoding: chunked\r\n\r\n{body}");
    let until_close = format!("HTTP/1.1 200 OK\r\n{TAG}\r\nfive!");
    let sized = format!("HTTP/1.1 200 OK\r\n{TAG}Content-Length: 9\r\n\r\nfive!");
    for (answer, tls) in [
        (sized.clone(), false),
        (sized, true),
        (chunked("5\r\nfive!"), false),
        (chunked("5\r\nfive!\r\n"), false),
        (chunked("5\r\nfive!\r\n0\r\n"), false),
        (chunked("9\r\nfive!"), true),
        // TCP cannot tell this one from a whole file.
        (until_close, true),
    ] {
        let authority = Authority::new();
        let (home, config) = (Home::new(), authority.identity().config());
        home.write("file", b"before");
        let said = answer.clone();
        let site = Site::of(move |door| {
            let mut caller = if tls { door.tls_caller(config) } else { door.caller() };
            caller.answers("GET /file", said);
            caller.cuts_off();
        });
        let url = if tls { site.tls_url("file") } else { site.url("file") };
        let trust = ["--ca", &authority.file()];
        let trust = if tls { &trust[..] } else { &[] };
        let ending = home.run(&[&["get", &url], trust].concat());
        let kept = "file.part has 5 B: run it again to go on there";
        failed_in_one_line(&ending, &["the connection was cut after 5 B", kept]);
        assert_eq!(
            (home.read("file.part"), home.read("file")),
            (b"five!".to_vec(), b"before".to_vec())
        );
        site.join();
    }
}

#[test]
fn an_interrupted_file_is_gone_on_with() {
    let file = pattern(3, LENGTH);
    for at in [1, 1_000_000, LENGTH - 1] {
        let (range, rest) = (format!("{at}-{}/{LENGTH}", LENGTH - 1), file[at..].to_vec());
        let sum = digest(&file);
        let (home, ending) = again(&file, at, move |door| {
            let mut caller = door.caller();
            let request = caller.answers("GET /file", partial(&range, TAG, &rest));
            assert_eq!(request.field("Range"), format!("bytes={at}-"));
            assert_eq!(request.field("If-Range"), "\"one\"");
            caller.answers("HEAD /file", bare("200 OK", &format!("{TAG}{sum}")));
        });
        arrived(&ending, &["file  3.00 MB, the last ", ", SHA-256 checked"]);
        assert_eq!(home.names(), ["file"]);
        assert!(home.read("file") == file);
    }
}

#[test]
fn a_server_may_give_less_than_the_rest() {
    let file = pattern(4, 1000);
    let parts = [(100, 400), (400, 999), (999, 1000)];
    let sent = file.clone();
    let (home, ending) = again(&file, 100, move |door| {
        let mut caller = door.caller();
        for (first, end) in parts {
            let range = format!("{first}-{}/1000", end - 1);
            let request = caller.answers("GET /file", partial(&range, TAG, &sent[first..end]));
            assert_eq!(request.field("Range"), format!("bytes={first}-"));
        }
        caller.answers("HEAD /file", UNKNOWN);
    });
    arrived(&ending, &["file  1.00 KB, the last 900 B"]);
    assert!(home.read("file") == file);
}

#[test]
fn what_changes_between_two_parts_comes_anew() {
    let (old, new) = (pattern(4, 1000), pattern(5, 700));
    let (first, second) = (old[100..400].to_vec(), new.clone());
    let (home, ending) = again(&old, 100, move |door| {
        let mut caller = door.caller();
        caller.answers("GET /file", partial("100-399/1000", TAG, &first));
        let answer = whole(&format!("ETag: \"two\"\r\n{}", digest(&second)), &second);
        assert_eq!(caller.answers("GET /file", answer).field("Range"), "bytes=400-");
    });
    arrived(&ending, &["file  700 B in ", "SHA-256 checked"]);
    assert!(home.read("file") == new && home.names() == ["file"]);
}

#[test]
fn what_has_changed_meanwhile_comes_anew() {
    let (old, new) = (pattern(5, 1000), pattern(6, 800));
    let sent = new.clone();
    let (home, ending) = again(&old, 500, move |door| {
        let request = door.caller().answers("GET /file", whole("ETag: \"two\"\r\n", &sent));
        assert_eq!(request.field("If-Range"), "\"one\"");
    });
    arrived(&ending, &["file  800 B in "]);
    assert_eq!((home.read("file") == new, home.names().len()), (true, 1));
}

#[test]
fn another_range_than_the_one_asked_for_is_not_believed() {
    let file = pattern(7, 1000);
    for (range, fields, from) in [
        ("499-999/1000", TAG, 499),
        ("501-999/1000", TAG, 501),
        ("500-999/1001", TAG, 500),
        ("500-998/1000", TAG, 500),
        ("500-999/1000", "ETag: \"two\"\r\n", 500),
        ("0-999/1000", TAG, 0),
        ("nonsense", TAG, 500),
    ] {
        let sent = file.clone();
        let (home, (code, _, told)) = again(&file, 500, move |door| {
            let mut caller = door.caller();
            caller.answers("GET /file", partial(range, fields, &sent[from..]));
            let request = caller.answers("GET /file", whole(TAG, &sent));
            assert_eq!(request.field("Range"), "");
        });
        assert_eq!(code, 0, "{range}: {told}");
        assert!(told.contains("another part than was asked for"), "{told}");
        assert!(home.read("file") == file, "{range}");
    }
}

#[test]
fn a_part_that_has_everything_is_the_file() {
    let file = pattern(8, 1000);
    // As if all had come, but for the rename.
    let (sent, sum) = (file.clone(), digest(&file));
    let home = Home::new();
    let site = Site::of(move |door| {
        let mut caller = door.caller();
        caller.answers("GET /file", &whole(TAG, &sent)[..500]);
        caller.ends();
        let mut caller = door.caller();
        let answer = bare("416 Range Not Satisfiable", "Content-Range: bytes */1000\r\n");
        assert_eq!(caller.answers("GET /file", answer).field("Range"), "bytes=1000-");
        caller.answers("HEAD /file", bare("200 OK", &format!("{TAG}{sum}")));
    });
    assert_eq!(home.run(&["get", &site.url("file")]).0, 1);
    home.write("file.part", &file);
    arrived(&home.run(&["get", &site.url("file")]), &["SHA-256 checked"]);
    assert!(home.read("file") == file && home.names() == ["file"]);
    site.join();
}

#[test]
fn a_wrong_digest_is_exit_status_3_and_leaves_the_old_file() {
    let (file, other) = (pattern(9, LENGTH), pattern(10, LENGTH));
    for ahead in [true, false] {
        let (sent, sum) = (file.clone(), digest(&other));
        let home = Home::new();
        home.write("file", b"before");
        let site = Site::of(move |door| {
            let mut caller = door.caller();
            match ahead {
                true => drop(caller.answers("GET /file", whole(&sum, &sent))),
                false => {
                    caller.answers("GET /file", whole(TAG, &sent));
                    caller.answers("HEAD /file", bare("200 OK", &format!("{TAG}{sum}")));
                }
            }
        });
        let (code, printed, told) = home.run(&["get", &site.url("file")]);
        assert_eq!((code, printed.as_str(), told.lines().count()), (3, "", 1), "{told}");
        assert!(
            told.contains("its SHA-256 is ") && told.contains("file.part was removed"),
            "{told}"
        );
        assert_eq!((home.read("file"), home.names().len()), (b"before".to_vec(), 1));
        site.join();
    }
}

#[test]
fn a_digest_of_something_newer_is_no_judgement() {
    let home = Home::new();
    let site = Site::of(|door| {
        let mut caller = door.caller();
        caller.answers("GET /file", whole(TAG, b"one"));
        caller
            .answers("HEAD /file", bare("200 OK", &format!("ETag: \"two\"\r\n{}", digest(b"two"))));
    });
    let ending = home.run(&["get", &site.url("file")]);
    arrived(&ending, &["file  3 B"]);
    assert!(!ending.2.contains("SHA-256"), "{}", ending.2);
    site.join();
}

#[test]
fn several_files_come_on_one_connection() {
    let home = Home::new();
    let site = Site::of(|door| {
        let mut caller = door.caller();
        caller.answers("GET /a", whole("", b"first"));
        // It gives no digests, and is not asked again.
        caller.answers("HEAD /a", UNKNOWN);
        caller.answers("GET /b", "HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno!");
        caller.answers("GET /c", whole("Connection: close\r\n", b"third"));
        drop(caller);
        let mut caller = door.caller();
        caller.answers("GET /d", whole("", b"fourth"));
        caller.answers("HEAD /d", UNKNOWN);
        // Which the client learns only when it asks for the next one.
        drop(caller);
        door.caller().answers("GET /e", whole("Connection: close\r\n", b"fifth"));
    });
    let urls = ["a", "b", "c", "d", "e"].map(|name| site.url(name));
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    fs::create_dir(home.path("in")).expect("there is space");
    let (code, _, told) = home.run(&[&["get", "-d", "in"], &urls[..]].concat());
    assert_eq!((code, told.lines().count()), (1, 5), "{told}");
    assert!(
        told.contains("socklab: the server refused GET ") && told.contains("/b: 404 Not Found\n")
    );
    let read = ["in/a", "in/c", "in/d", "in/e"].map(|name| home.read(name));
    assert_eq!(read.concat(), b"firstthirdfourthfifth");
    site.join();
}

#[test]
fn redirects_are_followed_but_not_for_ever_nor_out_of_tls() {
    let home = Home::new();
    let site = Site::of(|door| {
        let there = format!("http://{}/b/x", door.address());
        let mut caller = door.caller();
        caller.answers("GET /a", bare("301 Moved", &format!("Location: {there}\r\n")));
        caller.answers("GET /b/x", bare("308 Moved", "Location: ../c?d#e\r\n"));
        caller.answers("GET /c?d", whole("Connection: close\r\n", b"found"));
    });
    arrived(&home.run(&["get", &site.url("a")]), &["a  5 B"]);
    assert_eq!((home.read("a"), home.names().len()), (b"found".to_vec(), 1));
    site.join();

    let site = Site::of(|door| {
        let mut caller = door.caller();
        for _ in 0..=10 {
            caller.answers("GET /a", bare("302 Found", "Location: a\r\n"));
        }
    });
    failed_in_one_line(&home.run(&["get", &site.url("a")]), &["one redirect too many"]);
    site.join();

    let authority = Authority::new();
    let config = authority.identity().config();
    let site = Site::of(|door| {
        let location = "Location: http://127.0.0.1/\r\n";
        door.tls_caller(config).answers("GET /a", bare("302 Found", location));
    });
    let ending = home.run(&["get", "--ca", &authority.file(), &site.tls_url("a")]);
    failed_in_one_line(&ending, &["leads to http://127.0.0.1/", "it leads out of TLS"]);
    site.join();

    for location in ["", "Location: ftp://x/\r\n", "Location: http://me@x/\r\n"] {
        let site = Site::of(move |door| {
            door.caller().answers("GET /a", bare("302 Found", location));
        });
        failed_in_one_line(
            &home.run(&["get", &site.url("a")]),
            &["302 Found"][..location.is_empty().into()],
        );
        site.join();
    }
}

#[test]
fn what_is_no_http_is_told_in_one_line() {
    let endless = format!("HTTP/1.1 200 OK\r\nX: {}", "x".repeat(100_000));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(1000));
    // Also where the end has come along with the rest.
    let long = format!("{endless}\r\nContent-Length: 0\r\n\r\n");
    let extended = format!(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;{}\r\nx\r\n0\r\n\r\n",
        "x".repeat(5000)
    );
    for (said, why) in [
        ("SSH-2.0-OpenSSH_9.2\r\n", "does not begin with HTTP"),
        ("", "closed the connection without an answer"),
        ("HTTP/1.1 200 OK\r\nA: b\r\n", "cut off"),
        ("HTTP/1.1 xyz\r\n\r\n", "in the head of its answer"),
        ("HTTP/1.1 200 OK\r\nA b\r\n\r\n", "in the head of its answer"),
        (&endless, "has no end"),
        (&long, "has no end"),
        (&extended, "has no end"),
        (&many, "in the head of its answer"),
        ("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "Content-Length is no number"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", "is no number"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "a Content-Length and a Transfer-Encoding",
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "is not chunked"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "chunk is no number"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", "chunk is no number"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
            "longer than it said",
        ),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", "304 Not Modified"),
        ("HTTP/1.1 206 Partial\r\nContent-Length: 1\r\n\r\nx", "206 Partial"),
    ] {
        let (home, said) = (Home::new(), said.to_owned());
        let site = Site::of(move |door| {
            let mut caller = door.caller();
            caller.answers("GET /file", said);
            caller.ends();
        });
        failed_in_one_line(&home.run(&["get", &site.url("file")]), &[why]);
        assert!(home.names().is_empty(), "{why}: {:?}", home.names());
        site.join();
    }
}

#[test]
fn a_refusal_is_told_with_what_the_server_says_and_leaves_nothing() {
    let home = Home::new();
    let site = Site::of(|door| {
        let text = "Content-Type: text/plain; charset=utf-8\r\nContent-Length: 22\r\n";
        let answer = format!("HTTP/1.1 403 Forbidden\r\n{text}\r\nnot \u{1b}[2Jyou\nand more");
        door.caller().answers("GET /file", answer);
        let answer =
            "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\n404 Not Found: gone\n";
        door.caller().answers("GET /file", answer);
    });
    let url = site.url("file");
    let why = format!("socklab: the server refused GET {url}: 403 Forbidden: not \u{fffd}[2Jyou\n");
    failed_in_one_line(&home.run(&["get", &url]), &[&why]);
    // What many of them say twice is told once.
    let why = format!("socklab: the server refused GET {url}: 404 Not Found: gone\n");
    failed_in_one_line(&home.run(&["get", &url]), &[&why]);
    assert!(home.names().is_empty());
    site.join();
}

#[test]
fn a_silent_server_is_left_and_the_part_kept() {
    let home = Home::new();
    let (leave, left) = mpsc::channel::<()>();
    let site = Site::of(move |door| {
        let mut caller = door.caller();
        caller.answers("GET /file", &whole(TAG, b"hello world")[..40 + TAG.len()]);
        let _ = left.recv();
        // Another one that says nothing at all, whom nobody else is tried on.
        let mut silent = door.caller();
        silent.request();
        silent.rest();
    });
    let (a, b) = (site.url("file"), site.url("b"));
    let ending = home.run(&["get", "--timeout", "300ms", &a]);
    failed_in_one_line(&ending, &["nothing moved for 300 ms", "run it again to go on there"]);
    assert_eq!(home.read("file.part"), b"h");
    drop(leave);
    let ending = home.run(&["get", "--timeout", "300ms", "--into", ".", &b, &a]);
    failed_in_one_line(&ending, &["nothing moved for 300 ms", "the last file was not tried"]);
    site.join();
}

#[test]
fn ctrl_c_keeps_the_part_and_says_how_to_go_on() {
    let home = Home::new();
    let site = Site::of(move |door| {
        let mut caller = door.caller();
        caller.answers("GET /file", &whole(TAG, &pattern(1, LENGTH))[..1_000_000]);
        caller.rest();
    });
    let running = home.start(&["get", &site.url("file")]);
    let length = || fs::metadata(home.path("file.part")).map_or(0, |about| about.len());
    eventually("most has come", || length() > 900_000);
    running.signal(Signal::SIGINT);
    let (code, printed, told) = running.end();
    assert_eq!((code, printed.as_str()), (130, ""));
    let kept = "socklab: interrupted; file.part has 1.00 MB: run it again to go on there\n";
    assert_eq!(told, kept);
    site.join();
}

#[test]
fn standard_output_takes_it_as_it_comes() {
    let home = Home::new();
    let site = Site::of(|door| {
        let mut caller = door.caller();
        caller.answers("GET /a", whole(&digest(b"hello\n"), b"hello\n"));
        door.caller().answers("GET /a", whole(&digest(b"hello\n"), b"jello\n"));
    });
    let ending = home.run(&["get", &site.url("a"), "-"]);
    assert_eq!((ending.0, ending.1.as_str()), (0, "hello\n"));
    assert!(ending.2.starts_with("standard output  6 B in "), "{}", ending.2);
    let ending = home.run(&["get", "-q", &site.url("a"), "-"]);
    assert_eq!((ending.0, ending.1.as_str()), (3, "jello\n"));
    assert!(ending.2.contains("what was written is wrong"), "{}", ending.2);
    assert!(home.names().is_empty());
    site.join();
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure() {
    let home = Home::new();
    let site = Site::of(|door| {
        let mut caller = door.caller();
        caller.answers("GET /a", whole(TAG, &pattern(1, 10 * LENGTH)));
    });
    let url = site.url("a");
    let line = format!(
        "{} get {url} - | head -c 5 | wc -c; exit ${{PIPESTATUS[0]}}",
        support::run::SOCKLAB
    );
    let outcome =
        assert_cmd::Command::new("bash").args(["-c", &line]).timeout(support::PATIENCE).assert();
    outcome.success().stdout("5\n").stderr("");
    drop(home);
    site.join();
}

#[test]
fn a_file_goes_where_it_is_told() {
    let home = Home::new();
    fs::create_dir(home.path("in")).expect("there is space");
    home.write("held", b"before");
    symlink("held", home.path("link")).expect("it can be linked");
    let site = Site::of(|door| {
        for _ in 0..6 {
            door.caller().answers("GET /..%2Fa", whole("Connection: close\r\n", b"file"));
        }
    });
    let url = site.url("..%2Fa");
    for place in [&["other"][..], &["in"], &["in/"], &["link"], &[], &["/dev/null"]] {
        arrived(&home.run(&[&["get", &url], place].concat()), &["  4 B in "]);
    }
    assert_eq!(home.names(), [".._a", "held", "in", "link", "other"]);
    // What a link leads to is replaced, and not the link.
    assert!(home.path("link").is_symlink());
    for name in [".._a", "held", "other", "in/.._a"] {
        assert_eq!(home.read(name), b"file", "{name}");
    }
    let null = fs::metadata("/dev/null").expect("Linux has it").file_type();
    assert!(null.is_char_device());
    site.join();
}

#[test]
fn a_part_that_is_not_ours_is_not_touched() {
    let home = Home::new();
    home.write("file.part", b"somebody's");
    let url = "http://127.0.0.1:1/file";
    failed_in_one_line(&home.run(&["get", url]), &["file.part is in the way", "move it"]);
    fs::remove_file(home.path("file.part")).expect("it is there");
    symlink("/dev/null", home.path("file.part")).expect("it can be linked");
    assert_eq!(home.run(&["get", url]).0, 1);
    assert!(home.path("file.part").is_symlink());
}

#[test]
fn a_part_of_something_else_is_of_no_use_but_stays_until_it_is_replaced() {
    let home = Home::new();
    let site = Site::of(|door| {
        let mut caller = door.caller();
        caller.answers("GET /one", &whole(TAG, b"file one")[..55]);
        caller.ends();
        assert_eq!(
            door.caller().answers("GET /none", bare("404 Not Found", "")).field("Range"),
            ""
        );
        let answer = whole("Connection: close\r\n", b"file two");
        assert_eq!(door.caller().answers("GET /two", answer).field("Range"), "");
    });
    for (name, status, left) in
        [("one", 1, "file.part"), ("none", 1, "file.part"), ("two", 0, "file")]
    {
        assert_eq!(home.run(&["get", &site.url(name), "file"]).0, status);
        assert_eq!(home.names()[0], left);
    }
    assert_eq!(home.read("file"), b"file two");
    site.join();
}

#[test]
fn without_a_strong_validator_there_is_nothing_to_go_on_from() {
    let dated = |changed: &str| {
        format!(
            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nLast-Modified: Sun, 06 Nov 1994 08:49:{changed} GMT\r\n"
        )
    };
    for (fields, kept) in [
        (String::new(), false),
        ("ETag: W/\"weak\"\r\n".into(), false),
        (dated("37"), false),
        (dated("36"), true),
    ] {
        let home = Home::new();
        let start = whole(&fields, b"file");
        let site = Site::of(move |door| {
            let mut caller = door.caller();
            caller.answers("GET /file", &start[..start.len() - 1]);
            caller.ends();
            if kept {
                let mut caller = door.caller();
                let request =
                    caller.answers("GET /file", partial("3-3/4", "Connection: close\r\n", b"e"));
                assert_eq!(request.field("If-Range"), "Sun, 06 Nov 1994 08:49:36 GMT");
            }
        });
        let ending = home.run(&["get", &site.url("file")]);
        failed_in_one_line(&ending, &["cut after 3 B of 4 B", "run it again"]);
        assert_eq!(home.names().is_empty(), !kept);
        if kept {
            arrived(&home.run(&["get", &site.url("file")]), &["file  4 B, the last 1 B"]);
            assert_eq!(home.read("file"), b"file");
        }
        site.join();
    }
}

#[test]
fn two_do_not_write_one_part() {
    let home = Home::new();
    let (go_on, held) = mpsc::channel::<()>();
    let site = Site::of(move |door| {
        let mut caller = door.caller();
        let answer = whole(&format!("{TAG}Connection: close\r\n"), b"file");
        caller.answers("GET /file", &answer[..answer.len() - 1]);
        let _ = held.recv();
        caller.says("e");
    });
    let first = home.start(&["get", &site.url("file")]);
    eventually("it has begun", || home.path("file.part").exists());
    eventually("it has some", || home.read("file.part").len() == 3);
    let why = "file.part is being written by another `socklab get`";
    failed_in_one_line(&home.run(&["get", &site.url("file")]), &[why]);
    drop(go_on);
    arrived(&first.end(), &["file  4 B"]);
    assert_eq!((home.read("file"), home.names().len()), (b"file".to_vec(), 1));
    site.join();
}

#[test]
fn a_disk_that_is_full_is_told_and_the_part_kept() {
    let home = Home::new();
    let file = pattern(12, LENGTH);
    let site = Site::of(move |door| {
        door.caller().answers("GET /file", whole(TAG, &file));
        door.caller().answers("GET /file", whole(TAG, &file));
    });
    let ending = home.run(&["get", &site.url("file"), "/dev/full"]);
    failed_in_one_line(&ending, &["cannot use /dev/full: no space left on device"]);
    // The shell's limit counts kibibytes; its signal would come instead of the error.
    let line = format!(
        "ulimit -f 1000; trap '' XFSZ; exec {} get {}",
        support::run::SOCKLAB,
        site.url("file")
    );
    let mut command = std::process::Command::new("bash");
    command.args(["-c", &line]).current_dir(home.path(""));
    let ending = support::run::Running::spawn(&mut command).end();
    failed_in_one_line(
        &ending,
        &["file.part", "file too large", "1.02 MB: run it again to go on there"],
    );
    assert_eq!(home.names(), ["file.part", "file.part.json"]);
    site.join();
}

#[test]
fn who_the_server_is_must_be_known_over_tls() {
    let (home, authority) = (Home::new(), Authority::new());
    let identity = authority.identity();
    let (pin, config) = (identity.fingerprint(), identity.config());
    let site = Site::of(move |door| {
        door.tls_caller(config.clone()).answers("GET /a", whole("Connection: close\r\n", b"file"));
        let stranger = Authority::new().identity().config();
        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            door.tls_caller(stranger).request();
        }));
    });
    let url = site.tls_url("a");
    arrived(&home.run(&["get", "--pin", &pin, &url]), &["a  4 B"]);
    let (code, _, told) = home.run(&["get", "--pin", &pin, &url]);
    assert_eq!((code, told.lines().count()), (1, 1), "{told}");
    site.join();
}

#[test]
fn usage_that_makes_no_sense_is_refused_before_anybody_is_called() {
    let home = Home::new();
    home.write("a", b"");
    let file = "http://127.0.0.1:1/a";
    for (arguments, why) in [
        (&["get"][..], "<URL>"),
        (&["get", "ftp://x/y"], "only http:// and https:// are known"),
        (&["get", "http://me:secret@x/y"], "names and passwords are not sent"),
        (&["get", file, "http://127.0.0.1:1/b"], "--into DIR URL"),
        (&["get", file, "b", "c"], "--into DIR URL"),
        (&["get", "-d", ".", file, file], "two URLs are for"),
        (&["get", file, "--insecure"], "--insecure needs https://"),
        (&["get", file, "--timeout", "0"], "more than zero"),
        (&["put", "a"], "2 values required"),
        (&["put", "a", "b", "http://127.0.0.1:1/c"], "ends in a slash"),
        (&["put", "-", "http://127.0.0.1:1/"], "standard input has no name"),
        (&["put", "a", "./a", "http://127.0.0.1:1/"], "two files are for"),
        (&["put", "a", "http://127.0.0.1:1/", "--ca", "x"], "--ca needs https://"),
    ] {
        let (code, printed, told) = home.run(arguments);
        assert_eq!((code, printed.as_str()), (2, ""), "{arguments:?}: {told}");
        assert!(told.contains(why), "{arguments:?}: {told}");
    }
    for (arguments, why) in [
        (&["get", "http://127.0.0.1:1/"][..], "has no name of a file in it"),
        (&["get", "-d", "none", file], "none is no directory"),
        (
            &["get", "http://127.0.0.1:1/b"],
            "connection refused; nobody listens there; check the port",
        ),
        (&["get", "http://[::1]:1/b"], "cannot connect to [::1]:1"),
        (&["put", "none", file], "cannot use none: no such file"),
        (&["put", ".", file], "cannot use .: is a directory"),
    ] {
        failed_in_one_line(&home.run(arguments), &[why]);
    }
}

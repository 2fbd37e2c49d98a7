//! `socklab put`, with servers of every temper; and both commands with those of other people.

mod support;

use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::http_host::{Caller, Home, Request, Site, bare, digest};
use support::run::{Ending, failed_in_one_line};
use support::tls::Authority;
use support::{eventually, pattern};

/// Longer than what fits between two kernels.
const LENGTH: usize = 20_000_000;

const CONTINUE: &str = "HTTP/1.1 100 Continue\r\n\r\n";

const NOT_FOUND: &str = "HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\n";

#[track_caller]
fn arrived((code, printed, told): &Ending, parts: &[&str]) {
    assert_eq!((*code, printed.as_str(), told.lines().count()), (0, "", 1), "{told}");
    for part in parts {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
}

/// A home with this as `file`.
fn home_with(file: &[u8]) -> Home {
    let home = Home::new();
    home.write("file", file);
    home
}

/// A request for an upload that is let in.
#[track_caller]
fn lets_in(caller: &mut Caller, line: &str) -> Request {
    let request = caller.answers(line, CONTINUE);
    assert_eq!(request.field("Expect"), "100-continue");
    request
}

#[test]
fn a_file_is_announced_and_sent_once_the_server_wants_it() {
    for tls in [false, true] {
        let (file, authority) = (pattern(1, LENGTH), Authority::new());
        let (home, config) = (home_with(&file), authority.identity().config());
        let sum = digest(&file);
        let site = Site::of(move |door| {
            let mut caller = if tls { door.tls_caller(config) } else { door.caller() };
            caller.answers("HEAD /a", NOT_FOUND);
            let request = lets_in(&mut caller, "PUT /a");
            assert_eq!(request.field("Content-Length"), LENGTH.to_string());
            assert_eq!(request.field("Content-Range"), "");
            assert_eq!(format!("Repr-Digest: {}\r\n", request.field("Repr-Digest")), sum);
            assert!(caller.body(LENGTH) == file);
            caller.says(bare("201 Created", &sum));
        });
        let url = if tls { site.tls_url("a") } else { site.url("a") };
        let trust = ["--ca", &authority.file()];
        let trust = if tls { &trust[..] } else { &[] };
        let ending = home.run(&[&["put", "file", &url], trust].concat());
        arrived(&ending, &["file  20.0 MB in ", ", SHA-256 checked"]);
        site.join();
    }
}

#[test]
fn a_server_that_does_not_say_continue_gets_the_file_all_the_same() {
    let home = home_with(b"hello");
    let site = Site::of(|door| {
        let mut caller = door.caller();
        caller.answers("HEAD /a", bare("501 Not Implemented", ""));
        caller.asks("PUT /a");
        assert_eq!(caller.body(5), b"hello");
        caller.says(bare("204 No Content", ""));
        caller.answers("HEAD /a", bare("200 OK", ""));
    });
    let ending = home.run(&["put", "file", &site.url("a")]);
    arrived(&ending, &["file  5 B in "]);
    assert!(!ending.2.contains("SHA-256"), "{}", ending.2);
    site.join();
}

#[test]
fn a_refusal_costs_no_upload() {
    let home = home_with(&pattern(2, LENGTH));
    let refusal = "HTTP/1.1 413 Content Too Large\r\nContent-Type: text/plain\r\nContent-Length: 15\r\n\r\n\
                   10 MB at most\r\n";
    let site = Site::of(move |door| {
        let mut caller = door.caller();
        caller.answers("HEAD /a", NOT_FOUND);
        caller.answers("PUT /a", refusal);
        assert_eq!(caller.rest(), b"");
    });
    let url = site.url("a");
    let why = format!("the server refused PUT {url}: 413 Content Too Large: 10 MB at most\n");
    failed_in_one_line(&home.run(&["put", "file", &url]), &[&why]);
    site.join();
}

#[test]
fn a_refusal_in_the_middle_is_heard_though_the_server_reads_no_more() {
    for tls in [false, true] {
        for stays in [false, true] {
            let authority = Authority::new();
            let (home, config) = (home_with(&pattern(3, LENGTH)), authority.identity().config());
            let site = Site::of(move |door| {
                let mut caller = if tls { door.tls_caller(config) } else { door.caller() };
                caller.answers("HEAD /a", NOT_FOUND);
                lets_in(&mut caller, "PUT /a");
                caller.body(100_000);
                caller.says(bare("507 Insufficient Storage", "Connection: close\r\n"));
                match stays {
                    // What the client sends meanwhile fills the way, and it must not wait for that.
                    true => drop(caller.rest()),
                    // The kernel says at once that nobody reads what it has.
                    false => drop(caller),
                }
            });
            let url = if tls { site.tls_url("a") } else { site.url("a") };
            let trust = ["--ca", &authority.file()];
            let trust = if tls { &trust[..] } else { &[] };
            let ending = home.run(&[&["put", "file", &url], trust].concat());
            failed_in_one_line(&ending, &["507 Insufficient Storage"]);
            site.join();
        }
    }
}

#[test]
fn an_upload_is_gone_on_with_where_the_server_has_it() {
    let file = pattern(4, 1000);
    for (offset, range) in [(1, "1-999"), (600, "600-999"), (999, "999-999"), (1000, "999-999")] {
        let (home, file) = (home_with(&file), file.clone());
        let site = Site::of(move |door| {
            let mut caller = door.caller();
            let answer = format!("HTTP/1.1 404 Not Found\r\nUpload-Offset: {offset}\r\n\r\n");
            caller.answers("HEAD /a", answer);
            let request = lets_in(&mut caller, "PUT /a");
            assert_eq!(request.field("Content-Range"), format!("bytes {range}/1000"));
            assert!(digest(&file).contains(request.field("Repr-Digest")));
            let start = offset.min(999);
            assert_eq!(request.field("Content-Length"), (1000 - start).to_string());
            assert!(caller.body(1000 - start) == file[start..]);
            caller.says(bare("201 Created", &digest(&file)));
        });
        let left = format!("file  1.00 KB, the last {} B in ", 1000 - offset.min(999));
        arrived(&home.run(&["put", "file", &site.url("a")]), &[&left, "SHA-256 checked"]);
        site.join();
    }
}

#[test]
fn a_part_that_does_not_fit_is_sent_anew() {
    let file = pattern(5, 1000);
    for (refusal, range) in [
        (bare("409 Conflict", "Upload-Offset: 200\r\n"), "bytes 200-999/1000"),
        (bare("409 Conflict", ""), ""),
        (bare("400 Bad Request", ""), ""),
    ] {
        let (home, file) = (home_with(&file), file.clone());
        let site = Site::of(move |door| {
            let mut caller = door.caller();
            caller.answers("HEAD /a", bare("200 OK", "Upload-Offset: 500\r\n"));
            assert_eq!(
                caller.answers("PUT /a", refusal).field("Content-Range"),
                "bytes 500-999/1000"
            );
            let mut caller = door.caller();
            let request = lets_in(&mut caller, "PUT /a");
            assert_eq!(request.field("Content-Range"), range);
            let length = request.field("Content-Length").parse().expect("it is a number");
            assert!(caller.body(length) == file[1000 - length..]);
            caller.says(bare("204 No Content", &digest(&file)));
        });
        let (code, _, told) = home.run(&["put", "file", &site.url("a")]);
        assert!(code == 0 && told.contains("SHA-256 checked"), "{told}");
        site.join();
    }
}

#[test]
fn a_server_that_is_busy_with_the_last_attempt_is_asked_again() {
    let home = home_with(b"hello");
    let site = Site::of(|door| {
        let mut caller = door.caller();
        caller.answers("HEAD /a", bare("404 Not Found", "Upload-Offset: 2\r\n"));
        caller.answers("PUT /a", bare("503 Service Unavailable", "Retry-After: 0\r\n"));
        let mut caller = door.caller();
        lets_in(&mut caller, "PUT /a");
        assert_eq!(caller.body(3), b"llo");
        caller.says(bare("201 Created", "Connection: close\r\n"));
        drop(caller);
        let mut caller = door.caller();
        caller.answers("HEAD /a", NOT_FOUND);
        caller.answers("PUT /a", bare("503 Service Unavailable", ""));
    });
    let url = site.url("a");
    arrived(&home.run(&["put", "file", &url]), &["file  5 B, the last 3 B in "]);
    failed_in_one_line(&home.run(&["put", "file", &url]), &["503 Service Unavailable"]);
    site.join();
}

#[test]
fn standard_input_is_sent_as_it_comes() {
    let home = Home::new();
    let input = pattern(6, 1_000_000);
    let sent = input.clone();
    let site = Site::of(move |door| {
        let mut caller = door.caller();
        let request = lets_in(&mut caller, "PUT /a");
        assert_eq!(request.field("Transfer-Encoding"), "chunked");
        assert_eq!(request.field("Content-Length"), "");
        assert!(caller.chunks() == sent);
        caller.says(bare("201 Created", "ETag: \"one\"\r\n"));
        caller.answers("HEAD /a", bare("200 OK", &format!("ETag: \"one\"\r\n{}", digest(&sent))));
    });
    let ending = home.given(&input, &["put", "-", &site.url("a")]);
    arrived(&ending, &["standard input  1.00 MB in ", ", SHA-256 checked"]);
    site.join();
}

#[test]
fn an_input_that_is_silent_is_waited_for() {
    let home = Home::new();
    let site = Site::of(|door| {
        let mut caller = door.caller();
        lets_in(&mut caller, "PUT /a");
        assert_eq!(caller.chunks(), b"early late");
        caller.says(bare("201 Created", "Connection: close\r\n"));
    });
    let mut command = home.command(&["put", "--timeout", "100ms", "-", &site.url("a")]);
    let command = command.stdin(Stdio::piped()).stderr(Stdio::null());
    let mut client = command.spawn().expect("it starts");
    let mut input = client.stdin.take().expect("it is piped");
    input.write_all(b"early").expect("the client reads");
    // Nothing is measured here: longer than its patience is all that counts.
    thread::sleep(Duration::from_millis(400));
    input.write_all(b" late").expect("the client reads");
    drop(input);
    assert!(client.wait().expect("it is a child").success());
    site.join();
}

#[test]
fn several_files_go_on_one_connection_under_their_names() {
    let home = Home::new();
    for name in ["a b?", "你", "empty"] {
        home.write(name, if name == "empty" { b"" } else { name.as_bytes() });
    }
    let site = Site::of(|door| {
        let mut caller = door.caller();
        for (path, body) in [("a%20b%3F", "a b?"), ("%E4%BD%A0", "你"), ("empty", "")] {
            caller.answers(&format!("HEAD /in/{path}"), NOT_FOUND);
            let request = caller.asks(&format!("PUT /in/{path}"));
            // Of nothing, nobody need be asked.
            assert_eq!(request.field("Expect").is_empty(), body.is_empty());
            if !body.is_empty() {
                caller.says(CONTINUE);
            }
            assert_eq!(caller.body(body.len()), body.as_bytes());
            caller.says(bare("201 Created", &digest(body.as_bytes())));
        }
    });
    let (code, _, told) = home.run(&["put", "a b?", "你", "empty", &site.url("in/")]);
    assert_eq!((code, told.matches(", SHA-256 checked\n").count()), (0, 3), "{told}");
    site.join();
}

#[test]
fn redirects_of_uploads_are_followed_before_anything_is_sent() {
    let home = home_with(b"hello");
    let site = Site::of(|door| {
        let mut caller = door.caller();
        caller.answers("HEAD /a", bare("307 Temporary Redirect", "Location: /b\r\n"));
        caller.answers("PUT /a", bare("307 Temporary Redirect", "Location: /b\r\n"));
        let mut caller = door.caller();
        caller.answers("HEAD /b", NOT_FOUND);
        assert_eq!(caller.answers("PUT /b", bare("417 No", "")).field("Expect"), "100-continue");
        let mut caller = door.caller();
        assert_eq!(caller.asks("PUT /b").field("Expect"), "");
        assert_eq!(caller.body(5), b"hello");
        caller.says(bare("201 Created", "Connection: close\r\n"));
    });
    arrived(&home.run(&["put", "file", &site.url("a")]), &["file  5 B"]);
    site.join();
}

#[test]
fn a_connection_that_was_closed_meanwhile_is_opened_again() {
    let home = home_with(b"hello");
    let site = Site::of(|door| {
        door.caller().answers("HEAD /a", bare("404 Not Found", ""));
        let mut caller = door.caller();
        lets_in(&mut caller, "PUT /a");
        assert_eq!(caller.body(5), b"hello");
        caller.says(bare("201 Created", "Connection: close\r\n"));
    });
    arrived(&home.run(&["put", "file", &site.url("a")]), &["file  5 B"]);
    site.join();
}

#[test]
fn other_bytes_at_the_server_are_exit_status_3() {
    let home = home_with(b"hello");
    let site = Site::of(|door| {
        let mut caller = door.caller();
        caller.answers("HEAD /a", NOT_FOUND);
        lets_in(&mut caller, "PUT /a");
        caller.body(5);
        caller.says(bare("201 Created", "ETag: \"one\"\r\n"));
        caller
            .answers("HEAD /a", bare("200 OK", &format!("ETag: \"one\"\r\n{}", digest(b"jello"))));
    });
    let (code, printed, told) = home.run(&["put", "file", &site.url("a")]);
    assert_eq!((code, printed.as_str(), told.lines().count()), (3, "", 1), "{told}");
    assert!(told.contains("the server has other bytes than were sent"), "{told}");
    site.join();
}

#[test]
fn a_file_that_changes_is_not_passed_off_as_whole() {
    for grows in [true, false] {
        let home = home_with(&pattern(7, LENGTH));
        let path = home.path("file");
        let site = Site::of(move |door| {
            let mut caller = door.caller();
            caller.answers("HEAD /a", NOT_FOUND);
            lets_in(&mut caller, "PUT /a");
            caller.body(1000);
            let file = fs::File::options().append(true).open(path).expect("it is there");
            let length = if grows { LENGTH as u64 + 1 } else { 2000 };
            file.set_len(length).expect("there is space");
            assert!(caller.rest().len() < LENGTH - 1000);
        });
        let ending = home.run(&["put", "file", &site.url("a")]);
        failed_in_one_line(&ending, &["file changed while it was sent"]);
        site.join();
    }
}

#[test]
fn a_server_that_stops_reading_is_left() {
    for tls in [false, true] {
        let authority = Authority::new();
        let (home, config) = (home_with(&pattern(8, LENGTH)), authority.identity().config());
        let (leave, left) = mpsc::channel::<()>();
        let site = Site::of(move |door| {
            let mut caller = if tls { door.tls_caller(config) } else { door.caller() };
            caller.answers("HEAD /a", NOT_FOUND);
            lets_in(&mut caller, "PUT /a");
            let _ = left.recv();
        });
        let url = if tls { site.tls_url("a") } else { site.url("a") };
        let trust = ["--ca", &authority.file()];
        let trust = if tls { &trust[..] } else { &[] };
        let ending = home.run(&[&["put", "--timeout", "300ms", "file", &url], trust].concat());
        failed_in_one_line(&ending, &["nothing moved for 300 ms"]);
        drop(leave);
        site.join();
    }
}

#[test]
fn what_is_not_the_answer_to_all_is_no_success() {
    let home = home_with(&pattern(9, LENGTH));
    let site = Site::of(|door| {
        let mut caller = door.caller();
        caller.answers("HEAD /a", NOT_FOUND);
        caller.answers("PUT /a", bare("204 No Content", ""));
        caller.rest();
        let mut caller = door.caller();
        caller.answers("HEAD /a", NOT_FOUND);
        lets_in(&mut caller, "PUT /a");
        caller.body(LENGTH);
        caller.says(bare("202 Accepted", "Upload-Offset: 5\r\n"));
        caller.rest();
        let mut caller = door.caller();
        caller.answers("HEAD /a", NOT_FOUND);
        lets_in(&mut caller, "PUT /a");
        caller.body(LENGTH);
    });
    for why in ["was not sent all of it", "wants more of it", "without an answer"] {
        failed_in_one_line(&home.run(&["put", "file", &site.url("a")]), &[why]);
    }
    site.join();
}

#[test]
fn ctrl_c_says_that_it_can_be_gone_on_with() {
    let home = home_with(&pattern(10, LENGTH));
    let (tell, told) = mpsc::channel();
    let site = Site::of(move |door| {
        let mut caller = door.caller();
        caller.answers("HEAD /a", NOT_FOUND);
        lets_in(&mut caller, "PUT /a");
        caller.body(1000);
        tell.send(()).expect("the test waits");
        caller.rest();
    });
    let running = home.start(&["put", "file", &site.url("a")]);
    told.recv().expect("it has begun");
    running.signal(Signal::SIGINT);
    let (code, _, told) = running.end();
    let how = "socklab: interrupted; run it again: it goes on where the server has it";
    assert!(code == 130 && told.starts_with(how), "{told}");
    site.join();
}

/// A server of other people, stopped when it is dropped.
struct Foreign(Child);

impl Foreign {
    fn start(command: &mut Command, port: u16) -> Foreign {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        let foreign = Foreign(child.expect("it is installed"));
        eventually("it listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        foreign
    }
}

impl Drop for Foreign {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// One that nobody has now.
fn port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    listener.local_addr().expect("it is bound").port()
}

/// nginx with `location`, and its files in `home`'s folder `site`.
fn nginx(home: &Home, location: &str, port: u16) -> Foreign {
    fs::create_dir(home.path("site")).expect("there is space");
    let folder = home.path("");
    let folder = folder.to_str().expect("it is UTF-8");
    let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|what| format!("{what}_temp_path {folder}/nginx;\n"))
        .concat();
    let config = format!(
        "daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.log;\n\
         events {{}}\n\
         http {{ access_log off; {temporary}\n\
         server {{ listen 127.0.0.1:{port}; root {folder}/site; {location} }} }}\n"
    );
    home.write("nginx.conf", config.as_bytes());
    let config = home.path("nginx.conf");
    Foreign::start(Command::new("nginx").arg("-c").arg(config), port)
}

#[test]
#[ignore = "needs python3"]
fn files_come_from_pythons_server() {
    let (home, port) = (Home::new(), port());
    let file = pattern(11, LENGTH);
    home.write("served", &file);
    let mut command = Command::new("python3");
    command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
    let _server = Foreign::start(command.current_dir(home.path("")), port);
    let url = format!("http://127.0.0.1:{port}/served");
    arrived(&home.run(&["get", &url, "copy"]), &["copy  20.0 MB in "]);
    assert!(home.read("copy") == file);
    let ending = home.run(&["get", &format!("{url}x")]);
    failed_in_one_line(&ending, &["404 File not found"]);
    let ending = home.run(&["put", "copy", &url]);
    failed_in_one_line(&ending, &["501 Unsupported method"]);
}

#[test]
#[ignore = "needs nginx"]
fn files_come_from_nginx_and_are_gone_on_with() {
    let (home, port) = (Home::new(), port());
    // Slow, so that there is time to interrupt it.
    let _server =
        nginx(&home, "location /slow/ { rewrite ^/slow(.*)$ $1 break; limit_rate 8m; }", port);
    let file = pattern(12, LENGTH);
    home.write("site/file", &file);
    let fast = format!("http://127.0.0.1:{port}/file");
    arrived(&home.run(&["get", &fast, "copy"]), &["copy  20.0 MB in "]);
    assert!(home.read("copy") == file);

    let url = format!("http://127.0.0.1:{port}/slow/file");
    let running = home.start(&["get", &url]);
    let length = || fs::metadata(home.path("file.part")).map_or(0, |about| about.len());
    eventually("some has come", || length() > 500_000);
    running.signal(Signal::SIGINT);
    assert_eq!(running.end().0, 130);
    arrived(&home.run(&["get", &url]), &["file  20.0 MB, the last "]);
    assert!(home.read("file") == file);

    // Something else of the same length must not be taken for the rest.
    fs::remove_file(home.path("file")).expect("it is there");
    let running = home.start(&["get", &url]);
    eventually("some has come", || length() > 500_000);
    running.signal(Signal::SIGKILL);
    running.end();
    let other = pattern(13, LENGTH - 1);
    home.write("site/new", &other);
    fs::rename(home.path("site/new"), home.path("site/file")).expect("it is there");
    arrived(&home.run(&["get", &url]), &["file  20.0 MB in "]);
    assert!(home.read("file") == other);
}

#[test]
#[ignore = "needs nginx"]
fn files_go_to_nginx() {
    let (home, port) = (home_with(&pattern(14, LENGTH)), port());
    let dav = "location / { dav_methods PUT; create_full_put_path on; client_max_body_size 30m; }";
    let _server = nginx(&home, dav, port);
    let url = format!("http://127.0.0.1:{port}/in/file");
    for _ in 0..2 {
        arrived(&home.run(&["put", "file", &url]), &["file  20.0 MB in "]);
        assert!(home.read("site/in/file") == home.read("file"));
    }
    let ending = home.given(b"as it comes", &["put", "-", &url]);
    arrived(&ending, &["standard input  11 B in "]);
    assert_eq!(home.read("site/in/file"), b"as it comes");
    home.write("large", &pattern(15, 40_000_000));
    let ending = home.run(&["put", "large", &url]);
    failed_in_one_line(&ending, &["413 Request Entity Too Large"]);
}

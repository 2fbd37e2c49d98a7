//! Files over HTTP, on both engines and with TLS: what only sockets, slow peers and several clients
//! at once can try.

mod support;

use std::fs::File;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use socklab::engine::Limits;
use socklab::service::files::{Files, Settings};
use socklab::service::http::{Deadlines, Http};
use support::http::Response;
use support::tree::Tree;
use support::way::{Peer, in_every_way};
use support::{Process, Server, eventually, on_both_engines, pattern};

/// More than kernels buffer.
const LARGE: usize = 12_000_000;

fn site(tree: &Tree, writable: bool) -> Http {
    let settings = Settings { writable, ..Settings::default() };
    Files::open(&tree.at(""), settings).unwrap().http(Deadlines::default())
}

fn request(method: &str, target: &str, fields: &str) -> Vec<u8> {
    format!("{method} {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n").into_bytes()
}

fn upload(target: &str, body: &[u8]) -> Vec<u8> {
    [request("PUT", target, &format!("Content-Length: {}\r\n", body.len())), body.to_vec()].concat()
}

/// The next answer, whose head ends where that is.
fn hear(peer: &mut Peer, method: &str) -> Response {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(peer.hear_line().expect("a line of a head"));
        head.extend_from_slice(b"\r\n");
    }
    let (mut response, _) = Response::parse(&head, "HEAD");
    let length = response.field("Content-Length").map_or(0, |length| length.parse().unwrap());
    if method != "HEAD" && response.status != 304 {
        response.body = peer.hear(length);
    }
    response
}

in_every_way! {
    fn large_files_go_both_ways_on_one_connection(way) {
        let tree = Tree::new();
        let bytes = pattern(1, LARGE);
        let reached = way.start(site(&tree, true));
        let mut peer = reached.call();
        peer.begin(&upload("/large", &bytes));
        assert_eq!(hear(&mut peer, "PUT").status, 201);
        assert!(tree.read("large") == bytes);
        for _ in 0..2 {
            peer.say(&request("GET", "/large", ""));
            assert!(hear(&mut peer, "GET").body == bytes);
        }
        peer.say(&request("GET", "/large", "Range: bytes=-1000\r\n"));
        assert!(hear(&mut peer, "GET").body == bytes[LARGE - 1000..]);
        assert!(peer.finish().is_empty());
    }

    fn a_pipeline_of_files_large_and_small(way) {
        let tree = Tree::new();
        let (large, small) = (pattern(2, 1_000_000), pattern(3, 100));
        tree.file("large", &large).file("small", &small);
        let reached = way.start(site(&tree, false));
        let mut peer = reached.call();
        let requests: Vec<u8> = (0..30)
            .flat_map(|n| request("GET", if n % 3 == 0 { "/large" } else { "/small" }, ""))
            .collect();
        peer.begin(&requests);
        peer.close();
        for n in 0..30 {
            let expected = if n % 3 == 0 { &large } else { &small };
            assert!(hear(&mut peer, "GET").body == *expected, "answer {n}");
        }
        assert!(peer.rest().is_empty());
    }

    fn a_pipeline_of_uploads_and_downloads(way) {
        let tree = Tree::new();
        let (large, body) = (pattern(10, 3_000_000), pattern(11, 700_000));
        tree.file("large", &large);
        let reached = way.start(site(&tree, true));
        let mut peer = reached.call();
        let requests: Vec<u8> = (0..3)
            .flat_map(|n| [upload(&format!("/{n}"), &body), request("GET", "/large", "")].concat())
            .collect();
        peer.begin(&requests);
        peer.close();
        for n in 0..3 {
            assert_eq!(hear(&mut peer, "PUT").status, 201);
            assert!(hear(&mut peer, "GET").body == large, "answer {n}");
            assert!(tree.read(n.to_string()) == body);
        }
        assert!(peer.rest().is_empty());
    }

    fn a_slow_reader_stalls_nobody(way) {
        let tree = Tree::new();
        let bytes = pattern(4, LARGE);
        tree.file("large", &bytes);
        let reached = way.start(site(&tree, true));
        let mut slow: Vec<Peer> = (0..3).map(|_| reached.call()).collect();
        for peer in &mut slow {
            peer.say(&request("GET", "/large", ""));
            peer.read_once(100);
        }
        let mut quick = reached.call();
        quick.begin(&upload("/other", &bytes));
        assert_eq!(hear(&mut quick, "PUT").status, 201);
        quick.say(&request("GET", "/other", ""));
        assert!(hear(&mut quick, "GET").body == bytes);
        for peer in &mut slow {
            assert!(hear(peer, "GET").body == bytes);
        }
    }

    fn nothing_is_said_in_the_midst_of_a_file(way) {
        let tree = Tree::new();
        let bytes = pattern(9, LARGE);
        tree.file("large", &bytes);
        let files = Files::open(&tree.at(""), Settings::default()).unwrap();
        let step = Duration::from_millis(100);
        let site = files.http(Deadlines { head: step, keep_alive: step, body: step });
        let reached = way.start(site);
        // The head of the second request is never whole, and its time is over before the file is.
        let mut peer = reached.call();
        peer.say(&[&request("GET", "/large", "")[..], b"GET /la"].concat());
        peer.read_once(4096);
        thread::sleep(5 * step);
        assert!(hear(&mut peer, "GET").body == bytes);
        assert_eq!(hear(&mut peer, "GET").status, 408);
    }

    fn a_refusal_is_heard_by_one_who_goes_on_sending(way) {
        let tree = Tree::new();
        let reached = way.start(site(&tree, false));
        let mut peer = reached.call();
        peer.begin(&upload("/x", &pattern(5, LARGE)));
        let response = hear(&mut peer, "PUT");
        assert_eq!((response.status, response.field("Connection")), (405, Some("close")));
        // And then the end, in an orderly way.
        assert!(peer.remains().is_empty());
    }

    fn an_upload_that_is_cut_off_leaves_the_old_file_and_can_go_on(way) {
        let tree = Tree::new();
        let bytes = pattern(6, 3_000_000);
        tree.file("x", "old");
        let reached = way.start(site(&tree, true));
        let mut peer = reached.call();
        let all = upload("/x", &bytes);
        peer.begin(&all[..1_000_000]);
        peer.reset();
        let mut peer = reached.call();
        let mut offset = 0;
        eventually("the part is there, and nobody holds it", || {
            peer.say(&request("HEAD", "/x", ""));
            let told = hear(&mut peer, "HEAD").field("Upload-Offset").map(|at| at.parse().unwrap());
            offset = told.unwrap_or(0);
            let fields = format!("Content-Range: bytes {offset}-{offset}/3000000\r\nContent-Length: 1\r\n");
            peer.say(&request("PUT", "/x", &fields));
            peer.say(&bytes[offset..=offset]);
            hear(&mut peer, "PUT").status == 202 && offset > 0
        });
        assert_eq!(tree.read("x"), b"old");
        offset += 1;
        let rest = &bytes[offset..];
        let fields = format!("Content-Range: bytes {offset}-2999999/3000000\r\nContent-Length: {}\r\n", rest.len());
        peer.begin(&[&request("PUT", "/x", &fields), rest].concat());
        assert_eq!(hear(&mut peer, "PUT").status, 204);
        assert!(tree.read("x") == bytes);
    }

    fn of_uploads_of_one_name_one_is_left_whole(way) {
        let tree = Tree::new();
        let reached = way.start(site(&tree, true));
        let versions: Vec<Vec<u8>> = (0..6).map(|seed| pattern(seed, 700_000)).collect();
        let mut peers: Vec<Peer> = versions.iter().map(|_| reached.call()).collect();
        let mut sent = 0;
        let uploads: Vec<Vec<u8>> = versions.iter().map(|bytes| upload("/x", bytes)).collect();
        while sent < uploads[0].len() {
            let end = (sent + 50_000).min(uploads[0].len());
            for (peer, upload) in peers.iter_mut().zip(&uploads) {
                peer.begin(&upload[sent..end]);
            }
            sent = end;
        }
        for peer in &mut peers {
            let status = hear(peer, "PUT").status;
            assert!(status == 201 || status == 204, "{status}");
        }
        assert!(versions.contains(&tree.read("x")));
        assert!(tree.parts("").is_empty());
    }

    fn what_never_ends_blocks_nobody(way) {
        let tree = Tree::new();
        tree.pipe("pipe").file("a", "a");
        let reached = way.start(site(&tree, true));
        let mut peer = reached.call();
        for target in ["/pipe", "/pipe"] {
            peer.say(&request("GET", target, ""));
            assert_eq!(hear(&mut peer, "GET").status, 403);
        }
        peer.say(&request("GET", "/a", ""));
        assert_eq!(hear(&mut peer, "GET").body, b"a");
    }

    fn files_beyond_four_gibibytes(way) {
        let tree = Tree::new();
        let length = 5 << 30;
        let file = File::create(tree.at("sparse")).unwrap();
        file.set_len(length).unwrap();
        file.write_all_at(b"the end", length - 7).unwrap();
        let reached = way.start(site(&tree, true));
        let mut peer = reached.call();
        peer.say(&request("HEAD", "/sparse", ""));
        assert_eq!(hear(&mut peer, "HEAD").field("Content-Length"), Some("5368709120"));
        let first = length - 3_000_000;
        peer.say(&request("GET", "/sparse", &format!("Range: bytes={first}-\r\n")));
        let response = hear(&mut peer, "GET");
        assert_eq!(response.field("Content-Range"), Some(&format!("bytes {first}-{}/{length}", length - 1)[..]));
        assert!(response.body.len() == 3_000_000 && response.body.ends_with(b"\0the end"));
        // Nobody takes all of it.
        peer.say(&request("GET", "/sparse", ""));
        peer.read_once(1000);
        peer.reset();
    }

    fn what_is_under_way_is_finished_before_the_server_stops(way) {
        let tree = Tree::new();
        let bytes = pattern(7, LARGE);
        tree.file("large", &bytes);
        let reached = way.with_limits(site(&tree, true), Limits { grace: support::PATIENCE, ..Limits::default() });
        let (mut down, mut up, mut idle) = (reached.call(), reached.call(), reached.call());
        down.say(&request("GET", "/large", ""));
        down.read_once(100);
        let all = upload("/x", &bytes);
        up.begin(&all[..100_000]);
        idle.say(&request("GET", "/none", ""));
        assert_eq!(hear(&mut idle, "GET").status, 404);
        reached.server.request_stop();
        assert!(idle.rest().is_empty());
        assert!(hear(&mut down, "GET").body == bytes);
        up.begin(&all[100_000..]);
        assert_eq!(hear(&mut up, "PUT").status, 201);
        assert!(tree.read("x") == bytes);
        reached.server.wait();
    }
}

on_both_engines! {
    fn a_listing_that_nobody_reads_goes_where_others_need_its_memory(engine) {
        // Each is eight times as long in a page.
        const NAMES: usize = 2_000;
        let tree = Tree::new();
        for number in 0..NAMES {
            tree.file(format!("{number}{:&<240}", ""), "");
        }
        // There is room for two of them.
        let files = Files::open(&tree.at(""), Settings::default()).unwrap();
        let server = Server::start(engine, files.keeping(1_400_000).http(Deadlines::default()));
        let ask = |round: usize| {
            // Each is another version of the directory, so that nobody shares with anybody.
            tree.file(format!("new-{round}"), "");
            let mut client = server.connect();
            client.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
            // The page begins once all of it is known.
            let mut begin = [0; 1000];
            client.read_exact(&mut begin).unwrap();
            client
        };
        let clients: Vec<TcpStream> = (0..4).map(ask).collect();
        let whole: Vec<bool> = clients.iter().map(|mut client| {
            let mut page = String::new();
            // One that is cut off may end with a reset.
            let _ = client.read_to_string(&mut page);
            page.trim_end().ends_with("</html>")
        }).collect();
        assert!(whole[3] && whole.iter().filter(|whole| **whole).count() == 2, "{whole:?}");
    }

    fn slow_heads_and_bodies_are_given_up(engine) {
        let tree = Tree::new();
        let step = Duration::from_millis(300);
        let settings = Settings { writable: true, ..Settings::default() };
        let files = Files::open(&tree.at(""), settings).unwrap();
        let site = files.http(Deadlines { head: step, keep_alive: 3 * step, body: step });
        let server = Server::start(engine, site);
        for (words, status) in [
            (&b""[..], None),
            (b"GET / HT", Some("408")),
            (b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc", Some("408")),
            (b"GET /none HTTP/1.1\r\nHost: a\r\n\r\n", Some("404")),
        ] {
            let mut client = server.connect();
            client.write_all(words).unwrap();
            let mut said = String::new();
            client.read_to_string(&mut said).unwrap();
            assert_eq!(said.get(9..12), status, "{}", words.escape_ascii());
        }
        assert!(!tree.exists("x"));
    }

    fn one_who_half_closes_is_answered(engine) {
        let tree = Tree::new();
        let bytes = pattern(8, LARGE);
        tree.file("large", &bytes);
        let server = Server::start(engine, site(&tree, false));
        let mut client = server.connect();
        client.write_all(b"GET /large HTTP/1.0\r\n\r\n").unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).unwrap();
        assert!(Response::parse(&said, "GET").0.body == bytes);
    }

    fn without_a_root_or_with_a_wrong_one_it_says_so(engine) {
        for (status, arguments, complaint) in [
            (2, &["files"][..], "needs --root DIR"),
            (1, &["files", "--root", "/does/not/exist"], "cannot serve /does/not/exist: "),
            (1, &["files", "--root", "/dev/null"], "cannot serve /dev/null: "),
        ] {
            let output = Process::command(engine, arguments).output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(status), "{said}");
            let told = said.lines().next().unwrap_or_default();
            assert!(told.contains(complaint) && (status == 2 || said.lines().count() == 1), "{said}");
        }
    }

    fn the_command_serves_and_cleans_up_what_was_left(engine) {
        let tree = Tree::new();
        tree.file("a", "content").file(".socklab-0123456789abcdef.1-1.part", "left");
        let root = tree.at("");
        let server = Process::start(engine, &["files", "--root", root.to_str().unwrap(), "--writable"]);
        eventually("the part of the past is gone", || tree.parts("").is_empty());
        let mut client: TcpStream = server.connect();
        client.write_all(b"GET /a HTTP/1.0\r\n\r\n").unwrap();
        let mut said = Vec::new();
        client.read_to_end(&mut said).unwrap();
        assert_eq!(Response::parse(&said, "GET").0.body, b"content");
    }
}

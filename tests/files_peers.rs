//! Other people's HTTP clients on our files: curl, wget, Python's, and redbot, which judges them.

mod support;

use std::fs;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use support::file_host::{FileHost, halfway, large, patience};
use support::relay::Relay;
use support::run::{Scratch, parsed};
use support::tree::{Tree, sha_256, stretch};
use support::way::{Way, in_every_way};
use support::{on_both_engines, pattern};

/// Bytes of a file that nobody interrupts.
const LARGE: usize = 20_000_000;

/// `program` run to its end, for which it has patience.
fn run(program: &str, arguments: &[&str], input: &[u8]) -> Output {
    let mut command = assert_cmd::Command::new(program);
    command.args(arguments).env("LC_ALL", "C.UTF-8").timeout(patience()).write_stdin(input);
    let output = command.output().expect("it starts");
    assert!(output.status.code().is_some(), "{program} {arguments:?} does not end");
    output
}

/// curl, and what it prints.
#[track_caller]
fn curl(host: &FileHost, arguments: &[&str]) -> Vec<u8> {
    let output = try_curl(host, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "curl {arguments:?}: {complaint}");
    output.stdout
}

fn try_curl(host: &FileHost, arguments: &[&str]) -> Output {
    run("curl", &[&["-sS", "--cacert", &host.ca()], arguments].concat(), b"")
}

/// The same, and what it prints is text.
#[track_caller]
fn curl_says(host: &FileHost, arguments: &[&str]) -> String {
    String::from_utf8(curl(host, arguments)).expect("it is text")
}

/// The status of an answer, which curl discards.
#[track_caller]
fn status(host: &FileHost, arguments: &[&str]) -> String {
    curl_says(host, &[&["-o", "/dev/null", "-w", "%{http_code}"], arguments].concat())
}

/// The value of a field in a head that was printed.
fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    fields.find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A tree with what clients stumble over: names that URLs and pages have to escape.
fn tree() -> Tree {
    let tree = Tree::new();
    tree.file("large", pattern(1, LARGE)).file("empty", "").file("text.txt", "hello\n");
    tree.directory("sub/deep").file("sub/a b%.txt", "spaces").file("sub/ü&<b>.txt", "markup");
    tree.file("sub/deep/100%.txt", "per cent").file("sub/deep/#1?.txt", "a fragment, a query");
    tree.file("sub/deep/a:b;c=d+e.txt", "colons").file("sub/deep/'\".txt", "quotes");
    tree
}

/// A tree with one file that is interrupted on its way.
fn film() -> Tree {
    let tree = Tree::new();
    tree.file("film.mkv", pattern(3, large()));
    tree
}

/// Somewhere to download to.
fn target() -> Scratch {
    Scratch::file("download")
}

in_every_way! {
    #[ignore = "needs curl"]
    fn curl_fetches_files_and_parts_of_them(way) {
        let host = FileHost::with(way, tree(), &[]);
        // Which wget would decode twice.
        host.tree.file("sub/%20%C3.txt", "not what it looks like");
        let large = host.tree.read("large");
        let url = host.url("large");
        assert!(curl(&host, &[&url]) == large);
        assert!(curl(&host, &["--http1.0", &url]) == large);
        assert!(curl(&host, &["-r", "1000-1999", &url]) == large[1000..2000]);
        assert!(curl(&host, &["-r", "-70000", &url]) == large[LARGE - 70_000..]);
        assert!(curl(&host, &["-r", "19999990-", &url]) == large[LARGE - 10..]);
        let parts = curl(&host, &["-i", "-r", "0-9,1000000-1000099", &url]);
        let text = String::from_utf8_lossy(&parts);
        assert_eq!(text.matches("\r\nContent-Range: bytes ").count(), 2, "{text}");
        for part in [&large[..10], &large[1_000_000..1_000_100]] {
            assert!(parts.windows(part.len()).any(|window| window == part));
        }

        let head = curl_says(&host, &["-I", &url]);
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert_eq!(field(&head, "Content-Length"), Some("20000000"));
        assert_eq!(field(&head, "Accept-Ranges"), Some("bytes"));
        let tag = field(&head, "ETag").expect("it has one");
        assert_eq!(status(&host, &["-H", &format!("If-None-Match: {tag}"), &url]), "304");
        assert_eq!(status(&host, &["-z", &host.tree.at("large").to_string_lossy(), &url]), "304");
        assert_eq!(status(&host, &["-r", "20000000-", &url]), "416");
        assert_eq!(status(&host, &["-X", "PATCH", &url]), "405");

        assert_eq!(curl(&host, &[&host.url("empty")]), b"");
        assert_eq!(status(&host, &[&host.url("none")]), "404");
        assert_eq!(status(&host, &["--path-as-is", &host.url("../../secret")]), "404");
        assert_eq!(status(&host, &[&host.url("sub")]), "301");
        let page = curl_says(&host, &["-L", &host.url("sub")]);
        assert!(page.contains("<bdi>ü&amp;&lt;b&gt;.txt</bdi>"), "{page}");
        let listing = curl_says(&host, &["-H", "Accept: application/json", &host.url("sub/")]);
        let entries = parsed(&listing)["entries"].as_array().expect("they are listed").clone();
        for entry in entries.iter().filter(|entry| entry["size"].is_number()) {
            let href = entry["href"].as_str().unwrap().trim_start_matches("./");
            let name = entry["name"].as_str().unwrap();
            let bytes = curl(&host, &[&host.url(&format!("sub/{href}"))]);
            assert_eq!(bytes, host.tree.read(format!("sub/{name}")));
        }
    }

    #[ignore = "needs curl"]
    fn curl_keeps_its_connection(way) {
        let host = FileHost::with(way, tree(), &[]);
        let urls = ["text.txt", "none", "large", "sub", "empty", "sub/", "text.txt"]
            .map(|path| host.url(path));
        let mut arguments = vec!["-w", "\n=%{http_code} %{num_connects}\n"];
        urls.iter().for_each(|url| arguments.extend(["-o", "/dev/null", url]));
        let told = curl_says(&host, &arguments);
        let told: Vec<_> = told.lines().filter_map(|line| line.strip_prefix('=')).collect();
        assert_eq!(told, ["200 1", "404 0", "200 0", "301 0", "200 0", "200 0", "200 0"]);
    }

    #[ignore = "needs curl"]
    fn curl_goes_on_with_a_download(way) {
        let host = FileHost::with(way, film(), &[]);
        let relay = Relay::to(host.address());
        let (url, target) = (host.url_at(relay.address, "film.mkv"), target());
        relay.breaks_after(halfway());
        assert!(!try_curl(&host, &["-o", target.path(), &url]).status.success());
        let begun = fs::metadata(target.path()).expect("it has begun").len();
        assert!(begun > halfway() / 2 && begun <= halfway(), "{begun}");
        relay.mend(host.address());
        let size = ["-C", "-", "-o", target.path(), "-w", "%{http_code} %{size_download}", &url];
        assert_eq!(curl_says(&host, &size), format!("206 {}", large() as u64 - begun));
        assert!(fs::read(target.path()).unwrap() == host.tree.read("film.mkv"));
    }

    #[ignore = "needs curl"]
    fn curl_leaves_replaces_and_removes_files(way) {
        let host = FileHost::writable(way);
        let bytes = pattern(2, LARGE);
        let source = host.tree.base().join("source");
        fs::write(&source, &bytes).unwrap();
        let source = source.to_str().unwrap();
        let url = host.url("new/directories/%C3%BC.bin");
        assert_eq!(status(&host, &["-T", source, &url]), "201");
        assert!(host.tree.read("new/directories/ü.bin") == bytes);
        assert_eq!(status(&host, &["-T", "/dev/null", &url]), "204");
        assert_eq!(host.tree.read("new/directories/ü.bin"), b"");
        assert_eq!(status(&host, &["--http1.0", "-T", source, &url]), "204");
        assert!(host.tree.read("new/directories/ü.bin") == bytes);

        // Of unknown length, in chunks.
        let piped = host.url("piped");
        let output = run("curl", &["-sSf", "--cacert", &host.ca(), "-T", "-", &piped], &bytes);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(host.tree.read("piped") == bytes);
        // Into a directory, under the name of the file.
        assert_eq!(status(&host, &["-T", source, &host.url("new/")]), "201");
        assert!(host.tree.read("new/source") == bytes);

        assert_eq!(status(&host, &["-X", "DELETE", &piped]), "204");
        assert_eq!(status(&host, &["-X", "DELETE", &piped]), "404");
        assert!(!host.tree.exists("piped"));
    }

    #[ignore = "needs curl"]
    fn curl_hears_every_refusal(way) {
        let host = FileHost::with(way, tree(), &["--writable", "--max-upload", "10MB"]);
        let large = host.tree.read("large");
        let source = host.tree.at("large");
        let source = source.to_str().unwrap();
        let url = host.url("target");
        // Refused at once, for its length is known; and with and without asking before.
        assert_eq!(status(&host, &["-T", source, &url]), "413");
        assert_eq!(status(&host, &["-H", "Expect:", "-T", source, &url]), "413");
        let piped = ["-sS", "--cacert", &host.ca(), "-o", "/dev/null", "-w", "%{http_code}", "-T", "-", &url];
        assert_eq!(run("curl", &piped, &large).stdout, b"413");

        let small = host.tree.at("text.txt");
        let small = small.to_str().unwrap();
        assert_eq!(status(&host, &["-T", small, &host.url("sub")]), "409");
        assert_eq!(status(&host, &["-T", small, &host.url("text.txt/below")]), "409");
        assert_eq!(status(&host, &["-T", small, &host.url(".socklab-x")]), "404");
        assert_eq!(status(&host, &["-H", "If-None-Match: *", "-T", small, &host.url("empty")]), "412");
        let digest = |bytes: &[u8]| {
            use base64::Engine as _;
            let digest = base64::prelude::BASE64_STANDARD.encode(sha_256(bytes));
            format!("Repr-Digest: sha-256=:{digest}:")
        };
        assert_eq!(status(&host, &["-H", &digest(b"bye\n"), "-T", small, &url]), "400");
        assert!(!host.tree.exists("target"));
        assert_eq!(status(&host, &["-H", &digest(b"hello\n"), "-T", small, &url]), "201");
        assert_eq!(host.tree.read("target"), b"hello\n");
        assert!(host.tree.parts("").is_empty());

        let host = FileHost::with(way, tree(), &[]);
        assert_eq!(status(&host, &["-T", source, &host.url("text.txt")]), "405");
        assert_eq!(status(&host, &["-H", "Expect:", "-T", source, &host.url("text.txt")]), "405");
        assert_eq!(status(&host, &["-X", "DELETE", &host.url("text.txt")]), "405");
        assert_eq!(host.tree.read("text.txt"), b"hello\n");
    }

    #[ignore = "needs curl"]
    fn curl_goes_on_with_an_upload(way) {
        let mut host = FileHost::writable(way);
        let bytes = pattern(3, large());
        let source = host.tree.base().join("source");
        fs::write(&source, &bytes).unwrap();
        let source = source.to_str().unwrap();
        let relay = Relay::to(host.address());
        let url = host.url_at(relay.address, "film.mkv");
        host.tree.file("film.mkv", "the old one");
        // The line breaks; then the server is killed, and another one takes its place.
        let mut offset = 0;
        for round in 0..2 {
            relay.breaks_after(halfway());
            let first = offset.to_string();
            assert!(!try_curl(&host, &["-T", source, "-C", &first, &url]).status.success());
            assert_eq!(host.tree.read("film.mkv"), b"the old one");
            if round == 1 {
                host.replace(&["--writable"]);
            }
            relay.mend(host.address());
            let head = curl_says(&host, &["-I", &url]);
            let told = field(&head, "Upload-Offset").unwrap_or_else(|| panic!("no offset: {head}"));
            let told: u64 = told.parse().unwrap();
            assert!(told > offset && told < large() as u64, "{offset}, then {told}");
            offset = told;
        }
        // Who begins behind what there is is told where to begin.
        let behind = (offset + 1_000_000).to_string();
        let refused = ["-i", "-H", "Expect:", "-T", source, "-C", &behind, &url];
        let refusal = curl_says(&host, &refused);
        assert!(refusal.contains("HTTP/1.1 409 "), "{refusal}");
        assert_eq!(field(&refusal, "Upload-Offset"), Some(&offset.to_string()[..]));
        assert_eq!(status(&host, &["-T", source, "-C", &offset.to_string(), &url]), "204");
        assert!(host.tree.read("film.mkv") == bytes);
        assert!(host.tree.parts("").is_empty());
    }

    #[ignore = "needs curl"]
    fn a_file_of_many_gigabytes_has_an_end(way) {
        let tree = Tree::new();
        stretch(&tree.file("sparse", "").at("sparse"), 5 << 30);
        let host = FileHost::with(way, tree, &[]);
        let url = host.url("sparse");
        let head = curl_says(&host, &["-I", &url]);
        assert_eq!(field(&head, "Content-Length"), Some("5368709120"));
        assert_eq!(curl(&host, &["-r", "-1000", &url]), [0; 1000]);
        assert_eq!(curl(&host, &["-r", "5368709110-", &url]), [0; 10]);
        assert_eq!(status(&host, &["-r", "5368709120-", &url]), "416");
        let range = "4294967290-4294967300";
        let part = curl_says(&host, &["-i", "-r", range, &url]);
        assert_eq!(field(&part, "Content-Range"), Some(&format!("bytes {range}/5368709120")[..]));
    }

    #[ignore = "needs wget"]
    fn wget_goes_on_by_itself(way) {
        let host = FileHost::with(way, film(), &[]);
        let relay = Relay::to(host.address());
        let (url, target) = (host.url_at(relay.address, "film.mkv"), target());
        let ca = format!("--ca-certificate={}", host.ca());
        let arguments = ["-nv", &ca, "-O", target.path()];
        relay.breaks_after(halfway());
        assert!(!run("wget", &[&arguments[..], &["-t", "1", &url]].concat(), b"").status.success());
        relay.mend(host.address());
        let output = run("wget", &[&arguments[..], &["-c", &url]].concat(), b"");
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        assert!(fs::read(target.path()).unwrap() == host.tree.read("film.mkv"), "{words}");
        // What it has, it leaves alone.
        let again = run("wget", &[&arguments[..], &["-c", &url]].concat(), b"");
        assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
        assert!(fs::read(target.path()).unwrap() == host.tree.read("film.mkv"));
    }

    #[ignore = "needs wget"]
    fn wget_mirrors_a_tree(way) {
        let host = FileHost::with(way, tree(), &[]);
        let copy = host.tree.base().join("copy");
        fs::create_dir(&copy).unwrap();
        let [ca, prefix] = [format!("--ca-certificate={}", host.ca()), format!("-P{}", copy.display())];
        let output = run(
            "wget",
            &["-nv", "-r", "-l", "inf", "-np", "-nH", "-N", "-R", "index.html*", &ca, &prefix]
                .into_iter()
                .chain(["--restrict-file-names=nocontrol", "--local-encoding=UTF-8", &host.url("")])
                .collect::<Vec<_>>(),
            b"",
        );
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words}");
        assert_eq!(all(&copy), all(&host.tree.at("")), "{words}");
        for path in all(&copy) {
            let (one, other) = (copy.join(&path), host.tree.at(&path));
            assert!(fs::read(&one).unwrap() == fs::read(&other).unwrap(), "{path}");
            // Which it takes from Last-Modified.
            let [one, other] = [one, other].map(|path| path.metadata().unwrap().modified().unwrap());
            assert!(other.duration_since(one).unwrap() < Duration::from_secs(1), "{path}");
        }
    }

    #[ignore = "needs python3"]
    fn python_fetches_and_leaves_files(way) {
        let host = FileHost::writable(way);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/files.py");
        let url = host.url("").replace("127.0.0.1", "localhost");
        let output = run("python3", &[script, &url, &host.ca()], b"");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(host.tree.parts("").is_empty());
    }
}

/// The files beneath `directory`, by their paths.
fn all(directory: &Path) -> Vec<String> {
    fn walk(directory: &Path, base: &Path, files: &mut Vec<String>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, base, files),
                false => files.push(path.strip_prefix(base).unwrap().display().to_string()),
            }
        }
    }
    let mut files = Vec::new();
    walk(directory, directory, &mut files);
    files.sort();
    files
}

/// What redbot warns of at a path, or finds bad.
fn notes(host: &FileHost, path: &str) -> Vec<String> {
    let output = run("redbot", &["-o", "har", &host.url(path)], b"");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report = parsed(&String::from_utf8(output.stdout).expect("it is text"));
    let notes = report["log"]["entries"][0]["_red_messages"].clone();
    let notes: Vec<Value> = notes.as_array().expect("it has looked at it").clone();
    assert!(notes.len() > 2, "{report}");
    let told = notes.iter().filter(|note| note["level"] == "BAD" || note["level"] == "WARN");
    told.map(|note| note["note_id"].as_str().expect("it is named").to_owned()).collect()
}

on_both_engines! {
    #[ignore = "needs redbot"]
    fn redbot_finds_nothing_wrong(engine) {
        let tree = tree();
        // It asks for 97 bytes, and wonders if that is all of a file.
        tree.file("page.html", "<p>text</p>".repeat(100));
        // Where nothing can be left, caches may guess how long a file lasts.
        let mut host = FileHost::with(Way { engine, tls: false }, tree, &[]);
        for options in [&[][..], &["--writable"]] {
            host.replace(options);
            for path in ["page.html", "large", "sub", "none", "%zz"] {
                assert_eq!(notes(&host, path), [""; 0], "{path}");
            }
            // A listing has no version that a cache could ask for.
            for path in ["", "sub/?sort=size"] {
                assert_eq!(notes(&host, path), ["FRESHNESS_NO_CACHE_NO_VALIDATOR"], "{path}");
            }
        }
    }
}

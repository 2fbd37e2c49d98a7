//! Files over HTTP without sockets: what each request comes to, and what is in the tree afterwards.

mod support;

use std::fs;
use std::io::Write;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA256, digest};
use socklab::service::files::{Files, Settings};
use socklab::service::http::{Deadlines, Http};
use socklab::session::Output;
use support::http::{Dialogue, Response, fetch};
use support::pattern;
use support::tree::Tree;

fn site(tree: &Tree) -> Http {
    with(tree, Settings::default())
}

fn writable(tree: &Tree) -> Http {
    with(tree, Settings { writable: true, ..Settings::default() })
}

fn with(tree: &Tree, settings: Settings) -> Http {
    Files::open(&tree.at(""), settings).unwrap().http(Deadlines::default())
}

fn get(site: &Http, target: &str, fields: &str) -> Response {
    fetch(site, &format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

fn head(site: &Http, target: &str, fields: &str) -> Response {
    fetch(site, &format!("HEAD {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

fn put(site: &Http, target: &str, fields: &str, body: &[u8]) -> Response {
    let mut dialogue = Dialogue::open(site, Output::CHUNK);
    let length = body.len();
    dialogue.hear(
        format!("PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n{fields}\r\n")
            .as_bytes(),
    );
    for piece in body.chunks(100_000) {
        if !dialogue.is_over() {
            dialogue.hear(piece);
        }
    }
    dialogue.response("PUT")
}

fn delete(site: &Http, target: &str, fields: &str) -> Response {
    fetch(site, &format!("DELETE {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
}

fn sha256(bytes: &[u8]) -> String {
    format!("sha-256=:{}:", BASE64_STANDARD.encode(digest(&SHA256, bytes)))
}

#[test]
fn files_have_their_bytes_and_their_type() {
    let tree = Tree::new();
    tree.directory("sub")
        .file("sub/a b%.txt", "text")
        .file("page.HTML", "<p>")
        .file("x.tar.gz", "z");
    tree.file("none", "").file(".hidden", "h").file("large", pattern(1, 300_000));
    let site = site(&tree);
    for (target, kind, bytes) in [
        ("/sub/a%20b%25.txt", "text/plain; charset=utf-8", &b"text"[..]),
        ("/sub/%61%20b%25.txt?query", "text/plain; charset=utf-8", b"text"),
        ("/page.HTML", "text/html; charset=utf-8", b"<p>"),
        ("/x.tar.gz", "application/gzip", b"z"),
        ("/none", "application/octet-stream", b""),
        ("/large", "application/octet-stream", &pattern(1, 300_000)),
    ] {
        let response = get(&site, target, "");
        assert_eq!(
            (response.status, response.field("Content-Type")),
            (200, Some(kind)),
            "{target}"
        );
        assert!(response.body == bytes, "{target}");
        assert_eq!(response.field("Accept-Ranges"), Some("bytes"));
        let head = head(&site, target, "");
        assert_eq!(head.field("Content-Length"), Some(&bytes.len().to_string()[..]));
    }
}

#[test]
fn nothing_leads_out() {
    let tree = Tree::new();
    fs::write(tree.base().join("secret"), "secret").unwrap();
    tree.file("a", "a").file(".hidden", "h").directory("sub").pipe("pipe").socket("socket");
    tree.link("out", "../secret").link("etc", "/etc").link("in", "a").link("device", "/dev/zero");
    let site = site(&tree);
    for (status, target) in [
        (404, "/../secret"),
        (404, "/sub/../../secret"),
        (404, "/%2e%2e/secret"),
        (404, "/sub/%2e%2e/a"),
        (404, "/..%2fsecret"),
        (404, "/sub%2f..%2fa"),
        (404, "/..\\secret"),
        (404, "/..%5csecret"),
        (404, "/a%00"),
        (404, "/a%"),
        (404, "/a%2"),
        (404, "/a%zz"),
        (404, "//a"),
        (404, "//etc/passwd"),
        (404, "/./a"),
        (404, "/a/"),
        (404, "/a/b"),
        (404, "/out"),
        (404, "/etc/passwd"),
        (404, "/device"),
        (404, "/.hidden"),
        (404, "/.socklab-0123456789abcdef.part"),
        (403, "/pipe"),
        (403, "/socket"),
        (200, "/in"),
        (404, "/%ff%fe"),
    ] {
        let response = get(&site, target, "");
        assert_eq!(response.status, status, "{target}: {}", response.text());
        assert!(!response.text().contains("secret\n") || status == 404);
    }
    assert_eq!(
        get(&with(&tree, Settings { hidden: true, ..Settings::default() }), "/.hidden", "").status,
        200
    );
}

#[test]
fn a_long_directory_is_listed_whole_and_in_order() {
    let tree = Tree::new();
    tree.directory("d/z");
    for number in 0..1000 {
        tree.file(format!("d/{number}"), "");
    }
    let site = site(&tree);
    let json = get(&site, "/d/?order=desc", "Accept: application/json\r\n");
    let json: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
    let names = json["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["name"].as_str().unwrap().to_owned());
    let numbers = (0..1000).rev().map(|number| number.to_string());
    assert!(names.eq(["z".to_string()].into_iter().chain(numbers)));
    let page = get(&site, "/d/", "");
    assert!(page.text().contains("1 directory · 1,000 files") && page.text().contains("</html>"));
    assert_eq!(page.text().matches("<tr class=\"file\">").count(), 1000);
}

#[test]
fn who_has_it_already_is_told_so() {
    let tree = Tree::new();
    tree.file("a", "content");
    let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    fs::File::options().write(true).open(tree.at("a")).unwrap().set_modified(old).unwrap();
    let site = site(&tree);
    let first = get(&site, "/a", "");
    let tag = first.field("ETag").unwrap();
    let date = "Sun, 09 Sep 2001 01:46:40 GMT";
    assert_eq!(first.field("Last-Modified"), Some(date));
    let earlier = "Sun, 09 Sep 2001 01:46:39 GMT";
    for (status, fields) in [
        (304, format!("If-None-Match: {tag}\r\n")),
        (304, format!("If-None-Match: W/{tag}\r\n")),
        (304, format!("If-None-Match: \"x\", {tag}\r\n")),
        (304, format!("If-None-Match: \"x\"\r\nIf-None-Match: {tag}\r\n")),
        (304, "If-None-Match: *\r\n".into()),
        (200, "If-None-Match: \"x\"\r\n".into()),
        // The tag decides where there is one.
        (200, format!("If-None-Match: \"x\"\r\nIf-Modified-Since: {date}\r\n")),
        (304, format!("If-Modified-Since: {date}\r\n")),
        (304, "If-Modified-Since: Sunday, 09-Sep-01 01:46:40 GMT\r\n".into()),
        (200, format!("If-Modified-Since: {earlier}\r\n")),
        (200, "If-Modified-Since: yesterday\r\n".into()),
        (200, format!("If-Match: {tag}\r\n")),
        (200, "If-Match: *\r\n".into()),
        (412, "If-Match: \"x\"\r\n".into()),
        (412, format!("If-Match: W/{tag}\r\n")),
        (200, format!("If-Unmodified-Since: {date}\r\n")),
        (412, format!("If-Unmodified-Since: {earlier}\r\n")),
    ] {
        let response = get(&site, "/a", &fields);
        assert_eq!(response.status, status, "{fields}");
        if status == 304 {
            assert_eq!(
                (response.field("ETag"), response.field("Content-Length")),
                (Some(tag), None)
            );
        }
    }
}

#[test]
fn a_tag_changes_with_content_of_equal_length() {
    let tree = Tree::new();
    let site = writable(&tree);
    let mut tags = Vec::new();
    for round in 0..20 {
        put(&site, "/a", "", format!("content {round:02}").as_bytes());
        tags.push(get(&site, "/a", "").field("ETag").unwrap().to_owned());
    }
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), 20);
}

#[test]
fn parts_are_what_was_asked_for() {
    let tree = Tree::new();
    tree.file("a", "0123456789").file("none", "");
    let site = site(&tree);
    for (range, status, span, body) in [
        ("bytes=0-3", 206, "bytes 0-3/10", "0123"),
        ("Bytes=9-", 206, "bytes 9-9/10", "9"),
        ("bytes=-3", 206, "bytes 7-9/10", "789"),
        ("bytes=-30", 206, "bytes 0-9/10", "0123456789"),
        ("bytes=5-99999999999999999999", 200, "", "0123456789"),
        ("bytes=5-9999999", 206, "bytes 5-9/10", "56789"),
        ("bytes=0-1,1-4", 206, "bytes 0-4/10", "01234"),
        ("bytes=3-1", 200, "", "0123456789"),
        ("bytes=a-b", 200, "", "0123456789"),
        ("lines=1-2", 200, "", "0123456789"),
        ("bytes=", 416, "bytes */10", ""),
        ("bytes=10-", 416, "bytes */10", ""),
        ("bytes=-0", 416, "bytes */10", ""),
        ("bytes=20-30,1-1", 206, "bytes 1-1/10", "1"),
    ] {
        let response = get(&site, "/a", &format!("Range: {range}\r\n"));
        let told = response.field("Content-Range").unwrap_or_default();
        assert_eq!((response.status, told), (status, span), "{range}");
        if status != 416 {
            assert_eq!(response.text(), body, "{range}");
        }
    }
    assert_eq!(get(&site, "/none", "Range: bytes=0-\r\n").status, 416);
    assert_eq!(head(&site, "/a", "Range: bytes=0-3\r\n").status, 200);
}

#[test]
fn several_parts_come_in_one_answer_and_never_more_than_there_is() {
    let tree = Tree::new();
    let bytes = pattern(7, 300_000);
    tree.file("a", &bytes);
    let site = site(&tree);
    let response = get(&site, "/a", "Range: bytes=200000-299999, 0-0, 100-100099\r\n");
    assert_eq!(response.status, 206);
    let kind = response.field("Content-Type").unwrap();
    let boundary = kind.strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut expected = Vec::new();
    for (first, last) in [(200_000, 299_999), (0, 0), (100, 100_099)] {
        expected.extend_from_slice(
            format!(
                "\r\n--{boundary}\r\nContent-Type: application/octet-stream\r\n\
                 Content-Range: bytes {first}-{last}/300000\r\n\r\n"
            )
            .as_bytes(),
        );
        expected.extend_from_slice(&bytes[first..=last]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(response.body == expected);

    for range in ["0-,".repeat(1000), "0-299998,".repeat(50), "5-,".repeat(60)] {
        let response = get(&site, "/a", &format!("Range: bytes={range}0-1\r\n"));
        assert!(response.body.len() <= bytes.len() + 10_000, "{} of {range}", response.body.len());
    }
}

#[test]
fn a_part_belongs_to_one_version() {
    let tree = Tree::new();
    tree.file("a", "0123456789");
    let old = SystemTime::now() - Duration::from_secs(100);
    fs::File::options().write(true).open(tree.at("a")).unwrap().set_modified(old).unwrap();
    let site = site(&tree);
    let first = get(&site, "/a", "");
    let (tag, date) = (first.field("ETag").unwrap(), first.field("Last-Modified").unwrap());
    for (status, condition) in [
        (206, tag.to_owned()),
        (206, date.to_owned()),
        (200, format!("W/{tag}")),
        (200, "\"x\"".into()),
        (200, "Sun, 09 Sep 2001 01:46:40 GMT".into()),
        (200, "nonsense".into()),
    ] {
        let fields = format!("Range: bytes=5-\r\nIf-Range: {condition}\r\n");
        assert_eq!(get(&site, "/a", &fields).status, status, "{condition}");
    }
    // Within its second a file may change again and keep its date.
    tree.file("b", "0123456789");
    let date = get(&site, "/b", "").field("Last-Modified").unwrap().to_owned();
    let response = get(&site, "/b", &format!("Range: bytes=5-\r\nIf-Range: {date}\r\n"));
    let after = fs::metadata(tree.at("b")).unwrap().modified().unwrap().elapsed().unwrap();
    assert!(response.status == 200 || after > Duration::from_secs(1));
}

#[test]
fn directories_are_listed_as_who_asks_would_have_them() {
    let tree = Tree::new();
    tree.directory("sub/empty").directory("with").file("with/index.html", "<p>index");
    tree.file("sub/<script>", "x").file("sub/b", "yy").file("sub/.c", "").link("sub/out", "/etc");
    let site = site(&tree);
    let moved = get(&site, "/sub?sort=size", "");
    assert_eq!((moved.status, moved.field("Location")), (301, Some("/sub/?sort=size")));
    assert_eq!(moved.field("Cache-Control"), Some("no-store"));
    let page = get(&site, "/sub/", "");
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(page.text().contains("&lt;script&gt;") && !page.text().contains("<script>"));
    assert!(page.field("Content-Security-Policy").unwrap().contains("default-src 'none'"));
    for accepted in
        ["application/json", "text/html;q=0.5, application/json", "Application/JSON;q=0.1"]
    {
        let json = get(&site, "/sub/", &format!("Accept: {accepted}\r\n"));
        assert_eq!(json.field("Content-Type"), Some("application/json"), "{accepted}");
        let json: serde_json::Value = serde_json::from_slice(&json.body).unwrap();
        let names: Vec<_> = json["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["empty", "<script>", "b"]);
    }
    for accepted in ["*/*", "text/html, application/json;q=0.9", "application/json, text/html"] {
        let page = get(&site, "/sub/", &format!("Accept: {accepted}\r\n"));
        assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"), "{accepted}");
    }
    assert_eq!(get(&site, "/with/", "").text(), "<p>index");
    assert!(get(&site, "/with/", "Accept: application/json\r\n").text().contains("index.html"));
    let old = fetch(&site, "GET /sub/ HTTP/1.0\r\n\r\n");
    assert_eq!((old.field("Transfer-Encoding"), old.field("Connection")), (None, Some("close")));
    assert!(old.text().ends_with("</html>\n"));
}

#[test]
fn a_large_directory_is_listed_in_many_turns() {
    let tree = Tree::new();
    for number in 0..3000 {
        tree.file(format!("file {number}"), "");
    }
    let site = site(&tree);
    let mut dialogue = Dialogue::open(&site, 1000);
    dialogue.hear(b"GET / HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\n\r\n");
    let listing: serde_json::Value =
        serde_json::from_slice(&dialogue.response("GET").body).unwrap();
    let entries = listing["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 3000);
    assert_eq!(entries[2999]["name"], "file 2999");
}

#[test]
fn nobody_is_sent_elsewhere() {
    let tree = Tree::new();
    tree.directory("\\evil.com").directory("a\r\nSet-Cookie: b");
    let site = site(&tree);
    for (target, place) in [
        ("/\\evil.com", Some("/%5Cevil.com/")),
        ("/a%0d%0aSet-Cookie:%20b", Some("/a%0D%0ASet-Cookie%3A%20b/")),
        ("//evil.com", None),
    ] {
        let response = get(&site, target, "");
        assert_eq!(response.field("Location"), place);
        assert_eq!(response.field("Set-Cookie"), None);
    }
}

#[test]
fn nothing_is_written_where_it_was_not_allowed() {
    let tree = Tree::new();
    tree.file("a", "old");
    let site = site(&tree);
    for (method, status) in [
        ("PUT", 405),
        ("DELETE", 405),
        ("POST", 405),
        ("PATCH", 405),
        ("TRACE", 405),
        ("BREW", 501),
        ("OPTIONS", 204),
    ] {
        let response = fetch(&site, &format!("{method} /a HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(response.status, status, "{method}");
        if status != 501 {
            assert_eq!(response.field("Allow"), Some("GET, HEAD, OPTIONS"));
        }
    }
    assert_eq!(tree.read("a"), b"old");
    let response = fetch(&writable(&tree), "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(response.field("Allow"), Some("GET, HEAD, OPTIONS, PUT, DELETE"));
}

#[test]
fn what_is_left_is_there_and_what_is_removed_is_not() {
    let tree = Tree::new();
    let site = writable(&tree);
    let bytes = pattern(3, 1_000_000);
    let created = put(&site, "/new/deep/file%20name", "", &bytes);
    assert_eq!(created.status, 201);
    assert!(tree.read("new/deep/file name") == bytes);
    let tag = created.field("ETag").unwrap();
    let response = get(&site, "/new/deep/file%20name", "");
    assert_eq!(response.field("ETag"), Some(tag));
    // Anybody may have left it, and it runs in nobody's browser.
    assert_eq!(response.field("Content-Security-Policy"), Some("sandbox"));
    assert_eq!(put(&site, "/new/deep/file%20name", "", b"short").status, 204);
    assert_eq!(tree.read("new/deep/file name"), b"short");
    assert_eq!(delete(&site, "/new/deep", "").status, 409);
    assert_eq!(delete(&site, "/new/deep/file%20name", "").status, 204);
    assert_eq!(delete(&site, "/new/deep/file%20name", "").status, 404);
    assert_eq!(delete(&site, "/new/deep/", "").status, 204);
    assert!(!tree.exists("new/deep"));
    assert_eq!(delete(&site, "/", "").status, 403);
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    dialogue.hear(b"PUT /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    assert_eq!((dialogue.response("PUT").status, &tree.read("c")[..]), (201, &b"abcdefg"[..]));
    assert!(tree.parts("").is_empty() && tree.parts("new").is_empty());
}

#[test]
fn what_cannot_be_left_is_refused_with_the_reason_and_nothing_is_lost() {
    let tree = Tree::new();
    tree.directory("dir").file("a", "old").link("out", "/etc").pipe("pipe");
    let site = with(&tree, Settings { writable: true, max_upload: Some(10), hidden: false });
    let right = sha256(b"new");
    let wrong = sha256(b"other");
    for (status, target, fields, body) in [
        (409, "/dir", "", "new"),
        (409, "/dir/", "", "new"),
        (409, "/", "", "new"),
        (409, "/a/b", "", "new"),
        (404, "/../x", "", "new"),
        (404, "/out/x", "", "new"),
        (403, "/pipe", "", "new"),
        (404, "/.x", "", "new"),
        (404, "/.socklab-x", "", "new"),
        (404, "/x%00", "", "new"),
        (404, "/dir//x", "", "new"),
        (413, "/a", "", "more than ten"),
        (413, "/a", "Content-Range: bytes 0-2/11\r\n", "new"),
        (400, "/a", &format!("Repr-Digest: {wrong}\r\n"), "new"),
        (400, "/a", "Repr-Digest: sha-256=:x:\r\n", "new"),
        (415, "/a", "Content-Encoding: gzip\r\n", "new"),
        (400, "/a", "Content-Range: bytes 0-3/4\r\n", "new"),
        (400, "/a", "Content-Range: bytes */4\r\n", "new"),
        (400, "/a", "Content-Range: bytes 0-2/2\r\n", "new"),
        (412, "/a", "If-None-Match: *\r\n", "new"),
        (412, "/a", "If-Match: \"x\"\r\n", "new"),
        (412, "/x", "If-Match: *\r\n", "new"),
    ] {
        let response = put(&site, target, fields, body.as_bytes());
        assert_eq!(response.status, status, "{target} {fields}: {}", response.text());
        assert_eq!(tree.read("a"), b"old", "{target} {fields}");
        assert!(tree.parts("").is_empty() && tree.parts("dir").is_empty(), "{target} {fields}");
    }
    let tag = get(&site, "/a", "").field("ETag").unwrap().to_owned();
    let fields = format!("Repr-Digest: sha-512=:eA==:, {right}\r\nIf-Match: {tag}\r\n");
    let response = put(&site, "/a", &fields, b"new");
    assert_eq!((response.status, response.field("Repr-Digest")), (204, Some(&right[..])));
    assert_eq!(put(&site, "/x", "If-None-Match: *\r\n", b"new").status, 201);
    assert_eq!(delete(&site, "/a", &format!("If-Match: {tag}\r\n")).status, 412);
    assert_eq!(tree.read("a"), b"new");
    let many = b"PUT /y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n";
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    dialogue.hear(many);
    assert_eq!(dialogue.response("PUT").status, 413);
    assert!(!tree.exists("y") && tree.parts("").is_empty());
}

#[test]
fn an_interrupted_upload_goes_on_where_it_ended() {
    let tree = Tree::new();
    let site = writable(&tree);
    let bytes = pattern(5, 500_000);
    tree.file("a", "old");
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    dialogue.hear(b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\n");
    dialogue.hear(&bytes[..200_000]);
    dialogue.eof();
    assert!(dialogue.is_over());
    drop(dialogue);
    assert_eq!(tree.read("a"), b"old");
    assert_eq!(head(&site, "/a", "").field("Upload-Offset"), Some("200000"));
    assert_eq!(get(&site, "/a", "").field("Upload-Offset"), None);
    let behind =
        put(&site, "/a", "Content-Range: bytes 300000-499999/500000\r\n", &bytes[300_000..]);
    assert_eq!((behind.status, behind.field("Upload-Offset")), (409, Some("200000")));
    let part =
        put(&site, "/a", "Content-Range: bytes 200000-299999/500000\r\n", &bytes[200_000..300_000]);
    assert_eq!((part.status, part.field("Upload-Offset")), (202, Some("300000")));
    assert_eq!(tree.read("a"), b"old");
    let fields =
        format!("Content-Range: bytes 300000-499999/500000\r\nRepr-Digest: {}\r\n", sha256(&bytes));
    assert_eq!(put(&site, "/a", &fields, &bytes[300_000..]).status, 204);
    assert!(tree.read("a") == bytes);
    assert_eq!(head(&site, "/a", "").field("Upload-Offset"), None);

    // One that never was there tells so, too.
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    dialogue.hear(b"PUT /b HTTP/1.1\r\nHost: a\r\nContent-Length: 500000\r\n\r\nabc");
    dialogue.eof();
    drop(dialogue);
    let missing = head(&site, "/b", "");
    assert_eq!((missing.status, missing.field("Upload-Offset")), (404, Some("3")));
    // A file of another length is another file.
    let other = put(&site, "/b", "Content-Range: bytes 3-9/10\r\n", b"er data");
    assert_eq!((other.status, other.field("Upload-Offset")), (409, Some("0")));
    assert_eq!(head(&site, "/b", "").field("Upload-Offset"), Some("3"));
    // What else is not a part of it is found out in the end.
    let fields =
        format!("Content-Range: bytes 3-499999/500000\r\nRepr-Digest: {}\r\n", sha256(&bytes));
    assert_eq!(put(&site, "/b", &fields, &bytes[3..]).status, 400);
    assert_eq!(head(&site, "/b", "").field("Upload-Offset"), None);
}

#[test]
fn only_the_file_itself_tells_where_its_upload_goes_on() {
    let tree = Tree::new();
    tree.directory("d").file("d/index.html", "page");
    let site = writable(&tree);
    assert_eq!(put(&site, "/index.html", "Content-Range: bytes 0-2/9\r\n", b"abc").status, 202);
    assert_eq!(head(&site, "/index.html", "").field("Upload-Offset"), Some("3"));
    assert_eq!(head(&site, "/d/", "").field("Upload-Offset"), None);
}

#[test]
fn digests_are_told_to_who_wants_them() {
    let tree = Tree::new();
    let bytes = pattern(6, 3_000_000);
    tree.file("a", &bytes);
    let site = writable(&tree);
    let want = "Want-Repr-Digest: sha-256=10\r\n";
    assert_eq!(get(&site, "/a", "").field("Repr-Digest"), None);
    assert_eq!(
        head(&site, "/a", "Want-Repr-Digest: sha-256=0, md5=3\r\n").field("Repr-Digest"),
        None
    );
    assert_eq!(head(&site, "/a", want).field("Repr-Digest"), Some(&sha256(&bytes)[..]));
    // It is known by now.
    assert_eq!(get(&site, "/a", want).field("Repr-Digest"), Some(&sha256(&bytes)[..]));
    assert_eq!(
        get(&site, "/a", &format!("{want}Range: bytes=5-\r\n")).field("Repr-Digest"),
        Some(&sha256(&bytes)[..])
    );
    put(&site, "/a", "", b"other");
    assert_eq!(head(&site, "/a", want).field("Repr-Digest"), Some(&sha256(b"other")[..]));
}

#[test]
fn a_file_that_grows_is_told_of_without_its_digest() {
    let tree = Tree::new();
    tree.file("a", pattern(6, 30_000_000));
    let site = site(&tree);
    let mut dialogue = Dialogue::open(&site, Output::CHUNK);
    let mut file = fs::File::options().append(true).open(tree.at("a")).unwrap();
    // It is opened and told of, and then it is read.
    let ask = b"HEAD /a HTTP/1.1\r\nHost: a\r\nWant-Repr-Digest: sha-256=1\r\n\r\n";
    dialogue.tell(|session, out| session.receive(ask, out));
    file.write_all(b"more").unwrap();
    dialogue.go_on();
    let told = dialogue.response("HEAD");
    assert_eq!((told.status, told.field("Repr-Digest")), (200, None));
    assert_eq!(told.field("Content-Length"), Some("30000000"));
}

#[test]
fn those_who_do_not_wait_for_a_digest_keep_it_from_nobody() {
    let tree = Tree::new();
    let bytes = pattern(8, 30_000_000);
    tree.file("a", &bytes);
    let site = site(&tree);
    let want = "Want-Repr-Digest: sha-256=1\r\n";
    let range = format!("{want}Range: bytes=0-0\r\n");
    for _ in 0..1100 {
        assert_eq!(get(&site, "/a", &range).status, 206);
    }
    assert_eq!(head(&site, "/a", want).field("Repr-Digest"), Some(&sha256(&bytes)[..]));
}

#[test]
fn errors_are_pages_for_browsers_and_lines_for_others() {
    let tree = Tree::new();
    let site = site(&tree);
    assert_eq!(get(&site, "/none", "").text(), "404 Not Found: not found\n");
    let page = get(&site, "/none", "Accept: text/html,*/*;q=0.8\r\n");
    assert_eq!(page.field("Content-Type"), Some("text/html; charset=utf-8"));
    assert!(page.text().starts_with("<!DOCTYPE html>"));
}

//! Listings of directories: whatever a name holds, it stays a name.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use proptest::prelude::*;
use ring::digest::{SHA256, digest};
use roxmltree::{Document, Node, ParsingOptions};
use socklab::service::files::listing::*;
use socklab::service::files::{Entries, Entry, Kind};

/// 2026-11-25T21:46:03Z.
const NOON: u64 = 1_795_643_163;

fn file(name: &[u8], bytes: u64, second: u64) -> Entry<'static> {
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    Entry { name: name.to_vec().into(), kind: Kind::File, bytes, modified }
}

fn directory(name: &[u8], second: u64) -> Entry<'static> {
    Entry { kind: Kind::Directory, ..file(name, 4096, second) }
}

fn listing(path: &[u8], writable: bool, entries: &[Entry]) -> Listing {
    Listing { path: path.into(), writable, totals: Totals::of(entries), ..Listing::default() }
}

fn page(listing: &Listing, entries: &[Entry]) -> String {
    let mut out = Vec::new();
    listing.begin(&mut out);
    entries.iter().for_each(|entry| listing.row(entry, &mut out));
    listing.end(&mut out);
    String::from_utf8(out).expect("a page is UTF-8")
}

/// As a long directory has them, and as they are.
fn sort(entries: &mut [Entry], order: Order) {
    let mut compact = Entries::default();
    entries.iter().for_each(|entry| compact.push(entry));
    compact.sort(order);
    entries.sort_by(|one, other| order.compare(one, other));
    assert!(compact.from(0).eq(entries.iter().cloned()));
}

fn document(page: &str) -> Document<'_> {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    match Document::parse_with_options(page, options) {
        Ok(document) => document,
        Err(error) => panic!("{error}: {:?}", page.lines().nth(error.pos().row as usize - 1)),
    }
}

fn all<'a>(document: &'a Document, name: &str) -> Vec<Node<'a, 'a>> {
    document.descendants().filter(|node| node.has_tag_name(name)).collect()
}

fn text(node: Node) -> String {
    let texts = node.descendants().filter(|node| node.is_text());
    texts.filter_map(|node| node.text()).collect()
}

/// The rows of entries, each as its class, the target of its link, and the words of its cells.
fn rows(page: &str) -> Vec<(String, String, Vec<String>)> {
    let document = document(page);
    let rows = all(&document, "tr").into_iter().filter_map(|row| {
        let class = row.attribute("class")?.to_string();
        let link = row.descendants().find(|node| node.has_tag_name("a"))?;
        let cells = row.children().filter(|node| node.is_element()).map(text).collect();
        Some((class, link.attribute("href")?.to_string(), cells))
    });
    rows.collect()
}

fn json(listing: &Listing, entries: &[Entry]) -> serde_json::Value {
    let mut out = Vec::new();
    json::begin(listing, &mut out);
    entries.iter().enumerate().for_each(|(place, entry)| json::row(place, entry, &mut out));
    json::end(&mut out);
    serde_json::from_slice(&out).expect("a listing is JSON")
}

#[test]
fn a_page_tells_names_sizes_and_times() {
    let entries = [directory(b"photos", NOON), file(b"a file.txt", 1_468_006, NOON - 3)];
    let page = page(&listing(b"", false, &entries), &entries);
    let cells = |cells: &[&str]| cells.iter().map(|cell| cell.to_string()).collect::<Vec<_>>();
    let shown = [
        ("dir", "./photos/", cells(&["photos/", "", "2026-11-25 21:46"])),
        ("file", "./a%20file.txt", cells(&["a file.txt", "1.4 MiB", "2026-11-25 21:46"])),
    ];
    let shown = shown.map(|(class, href, cells)| (class.to_string(), href.to_string(), cells));
    assert_eq!(rows(&page), shown);
    assert!(page.contains("data-bytes=\"1468006\" title=\"1,468,006 bytes\""));
    assert!(page.contains("<time datetime=\"2026-11-25T21:46:00Z\""));
    assert!(page.contains("1 directory · 1 file · <span title=\"1,468,006 bytes\">1.4 MiB</span>"));
    assert!(!page.contains("Parent directory"), "the root has none");
}

#[test]
fn a_way_leads_back_up_in_the_same_order() {
    let entries = [directory(b"below", 0)];
    let listing =
        Listing { order: Order::parse(b"sort=time"), ..listing(b"a/<b>/c d", false, &entries) };
    let page = page(&listing, &entries);
    let document = document(&page);
    let nav = all(&document, "nav")[0];
    let links = nav.descendants().filter(|node| node.has_tag_name("a"));
    let links: Vec<_> = links.map(|link| (text(link), link.attribute("href").unwrap())).collect();
    let expected =
        [("Files", "../../../?sort=time"), ("a", "../../?sort=time"), ("<b>", "../?sort=time")];
    assert_eq!(links, expected.map(|(name, href)| (name.to_string(), href)));
    let here = nav.descendants().find(|node| node.attribute("aria-current") == Some("page"));
    assert_eq!(here.map(text).as_deref(), Some("c d"));
    assert_eq!(text(all(&document, "title")[0]), "/a/<b>/c d/");
    let targets: Vec<String> = rows(&page).into_iter().map(|(_, href, _)| href).collect();
    assert_eq!(targets, ["../?sort=time", "./below/?sort=time"]);
}

#[test]
fn an_empty_directory_says_so() {
    for (path, writable) in [("", false), ("", true), ("a", false), ("a", true)] {
        let page = page(&listing(path.as_bytes(), writable, &[]), &[]);
        assert!(text(document(&page).root()).contains("This directory is empty."), "{path}");
        assert!(page.contains("0 files"));
    }
}

#[test]
fn heads_of_columns_are_links_that_reverse() {
    let heads = |query: &[u8]| {
        let listing = Listing { order: Order::parse(query), ..Listing::default() };
        let page = page(&listing, &[]);
        let document = document(&page);
        let heads = all(&document, "th").into_iter().map(|head| {
            let link = head.first_element_child().unwrap().attribute("href").unwrap();
            (head.attribute("aria-sort").unwrap_or("").to_string(), link.to_string())
        });
        heads.collect::<Vec<_>>()
    };
    let expect = |heads: Vec<(String, String)>, expected: [(&str, &str); 3]| {
        assert_eq!(heads, expected.map(|(sorted, href)| (sorted.to_string(), href.to_string())));
    };
    expect(
        heads(b""),
        [
            ("ascending", "?sort=name&order=desc"),
            ("", "?sort=size&order=desc"),
            ("", "?sort=time&order=desc"),
        ],
    );
    expect(
        heads(b"sort=size&order=desc"),
        [("", "./"), ("descending", "?sort=size"), ("", "?sort=time&order=desc")],
    );
}

#[test]
fn only_who_may_write_gets_a_script() {
    let entries = [file(b"a", 1, 0)];
    let (read, write) = (listing(b"", false, &entries), listing(b"", true, &entries));
    let (read, write) = (page(&read, &entries), page(&write, &entries));
    for absent in ["<script", "<noscript", "<input", "class=\"act\""] {
        assert!(!read.contains(absent), "{absent}");
        assert!(write.contains(absent), "{absent}");
    }
    let document = document(&write);
    for node in document.descendants() {
        for attribute in node.attributes() {
            let (name, value) = (attribute.name(), attribute.value());
            assert!(
                !name.starts_with("on") && name != "style",
                "the policy forbids {name}={value}"
            );
        }
    }
    for foreign in ["http://", "https://", "@import", "innerHTML", "insertAdjacent", "eval("] {
        let found = write.replace("http://www.w3.org/2000/svg", "").contains(foreign);
        assert!(!found, "{foreign} in the page");
    }
}

#[test]
fn the_policy_lets_this_style_and_this_script_run() {
    // What stands between the tags, as a browser hashes it.
    let hash = |page: &str, name: &str| {
        let (_, rest) = page.split_once(&format!("<{name}>")).unwrap();
        let (inner, _) = rest.split_once(&format!("</{name}>")).unwrap();
        BASE64_STANDARD.encode(digest(&SHA256, inner.as_bytes()))
    };
    let page = page(&listing(b"", true, &[]), &[]);
    assert_eq!(page.matches("</style>").count() + page.matches("</script>").count(), 2);
    assert!(!page.contains('\r'), "a browser would hash it as a line feed");
    let style = format!("style-src 'sha256-{}';", hash(&page, "style"));
    let script = format!("script-src 'sha256-{}';", hash(&page, "script"));
    for part in ["default-src 'none';", &style, &script, "connect-src 'self';"] {
        assert!(policy(true).contains(part), "{part}");
    }
    assert!(policy(false).contains(&style) && !policy(false).contains("script-src"));
    let error = String::from_utf8(error_page(404, "Not Found", "It is not there.")).unwrap();
    assert!(policy(false).contains(&hash(&error, "style")));
    for policy in [policy(true), policy(false)] {
        assert!(policy.is_ascii() && !policy.contains(['\r', '\n']));
        for part in ["base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{part}");
        }
    }
}

#[test]
fn names_that_mean_harm_stay_names() {
    let cases: [(&[u8], &str, &str); 9] = [
        (
            b"<script>alert(1)</script>",
            "<script>alert(1)</script>",
            "./%3Cscript%3Ealert%281%29%3C%2Fscript%3E",
        ),
        (b"javascript:alert(1)", "javascript:alert(1)", "./javascript%3Aalert%281%29"),
        (b"//evil.example", "//evil.example", "./%2F%2Fevil.example"),
        (b"\" onclick=\"x", "\" onclick=\"x", "./%22%20onclick%3D%22x"),
        (b"a\r\nSet-Cookie: x", "a[U+000D][U+000A]Set-Cookie: x", "./a%0D%0ASet-Cookie%3A%20x"),
        (b"?query#part%41", "?query#part%41", "./%3Fquery%23part%2541"),
        ("\u{202e}gpj.exe".as_bytes(), "[U+202E]gpj.exe", "./%E2%80%AEgpj.exe"),
        (b"caf\xe9", "caf\u{fffd}", "./caf%E9"),
        (
            b"\0\x1b[31m\x7f]]>&amp;",
            "[U+0000][U+001B][31m[U+007F]]]>&amp;",
            "./%00%1B%5B31m%7F%5D%5D%3E%26amp%3B",
        ),
    ];
    for (name, shown, href) in cases {
        let entries = [file(name, 0, 0)];
        let page = page(&listing(name, true, &entries), &entries);
        let row = rows(&page).pop().unwrap();
        assert_eq!((row.1.as_str(), row.2[0].as_str()), (href, shown));
    }
}

#[test]
fn sizes_have_three_digits_and_their_unit() {
    let sizes = [
        (0, "0 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (10_188, "9.9 KiB"),
        (10_189, "10 KiB"),
        (1_048_063, "1023 KiB"),
        (1_048_064, "1.0 MiB"),
        (5 << 30, "5.0 GiB"),
        (u64::MAX, "16 EiB"),
    ];
    for (bytes, words) in sizes {
        assert_eq!(text::size(bytes), words, "{bytes}");
    }
    assert_eq!(text::counted(1, "byte", "bytes"), "1 byte");
    assert_eq!(text::counted(1_234_567, "byte", "bytes"), "1,234,567 bytes");
}

#[test]
fn times_that_no_calendar_has_do_not_break_a_page() {
    let at = |seconds: i64| match u64::try_from(seconds) {
        Ok(after) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(after)),
        Err(_) => SystemTime::UNIX_EPOCH.checked_sub(Duration::from_secs(seconds.unsigned_abs())),
    };
    let cases = [
        (0, "1970-01-01T00:00:00Z"),
        (-1, "1969-12-31T23:59:59Z"),
        (i64::MAX, "9999-12-30T22:00:00Z"),
        (i64::MIN, "0000-01-01T00:00:00Z"),
        (-62_167_219_201, "0000-01-01T00:00:00Z"),
    ];
    for (seconds, words) in cases {
        assert_eq!(text::time(at(seconds).unwrap(), false), words, "{seconds}");
    }
    let exactly = SystemTime::UNIX_EPOCH + Duration::new(NOON, 120_000_000);
    assert_eq!(text::time(exactly, true), "2026-11-25T21:46:03.12Z");
    // Rounded up, a file would be from the future.
    let late = SystemTime::UNIX_EPOCH + Duration::new(NOON, 999_999_999);
    assert_eq!(text::time(late, false), "2026-11-25T21:46:03Z");
}

#[test]
fn a_query_asks_for_an_order() {
    let order = |key, descending| Order { key, descending };
    let cases: [(&[u8], Order); 7] = [
        (b"", order(Key::Name, false)),
        (b"sort=size", order(Key::Size, false)),
        (b"sort=time&order=desc", order(Key::Time, true)),
        (b"order=desc", order(Key::Name, true)),
        (b"x=y&order=asc&&sort=size&sort", order(Key::Size, false)),
        (b"sort=colour&order=random", order(Key::Name, false)),
        (b"sort=\xff\0%73ize", order(Key::Name, false)),
    ];
    for (query, order) in cases {
        assert_eq!(Order::parse(query), order, "{}", query.escape_ascii());
        let said = order.query();
        assert_eq!(Order::parse(said.strip_prefix('?').unwrap_or(&said).as_bytes()), order);
    }
}

#[test]
fn directories_come_first_and_numbers_count() {
    let mut entries = vec![
        file(b"page 10", 5, 30),
        file(b"Zebra", 9, 10),
        directory(b"z", 20),
        file(b"page 9", 7, 20),
        file(b"page 09", 7, 40),
        file(b"apple", 1, 50),
        directory(b"B", 99),
    ];
    let mut sorted = |query: &[u8]| {
        sort(&mut entries, Order::parse(query));
        let names = entries.iter().map(|entry| String::from_utf8_lossy(&entry.name).into_owned());
        names.collect::<Vec<_>>().join(", ")
    };
    assert_eq!(sorted(b""), "B, z, apple, page 09, page 9, page 10, Zebra");
    assert_eq!(sorted(b"order=desc"), "z, B, Zebra, page 10, page 9, page 09, apple");
    assert_eq!(sorted(b"sort=size"), "B, z, apple, page 10, page 09, page 9, Zebra");
    assert_eq!(sorted(b"sort=size&order=desc"), "B, z, Zebra, page 09, page 9, page 10, apple");
    assert_eq!(sorted(b"sort=time&order=desc"), "B, z, apple, page 09, page 10, page 9, Zebra");
}

#[test]
fn json_tells_the_same() {
    let entries = [directory(b"d", NOON), file(b"\"caf\xe9\"\n", u64::MAX, NOON)];
    let path = "ä/\u{1}".as_bytes();
    let expected = serde_json::json!({
        "path": "/ä/\u{1}",
        "entries": [
            {"name": "d", "href": "./d/", "type": "directory", "modified": "2026-11-25T21:46:03Z"},
            {
                "name": "\"caf\u{fffd}\"\n",
                "href": "./%22caf%E9%22%0A",
                "type": "file",
                "size": u64::MAX,
                "modified": "2026-11-25T21:46:03Z",
            },
        ],
    });
    assert_eq!(json(&listing(path, true, &entries), &entries), expected);
    let empty = serde_json::json!({"path": "/", "entries": []});
    assert_eq!(json(&listing(b"", false, &[]), &[]), empty);
}

#[test]
fn an_error_is_a_page_or_a_line() {
    let page = String::from_utf8(error_page(404, "Not Found", "no <b> & \u{202e}")).unwrap();
    let text = text(document(&page).root());
    assert!(text.contains("404") && text.contains("no <b> & [U+202E]"));
    let line = error_text(409, "Conflict", "a\nb\u{1b}[31m");
    assert_eq!(String::from_utf8_lossy(&line), "409 Conflict: a\u{fffd}b\u{fffd}[31m\n");
    assert_eq!(error_text(404, "Not Found", ""), b"404 Not Found\n");
}

/// Names as a Unix system allows them, with what breaks pages more often than chance has it.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let odd = prop::sample::select(vec![
        "<",
        ">",
        "\"",
        "'",
        "&",
        "&lt;",
        "]]>",
        "<!--",
        "</script>",
        "\u{202e}",
        "\u{fffe}",
        "\u{2028}",
        "\u{85}",
        "\u{1f980}",
        "7",
        "007",
        "a",
        "A",
    ]);
    let piece = prop_oneof![
        odd.prop_map(|text| text.as_bytes().to_vec()),
        prop::collection::vec((1..=255u8).prop_filter("no path", |byte| *byte != b'/'), 1..6),
    ];
    prop::collection::vec(piece, 1..8).prop_map(|pieces| pieces.concat())
}

fn entry() -> impl Strategy<Value = Entry<'static>> {
    (name(), any::<bool>(), 0..4u64, 0..4u64).prop_map(|(name, is_file, bytes, second)| {
        match is_file {
            true => file(&name, bytes, second),
            false => directory(&name, second),
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_name_breaks_out(
        entries in prop::collection::vec(entry(), 1..6),
        path in prop::collection::vec(name(), 0..4),
        writable: bool,
    ) {
        let path = path.join(&b'/');
        let listing = listing(&path, writable, &entries);
        let page = page(&listing, &entries);
        let told = json(&listing, &entries);
        let up = usize::from(!path.is_empty());
        let rows = rows(&page);
        prop_assert_eq!(rows.len(), up + entries.len());
        for (place, entry) in entries.iter().enumerate() {
            let (class, href, cells) = &rows[up + place];
            let is_file = entry.kind == Kind::File;
            prop_assert_eq!(class, if is_file { "file" } else { "dir" });
            prop_assert_eq!(cells.len(), if writable { 4 } else { 3 });
            prop_assert!(!cells[0].contains(|letter: char| letter.is_control()));
            // The way back is exact, on the page and in JSON.
            let encoded = href.strip_prefix("./").unwrap();
            let encoded = if is_file { encoded } else { encoded.strip_suffix('/').unwrap() };
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"%-._~".contains(&byte)));
            prop_assert_eq!(&percent_decode_str(encoded).collect::<Vec<u8>>(), &*entry.name);
            prop_assert_eq!(told["entries"][place]["href"].as_str(), Some(href.as_str()));
            prop_assert_eq!(told["entries"][place]["name"].as_str(), Some(&*String::from_utf8_lossy(&entry.name)));
        }
        // No element beyond those that a page with a harmless name has.
        let harmless: Vec<Entry> = entries.iter().map(|entry| Entry { name: b"x".into(), ..entry.clone() }).collect();
        let count = |page: &str| document(page).descendants().filter(|node| node.is_element()).count();
        let plain = path.split(|byte| *byte == b'/').map(|_| "x").collect::<Vec<_>>().join("/");
        let plain = if path.is_empty() { "" } else { &plain };
        let calm = self::page(&Listing { path: plain.into(), ..listing.clone() }, &harmless);
        prop_assert_eq!(count(&page), count(&calm));
    }

    #[test]
    fn an_order_is_total(mut entries in prop::collection::vec(entry(), 0..30), time: bool, descending: bool) {
        // In a directory no name comes twice.
        entries.sort_by(|one, other| one.name.cmp(&other.name));
        entries.dedup_by(|one, other| one.name == other.name);
        let order = Order { key: if time { Key::Time } else { Key::Size }, descending };
        for order in [order, Order { key: Key::Name, descending }] {
            sort(&mut entries, order);
            let sorted = entries.clone();
            entries.reverse();
            sort(&mut entries, order);
            prop_assert_eq!(&entries, &sorted);
        }
    }
}

//! A real browser on our files: Chromium shows the page of a directory, and leaves files there.

mod support;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;
use support::browser::Browser;
use support::file_host::{FileHost, halfway, large, patience};
use support::pattern;
use support::relay::Relay;
use support::tree::Tree;
use support::way::{Way, in_every_way};

/// What it would be if somebody took it for anything but a name.
const MARKUP: &str = "<img src=x onerror=alert(1)>&quot;<b>.txt";

fn tree() -> Tree {
    let tree = Tree::new();
    tree.file("b small.txt", "small").file("a medium.txt", pattern(1, 5000));
    tree.file("c large.bin", pattern(2, large())).file(MARKUP, "markup").directory("sub/deep");
    tree.file("sub/page.html", "<script>document.title = 'it ran'</script><p>a page");
    tree
}

/// A file to leave, outside of what is served.
fn source(host: &FileHost, name: &str, seed: u64) -> PathBuf {
    let path = host.tree.base().join(name);
    fs::write(&path, pattern(seed, large())).unwrap();
    path
}

/// Pictures of the page on a desktop and on a phone, which it fits.
fn pictures(browser: &mut Browser, name: &str) {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("files");
    fs::create_dir_all(&directory).unwrap();
    for (width, height) in [(390, 844), (1100, 900)] {
        browser.look(width, height);
        let root = "document.documentElement";
        assert_eq!(browser.eval(&format!("{root}.scrollWidth - {root}.clientWidth")), 0, "{width}");
        let png = browser.picture();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000, "{} bytes", png.len());
        fs::write(directory.join(format!("{name}-{width}.png")), png).unwrap();
    }
}

fn name(way: Way, what: &str) -> String {
    format!("{what}-{}{}", way.engine, if way.tls { "-tls" } else { "" })
}

in_every_way! {
    #[ignore = "needs chromium"]
    fn a_browser_shows_and_fetches_files(way) {
        let host = FileHost::with(way, tree(), &[]);
        let mut browser = Browser::start(host.tree.base());
        browser.go(&host.url(""));
        let names = "[...document.querySelectorAll('#entries bdi')].map((name) => name.textContent)";
        assert_eq!(browser.eval(names).as_array().unwrap().len(), 5);
        assert_eq!(browser.eval("document.querySelectorAll('#entries :is(b, img)').length"), 0);
        // The largest first; and the other way round.
        let mut order = ["c large.bin", "a medium.txt", MARKUP, "b small.txt"];
        for query in ["?sort=size&order=desc", "?sort=size"] {
            browser.click("th.size a");
            browser.until(&format!("location.search === '{query}' && document.readyState === 'complete'"));
            assert_eq!(browser.eval(names), json!([&["sub"][..], &order].concat()));
            order.reverse();
        }
        pictures(&mut browser, &name(way, "listing"));
        browser.click("#entries .dir a");
        browser.until("location.pathname === '/sub/' && document.readyState === 'complete'");
        browser.click("#entries .file a");
        browser.until("document.title === 'it ran'");
        browser.go(&host.url("none"));
        assert!(browser.eval("document.body.innerText").as_str().unwrap().contains("404"));
        assert_eq!(browser.complaints, [""; 0]);
    }

    #[ignore = "needs chromium"]
    fn a_browser_goes_on_with_a_download(way) {
        let host = FileHost::with(way, tree(), &["--writable"]);
        let relay = Relay::to(host.address());
        let mut browser = Browser::start(host.tree.base());
        browser.go(&host.url_at(relay.address, ""));
        relay.is_cut_after(halfway());
        browser.click("[href*='large']");
        let downloaded = host.tree.base().join("c large.bin");
        // It has another name until all is there.
        let since = Instant::now();
        while !downloaded.exists() {
            assert!(since.elapsed() < patience(), "it is not downloaded");
            thread::sleep(Duration::from_millis(10));
        }
        assert!(fs::read(downloaded).unwrap() == host.tree.read("c large.bin"));
        assert!(relay.carried() < large() as u64 + halfway() / 2, "{}", relay.carried());
        assert_eq!(browser.complaints, [""; 0]);
    }

    #[ignore = "needs chromium"]
    fn a_browser_leaves_files_and_goes_on_with_them(way) {
        let mut host = FileHost::with(way, tree(), &["--writable"]);
        let relay = Relay::to(host.address());
        let url = host.url_at(relay.address, "");
        let mut browser = Browser::start(host.tree.base());
        browser.go(&url);
        let first = source(&host, "ü <i>&amp; 100%.bin", 3);
        let target = "ü <i>&amp; 100%.bin";
        relay.holds_after(halfway());
        browser.choose("#files", &[&first]);
        browser.until("document.querySelector('#uploads .running .words').textContent.includes(' of ')");
        pictures(&mut browser, &name(way, "upload"));
        assert!(!host.tree.exists(target));

        // The server is killed, and another one takes its place.
        host.replace(&["--writable"]);
        relay.breaks_after(0);
        browser.until("document.querySelector('#uploads .failed')");
        relay.mend(host.address());
        browser.press("Retry");
        browser.until_within("document.querySelector('#uploads .done')", patience());
        assert!(relay.carried() < large() as u64 - 1_000_000, "{}", relay.carried());
        assert!(host.tree.read(target) == fs::read(&first).unwrap());
        browser.until(&format!(
            "[...document.querySelectorAll('#entries bdi')].some((name) => name.textContent === {target:?})"
        ));

        // The same later on, by a page that knows nothing of it; below another file of its name.
        let second = source(&host, "a medium.txt", 4);
        relay.breaks_after(halfway());
        browser.choose("#files", &[&second]);
        browser.press("Replace");
        browser.until("document.querySelector('#uploads .failed')");
        assert!(host.tree.read("a medium.txt") == pattern(1, 5000));
        relay.mend(host.address());
        browser.go(&url);
        browser.choose("#files", &[&second]);
        browser.press("Go on");
        browser.until_within("document.querySelector('#uploads .done')", patience());
        assert!(relay.carried() < large() as u64 - 1_000_000, "{}", relay.carried());
        assert!(host.tree.read("a medium.txt") == fs::read(&second).unwrap());
        assert!(host.tree.parts("").is_empty());
        pictures(&mut browser, &name(way, "uploaded"));

        browser.until("document.querySelector('[aria-label=\"Delete b small.txt\"]')");
        browser.click("[aria-label=\"Delete b small.txt\"]");
        browser.until("!document.querySelector('[aria-label=\"Delete b small.txt\"]')");
        assert!(!host.tree.exists("b small.txt"));
        assert_eq!(browser.dialogs, ["Delete b small.txt?"]);
        assert_eq!(browser.complaints, [""; 0]);

        // What anybody may have left here does nothing in the name of this place.
        browser.go(&host.url_at(relay.address, "sub/page.html"));
        assert_ne!(browser.eval("document.title"), "it ran");
        assert!(browser.complaints.remove(0).contains("sandboxed"));
    }
}

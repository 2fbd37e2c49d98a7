//! The page of a bench: well-formed, self-contained, and right about what it says.

#[path = "support/sample.rs"]
mod sample;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use proptest::prelude::*;
use roxmltree::{Document, ParsingOptions};
use socklab::report::document::*;
use socklab::report::{html, words};

/// The page, after it has been found to be well-formed and to hold nothing it must not.
fn sound_page(result: &BenchResult) -> String {
    let page = html::page(result);
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = match Document::parse_with_options(&page, options) {
        Ok(document) => document,
        Err(error) => panic!("{error}: {:?}", page.lines().nth(error.pos().row as usize - 1)),
    };
    let mut ids = HashSet::new();
    for node in document.descendants() {
        for attribute in node.attributes() {
            let value = attribute.value();
            if ["id", "aria-labelledby"].contains(&attribute.name()) {
                assert!(
                    attribute.name() != "id" || ids.insert(value.to_string()),
                    "twice: {value}"
                );
            } else if node.ancestors().any(|node| node.has_tag_name("svg")) {
                let odd = ["NaN", "inf", "e+", "--"].iter().any(|odd| value.contains(odd));
                assert!(!odd, "{}=\"{value}\"", attribute.name());
            }
        }
        let name = node.tag_name().name();
        assert!(!["script", "link", "img", "iframe", "object"].contains(&name), "<{name}>");
    }
    for foreign in ["http://", "https://", "<script", "@import", "url("] {
        assert!(!page.contains(foreign), "{foreign} in the page");
    }
    page
}

/// The words of the page, as a reader has them.
fn text(page: &str) -> String {
    let options = ParsingOptions { allow_dtd: true, ..ParsingOptions::default() };
    let document = Document::parse_with_options(page, options).unwrap();
    let texts = document.descendants().filter(|node| node.is_text());
    texts.filter_map(|node| node.text()).collect::<Vec<_>>().concat()
}

#[test]
fn who_spoke_tls_is_told() {
    for (speakers, over) in [(2, ", over TLS"), (1, ", poll over TLS")] {
        let bench = sample::over_tls(speakers);
        let page = sound_page(&bench);
        assert!(text(&page).contains(&format!("threads against poll{over}\n")), "{over}");
        for part in ["TLS handshakes", "12,000", ", sessions resumed", "TLS13_AES_256_GCM_SHA384"] {
            assert!(text(&page).contains(part), "{part}");
        }
        let report = socklab::report::text::bench(&bench);
        assert!(report.contains(&format!("{}; bench-2", &over[2..])), "{report}");
        let lines = report.matches(" 3 full, 12,000 resumed; TLS 1.3, ").count();
        assert_eq!(lines, 3 * speakers, "{report}");
    }
    let plain = sound_page(&sample::bench());
    assert!(!plain.contains("TLS"), "nobody spoke it");
}

/// A bench in which files of these sizes were fetched.
fn of_files(sizes: &[u64]) -> BenchResult {
    let mut bench = sample::bench();
    let rows = std::mem::take(&mut bench.rows);
    bench.options.files_bytes = sizes.to_vec();
    for &size in sizes {
        bench.rows.extend(rows.iter().cloned().map(|mut row| {
            row.file_bytes = Some(size);
            for standing in &mut row.standings {
                let body = size as f64 * standing.messages_per_second;
                standing.body_bytes_per_second = Some(body);
            }
            row
        }));
    }
    bench
}

#[test]
fn files_are_told_apart_by_their_sizes() {
    let several = of_files(&[1024, 65_536]);
    let page = text(&sound_page(&several));
    for part in [
        "Files of 1 KiB: ",
        "Files of 64 KiB: ",
        "CPU per request, 1 KiB less is better",
        "Requests per second, 64 KiB more is better",
        "64 clients, 1 KiB: ",
        "1,000 clients, 64 KiB",
        "files of 1 KiB and 64 KiB, over HTTP",
        " GB/s",
    ] {
        assert!(page.contains(part), "{part:?} is not in {page}");
    }
    assert!(!page.contains("message"), "they are requests");
    let report = socklab::report::text::bench(&several);
    assert!(report.contains("\n1 client, 64 KiB (12 rounds"), "{report}");
    assert!(!report.contains("message"), "{report}");
    let one = text(&sound_page(&of_files(&[1000])));
    assert!(one.contains("files of 1,000 B, over HTTP"), "{one}");
    assert!(!one.contains("clients, 1,000 B") && !one.contains("Files of 1,000 B:"), "{one}");
}

#[test]
fn a_page_is_well_formed_and_complete() {
    let page = sound_page(&sample::bench());
    assert!(page.starts_with("<!DOCTYPE html>\n<html lang=\"en\">"));
    assert!(page.contains("<meta name=\"viewport\""));
    let parts = [
        "How they compare",
        "Over the number of clients",
        "Latency",
        "Every slice",
        "Memory per connection",
        "All figures",
        "How this was measured",
    ];
    let places: Vec<usize> = parts
        .iter()
        .map(|part| page.find(&format!("<h2>{part}</h2>")).unwrap_or_else(|| panic!("{part}")))
        .collect();
    assert!(places.is_sorted());
    assert!(page.len() < 400_000, "{} bytes", page.len());
}

#[test]
fn the_answer_stands_before_all_else() {
    let result = sample::bench();
    let page = sound_page(&result);
    let headline =
        "poll is cheaper than threads from 64 clients on; with 1 client no difference is shown.";
    assert_eq!(words::headline(&result), headline);
    assert!(page.contains(&format!("<title>{headline}</title>")));
    assert!(page.contains(&format!("<h1>{headline}</h1>")));
    assert!(text(&page).contains("64 clients: threads costs 1.8"));
    assert!(text(&page).contains("Noise, poll against itself: ["));
}

#[test]
fn every_verdict_has_its_sentence() {
    let mut result = sample::bench();
    let row = result.rows[1].clone();
    let mut said = |metric, verdict, rounds| {
        let ratio = Ratio { estimate: 1.83, low: 1.78, high: 1.88, rounds };
        let noise = Ratio { estimate: 1.0, low: 0.99, high: 1.01, rounds };
        let comparison = Comparison { contestant: 1, metric, ratio, noise, verdict };
        result.rows[1].comparisons = vec![comparison.clone()];
        words::comparison(&result, &row, &comparison)
    };
    assert_eq!(
        said(Metric::Cpu, Verdict::Worse, 12),
        "64 clients: threads costs 1.83× [1.78, 1.88] the CPU per message of poll"
    );
    assert_eq!(
        said(Metric::Throughput, Verdict::Better, 12),
        "64 clients: threads answers 1.83× [1.78, 1.88] the messages per second of poll"
    );
    assert_eq!(
        said(Metric::P99, Verdict::NoDifference, 12),
        "64 clients: no difference shown between threads and poll in 99th percentile of latency: \
         1.83× [1.78, 1.88], noise [0.99, 1.01]"
    );
    assert_eq!(
        said(Metric::Memory, Verdict::Inconclusive, 5),
        "64 clients: inconclusive: threads takes 1.83× [1.78, 1.88] the memory per connection of \
         poll (5 rounds: too few for 95 %)"
    );
}

#[test]
fn the_headline_says_where_the_verdict_changes() {
    use Verdict::{Better, Inconclusive, NoDifference, Worse};
    let said = |verdicts: &[Verdict]| {
        let mut result = sample::bench();
        result.rows.truncate(verdicts.len());
        for (row, verdict) in result.rows.iter_mut().zip(verdicts) {
            row.comparisons.retain(|comparison| comparison.metric == Metric::Cpu);
            row.comparisons[0].verdict = *verdict;
            row.comparisons[0].ratio.estimate = 1.5;
        }
        words::headline(&result)
    };
    assert_eq!(
        said(&[Worse]),
        "poll is cheaper than threads with 1 client: threads costs 1.50× the CPU per message."
    );
    assert_eq!(
        said(&[Worse, Worse, Worse]),
        "poll is cheaper than threads with every number of clients: threads costs 1.50× the CPU \
         per message."
    );
    assert_eq!(
        said(&[Better, Better]),
        "threads is cheaper than poll with every number of clients: it costs 1.50× the CPU per \
         message."
    );
    assert_eq!(
        said(&[NoDifference, Worse, NoDifference]),
        "poll is cheaper than threads with 64 clients; with 1 client and with 1,000 clients no \
         difference is shown."
    );
    assert_eq!(
        said(&[Better, Worse, Worse]),
        "threads is cheaper than poll with 1 client, poll from 64 clients on."
    );
    assert_eq!(
        said(&[Better, Better, Inconclusive]),
        "threads is cheaper than poll up to 64 clients; with 1,000 clients it is inconclusive."
    );
    assert_eq!(
        said(&[NoDifference, NoDifference]),
        "No difference in CPU per message is shown between threads and poll."
    );
    assert_eq!(
        said(&[NoDifference, Inconclusive]),
        "threads against poll: with 1 client no difference is shown; with 64 clients it is \
         inconclusive."
    );
    assert_eq!(
        said(&[]),
        "Nothing was compared: there was time for one round only; see --max-time."
    );
}

#[test]
fn hostile_names_stay_text() {
    let mut result = sample::bench();
    let name = "<script src=\"http:/\u{200b}/x\">&amp;'\u{0}\u{202e}\u{1f980} naïve 中文";
    result.contestants[1].name = name.into();
    result.contestants[1].command = "</code></style>--><!-- ]]> \u{1b}[31m".into();
    result.environment.cpu = "\" onload=\"alert(1)".into();
    result.started = "<b>".into();
    let page = sound_page(&result);
    let shown = "<script src=\"http:/\u{200b}/x\">&amp;'\u{fffd}\u{fffd}\u{1f980} naïve 中文";
    assert!(text(&page).contains(shown));
    assert!(text(&page).contains("</code></style>--><!-- ]]> \u{fffd}[31m"));
}

#[test]
fn an_interrupted_bench_says_so_first() {
    let mut result = sample::bench();
    assert!(!sound_page(&result).contains("Interrupted."));
    result.interrupted = true;
    let page = sound_page(&result);
    assert!(page.find("Interrupted.").unwrap() < page.find("<h1>").unwrap());
}

#[test]
fn a_full_load_generator_and_late_messages_are_told() {
    let mut result = sample::bench();
    (result.rows[1].standings[0].driver_busy, result.rows[1].standings[0].cpus_busy) = (0.99, 0.8);
    // Where the server was full, too, its throughput is what it can do.
    (result.rows[1].standings[1].driver_busy, result.rows[1].standings[1].cpus_busy) = (0.99, 0.99);
    result.rows[2].standings[1].late = 50_000;
    let page = text(&sound_page(&result));
    let full = "64 clients: with poll the load generator was full: throughput is a lower bound.";
    assert_eq!(page.matches(full).count(), 2, "at the top and below the table");
    assert!(page.contains("1,000 clients: with threads more than 1 % of the open-loop messages"));
}

#[test]
fn what_is_absent_is_left_out() {
    let mut bare = sample::bench();
    bare.environment = Environment::default();
    bare.options = BenchOptions::default();
    for row in &mut bare.rows {
        row.open_rate = None;
        for standing in &mut row.standings {
            (standing.latency, standing.memory) = (None, None);
        }
    }
    let page = sound_page(&bare);
    assert!(!page.contains("<h2>Latency") && !page.contains("<h2>Memory"));

    let mut one = sample::bench();
    one.rows.truncate(1);
    sound_page(&one);
    one.contestants.truncate(1);
    one.rows[0].comparisons.clear();
    one.rows[0].standings.truncate(1);
    sound_page(&one);
    one.rows[0].rounds.clear();
    one.rows[0].standings.clear();
    sound_page(&one);
    one.rows.clear();
    one.contestants.clear();
    assert!(sound_page(&one).contains("Nothing was compared"));

    let mut broken = sample::bench();
    for standing in broken.rows.iter_mut().flat_map(|row| &mut row.standings) {
        standing.latency.as_mut().unwrap().histogram = "not base64".into();
    }
    // There is still the curve through the percentiles that the document spells out.
    assert!(sound_page(&broken).contains("<h2>Latency"));
}

#[test]
fn five_contestants_with_long_names_fit() {
    sound_page(&crowd());
}

/// Five contestants, some with names that are too long, with six numbers of clients.
fn crowd() -> BenchResult {
    let like = |factor: f64| sample::Nature {
        cpu_ns: 3_000.0 * factor,
        per_second: 300_000.0 / factor,
        switches: 0.1 * factor,
        p50_ns: 60_000.0 * factor,
        tail: 0.4 * factor.sqrt(),
        memory: [500.0 * factor, 0.0, 60.0 * factor.powi(6), 2480.0],
    };
    let natures: Vec<sample::Nature> = [1.0, 1.02, 1.4, 2.9, 0.7].map(like).into();
    let long = "a-server-with-a-name-that-nobody-would-ever-want-to-type-twice-in-a-day";
    let who = [
        ("poll", "socklab echo"),
        ("nginx & friends", "nginx -c /etc/nginx/echo.conf -g 'daemon off;'"),
        (long, "env A=1 ./server --port {port}"),
        ("threads", "socklab echo --engine threads"),
        ("epoll in C", "./epoll"),
    ];
    let rows: Vec<_> =
        [1, 2, 8, 64, 256, 4096].map(|clients| (clients, 60_000.0, natures.clone())).into();
    sample::build(&who, &rows)
}

/// Numbers that measurements should not yield, and some day do.
fn odd() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(-1.0),
        Just(1.0),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MAX),
        Just(f64::MIN_POSITIVE),
        Just(5e-324),
        1e-9..1e9f64,
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_number_breaks_a_page(
        odd in proptest::collection::vec(odd(), 16..64),
        whole in proptest::collection::vec(prop_oneof![Just(0), Just(1), Just(u64::MAX), any::<u64>()], 8),
    ) {
        let mut result = plain();
        let mut odd = odd.iter().copied().cycle();
        let mut odd = || odd.next().unwrap();
        let mut whole = whole.iter().copied().cycle();
        let mut whole = || whole.next().unwrap();
        result.elapsed_s = odd();
        result.options.slice_s = odd();
        result.options.precision = odd();
        result.options.max_time_s = odd();
        for row in &mut result.rows {
            row.clients = whole() as usize;
            row.open_rate = Some(odd());
            for standing in &mut row.standings {
                standing.cpu_per_message_ns = odd();
                standing.messages_per_second = odd();
                standing.switches_per_message = Some(odd());
                standing.cpus_busy = odd();
                standing.driver_busy = odd();
                standing.late = whole();
                let latency = standing.latency.as_mut().unwrap();
                latency.count = whole();
                latency.p50_ns = Some(whole());
                latency.p99_ns = Some(whole());
                latency.max_ns = whole();
                if whole() % 2 == 0 {
                    latency.histogram.truncate(whole() as usize % 40);
                }
                standing.memory = Some(Memory {
                    connections: whole(),
                    resident_bytes: odd(),
                    threads_bytes: odd(),
                    page_tables_bytes: odd(),
                    sockets_bytes: odd(),
                });
            }
            for comparison in &mut row.comparisons {
                let mut ratio =
                    || Ratio { estimate: odd(), low: odd(), high: odd(), rounds: whole() as usize };
                (comparison.ratio, comparison.noise) = (ratio(), ratio());
            }
            for slice in row.rounds.iter_mut().flat_map(|r| &mut r.sides).flat_map(|s| &mut s.slices) {
                slice.start_s = odd();
                slice.elapsed_s = odd();
                slice.messages = whole();
                slice.server_cpu_s = odd();
            }
        }
        let page = text(&sound_page(&result));
        prop_assert!(!page.contains("NaN") && !page.contains("inf "));
    }
}

/// The sample with fewer slices, made once.
fn plain() -> BenchResult {
    static SAMPLE: std::sync::OnceLock<BenchResult> = std::sync::OnceLock::new();
    let made = SAMPLE.get_or_init(|| {
        let mut result = sample::bench();
        result.rows.iter_mut().for_each(|row| row.rounds.truncate(2));
        result
    });
    made.clone()
}

#[test]
#[ignore = "needs chromium"]
fn a_browser_shows_it_on_a_desktop_and_on_a_phone() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("html");
    std::fs::create_dir_all(&directory).unwrap();
    for (name, result) in [("sample", sample::bench()), ("crowd", crowd())] {
        let page = html::page(&result);
        let dark = page.replace("(prefers-color-scheme: dark)", "all");
        for (look, page) in [("", &page), ("-dark", &dark)] {
            std::fs::write(directory.join(format!("{name}{look}.html")), page).unwrap();
        }
        for width in [1280, 390] {
            let overflow = measured_overflow(&directory, name, width);
            assert_eq!(overflow, Some(0), "{name} at {width} pixels");
            let picture = directory.join(format!("{name}-{width}.png"));
            let frame = framed(&directory, &format!("{name}.html"), width, "");
            let screenshot = format!("--screenshot={}", picture.display());
            chromium(&[&format!("--window-size={},2000", width.max(500)), &screenshot], &frame);
            let png = std::fs::read(&picture).unwrap();
            assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000);
        }
    }
}

/// By how many pixels the page is wider than its window, told by a script that only this test adds.
fn measured_overflow(directory: &Path, name: &str, width: u32) -> Option<i64> {
    let script = "<script>onload = () => { const d = document.documentElement; \
                  parent.document.title = 'overflow ' + (d.scrollWidth - d.clientWidth); }</script>";
    let page = std::fs::read_to_string(directory.join(format!("{name}.html"))).unwrap();
    let measured = format!("{name}-measured.html");
    std::fs::write(directory.join(&measured), page.replace("</body>", &format!("{script}</body>")))
        .unwrap();
    let frame = framed(directory, &measured, width, "");
    let dom = chromium(&["--dump-dom", "--allow-file-access-from-files"], &frame);
    let told = dom.split_once("<title>overflow ")?.1;
    told.split_once('<')?.0.parse().ok()
}

/// A page that shows another one at a width: a headless window has at least 500 pixels.
fn framed(directory: &Path, page: &str, width: u32, style: &str) -> PathBuf {
    let frame = directory.join(format!("frame-{width}-{page}"));
    let html = format!(
        "<!DOCTYPE html><title>frame</title><body style=\"margin:0;{style}\">\
         <iframe src=\"{page}\" style=\"border:0;width:{width}px;height:2000px\"></iframe>"
    );
    std::fs::write(&frame, html).unwrap();
    frame
}

fn chromium(arguments: &[&str], page: &Path) -> String {
    let profile = page.with_extension("profile");
    let output = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync"])
        .arg("--hide-scrollbars")
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(arguments)
        .arg(format!("file://{}", page.display()))
        .output()
        .expect("chromium starts");
    let _ = std::fs::remove_dir_all(&profile);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

//! Reports: documents are merged without averaging, described by their schema, and read by others.

#[path = "support/sample.rs"]
mod sample;
mod support;

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::Deserializer;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use serde_json::{Value, json};
use socklab::engine::Engine;
use socklab::load::tally::histogram;
use socklab::report::document::{
    BenchResult, Datagrams, Distribution, Document, Driver, Environment, Faults, Handshakes, Http,
    LoadOptions, LoadResult, Memory, Tls, Trial, Usage, VERSION,
};
use socklab::report::{csv, html, text};
use socklab::service::Echo;
use support::run::{SOCKLAB, Scratch, fails_in_one_line, parsed, printed};
use support::{PATIENCE, Server};

/// A run in which messages took these times.
fn made_up(latencies: impl IntoIterator<Item = u64>) -> LoadResult {
    let mut times = histogram();
    for latency in latencies {
        times.record(latency).unwrap();
    }
    LoadResult {
        schema: VERSION,
        options: LoadOptions {
            target: "tcp://127.0.0.1:8000".into(),
            clients: 10,
            size_bytes: 64,
            pipeline: Some(1),
            duration_s: Some(2.0),
            threads: 1,
            expect: "echo".into(),
            ..LoadOptions::default()
        },
        environments: vec![Environment { host: "here".into(), ..Environment::default() }],
        started: "2026-01-01T12:00:00.000Z".into(),
        interrupted: false,
        elapsed_s: 2.0,
        messages: times.len(),
        messages_in_all: times.len() + 10,
        sent_bytes: 64 * times.len(),
        received_bytes: 64 * times.len(),
        messages_per_second: times.len() as f64 / 2.0,
        chat: None,
        connected: 10,
        latency: Distribution::of(&times),
        service_time: None,
        connect: None,
        handshake: None,
        http: None,
        first_byte: None,
        datagrams: None,
        tls: None,
        faults: Faults::default(),
        driver: Driver::default(),
        server: None,
        trials: Vec::new(),
    }
}

fn document(result: LoadResult) -> Document {
    Document::Load(Box::new(result))
}

/// So many handshakes when it was measured, and ten before.
fn tls(full: u64, resumed: u64) -> Tls {
    Tls {
        agreed: vec!["TLS 1.3, TLS13_AES_256_GCM_SHA384".into()],
        handshakes: Handshakes { full, resumed },
        handshakes_in_all: Handshakes { full: full + 10, resumed },
        unannounced: 3,
    }
}

/// With everything that a document can have.
fn full() -> LoadResult {
    let mut full = made_up((1..=20_000).map(|n| n * 1_000));
    full.options.rate = Some(10_000.0);
    full.options.pipeline = None;
    full.service_time = full.latency.clone();
    full.connect = full.latency.clone();
    full.handshake = full.latency.clone();
    full.first_byte = full.latency.clone();
    full.datagrams =
        Some(Datagrams { sent: 20_012, lost: 12, reordered: 3, ..Datagrams::default() });
    full.http =
        Some(Http { body_bytes: 1000, body_bytes_per_second: Some(7_654_321.5), closes: 4_321 });
    full.options.resumption = Some(true);
    full.tls = Some(tls(1, 19_999));
    full.faults.wrong = 1;
    full.faults.examples = vec!["wrong: client 0 at offset 3: \"quoted\", and more".into()];
    let memory = Memory { connections: 64, resident_bytes: 1000.0, ..Memory::default() };
    full.server = Some(Usage {
        pid: 17,
        cpu_s: 1.0,
        cpu_per_message_ns: 2000.0,
        cpus_busy: 0.5,
        switches_per_message: Some(0.25),
        memory: Some(memory),
    });
    full.trials = vec![Trial {
        rate: 10_000.0,
        achieved: 9_999.0,
        value: Some(1e6),
        passed: false,
        reason: Some("it was 1ms".into()),
    }];
    full
}

/// Two results of the binary, over the wire.
fn real() -> &'static [String; 2] {
    static REAL: OnceLock<[String; 2]> = OnceLock::new();
    REAL.get_or_init(|| {
        let server = Server::start(Engine::Poll, Echo);
        let target = format!("tcp://{}", server.address);
        [("1000", "1"), ("2000", "2")].map(|(messages, seed)| {
            let common = ["load", &target, "-c", "3", "--json", "-", "--pipeline", "4"];
            printed(&[&common[..], &["-n", messages, "--seed", seed]].concat())
        })
    })
}

fn decoded(base64: &str) -> Histogram<u64> {
    let bytes = BASE64_STANDARD.decode(base64).unwrap();
    Deserializer::new().deserialize(&mut bytes.as_slice()).unwrap()
}

#[test]
fn real_results_are_added() {
    let [a, b] = real().each_ref().map(|text| Scratch::holding(text));
    let merged = parsed(&printed(&["report", a.path(), b.path(), "--json", "-"]));
    let [a, b] = real().each_ref().map(|text| parsed(text));
    for figure in ["messages", "messages_in_all", "sent_bytes", "received_bytes", "connected"] {
        let sum = a[figure].as_u64().unwrap() + b[figure].as_u64().unwrap();
        assert_eq!(merged[figure], sum, "{figure}");
    }
    assert_eq!(merged["messages"], 3000);
    assert_eq!(merged["options"]["clients"], 6);
    assert_eq!(merged["options"]["messages"], 3000);
    assert_eq!(merged["environments"].as_array().unwrap().len(), 2);
    for times in ["latency", "connect", "first_byte"] {
        let [a, b, sum] = [&a, &b, &merged].map(|result| &result[times]);
        let mut added = decoded(a["histogram"].as_str().unwrap());
        added.add(decoded(b["histogram"].as_str().unwrap())).unwrap();
        assert_eq!(decoded(sum["histogram"].as_str().unwrap()), added, "{times}");
        assert_eq!(sum["count"], added.len());
        assert_eq!(sum["max_ns"], added.max());
    }
}

#[test]
fn a_merged_result_can_be_merged_again() {
    let [a, b] = real().each_ref().map(|text| Scratch::holding(text));
    let merged = Scratch::holding(&printed(&["report", a.path(), b.path(), "--json", "-"]));
    let again = parsed(&printed(&["report", merged.path(), a.path(), "--json", "-"]));
    assert_eq!(again["messages"], 4000);
    assert_eq!(again["latency"]["count"], 4000);
    let alone = printed(&["report", a.path(), "--json", "-"]);
    assert_eq!(parsed(&alone), parsed(&real()[0]), "one alone stays what it is");
}

#[test]
fn percentiles_are_taken_from_the_sum_and_not_averaged() {
    // 9,900 quick messages here, 100 slow ones there: 99 % of all are quick.
    let quick = made_up(vec![1_000; 9_900]);
    let slow = made_up(vec![1_000_000_000; 100]);
    let p99 = |result: &LoadResult| result.latency.as_ref().unwrap().p99_ns.unwrap();
    assert_eq!(p99(&quick), 1_000);
    assert!(p99(&slow).abs_diff(1_000_000_000) < 1_000_000);
    let [a, b] = [quick, slow].map(|result| Scratch::of(&document(result)));
    let merged = parsed(&printed(&["report", a.path(), b.path(), "--json", "-"]));
    let latency = &merged["latency"];
    assert_eq!(latency["count"], 10_000);
    assert_eq!([&latency["p50_ns"], &latency["p90_ns"], &latency["p99_ns"]], [1_000; 3]);
    let slow = latency["p99_9_ns"].as_u64().unwrap();
    assert!(slow.abs_diff(1_000_000_000) < 1_000_000, "{latency}");
    // What stands in a document beside its histogram is not what counts.
    let mut lying = made_up(vec![1_000; 9_900]);
    lying.latency.as_mut().unwrap().p99_ns = Some(77);
    let lying = Scratch::of(&document(lying));
    let merged = parsed(&printed(&["report", lying.path(), b.path(), "--json", "-"]));
    assert_eq!(merged["latency"]["p99_ns"], 1_000);
}

#[test]
fn faults_and_interruptions_survive_a_merge() {
    let mut interrupted = made_up([1000; 10]);
    interrupted.interrupted = true;
    let mut wrong = made_up([1000; 10]);
    (wrong.faults.wrong, wrong.faults.unanswered) = (2, 7);
    wrong.faults.examples = vec!["wrong: client 1 at offset 5: 1 byte dropped".into()];
    let [a, b] = [interrupted, wrong].map(|result| Scratch::of(&document(result)));
    let merged = parsed(&printed(&["report", a.path(), b.path(), "--json", "-"]));
    assert_eq!((&merged["interrupted"], &merged["faults"]["wrong"]), (&json!(true), &json!(2)));
    assert_eq!(merged["faults"]["unanswered"], 7);
    let text = printed(&["report", a.path(), b.path()]);
    assert!(text.contains("\ninterrupted "), "{text}");
    assert!(text.contains("wrong: client 1 at offset 5: 1 byte dropped"), "{text}");
}

/// What one changes so that it differs from the others.
type Change = fn(&mut LoadResult);

#[test]
fn what_did_not_do_the_same_is_not_merged() {
    let one = Scratch::of(&document(made_up([1000; 10])));
    let changes: [(Change, &str); 10] = [
        (|result| result.options.target = "tcp://127.0.0.1:9".into(), "their target"),
        (|result| result.options.message = Some("PING".into()), "--message"),
        (|result| result.options.slo = Some("p99<1ms".into()), "--slo"),
        (|result| result.options.size_bytes = 65, "--size"),
        (|result| result.options.expect = "none".into(), "--expect"),
        (|result| result.options.pipeline = Some(2), "--pipeline"),
        (|result| result.options.rate = Some(5.0), "--rate"),
        (|result| result.options.per_connection = Some(5), "--per-connection"),
        (|result| result.options.resumption = Some(false), "--no-resumption"),
        (|result| result.options.duration_s = Some(5.0), "--duration"),
    ];
    for (change, option) in changes {
        let mut other = made_up([1000; 10]);
        change(&mut other);
        let other = Scratch::of(&document(other));
        let arguments = ["report", one.path(), other.path()];
        fails_in_one_line(&arguments, &["cannot merge runs that differ in", option]);
    }
    fails_in_one_line(&["report", one.path(), one.path()], &["was given twice"]);
    let mut later = made_up([1000; 10]);
    later.started = "2026-01-01T13:00:00.000Z".into();
    let later = Scratch::of(&document(later));
    let apart = ["cannot merge runs that began 3600.0 s apart", "--start-at"];
    fails_in_one_line(&["report", one.path(), later.path()], &apart);
    let bench = Scratch::of(&Document::Bench(Box::new(sample::bench())));
    let why = "only results of `socklab load` can be merged";
    fails_in_one_line(&["report", one.path(), bench.path()], &[why]);
    fails_in_one_line(&["report", bench.path(), one.path()], &[why]);
    fails_in_one_line(&["report", bench.path(), bench.path()], &[why]);
}

#[test]
fn what_is_no_document_is_refused_in_one_line() {
    let text = serde_json::to_value(document(made_up([1000; 10]))).unwrap();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut value = text.clone();
        change(&mut value);
        Scratch::holding(&value.to_string())
    };
    let refused = |file: Scratch, parts: &[&str]| {
        fails_in_one_line(&["report", file.path()], &[parts, &[file.path()]].concat());
    };
    refused(Scratch::holding("latency 5ms"), &["is not JSON"]);
    refused(Scratch::holding(""), &["is not JSON"]);
    refused(Scratch::holding("{}"), &["is no result of `socklab load` or `bench`"]);
    refused(Scratch::holding("[1]"), &["is no result of `socklab load` or `bench`"]);
    refused(changed(&|value| value["schema"] = json!(2)), &["has version 2", "version 1"]);
    refused(changed(&|value| value["kind"] = json!("chat")), &["is no result of", "chat"]);
    refused(changed(&|value| value["surprise"] = json!(1)), &["is no result of", "surprise"]);
    refused(changed(&|value| value["messages"] = json!("many")), &["is no result of", "many"]);
    fails_in_one_line(&["report", "/nowhere/at-all.json"], &["cannot read /nowhere/at-all.json"]);

    let broken = changed(&|value| value["latency"]["histogram"] = json!("?"));
    let one = Scratch::of(&document(made_up([1000; 10])));
    fails_in_one_line(&["report", broken.path(), one.path()], &["a histogram is not base64"]);
    let broken = changed(&|value| value["latency"]["histogram"] = json!("AAAA"));
    fails_in_one_line(&["report", broken.path(), one.path()], &["a histogram cannot be read"]);

    let mut damaged = sample::bench();
    damaged.contestants.truncate(1);
    let damaged = Scratch::of(&Document::Bench(Box::new(damaged)));
    fails_in_one_line(&["report", damaged.path(), "--csv", "-"], &["is damaged", "1 contestants"]);
}

#[test]
fn what_the_kind_has_not_is_refused() {
    let load = Scratch::of(&document(made_up([1000; 10])));
    let bench = Scratch::of(&Document::Bench(Box::new(sample::bench())));
    fails_in_one_line(&["report", load.path(), "--html", "-"], &["`socklab bench` has a page"]);
    fails_in_one_line(&["report", bench.path(), "--hdr", "-"], &["`socklab load` has an HDR log"]);
    let mut odd = made_up([1000; 10]);
    for (started, elapsed_s) in [("soon", 1.0), ("2026-01-01T00:00:00Z", -1.0)] {
        (odd.started, odd.elapsed_s) = (started.into(), elapsed_s);
        let odd = Scratch::of(&document(odd.clone()));
        fails_in_one_line(&["report", odd.path(), "--hdr", "-"], &["no time"]);
    }
}

/// Keys of `value` that `schema` does not describe.
fn undescribed(root: &Value, schema: &Value, value: &Value, at: &str, missing: &mut Vec<String>) {
    if let Some(name) = schema["$ref"].as_str() {
        let definition = root.pointer(name.trim_start_matches('#')).expect("it is defined");
        return undescribed(root, definition, value, at, missing);
    }
    let choices = ["anyOf", "oneOf"].iter().find_map(|choice| schema[choice].as_array());
    let fitting = |choice: &&Value| match (value, choice["type"].as_str()) {
        (Value::Null, kind) => kind == Some("null"),
        (_, Some("null")) => false,
        (Value::Object(_), _) => {
            let kind = &choice["properties"]["kind"]["const"];
            kind.is_null() || *kind == value["kind"]
        }
        _ => true,
    };
    if let (Some(choices), false) = (choices, schema["properties"].is_object()) {
        match choices.iter().find(fitting) {
            Some(choice) => undescribed(root, choice, value, at, missing),
            None => missing.push(format!("{at}: no choice fits")),
        }
        return;
    }
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                let at = format!("{at}.{name}");
                // A tagged choice refers to the rest of its fields.
                let described = properties(root, schema).get(name.as_str()).cloned();
                match described {
                    Some(described) => undescribed(root, &described, field, &at, missing),
                    None => missing.push(at),
                }
            }
        }
        Value::Array(values) => {
            let items = schema.get("items").or(schema["prefixItems"].get(0));
            for value in values {
                match items {
                    Some(items) => undescribed(root, items, value, &format!("{at}[]"), missing),
                    None => missing.push(format!("{at}[]")),
                }
            }
        }
        _ => {}
    }
}

fn properties(root: &Value, schema: &Value) -> HashMap<String, Value> {
    let mut all = HashMap::new();
    if let Some(name) = schema["$ref"].as_str() {
        let definition = root.pointer(name.trim_start_matches('#')).expect("it is defined");
        all.extend(properties(root, definition));
    }
    if let Some(own) = schema["properties"].as_object() {
        all.extend(own.iter().map(|(name, schema)| (name.clone(), schema.clone())));
    }
    all
}

#[test]
fn the_schema_describes_every_field_of_a_document() {
    let schema = parsed(&printed(&["report", "--schema"]));
    assert!(schema["$schema"].as_str().unwrap().starts_with("https://json-schema.org/"));
    let documents = [
        parsed(&real()[0]),
        serde_json::to_value(document(full())).unwrap(),
        serde_json::to_value(Document::Bench(Box::new(of_datagrams()))).unwrap(),
        serde_json::to_value(Document::Bench(Box::new(sample::over_tls(2)))).unwrap(),
    ];
    for document in documents {
        let kinds = schema["oneOf"].as_array().unwrap();
        let kind = kinds
            .iter()
            .find(|kind| kind["properties"]["kind"]["const"] == document["kind"])
            .unwrap();
        let mut missing = Vec::new();
        let known = properties(&schema, kind);
        for (name, value) in document.as_object().unwrap() {
            match known.get(name) {
                Some(described) => undescribed(&schema, described, value, name, &mut missing),
                None => missing.push(name.clone()),
            }
        }
        assert_eq!(missing, [""; 0]);
    }
}

#[test]
fn every_field_of_the_schema_is_described_in_words() {
    let schema = parsed(&printed(&["report", "--schema"]));
    let mut wordless = BTreeSet::new();
    for (name, definition) in schema["$defs"].as_object().unwrap() {
        for (field, described) in definition["properties"].as_object().into_iter().flatten() {
            if described["description"].as_str().is_none_or(str::is_empty) {
                wordless.insert(format!("{name}.{field}"));
            }
        }
    }
    assert!(wordless.is_empty(), "{wordless:?}");
}

/// RFC 4180, as strict as it can be.
fn cells(csv: &str) -> Vec<Vec<String>> {
    let (mut lines, mut line, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut quoted, mut letters) = (false, csv.chars().peekable());
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => cell.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => line.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {
                assert_eq!(letters.next(), Some('\n'));
                line.push(std::mem::take(&mut cell));
                lines.push(std::mem::take(&mut line));
            }
            letter => cell.push(letter),
        }
    }
    assert!(!quoted && cell.is_empty() && line.is_empty(), "it ends with a line");
    lines
}

#[test]
fn each_line_of_csv_has_a_cell_for_each_name() {
    let mut hostile = full();
    hostile.options.target = "tcp://\"a\",b\r\nc:1".into();
    let mut bench = sample::bench();
    bench.contestants[1].name = "a, \"b\"\nc".into();
    bench.rows[0].standings[0].latency = None;
    bench.rows[0].standings[0].memory = None;
    let lines =
        [csv::load(&hostile), csv::load(&made_up([])), csv::bench(&bench)].map(|csv| cells(&csv));
    let numbers = lines.each_ref().map(Vec::len);
    assert_eq!(numbers, [2, 2, 1 + 6]);
    for line in lines.iter().flat_map(|lines| lines.iter().zip(std::iter::repeat(&lines[0]))) {
        assert_eq!(line.0.len(), line.1.len());
    }
    let named = |lines: &[Vec<String>], line: usize, name: &str| {
        let column = lines[0].iter().position(|known| known == name).unwrap();
        lines[line][column].clone()
    };
    assert_eq!(named(&lines[0], 1, "target"), hostile.options.target);
    assert_eq!(named(&lines[0], 1, "p50_ns"), hostile.latency.unwrap().p50_ns.unwrap().to_string());
    assert_eq!(named(&lines[1], 1, "p50_ns"), "");
    assert_eq!(named(&lines[2], 2, "contestant"), bench.contestants[1].name);
}

#[test]
fn csv_of_a_real_run_is_the_same_at_once_and_later() {
    let document = Scratch::holding(&real()[0]);
    let csv = printed(&["report", document.path(), "--csv", "-"]);
    let lines = cells(&csv);
    assert_eq!((lines.len(), lines[0].len()), (2, lines[1].len()));
    let column = lines[0].iter().position(|name| name == "messages").unwrap();
    assert_eq!(lines[1][column], "1000");
}

#[test]
fn an_hdr_log_is_read_by_its_own_library() {
    let mut result = full();
    result.service_time = made_up([5_000; 2_000]).latency;
    let document = Scratch::of(&document(result.clone()));
    let log = printed(&["report", document.path(), "--hdr", "-"]);
    let mut intervals = Vec::new();
    for entry in IntervalLogIterator::new(log.as_bytes()) {
        match entry.unwrap() {
            LogEntry::Interval(interval) => intervals.push((
                interval.tag().map(|tag| tag.as_str().to_owned()),
                interval.duration(),
                interval.max(),
                decoded(interval.encoded_histogram()),
            )),
            LogEntry::StartTime(time) => {
                let started = humantime::parse_rfc3339(&result.started).unwrap();
                let since = started.duration_since(std::time::UNIX_EPOCH).unwrap();
                assert_eq!(time, since);
            }
            LogEntry::BaseTime(_) => {}
        }
    }
    let tags: Vec<Option<&str>> = intervals.iter().map(|(tag, ..)| tag.as_deref()).collect();
    assert_eq!(tags, [None, Some("service")]);
    let told = [result.latency.unwrap(), result.service_time.unwrap()];
    for ((_, duration, max, times), told) in intervals.iter().zip(told) {
        assert_eq!(duration.as_secs_f64(), result.elapsed_s);
        assert!((max * 1e6 - told.max_ns as f64).abs() <= told.max_ns as f64 * 1e-3 + 1e3);
        assert_eq!(times.len(), told.count);
        assert_eq!(Some(times.value_at_percentile(50.0)), told.p50_ns);
        assert_eq!(Some(times.value_at_percentile(99.0)), told.p99_ns);
        assert_eq!(*times, told.histogram().unwrap());
    }
}

#[test]
fn handshakes_are_told_at_their_rates_and_added() {
    let report = text::load(&full());
    let line = "handshakes  1 full, 19,999 resumed in 2.00 s: 0.50/s and 10,000/s; TLS 1.3, \
                TLS13_AES_256_GCM_SHA384; 3 ended without close_notify\n";
    assert!(report.contains(line), "{report}");
    let of_times = |label: &str| report.lines().any(|line| line.starts_with(label));
    assert!(of_times("connect     ") && of_times("handshake   "), "{report}");

    let mut staying = made_up([1_000; 5]);
    staying.options.resumption = Some(false);
    staying.tls = Some(tls(0, 0));
    let report = text::load(&staying);
    let line = "handshakes  10 full, 0 resumed, before it was measured; TLS 1.3, ";
    assert!(report.contains(line) && report.contains(", full handshakes only, "), "{report}");
    assert!(!text::load(&made_up([1_000])).contains("handshake"), "there is none without TLS");

    let (mut one, mut other) = (full(), full());
    one.options.slo = None;
    other.tls.as_mut().unwrap().agreed = vec!["TLS 1.2, another".into()];
    other.faults = Faults::default();
    let [one, other] = [one, other].map(|result| Scratch::of(&document(result)));
    let merged = printed(&["report", one.path(), other.path(), "--json", "-"]);
    let merged = parsed(&merged);
    assert_eq!(merged["handshake"]["count"], 40_000);
    let of_both = json!({
        "agreed": ["TLS 1.3, TLS13_AES_256_GCM_SHA384", "TLS 1.2, another"],
        "handshakes": {"full": 2, "resumed": 39_998},
        "handshakes_in_all": {"full": 22, "resumed": 39_998},
        "unannounced": 6,
    });
    assert_eq!(merged["tls"], of_both);

    let lines = cells(&csv::load(&full()));
    let named = |name: &str| {
        let column = lines[0].iter().position(|known| known == name).unwrap();
        lines[1][column].clone()
    };
    assert_eq!(named("tls"), "TLS 1.3, TLS13_AES_256_GCM_SHA384");
    assert_eq!(named("handshakes_full"), "1");
    assert_eq!(named("handshakes_resumed_in_all"), "19999");
    assert_eq!(named("handshake_p50_ns"), named("p50_ns"));
}

/// A bench in which threads lost some.
fn of_datagrams() -> BenchResult {
    let mut bench = sample::bench();
    bench.options.udp = true;
    for row in &mut bench.rows {
        for (place, standing) in row.standings.iter_mut().enumerate() {
            let lost = 40 * place as u64;
            standing.datagrams =
                Some(Datagrams { sent: 1_000_000, lost, duplicated: 7, ..Datagrams::default() });
            row.rounds[0].sides[place].datagrams = standing.datagrams;
        }
    }
    bench
}

#[test]
fn who_loses_datagrams_does_not_win_unseen() {
    let bench = of_datagrams();
    let warning = "64 clients: threads lost datagrams: what is lost is in no latency";
    let text = text::bench(&bench);
    assert!(text.contains("  datagrams lost                poll              0  0 %\n"), "{text}");
    assert!(
        text.contains("                                threads          40  0.004 %\n"),
        "{text}"
    );
    assert!(text.contains(warning), "{text}");
    let page = html::page(&bench);
    assert!(page.contains("40 lost (0.004 %)") && page.contains(warning), "it is on the page");
    assert!(page.contains("datagrams of 64 bytes"), "it is on the page");
    let lines = cells(&csv::bench(&bench));
    let column = lines[0].iter().position(|name| name == "datagrams_lost").unwrap();
    assert_eq!([1, 2].map(|line| lines[line][column].as_str()), ["0", "40"]);
    let connections = sample::bench();
    assert!(!text::bench(&connections).contains("lost"), "connections lose nothing");
    let page = html::page(&connections);
    assert!(!page.contains("Datagrams") && page.contains("messages of 64 bytes"));
    // Documents of before there were datagrams say nothing of them.
    let mut older = serde_json::to_value(Document::Bench(Box::new(connections))).unwrap();
    older["options"].as_object_mut().unwrap().remove("udp");
    for row in older["rows"].as_array_mut().unwrap() {
        for standing in row["standings"].as_array_mut().unwrap() {
            standing.as_object_mut().unwrap().remove("datagrams");
        }
    }
    printed(&["report", Scratch::of(&older).path()]);
}

#[test]
fn a_bench_is_rendered_again_as_it_was() {
    let result = sample::bench();
    let file = Scratch::of(&Document::Bench(Box::new(result.clone())));
    assert_eq!(printed(&["report", file.path()]), text::bench(&result));
    assert_eq!(printed(&["report", file.path(), "--html", "-"]), html::page(&result));
    assert_eq!(printed(&["report", file.path(), "--csv", "-"]), csv::bench(&result));
    let json = printed(&["report", file.path(), "--json", "-"]);
    assert_eq!(parsed(&json), serde_json::to_value(Document::Bench(Box::new(result))).unwrap());
}

#[test]
fn a_document_can_come_through_a_pipe() {
    let output = assert_cmd::Command::new(SOCKLAB)
        .args(["report", "-"])
        .write_stdin(real()[0].as_str())
        .timeout(PATIENCE)
        .output()
        .unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    assert!(told.contains("\nmessages    1,000 answered, every byte compared, in "), "{told}");
    assert!(told.contains("\nfaults      none\n"), "{told}");
}

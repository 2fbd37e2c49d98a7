//! Results as CSV (RFC 4180): a line of names, then a line for each result.

use super::document::{
    BenchResult, Datagrams, Distribution, LoadResult, Memory, Rooms, Tls, Usage,
};

/// A column: its name and its value.
type Cell = (&'static str, String);

/// The result of `load`, one line.
pub fn load(result: &LoadResult) -> String {
    let options = &result.options;
    let mut line = vec![
        ("started", result.started.clone()),
        ("target", options.target.clone()),
        ("clients", options.clients.to_string()),
        ("size_bytes", options.size_bytes.to_string()),
        ("pipeline", optional(options.pipeline)),
        ("rate", optional(options.rate)),
        ("expect", options.expect.clone()),
        ("interrupted", result.interrupted.to_string()),
        ("elapsed_s", result.elapsed_s.to_string()),
        ("messages", result.messages.to_string()),
        ("messages_per_second", result.messages_per_second.to_string()),
        ("sent_bytes", result.sent_bytes.to_string()),
        ("received_bytes", result.received_bytes.to_string()),
        ("faults", result.faults.total().to_string()),
        ("unanswered", result.faults.unanswered.to_string()),
        ("driver_busiest_thread", result.driver.busiest_thread.to_string()),
        ("driver_late", result.driver.late.to_string()),
    ];
    line.extend(times(result.latency.as_ref()));
    let usage = result.server.as_ref();
    let of_server = |value: fn(&Usage) -> f64| optional(usage.map(value));
    line.push(("server_cpu_per_message_ns", of_server(|usage| usage.cpu_per_message_ns)));
    line.push(("server_cpus_busy", of_server(|usage| usage.cpus_busy)));
    let switches = usage.and_then(|usage| usage.switches_per_message);
    line.push(("server_switches_per_message", optional(switches)));
    line.extend(memory(usage.and_then(|usage| usage.memory.as_ref())));
    line.extend(datagrams(result.datagrams.as_ref()));
    line.extend(handshakes(result.tls.as_ref()));
    let handshake = |value: fn(&Distribution) -> Option<u64>| {
        optional(result.handshake.as_ref().and_then(value))
    };
    line.push(("handshake_p50_ns", handshake(|times| times.p50_ns)));
    line.push(("handshake_p99_ns", handshake(|times| times.p99_ns)));
    line.extend(rooms(options.rooms.as_ref()));
    let chat = result.chat.as_ref();
    line.push(("lines", optional(chat.map(|chat| chat.lines))));
    line.push(("lines_per_second", optional(chat.map(|chat| chat.lines_per_second))));
    let last = |value: fn(&Distribution) -> Option<u64>| {
        optional(chat.and_then(|chat| chat.last.as_ref()).and_then(value))
    };
    line.push(("last_p50_ns", last(|times| times.p50_ns)));
    line.push(("last_p99_ns", last(|times| times.p99_ns)));
    let http = result.http.as_ref();
    let body_rate = http.and_then(|http| http.body_bytes_per_second);
    line.push(("body_bytes_per_second", optional(body_rate)));
    line.push(("closes", optional(http.map(|http| http.closes))));
    table(vec![line])
}

/// The result of `bench`, a line for each contestant and number of clients.
pub fn bench(result: &BenchResult) -> String {
    let lines = result.rows.iter().flat_map(|row| {
        row.standings.iter().map(move |standing| {
            let contestant = &result.contestants[standing.contestant];
            let mut line = vec![
                ("started", result.started.clone()),
                ("clients", row.clients.to_string()),
                ("contestant", contestant.name.clone()),
                ("size_bytes", row.file_bytes.unwrap_or(result.options.size_bytes).to_string()),
                ("pipeline", result.options.pipeline.to_string()),
                ("rounds", row.rounds.len().to_string()),
                ("cpu_per_message_ns", standing.cpu_per_message_ns.to_string()),
                ("messages_per_second", standing.messages_per_second.to_string()),
                ("switches_per_message", optional(standing.switches_per_message)),
                ("cpus_busy", standing.cpus_busy.to_string()),
                ("driver_busy", standing.driver_busy.to_string()),
                ("open_rate", optional(row.open_rate)),
            ];
            line.extend(times(standing.latency.as_ref()));
            line.extend(memory(standing.memory.as_ref()));
            line.extend(datagrams(standing.datagrams.as_ref()));
            line.extend(handshakes(standing.tls.as_ref()));
            let chat = result.options.chat.as_ref();
            line.push(("talkers", optional(chat.map(|chat| chat.talkers))));
            line.push(("body_bytes_per_second", optional(standing.body_bytes_per_second)));
            line
        })
    });
    table(lines.collect())
}

fn times(times: Option<&Distribution>) -> Vec<Cell> {
    let percentile = |value: fn(&Distribution) -> Option<u64>| optional(times.and_then(value));
    vec![
        ("p50_ns", percentile(|times| times.p50_ns)),
        ("p90_ns", percentile(|times| times.p90_ns)),
        ("p99_ns", percentile(|times| times.p99_ns)),
        ("p99_9_ns", percentile(|times| times.p99_9_ns)),
        ("p99_99_ns", percentile(|times| times.p99_99_ns)),
        ("max_ns", percentile(|times| Some(times.max_ns))),
        ("mean_ns", optional(times.map(|times| times.mean_ns))),
    ]
}

fn memory(memory: Option<&Memory>) -> Vec<Cell> {
    let part = |value: fn(&Memory) -> f64| optional(memory.map(value));
    vec![
        ("resident_bytes", part(|memory| memory.resident_bytes)),
        ("threads_bytes", part(|memory| memory.threads_bytes)),
        ("page_tables_bytes", part(|memory| memory.page_tables_bytes)),
        ("sockets_bytes", part(|memory| memory.sockets_bytes)),
    ]
}

fn datagrams(datagrams: Option<&Datagrams>) -> Vec<Cell> {
    let number = |value: fn(&Datagrams) -> u64| optional(datagrams.map(value));
    vec![
        ("datagrams_sent", number(|datagrams| datagrams.sent)),
        ("datagrams_lost", number(|datagrams| datagrams.lost)),
        ("datagrams_duplicated", number(|datagrams| datagrams.duplicated)),
        ("datagrams_reordered", number(|datagrams| datagrams.reordered)),
        ("datagrams_corrupted", number(|datagrams| datagrams.corrupted)),
        ("datagrams_late", number(|datagrams| datagrams.late)),
        ("datagrams_refused", number(|datagrams| datagrams.refused)),
        ("datagrams_overflowed", number(|datagrams| datagrams.overflowed)),
    ]
}

fn handshakes(tls: Option<&Tls>) -> Vec<Cell> {
    let number = |value: fn(&Tls) -> u64| optional(tls.map(value));
    vec![
        ("tls", tls.map_or(String::new(), |tls| tls.agreed.join("; "))),
        ("handshakes_full", number(|tls| tls.handshakes.full)),
        ("handshakes_resumed", number(|tls| tls.handshakes.resumed)),
        ("handshakes_full_in_all", number(|tls| tls.handshakes_in_all.full)),
        ("handshakes_resumed_in_all", number(|tls| tls.handshakes_in_all.resumed)),
        ("ends_unannounced", number(|tls| tls.unannounced)),
    ]
}

fn rooms(rooms: Option<&Rooms>) -> Vec<Cell> {
    let number = |value: fn(&Rooms) -> usize| optional(rooms.map(value));
    vec![
        ("rooms", number(|rooms| rooms.rooms)),
        ("members", number(|rooms| rooms.members)),
        ("talkers", number(|rooms| rooms.talkers)),
    ]
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or(String::new(), |value| value.to_string())
}

fn table(lines: Vec<Vec<Cell>>) -> String {
    let names = lines.first().map(|line| line.iter().map(|(name, _)| (*name).into()).collect());
    let values = lines.iter().map(|line| line.iter().map(|(_, value)| quoted(value)).collect());
    let all: Vec<Vec<String>> = names.into_iter().chain(values).collect();
    all.iter().map(|line| line.join(",") + "\r\n").collect()
}

fn quoted(value: &str) -> String {
    match value.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", value.replace('"', "\"\"")),
        false => value.into(),
    }
}

//! Metrics as a collector reads them.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use super::{connect, eventually};

/// Asks for `target`, and gives the head of the answer and what follows it.
pub fn ask(address: SocketAddr, method: &str, target: &str) -> (String, String) {
    let mut client = connect(address);
    let request = format!("{method} {target} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    client.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    client.read_to_string(&mut answer).expect("it closes");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head ends");
    (head.to_owned(), body.to_owned())
}

/// Asks again over a connection that stays.
pub fn ask_again(client: &mut TcpStream) -> String {
    client.write_all(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    loop {
        let mut piece = [0; 4096];
        let n = client.read(&mut piece).expect("it answers");
        assert!(n > 0, "it has left");
        answer.extend_from_slice(&piece[..n]);
        let text = String::from_utf8_lossy(&answer);
        let length = text.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        if let Some(length) = length
            && let Some((_, body)) = text.split_once("\r\n\r\n")
            && body.len() == length.trim().parse::<usize>().expect("a number")
        {
            return body.to_owned();
        }
    }
}

/// What it says now.
pub fn scrape(address: SocketAddr) -> String {
    let (head, page) = ask(address, "GET", "/metrics");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    page
}

/// The sum of the samples of `metric` that have all of `labels`.
pub fn value(page: &str, metric: &str, labels: &[&str]) -> f64 {
    let samples = page.lines().filter_map(|line| {
        let (sample, value) = line.rsplit_once(' ')?;
        let name = sample.split('{').next()?;
        let has = labels.iter().all(|label| sample.contains(label));
        (name == metric && has).then(|| value.parse::<f64>().expect("a number"))
    });
    let samples: Vec<f64> = samples.collect();
    assert!(!samples.is_empty(), "{metric} {labels:?} is not in {page}");
    samples.iter().sum()
}

/// Waits until a metric has this value.
pub fn becomes(address: SocketAddr, metric: &str, labels: &[&str], expected: f64) {
    eventually(&format!("{metric} {labels:?} is {expected}"), || {
        value(&scrape(address), metric, labels) == expected
    });
}

//! Which datagrams are answered. Whoever sends one can put any address on it, so a server that
//! answers all of them can be made to talk to somebody who never asked.
//!
//! 1. An answer is never longer than what it answers: nothing is gained by having it sent here.
//! 2. Ports whose services answer by themselves are not answered, nor are we: two servers that
//!    answer each other never stop (CVE-2024-2169).
//! 3. An answer leaves with one hop less than what it answers had left. What loops all the same,
//!    between two servers on whatever ports, ends as it does among routers (RFC 791, time to live).
//! 4. A source gets so many answers per second, where a rate is set.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use log::info;

/// UDP ports whose services answer whatever comes, by their names in IANA's registry. No client
/// calls from one of them: those that the kernel chooses begin at 32768.
const ANSWERING: [u16; 31] = [
    0, 7, 11, 13, 17, 19, 37, 53, 69, 111, 123, 137, 138, 161, 177, 389, 427, 500, 520, 623, 1434,
    1900, 3283, 3478, 3702, 4500, 5060, 5353, 5683, 10_001, 11_211,
];

/// Sources whose rates are known at once. Those beyond them share one rate: a flood from forged
/// addresses fills this table, not the memory.
const SOURCES: usize = 4096;

/// How often sources that have been quiet are forgotten to make room.
const FORGET: Duration = Duration::from_secs(1);

/// What is known of the senders at one socket, and what became of their datagrams.
pub(super) struct Guard {
    local: SocketAddr,
    rates: Option<Mutex<Rates>>,
    received: AtomicU64,
    answered: AtomicU64,
    refused: AtomicU64,
}

/// What a datagram's header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Where it says that it comes from.
    pub from: SocketAddr,
    /// Hops it had left when it came.
    pub hops: u8,
    /// The address it was sent to, known at wildcard sockets.
    pub to: Option<IpAddr>,
    /// It was sent to many: a broadcast, or a multicast.
    pub to_many: bool,
}

/// Why a datagram is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its sender's port answers by itself.
    Answering,
    /// It says that it comes from this very socket.
    Ourselves,
    /// It has no hop left.
    Hops,
    /// It was sent to many, who would all answer.
    Many,
    /// Its source has had its share.
    Rate,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Answering => "what is at that port answers by itself, and never stops",
            Refusal::Ourselves => "it says that it comes from this server",
            Refusal::Hops => "it has no hop left, as after many rounds of a loop",
            Refusal::Many => "it was sent to many",
            Refusal::Rate => "its source has had its --rate-per-source",
        })
    }
}

impl Guard {
    /// For a socket bound to `local`: with so many answers per second for each source.
    pub fn new(local: SocketAddr, rate: Option<f64>) -> Guard {
        Guard {
            local,
            rates: rate.map(|rate| Mutex::new(Rates::new(rate, Instant::now()))),
            received: AtomicU64::new(0),
            answered: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// The address the socket is bound to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether a datagram may be answered.
    pub fn admit(&self, header: &Header) -> Result<(), Refusal> {
        self.received.fetch_add(1, Ordering::Relaxed);
        let verdict = self.judge(header);
        if verdict.is_err() {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        verdict
    }

    /// An answer was sent.
    pub fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    fn judge(&self, header: &Header) -> Result<(), Refusal> {
        let Header { from, hops, to, to_many } = *header;
        if to_many {
            return Err(Refusal::Many);
        }
        if from.port() == self.local.port()
            && (from.ip() == self.local.ip() || Some(from.ip()) == to)
        {
            return Err(Refusal::Ourselves);
        }
        if ANSWERING.contains(&from.port()) {
            return Err(Refusal::Answering);
        }
        if hops <= 1 {
            return Err(Refusal::Hops);
        }
        let Some(rates) = &self.rates else {
            return Ok(());
        };
        let mut rates = rates.lock().unwrap_or_else(PoisonError::into_inner);
        match rates.take(from.ip(), Instant::now()) {
            true => Ok(()),
            false => Err(Refusal::Rate),
        }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let [received, answered, refused] =
            [&mut self.received, &mut self.answered, &mut self.refused]
                .map(|count| *count.get_mut());
        if received > 0 {
            info!(
                "{} (UDP): {received} datagrams received, {answered} answered, {refused} refused",
                self.local
            );
        }
    }
}

/// A token bucket for each source: it holds a second's worth.
struct Rates {
    rate: f64,
    sources: HashMap<IpAddr, Bucket>,
    others: Bucket,
    forgotten: Instant,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rates {
    fn new(rate: f64, now: Instant) -> Rates {
        let full = Bucket { tokens: rate.max(1.0), at: now };
        Rates { rate, sources: HashMap::new(), others: full, forgotten: now }
    }

    fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let rate = self.rate;
        let network = network(source);
        if self.sources.len() >= SOURCES && now.duration_since(self.forgotten) >= FORGET {
            self.forgotten = now;
            self.sources.retain(|_, bucket| bucket.filled(rate, now) < rate.max(1.0));
        }
        let room = self.sources.len() < SOURCES;
        let bucket = match self.sources.get_mut(&network) {
            Some(bucket) => bucket,
            None if room => {
                self.sources.entry(network).or_insert(Bucket { tokens: rate.max(1.0), at: now })
            }
            None => &mut self.others,
        };
        bucket.tokens = bucket.filled(rate, now);
        bucket.at = now;
        let has = bucket.tokens >= 1.0;
        if has {
            bucket.tokens -= 1.0;
        }
        has
    }
}

impl Bucket {
    fn filled(&self, rate: f64, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        (self.tokens + since * rate).min(rate.max(1.0))
    }
}

/// What counts as one source: in IPv6 everybody has a whole /64.
fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        IpAddr::V4(_) => source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(from: &str) -> Header {
        Header { from: from.parse().unwrap(), hops: 64, to: None, to_many: false }
    }

    #[test]
    fn who_would_answer_the_answer_gets_none() {
        let guard = Guard::new("127.0.0.1:8000".parse().unwrap(), None);
        for (from, verdict) in [
            ("127.0.0.1:40000", Ok(())),
            ("127.0.0.1:8001", Ok(())),
            ("192.0.2.1:8000", Ok(())),
            ("127.0.0.1:8000", Err(Refusal::Ourselves)),
            ("192.0.2.1:7", Err(Refusal::Answering)),
            ("192.0.2.1:13", Err(Refusal::Answering)),
            ("192.0.2.1:17", Err(Refusal::Answering)),
            ("192.0.2.1:19", Err(Refusal::Answering)),
            ("192.0.2.1:37", Err(Refusal::Answering)),
            ("192.0.2.1:53", Err(Refusal::Answering)),
            ("192.0.2.1:69", Err(Refusal::Answering)),
            ("192.0.2.1:123", Err(Refusal::Answering)),
            ("192.0.2.1:1900", Err(Refusal::Answering)),
            ("192.0.2.1:0", Err(Refusal::Answering)),
        ] {
            assert_eq!(guard.admit(&header(from)), verdict, "{from}");
        }
        let looped = Header { hops: 1, ..header("192.0.2.1:40000") };
        assert_eq!(guard.admit(&looped), Err(Refusal::Hops));
        let broadcast = Header { to_many: true, ..header("192.0.2.1:40000") };
        assert_eq!(guard.admit(&broadcast), Err(Refusal::Many));
        let wildcard = Guard::new("0.0.0.0:8000".parse().unwrap(), None);
        let own = Header { to: Some("192.0.2.9".parse().unwrap()), ..header("192.0.2.9:8000") };
        assert_eq!(wildcard.admit(&own), Err(Refusal::Ourselves));
    }

    #[test]
    fn a_source_gets_its_rate_and_no_more() {
        let start = Instant::now();
        let mut rates = Rates::new(10.0, start);
        let source = "192.0.2.1".parse().unwrap();
        let other = "192.0.2.2".parse().unwrap();
        let taken =
            |rates: &mut Rates, source, at| (0..100).filter(|_| rates.take(source, at)).count();
        assert_eq!(taken(&mut rates, source, start), 10);
        assert_eq!(taken(&mut rates, other, start), 10);
        assert_eq!(taken(&mut rates, source, start + Duration::from_millis(500)), 5);
        assert_eq!(taken(&mut rates, source, start + Duration::from_secs(60)), 10);
    }

    #[test]
    fn one_network_of_ipv6_is_one_source() {
        let start = Instant::now();
        let mut rates = Rates::new(1.0, start);
        assert!(rates.take("2001:db8::1".parse().unwrap(), start));
        assert!(!rates.take("2001:db8::2".parse().unwrap(), start));
        assert!(rates.take("2001:db8:0:1::1".parse().unwrap(), start));
    }

    #[test]
    fn forged_sources_fill_the_table_and_not_the_memory() {
        let start = Instant::now();
        let mut rates = Rates::new(1.0, start);
        let source = |n: u32| IpAddr::from(n.to_be_bytes());
        let answered = (0..3 * SOURCES as u32).filter(|&n| rates.take(source(n), start)).count();
        assert_eq!(rates.sources.len(), SOURCES);
        assert_eq!(answered, SOURCES + 1);
        let later = start + Duration::from_secs(5);
        assert!(rates.take(source(u32::MAX), later));
        assert!(rates.take(source(u32::MAX - 1), later));
        assert_eq!(rates.sources.len(), 2);
    }
}

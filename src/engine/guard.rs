//! Which datagrams are answered. Whoever sends one can put any address on it, so a server that
//! answers all of them can be made to talk to somebody who never asked.
//!
//! 1. An answer is never longer than what it answers: nothing is gained by having it sent here.
//! 2. Ports whose services answer by themselves are not answered, nor are we: two servers that
//!    answer each other never stop (CVE-2024-2169).
//! 3. An answer leaves with one hop less than what it answers had left. What loops all the same,
//!    between two servers on whatever ports, ends as it does among routers (RFC 791, time to live).
//! 4. Who may not call over TCP is not answered here.
//! 5. A source gets so many answers per second, where a rate is set.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use log::info;

use super::Limits;
use super::admission::{Access, DENIED};
use super::counters::{Datagrams, sum};

/// UDP ports whose services answer whatever comes, by their names in IANA's registry. No client
/// calls from one of them: those that the kernel chooses begin at 32768.
const ANSWERING: [u16; 31] = [
    0, 7, 11, 13, 17, 19, 37, 53, 69, 111, 123, 137, 138, 161, 177, 389, 427, 500, 520, 623, 1434,
    1900, 3283, 3478, 3702, 4500, 5060, 5353, 5683, 10_001, 11_211,
];

/// How many rates are kept apart.
const BUCKETS: usize = 8192;

/// What is known of the senders at one socket, and what became of their datagrams.
pub(super) struct Guard {
    local: SocketAddr,
    /// What the server listens on for datagrams, this socket and others.
    own: Arc<[SocketAddr]>,
    access: Access,
    rates: Option<Mutex<Rates>>,
    counters: Arc<Datagrams>,
}

/// What a datagram's header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Header {
    /// Where it says that it comes from.
    pub from: SocketAddr,
    /// Hops it had left when it came.
    pub hops: u8,
    /// The address of ours that it reached, where the socket can be reached at several.
    pub to: Option<IpAddr>,
    /// It was sent to many: a broadcast, or a multicast.
    pub to_many: bool,
}

/// Why a datagram is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its sender's port answers by itself.
    Answering,
    /// Its sender is no address that somebody has.
    Nobody,
    /// It says that it comes from this server, or from a port like its own.
    Ourselves,
    /// It has no hop left.
    Hops,
    /// It was sent to many, who would all answer.
    Many,
    /// Its source has had its share.
    Rate,
    /// The lists keep its sender out.
    Denied,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::Answering => "what is at that port answers by itself, and never stops",
            Refusal::Nobody => "nobody has the address that it says it comes from",
            Refusal::Ourselves => "it says that it comes from this server",
            Refusal::Hops => "it has no hop left, as after many rounds of a loop",
            Refusal::Many => "it was sent to many",
            Refusal::Rate => "its source has had its --rate-per-source",
            Refusal::Denied => DENIED,
        })
    }
}

impl Guard {
    /// For a socket bound to `local`, one of the server's `own` addresses.
    pub fn new(
        local: SocketAddr,
        own: Arc<[SocketAddr]>,
        limits: &Limits,
        counters: Arc<Datagrams>,
    ) -> Guard {
        let rates = limits.rate_per_source.map(|rate| Rates::new(rate, Instant::now()));
        Guard { local, own, access: limits.access.clone(), rates: rates.map(Mutex::new), counters }
    }

    /// The address the socket is bound to.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether a datagram may be answered.
    pub fn admit(&self, header: &Header) -> Result<(), Refusal> {
        self.counters.received.add(1);
        let verdict = self.judge(header);
        if let Err(refusal) = verdict {
            self.counters.refuse(refusal);
        }
        verdict
    }

    /// An answer was sent.
    pub fn answered(&self) {
        self.counters.answered.add(1);
    }

    /// An answer could not be sent.
    pub fn unsent(&self) {
        self.counters.unsent.add(1);
    }

    fn judge(&self, header: &Header) -> Result<(), Refusal> {
        let Header { from, hops, to_many, .. } = *header;
        if to_many {
            return Err(Refusal::Many);
        }
        let nobody = match from.ip() {
            IpAddr::V4(ip) => ip.is_broadcast() || ip.is_multicast() || ip.is_unspecified(),
            IpAddr::V6(ip) => ip.is_multicast() || ip.is_unspecified(),
        };
        if nobody {
            return Err(Refusal::Nobody);
        }
        // A socket without an address of its own has too many to know them all.
        let unknown = self.local.ip().is_unspecified() && from.port() == self.local.port();
        if unknown || self.own.contains(&from) {
            return Err(Refusal::Ourselves);
        }
        if ANSWERING.contains(&from.port()) {
            return Err(Refusal::Answering);
        }
        if hops <= 1 {
            return Err(Refusal::Hops);
        }
        if !self.access.admits(from.ip()) {
            return Err(Refusal::Denied);
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
        let Datagrams { received, answered, unsent, refused } = &*self.counters;
        if received.value() > 0 {
            let unsent = match unsent.value() {
                0 => String::new(),
                unsent => format!(", unsent {unsent}"),
            };
            info!(
                "{} (UDP): datagrams received {}, answered {}, refused {}{unsent}",
                self.local,
                received.value(),
                answered.value(),
                sum(refused)
            );
        }
    }
}

/// Token buckets, each with a second's worth. A source has the one that its hash says, so a flood
/// from forged sources costs no memory, and drains the bucket of an honest one only if it is as fast
/// as all buckets together. The hash has a key, or somebody could aim.
struct Rates {
    rate: f64,
    key: RandomState,
    buckets: Box<[Bucket]>,
}

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Rates {
    fn new(rate: f64, now: Instant) -> Rates {
        let full = Bucket { tokens: rate.max(1.0), at: now };
        Rates { rate, key: RandomState::new(), buckets: vec![full; BUCKETS].into() }
    }

    fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let place = self.place(source);
        let Bucket { tokens, at } = &mut self.buckets[place];
        let since = now.saturating_duration_since(*at).as_secs_f64();
        *tokens = (*tokens + since * self.rate).min(self.rate.max(1.0));
        *at = now;
        let has = *tokens >= 1.0;
        if has {
            *tokens -= 1.0;
        }
        has
    }

    fn place(&self, source: IpAddr) -> usize {
        self.key.hash_one(network(source)) as usize % BUCKETS
    }
}

/// What counts as one source: in IPv6 everybody has a whole /64.
pub fn network(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V6(address) => {
            Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        IpAddr::V4(_) => source,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn guard(local: &str, own: &Arc<[SocketAddr]>, limits: &Limits) -> Guard {
        Guard::new(local.parse().unwrap(), own.clone(), limits, Arc::default())
    }

    fn header(from: &str) -> Header {
        Header { from: from.parse().unwrap(), hops: 64, to: None, to_many: false }
    }

    #[test]
    fn who_would_answer_the_answer_gets_none() {
        let own: Arc<[SocketAddr]> =
            ["127.0.0.1:8000", "127.0.0.2:8000"].map(|own| own.parse().unwrap()).into();
        let judge = guard("127.0.0.1:8000", &own, &Limits::default());
        for (from, verdict) in [
            ("127.0.0.1:40000", Ok(())),
            ("127.0.0.1:8001", Ok(())),
            ("192.0.2.1:8000", Ok(())),
            ("127.0.0.1:8000", Err(Refusal::Ourselves)),
            ("127.0.0.2:8000", Err(Refusal::Ourselves)),
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
            ("224.0.0.1:40000", Err(Refusal::Nobody)),
            ("255.255.255.255:40000", Err(Refusal::Nobody)),
            ("0.0.0.0:40000", Err(Refusal::Nobody)),
            ("[ff02::1]:40000", Err(Refusal::Nobody)),
        ] {
            assert_eq!(judge.admit(&header(from)), verdict, "{from}");
        }
        let looped = Header { hops: 1, ..header("192.0.2.1:40000") };
        assert_eq!(judge.admit(&looped), Err(Refusal::Hops));
        let broadcast = Header { to_many: true, ..header("192.0.2.1:40000") };
        assert_eq!(judge.admit(&broadcast), Err(Refusal::Many));
        let wildcard = guard("0.0.0.0:8000", &own, &Limits::default());
        assert_eq!(wildcard.admit(&header("192.0.2.9:8000")), Err(Refusal::Ourselves));
        let deny = vec!["192.0.2.0/24".parse().unwrap()];
        let access = Access { deny, ..Access::default() };
        let closed = guard("127.0.0.1:8000", &own, &Limits { access, ..Limits::default() });
        assert_eq!(closed.admit(&header("192.0.2.1:40000")), Err(Refusal::Denied));
        assert_eq!(closed.admit(&header("198.51.100.1:40000")), Ok(()));
    }

    #[test]
    fn a_source_gets_its_rate_and_no_more() {
        let start = Instant::now();
        let mut rates = Rates::new(10.0, start);
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        let other = (2..)
            .map(|last| IpAddr::from([192, 0, 2, last]))
            .find(|other| rates.place(*other) != rates.place(source))
            .unwrap();
        let mut taken = |source, at| (0..100).filter(|_| rates.take(source, at)).count();
        assert_eq!(taken(source, start), 10);
        assert_eq!(taken(other, start), 10);
        assert_eq!(taken(source, start + Duration::from_millis(500)), 5);
        assert_eq!(taken(source, start + Duration::from_secs(60)), 10);
    }

    #[test]
    fn one_network_of_ipv6_is_one_source() {
        let start = Instant::now();
        let mut rates = Rates::new(1.0, start);
        assert!(rates.take("2001:db8::1".parse().unwrap(), start));
        assert!(!rates.take("2001:db8::2".parse().unwrap(), start));
    }

    #[test]
    fn a_flood_of_forged_sources_leaves_an_honest_one_its_share() {
        let mut now = Instant::now();
        let mut rates = Rates::new(1000.0, now);
        let honest = "192.0.2.1".parse().unwrap();
        let mut answered = 0;
        for second in 0..10_u32 {
            for n in 0..60_000_u32 {
                rates.take(IpAddr::from((second * 60_000 + n).to_be_bytes()), now);
                now += Duration::from_nanos(16_667);
            }
            answered += u32::from(rates.take(honest, now));
        }
        assert_eq!(answered, 10);
    }
}

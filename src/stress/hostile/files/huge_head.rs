//! Who asks at great length.

use crate::report::numbers::bytes;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::fault::Fault;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::web::Browser;
use crate::stress::{Hostile, Needs};

pub const HUGE_HEAD: Hostile = Hostile {
    name: "huge-head",
    fault: "a server without a bound for heads holds whatever anybody says before the empty line",
    does: "asks with a field of 64 KiB, with 10,000 fields, for a path of 64 KiB, and in a head that \
           never ends",
    holds: "each is refused (431, 414, 413, 400) or cut off, and the connection ends",
    seen_in: "node before 6.15, 8.14, 10.14 and 11.3 (CVE-2018-12121)",
    needs: Needs::of(Protocol::Files),
    visit,
};

const LONG: usize = 64 * 1024;

/// What a head without an end says until it was taken for one.
const ENDLESS: usize = 8 << 20;

fn visit(arena: &Arena) -> Outcome {
    let (host, path) = arena.known_page()?;
    let start = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
    let long = "x".repeat(LONG);
    let fields: String = (0..10_000).map(|n| format!("X-{n}: {n}\r\n")).collect();
    let mut told = Vec::new();
    for (what, request) in [
        ("a field of 64 KiB", format!("{start}X: {long}\r\n\r\n")),
        ("10,000 fields", format!("{start}{fields}\r\n")),
        ("a path of 64 KiB", format!("GET /{long} HTTP/1.1\r\nHost: {host}\r\n\r\n")),
    ] {
        let mut peer = arena.call()?;
        peer.begin(request.as_bytes());
        let mut browser = Browser::over(peer);
        let statuses = browser.statuses(2).map_err(|breach| breach.of(what));
        told.push(match refused(statuses, &browser)?[..] {
            [] => format!("{what}: cut off"),
            [status @ (400 | 413 | 414 | 431)] => format!("{what}: {status}"),
            ref others => {
                return Err(Breach::broken(format!("{what} was answered with {others:?}")));
            }
        });
    }
    told.push(endless(arena, &start)?);
    arena.serves()?;
    Ok(told.join(", "))
}

/// The statuses; none where the connection was reset, which takes an answer back.
fn refused(statuses: Result<Vec<u16>, Breach>, browser: &Browser) -> Result<Vec<u16>, Breach> {
    match statuses {
        Err(Breach::Broken(_)) if browser.peer.broken().is_some() => Ok(Vec::new()),
        other => other,
    }
}

fn endless(arena: &Arena, start: &str) -> Result<String, Breach> {
    let mut peer = arena.call()?;
    let mut said = 0;
    let piece = "x".repeat(LONG);
    let mut words = format!("{start}X: ");
    while said < ENDLESS {
        let taken = peer.say(words.as_bytes());
        said += words.len();
        peer.sip(4096);
        let within = bytes(said as f64);
        if peer.has_heard(1) {
            let heard =
                peer.outlast().map_err(|fault| Breach::from(fault).of("behind a refusal"))?;
            if !heard.starts_with(b"HTTP/1.") || !heard[8..].starts_with(b" 4") {
                return Err(Breach::broken("a head without an end was answered, and not refused"));
            }
            return Ok(format!("a head without an end: refused within {within}"));
        }
        match taken {
            Ok(()) if !peer.has_ended() => words.clone_from(&piece),
            Ok(()) | Err(Fault::Broken(..)) => {
                return Ok(format!("a head without an end: cut off within {within}"));
            }
            Err(fault) => return Err(Breach::from(fault).of("a head without an end")),
        }
    }
    Err(Breach::broken(format!("{} of a head were taken, and more would be", bytes(said as f64))))
}

//! Who asks for a file many times in one request.

use crate::report::numbers::bytes;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const MANY_RANGES: Hostile = Hostile {
    name: "many-ranges",
    fault: "a server that answers each range of a request sends a file hundreds of times for one \
            line",
    does: "asks for hundreds of ranges that overlap: the whole file again and again, each byte to the \
           end, and last bytes",
    holds: "no answer is longer than the file and what may stand around its parts",
    seen_in: "Apache httpd before 2.2.20 (CVE-2011-3192, Apache Killer)",
    needs: Needs::of(Protocol::Files),
    visit,
};

/// Ranges of a request.
const RANGES: usize = 500;

/// What may stand around the parts of an answer.
const AROUND: usize = 64 * 1024;

fn visit(arena: &Arena) -> Outcome {
    let (host, path) = arena.known_page()?;
    let length = arena.reference()?.len();
    if length * RANGES < 4 * AROUND {
        return Err(Breach::skipped(format!("{path} is too small to be told from its frame")));
    }
    let mut answers = Vec::new();
    let all = (0..RANGES).map(|_| "0-".to_owned()).collect::<Vec<_>>();
    let to_the_end = (0..RANGES).map(|first| format!("{first}-")).collect();
    let last = (0..RANGES).map(|last| format!("-{}", length - last.min(length - 1))).collect();
    for ranges in [all, to_the_end, last] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={}\r\n\r\n",
            ranges.join(",")
        );
        let reply = arena.browser()?.ask(request.as_bytes())?;
        let (status, came) = (reply.head.status, reply.body.len());
        if came > length + AROUND {
            return Err(Breach::broken(format!(
                "{RANGES} ranges of a file of {} were answered with {}",
                bytes(length as f64),
                bytes(came as f64)
            )));
        }
        answers.push(format!("{status} with {}", bytes(came as f64)));
    }
    arena.serves()?;
    Ok(format!("{RANGES} ranges of {}: {}", bytes(length as f64), answers.join(", ")))
}

//! Who says where a request ends in two ways, for two servers to read it differently.

use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::web::Browser;
use crate::stress::{Hostile, Needs};

pub const SMUGGLING: Hostile = Hostile {
    name: "smuggling",
    fault: "a server that takes another end of a request for right than the proxy before it answers \
            what somebody has hidden in the body",
    does: "sends requests whose end can be read in two ways, each with a second one in its body: \
           Content-Length with Transfer-Encoding, two lengths, signs, folded lines, bare CR, spaces \
           before the colon, codings nobody has",
    holds: "each is answered once, with a refusal or (where RFC 9112 leaves it open) with an end, and \
            what is hidden is never answered",
    seen_in: "HTTP desync attacks (2005, 2019); CVE-2020-11724, CVE-2022-22720, CVE-2022-32213",
    needs: Needs::of(Protocol::Files),
    visit,
};

/// What RFC 9112 demands.
#[derive(Clone, Copy, PartialEq)]
enum Due {
    /// An error, and the end.
    Refusal,
    /// The same, or one answer and the end (6.1; or before the body was looked at), or one answer with
    /// what cannot be read left out.
    Once,
}
use Due::*;

fn visit(arena: &Arena) -> Outcome {
    let (host, path) = arena.known_page()?;
    let hidden = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let (chunked, length) = (format!("0\r\n\r\n{hidden}"), hidden.len() + 5);
    let (mut refused, mut once) = (0, Vec::new());
    for (what, due, fields, body) in [
        (
            "Content-Length and Transfer-Encoding",
            Once,
            format!("Content-Length: {length}\r\nTransfer-Encoding: chunked"),
            &chunked,
        ),
        (
            "Transfer-Encoding and Content-Length",
            Once,
            format!("Transfer-Encoding: chunked\r\nContent-Length: {length}"),
            &chunked,
        ),
        (
            "two Content-Lengths",
            Refusal,
            format!("Content-Length: 0\r\nContent-Length: {}", hidden.len()),
            &hidden,
        ),
        (
            "two Content-Lengths in one",
            Refusal,
            format!("Content-Length: {}, 0", hidden.len()),
            &hidden,
        ),
        ("a signed length", Refusal, format!("Content-Length: +{}", hidden.len()), &hidden),
        ("a length in hexadecimals", Refusal, format!("Content-Length: {length:#x}"), &hidden),
        (
            "a space before the colon",
            Refusal,
            format!("Content-Length : {}", hidden.len()),
            &hidden,
        ),
        (
            "a folded line",
            Once,
            format!("Content-Length: {length}\r\nTransfer-Encoding:\r\n chunked"),
            &chunked,
        ),
        (
            "a bare CR",
            Once,
            format!("X: y\rTransfer-Encoding: chunked\r\nContent-Length: {length}"),
            &chunked,
        ),
        ("a coding that nobody has", Refusal, "Transfer-Encoding: xchunked".into(), &hidden),
        (
            "chunked, and then something else",
            Refusal,
            "Transfer-Encoding: chunked, identity".into(),
            &hidden,
        ),
        (
            "a chunk of a size with a sign",
            Once,
            "Transfer-Encoding: chunked".into(),
            &format!("-0\r\n\r\n{hidden}"),
        ),
    ] {
        let mut peer = arena.call()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n\r\n{body}");
        peer.begin(request.as_bytes());
        // Who has taken it for one request waits for the next.
        peer.end();
        let statuses = Browser::over(peer).statuses(8).map_err(|breach| breach.of(what))?;
        match (&statuses[..], due) {
            ([400..=599], _) => refused += 1,
            ([_], Once) | ([], _) => once.push(what),
            _ => {
                return Err(Breach::broken(format!("{what}: the answers were {statuses:?}")));
            }
        }
    }
    arena.serves()?;
    let once = match once[..] {
        [] => String::new(),
        _ => format!(", and answered once or not at all: {}", once.join("; ")),
    };
    Ok(format!("{refused} requests with two ends were refused{once}"))
}

//! Who keeps a server busy with records that say nothing.

use std::time::Instant;

use rustls::ContentType;

use crate::report::numbers::count;
use crate::stress::arena::Arena;
use crate::stress::peer::Peer;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const RECORD_FLOOD: Hostile = Hostile {
    name: "record-flood",
    fault: "a server that reads on until something comes of it serves nobody else while records come \
            that say nothing",
    does: "sends tens of thousands of warnings, of ChangeCipherSpecs and of empty records before the \
           hello, and of empty records and warnings behind the handshake",
    holds: "each is cut off, or read; others are served meanwhile, and the server is quiet afterwards",
    seen_in: "OpenSSL 1.0.2h and 1.1.0 (CVE-2016-8610, SSL Death Alert)",
    needs: Needs::ANYBODY.over_tls(),
    visit,
};

const RECORDS: usize = 20_000;

/// A warning that nobody has heard of, as user_canceled is in a hello's place.
const WARNING: [u8; 2] = [1, 90];

fn visit(arena: &Arena) -> Outcome {
    let before = arena.is_quiet()?;
    let (told, neighbour) = arena.beside_a_witness(|| {
        let mut told = Vec::new();
        for (what, record) in [
            ("warnings", &[21, 3, 1, 0, 2, WARNING[0], WARNING[1]][..]),
            ("ChangeCipherSpecs", &[20, 3, 3, 0, 1, 1]),
            ("empty handshake records", &[22, 3, 1, 0, 0]),
            ("empty records of data", &[23, 3, 3, 0, 0]),
        ] {
            let peer = arena.connect_plainly()?;
            let end = flood(arena, peer, &record.repeat(RECORDS))?;
            told.push(format!("{what}: {end}"));
        }
        let mut forger = match arena.forger() {
            Ok(forger) => forger,
            Err(Breach::Skipped(why)) => {
                told.push(why);
                return Ok(told);
            }
            Err(breach) => return Err(breach),
        };
        for (what, typ, content) in [
            ("empty records behind the handshake", ContentType::ApplicationData, &[][..]),
            ("warnings there", ContentType::Alert, &WARNING),
        ] {
            let records: Vec<Vec<u8>> = (0..RECORDS).map(|_| forger.record(typ, content)).collect();
            let end = flood(arena, forger.peer, &records.concat())?;
            told.push(format!("{what}: {end}"));
            forger = arena.forger()?;
        }
        Ok(told)
    })?;
    let quiet = arena.stays_quiet(before, "afterwards")?;
    arena.serves()?;
    Ok(format!(
        "of {} each: {}{quiet}; a neighbour was answered in {}",
        count(RECORDS as u64),
        told.join(", "),
        neighbour.told()
    ))
}

/// What came of it: the server may end, or take it all.
fn flood(arena: &Arena, mut peer: Peer, records: &[u8]) -> Result<&'static str, Breach> {
    let (since, mut sent) = (Instant::now(), 0);
    while sent < records.len() {
        peer.sip(4096);
        match peer.offer(&records[sent..]) {
            _ if peer.has_ended() => return Ok("cut off"),
            Ok(0) if since.elapsed() > arena.patience => return Ok("not read to the end"),
            Ok(0) => arena.pause(std::time::Duration::from_millis(1))?,
            Ok(n) => sent += n,
            Err(_) => return Ok("cut off"),
        }
    }
    // What is refused is refused soon.
    for _ in 0..20 {
        while peer.sip(4096) > 0 {}
        if peer.has_ended() {
            return Ok("cut off");
        }
        arena.pause(std::time::Duration::from_millis(5))?;
    }
    Ok("read")
}

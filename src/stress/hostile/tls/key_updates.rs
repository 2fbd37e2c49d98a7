//! Who wants new keys all the time.

use crate::report::numbers::count;
use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const KEY_UPDATES: Hostile = Hostile {
    name: "key-updates",
    fault: "a server that answers each wish for new keys at once holds the answers of who does not \
            read them, and has no time for others",
    does: "asks for new keys (KeyUpdate, TLS 1.3) thousands of times in a row, and hundreds of times with \
           words between them. (A client of rustls cannot ask for TLS 1.2's renegotiation; \
           garbage-record sends a second hello)",
    holds: "the first may be cut off, the words are understood with each key; others are served \
            meanwhile",
    seen_in: "THC-SSL-DOS (2011), with renegotiation; BoringSSL and rustls take 32 wishes in a row",
    needs: Needs::ANYBODY.over_tls(),
    visit,
};

/// Wishes without a word between them.
const IN_A_ROW: usize = 5000;

/// Wishes with a word behind each few, where words come back.
const IN_ALL: usize = 1000;
const FEW: usize = 10;

fn visit(arena: &Arena) -> Outcome {
    let before = arena.is_quiet()?;
    let ((in_a_row, understood), neighbour) = arena.beside_a_witness(|| {
        let mut peer = arena.call()?;
        let mut in_a_row = 0;
        while in_a_row < IN_A_ROW && !peer.has_ended() && peer.renew_keys() {
            peer.begin(&[]);
            peer.sip(4096);
            in_a_row += 1;
        }
        if in_a_row == 0 {
            return Err(Breach::skipped("the server speaks no TLS 1.3"));
        }
        let mut understood = 0;
        if arena.protocol == Protocol::Echo {
            let mut peer = arena.call()?;
            while understood < IN_ALL && peer.renew_keys() {
                understood += 1;
                if understood % FEW == 0 {
                    peer.echoes(&arena.pattern(understood as u64, 64)).map_err(|fault| {
                        Breach::from(fault).of(&format!("behind {understood} new keys"))
                    })?;
                }
            }
        }
        Ok((in_a_row, understood))
    })?;
    let quiet = arena.stays_quiet(before, "afterwards")?;
    arena.serves()?;
    let understood = match understood {
        0 => String::new(),
        times => format!(", {} with words between them were understood", count(times as u64)),
    };
    let end = if in_a_row < IN_A_ROW { "the server had enough" } else { "it could stay" };
    Ok(format!(
        "after {} new keys in a row {end}{understood}{quiet}; a neighbour was answered in {}",
        count(in_a_row as u64),
        neighbour.told()
    ))
}

//! Sessions and parsers under random treatment: whatever a peer says, in whatever pieces, and
//! whatever an engine does with a session that it may do, the session keeps the contract of
//! `src/session.rs`.
//!
//! A `driver` is the engine, without sockets; a `script` is what it does. `words` are what peers
//! say: the protocols' own, spliced, doubled, cut off and with bits turned. What a session inside
//! another one is told is checked by a `guard`. `planted` holds sessions that are wrong on purpose,
//! so that what finds faults is known to find them.
//!
//! `cargo test --test fuzz` tries some cases of each property within seconds. More of them, by
//! hand:
//!
//! ```sh
//! PROPTEST_CASES=100000 cargo test --release --test fuzz
//! ```
//!
//! Nothing is written down when a property fails: what proptest prints becomes a test of its own in
//! `found`.

#[path = "../support/mod.rs"]
mod support;

mod driver;
mod found;
mod guard;
mod halls;
mod memory;
mod parsers;
mod planted;
mod script;
mod secure;
mod services;
mod sites;
mod whims;
mod words;

use proptest::prelude::ProptestConfig;

/// So many cases, unless `PROPTEST_CASES` says how many.
fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var_os("PROPTEST_CASES").is_some();
    let config = ProptestConfig {
        failure_persistence: None,
        max_shrink_iters: 10_000,
        max_shrink_time: 60_000,
        ..ProptestConfig::default()
    };
    if asked { config } else { ProptestConfig { cases: usual, ..config } }
}

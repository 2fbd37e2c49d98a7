//! socklab, a laboratory for sockets: standard servers, each on two engines, a client for them, and
//! what it takes to measure any server and to compare it with another.
//!
//! A [`session`] is one conversation as a state machine: it is told what happened, appends bytes to
//! an output, and answers what it wants next. A [`service`] makes sessions. An [`engine`] owns
//! sockets and time: it asks the kernel, calls the session, sends the output. Services never see a
//! socket, a thread or a poll; engines never see a protocol. So each service runs unchanged on both
//! engines, and the two engines differ in one thing only: where a thread sleeps.
//!
//! ```text
//!          bytes in                                    bytes out
//!     socket ─────► engine ── receive(input) ──► session ── Output ──► engine ─────► socket
//!                     ▲                             │                    │
//!                     └────── Read, Write, Close ◄──┘                    └─ mail ──► other sessions
//! ```
//!
//! To read it, in this order:
//!
//! 1. [`session`]: the contract, a page.
//! 2. `service/echo.rs`, the shortest session, and `service/chargen.rs`, which has more to say than
//!    fits at once. `service/chat/`, later on, is a large one: rooms in which sessions write to each
//!    other, by mail. `service/http/` is a protocol with a site behind it, and `service/files/` such a
//!    site: what a session does whose answers lie on a slow disk. `service/metrics/` is another one,
//!    of a single page: what an engine has counted.
//! 3. `engine/listen.rs`: what has to be settled before anybody can call: address families, the
//!    queue, options that are handed down.
//! 4. [`engine::threads`]: one blocking thread per client. Each conversation reads top-down, and
//!    each place where a thread sleeps is marked.
//! 5. [`engine::poll`], beside it: one thread, one readiness loop. Same order, same verbs; its laws
//!    stand at the top of the file. `ending.rs`, below each of them, is how connections end there.
//!    `engine/admission.rs` is who gets one at all, and `engine/counters.rs` what is counted.
//!    Datagrams (`engine/exchange.rs`) have no connections and no sessions: a
//!    [`Responder`](session::Responder) answers each with at most one, and `engine/guard.rs` says
//!    whom not.
//! 6. [`tls`]: a session around a session (`session.rs`), which neither services nor engines know.
//! 7. [`client`]: one blocking connection, spoken to by a message, a pipe or a person;
//!    [`client::datagram`], where nothing connects; [`client::chat`], for rooms; and
//!    [`client::transfer`], for files: `part.rs` and `put.rs` have the laws.
//! 8. [`load`]: what is sent (`work`), when (`pace`) and how it is counted (`tally`), brought
//!    together by a `crowd` of clients on a thread, which is an engine with a stopwatch (over HTTP with
//!    `http`, which tells where an answer ends and whether it is the file); by a `volley`,
//!    where each message is a datagram that may be lost, come twice or come late; and by `rooms` full
//!    of talkers, where each hears what others say (IRC).
//! 9. [`mod@bench`]: servers in turns under the same load (`duel`), and what can be said of the outcome
//!    (`stats`). [`observe`]: what server processes use, and how none is left behind.
//! 10. [`stress`]: clients that behave badly (`hostile/`, a file each), and what a server has to keep
//!     all the same. `arena.rs` and `peer.rs` are what they all use.
//! 11. [`report`]: the documents that `load` and `bench` write, and what people read.
//!
//! ```
//! use std::sync::Arc;
//! use socklab::engine::{Endpoint, Engine, Limits, Stop, listen};
//! use socklab::service::Echo;
//!
//! let stop = Arc::new(Stop::new()?);
//! let endpoints = listen("localhost", 0)?
//!     .into_iter()
//!     .map(|listener| Endpoint::Stream { listener, service: Arc::new(Echo) })
//!     .collect();
//! stop.request(); // or stop.on_signals()?, to serve until Ctrl-C
//! Engine::Poll.run(endpoints, Limits::default(), stop)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod bench;
pub mod client;
pub mod engine;
pub mod failure;
mod file;
pub mod load;
pub mod observe;
pub mod report;
pub mod service;
pub mod session;
pub mod stress;
pub mod tls;
pub mod transport;

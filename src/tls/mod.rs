//! TLS: a session around a session, so that neither a service nor an engine knows of it; and the
//! client's side of connections.
//!
//! [`Tls`] wraps any service; its sessions take what comes, hand on what it says, and wrap what the
//! session inside answers. Cryptography and protocol are rustls's. [`Connector`] is for those who
//! call.
//!
//! ```
//! use std::sync::Arc;
//! use socklab::service::Echo;
//! use socklab::tls::server::{Oldest, Options};
//! use socklab::tls::{Acceptor, Connector, Source, Tls, client};
//!
//! let source = Source::SelfMade(vec!["localhost".into()]);
//! let acceptor = Acceptor::new(&Options { source, client_ca: None, oldest: Oldest::Tls12 })?;
//! let service = Tls::new(Arc::new(Echo), &acceptor, Tls::HANDSHAKE); // for an Endpoint::Stream
//!
//! let pin = Some(acceptor.certificates.fingerprint());
//! let connector = Connector::new(&client::Options { pin, ..client::Options::default() })?;
//! let connection = connector.connection("localhost")?; // rustls's, without a socket
//! # Ok::<(), String>(())
//! ```

mod certificates;
pub mod client;
mod fingerprint;
mod pem;
mod plain;
pub mod server;
mod session;
mod words;

pub use certificates::{Certificates, Source};
pub use client::Connector;
pub use fingerprint::Fingerprint;
pub use plain::Plain;
pub use server::Acceptor;
pub use session::Tls;

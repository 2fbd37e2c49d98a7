//! TLS for the clients of a load: each is as if on a machine of its own.

mod sessions;
mod trial;

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustls::{CipherSuite, ClientConnection, ProtocolVersion};

use crate::failure::cause;
use crate::tls::Connector;
use sessions::Sessions;

/// How clients speak TLS with one server.
#[derive(Clone, Debug)]
pub struct Secure {
    /// Whom they trust. It remembers no sessions: clients that shared them would resume what they
    /// have never begun, and with the eight tickets that rustls keeps for a server most of them could
    /// not.
    pub connector: Connector,
    /// What they call the server.
    pub host: String,
    /// Whether they resume sessions where the server gives tickets.
    pub resumes: bool,
}

impl Secure {
    /// For one client: settings and sessions of its own are 2.6 KB beside the 8.4 KB that its
    /// connection holds.
    pub fn one_client(&self) -> Connector {
        match self.resumes {
            true => self.connector.remembering(Arc::new(Sessions::default())),
            false => self.connector.clone(),
        }
    }

    /// Why an error came about, in words for whoever started the load.
    pub fn explain(&self, error: &rustls::Error) -> String {
        self.connector.explain(error, &self.host)
    }

    /// One handshake, with a connection of its own, which says why all others would fail. A server
    /// that cannot be connected to is left for the clients to meet.
    pub fn check(
        &self,
        server: SocketAddr,
        patience: Duration,
        stop: &AtomicBool,
    ) -> Result<(), String> {
        let host = &self.host;
        let Ok(mut stream) = TcpStream::connect_timeout(&server, patience) else {
            return Ok(());
        };
        let mut connection = self.connector.connection(host)?;
        let outcome = trial::shake_hands(&mut connection, &mut stream, patience, stop);
        let Err(error) = outcome else {
            return Ok(());
        };
        Err(match (inner(&error), error.kind()) {
            (Some(error), _) => self.explain(error),
            (None, ErrorKind::TimedOut) => {
                format!("{host} did not finish the TLS handshake within {patience:?}; {ADVICE}")
            }
            (None, ErrorKind::UnexpectedEof) => {
                format!("{host} closed before the TLS handshake was finished; {ADVICE}")
            }
            (None, _) => {
                format!("the TLS handshake with {host} failed: {}; {ADVICE}", cause(&error))
            }
        })
    }
}

/// To somebody whose server may speak something else.
const ADVICE: &str = "does it speak TLS on this port?";

/// The error of TLS in one of a socket.
pub fn inner(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What a client and its server agreed to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Agreed {
    /// The version.
    pub version: ProtocolVersion,
    /// The cipher suite.
    pub suite: CipherSuite,
}

impl Agreed {
    /// Of a connection whose handshake is finished.
    pub fn by(connection: &ClientConnection) -> Option<Agreed> {
        let version = connection.protocol_version()?;
        let suite = connection.negotiated_cipher_suite()?.suite();
        Some(Agreed { version, suite })
    }

    /// Adds what is new.
    pub fn merge(known: &mut Vec<Agreed>, others: impl IntoIterator<Item = Agreed>) {
        for other in others {
            if !known.contains(&other) {
                known.push(other);
            }
        }
    }
}

impl fmt::Display for Agreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Agreed { version, suite } = self;
        match version {
            ProtocolVersion::TLSv1_2 => write!(f, "TLS 1.2, {suite:?}"),
            ProtocolVersion::TLSv1_3 => write!(f, "TLS 1.3, {suite:?}"),
            other => write!(f, "{other:?}, {suite:?}"),
        }
    }
}

//! rustls clients for tests, every step of which is theirs to choose.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::ring::default_provider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, SupportedProtocolVersion};
use socklab::tls::server::{Oldest, Options};
use socklab::tls::{Acceptor, Source};

use super::PATIENCE;
pub use super::certificate::{Authority, Identity};

/// A server's side with a certificate of its own making.
pub fn acceptor() -> Acceptor {
    let source = Source::SelfMade(vec!["localhost".into(), "127.0.0.1".into()]);
    let oldest = Oldest::default();
    Acceptor::new(&Options { source, client_ca: None, oldest }).expect("it needs no files")
}

pub const ALL: &[&SupportedProtocolVersion] = rustls::ALL_VERSIONS;
pub const TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub const TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];

/// A client that trusts `authority`, and shows the certificate in `identity`.
pub fn config(
    versions: &[&'static SupportedProtocolVersion],
    authority: &Authority,
    identity: Option<&Identity>,
) -> ClientConfig {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(versions)
        .expect("these are known")
        .with_root_certificates(authority.roots());
    match identity {
        None => config.with_no_client_auth(),
        Some(identity) => config
            .with_client_auth_cert(identity.chain.clone(), identity.key())
            .expect("they belong together"),
    }
}

/// The client's side of a connection to `localhost`.
pub fn client(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("it is a name");
    ClientConnection::new(config.clone(), name).expect("the configuration is fine")
}

/// All that it has to send.
pub fn records(tls: &mut ClientConnection) -> Vec<u8> {
    let mut records = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut records).expect("memory takes everything");
    }
    records
}

/// A client on a socket.
pub struct Caller {
    pub tcp: TcpStream,
    pub tls: ClientConnection,
}

impl Caller {
    /// One that has not said anything yet.
    pub fn new(tcp: TcpStream, config: &Arc<ClientConfig>) -> Caller {
        tcp.set_nodelay(true).expect("it is connected");
        Caller { tcp, tls: client(config) }
    }

    /// One that has come through the handshake.
    pub fn served(tcp: TcpStream, config: &Arc<ClientConfig>) -> Caller {
        let mut caller = Caller::new(tcp, config);
        caller.shake_hands().expect("the server takes it");
        caller
    }

    /// Sends and hears until the handshake is done.
    pub fn shake_hands(&mut self) -> Result<(), rustls::Error> {
        while self.tls.is_handshaking() {
            self.send();
            if self.tls.is_handshaking() && !self.hear()? {
                return Err(rustls::Error::General("the server has left".into()));
            }
        }
        self.send();
        Ok(())
    }

    /// Sends what there is to send.
    pub fn send(&mut self) {
        let records = records(&mut self.tls);
        self.tcp.write_all(&records).expect("the server reads");
    }

    /// One read. `false`: the server has ended the connection.
    pub fn hear(&mut self) -> Result<bool, rustls::Error> {
        match self.tls.read_tls(&mut self.tcp) {
            Ok(n) => self.tls.process_new_packets().map(|_| n > 0),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Ok(false),
            Err(error) => panic!("the server is silent: {error}"),
        }
    }

    pub fn say(&mut self, bytes: &[u8]) {
        self.tls.writer().write_all(bytes).expect("the connection is fine");
        self.send();
    }

    /// Hears `length` bytes.
    pub fn heard(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let mut at = 0;
        while at < length {
            match self.tls.reader().read(&mut bytes[at..]) {
                Ok(0) => panic!("the server has ended after {at} bytes"),
                Ok(n) => at += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.hear().expect("what comes can be decrypted");
                }
                Err(error) => panic!("after {at} bytes: {error}"),
            }
        }
        bytes
    }

    /// All that comes until the server's end, which has to be announced.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        loop {
            match self.tls.reader().read_to_end(&mut rest) {
                Ok(_) => return rest,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.hear().expect("what comes can be decrypted");
                }
                Err(error) => panic!("after {} bytes: {error}", rest.len()),
            }
        }
    }

    /// Says that it has nothing more to say.
    pub fn close(&mut self) {
        self.tls.send_close_notify();
        self.send();
    }
}

/// Waits for the end of the connection, whatever comes before.
pub fn ends(tcp: &mut TcpStream) -> Vec<u8> {
    tcp.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
    let mut rest = Vec::new();
    match tcp.read_to_end(&mut rest) {
        Ok(_) => rest,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => rest,
        Err(error) => panic!("the server keeps the connection: {error}"),
    }
}

/// Long enough for anything but a test of time itself.
pub const LONG: Duration = Duration::from_secs(60);

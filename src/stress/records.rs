//! What no client of TLS says: records of every kind, in the clear or with the keys of a connection
//! that was made in the right way.

use rustls::crypto::cipher::{MessageEncrypter, OutboundChunks, OutboundPlainMessage};
use rustls::{ConnectionTrafficSecrets, ContentType, ProtocolVersion, SupportedCipherSuite};

use super::arena::Arena;
use super::peer::Peer;
use super::verdict::Breach;
use crate::load::secure::Secure;
use crate::tls::{Connector, client};

/// A connection over TLS 1.3 whose client encrypts whatever it likes.
pub struct Forger {
    /// Its connection, which hears records as they come.
    pub peer: Peer,
    encrypter: Box<dyn MessageEncrypter>,
    sequence: u64,
}

impl Arena {
    /// How the server is called over TLS.
    pub fn tls(&self) -> Result<&Secure, Breach> {
        self.secure.as_ref().ok_or_else(|| Breach::skipped("the server speaks no TLS"))
    }

    /// A hello that the server can answer, in one record.
    pub fn hello(&self) -> Result<Vec<u8>, Breach> {
        let mut connection = match &self.secure {
            Some(secure) => secure.connector.connection(&secure.host),
            None => Connector::new(&client::Options { insecure: true, ..Default::default() })
                .and_then(|connector| connector.connection("localhost")),
        }
        .map_err(Breach::skipped)?;
        let mut hello = Vec::new();
        connection.write_tls(&mut hello)?;
        Ok(hello)
    }

    /// A connection that has shaken hands, and goes on in forged records.
    pub fn forger(&self) -> Result<Forger, Breach> {
        let secure = self.tls()?;
        let connector = secure.connector.with_keys_to_take();
        let secure = Secure { connector, ..secure.clone() };
        let stop = self.watch.stop.clone();
        let mut peer = Peer::connect(self.server, Some(&secure), self.patience, stop)?;
        peer.shake_hands()?;
        let tls = peer.take_tls().expect("it was called over TLS");
        let Some(SupportedCipherSuite::Tls13(suite)) = tls.negotiated_cipher_suite() else {
            return Err(Breach::skipped("the server speaks no TLS 1.3"));
        };
        let secrets = tls
            .dangerous_extract_secrets()
            .map_err(|error| Breach::skipped(format!("its keys cannot be had: {error}")))?;
        let (sequence, secrets) = secrets.tx;
        let (key, iv) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv }
            | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
            | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
            _ => return Err(Breach::skipped("its cipher is not known here")),
        };
        Ok(Forger { peer, encrypter: suite.aead_alg.encrypter(key, iv), sequence })
    }
}

impl Forger {
    /// The next record, of this type and with this content.
    pub fn record(&mut self, typ: ContentType, content: &[u8]) -> Vec<u8> {
        let payload = OutboundChunks::Single(content);
        let message = OutboundPlainMessage { typ, version: ProtocolVersion::TLSv1_3, payload };
        let record = self.encrypter.encrypt(message, self.sequence);
        self.sequence += 1;
        record.expect("so few are encrypted with one key").encode()
    }
}

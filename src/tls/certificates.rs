//! The certificate that a server shows: made at its start, or read from files and read again.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, KeyPair, KeyUsagePurpose};
use rustls::crypto::ring::sign::any_ecdsa_type;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::fingerprint::Fingerprint;
use super::pem;

/// A certificate is made valid from a day ago, for clocks that are behind.
const BEFORE: Duration = Duration::from_secs(24 * 60 * 60);

/// And for as long as authorities may give any, 398 days, less a little (CA/Browser Forum baseline
/// requirements, 6.3.2).
const VALID: Duration = Duration::from_secs(396 * 24 * 60 * 60);

/// Where a server's certificate comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// PEM files: a chain, the server's own certificate first, and its key.
    Files {
        /// The chain.
        certificates: PathBuf,
        /// The key of its first certificate: RSA, ECDSA or Ed25519.
        key: PathBuf,
    },
    /// Made at the start for these names and addresses, and signed by nobody else.
    SelfMade(Vec<String>),
}

/// The certificate of the moment. Handshakes that have begun keep the one that they began with.
pub struct Certificates {
    source: Source,
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificates {
    /// Reads the certificate, or makes it. An error is one line that names the file at fault.
    pub fn new(source: Source) -> Result<Certificates, String> {
        let current = RwLock::new(Arc::new(source.identity()?));
        Ok(Certificates { source, current })
    }

    /// Reads the files again. When that fails, the certificate stays what it was. One that was made
    /// at the start is kept.
    pub fn reload(&self) -> Result<Fingerprint, String> {
        if let Source::Files { certificates, key } = &self.source {
            for file in [certificates, key] {
                // A pipe would be waited for until somebody writes to it.
                if fs::metadata(file).is_ok_and(|metadata| !metadata.is_file()) {
                    return Err(format!("cannot use {}: it is not a regular file", file.display()));
                }
            }
            let identity = Arc::new(self.source.identity()?);
            *self.current.write().unwrap_or_else(PoisonError::into_inner) = identity;
        }
        Ok(self.fingerprint())
    }

    /// That of the server's own certificate.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.current().cert[0])
    }

    fn current(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("source", &self.source).finish_non_exhaustive()
    }
}

impl Source {
    fn identity(&self) -> Result<CertifiedKey, String> {
        match self {
            Source::Files { certificates, key } => pem::identity(certificates, key),
            Source::SelfMade(names) => self_made(names),
        }
    }
}

/// ECDSA on P-256, which every client knows.
fn self_made(names: &[String]) -> Result<CertifiedKey, String> {
    let made = || -> Result<CertifiedKey, rcgen::Error> {
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name.push(rcgen::DnType::CommonName, "socklab, made at its start");
        params.not_before = (SystemTime::now() - BEFORE).into();
        params.not_after = (SystemTime::now() + VALID).into();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let signing = any_ecdsa_type(&der).expect("it was made as such");
        Ok(CertifiedKey::new(vec![certificate.into()], signing))
    };
    made().map_err(|error| {
        format!("cannot make a certificate for {}: {error}; give one with --cert", names.join(", "))
    })
}

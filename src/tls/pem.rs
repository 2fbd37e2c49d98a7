//! Certificates and keys in files, in PEM.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;

use crate::failure::cause;

/// No file of certificates or keys is larger: all authorities of a system have a fifth of it.
const LARGEST: u64 = 1 << 20;

/// A chain, its first certificate the owner's, and the key that belongs to it.
pub fn identity(certificates: &Path, key: &Path) -> Result<CertifiedKey, String> {
    let chain = chain(certificates)?;
    let cannot = |why: &str| format!("cannot use the key {}: {why}", key.display());
    let text = read(key)?;
    let encrypted = "it is encrypted; `openssl pkey` decrypts it";
    if text.windows(ENCRYPTED.len()).any(|window| window == ENCRYPTED) {
        return Err(cannot(encrypted));
    }
    let der = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => cannot("it has no private key in PEM"),
        error => cannot(&said(&error)),
    })?;
    let signing = default_provider().key_provider.load_private_key(der).map_err(|_| {
        cannot("it is not an RSA (2048 bits or more), ECDSA (P-256, P-384) or Ed25519 key")
    })?;
    let identity = CertifiedKey::new(chain, signing);
    match identity.keys_match() {
        // Where a key does not tell its public half, the first handshake will.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {
            Ok(identity)
        }
        Err(rustls::Error::InconsistentKeys(_)) => Err(format!(
            "the key {} does not belong to the first certificate of {}",
            key.display(),
            certificates.display()
        )),
        Err(error) => Err(format!("cannot use {}: {error}", certificates.display())),
    }
}

/// What stands in an encrypted key, of today (PKCS #8) or as openssl wrote them before.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// Authorities to trust.
pub fn authorities(file: &Path) -> Result<Arc<RootCertStore>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in chain(file)? {
        roots.add(certificate).map_err(|error| {
            format!("cannot trust a certificate of {}: {error}", file.display())
        })?;
    }
    Ok(Arc::new(roots))
}

fn chain(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let cannot = |why: &str| format!("cannot use {}: {why}", file.display());
    let text = read(file)?;
    let chain: Result<Vec<CertificateDer>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let chain = chain.map_err(|error| cannot(&said(&error)))?;
    if chain.is_empty() {
        return Err(cannot("it has no certificate in PEM"));
    }
    match chain.iter().position(|certificate| ParsedCertificate::try_from(certificate).is_err()) {
        Some(index) => Err(cannot(&format!("certificate {} of it is not X.509", index + 1))),
        None => Ok(chain),
    }
}

/// All of a file, unless it has no end.
fn read(file: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = File::open(file).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes));
    match read {
        Err(error) => Err(format!("cannot use {}: {}", file.display(), cause(&error))),
        Ok(_) if bytes.len() as u64 > LARGEST => {
            Err(format!("cannot use {}: it is larger than 1 MiB", file.display()))
        }
        Ok(_) => Ok(bytes),
    }
}

fn said(error: &pem::Error) -> String {
    match error {
        pem::Error::Io(error) => cause(error),
        pem::Error::NoItemsFound => "it holds nothing of that kind in PEM".into(),
        pem::Error::MissingSectionEnd { .. } => {
            "it is cut short: the last END line is missing".into()
        }
        error => format!("it is not PEM: {error}"),
    }
}

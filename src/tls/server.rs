//! What a server speaks, and with whom.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring::{Ticketer, default_provider};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{ServerConfig, SupportedProtocolVersion};

use super::certificates::{Certificates, Source};
use super::pem;

/// The oldest version that a server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Oldest {
    /// TLS 1.2, with what is left of it that nothing is known against.
    #[default]
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What a server shows and demands.
#[derive(Clone, Debug)]
pub struct Options {
    /// Its certificate.
    pub source: Source,
    /// Authorities in PEM, one of which must have signed each client's certificate; without them
    /// clients show none.
    pub client_ca: Option<PathBuf>,
    /// The oldest version spoken.
    pub oldest: Oldest,
}

/// The server's side of TLS, for any number of services.
#[derive(Clone, Debug)]
pub struct Acceptor {
    /// The certificate, to be read again or compared.
    pub certificates: Arc<Certificates>,
    pub(super) config: ServerConfig,
}

impl Acceptor {
    /// Reads the files. An error is one line that names the one at fault.
    pub fn new(options: &Options) -> Result<Acceptor, String> {
        let provider = Arc::new(default_provider());
        let versions: &[&'static SupportedProtocolVersion] = match options.oldest {
            Oldest::Tls12 => &[&TLS13, &TLS12],
            Oldest::Tls13 => &[&TLS13],
        };
        let unable = |error: rustls::Error| format!("cannot speak TLS: {error}");
        let config = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(unable)?;
        let config = match &options.client_ca {
            None => config.with_no_client_auth(),
            Some(file) => {
                let roots = pem::authorities(file)?;
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider)
                    .build()
                    .map_err(|error| format!("cannot use {}: {error}", file.display()))?;
                config.with_client_cert_verifier(verifier)
            }
        };
        let certificates = Arc::new(Certificates::new(options.source.clone())?);
        let mut config = config.with_cert_resolver(certificates.clone());
        // Hardware encrypts AES faster than anything here does the other cipher.
        config.ignore_client_order = true;
        // Tickets, so that nothing is kept here for those who may come again.
        config.ticketer = Ticketer::new().map_err(unable)?;
        Ok(Acceptor { certificates, config })
    }
}

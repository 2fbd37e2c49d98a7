//! The client's side: whom it trusts, and who it says it is.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientSessionStore, Resumption, WebPkiServerVerifier};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, KeyLogFile,
    RootCertStore, SignatureScheme,
};

use super::fingerprint::Fingerprint;
use super::{pem, words};

/// What a client asks of the server's certificate, and what it shows of its own.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Authorities to trust, in PEM, instead of the system's.
    pub ca: Option<PathBuf>,
    /// The certificate that the server must have. Without `ca`, nothing else is asked of it.
    pub pin: Option<Fingerprint>,
    /// Take any certificate.
    pub insecure: bool,
    /// The name that the certificate must be for, and that the server is told (SNI); otherwise the
    /// one that it was called by.
    pub server_name: Option<String>,
    /// A chain and its key in PEM, for servers that want to know who calls.
    pub identity: Option<(PathBuf, PathBuf)>,
    /// Sessions to remember, so that later connections need no full handshake.
    pub sessions: usize,
    /// Whether key material is written to the file that the environment variable `SSLKEYLOGFILE`
    /// names, for Wireshark and the like.
    pub log_keys: bool,
}

/// Makes the client's side of connections. A clone shares trust and sessions.
#[derive(Clone, Debug)]
pub struct Connector {
    config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
    name: Option<ServerName<'static>>,
}

impl Connector {
    /// Reads the files. An error is one line that names the one at fault.
    pub fn new(options: &Options) -> Result<Connector, String> {
        let provider = Arc::new(default_provider());
        let authorities = match (&options.ca, options.pin, options.insecure) {
            (Some(file), _, _) => Some(pem::authorities(file)?),
            (None, None, false) => Some(system()?),
            _ => None,
        };
        let chain = authorities.map(|roots| {
            WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
                .build()
                .map_err(|error| format!("cannot check certificates: {error}"))
        });
        let verifier = Arc::new(Verifier {
            chain: chain.transpose()?,
            pin: options.pin,
            provider: provider.clone(),
            refused: Mutex::default(),
        });
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("cannot speak TLS: {error}"))?
            .dangerous()
            .with_custom_certificate_verifier(verifier.clone());
        let mut config = match &options.identity {
            None => config.with_no_client_auth(),
            Some((certificates, key)) => {
                let identity = Arc::new(pem::identity(certificates, key)?);
                config.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(
                    identity,
                )))
            }
        };
        config.resumption = match options.sessions {
            0 => Resumption::disabled(),
            sessions => Resumption::in_memory_sessions(sessions),
        };
        if options.log_keys {
            config.key_log = Arc::new(KeyLogFile::new());
        }
        let name = options.server_name.as_deref().map(|name| {
            server_name(name).ok_or(format!(
                "{name:?} is not a name; --server-name takes a DNS name or an IP address"
            ))
        });
        let name = name.transpose()?;
        Ok(Connector { config: Arc::new(config), verifier, name })
    }

    /// The client's side of a connection to `host`: a name, or an address with or without brackets.
    pub fn connection(&self, host: &str) -> Result<ClientConnection, String> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => server_name(host).ok_or(format!(
                "{host:?} is not a name that a certificate can be for; give one with --server-name"
            ))?,
        };
        ClientConnection::new(self.config.clone(), name)
            .map_err(|error| format!("cannot speak TLS: {error}"))
    }

    /// The same trust, with what is remembered of sessions in a `store` of its own.
    pub fn remembering(&self, store: Arc<dyn ClientSessionStore>) -> Connector {
        let mut config = ClientConfig::clone(&self.config);
        config.resumption = Resumption::store(store);
        Connector { config: Arc::new(config), ..self.clone() }
    }

    /// The same trust, for connections whose keys can be taken out of them, to say with them what no
    /// client says.
    pub(crate) fn with_keys_to_take(&self) -> Connector {
        let mut config = ClientConfig::clone(&self.config);
        config.enable_secret_extraction = true;
        Connector { config: Arc::new(config), ..self.clone() }
    }

    /// Why a handshake, or what came after it, failed: which check, for which name, what to do.
    pub fn explain(&self, error: &rustls::Error, host: &str) -> String {
        let name = match &self.name {
            Some(name) => name.to_str().into_owned(),
            None => host.into(),
        };
        // One that was pinned, and refused for another reason, need not be pinned.
        let refused = self.verifier.refused().filter(|shown| self.verifier.pin != Some(*shown));
        words::for_client(error, &name, refused)
    }
}

fn server_name(host: &str) -> Option<ServerName<'static>> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    // The zone of an IPv6 address belongs to this machine, and not to the name.
    let bare = bare.split('%').next().unwrap_or(bare);
    ServerName::try_from(bare.to_owned()).ok()
}

fn system() -> Result<Arc<RootCertStore>, String> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    match roots.is_empty() {
        false => Ok(Arc::new(roots)),
        true => Err("this machine trusts no authority (no system certificates were found); trust \
                     the server's with --ca FILE, or its certificate with --pin SHA256"
            .into()),
    }
}

/// Asks of a certificate what was asked for; that the server has its key is asked always.
struct Verifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    pin: Option<Fingerprint>,
    provider: Arc<CryptoProvider>,
    /// The last certificate that was not accepted.
    refused: Mutex<Option<Fingerprint>>,
}

impl Verifier {
    fn refused(&self) -> Option<Fingerprint> {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<(), rustls::Error> {
        if self.pin.is_some_and(|pin| pin != Fingerprint::of(certificate)) {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        if let Some(chain) = &self.chain {
            chain.verify_server_cert(certificate, intermediates, name, ocsp, now)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier").field("pin", &self.pin).finish_non_exhaustive()
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let checked = self.check(certificate, intermediates, name, ocsp, now);
        if checked.is_err() {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            *refused = Some(Fingerprint::of(certificate));
        }
        checked.map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

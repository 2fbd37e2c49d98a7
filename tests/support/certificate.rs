//! Certificates of every kind, and who signs them, for tests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::prelude::{BASE64_STANDARD, Engine};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

/// Who signs certificates.
pub struct Authority {
    name: String,
    params: CertificateParams,
    issuer: CertifiedIssuer<'static, KeyPair>,
    file: Folder,
}

impl Authority {
    pub fn new() -> Authority {
        Authority::called(&format!("an authority for tests, {}", next()))
    }

    pub fn called(name: &str) -> Authority {
        let mut params = CertificateParams::new([]).expect("no name is a wrong one");
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params.clone(), key()).expect("it can be signed");
        let file = Folder::with(&[("ca.pem", &pem("CERTIFICATE", issuer.der()))]);
        Authority { name: name.into(), params, issuer, file }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// For --ca.
    pub fn file(&self) -> String {
        self.file.path("ca.pem")
    }

    /// It and nobody else.
    pub fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.issuer.der().clone()).expect("it is a certificate");
        roots
    }

    /// A certificate for `names`, changed as `change` likes.
    pub fn sign(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let names: Vec<String> = names.iter().map(|name| (*name).into()).collect();
        let mut params = CertificateParams::new(names).expect("the names are right");
        change(&mut params);
        self.sign_for(&params, &key())
    }

    /// One for loopback.
    pub fn identity(&self) -> Identity {
        self.identity_of(&key())
    }

    /// One for loopback and this key.
    pub fn identity_of(&self, key: &KeyPair) -> Identity {
        self.sign_for(&loopback(), key)
    }

    fn sign_for(&self, params: &CertificateParams, key: &KeyPair) -> Identity {
        let certificate = params.signed_by(key, &self.issuer).expect("it can be signed");
        Identity::of(vec![certificate.der().clone()], key)
    }

    /// One that is signed by an authority below an authority below this one, and so on, all of
    /// which have names as if they were below `namesake`.
    pub fn sign_below(&self, depth: usize, namesake: &Authority) -> Identity {
        // The highest of them bears the name of the namesake, whoever has signed it.
        let mut above = Issuer::new(namesake.params.clone(), copy(self.issuer.key()));
        let mut chain = Vec::new();
        for level in 0..depth {
            let mut params = CertificateParams::new([]).expect("no name is a wrong one");
            params.distinguished_name.push(DnType::CommonName, format!("level {level}"));
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let key = key();
            let certificate = params.signed_by(&key, &above).expect("it can be signed");
            chain.insert(0, certificate.der().clone());
            above = Issuer::new(params, key);
        }
        let key = key();
        let own = loopback().signed_by(&key, &above).expect("it can be signed");
        chain.insert(0, own.der().clone());
        Identity::of(chain, &key)
    }

    /// The authority's own certificate, as if it were a server's.
    pub fn itself(&self) -> Identity {
        Identity::of(vec![self.issuer.der().clone()], self.issuer.key())
    }
}

fn key() -> KeyPair {
    KeyPair::generate().expect("there is randomness")
}

fn copy(key: &KeyPair) -> KeyPair {
    KeyPair::try_from(key.serialize_der()).expect("it was one before")
}

/// For a server or a client on this machine.
fn loopback() -> CertificateParams {
    let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
    let mut params = CertificateParams::new(names).expect("the names are right");
    params.extended_key_usages =
        vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
    params
}

/// A certificate with those above it, and its key.
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    files: Folder,
}

impl Identity {
    fn of(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Identity {
        let der = key.serialize_der();
        let all: Vec<String> = chain.iter().map(|one| pem("CERTIFICATE", one)).collect();
        let files =
            Folder::with(&[("cert.pem", &all.concat()), ("key.pem", &pem("PRIVATE KEY", &der))]);
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(der));
        Identity { chain, key, files }
    }

    pub fn certificate_file(&self) -> String {
        self.files.path("cert.pem")
    }

    pub fn key_file(&self) -> String {
        self.files.path("key.pem")
    }

    /// What the server is told of it.
    pub fn arguments(&self) -> [String; 4] {
        ["--cert".into(), self.certificate_file(), "--key".into(), self.key_file()]
    }

    pub fn key(&self) -> PrivateKeyDer<'static> {
        self.key.clone_key()
    }

    pub fn fingerprint(&self) -> String {
        socklab::tls::Fingerprint::of(&self.chain[0]).to_string()
    }

    /// A server that shows this and asks for nothing.
    pub fn config(&self) -> ServerConfig {
        self.config_of(rustls::ALL_VERSIONS)
    }

    pub fn config_of(&self, versions: &[&'static SupportedProtocolVersion]) -> ServerConfig {
        ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .expect("ring has them")
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .expect("the key fits")
    }

    /// A server that demands a certificate of `authority`.
    pub fn config_for_clients_of(
        &self,
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
    ) -> ServerConfig {
        let provider = Arc::new(default_provider());
        let roots = Arc::new(authority.roots());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone());
        ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("ring has them")
            .with_client_cert_verifier(verifier.build().expect("there is an authority"))
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .expect("the key fits")
    }
}

fn pem(what: &str, der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> =
        text.as_bytes().chunks(64).map(|line| str::from_utf8(line).expect("it is ASCII")).collect();
    format!("-----BEGIN {what}-----\n{}\n-----END {what}-----\n", lines.join("\n"))
}

/// A number that nobody else in this process has.
fn next() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Files of a test, gone with it.
struct Folder(PathBuf);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Folder {
        let name = format!("tls-{}-{}", process::id(), next());
        let folder = Folder(Path::new(env!("CARGO_TARGET_TMPDIR")).join(name));
        fs::create_dir_all(&folder.0).expect("the target folder takes folders");
        for (name, text) in files {
            fs::write(folder.0.join(name), text).expect("the target folder takes files");
        }
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("it is UTF-8").into()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

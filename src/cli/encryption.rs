//! TLS of a server on the command line.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use nix::sys::utsname::uname;
use socklab::tls::server::{Oldest, Options};
use socklab::tls::{Acceptor, Source};

use super::units;

/// What a server shows and demands.
#[derive(Args)]
#[command(next_help_heading = "TLS")]
pub struct Encryption {
    /// Serve over TLS
    ///
    /// Without --cert it makes a certificate for --host and the names of this machine, keeps it for
    /// the run, and prints its fingerprint, by which clients can trust it (`socklab client --tls
    /// --pin`). Datagrams are not encrypted, so --udp and --udp-only exclude it.
    #[arg(long, conflicts_with = "datagrams")]
    pub tls: bool,
    /// The server's certificate, and the chain to its authority (PEM)
    ///
    /// SIGHUP has this file and --key read again. Connections stay; new ones get the new
    /// certificate. Where the files cannot be used, the old one stays, and the log says why.
    #[arg(long, value_name = "FILE", requires_all = ["tls", "key"])]
    cert: Option<PathBuf>,
    /// The key of --cert (PEM): RSA, ECDSA or Ed25519
    #[arg(long, value_name = "FILE", requires = "cert")]
    key: Option<PathBuf>,
    /// Serve only clients whose certificate is signed by an authority in FILE (PEM)
    #[arg(long, value_name = "FILE", requires = "tls")]
    tls_client_ca: Option<PathBuf>,
    /// The oldest version of TLS spoken
    #[arg(long, value_enum, value_name = "VERSION", default_value = "1.2", requires = "tls")]
    tls_min: Version,
    /// How long a handshake may take, from the call on, however many bytes come meanwhile
    #[arg(long, value_name = "TIME", value_parser = units::patience, default_value = "10s",
        requires = "tls")]
    pub handshake_timeout: Duration,
}

#[derive(Clone, Copy, ValueEnum)]
enum Version {
    /// TLS 1.2, with forward secrecy and authenticated encryption only
    #[value(name = "1.2")]
    Tls12,
    /// TLS 1.3
    #[value(name = "1.3")]
    Tls13,
}

impl Encryption {
    /// Whether clients show who they are.
    pub fn knows_clients(&self) -> bool {
        self.tls_client_ca.is_some()
    }

    /// The server's side of TLS, for one that listens on `host`; `None` where it has none. An error
    /// is one line that names the file at fault.
    pub fn acceptor(&self, host: &str) -> Result<Option<Acceptor>, String> {
        if !self.tls {
            return Ok(None);
        }
        let source = match (&self.cert, &self.key) {
            (Some(certificates), Some(key)) => {
                Source::Files { certificates: certificates.clone(), key: key.clone() }
            }
            _ => Source::SelfMade(own_names(host)),
        };
        let oldest = match self.tls_min {
            Version::Tls12 => Oldest::Tls12,
            Version::Tls13 => Oldest::Tls13,
        };
        let client_ca = self.tls_client_ca.clone();
        Acceptor::new(&Options { source, client_ca, oldest }).map(Some)
    }

    /// Whether its certificate is in files, which may change.
    pub fn is_reloadable(&self) -> bool {
        self.cert.is_some()
    }
}

/// The names by which a server on `host` is called from this machine and others.
fn own_names(host: &str) -> Vec<String> {
    let node = uname().ok().and_then(|names| names.nodename().to_str().map(str::to_owned));
    let mut names: Vec<String> = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).into();
    let any = host.parse().is_ok_and(|address: IpAddr| address.is_unspecified());
    for name in node.into_iter().chain((!any).then(|| host.to_owned())) {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

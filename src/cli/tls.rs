//! Options of those who call a server over TLS.

use std::path::PathBuf;

use clap::Args;
use log::warn;
use socklab::observe::quoted;
use socklab::tls::{Fingerprint, client};

/// Whom to trust, and who one is.
#[derive(Args, Clone)]
#[command(next_help_heading = "TLS")]
pub struct Trust {
    /// Trust the authorities in FILE (PEM) instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Trust the server's certificate by its SHA-256 fingerprint, as `socklab server --tls` prints
    /// it; without --ca, nothing else is checked
    #[arg(long, value_name = "SHA256")]
    pin: Option<Fingerprint>,
    /// The name that the certificate must be for, and that the server is told [default: its host]
    #[arg(long, value_name = "NAME")]
    server_name: Option<String>,
    /// Take any certificate: whoever is in between can read and change everything
    #[arg(long, conflicts_with_all = ["ca", "pin"])]
    insecure: bool,
    /// Show this certificate (PEM; a chain, its own first) to a server that asks for one
    #[arg(long, value_name = "FILE", requires = "client_key")]
    client_cert: Option<PathBuf>,
    /// The key of --client-cert (PEM)
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    client_key: Option<PathBuf>,
}

impl Trust {
    /// What makes no sense without TLS, if it was given.
    pub fn given(&self) -> Option<&'static str> {
        [
            ("--ca", self.ca.is_some()),
            ("--pin", self.pin.is_some()),
            ("--server-name", self.server_name.is_some()),
            ("--insecure", self.insecure),
            ("--client-cert", self.client_cert.is_some()),
        ]
        .into_iter()
        .find_map(|(option, given)| given.then_some(option))
    }

    /// The same as the options of a command, each behind a space.
    pub fn shown(&self) -> String {
        let file =
            |path: &Option<PathBuf>| path.as_ref().map(|path| quoted(&path.to_string_lossy()));
        let values = [
            ("--ca", file(&self.ca)),
            ("--pin", self.pin.map(|pin| pin.to_string())),
            ("--server-name", self.server_name.as_deref().map(quoted)),
            ("--client-cert", file(&self.client_cert)),
            ("--client-key", file(&self.client_key)),
        ];
        let mut shown = if self.insecure { " --insecure".into() } else { String::new() };
        for (option, value) in values {
            if let Some(value) = value {
                shown += &format!(" {option} {value}");
            }
        }
        shown
    }

    /// The same for the library, with `sessions` remembered. Warns of what is dangerous.
    pub fn options(&self, sessions: usize) -> client::Options {
        if self.insecure {
            warn!("--insecure: nobody checks who the server is; others may read and change all");
        }
        client::Options {
            ca: self.ca.clone(),
            pin: self.pin,
            insecure: self.insecure,
            server_name: self.server_name.clone(),
            identity: self.client_cert.clone().zip(self.client_key.clone()),
            sessions,
            log_keys: false,
        }
    }
}

//! Options of the service files, on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use socklab::failure::cause;
use socklab::service::Files;
use socklab::service::files::Settings;
use socklab::service::http::{Deadlines, Http};

use super::{Failure, misused, units};

/// What is served, and what may be done with it.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Files (socklab server files)")]
pub struct FileServer {
    /// The directory to serve. Nothing outside of it is, whatever links lead there
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Let clients leave files (PUT), replace and remove them (DELETE)
    ///
    /// There are no passwords: whoever reaches the port may. `--tls --tls-client-ca FILE` lets in
    /// only clients with a certificate of yours.
    #[arg(long)]
    writable: bool,
    /// Serve names that begin with a dot, too
    #[arg(long)]
    hidden: bool,
    /// The largest file that may be left [default: as the disk allows]
    #[arg(long, value_name = "SIZE", value_parser = units::size, requires = "writable")]
    max_upload: Option<usize>,
    /// How long a request may take to come, up to its empty line [default: 20s]
    #[arg(long, value_name = "TIME", value_parser = units::patience)]
    head_timeout: Option<Duration>,
    /// How long a file that is being left may take, besides a second for each 500 bytes of it
    /// [default: 20s]
    #[arg(long, value_name = "TIME", value_parser = units::patience)]
    body_timeout: Option<Duration>,
    /// How long a connection may wait for its next request [default: 75s]
    #[arg(long, value_name = "TIME", value_parser = units::patience)]
    keep_alive_timeout: Option<Duration>,
}

impl FileServer {
    /// Whether clients may change what is served.
    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// The service. An error is one line.
    pub fn service(&self) -> Result<Http, Failure> {
        let Some(root) = &self.root else {
            misused("server", "`server files` needs --root DIR; `--root .` is this directory");
        };
        let settings = Settings {
            writable: self.writable,
            hidden: self.hidden,
            max_upload: self.max_upload.map(|bytes| bytes as u64),
        };
        let files = Files::open(root, settings)
            .map_err(|error| format!("cannot serve {}: {}", root.display(), cause(&error)))?;
        let defaults = Deadlines::default();
        Ok(files.http(Deadlines {
            head: self.head_timeout.unwrap_or(defaults.head),
            body: self.body_timeout.unwrap_or(defaults.body),
            keep_alive: self.keep_alive_timeout.unwrap_or(defaults.keep_alive),
        }))
    }
}

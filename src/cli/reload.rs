//! SIGHUP: the certificate is read again.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use log::{error, info};
use signal_hook::consts::SIGHUP;
use signal_hook::low_level;
use socklab::tls::Certificates;

/// From now on SIGHUP has `certificates` read again, by a thread that sleeps until then.
pub fn on_hangup(certificates: Arc<Certificates>) -> io::Result<()> {
    let (writer, mut reader) = UnixStream::pair()?;
    writer.set_nonblocking(true)?;
    low_level::pipe::register(SIGHUP, writer)?;
    thread::Builder::new().name("certificates".into()).spawn(move || {
        while reader.read(&mut [0; 16]).is_ok_and(|n| n > 0) {
            match certificates.reload() {
                Ok(fingerprint) => info!("the certificate was read again: SHA-256 {fingerprint}"),
                Err(why) => error!("{why}; the certificate stays what it was"),
            }
        }
    })?;
    Ok(())
}

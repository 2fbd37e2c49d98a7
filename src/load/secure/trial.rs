//! A handshake before all others, which finds out why they would fail.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustls::ClientConnection;

use super::inner;

/// How often a handshake looks whether it should stop.
const GLANCE: Duration = Duration::from_millis(50);

/// How long the server may take to close after a handshake that nothing follows.
const FAREWELL: Duration = Duration::from_secs(1);

/// Until the handshake is over, or the run was stopped; and then until the server has no complaint.
pub fn shake_hands(
    connection: &mut ClientConnection,
    stream: &mut TcpStream,
    patience: Duration,
    stop: &AtomicBool,
) -> io::Result<()> {
    stream.set_read_timeout(Some(GLANCE))?;
    stream.set_write_timeout(Some(GLANCE))?;
    let since = Instant::now();
    while connection.is_handshaking() {
        if stop.load(Ordering::Relaxed) {
            return Ok(());
        }
        if since.elapsed() > patience {
            return Err(ErrorKind::TimedOut.into());
        }
        patient(connection.complete_io(stream))?;
    }
    // Of TLS 1.3 the server has the last word: what it has against the client's certificate comes
    // when the client has finished.
    connection.send_close_notify();
    let since = Instant::now();
    while since.elapsed() < patience.min(FAREWELL) && !stop.load(Ordering::Relaxed) {
        match patient(farewell(connection, stream)) {
            Ok(Some(0)) => break,
            Ok(_) => {}
            Err(error) if inner(&error).is_some() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(())
}

/// What the server still has to say, of which only a complaint matters.
fn farewell(connection: &mut ClientConnection, stream: &mut TcpStream) -> io::Result<usize> {
    while connection.wants_write() {
        connection.write_tls(stream)?;
    }
    let n = connection.read_tls(stream)?;
    let complaint = connection.process_new_packets();
    complaint.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
    while connection.reader().read(&mut [0; 4096]).is_ok_and(|n| n > 0) {}
    Ok(n)
}

/// Nothing, where it only took longer than a glance.
fn patient<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        outcome => outcome.map(Some),
    }
}

//! One message, one reply.

use std::io::{self, Read, Write};
use std::time::Duration;

use log::debug;

use super::stream::Stream;
use super::{CHUNK, Error, end_line, printed, stdout};

/// Sends `text`, closes the sending half, and prints what comes back until the server closes.
///
/// A server that keeps the connection open is given `patience` after its last byte; that it did not
/// close is no failure once it has answered.
pub fn message(stream: Stream, text: &[u8], patience: Duration) -> Result<(), Error> {
    let (mut receiver, mut sender) = stream.split();
    sender.set_write_timeout(Some(patience)).map_err(Error::Broken)?;
    // Whatever became of it, the server may have answered before: that is printed first.
    let sent = sender.write_all(text).and_then(|()| sender.end());
    let sent = sent.map_err(|error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::NoReply(patience),
        _ => Error::broken(error),
    });
    receiver.set_read_timeout(Some(patience)).map_err(Error::Broken)?;
    let mut out = stdout()?;
    let mut reply = vec![0; CHUNK];
    let mut last = None;
    let end = loop {
        match receiver.read(&mut reply) {
            Ok(0) => break sent,
            Ok(n) => {
                if !printed(out.write_all(&reply[..n]))? {
                    return Ok(());
                }
                last = Some(reply[n - 1]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if last.is_none() {
                    return Err(Error::NoReply(patience));
                }
                if sent.is_err() {
                    break sent;
                }
                debug!("the server keeps the connection open; {patience:?} are enough");
                break Ok(());
            }
            Err(error) => break Err(Error::broken(error)),
        }
    };
    end?;
    end_line(&mut out, last.as_ref())
}

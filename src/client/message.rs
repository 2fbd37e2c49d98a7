//! One message, one reply.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use log::debug;

use super::{CHUNK, Error, end_line, printed, stdout};

/// Sends `text`, closes the sending half, and prints what comes back until the server closes.
///
/// A server that keeps the connection open is given `patience` after its last byte; that it did not
/// close is no failure once it has answered.
pub fn message(mut stream: TcpStream, text: &[u8], patience: Duration) -> Result<(), Error> {
    // Whatever became of it, the server may have answered before: that is printed first.
    let sent = stream.write_all(text).and_then(|()| stream.shutdown(Shutdown::Write));
    stream.set_read_timeout(Some(patience)).map_err(Error::Broken)?;
    let mut out = stdout()?;
    let mut reply = vec![0; CHUNK];
    let mut last = None;
    loop {
        match stream.read(&mut reply) {
            Ok(0) => {
                sent.map_err(Error::Broken)?;
                break;
            }
            Ok(n) => {
                if !printed(out.write_all(&reply[..n]))? {
                    return Ok(());
                }
                last = Some(reply[n - 1]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => match last {
                Some(_) => {
                    debug!("the server keeps the connection open; {patience:?} are enough");
                    break;
                }
                None => return Err(Error::NoReply(patience)),
            },
            Err(error) => return Err(Error::Broken(error)),
        }
    }
    end_line(&mut out, last.as_ref())
}

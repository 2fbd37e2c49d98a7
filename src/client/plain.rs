//! The half that receives without TLS; and how it notices that the server wanted TLS.

use std::io::{self, ErrorKind, Read};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use super::lost;

/// The length of an alert in TLS that is not encrypted, as a whole record (RFC 8446, 5.1 and 6).
const ALERT: usize = 7;

/// What the server says. Its first words are held back while they may be an alert, which is what a
/// server says that was not spoken to in TLS; once that is known, nothing is between TCP and whoever
/// reads.
pub struct Receiver {
    socket: TcpStream,
    /// The first words; `None` once they were something else.
    held: Option<Vec<u8>>,
    /// What came after them instead of more.
    failure: Option<io::Error>,
}

impl Receiver {
    pub fn new(socket: TcpStream) -> Receiver {
        Receiver { socket, held: Some(Vec::new()), failure: None }
    }

    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(timeout)
    }

    pub fn set_lost_after(&self, time: Option<Duration>) -> io::Result<()> {
        lost::limit(&self.socket, time)
    }

    /// Cuts the connection, for the sender, too.
    pub fn abort(&self) {
        // It may be cut already.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Read for Receiver {
    /// `buffer` has room for an alert and more.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let Some(mut held) = self.held.take() else {
            return self.socket.read(buffer);
        };
        loop {
            let start = held.len();
            buffer[..start].copy_from_slice(&held);
            match self.socket.read(&mut buffer[start..]) {
                Ok(n @ 1..) if may_be_alert(&buffer[..start + n]) => {
                    held = buffer[..start + n].to_vec();
                }
                Ok(n @ 1..) => return Ok(start + n),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ if start == ALERT => {
                    let why = "the server speaks TLS on this port; add --tls";
                    return Err(io::Error::new(ErrorKind::InvalidData, why));
                }
                Ok(_) => return Ok(start),
                Err(error) if start == 0 => {
                    self.held = Some(held);
                    return Err(error);
                }
                Err(error) => {
                    self.failure = Some(error);
                    return Ok(start);
                }
            }
        }
    }
}

/// Whether a TLS server may have begun to say with this that it was not spoken to in TLS.
fn may_be_alert(said: &[u8]) -> bool {
    said.len() <= ALERT
        && said.iter().enumerate().all(|(index, byte)| match index {
            0 => *byte == 21,
            1 => *byte == 3,
            2 => *byte <= 4,
            3 => *byte == 0,
            4 => *byte == 2,
            5 => matches!(byte, 1 | 2),
            _ => true,
        })
}

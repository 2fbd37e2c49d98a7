//! How a connection notices that its server has vanished: machine, process or the way there, without
//! an end or a reset.

use std::io;
use std::net::TcpStream;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

/// Probes in the half of the time in which they are sent.
const PROBES: u32 = 5;

/// What one of the kernel's times for probes is at least, and at most (tcp(7)).
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(32_767);

/// Has the kernel give up `socket` once its server has shown no sign of life for `time`: by
/// acknowledging what was sent, or, on a connection where nothing moves, what is sent to find out.
pub fn notice(socket: &TcpStream, time: Duration) -> io::Result<()> {
    let silence = (time / 2).clamp(SHORTEST, LONGEST);
    let interval = (time / 2 / PROBES).clamp(SHORTEST, LONGEST);
    let keepalive =
        TcpKeepalive::new().with_time(silence).with_interval(interval).with_retries(PROBES);
    SockRef::from(socket).set_tcp_keepalive(&keepalive)?;
    limit(socket, Some(time))
}

/// How long the server may take nothing of what was sent: acknowledged or not, for TCP_USER_TIMEOUT
/// counts the time in which it has no room, too (tcp(7)).
pub fn limit(socket: &TcpStream, time: Option<Duration>) -> io::Result<()> {
    SockRef::from(socket).set_tcp_user_timeout(time)
}

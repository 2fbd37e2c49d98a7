//! How long a thread may sleep in `read`: until its connection is idle, or its session wants to be
//! woken, whichever comes first.

use std::io;
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// The socket's timeout is set anew only when it is this part too long (a sixteenth), so that a
/// busy conversation does not pay for it with a system call per message.
const TOO_LONG: u32 = 16;

/// The shortest sleep; none would be for ever.
pub const SHORTEST: Duration = Duration::from_millis(1);

/// Asleep is the only way in which a thread can wait, so the time it has slept in vain is summed up.
pub struct Patience {
    idle: Duration,
    /// Slept since something last moved.
    quiet: Duration,
    /// What the socket's timeout is.
    set: Duration,
}

impl Patience {
    /// For a connection that is idle after this time.
    pub fn new(idle: Duration) -> Patience {
        Patience { idle, quiet: Duration::ZERO, set: Duration::ZERO }
    }

    /// How long the next sleep may be.
    pub fn left(&self, wake: Option<Instant>) -> Duration {
        let idle = self.idle.saturating_sub(self.quiet);
        let wake = wake.map(|at| at.saturating_duration_since(Instant::now()));
        wake.map_or(idle, |wake| wake.min(idle)).max(SHORTEST)
    }

    /// Lets the next `read` of `stream` sleep so long, or a little longer; says how long.
    pub fn set(&mut self, stream: &TcpStream, wake: Option<Instant>) -> io::Result<Duration> {
        let left = self.left(wake);
        if left > self.set || left < self.set - self.set / TOO_LONG {
            stream.set_read_timeout(Some(left))?;
            self.set = left;
        }
        Ok(self.set)
    }

    /// Something has moved.
    pub fn renew(&mut self) {
        self.quiet = Duration::ZERO;
    }

    /// A sleep of this time is over, and nothing has moved. Whether the connection is idle.
    pub fn is_over_after(&mut self, slept: Duration) -> bool {
        self.quiet += slept;
        self.quiet >= self.idle
    }
}

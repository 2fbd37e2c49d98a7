//! What epoll told, in words, for the explain mode.

use std::fmt;

use mio::event::Event;

/// An event that is displayed as what it tells.
pub struct Readiness<'a>(pub &'a Event);

impl fmt::Display for Readiness<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = [
            (self.0.is_readable(), "can be read"),
            (self.0.is_writable(), "can be written"),
            (self.0.is_read_closed(), "has sent its end"),
            (self.0.is_write_closed(), "has hung up"),
            (self.0.is_error(), "is broken"),
            (self.0.is_priority(), "has urgent data"),
        ];
        let told: Vec<&str> = told.iter().filter(|(so, _)| *so).map(|(_, word)| *word).collect();
        f.write_str(&told.join(", "))
    }
}

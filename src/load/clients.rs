//! The clients of one thread, of whatever transport: all take the same orders.

use std::io;
use std::sync::Arc;

use super::callers::{Callers, Until};
use super::crowd::Crowd;
use super::fault::Faults;
use super::pace::Pace;
use super::secure::Agreed;
use super::tally::{Tally, Times};
use super::volley::Volley;
use super::watch::Watch;
use super::work::Work;
use crate::report::document::Handshakes;
use crate::transport::Transport;

/// A crowd with connections, or a volley of datagrams.
pub enum Clients {
    /// TCP.
    Crowd(Box<Crowd>),
    /// UDP.
    Volley(Box<Volley>),
}

impl Clients {
    /// Clients that have not called yet. Fails where epoll or a timer cannot be had.
    pub fn new(
        transport: Transport,
        callers: Callers,
        work: Work,
        watch: Arc<Watch>,
    ) -> io::Result<Clients> {
        Ok(match transport {
            Transport::Tcp => Clients::Crowd(Box::new(Crowd::new(callers, work, watch)?)),
            Transport::Udp => Clients::Volley(Box::new(Volley::new(callers, work, watch)?)),
        })
    }

    /// Lets everybody call, and be answered once. Says what became of datagrams meanwhile.
    pub fn connect(&mut self) -> io::Result<Tally> {
        match self {
            Clients::Crowd(crowd) => crowd.connect().map(|()| Tally::default()),
            Clients::Volley(volley) => volley.connect(),
        }
    }

    /// Loads the server until the end of the slice.
    pub fn slice(&mut self, pace: Pace, until: Until) -> io::Result<Tally> {
        match self {
            Clients::Crowd(crowd) => crowd.slice(pace, until),
            Clients::Volley(volley) => volley.slice(pace, until),
        }
    }

    /// Everybody leaves, and hears what still comes. Says what became of datagrams after all.
    pub fn leave(&mut self) -> io::Result<Tally> {
        match self {
            Clients::Crowd(crowd) => crowd.leave().map(|()| Tally::default()),
            Clients::Volley(volley) => volley.leave(),
        }
    }

    /// Clients that are connected, or were answered once.
    pub fn connected(&self) -> usize {
        match self {
            Clients::Crowd(crowd) => crowd.connected(),
            Clients::Volley(volley) => volley.connected(),
        }
    }

    /// How long things took.
    pub fn times(&mut self) -> &mut Times {
        match self {
            Clients::Crowd(crowd) => &mut crowd.times,
            Clients::Volley(volley) => &mut volley.times,
        }
    }

    /// What went wrong.
    pub fn faults(&self) -> &Faults {
        match self {
            Clients::Crowd(crowd) => &crowd.faults,
            Clients::Volley(volley) => &volley.faults,
        }
    }

    /// Messages answered in all slices, and while connecting.
    pub fn messages_in_all(&self) -> u64 {
        match self {
            Clients::Crowd(crowd) => crowd.messages_in_all,
            Clients::Volley(volley) => volley.messages_in_all,
        }
    }

    /// TLS handshakes in all slices, and while connecting.
    pub fn handshakes_in_all(&self) -> Handshakes {
        match self {
            Clients::Crowd(crowd) => crowd.handshakes_in_all,
            Clients::Volley(_) => Handshakes::default(),
        }
    }

    /// TLS connections that ended as they should but for the server's close_notify.
    pub fn unannounced(&self) -> u64 {
        match self {
            Clients::Crowd(crowd) => crowd.unannounced,
            Clients::Volley(_) => 0,
        }
    }

    /// What was agreed in them.
    pub fn agreed(&self) -> &[Agreed] {
        match self {
            Clients::Crowd(crowd) => &crowd.agreed,
            Clients::Volley(_) => &[],
        }
    }
}

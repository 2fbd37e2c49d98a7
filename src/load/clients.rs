//! The clients of one thread, whatever they speak: all take the same orders.

use std::io;
use std::sync::Arc;

use super::callers::{Callers, Until};
use super::crowd::Crowd;
use super::fault::Faults;
use super::pace::Pace;
use super::rooms::Rooms;
use super::secure::Agreed;
use super::tally::{Tally, Times};
use super::volley::Volley;
use super::watch::Watch;
use super::work::Work;
use crate::report::document::Handshakes;
use crate::transport::Transport;

/// A crowd with connections, a volley of datagrams, or rooms.
pub enum Clients {
    /// TCP.
    Crowd(Box<Crowd>),
    /// UDP.
    Volley(Box<Volley>),
    /// IRC.
    Rooms(Box<Rooms>),
}

impl Clients {
    /// Clients that have not called yet. Fails where epoll or a timer cannot be had.
    pub fn new(
        transport: Transport,
        callers: Callers,
        work: Work,
        watch: Arc<Watch>,
    ) -> io::Result<Clients> {
        if let Some(chat) = work.rooms() {
            let rooms = Rooms::new(callers, &work, chat, watch)?;
            return Ok(Clients::Rooms(Box::new(rooms)));
        }
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
            Clients::Rooms(rooms) => rooms.connect().map(|()| Tally::default()),
        }
    }

    /// Loads the server until the end of the slice.
    pub fn slice(&mut self, pace: Pace, until: Until) -> io::Result<Tally> {
        match self {
            Clients::Crowd(crowd) => crowd.slice(pace, until),
            Clients::Volley(volley) => volley.slice(pace, until),
            Clients::Rooms(rooms) => rooms.slice(pace, until),
        }
    }

    /// Everybody leaves, and hears what still comes. Says what became of datagrams after all.
    pub fn leave(&mut self) -> io::Result<Tally> {
        match self {
            Clients::Crowd(crowd) => crowd.leave().map(|()| Tally::default()),
            Clients::Volley(volley) => volley.leave(),
            Clients::Rooms(rooms) => rooms.leave().map(|()| Tally::default()),
        }
    }

    /// Clients that are connected, or were answered once.
    pub fn connected(&self) -> usize {
        match self {
            Clients::Crowd(crowd) => crowd.connected(),
            Clients::Volley(volley) => volley.connected(),
            Clients::Rooms(rooms) => rooms.connected(),
        }
    }

    /// What a server does that serves them well, as in "it does not echo".
    pub fn promise(&self) -> &'static str {
        match self {
            Clients::Crowd(crowd) => crowd.promise(),
            Clients::Volley(_) => "echo",
            Clients::Rooms(_) => "deliver what was said",
        }
    }

    /// How long things took.
    pub fn times(&mut self) -> &mut Times {
        match self {
            Clients::Crowd(crowd) => &mut crowd.times,
            Clients::Volley(volley) => &mut volley.times,
            Clients::Rooms(rooms) => &mut rooms.times,
        }
    }

    /// What went wrong.
    pub fn faults(&self) -> &Faults {
        match self {
            Clients::Crowd(crowd) => &crowd.faults,
            Clients::Volley(volley) => &volley.faults,
            Clients::Rooms(rooms) => &rooms.faults,
        }
    }

    /// Messages answered in all slices, and while connecting.
    pub fn messages_in_all(&self) -> u64 {
        match self {
            Clients::Crowd(crowd) => crowd.messages_in_all,
            Clients::Volley(volley) => volley.messages_in_all,
            Clients::Rooms(rooms) => rooms.messages_in_all,
        }
    }

    /// TLS handshakes in all slices, and while connecting.
    pub fn handshakes_in_all(&self) -> Handshakes {
        match self {
            Clients::Crowd(crowd) => crowd.handshakes_in_all,
            Clients::Volley(_) => Handshakes::default(),
            Clients::Rooms(rooms) => rooms.handshakes_in_all,
        }
    }

    /// TLS connections that ended as they should but for the server's close_notify.
    pub fn unannounced(&self) -> u64 {
        match self {
            Clients::Crowd(crowd) => crowd.unannounced,
            Clients::Volley(_) | Clients::Rooms(_) => 0,
        }
    }

    /// What was agreed in them.
    pub fn agreed(&self) -> &[Agreed] {
        match self {
            Clients::Crowd(crowd) => &crowd.agreed,
            Clients::Volley(_) => &[],
            Clients::Rooms(rooms) => &rooms.agreed,
        }
    }
}

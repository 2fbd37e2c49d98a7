//! Sessions that one client may resume.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::NamedGroup;
use rustls::client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue};
use rustls::pki_types::ServerName;

/// Tickets that a client keeps, the newest. Servers give one or two for each connection, and a client
/// has one connection at a time.
const TICKETS: usize = 2;

/// What one client remembers of its connections to one server.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    group: Option<NamedGroup>,
    tls12: Option<Tls12ClientSessionValue>,
    /// The oldest first.
    tls13: Vec<Tls13ClientSessionValue>,
}

impl Sessions {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Sessions {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.memory().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.memory().group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.memory().tls12 = Some(session);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.memory().tls12.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.memory().tls12 = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let tickets = &mut self.memory().tls13;
        if tickets.len() == TICKETS {
            tickets.remove(0);
        }
        tickets.push(ticket);
    }

    /// Each ticket is used once, or those who listen could tell who it is (RFC 8446, C.4).
    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.memory().tls13.pop()
    }
}

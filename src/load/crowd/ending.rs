//! How a client is lost, and what its fault is called.

use std::io;

use super::Crowd;
use super::client::State;
use crate::failure::cause;
use crate::load::fault::{self, Fault, Kind};
use crate::load::secure;

impl Crowd {
    /// The server has closed its side.
    pub(super) fn hung_up(&mut self, index: usize) {
        self.count_what_the_end_completes(index);
        let client = &mut self.clients[index];
        match client.state {
            State::Suspecting => self.conclude(index),
            State::Leaving if client.answered >= client.begun => {
                client.hang_up();
                client.state = State::Away;
                self.progress = self.now;
                if self.may_call(index) {
                    self.call(index);
                }
            }
            _ => {
                let missing = client.begun - client.answered.min(client.begun);
                let detail = match missing {
                    0 => "the server closed between two messages".into(),
                    n => format!("the server closed with {n} {} unanswered", messages(n)),
                };
                self.lose(index, Kind::Short, detail);
            }
        }
    }

    pub(super) fn broken(&mut self, index: usize, error: &io::Error) {
        let client = &self.clients[index];
        if client.state == State::Suspecting {
            return self.conclude(index);
        }
        let is_done = client.state == State::Leaving && client.answered >= client.begun;
        if is_done && self.callers.secure.is_some() && error.kind() == io::ErrorKind::UnexpectedEof
        {
            // Many servers do not say that they close. Here nothing can have been cut off.
            self.unannounced += 1;
            return self.hung_up(index);
        }
        if is_done && self.has_said_that_it_closes(index) {
            // With requests unread that it will not answer, its close is a reset.
            return self.hung_up(index);
        }
        let tls = secure::inner(error);
        let detail = match (tls, &self.callers.secure) {
            (Some(error), Some(secure)) => secure.explain(error),
            _ => cause(error),
        };
        let is_alert = matches!(tls, Some(rustls::Error::AlertReceived(_)));
        let (kind, detail) = match error.kind() {
            _ if client.state == State::Greeting && tls.is_some() => (Kind::Refused, detail),
            io::ErrorKind::UnexpectedEof if client.state == State::Greeting => {
                (Kind::Refused, "the server closed during the TLS handshake".into())
            }
            _ if client.state == State::Greeting => {
                (Kind::Refused, format!("the TLS handshake failed: {detail}"))
            }
            // Of TLS 1.3 the server says last what it has against a client.
            _ if is_alert && client.heard == 0 => (Kind::Refused, detail),
            io::ErrorKind::UnexpectedEof => (Kind::Short, self.cut_off(index)),
            _ if tls.is_some() && !is_alert => (Kind::Wrong, detail),
            _ => (Kind::Reset, detail),
        };
        self.lose(index, kind, detail);
    }

    /// Somebody in between could have done it, to hide what the server said last.
    fn cut_off(&self, index: usize) -> String {
        let client = &self.clients[index];
        match client.begun - client.answered.min(client.begun) {
            0 => "the server closed without close_notify".into(),
            n => format!("the server closed without close_notify, {n} {} unanswered", messages(n)),
        }
    }

    pub(super) fn refused(&mut self, index: usize, error: &io::Error) {
        let detail = match error.kind() {
            io::ErrorKind::AddrNotAvailable => {
                format!("{}: no local port is free; `--source` gives more of them", cause(error))
            }
            _ => cause(error),
        };
        self.lose(index, Kind::Refused, detail);
    }

    /// Whoever still waits has waited too long.
    pub(super) fn give_up(&mut self) {
        for index in 0..self.clients.len() {
            if !self.clients[index].busy {
                continue;
            }
            let patience = self.callers.patience;
            let client = &self.clients[index];
            match client.state {
                State::Calling => {
                    self.lose(index, Kind::Refused, format!("no answer within {patience:?}"));
                }
                State::Greeting => {
                    let detail = format!("the TLS handshake was not finished within {patience:?}");
                    self.lose(index, Kind::Refused, detail);
                }
                _ => {
                    let detail = match client.begun - client.answered.min(client.begun) {
                        0 if client.state == State::Leaving => {
                            format!("the server did not close within {patience:?}")
                        }
                        0 => format!("nothing moved for {patience:?}"),
                        n => format!("{n} {} unanswered for {patience:?}", messages(n)),
                    };
                    self.lose(index, Kind::Lost, detail);
                }
            }
        }
    }

    pub(super) fn conclude_suspicions(&mut self) {
        while let Some((&index, _)) = self.suspects.first_key_value() {
            self.conclude(index);
        }
    }

    /// Says what the evidence shows.
    pub(super) fn conclude(&mut self, index: usize) {
        let number = self.number(index);
        let client = &self.clients[index];
        let Some(evidence) = self.suspects.remove(&index) else {
            return;
        };
        let allowed = self.work.allowed(client.sent);
        let who = (number, self.callers.of);
        let (kind, detail) = fault::diagnose(&self.work, who, client.heard, allowed, &evidence);
        self.lose(index, kind, detail);
    }

    /// The client is out.
    pub(super) fn lose(&mut self, index: usize, kind: Kind, detail: String) {
        let number = self.number(index);
        let client = &mut self.clients[index];
        self.faults.unanswered += client.begun - client.answered.min(client.begun);
        let fault = Fault { kind, client: number, offset: client.heard, detail };
        client.hang_up();
        client.state = State::Out;
        self.faults.add(fault);
        self.settle(index);
    }
}

fn messages(n: u64) -> &'static str {
    if n == 1 { "message" } else { "messages" }
}

//! How a client is lost, and what its fault is called.

use std::io;

use super::Crowd;
use super::client::State;
use crate::failure::cause;
use crate::load::fault::{self, Fault, Kind};

impl Crowd {
    /// The server has closed its side.
    pub(super) fn hung_up(&mut self, index: usize) {
        let client = &mut self.clients[index];
        match client.state {
            State::Suspecting => self.conclude(index),
            State::Leaving if client.answered >= client.begun => {
                client.stream = None;
                client.state = State::Away;
                self.progress = self.now;
                if self.may_call() {
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
        if self.clients[index].state == State::Suspecting {
            return self.conclude(index);
        }
        self.lose(index, Kind::Reset, cause(error));
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
    fn lose(&mut self, index: usize, kind: Kind, detail: String) {
        let number = self.number(index);
        let client = &mut self.clients[index];
        self.faults.unanswered += client.begun - client.answered.min(client.begun);
        let fault = Fault { kind, client: number, offset: client.heard, detail };
        client.stream = None;
        client.state = State::Out;
        self.faults.add(fault);
        self.settle(index);
    }
}

fn messages(n: u64) -> &'static str {
    if n == 1 { "message" } else { "messages" }
}

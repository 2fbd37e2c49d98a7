//! A place for hostile clients to visit: a server's process, as `socklab stress` sees it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use nix::unistd::Pid;
use socklab::load::secure::Secure;
use socklab::load::watch::Watch;
use socklab::observe::ProcessTree;
use socklab::stress::Hostile;
use socklab::stress::arena::{Arena, Protocol};
use socklab::stress::hostile::ALL;
use socklab::stress::verdict::{Breach, Outcome};
use socklab::tls::Connector;

use super::way::Reached;
use super::{PATIENCE, Process};

/// A server at `address` that echoes, with its process.
pub fn of_echo(address: SocketAddr, connector: Option<&Connector>, pid: Pid) -> Arena {
    let secure = connector.map(|connector| Secure {
        connector: connector.clone(),
        host: "localhost".into(),
        resumes: false,
    });
    Arena {
        server: address,
        secure,
        protocol: Protocol::Echo,
        page: None,
        clients: 100,
        patience: PATIENCE,
        seed: 1,
        duration: Duration::from_millis(500),
        watch: Arc::new(Watch::new()),
        process: Some(Mutex::new(ProcessTree::of(pid).expect("it was started here"))),
        starter: None,
        is_crowded: false,
    }
}

impl Reached<Process> {
    /// The same for one that was started here.
    pub fn arena(&self) -> Arena {
        of_echo(self.address, self.connector.as_ref(), self.server.pid())
    }
}

/// What comes of the visit of the client that is called so.
pub fn visited(arena: &Arena, name: &str) -> Outcome {
    let found: Option<&Hostile> = ALL.iter().find(|hostile| hostile.name == name);
    (found.unwrap_or_else(|| panic!("there is no {name}")).visit)(arena)
}

/// The promise was kept, and this figure shows it.
#[track_caller]
pub fn keeps(arena: &Arena, name: &str) -> String {
    visited(arena, name).unwrap_or_else(|breach| panic!("{name}: {breach:?}"))
}

/// The promise was broken, and this figure shows it.
#[track_caller]
pub fn breaks(arena: &Arena, name: &str) -> String {
    match visited(arena, name) {
        Err(Breach::Broken(figure)) => figure,
        other => panic!("{name}: {other:?}"),
    }
}

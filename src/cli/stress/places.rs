//! Who is visited: somebody's server, one that is started, or ours in turn; and how it is met.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use clap::ValueEnum;
use nix::unistd::Pid;
use socklab::load::secure::Secure;
use socklab::load::target::Target;
use socklab::load::watch::Watch;
use socklab::observe::{Launcher, ProcessTree, Started, quoted};
use socklab::stress::Starter;
use socklab::stress::arena::{Arena, Protocol};
use socklab::tls::{Connector, client};

use super::super::{Failure, misused};
use super::{EngineName, Expect, ServiceName, Stress};

/// Files that our servers of files have: what fits into an answer at once, and what does not.
pub const SIZES: [u64; 2] = [1 << 10, 16 << 20];

/// Our services, one of them over TLS, too: what TLS changes is the same for all.
const OURS: [(ServiceName, bool); 4] = [
    (ServiceName::Echo, false),
    (ServiceName::Echo, true),
    (ServiceName::Chat, false),
    (ServiceName::Files, false),
];

/// Who is visited.
pub struct Place {
    pub name: String,
    /// How to come back to it: the arguments of `socklab stress`.
    pub arguments: String,
    pub protocol: Protocol,
    host: Host,
}

enum Host {
    /// Somebody's.
    Given(Target),
    /// One that is started.
    Started { command: String, tls: bool, path: Option<String>, is_ours: bool },
}

impl Stress {
    pub fn places(&self, root: &Path) -> Vec<Place> {
        if let Some(target) = &self.target {
            let mut target = target.clone();
            target.tls |= self.tls;
            let protocol = match (target.irc, &target.path, self.expect) {
                (true, _, _) => Protocol::Chat,
                (_, Some(_), _) => Protocol::Files,
                (_, _, Expect::Echo) => Protocol::Echo,
                (_, _, Expect::None) => Protocol::Other,
            };
            let expect = if protocol == Protocol::Other { " --expect none" } else { "" };
            return vec![Place {
                name: target.to_string(),
                arguments: format!("{target}{expect}"),
                protocol,
                host: Host::Given(target),
            }];
        }
        if let Some(command) = &self.server {
            return vec![self.foreign(command)];
        }
        let mut places = Vec::new();
        for engine in [EngineName::Poll, EngineName::Threads] {
            if self.engine.is_some_and(|one| one != engine) {
                continue;
            }
            let services: Vec<(ServiceName, bool)> = match (self.service, self.tls) {
                (Some(service), tls) => vec![(service, tls)],
                (None, true) => {
                    ServiceName::value_variants().iter().map(|one| (*one, true)).collect()
                }
                (None, false) => OURS.into(),
            };
            for (service, tls) in services {
                places.push(Place::ours(engine, service, tls, root));
            }
        }
        places
    }

    /// A server that somebody says how to start.
    fn foreign(&self, command: &str) -> Place {
        let (speaks, protocol) = match (self.irc, &self.http, self.expect) {
            (true, _, _) => (" --irc".into(), Protocol::Chat),
            (_, Some(path), _) => (format!(" --http {}", quoted(path)), Protocol::Files),
            (_, _, Expect::Echo) => (String::new(), Protocol::Echo),
            (_, _, Expect::None) => (" --expect none".into(), Protocol::Other),
        };
        let over = if self.tls { " --tls" } else { "" };
        Place {
            name: command.into(),
            arguments: format!("--server {}{over}{speaks}", quoted(command)),
            protocol,
            host: Host::Started {
                command: command.into(),
                tls: self.tls,
                path: self.http.clone(),
                is_ours: false,
            },
        }
    }

    pub fn arena(
        &self,
        place: &Place,
        watch: &Arc<Watch>,
    ) -> Result<(Arc<Arena>, Option<Started>), Failure> {
        let (server, host, page, tls) = match &place.host {
            Host::Given(target) => (
                target.address(self.timeout)?,
                target.host.clone(),
                target.path.clone().map(|path| (target.authority(), path)),
                target.tls,
            ),
            Host::Started { command, tls, path, is_ours } => {
                let launcher = Launcher::new(std::env::current_exe()?);
                let started = launcher.start(&place.name, command, None)?;
                let mut options = self.trust.options(0);
                options.insecure |= options.ca.is_none() && options.pin.is_none();
                let secure = tls.then(|| secure(&options, "127.0.0.1")).transpose()?;
                let page = path.clone().map(|path| (started.address().to_string(), path));
                let process = ProcessTree::of(started.pid())?;
                let arena = Arena {
                    process: Some(Mutex::new(process)),
                    starter: Some(Starter {
                        launcher,
                        command: command.clone(),
                        is_ours: *is_ours,
                    }),
                    ..self.bare_arena(started.address(), secure, place.protocol, page, watch)
                };
                return Ok((Arc::new(arena), Some(started)));
            }
        };
        let secure = tls.then(|| secure(&self.trust.options(0), &host)).transpose()?;
        if let Some(secure) = &secure {
            secure.check(server, self.timeout, &watch.stop)?;
        }
        let process = match self.pid {
            Some(pid) => {
                let tree = ProcessTree::of(Pid::from_raw(pid))
                    .map_err(|error| format!("cannot observe the server: {error}; check --pid"))?;
                if tree.listens_on(server.port()) == Some(false) {
                    let port = server.port();
                    let why = format!("process {pid} does not listen on port {port}; check --pid");
                    misused("stress", why);
                }
                Some(Mutex::new(tree))
            }
            None => None,
        };
        let arena = self.bare_arena(server, secure, place.protocol, page, watch);
        Ok((Arc::new(Arena { process, ..arena }), None))
    }

    fn bare_arena(
        &self,
        server: SocketAddr,
        secure: Option<Secure>,
        protocol: Protocol,
        page: Option<(String, String)>,
        watch: &Arc<Watch>,
    ) -> Arena {
        Arena {
            server,
            secure,
            protocol,
            page,
            clients: self.clients,
            patience: self.timeout,
            seed: self.seed,
            duration: self.duration,
            watch: watch.clone(),
            process: None,
            starter: None,
            is_crowded: false,
        }
    }
}

impl Place {
    fn ours(engine: EngineName, service: ServiceName, tls: bool, root: &Path) -> Place {
        let value = |value: clap::builder::PossibleValue| value.get_name().to_owned();
        let engine = value(engine.to_possible_value().expect("none is hidden"));
        let (name, protocol) = match service {
            ServiceName::Echo => ("echo", Protocol::Echo),
            ServiceName::Chat => ("chat", Protocol::Chat),
            ServiceName::Files => ("files", Protocol::Files),
        };
        let has_files = protocol == Protocol::Files;
        let options = match has_files {
            true => format!(" --root {} --writable", quoted(&root.to_string_lossy())),
            false => String::new(),
        };
        let over = if tls { " --tls" } else { "" };
        Place {
            name: format!("{engine}, {name}{}", if tls { " over TLS" } else { "" }),
            arguments: format!("--engine {engine} --service {name}{over}"),
            protocol,
            host: Host::Started {
                command: format!(
                    "exec socklab server {name} --engine {engine} --host 127.0.0.1 \
                     --port {{port}} -q{over}{options}"
                ),
                tls,
                path: has_files.then(|| format!("/{}.bin", SIZES[0])),
                is_ours: true,
            },
        }
    }
}

fn secure(options: &client::Options, host: &str) -> Result<Secure, Failure> {
    Ok(Secure { connector: Connector::new(options)?, host: host.into(), resumes: false })
}

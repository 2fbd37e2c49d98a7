//! Whom to load: `tcp://HOST:PORT`, `tls://HOST:PORT`, `udp://HOST:PORT`, `irc://HOST:PORT`,
//! `ircs://HOST:PORT`, `http://HOST/PATH` or `https://HOST/PATH`.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::str::FromStr;
use std::time::Duration;

use crate::engine::resolve;
use crate::failure::cause;
use crate::transport::{Transport, answers};

/// A server by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// How messages travel there.
    pub transport: Transport,
    /// Whether it speaks TLS, over TCP.
    pub tls: bool,
    /// Whether it speaks IRC, over TCP or TLS.
    pub irc: bool,
    /// What is asked for, over HTTP; nothing in other protocols.
    pub path: Option<String>,
    /// Its name or address.
    pub host: String,
    port: u16,
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Target, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("tcp", text));
        let (transport, tls, irc) = match scheme.to_ascii_lowercase().as_str() {
            "tcp" => (Transport::Tcp, false, false),
            "tls" => (Transport::Tcp, true, false),
            "udp" => (Transport::Udp, false, false),
            "irc" => (Transport::Tcp, false, true),
            "ircs" => (Transport::Tcp, true, true),
            "http" => return of_http(rest, false),
            "https" => return of_http(rest, true),
            _ => {
                return Err(format!(
                    "{scheme}:// is not served; use tcp://HOST:PORT, tls://HOST:PORT, \
                     udp://HOST:PORT, irc://HOST:PORT, ircs://HOST:PORT, http://HOST/PATH or \
                     https://HOST/PATH"
                ));
            }
        };
        let (host, port) = rest
            .trim_end_matches('/')
            .rsplit_once(':')
            .filter(|(host, _)| !host.is_empty() && (!host.contains(':') || host.starts_with('[')))
            .ok_or(
                "a target is tcp://HOST:PORT, tls://HOST:PORT, udp://HOST:PORT, irc://HOST:PORT or \
                 ircs://HOST:PORT, as in tcp://127.0.0.1:8000",
            )?;
        Ok(Target { transport, tls, irc, path: None, host: host.into(), port: number(port)? })
    }
}

/// What stands after `http://`, or after `https://`.
fn of_http(rest: &str, tls: bool) -> Result<Target, String> {
    // What follows a # is for the reader of the page, and never sent.
    let rest = rest.split('#').next().unwrap_or_default();
    let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let path = if path.starts_with('/') { path.into() } else { format!("/{path}") };
    if !path.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a path has no spaces and nothing beyond ASCII; write %20 for a space".into());
    }
    let has_port = !authority.ends_with(']') && authority.contains(':');
    let (host, port) = match authority.rsplit_once(':').filter(|_| has_port) {
        Some((host, port)) => (host, number(port)?),
        None => (authority, known_port(tls)),
    };
    let is_host = !host.is_empty() && (!host.contains(':') || host.starts_with('['));
    if !is_host || host.contains('@') || !host.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("a target is http://HOST:PORT/PATH, as in http://127.0.0.1:8000/file".into());
    }
    let (path, host) = (Some(path), host.into());
    Ok(Target { transport: Transport::Tcp, tls, irc: false, path, host, port })
}

/// The port that need not be named (RFC 9110, 4.2).
fn known_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

fn number(port: &str) -> Result<u16, String> {
    match port.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(format!("{port:?} is not a port; ports are 1 to 65535")),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.path {
            let scheme = if self.tls { "https" } else { "http" };
            return write!(f, "{scheme}://{}{path}", self.authority());
        }
        let scheme = match (self.irc, self.tls) {
            (true, true) => "ircs".into(),
            (true, false) => "irc".into(),
            (false, true) => "tls".into(),
            (false, false) => self.transport.to_string(),
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl Target {
    /// Its name and port, as HTTP has them: without the port that everybody knows.
    pub fn authority(&self) -> String {
        match self.port == known_port(self.tls) {
            true => self.host.clone(),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// The first address of the name that takes a connection, or a datagram, within `patience` each.
    /// Where there is one address only, it is not tried.
    pub fn address(&self, patience: Duration) -> Result<SocketAddr, String> {
        let addresses = resolve(&self.host, self.port).map_err(|error| {
            format!("cannot find the address of {:?}: {}", self.host, cause(&error))
        })?;
        let mut failure = io::Error::from(io::ErrorKind::AddrNotAvailable);
        let mut silent = None;
        if let [address] = addresses[..] {
            return Ok(address);
        }
        for address in addresses {
            let takes = match self.transport {
                Transport::Tcp => TcpStream::connect_timeout(&address, patience).map(|_| true),
                Transport::Udp => answers(address, patience),
            };
            match takes {
                Ok(true) => return Ok(address),
                // Nobody answers there, and nobody says that nobody is there.
                Ok(false) => silent = silent.or(Some(address)),
                Err(error) => failure = error,
            }
        }
        if let Some(address) = silent {
            return Ok(address);
        }
        Err(format!("cannot connect to {self}: {}; start the server first", cause(&failure)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_people_write_them() {
        for (text, shown) in [
            ("tcp://127.0.0.1:8000", "tcp://127.0.0.1:8000"),
            ("localhost:7", "tcp://localhost:7"),
            ("tcp://[::1]:8000/", "tcp://[::1]:8000"),
            ("udp://[::1]:7", "udp://[::1]:7"),
            ("TLS://localhost:443", "tls://localhost:443"),
            ("irc://localhost:6667", "irc://localhost:6667"),
            ("ircs://[::1]:6697/", "ircs://[::1]:6697"),
            ("http://localhost:8000", "http://localhost:8000/"),
            ("http://localhost/a/b%20c?d=e#f", "http://localhost/a/b%20c?d=e"),
            ("https://localhost?x", "https://localhost/?x"),
            ("https://[::1]:443/x", "https://[::1]/x"),
            ("http://[::1]/x", "http://[::1]/x"),
            ("HTTP://a:443/x:y@z", "http://a:443/x:y@z"),
        ] {
            assert_eq!(text.parse::<Target>().map(|target| target.to_string()), Ok(shown.into()));
        }
        for wrong in [
            "",
            "8000",
            "tcp://:80",
            "tcp://host",
            "tcp://host:0",
            "::1:8000",
            "udp://a:0",
            "sctp://a:1",
            "http://",
            "http:///x",
            "http://a:0/",
            "http://::1/",
            "http://me@a/",
            "http://a/b c",
            "http://a/\u{e9}",
            "http://a/\r\nX: y",
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong:?}");
        }
    }
}

//! Whom to load: `tcp://HOST:PORT`, `tls://HOST:PORT`, `udp://HOST:PORT`, `irc://HOST:PORT` or
//! `ircs://HOST:PORT`.

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
            _ => {
                return Err(format!(
                    "{scheme}:// is not served; use tcp://HOST:PORT, tls://HOST:PORT, \
                     udp://HOST:PORT, irc://HOST:PORT or ircs://HOST:PORT"
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
        match port.parse() {
            Ok(port) if port != 0 => Ok(Target { transport, tls, irc, host: host.into(), port }),
            _ => Err(format!("{port:?} is not a port; ports are 1 to 65535")),
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
        ] {
            assert!(wrong.parse::<Target>().is_err(), "{wrong:?}");
        }
    }
}

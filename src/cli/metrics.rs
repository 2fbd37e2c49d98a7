//! How a server can be watched, on the command line.

use std::net::TcpListener;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use log::warn;
use socklab::engine::{self, Endpoint, ListenError, Stop};
use socklab::failure::cause;
use socklab::service::Metrics;
use socklab::tls::Plain;

use super::{Failure, units};

/// What tells others how a server fares.
#[derive(Args)]
#[command(next_help_heading = "Watching it")]
pub struct Watching {
    /// Show what is counted at http://ADDRESS/metrics, as Prometheus reads it
    ///
    /// ADDRESS is a host and a port (127.0.0.1:9100, [::1]:9100), or a port alone, which is on
    /// localhost; port 0 picks a free one, and a line `metrics at http://…` on standard output tells
    /// it. There is no password and no TLS: anybody who reaches ADDRESS can read it, whatever --allow
    /// and --deny say. Those who watch are no clients: they have eight seats of their own, so that a
    /// full server still shows its figures.
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<Place>,
    /// Log when a pass of the loop takes longer, with what it did; 0 for never (poll engine)
    ///
    /// Everybody waits for it meanwhile. Threads have no such loop: a session that takes long holds up
    /// nobody but its own client. The default is what Python's asyncio calls slow.
    #[arg(long, value_name = "TIME", value_parser = units::duration, default_value = "100ms")]
    slow_pass: Duration,
}

/// Where metrics are.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    host: String,
    port: u16,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        let (host, port) = text.rsplit_once(':').unwrap_or(("localhost", text));
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_address = bare.is_some() || !host.contains(':');
        match port.parse() {
            Ok(port) if is_address && !host.is_empty() => {
                Ok(Place { host: bare.unwrap_or(host).into(), port })
            }
            _ => Err("not a host and a port; examples: 9100, 127.0.0.1:9100, [::]:9100".into()),
        }
    }
}

impl Watching {
    /// How long a pass may take, if there is a limit.
    pub fn slow_pass(&self) -> Option<Duration> {
        Some(self.slow_pass).filter(|time| !time.is_zero())
    }

    /// Where metrics are served, and what a server says of that.
    pub fn endpoints(&self, stop: &Arc<Stop>) -> Result<(Vec<Endpoint>, String), Failure> {
        let Some(place) = &self.metrics else {
            return Ok(Default::default());
        };
        let listeners = engine::listen(&place.host, place.port).map_err(|error| match error {
            ListenError::Bind(_, address, error) => {
                let why = cause(&error);
                format!("cannot show metrics on {address}: {why}; choose another --metrics ADDRESS")
            }
            unresolved => format!("--metrics: {unresolved}"),
        })?;
        let mut announcement = String::new();
        for listener in &listeners {
            announcement += &format!("metrics at http://{}/metrics\n", listener.local_addr()?);
        }
        warn_of_strangers(&listeners);
        let service = Arc::new(Plain(Arc::new(Metrics::http(stop.clone()))));
        let endpoints = listeners
            .into_iter()
            .map(|listener| Endpoint::Stream { listener, service: service.clone() });
        Ok((endpoints.collect(), announcement))
    }
}

fn warn_of_strangers(listeners: &[TcpListener]) {
    for address in listeners.iter().filter_map(|listener| listener.local_addr().ok()) {
        if !address.ip().is_loopback() {
            warn!("whoever reaches {address} can read the metrics");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_port_with_or_without_its_host() {
        for (text, host, port) in [
            ("9100", "localhost", 9100),
            ("127.0.0.1:9100", "127.0.0.1", 9100),
            ("[::1]:0", "::1", 0),
            ("monitor.example:80", "monitor.example", 80),
        ] {
            assert_eq!(text.parse(), Ok(Place { host: host.into(), port }), "{text}");
        }
        for text in ["", ":9100", "::1", "::1:9100", "localhost", "localhost:", "127.0.0.1:65536"] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}

//! What a measurement ran on. Nothing here fails: what cannot be found out is empty or 0.

use std::fs;
use std::str::FromStr;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::utsname::uname;

use super::cpus;
use crate::report::document::Environment;

/// This machine, as this process sees it.
pub fn environment() -> Environment {
    let (host, kernel) = match uname() {
        Ok(name) => {
            let [system, release, machine, host] =
                [name.sysname(), name.release(), name.machine(), name.nodename()]
                    .map(|part| part.to_string_lossy());
            (host.into_owned(), format!("{system} {release} {machine}"))
        }
        Err(_) => Default::default(),
    };
    let kibibytes: u64 = first(&named("/proc/meminfo", "MemTotal"));
    Environment {
        socklab: env!("CARGO_PKG_VERSION").into(),
        host,
        kernel,
        cpu: named("/proc/cpuinfo", "model name"),
        cpus: cpus::allowed().map_or(0, |cpus| cpus.len()),
        memory_bytes: kibibytes * 1024,
        clocksource: read("/sys/devices/system/clocksource/clocksource0/current_clocksource"),
        // The hard limit: the soft one is raised to it before anything is measured.
        open_files: getrlimit(Resource::RLIMIT_NOFILE).map_or(0, |(_, hard)| hard),
        ports: local_ports().unwrap_or_default(),
        somaxconn: first(&read("/proc/sys/net/core/somaxconn")),
    }
}

/// First and last port that the kernel gives to callers, and to whoever binds port 0 (ip(7)).
pub fn local_ports() -> Option<(u16, u16)> {
    let range = read("/proc/sys/net/ipv4/ip_local_port_range");
    let mut ports = range.split_whitespace().map_while(|port| port.parse().ok());
    Some((ports.next()?, ports.next()?))
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// The value in the first line `name: value`.
fn named(path: &str, name: &str) -> String {
    let file = read(path);
    let mut pairs = file.lines().filter_map(|line| line.split_once(':'));
    pairs.find(|(key, _)| key.trim() == name).map_or("", |(_, value)| value.trim()).to_owned()
}

/// The number that `text` begins with.
fn first<N: FromStr + Default>(text: &str) -> N {
    text.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_every_linux_tells_is_found() {
        let found = environment();
        assert!(found.kernel.starts_with("Linux "), "{found:?}");
        assert!(!found.host.is_empty() && found.cpus > 0, "{found:?}");
        assert!(found.memory_bytes > 1 << 20 && found.open_files > 0, "{found:?}");
        assert!(found.ports.0 < found.ports.1 && found.somaxconn > 0, "{found:?}");
    }
}

//! Who is let in: lists of networks, and how many connections one address may have. Both engines ask
//! before there is a session, and the thread engine before it spawns a thread.
//!
//! 1. Who is on the list of the denied is refused, whatever else holds (as sshd_config(5) has it).
//! 2. Where there is a list of the allowed, who is not on it is refused.
//! 3. An address that has its share of connections gets no more. A /64 of IPv6 is one address, and
//!    loopback ones are not counted: behind them is a proxy with everybody's connections.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::AsRawFd;
use std::str::FromStr;

use nix::sys::socket::{MsgFlags, send};

use super::network;
use crate::session::Service;

/// Addresses that begin alike, as CIDR has them (RFC 4632, RFC 4291 §2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its first address; IPv4 where it is mapped into IPv6.
    first: IpAddr,
    /// How many bits are the same in all.
    prefix: u8,
}

/// Who may call, by address.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Nobody but these, unless there are none.
    pub allow: Vec<Network>,
    /// None of these.
    pub deny: Vec<Network>,
}

/// Why a caller is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turnaway {
    /// The lists say so.
    Denied,
    /// Its address has as many connections as it may.
    Share,
}

impl fmt::Display for Turnaway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Turnaway::Denied => DENIED,
            Turnaway::Share => "its address has all the connections of --clients-per-address",
        })
    }
}

impl Turnaway {
    /// Says so to the caller, as far as that goes without waiting for him. Whom the lists keep out,
    /// they keep out without a word.
    pub fn tell(self, caller: &impl AsRawFd, service: &dyn Service) {
        let words = service.refusal();
        if self == Turnaway::Share && !words.is_empty() {
            let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
            let _ = send(caller.as_raw_fd(), words, flags);
        }
    }
}

/// What the log says of those whom the lists keep out.
pub(super) const DENIED: &str = "--allow and --deny keep it out";

impl Network {
    fn contains(&self, address: IpAddr) -> bool {
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(address)) => {
                let differs = first.to_bits() ^ address.to_bits();
                differs.checked_shr(32 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(address)) => {
                let differs = first.to_bits() ^ address.to_bits();
                differs.checked_shr(128 - u32::from(self.prefix)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Network, String> {
        const EXAMPLES: &str = "examples: 192.0.2.0/24, 192.0.2.7, 2001:db8::/32";
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr =
            address.parse().map_err(|_| format!("not an address or a network; {EXAMPLES}"))?;
        let most = if written.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => most,
            Some(prefix) => prefix
                .parse()
                .ok()
                .filter(|bits| *bits <= most && prefix.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| format!("behind the slash is a number of bits, {most} at most"))?,
        };
        // 96 bits say that the rest is an address of IPv4.
        let (first, prefix) = match written.to_canonical() {
            IpAddr::V4(first) if written.is_ipv6() && prefix >= 96 => (first.into(), prefix - 96),
            canonical if written.is_ipv4() => (canonical, prefix),
            _ => (written, prefix),
        };
        let masked = masked(first, prefix);
        if masked != first {
            return Err(format!(
                "{first} has bits beyond /{prefix}; {masked}/{prefix} is the network, {first} the \
                 address"
            ));
        }
        Ok(Network { first, prefix })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.first, self.prefix)
    }
}

/// The first address of the network with so many bits that `address` is in.
fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
            Ipv4Addr::from_bits(address.to_bits() & !host).into()
        }
        IpAddr::V6(address) => {
            let host = u128::MAX.checked_shr(prefix.into()).unwrap_or(0);
            Ipv6Addr::from_bits(address.to_bits() & !host).into()
        }
    }
}

impl Access {
    /// Whether `address` may call.
    pub fn admits(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_on = |list: &[Network]| list.iter().any(|network| network.contains(address));
        !is_on(&self.deny) && (self.allow.is_empty() || is_on(&self.allow))
    }
}

/// Who is there, as far as that decides who may come.
#[derive(Default)]
pub(super) struct Admission {
    access: Access,
    share: Option<u32>,
    /// Connections of each address, where they are counted.
    present: HashMap<IpAddr, u32>,
}

impl Admission {
    /// Nobody is there. `share` is how many connections an address may have; `None` for any number.
    pub fn new(access: Access, share: Option<u32>) -> Admission {
        Admission { access, share, present: HashMap::new() }
    }

    /// A caller from `address` wants a connection, and has it where this does not refuse it.
    pub fn admit(&mut self, address: IpAddr) -> Result<(), Turnaway> {
        if !self.access.admits(address) {
            return Err(Turnaway::Denied);
        }
        let (Some(share), Some(address)) = (self.share, counted(address)) else {
            return Ok(());
        };
        let present = self.present.entry(address).or_default();
        if *present >= share {
            return Err(Turnaway::Share);
        }
        *present += 1;
        Ok(())
    }

    /// The connection of somebody who was admitted is over.
    pub fn leave(&mut self, address: IpAddr) {
        if let (Some(_), Some(address)) = (self.share, counted(address))
            && let Some(present) = self.present.get_mut(&address)
        {
            *present -= 1;
            if *present == 0 {
                self.present.remove(&address);
            }
        }
    }
}

/// As what its connections are counted; `None` where they are not.
fn counted(address: IpAddr) -> Option<IpAddr> {
    let address = address.to_canonical();
    (!address.is_loopback()).then(|| network(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(networks: &[&str]) -> Vec<Network> {
        networks.iter().map(|network| network.parse().unwrap()).collect()
    }

    fn ip(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("192.0.2.0/24", "192.0.2.255", "192.0.3.0"),
            ("192.0.2.128/25", "192.0.2.128", "192.0.2.127"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.7/32", "::ffff:192.0.2.7", "192.0.2.8"),
            ("0.0.0.0/0", "203.0.113.1", "2001:db8::1"),
            ("::/0", "2001:db8::1", "203.0.113.1"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("2001:db8::1", "2001:db8::1", "2001:db8::2"),
            ("::ffff:10.0.0.0/104", "10.255.0.1", "11.0.0.0"),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1", "::1"),
        ] {
            let allows = Access { allow: list(&[network]), ..Access::default() };
            assert!(allows.admits(ip(inside)), "{inside} is in {network}");
            assert!(!allows.admits(ip(outside)), "{outside} is not in {network}");
            let denies = Access { deny: list(&[network]), ..Access::default() };
            assert!(!denies.admits(ip(inside)), "{inside} is in {network}");
            assert!(denies.admits(ip(outside)), "{outside} is not in {network}");
        }
    }

    #[test]
    fn who_is_denied_is_not_allowed_by_anything() {
        let access =
            Access { allow: list(&["10.0.0.0/8", "10.9.0.7"]), deny: list(&["10.9.0.0/16"]) };
        let admits = |address| access.admits(ip(address));
        assert!(admits("10.1.2.3"));
        assert!(!admits("10.9.0.7") && !admits("10.9.1.1") && !admits("192.0.2.1"));
        assert!(Access::default().admits(ip("192.0.2.1")));
    }

    #[test]
    fn what_is_no_network_is_told() {
        for (text, part) in [
            ("", "not an address"),
            ("10.0.0", "not an address"),
            ("10.0.0.0/33", "32 at most"),
            ("10.0.0.0/+8", "32 at most"),
            ("10.0.0.0/", "32 at most"),
            ("::/129", "128 at most"),
            ("10.0.0.1/8", "10.0.0.0/8 is the network, 10.0.0.1 the address"),
            ("2001:db8::1/32", "2001:db8::/32 is the network"),
            ("example.org", "not an address"),
        ] {
            let why = text.parse::<Network>().unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn an_address_has_its_share_and_a_place_is_free_again() {
        let mut admission = Admission::new(Access::default(), Some(2));
        let (here, mapped) = (ip("192.0.2.1"), ip("::ffff:192.0.2.1"));
        assert_eq!([here, mapped].map(|address| admission.admit(address)), [Ok(()); 2]);
        assert_eq!(admission.admit(here), Err(Turnaway::Share));
        assert_eq!(admission.admit(ip("192.0.2.2")), Ok(()));
        admission.leave(here);
        assert_eq!(admission.admit(mapped), Ok(()));
        assert_eq!(admission.admit(here), Err(Turnaway::Share));
        let six = ["2001:db8::1", "2001:db8::2", "2001:db8::3"].map(ip);
        let verdicts = six.map(|address| admission.admit(address));
        assert_eq!(verdicts, [Ok(()), Ok(()), Err(Turnaway::Share)]);
        assert_eq!(admission.admit(ip("2001:db8:0:1::1")), Ok(()));
        for loopback in ["127.0.0.1", "127.0.0.9", "::1", "::ffff:127.0.0.1"] {
            assert!((0..10).all(|_| admission.admit(ip(loopback)).is_ok()), "{loopback}");
        }
    }

    #[test]
    fn whoever_has_left_is_forgotten() {
        let mut admission = Admission::new(Access::default(), Some(2));
        for n in 0..1000 {
            let address = IpAddr::from([10, 0, (n / 256) as u8, n as u8]);
            admission.admit(address).unwrap();
            admission.leave(address);
        }
        assert!(admission.present.is_empty());
    }
}

//! Who is let in, on the command line.

use clap::Args;
use socklab::engine::{Access, Network};

use super::units;

/// Whom a server serves.
#[derive(Args)]
#[command(next_help_heading = "Who is let in")]
pub struct Admission {
    /// Connections of one address at once (a /64 of IPv6 is one); 0 for any number [default: any
    /// number; for chat 64]
    ///
    /// Further ones are closed at once (a chat says why, except over TLS), and counted. Loopback
    /// addresses are not counted: who comes from there may be a proxy, with everybody's connections.
    #[arg(long, value_name = "N", value_parser = units::at_least::<u32>(0))]
    clients_per_address: Option<u32>,
    /// Serve only callers from these networks, and answer only their datagrams
    ///
    /// Addresses of IPv4 and IPv6, or networks as 192.0.2.0/24 and 2001:db8::/32; an IPv4 caller is
    /// one also where he comes to an IPv6 socket. --deny wins over --allow, as in sshd_config(5).
    /// Others are closed at once, before anything is kept of them, and counted; the log has one line
    /// a second at most.
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    allow: Vec<Network>,
    /// Serve no callers from these networks, whatever --allow says, and answer no datagrams of theirs
    #[arg(long, value_name = "CIDR,…", value_delimiter = ',')]
    deny: Vec<Network>,
}

impl Admission {
    /// Who may call.
    pub fn access(&self) -> Access {
        Access { allow: self.allow.clone(), deny: self.deny.clone() }
    }

    /// How many connections an address may have; what a file says of it, or else `default`, where the
    /// command line says nothing.
    pub fn share(&self, in_file: Option<u32>, default: Option<u32>) -> Option<u32> {
        self.clients_per_address.or(in_file).or(default).filter(|share| *share > 0)
    }
}

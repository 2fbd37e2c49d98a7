//! What came and was thrown away, because a socket of the load generator was full: that is its own
//! fault, not the server's or the network's.

use std::collections::HashSet;
use std::fs;
use std::os::fd::AsFd;

use nix::sys::stat::fstat;

/// Datagrams that the kernel has dropped at these sockets since they were opened (the last column of
/// proc_pid_net_udp(5)); `None` where it does not say.
pub fn dropped(sockets: impl Iterator<Item = impl AsFd>) -> Option<u64> {
    let inodes: HashSet<u64> =
        sockets.filter_map(|socket| Some(fstat(socket).ok()?.st_ino)).collect();
    let tables = ["/proc/thread-self/net/udp", "/proc/thread-self/net/udp6"];
    let texts: Vec<String> =
        tables.iter().filter_map(|table| fs::read_to_string(table).ok()).collect();
    let lines = texts.iter().flat_map(|text| text.lines().skip(1));
    let drops: Vec<u64> = lines.filter_map(|line| dropped_by(line, &inodes)).collect();
    (!drops.is_empty()).then(|| drops.iter().sum())
}

fn dropped_by(line: &str, inodes: &HashSet<u64>) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace().skip(9);
    let inode = fields.next()?.parse().ok()?;
    inodes.contains(&inode).then(|| fields.last()?.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    fn drops_are_counted_by_socket() {
        let full = UdpSocket::bind("127.0.0.1:0").unwrap();
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket2::SockRef::from(&full).set_recv_buffer_size(1).unwrap();
        for _ in 0..100 {
            sender.send_to(&[0; 1000], full.local_addr().unwrap()).unwrap();
        }
        assert!(dropped([&full].into_iter()) > Some(50));
        assert_eq!(dropped([&other].into_iter()), Some(0));
    }
}

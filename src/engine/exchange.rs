//! Datagrams at one socket, taken and answered in batches: what both engines do alike. They differ
//! in where a thread sleeps until one comes.

use std::array;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use log::{debug, error};
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{c_int, in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage,
    recvmmsg, sendmsg,
};

use super::buffer::Buffer;
use super::explain;
use super::guard::{Guard, Header, Refusal};
use super::journal::Journal;
use crate::session::{Reply, Responder};

/// Datagrams taken with one system call at most.
pub(super) const BATCH: usize = 32;

/// Room for each: more than any datagram has (65,507 bytes by IPv4, 65,527 by IPv6), so none is ever
/// cut.
const ROOM: usize = 64 * 1024;

/// From one room to the next: those at multiples of 64 KiB would share the same few cache lines.
const STRIDE: usize = ROOM + 192;

/// A thread's memory for the datagrams of one socket.
pub(super) struct Exchange {
    responder: Arc<dyn Responder>,
    guard: Arc<Guard>,
    headers: MultiHeaders<SockaddrStorage>,
    memory: Buffer,
    arrived: Vec<(Header, usize)>,
    reply: Vec<u8>,
}

impl Exchange {
    pub fn new(responder: Arc<dyn Responder>, guard: Arc<Guard>) -> Exchange {
        let room = cmsg_space!(c_int, in6_pktinfo);
        Exchange {
            responder,
            guard,
            headers: MultiHeaders::preallocate(BATCH, Some(room)),
            memory: Buffer::new(BATCH * STRIDE),
            arrived: Vec::with_capacity(BATCH),
            reply: Vec::new(),
        }
    }

    /// Takes what has come, [`BATCH`] datagrams at most, and answers each. How many there were:
    /// fewer than that, and the socket is empty.
    pub fn turn(
        &mut self,
        socket: BorrowedFd,
        flags: MsgFlags,
        journal: &Journal,
    ) -> io::Result<usize> {
        self.receive(socket, flags)?;
        explain!("datagrams taken with one call: {} (of {BATCH} at most)", self.arrived.len());
        let arrived = std::mem::take(&mut self.arrived);
        for (slot, (header, length)) in arrived.iter().enumerate() {
            match self.guard.admit(header) {
                Ok(()) => self.answer(socket, slot, header, *length),
                Err(refusal) => self.refuse(header, refusal, journal),
            }
        }
        let count = arrived.len();
        self.arrived = arrived;
        Ok(count)
    }

    fn receive(&mut self, socket: BorrowedFd, flags: MsgFlags) -> io::Result<()> {
        self.arrived.clear();
        let mut rooms = self.memory.bytes().chunks_exact_mut(STRIDE);
        let mut rooms: [_; BATCH] = array::from_fn(|_| {
            let room = rooms.next().expect("there is one for each");
            [IoSliceMut::new(&mut room[..ROOM])]
        });
        let local = self.guard.local();
        let taken = recvmmsg(socket.as_raw_fd(), &mut self.headers, &mut rooms, flags, None)?;
        self.arrived.extend(taken.map(|message| (header(&message, local), message.bytes)));
        Ok(())
    }

    fn answer(&mut self, socket: BorrowedFd, slot: usize, header: &Header, length: usize) {
        let datagram = &self.memory.bytes()[slot * STRIDE..][..length];
        self.reply.clear();
        // One that panics has failed at this datagram, and at no other.
        let call =
            AssertUnwindSafe(|| self.responder.respond(header.from, datagram, &mut self.reply));
        let reply = catch_unwind(call).unwrap_or_else(|_| {
            error!("a responder panicked; its datagram stays unanswered");
            Reply::None
        });
        let from = header.from;
        let reply = match reply {
            Reply::None => {
                explain!("{length} bytes from {from}: no answer is due");
                return;
            }
            Reply::Repeat => datagram,
            Reply::Written => &self.reply,
        };
        if reply.len() > length {
            error!("an answer is longer than its datagram, and is not sent");
            return;
        }
        explain!("{length} bytes from {from}: answered with {} bytes", reply.len());
        match send(socket, header, reply) {
            Ok(()) => self.guard.answered(),
            // It concerns this peer only: no route, no room, a filter in the way.
            Err(error) => {
                self.guard.unsent();
                debug!("the answer to {from} is lost: {error}");
            }
        }
    }

    fn refuse(&self, header: &Header, refusal: Refusal, journal: &Journal) {
        explain!("a datagram from {} is refused: {refusal}", header.from);
        journal.refused(header.from, &refusal);
    }
}

/// Sends one answer from the address that was asked, with one hop less than the datagram had left.
fn send(socket: BorrowedFd, header: &Header, reply: &[u8]) -> io::Result<()> {
    let hops = c_int::from(header.hops - 1);
    let (v4, v6) = (info_v4(header.to), info_v6(header.to, header.from));
    let control = match header.from {
        SocketAddr::V4(_) => [ControlMessage::Ipv4Ttl(&hops), ControlMessage::Ipv4PacketInfo(&v4)],
        SocketAddr::V6(_) => {
            [ControlMessage::Ipv6HopLimit(&hops), ControlMessage::Ipv6PacketInfo(&v6)]
        }
    };
    // A socket that can be reached at one address only has told of none.
    let control = if header.to.is_some() { &control[..] } else { &control[..1] };
    let (bytes, to) = ([IoSlice::new(reply)], SockaddrStorage::from(header.from));
    loop {
        match sendmsg(socket.as_raw_fd(), &bytes, control, MsgFlags::empty(), Some(&to)) {
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
            Ok(_) => return Ok(()),
        }
    }
}

/// What an answer over IPv4 leaves from (ip(7), IP_PKTINFO).
fn info_v4(local: Option<IpAddr>) -> in_pktinfo {
    let local = match local {
        Some(IpAddr::V4(local)) => local,
        _ => Ipv4Addr::UNSPECIFIED,
    };
    in_pktinfo {
        ipi_ifindex: 0,
        ipi_spec_dst: in_addr { s_addr: u32::from_ne_bytes(local.octets()) },
        ipi_addr: in_addr { s_addr: 0 },
    }
}

/// What an answer over IPv6 leaves from (ipv6(7), IPV6_PKTINFO): a link-local peer is on one link.
fn info_v6(local: Option<IpAddr>, peer: SocketAddr) -> in6_pktinfo {
    let local = match local {
        Some(IpAddr::V6(local)) => local,
        _ => Ipv6Addr::UNSPECIFIED,
    };
    let link = match peer {
        SocketAddr::V6(peer) => peer.scope_id(),
        SocketAddr::V4(_) => 0,
    };
    in6_pktinfo { ipi6_addr: in6_addr { s6_addr: local.octets() }, ipi6_ifindex: link }
}

/// What the kernel tells of a datagram. `local` is where its socket is bound.
fn header(message: &RecvMsg<SockaddrStorage>, local: SocketAddr) -> Header {
    let address = message.address.as_ref();
    let from = address.and_then(|address| {
        let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::V4(SocketAddrV4::from(*v4)));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6))))
    });
    // Port 0 is not answered.
    let from = from.unwrap_or(SocketAddr::new(local.ip(), 0));
    let mut header = Header { from, hops: 0, to: None, to_many: false };
    for control in message.cmsgs().into_iter().flatten() {
        match control {
            ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => {
                header.hops = u8::try_from(hops).unwrap_or(u8::MAX);
            }
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                let ours = IpAddr::from(info.ipi_spec_dst.s_addr.to_ne_bytes());
                header.to = Some(ours);
                header.to_many = info.ipi_addr.s_addr != info.ipi_spec_dst.s_addr;
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                let to = IpAddr::from(info.ipi6_addr.s6_addr);
                header.to = Some(to);
                header.to_many = to.is_multicast();
            }
            _ => {}
        }
    }
    header
}

//! UDP servers of every temper for the client.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

/// A server that does with each datagram what the test says, and stops when it is dropped.
pub struct DatagramHost {
    pub address: SocketAddr,
    stopped: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl DatagramHost {
    /// `serve` has the socket, a datagram, and whom it is from.
    pub fn of(serve: impl FnMut(&UdpSocket, &[u8], SocketAddr) + Send + 'static) -> DatagramHost {
        DatagramHost::on(UdpSocket::bind("127.0.0.1:0").expect("loopback is there"), serve)
    }

    pub fn on(
        socket: UdpSocket,
        mut serve: impl FnMut(&UdpSocket, &[u8], SocketAddr) + Send + 'static,
    ) -> DatagramHost {
        let address = socket.local_addr().expect("it is bound");
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        let server = thread::spawn(move || {
            let mut datagram = vec![0; 65_536];
            loop {
                let (length, from) = socket.recv_from(&mut datagram).expect("it is bound");
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                serve(&socket, &datagram[..length], from);
            }
        });
        DatagramHost { address, stopped, server: Some(server) }
    }

    pub fn echo() -> DatagramHost {
        DatagramHost::of(echo)
    }
}

impl Drop for DatagramHost {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes it, unless its buffer is full, and then it is awake.
        let waker = UdpSocket::bind((self.address.ip(), 0)).expect("loopback is there");
        let _ = waker.send_to(&[], self.address);
        let ended = self.server.take().map(JoinHandle::join);
        if !thread::panicking() {
            ended.expect("it was not waited for").expect("the server does not panic");
        }
    }
}

/// The answer may find nobody: a client leaves when it has heard enough.
pub fn echo(socket: &UdpSocket, datagram: &[u8], from: SocketAddr) {
    let _ = socket.send_to(datagram, from);
}

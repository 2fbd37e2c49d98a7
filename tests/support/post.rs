//! A server of datagrams that answers whatever it is told to answer.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::SockRef;

/// After so long without a datagram it is quiet.
const QUIET: Duration = Duration::from_millis(20);

/// It stops when it is dropped.
pub struct Post {
    pub address: SocketAddr,
    /// Datagrams that have come.
    pub heard: Arc<AtomicU64>,
    closed: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl Post {
    /// Answers each datagram with what `answer` makes of it. `None` is that it has been quiet for a
    /// while: those answers go to whoever spoke last.
    pub fn start(answer: impl FnMut(Option<&[u8]>) -> Vec<Vec<u8>> + Send + 'static) -> Post {
        Post::on("127.0.0.1:0".parse().unwrap(), answer).expect("loopback is there")
    }

    pub fn on(
        address: SocketAddr,
        mut answer: impl FnMut(Option<&[u8]>) -> Vec<Vec<u8>> + Send + 'static,
    ) -> std::io::Result<Post> {
        let socket = UdpSocket::bind(address)?;
        SockRef::from(&socket).set_recv_buffer_size(4 << 20)?;
        socket.set_read_timeout(Some(QUIET))?;
        let address = socket.local_addr()?;
        let heard = Arc::<AtomicU64>::default();
        let [closed, stopped] = [(); 2].map(|()| Arc::<AtomicBool>::default());
        let (counted, close, stop) = (heard.clone(), closed.clone(), stopped.clone());
        let server = thread::spawn(move || {
            let mut last = None;
            let mut input = vec![0; 65_536];
            while !stop.load(Ordering::Relaxed) {
                if close.load(Ordering::Relaxed) {
                    hear_nobody(&socket);
                }
                let answers = match socket.recv_from(&mut input) {
                    Ok((n, from)) => {
                        last = Some(from);
                        counted.fetch_add(1, Ordering::SeqCst);
                        answer(Some(&input[..n]))
                    }
                    Err(_) => answer(None),
                };
                for (datagram, to) in answers.iter().zip(last.into_iter().cycle()) {
                    let _ = socket.send_to(datagram, to);
                }
            }
        });
        Ok(Post { address, heard, closed, stopped, server: Some(server) })
    }

    pub fn echo() -> Post {
        Post::bending(|_, datagram| vec![datagram])
    }

    /// Answers the datagram with this number by what `bend` makes of it.
    pub fn bending(mut bend: impl FnMut(u64, Vec<u8>) -> Vec<Vec<u8>> + Send + 'static) -> Post {
        Post::start(move |heard| match heard {
            Some(datagram) => bend(number(datagram), datagram.to_vec()),
            None => Vec::new(),
        })
    }

    pub fn mute() -> Post {
        Post::start(|_| Vec::new())
    }

    /// From here on its port refuses datagrams.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    pub fn heard(&self) -> u64 {
        self.heard.load(Ordering::SeqCst)
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// The number in front of a datagram of the load generator.
pub fn number(datagram: &[u8]) -> u64 {
    u64::from_be_bytes(*datagram.first_chunk().expect("it has a number"))
}

/// A port at which datagrams are refused, and that nobody else can take.
pub fn closed_port() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback is there");
    hear_nobody(&socket);
    socket
}

/// A socket that is connected to itself hears nobody else.
fn hear_nobody(socket: &UdpSocket) {
    socket.connect(socket.local_addr().expect("it is bound")).expect("it is there");
}

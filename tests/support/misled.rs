//! Servers of HTTP, IRC and TLS that have one fault each, or none: small, and with a thread for each
//! client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};

use super::misled_chat::Hall;
use super::misled_files::Store;

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Misled {
    /// Nothing.
    Right,
    /// Over HTTP: it reads the end of a request as it pleases, and answers what is hidden behind it.
    AnswersTheHidden,
    /// Over HTTP: an upload is written into the file itself.
    ShowsHalves,
    /// Over HTTP: a head may take as long as it likes.
    WaitsForHeads,
    /// Over HTTP: a body may take as long as it likes.
    WaitsForBodies,
    /// Over HTTP: a head may be as long as it likes.
    TakesLongHeads,
    /// Over HTTP: of many chunks the last are missing.
    LosesChunks,
    /// Over HTTP: what the peer does not take soon is dropped.
    DropsAnswers,
    /// Over HTTP: whatever is said is a request.
    ServesNonsense,
    /// Over HTTP: each range is a part, whatever others there are.
    MultipliesRanges,
    /// Over HTTP: what is asked behind something else may be answered before it.
    AnswersOutOfOrder,
    /// Over IRC: where somebody does not read, others miss lines.
    DropsLines,
    /// Over IRC: a nick is given to whoever wants it.
    GivesNicksTwice,
    /// Over IRC: of somebody who leaves, others hear twice.
    RepeatsDepartures,
    /// Over IRC: what is too long for a line is the next line.
    CutsLines,
    /// Over IRC: who has left a room is among its members.
    KeepsMembers,
    /// Over IRC: who says too much has to wait, and everybody with him.
    SlowsAll,
    /// Over TLS: a handshake may take as long as it likes.
    WaitsForHandshakes,
    /// Over TLS: what the first read brings is the whole hello, or nothing is.
    ReadsHellosOnce,
    /// Over TLS: where no more comes, more is waited for.
    WaitsBehindTheEnd,
}

/// What it speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tongue {
    Files,
    Chat,
    /// Everything comes back over TLS.
    Tls,
}

/// How long the right ones wait for anybody.
pub const DEADLINE: Duration = Duration::from_millis(1500);

/// It stops listening when it is dropped.
pub struct Server {
    pub address: SocketAddr,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Misled {
    pub fn start(self, tongue: Tongue) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
        let address = listener.local_addr().expect("it is bound");
        let stopped = Arc::new(AtomicBool::new(false));
        let stop = stopped.clone();
        let (store, hall) = (Arc::new(Store::new(self)), Arc::new(Hall::new(self)));
        let config = (tongue == Tongue::Tls).then(super::http_wrong::config);
        let thread = thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (store, hall, config) = (store.clone(), hall.clone(), config.clone());
                // However it ends, the client knows it.
                thread::spawn(move || match config {
                    _ if tongue == Tongue::Files => store.serve(stream),
                    Some(config) => self.echo(ServerConnection::new(config).unwrap(), stream),
                    None => hall.serve(stream),
                });
            }
        });
        Server { address, stopped, thread: Some(thread) }
    }

    fn echo(self, tls: ServerConnection, tcp: TcpStream) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        let deadline = (self != Misled::WaitsForHandshakes).then_some(DEADLINE);
        tcp.set_read_timeout(deadline)?;
        if self == Misled::ReadsHellosOnce && tcp.peek(&mut [0; 100])? < 100 {
            thread::park();
        }
        let mut stream = StreamOwned::new(tls, tcp);
        while stream.conn.is_handshaking() {
            if let Err(error) = stream.conn.complete_io(&mut stream.sock) {
                if self == Misled::WaitsBehindTheEnd {
                    thread::park();
                }
                // The alert that says why.
                let _ = stream.conn.write_tls(&mut stream.sock);
                return Err(error);
            }
        }
        stream.sock.set_read_timeout(None)?;
        let mut input = vec![0; 65_536];
        loop {
            match stream.read(&mut input) {
                Ok(0) => break,
                Ok(n) => stream.write_all(&input[..n])?,
                Err(_) if self == Misled::WaitsBehindTheEnd => thread::park(),
                Err(error) => {
                    let _ = stream.conn.write_tls(&mut stream.sock);
                    return Err(error);
                }
            }
        }
        stream.conn.send_close_notify();
        stream.flush()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the listener.
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

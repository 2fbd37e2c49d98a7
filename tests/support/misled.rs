//! Servers of HTTP, IRC and TLS that have one fault each, or none: small, and with a thread for each
//! client.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use clap::ValueEnum;
use rustls::{ServerConnection, StreamOwned};
use socklab::stress::arena::Protocol;

use super::misled_chat::Hall;
use super::misled_files::Store;
use super::run::{again, name, named, own_listener};

/// What is wrong with a server.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
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
    /// Over HTTP: where an answer breaks off, its file stays open.
    KeepsFiles,
    /// Over HTTP: answers wait in memory until they are taken.
    HoldsAnswers,
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
    /// Over IRC: who has not said its name may stay.
    WaitsForNames,
    /// Over TLS: a handshake may take as long as it likes.
    WaitsForHandshakes,
    /// Over TLS: what the first read brings is the whole hello, or nothing is.
    ReadsHellosOnce,
    /// Over TLS: where no more comes, more is waited for.
    WaitsBehindTheEnd,
    /// Over TLS: a record without data is taken for the end.
    EndsAtNothing,
    /// Over TLS: each warning takes a while, and everybody waits meanwhile.
    BroodsOverWarnings,
}

/// What it speaks.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Tongue {
    Files,
    Chat,
    /// Everything comes back over TLS.
    Tls,
}

/// The first byte of a record that is an alert, and how long one is brooded over.
const ALERT: [u8; 1] = [21];
const BROODING: Duration = Duration::from_micros(500);

impl Tongue {
    pub fn protocol(self) -> Protocol {
        match self {
            Tongue::Files => Protocol::Files,
            Tongue::Chat => Protocol::Chat,
            Tongue::Tls => Protocol::Echo,
        }
    }
}

/// Between two looks for a free seat.
const GLANCE: Duration = Duration::from_millis(5);

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
        let thread = thread::spawn(move || self.run(tongue, usize::MAX, listener, &stop));
        Server { address, stopped, thread: Some(thread) }
    }

    /// The command that starts one as a process of its own, with so many `seats`.
    pub fn command(self, tongue: Tongue, seats: usize) -> String {
        let (fault, tongue, seats) = (name(self), name(tongue), seats.to_string());
        let told = [("MISLED", &*fault), ("MISLED_TONGUE", &tongue), ("MISLED_SEATS", &seats)];
        again("a_misled_server", &told)
    }

    fn run(self, tongue: Tongue, seats: usize, listener: TcpListener, stop: &AtomicBool) {
        let (store, hall) = (Arc::new(Store::new(self)), Arc::new(Hall::new(self)));
        let config = (tongue == Tongue::Tls).then(super::http_wrong::config);
        let (shared, taken) = (Arc::new(Mutex::new(())), Arc::new(()));
        for stream in listener.incoming() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let (store, hall, config) = (store.clone(), hall.clone(), config.clone());
            let (shared, seat) = (shared.clone(), taken.clone());
            thread::spawn(move || {
                // However it ends, the client knows it.
                let _ = match config {
                    _ if tongue == Tongue::Files => store.serve(stream),
                    Some(config) => {
                        self.echo(ServerConnection::new(config).unwrap(), stream, &shared)
                    }
                    None => hall.serve(stream),
                };
                drop(seat);
            });
            // One of these is no client's.
            while Arc::strong_count(&taken) > seats {
                thread::sleep(GLANCE);
            }
        }
    }

    fn echo(self, tls: ServerConnection, mut tcp: TcpStream, shared: &Mutex<()>) -> io::Result<()> {
        tcp.set_nodelay(true)?;
        let deadline = (self != Misled::WaitsForHandshakes).then_some(DEADLINE);
        tcp.set_read_timeout(deadline)?;
        if self == Misled::ReadsHellosOnce && tcp.peek(&mut [0; 100])? < 100 {
            thread::park();
        }
        if self == Misled::BroodsOverWarnings {
            let mut first = [0];
            tcp.peek(&mut first)?;
            let _everybody = (first == ALERT).then(|| shared.lock().unwrap());
            while first == ALERT {
                record(&mut tcp)?;
                thread::sleep(BROODING);
                first = [0];
                tcp.peek(&mut first)?;
            }
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
            if self == Misled::EndsAtNothing {
                let record = record(&mut stream.sock)?;
                stream.conn.read_tls(&mut &record[..])?;
                let state = stream.conn.process_new_packets().map_err(io::Error::other)?;
                if state.plaintext_bytes_to_read() == 0 {
                    break;
                }
            }
            match stream.read(&mut input) {
                Ok(0) => break,
                Ok(n) => {
                    let broods = self == Misled::BroodsOverWarnings;
                    let _turn = broods.then(|| shared.lock().unwrap());
                    stream.write_all(&input[..n])?;
                }
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

/// Is a server of its own, where the environment says so. Whoever else calls it returns.
pub fn serve() {
    let Some(fault) = named::<Misled>("MISLED") else { return };
    let tongue = named("MISLED_TONGUE").expect("it is told");
    let seats = std::env::var("MISLED_SEATS").expect("it is told").parse().expect("a number");
    fault.run(tongue, seats, own_listener(), &AtomicBool::new(false));
}

/// The next record, its head included.
fn record(tcp: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut record = vec![0; 5];
    tcp.read_exact(&mut record)?;
    record.resize(5 + usize::from(u16::from_be_bytes([record[3], record[4]])), 0);
    tcp.read_exact(&mut record[5..])?;
    Ok(record)
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

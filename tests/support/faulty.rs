//! Servers that echo and are wrong on purpose, each in one way, as processes of their own: CPU time,
//! memory and descriptors are theirs alone. One loop around poll(2), which tells of the same thing
//! until it is heeded. Without a fault it is right, if slow.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::mem;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, io, process, thread};

use mio::event::Event;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::Pid;
use socket2::SockRef;

/// What is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// It reads for ever from one who does not read, and keeps the answers.
    ReadsOn,
    /// It waits for input that it does not read, an end too: poll tells of it at once, always.
    Spins,
    /// It throws away what does not fit into the socket.
    Drops,
    /// It takes FIN for a departure.
    ClosesOnFin,
    /// What a former tenant of a slot has not read goes to the next one.
    LeavesBytes,
    /// That a former tenant of a slot has left is heeded twice.
    LeavesEnds,
    /// The descriptor of one who resets is not closed.
    Leaks,
    /// It serves one until nothing has come for a while.
    Starves,
    /// It serves one until it leaves.
    OneAtATime,
    /// An urgent byte is not in the stream.
    Swallows,
    /// It remembers all that was said.
    Hoards,
    /// It answers four bytes at a time.
    WaitsForMore,
    /// It wants to know who calls, and dies if it cannot.
    DiesOfCallers,
}

use Fault::*;

const ALL: [Fault; 14] = [
    None,
    ReadsOn,
    Spins,
    Drops,
    ClosesOnFin,
    LeavesBytes,
    LeavesEnds,
    Leaks,
    Starves,
    OneAtATime,
    Swallows,
    Hoards,
    WaitsForMore,
    DiesOfCallers,
];

/// Which of them this process is to be.
const FAULT: &str = "SOCKLAB_TEST_FAULT";

/// A silence, in milliseconds, after which one who starves the others looks at them: longer than a flood
/// pauses on a busy machine.
const PAUSE: u16 = 1000;

/// So long one who takes FIN for a departure waits for it before it answers.
const MOMENT: Duration = Duration::from_millis(5);

/// Such a server, killed when this is dropped.
pub struct Faulty {
    child: Child,
    pub address: SocketAddr,
}

impl Faulty {
    /// Starts this test's executable again with nothing but its test `server`, which has to call
    /// [`serve_if_asked`].
    pub fn start(fault: Fault) -> Faulty {
        let mut child = Command::new(env::current_exe().expect("it runs"))
            .args(["--exact", "server", "--ignored", "--nocapture"])
            .env(FAULT, format!("{fault:?}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("it can be started again");
        let stdout = BufReader::new(child.stdout.take().expect("it is piped"));
        let lines = stdout.lines().map(|line| line.expect("it prints text"));
        // Behind what the test harness has to say.
        let address = lines.filter_map(|line| Some(line.split_once("listening on ")?.1.to_owned()));
        let address = { address }.next().expect("it listens");
        Faulty { child, address: address.parse().expect("it is an address") }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id() as i32)
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server, in a process that was started for it.
pub fn serve_if_asked() {
    let Ok(name) = env::var(FAULT) else { return };
    let fault = ALL.into_iter().find(|fault| format!("{fault:?}") == name).expect("it is listed");
    // Whoever has started it may be killed: then this ends, too.
    thread::spawn(|| {
        let _ = io::stdin().read(&mut [0]);
        process::exit(0);
    });
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback is there");
    listener.set_nonblocking(true).expect("it is a socket");
    SockRef::from(&listener).set_out_of_band_inline(fault != Swallows).expect("it is a socket");
    println!("listening on {}", listener.local_addr().expect("it is bound"));
    Server { fault, listener, slots: Vec::new(), left: BTreeMap::new(), heard: Vec::new() }.run();
}

struct Server {
    fault: Fault,
    listener: TcpListener,
    slots: Vec<Option<Client>>,
    /// What former tenants have left behind.
    left: BTreeMap<usize, Vec<u8>>,
    /// All that was ever said.
    heard: Vec<u8>,
}

struct Client {
    stream: TcpStream,
    /// What the kernel did not take yet.
    backlog: Vec<u8>,
    /// What is too short for an answer.
    short: Vec<u8>,
    eof: bool,
}

/// The conversation is over.
struct Over;

impl Server {
    fn run(mut self) {
        loop {
            let news = self.wait();
            for (slot, news) in news {
                let Some(mut client) = self.slots[slot].take() else { continue };
                match self.turn(slot, &mut client, news) {
                    Ok(()) => self.slots[slot] = Some(client),
                    Err(Over) => self.end(slot, client, news),
                }
            }
            while let Ok((stream, _)) = self.listener.accept() {
                self.seat(stream);
            }
        }
    }

    /// Asleep here until there is news, and of whom.
    fn wait(&self) -> Vec<(usize, PollFlags)> {
        let seated = self.slots.iter().enumerate();
        let (slots, clients): (Vec<usize>, Vec<&Client>) =
            seated.filter_map(|(slot, client)| Some((slot, client.as_ref()?))).unzip();
        let mut sockets = vec![PollFd::new(self.listener.as_fd(), PollFlags::POLLIN)];
        sockets.extend(
            clients.iter().map(|client| PollFd::new(client.stream.as_fd(), self.interest(client))),
        );
        let _ = poll(&mut sockets, PollTimeout::NONE);
        let news = sockets[1..].iter().map(|socket| socket.revents().unwrap_or(PollFlags::empty()));
        slots.into_iter().zip(news).filter(|(_, news)| !news.is_empty()).collect()
    }

    fn interest(&self, client: &Client) -> PollFlags {
        let waits = match client.backlog.is_empty() {
            true => PollFlags::POLLIN,
            false => PollFlags::POLLOUT,
        };
        waits
            | match self.fault {
                ReadsOn | Spins if !client.eof => PollFlags::POLLIN,
                _ => PollFlags::empty(),
            }
    }

    fn seat(&mut self, stream: TcpStream) {
        if self.fault == DiesOfCallers {
            stream.peer_addr().unwrap_or_else(|_| process::exit(1));
        }
        stream.set_nonblocking(true).expect("it is a socket");
        let slot = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        self.slots.resize_with(self.slots.len().max(slot + 1), || Option::None);
        let backlog = match self.fault {
            LeavesBytes => self.left.remove(&slot).unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut client = Client { stream, backlog, short: Vec::new(), eof: false };
        if self.fault == OneAtATime {
            let _ = self.stay_with(&mut client, PollTimeout::NONE);
        } else {
            self.slots[slot] = Some(client);
        }
    }

    fn end(&mut self, slot: usize, client: Client, news: PollFlags) {
        match self.fault {
            LeavesBytes | LeavesEnds if !client.backlog.is_empty() => {
                self.left.insert(slot, client.backlog);
            }
            Leaks if news.contains(PollFlags::POLLERR) => mem::forget(client.stream),
            _ => {}
        }
    }

    fn turn(&mut self, slot: usize, client: &mut Client, news: PollFlags) -> Result<(), Over> {
        let late = self.fault == LeavesEnds && self.left.remove(&slot).is_some();
        let fin = self.fault == ClosesOnFin && client.has_fin();
        if late || fin || news.contains(PollFlags::POLLERR) {
            return Err(Over);
        }
        if self.fault == Starves {
            return self.stay_with(client, PollTimeout::from(PAUSE));
        }
        client.flush()?;
        // Poll tells of an end whether it was asked for it or not.
        if client.backlog.is_empty() || self.fault == ReadsOn {
            self.answer(client)?;
        }
        Ok(())
    }

    /// One read, and what is said to it.
    fn answer(&mut self, client: &mut Client) -> Result<(), Over> {
        let mut input = [0; 65_536];
        match client.stream.read(&mut input) {
            Ok(0) => client.eof = true,
            Ok(n) => client.short.extend_from_slice(&input[..n]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Over),
        }
        if self.fault == Hoards {
            self.heard.extend_from_slice(&client.short);
        }
        let short = match self.fault {
            WaitsForMore if !client.eof => client.short.len() % 4,
            _ => 0,
        };
        client.backlog.extend(client.short.drain(..client.short.len() - short));
        client.flush()?;
        if self.fault == Drops {
            client.backlog.clear();
        }
        match client.eof && client.backlog.is_empty() {
            true => Err(Over),
            false => Ok(()),
        }
    }

    /// Serves nobody else until this one has been silent for so long.
    fn stay_with(&mut self, client: &mut Client, silence: PollTimeout) -> Result<(), Over> {
        loop {
            let interest = self.interest(client);
            let socket = &mut [PollFd::new(client.stream.as_fd(), interest)];
            if poll(socket, silence) == Ok(0) {
                return Ok(());
            }
            client.flush()?;
            if client.backlog.is_empty() {
                self.answer(client)?;
            }
        }
    }
}

impl Client {
    /// Whether the peer's end has come, seen or not. A moment is waited for it.
    fn has_fin(&self) -> bool {
        let (mut poll, mut events) = (Poll::new().expect("one is left"), Events::with_capacity(1));
        let socket = self.stream.as_raw_fd();
        let registered =
            poll.registry().register(&mut SourceFd(&socket), Token(0), Interest::READABLE);
        registered.expect("it is a socket");
        let until = Instant::now() + MOMENT;
        let mut fin = false;
        while !fin && Instant::now() < until {
            let _ = poll.poll(&mut events, Some(MOMENT));
            fin = events.iter().any(Event::is_read_closed);
        }
        fin
    }

    fn flush(&mut self) -> Result<(), Over> {
        while !self.backlog.is_empty() {
            match self.stream.write(&self.backlog) {
                Ok(n) => drop(self.backlog.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(_) => return Err(Over),
            }
        }
        match self.eof {
            true => Err(Over),
            false => Ok(()),
        }
    }
}

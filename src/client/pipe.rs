//! Bytes both ways, in constant memory: standard input to the server, the server to standard
//! output.
//!
//! The end of the input closes the sending half only; what the server still has to say is printed
//! until its end.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use super::stream::{Receiver, Sender, Stream};
use super::{CHUNK, Error, printed, stdout};

/// How long the input must be silent, after the server has closed, to count as ended.
const SILENCE: Duration = Duration::from_secs(1);

/// Carries standard input to `stream` and `stream` to standard output until the server's end. It was
/// connected with this `lost_after`.
///
/// Fails with [`Error::ClosedEarly`] when the server closed before all input was sent: what comes
/// out is then not the answer to what went in.
pub fn pipe(stream: Stream, lost_after: Duration) -> Result<(), Error> {
    let progress = Arc::new(Progress::default());
    let (done, outcome) = mpsc::channel();
    let input = io::stdin().as_fd().try_clone_to_owned();
    let input = File::from(input.map_err(|error| Error::Local("standard input", error))?);
    let (mut receiver, mut sender) = stream.split();
    let sending = progress.clone();
    thread::spawn(move || {
        let sent = send(input, &mut sender, &sending);
        let unread = matches!(sent, Err(Error::Local(..)));
        // Nobody waits for the outcome once standard output is closed.
        let _ = done.send(sent);
        if unread {
            // Or the receiver would wait for a server that waits for us.
            sender.abort();
        }
    });
    match receive(&mut receiver, lost_after) {
        Ok(true) => {
            finish(&progress, &outcome)?;
            receiver.leave();
            Ok(())
        }
        Ok(false) => Ok(()),
        Err(error) => match outcome.try_recv() {
            // It was us who cut the connection, and said why before.
            Ok(Err(own @ Error::Local(..))) => Err(own),
            _ => Err(error),
        },
    }
}

/// How far the sender has come, for the receiver to look at.
#[derive(Default)]
struct Progress {
    sent: AtomicU64,
    /// Everything read so far was sent.
    waiting_for_input: AtomicBool,
}

/// Sends standard input, then closes the sending half.
fn send(mut input: File, sender: &mut Sender, progress: &Progress) -> Result<(), Error> {
    let mut chunk = vec![0; CHUNK];
    loop {
        progress.waiting_for_input.store(true, Ordering::SeqCst);
        let read = input.read(&mut chunk);
        progress.waiting_for_input.store(false, Ordering::SeqCst);
        match read {
            Ok(0) => {
                let sent = progress.sent.load(Ordering::SeqCst);
                return match sender.end() {
                    // It was reset: what was sent last came to nobody.
                    Err(error) if error.kind() == io::ErrorKind::NotConnected && sent > 0 => {
                        Err(Error::ClosedEarly(sent))
                    }
                    // A server that has closed already need not be told.
                    _ => Ok(()),
                };
            }
            Ok(n) => {
                sender.write_all(&chunk[..n]).map_err(|error| match error.kind() {
                    io::ErrorKind::TimedOut => Error::Broken(error),
                    _ => Error::ClosedEarly(progress.sent.load(Ordering::SeqCst)),
                })?;
                progress.sent.fetch_add(n as u64, Ordering::SeqCst);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Local("standard input", error)),
        }
    }
}

/// Prints what the server says, to its end. `false`: standard output was closed before.
fn receive(receiver: &mut Receiver, lost_after: Duration) -> Result<bool, Error> {
    let mut out = stdout()?;
    let mut chunk = vec![0; CHUNK];
    // While it waits for us to read, a server that takes nothing is not lost, and the kernel counts
    // that time, too. So it counts only once nothing has come for as long.
    let mut doubted = false;
    receiver.set_lost_after(None).map_err(Error::Broken)?;
    receiver.set_read_timeout(Some(lost_after)).map_err(Error::Broken)?;
    loop {
        match receiver.read(&mut chunk) {
            Ok(0) => return Ok(true),
            Ok(n) => {
                if std::mem::take(&mut doubted) {
                    receiver.set_lost_after(None).map_err(Error::Broken)?;
                }
                // Sleeps here while nobody reads what is printed (`| less`).
                if !printed(out.write_all(&chunk[..n]))? {
                    return Ok(false);
                }
            }
            // Now it is no more our fault that it takes nothing: the kernel may judge.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                doubted = true;
                receiver.set_lost_after(Some(lost_after)).map_err(Error::Broken)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::broken(error)),
        }
    }
}

/// The server has said its last word. It may still read, so the sender goes on while it gets on;
/// an input that is open but silent has nothing more for it.
fn finish(progress: &Progress, outcome: &mpsc::Receiver<Result<(), Error>>) -> Result<(), Error> {
    loop {
        let before = progress.sent.load(Ordering::SeqCst);
        match outcome.recv_timeout(SILENCE) {
            Ok(outcome) => return outcome,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                let silent = progress.sent.load(Ordering::SeqCst) == before
                    && progress.waiting_for_input.load(Ordering::SeqCst);
                if silent {
                    return Ok(());
                }
            }
        }
    }
}

//! The last words of a server, for the error messages about it.

use std::convert::Infallible;
use std::io::{self, Read};
use std::process::ChildStderr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Of what a server writes, so much is kept.
const LAST_WORDS: usize = 4096;

/// What a server writes. A thread takes it, so that it never waits for a reader.
pub struct Words {
    last: Arc<Mutex<Vec<u8>>>,
    /// Closed when there is no writer left.
    finished: Receiver<Infallible>,
}

impl Words {
    /// Takes what comes out of `pipe` until nobody is left who could write.
    pub fn of(pipe: ChildStderr) -> Words {
        let last = Arc::new(Mutex::new(Vec::new()));
        let (finishing, finished) = channel();
        thread::spawn({
            let last = last.clone();
            move || take(pipe, &last, finishing)
        });
        Words { last, finished }
    }

    /// The last line so far.
    pub fn so_far(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&last);
        text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().to_owned()
    }

    /// The last line of a server that has ended. A moment is enough to take what is in the pipe,
    /// should somebody still hold its other end.
    pub fn all(&self) -> String {
        let _ = self.finished.recv_timeout(Duration::from_millis(500));
        self.so_far()
    }
}

fn take(mut pipe: ChildStderr, last: &Mutex<Vec<u8>>, _finishing: Sender<Infallible>) {
    let mut chunk = [0; LAST_WORDS];
    loop {
        match pipe.read(&mut chunk) {
            Ok(0) => return,
            Ok(n) => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                last.extend_from_slice(&chunk[..n]);
                let surplus = last.len().saturating_sub(LAST_WORDS);
                last.drain(..surplus);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

//! A person at a terminal: line by line, and what the server says is shown at once.
//!
//! Two threads sleep in `read`, one on the keyboard and one on the socket, for a thread can sleep
//! in one place only. A third waits for whichever ends first.

use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;

use super::screen::{Screen, forget_typed};
use super::stream::{Receiver, Sender, Stream};
use super::{CHUNK, Error, FAREWELL};

/// Sends each line typed, with its line end, and shows what comes back. `exit`, Ctrl-D, or the
/// server's end leaves. Any bytes are shown as they come: what they mean is the terminal's affair.
pub fn terminal(stream: Stream) -> Result<(), Error> {
    println!("connected to {}; `exit` or Ctrl-D leaves", stream.server());
    let screen = Arc::new(Screen::default());
    screen.show(b"");
    let (tell, told) = mpsc::channel();

    let (receiver, sender) = stream.split();
    let (screen_too, tell_too) = (screen.clone(), tell.clone());
    thread::spawn(move || listen(receiver, &screen_too, &tell_too));
    let speaking = screen.clone();
    thread::spawn(move || speak(sender, &speaking, &tell));

    let mut end = told.recv().expect("each thread tells its end before it drops the channel");
    if matches!(end, End::Left) {
        // The last reply may still be on its way; nobody waits for it for ever.
        end = match told.recv_timeout(FAREWELL) {
            Ok(End::Closed) | Err(_) => end,
            Ok(failed) => failed,
        };
    }
    match end {
        End::Left => {
            screen.leave();
            Ok(())
        }
        End::Closed => {
            screen.leave();
            forget_typed();
            println!("the server closed the connection");
            Ok(())
        }
        End::Failed(error) => {
            screen.leave();
            forget_typed();
            Err(error)
        }
    }
}

enum End {
    /// The person left.
    Left,
    Closed,
    Failed(Error),
}

fn listen(mut receiver: Receiver, screen: &Screen, tell: &mpsc::Sender<End>) {
    let mut chunk = vec![0; CHUNK];
    let end = loop {
        match receiver.read(&mut chunk) {
            Ok(0) => {
                // The program may end as soon as the end is told.
                receiver.leave();
                break End::Closed;
            }
            Ok(n) => screen.show(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break End::Failed(Error::broken(error)),
        }
    };
    let _ = tell.send(end);
}

fn speak(mut sender: Sender, screen: &Screen, tell: &mpsc::Sender<End>) {
    let mut keyboard = io::stdin().lock();
    let mut line = Vec::new();
    let end = loop {
        line.clear();
        match keyboard.read_until(b'\n', &mut line) {
            Ok(0) => break End::Left,
            Ok(_) if line.trim_ascii() == b"exit" => break End::Left,
            Ok(_) => {
                let by_enter = line.ends_with(b"\n");
                if by_enter {
                    screen.entered();
                }
                if let Err(error) = sender.write_all(&line) {
                    break End::Failed(Error::broken(error));
                }
                if !by_enter {
                    break End::Left;
                }
            }
            Err(error) => break End::Failed(Error::Local("the terminal", error)),
        }
    };
    let _ = tell.send(end);
    // Last, for it may wait for a server that does not read.
    let _ = sender.end();
}

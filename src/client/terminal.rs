//! A person at a terminal: line by line, and what the server says is shown at once.
//!
//! Two threads sleep in `read`, one on the keyboard and one on the socket, for a thread can sleep
//! in one place only. A third waits for whichever ends first.

use std::io::{self, BufRead, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread;

use super::screen::{Screen, forget_typed};
use super::{CHUNK, Error, FAREWELL};

/// Sends each line typed, with its line end, and shows what comes back. `exit`, Ctrl-D, or the
/// server's end leaves. Any bytes are shown as they come: what they mean is the terminal's affair.
pub fn terminal(stream: TcpStream) -> Result<(), Error> {
    let server = stream.peer_addr().map_err(Error::Broken)?;
    println!("connected to {server}; `exit` or Ctrl-D leaves");
    let screen = Arc::new(Screen::default());
    screen.show(b"");
    let (tell, told) = mpsc::channel();

    let (screen_too, tell_too) = (screen.clone(), tell.clone());
    let listener = stream.try_clone().map_err(Error::Broken)?;
    thread::spawn(move || listen(listener, &screen_too, &tell_too));
    let speaker = stream.try_clone().map_err(Error::Broken)?;
    let speaking = screen.clone();
    thread::spawn(move || speak(speaker, &speaking, &tell));

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

fn listen(mut stream: TcpStream, screen: &Screen, tell: &Sender<End>) {
    let mut chunk = vec![0; CHUNK];
    let end = loop {
        match stream.read(&mut chunk) {
            Ok(0) => break End::Closed,
            Ok(n) => screen.show(&chunk[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break End::Failed(Error::Broken(error)),
        }
    };
    let _ = tell.send(end);
}

fn speak(mut stream: TcpStream, screen: &Screen, tell: &Sender<End>) {
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
                if let Err(error) = stream.write_all(&line) {
                    break End::Failed(Error::Broken(error));
                }
                if !by_enter {
                    break End::Left;
                }
            }
            Err(error) => break End::Failed(Error::Local("the terminal", error)),
        }
    };
    let _ = stream.shutdown(Shutdown::Write);
    let _ = tell.send(end);
}

//! One datagram, one answer, and more attempts if there is none.

use std::io::Write;
use std::time::{Duration, Instant};

use log::debug;

use super::server::{Event, Server};
use crate::client::{Error, end_line, printed, stdout};

/// Sends `text` as one datagram and prints the first one that comes back, even if it is empty.
///
/// An attempt goes to each address of the server in turn and waits `patience` at each; there are
/// `retries` more after the first. The answer to an earlier attempt is as good as another, and what
/// comes after the first answer is not looked at. An address that refuses is not asked again.
///
/// Fails if all addresses refuse, if none answers, or, before anything is sent, if `text` is longer
/// than a datagram can be.
pub fn message(
    mut server: Server,
    text: &[u8],
    patience: Duration,
    retries: u32,
) -> Result<(), Error> {
    let mut datagrams = 0;
    for attempt in 0..=retries {
        for _ in 0..server.addresses() {
            let outcome = match server.send(text) {
                Ok(()) => server.wait(None, Some(Instant::now() + patience))?,
                Err(error) => Event::Refused(error),
            };
            match outcome {
                Event::Answer(answer) => return print(&answer),
                Event::Refused(error) => {
                    debug!("{}: {error}", server.address());
                    if !server.leave_current() {
                        return Err(error);
                    }
                }
                // No input is waited for.
                Event::Silence | Event::Input => {
                    datagrams += 1;
                    debug!("attempt {}: no answer from {}", attempt + 1, server.address());
                    server.turn_to_next();
                }
            }
        }
    }
    Err(Error::NoAnswer { server: server.name().into(), patience, datagrams })
}

fn print(answer: &[u8]) -> Result<(), Error> {
    if answer.is_empty() {
        debug!("the answer is a datagram of no bytes");
    }
    let mut out = stdout()?;
    if printed(out.write_all(answer))? {
        end_line(&mut out, answer.last())?;
    }
    Ok(())
}

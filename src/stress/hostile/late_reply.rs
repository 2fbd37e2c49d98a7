//! Who is slow while the server stops.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::failure::time;
use crate::report::numbers::{count, duration};
use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::{Peer, compare};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const LATE_REPLY: Hostile = Hostile {
    name: "late-reply",
    fault: "a server that stops cuts off who is slow, or waits for ever for who is slower",
    does: "sends SIGTERM to a server of its own; one peer then reads megabytes slowly, one goes on \
           sending, one reads nothing",
    holds: "the first has all of its answer within the grace period, each sees where its conversation \
            ends, and the exit status is 0 soon after the grace period",
    seen_in: "Go's http.Server.Close, which interrupts active connections, and Shutdown without a \
              deadline, which waits for them for ever",
    needs: Needs::of(Protocol::Echo).alone(),
    visit,
};

/// What the server is told, and what it may take beyond that to see its peers off.
const GRACE: Duration = Duration::from_secs(3);
const LINGER: Duration = Duration::from_secs(2);

/// What is said again and again, what a slow reader reads at once, and after what time again: it reads
/// for about a second, so most of its answer is still to be written.
const CHUNK: usize = 64 * 1024;
const SIP: usize = 128 * 1024;
const PAUSE: Duration = Duration::from_millis(15);

/// A server of whom nothing was there so often in a row has stopped writing.
const STOOD: u32 = 60;

fn visit(arena: &Arena) -> Outcome {
    arena.on_own("", arena.if_ours("--grace 3s"), |own| {
        let arena = &own.arena;
        let chunk = arena.pattern(1, CHUNK);
        let mut reader = arena.stuck(&chunk)?;
        let mut sender = arena.seated(1)?.remove(0);
        let mut never_reads = arena.stuck(&chunk)?;
        let since = own.signal(Signal::SIGTERM)?;
        let bound = GRACE + arena.patience;
        let (mut sent, mut read) = (0, None);
        let (mut still, mut stood) = (0, 0);
        while read.is_none() || !sender.has_ended() {
            if since.elapsed() > bound {
                let who = if read.is_none() { "a slow reader" } else { "a slow sender" };
                let after = time(since.elapsed());
                return Err(Breach::broken(format!("{who} had no end {after} after SIGTERM")));
            }
            if read.is_none() {
                let came = reader.peer.sip(SIP);
                read = reader.peer.has_ended().then(|| since.elapsed());
                still = if came > 0 { 0 } else { still + 1 };
                stood = stood.max(still);
            }
            // Whether it can still be said is not the question.
            sent += sender.offer(b"!").unwrap_or(0);
            sender.sip(SIP);
            arena.pause(PAUSE)?;
        }
        let read = read.unwrap_or_default();
        let came = reader.peer.take_heard();
        let said = chunk.repeat(reader.taken.div_ceil(CHUNK));
        compare(&said, &came).map_err(|fault| Breach::from(fault).of("a slow reader"))?;
        if came.len() < reader.arrived {
            let what = format!(
                "a slow reader had {} of {} bytes when it was cut off, {} after SIGTERM",
                count(came.len() as u64),
                count(reader.arrived as u64),
                time(read)
            );
            // It reads for a second, unless this machine has no time for it.
            return Err(match read < GRACE || stood > STOOD {
                true => Breach::broken(what),
                false => Breach::skipped(format!("{what}; it was too slow itself")),
            });
        }
        let echoed = sender.take_heard();
        if echoed.len() > sent || echoed.iter().any(|byte| *byte != b'!') {
            return Err(Breach::broken("a slow sender got bytes that it had not sent"));
        }
        let took = own.ends_with(0, since, GRACE + LINGER)?;
        sees_the_end(&own.arena, &mut never_reads.peer)?;
        Ok(format!(
            "a slow reader had {} bytes and its end after {}; exit status 0 after {}",
            count(came.len() as u64),
            duration(read.as_nanos() as f64),
            duration(took.as_nanos() as f64)
        ))
    })
}

/// Who has read nothing so far reads what there is, to an end or a reset.
fn sees_the_end(arena: &Arena, peer: &mut Peer) -> Result<(), Breach> {
    let since = Instant::now();
    while !peer.has_ended() {
        if since.elapsed() > arena.patience {
            return Err(Breach::broken("who read nothing cannot see that the server is gone"));
        }
        if peer.sip(SIP) == 0 {
            arena.pause(Duration::from_millis(2))?;
        }
    }
    Ok(())
}

//! Who leaves in the middle of leaving a file.

use std::time::Duration;

use crate::stress::arena::{Arena, Protocol};
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const ABORTED_UPLOAD: Hostile = Hostile {
    name: "aborted-upload",
    fault: "a server that writes into the file itself shows half of it, and has lost the old one when \
            the rest never comes",
    does: "replaces a file, and leaves another under a new name, and resets both (RST) behind the \
           head, the first byte, a half, and all but the last byte",
    holds: "before and after, the old file is whole and the new name is not there",
    seen_in: "most servers of FTP (STOR writes into the file itself); python's http.server with the \
              usual do_PUT",
    needs: Needs::of(Protocol::Files),
    visit,
};

/// Bytes of each file: more than is written at once.
const LENGTH: usize = 256 * 1024;

/// How often it is looked for what is left of an upload, and the time between.
const LOOKS: usize = 5;
const BETWEEN: Duration = Duration::from_millis(10);

fn visit(arena: &Arena) -> Outcome {
    let old = arena.upload(arena.pattern(1, LENGTH))?;
    let missing = arena.new_path()?;
    let replacement = arena.pattern(2, LENGTH);
    let mut looks = 0;
    for sent in [0, 1, LENGTH / 2, LENGTH - 1] {
        let mut peers = Vec::new();
        for path in [&old.path, &missing] {
            let mut peer = arena.call()?;
            peer.say(&arena.put(path, &format!("Content-Length: {LENGTH}"))?)?;
            peer.say(&replacement[..sent])?;
            peers.push(peer);
        }
        for look in 0..2 * LOOKS {
            if look == LOOKS {
                peers.drain(..).for_each(|peer| peer.reset());
            }
            looks += 1;
            look_at(arena, &old.path, &old.body, &missing)
                .map_err(|breach| breach.of(&format!("behind {sent} of {LENGTH} bytes")))?;
            arena.pause(BETWEEN)?;
        }
    }
    arena.serves()?;
    Ok(format!("the old file was whole and the new name missing each of {looks} times"))
}

fn look_at(arena: &Arena, path: &str, body: &[u8], missing: &str) -> Result<(), Breach> {
    let mut browser = arena.browser()?;
    let reply = browser.ask(&arena.get(path)?)?;
    if reply.head.status != 200 || reply.body != body {
        return Err(Breach::broken(format!(
            "the old file is answered with status {} and {} bytes, and is not what it was",
            reply.head.status,
            reply.body.len()
        )));
    }
    let reply = arena.browser()?.ask(&arena.get(missing)?)?;
    match reply.head.status {
        200..300 => Err(Breach::broken(format!(
            "{} bytes of a file are there whose end never came",
            reply.body.len()
        ))),
        _ => Ok(()),
    }
}

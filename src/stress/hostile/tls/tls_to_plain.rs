//! Who speaks TLS where nobody does.

use crate::stress::arena::{Arena, Protocol};
use crate::stress::fault::Fault;
use crate::stress::peer::compare;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const TLS_TO_PLAIN: Hostile = Hostile {
    name: "tls-to-plain",
    fault: "a server that reads text takes a hello for a very long line, and waits for its end",
    does: "says a hello of TLS to a server without it, and then an end",
    holds: "it is answered as other nonsense is: by HTTP with a refusal, by IRC with nothing that \
            others hear, by echo with itself or nothing; and the connection ends",
    seen_in: "people who write https:// for http://; nginx logs the bytes and answers 400",
    needs: Needs::ANYBODY,
    visit,
};

fn visit(arena: &Arena) -> Outcome {
    if arena.secure.is_some() {
        return Err(Breach::skipped("the server speaks TLS; no-tls is the other way round"));
    }
    let hello = arena.hello()?;
    let (heard, neighbour) = arena.beside_a_witness(|| {
        let mut peer = arena.connect()?;
        peer.begin(&hello);
        if arena.protocol == Protocol::Echo {
            peer.end();
            let heard = peer.rest()?;
            compare(&hello, &heard)?;
            return match heard.len() {
                // It is known for what it is, and refused.
                0 => Ok(heard),
                all if all == hello.len() => Ok(heard),
                came => Err(Fault::Left { came, due: hello.len() }.into()),
            };
        }
        peer.end();
        Ok(peer.outlast()?)
    })?;
    if arena.protocol == Protocol::Files
        && heard.starts_with(b"HTTP/1.")
        && !heard[8..].starts_with(b" 4")
    {
        return Err(Breach::broken("a hello of TLS was served as a request"));
    }
    Ok(format!(
        "a hello of {} bytes was answered with {}, and the connection ended; a neighbour was answered \
         in {}",
        hello.len(),
        heard.len(),
        neighbour.told()
    ))
}

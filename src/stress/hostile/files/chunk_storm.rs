//! Who leaves a file in pieces of a byte.

use crate::report::numbers::{bytes, count};
use crate::stress::arena::{Arena, Protocol};
use crate::stress::peer::compare;
use crate::stress::verdict::{Breach, Outcome};
use crate::stress::{Hostile, Needs};

pub const CHUNK_STORM: Hostile = Hostile {
    name: "chunk-storm",
    fault: "a server that does something costly for each chunk serves nobody else, or loses some",
    does: "leaves a file whose every byte is a chunk with an extension",
    holds: "the file is whole and right, or refused (400, 411, 413), and others are served meanwhile",
    seen_in: "Go's net/http before 1.21.5 (CVE-2023-39326: extensions of chunks)",
    needs: Needs::of(Protocol::Files),
    visit,
};

/// Bytes of the file.
const LENGTH: usize = 64 * 1024;

fn visit(arena: &Arena) -> Outcome {
    // Whether it takes any.
    let mut upload = arena.upload(vec![b'x'; 64])?;
    upload.body = arena.pattern(4, LENGTH);
    let mut request = arena.put(&upload.path, "Transfer-Encoding: chunked")?;
    for &byte in &upload.body {
        request.extend_from_slice(b"1;x=y\r\n");
        request.extend_from_slice(&[byte, b'\r', b'\n']);
    }
    request.extend_from_slice(b"0\r\n\r\n");
    let (status, neighbour) = arena.beside_a_witness(|| {
        let status = arena.browser()?.ask(&request)?.head.status;
        if let 200..300 = status {
            let reply = arena.browser()?.ask(&arena.get(&upload.path)?)?;
            compare(&upload.body, &reply.body)?;
            if reply.body.len() != LENGTH {
                return Err(Breach::broken(format!(
                    "{} of {} chunks are there",
                    count(reply.body.len() as u64),
                    count(LENGTH as u64)
                )));
            }
        }
        Ok(status)
    })?;
    match status {
        200..300 | 400 | 411 | 413 => Ok(format!(
            "{} in as many chunks: {status}; a neighbour was answered in {}",
            bytes(LENGTH as f64),
            neighbour.told()
        )),
        other => Err(Breach::broken(format!("it was answered with {other}"))),
    }
}

//! What is sent: a stream of seeded bytes for each client, and so what must come back.

/// After so many bytes a stream repeats. A prime, so that no two messages in a row are alike,
/// whatever their size.
const PERIOD: usize = 262_139;

/// The longest piece that can be had at once.
pub const PIECE: usize = 128 * 1024;

/// How far apart the streams of two neighbours start. Answers that went to the wrong client differ
/// from what it expects.
const STRIDE: usize = 4_099;

/// Any number will do; the same one makes two runs alike.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

/// What all clients of a workload send.
pub struct Work {
    /// Bytes of one message.
    pub message: u64,
    /// One period, and its beginning once more.
    pattern: Vec<u8>,
}

impl Work {
    /// Messages of `message` bytes.
    pub fn new(message: u64) -> Work {
        let mut state = SEED;
        let mut pattern = Vec::with_capacity(PERIOD + PIECE + 8);
        while pattern.len() < PERIOD {
            // xorshift64*
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let word = state.wrapping_mul(0x2545_F491_4F6C_DD1D);
            pattern.extend_from_slice(&word.to_le_bytes());
        }
        pattern.truncate(PERIOD);
        pattern.extend_from_within(..PIECE);
        Work { message, pattern }
    }

    /// The next [`PIECE`] bytes from `at` on in the stream of `client`.
    pub fn stream(&self, client: usize, at: u64) -> &[u8] {
        let start = (client * STRIDE + at as usize) % PERIOD;
        &self.pattern[start..start + PIECE]
    }
}

//! What is sent, and so what must come back.

use std::sync::Arc;

use super::http::Page;
use super::rooms::names::Names;

/// After so many bytes a seeded stream repeats. A prime, so that no two messages in a row are alike,
/// whatever their size. Small enough to stay in the cache beside what the kernel needs there.
const PERIOD: usize = 65_537;

/// The longest piece that can be had at once.
pub const PIECE: usize = 128 * 1024;

/// How far apart the streams of two neighbours start. Answers that went to the wrong client differ
/// from what it expects.
const STRIDE: usize = 4_099;

/// What clients say and hear.
#[derive(Clone, Debug)]
pub struct Work {
    /// Bytes of one message; zero where clients only listen.
    pub message: u64,
    /// Bytes of its answer; zero where nothing is answered.
    pub reply: u64,
    /// What they say.
    pub sent: Arc<Stream>,
    /// What they hear.
    pub expected: Expected,
}

/// What comes back.
#[derive(Clone, Debug)]
pub enum Expected {
    /// What was sent.
    Same,
    /// An answer of its own to each message.
    Other(Arc<Stream>),
    /// Anything: it is counted, not compared.
    Anything,
    /// Not a byte.
    Nothing,
    /// A file, over HTTP.
    Page(Arc<Page>),
    /// What others say in the same room of a chat.
    Others(Chat),
}

/// How clients are spread over rooms, and who talks there.
#[derive(Clone, Debug)]
pub struct Chat {
    /// Rooms. Each client is in one.
    pub rooms: usize,
    /// Members of a room that talk; where it has fewer, all of them.
    pub talkers: usize,
    /// What the server wants to hear first.
    pub password: Option<String>,
    /// Whether those who talk let the server's machine know at once what they have received. Without
    /// it a server that has not set TCP_NODELAY is measured by the 40 ms that clients take for that.
    pub quick_acks: bool,
    /// What they and the rooms are called.
    pub names: Names,
}

impl Work {
    /// Messages of `size` bytes, which come back.
    pub fn echo(size: u64, seed: u64) -> Work {
        Work {
            message: size,
            reply: size,
            sent: Arc::new(Stream::seeded(seed)),
            expected: Expected::Same,
        }
    }

    /// Messages of `size` bytes, as the server takes them; nothing comes back.
    pub fn sink(size: u64, seed: u64) -> Work {
        Work { reply: 0, expected: Expected::Nothing, ..Work::echo(size, seed) }
    }

    /// Nothing is sent; what comes is counted in messages of `size` bytes.
    pub fn source(size: u64) -> Work {
        Work { message: 0, expected: Expected::Anything, ..Work::echo(size, 0) }
    }

    /// Messages of `size` bytes, each answered by as many that are not compared.
    pub fn unchecked(size: u64, seed: u64) -> Work {
        Work { expected: Expected::Anything, ..Work::echo(size, seed) }
    }

    /// Requests for a file, each answered by it.
    pub fn page(page: Arc<Page>) -> Work {
        Work {
            message: page.request.len() as u64,
            // An empty file is an answer, too.
            reply: (page.body.len() as u64).max(1),
            sent: Arc::new(Stream::repeating(&page.request)),
            expected: Expected::Page(page),
        }
    }

    /// Lines of `size` bytes, said in so many `rooms`, by so many `talkers` in each.
    pub fn chat(size: u64, seed: u64, rooms: usize, talkers: usize) -> Work {
        let chat =
            Chat { rooms, talkers, password: None, quick_acks: false, names: Names::new(seed) };
        let sent = Arc::new(Stream::printable(seed));
        Work { message: size, reply: size, sent, expected: Expected::Others(chat) }
    }

    /// The same for a server of a chat that wants to hear a password first.
    pub fn opened_by(mut self, text: Option<String>) -> Work {
        if let Expected::Others(chat) = &mut self.expected {
            chat.password = text;
        }
        self
    }

    /// The same with [`Chat::quick_acks`], or without.
    pub fn acknowledged(mut self, quickly: bool) -> Work {
        if let Expected::Others(chat) = &mut self.expected {
            chat.quick_acks = quickly;
        }
        self
    }

    /// The same with a text of its own as each message.
    pub fn saying(self, text: &[u8]) -> Work {
        let message = text.len() as u64;
        let reply = if self.reply == 0 { 0 } else { message };
        Work { message, reply, sent: Arc::new(Stream::repeating(text)), ..self }
    }

    /// The same, each message answered by `text`.
    pub fn answered_by(self, text: &[u8]) -> Work {
        let expected = Expected::Other(Arc::new(Stream::repeating(text)));
        Work { reply: text.len() as u64, expected, ..self }
    }

    /// Bytes that may have come back once `sent` bytes were sent.
    pub fn allowed(&self, sent: u64) -> u64 {
        match &self.expected {
            Expected::Same => sent,
            Expected::Nothing => 0,
            Expected::Other(_) => sent / self.message * self.reply,
            Expected::Anything | Expected::Page(_) | Expected::Others(_) => u64::MAX,
        }
    }

    /// What must be heard, where it is known.
    pub fn expected(&self) -> Option<&Stream> {
        match &self.expected {
            Expected::Same => Some(&self.sent),
            Expected::Other(stream) => Some(stream),
            Expected::Anything | Expected::Nothing | Expected::Page(_) | Expected::Others(_) => {
                None
            }
        }
    }

    /// The file that is fetched, over HTTP.
    pub fn fetched(&self) -> Option<&Arc<Page>> {
        match &self.expected {
            Expected::Page(page) => Some(page),
            _ => None,
        }
    }

    /// The rooms, where what is said is meant for others.
    pub fn rooms(&self) -> Option<&Chat> {
        match &self.expected {
            Expected::Others(chat) => Some(chat),
            _ => None,
        }
    }

    /// How many of so many `clients` say something.
    pub fn senders(&self, clients: usize) -> usize {
        match self.rooms() {
            Some(chat) => chat.rooms * chat.talkers.min(clients / chat.rooms),
            None => clients,
        }
    }

    /// How many hear each message: whoever said it, or all others in the room.
    pub fn hearers(&self, clients: usize) -> usize {
        match self.rooms() {
            Some(chat) => (clients / chat.rooms).saturating_sub(1),
            None => 1,
        }
    }

    /// Whether clients only listen.
    pub fn listens_only(&self) -> bool {
        self.message == 0
    }
}

/// Endless bytes for each client, with any piece of them at hand.
pub struct Stream {
    /// One period or more, and its beginning once more.
    memory: Vec<u8>,
    period: usize,
    stride: usize,
}

impl Stream {
    /// Random bytes. The same seed gives the same ones.
    pub fn seeded(seed: u64) -> Stream {
        // Zero is the one state that xorshift cannot leave.
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x2545_F491_4F6C_DD1D;
        state |= u64::from(state == 0);
        let mut memory = Vec::with_capacity(PERIOD + PIECE + 8);
        while memory.len() < PERIOD {
            // xorshift64*
            state ^= state >> 12;
            state ^= state << 25;
            state ^= state >> 27;
            let word = state.wrapping_mul(0x2545_F491_4F6C_DD1D);
            memory.extend_from_slice(&word.to_le_bytes());
        }
        memory.truncate(PERIOD);
        while memory.len() < PERIOD + PIECE {
            memory.extend_from_within(..PERIOD.min(PERIOD + PIECE - memory.len()));
        }
        Stream { memory, period: PERIOD, stride: STRIDE }
    }

    /// Random bytes that can be seen, and that no line ends at: `!` to `~`. The same seed gives the
    /// same ones.
    pub fn printable(seed: u64) -> Stream {
        let mut stream = Stream::seeded(seed);
        for byte in &mut stream.memory {
            *byte = b'!' + *byte % (b'~' - b'!' + 1);
        }
        stream
    }

    /// The same text again and again, for every client.
    pub fn repeating(text: &[u8]) -> Stream {
        let times = 1 + PIECE.div_ceil(text.len());
        Stream { memory: text.repeat(times), period: text.len(), stride: 0 }
    }

    /// The next [`PIECE`] bytes from `at` on in the stream of `client`.
    pub fn piece(&self, client: usize, at: u64) -> &[u8] {
        let start = self.position(client, at);
        &self.memory[start..start + PIECE]
    }

    /// How far `bytes` lie from where they should be, `at` in the stream of `client`: positive if
    /// they come later in the stream. Of several places the nearest; `None` if they are nowhere.
    pub fn displacement(&self, client: usize, at: u64, bytes: &[u8]) -> Option<i64> {
        let here = self.position(client, at) as i64;
        let period = self.period as i64;
        (0..self.period)
            .filter(|&start| self.memory[start..].starts_with(bytes))
            .map(|start| {
                let ahead = (start as i64 - here).rem_euclid(period);
                if ahead > period / 2 { ahead - period } else { ahead }
            })
            .min_by_key(|ahead| ahead.abs())
    }

    /// Which of so many `clients` should have got what came to `client`, if it lies so far from where
    /// it should be. What is nearer than neighbours are to each other was not meant for another.
    pub fn addressee(&self, client: usize, displacement: i64, clients: usize) -> Option<usize> {
        if displacement.unsigned_abs() < self.stride as u64 || self.stride == 0 {
            return None;
        }
        let place = self.position(client, 0) as i64 + displacement;
        let place = place.rem_euclid(self.period as i64) as usize;
        (0..clients).find(|&other| self.position(other, 0) == place)
    }

    fn position(&self, client: usize, at: u64) -> usize {
        let place = (client * self.stride) as u64 + at;
        // Divided by what is known beforehand it is a multiplication, and this is for each message.
        match self.period {
            PERIOD => (place % PERIOD as u64) as usize,
            period => (place % period as u64) as usize,
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Stream of period {}", self.period)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_one_whatever_the_pieces() {
        for stream in [Stream::seeded(1), Stream::repeating(b"PING\r\n")] {
            for at in [0, 1, 5, PERIOD as u64 - 3, 7 * PERIOD as u64 + 11] {
                for client in [0, 1, 18_999] {
                    let whole = stream.piece(client, at);
                    assert_eq!(whole[100..][..1000], stream.piece(client, at + 100)[..1000]);
                }
            }
        }
    }

    #[test]
    fn streams_differ_by_seed_and_by_client() {
        let stream = Stream::seeded(1);
        assert_ne!(stream.piece(0, 0)[..64], Stream::seeded(2).piece(0, 0)[..64]);
        assert_ne!(stream.piece(0, 0)[..64], stream.piece(1, 0)[..64]);
        assert_eq!(stream.piece(3, 9)[..64], Stream::seeded(1).piece(3, 9)[..64]);
    }

    #[test]
    fn a_displacement_is_found_in_both_directions() {
        let stream = Stream::seeded(7);
        let at = 1_000_000_u64;
        for displacement in [-500, -1, 0, 1, 64, 5000] {
            let bytes = &stream.piece(3, at.checked_add_signed(displacement).unwrap())[..16];
            assert_eq!(stream.displacement(3, at, bytes), Some(displacement));
        }
        assert_eq!(stream.displacement(3, at, &[0; 16]), None);
    }

    #[test]
    fn an_addressee_is_found_among_the_clients() {
        let stream = Stream::seeded(7);
        for other in [0, 1, 2, 4, 9] {
            let bytes = &stream.piece(other, 5000)[..16];
            let displacement = stream.displacement(3, 5000, bytes).unwrap();
            assert_eq!(stream.addressee(3, displacement, 10), Some(other));
        }
        assert_eq!(stream.addressee(3, STRIDE as i64, 4), None);
        assert_eq!(stream.addressee(3, 64, 10), None);
        assert_eq!(Stream::repeating(b"PING").addressee(3, 1, 10), None);
    }

    #[test]
    fn what_may_come_back_follows_what_was_sent() {
        let echo = Work::echo(64, 1);
        assert_eq!(echo.allowed(63), 63);
        let ping = Work::echo(64, 1).saying(b"PING\r\n").answered_by(b"+PONG\r\n");
        assert_eq!((ping.message, ping.reply), (6, 7));
        assert_eq!([5, 6, 11, 12].map(|sent| ping.allowed(sent)), [0, 7, 7, 14]);
        assert_eq!(Work::sink(64, 1).allowed(640), 0);
    }
}

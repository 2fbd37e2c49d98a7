//! Bytes in, lines out, in bounded memory.

/// The longest line that is kept: 8191 bytes of tags (IRCv3 message-tags) and 512 of message, rounded
/// up. What a line has beyond that is dropped.
const LONGEST: usize = 16 * 1024;

/// A line that is not complete yet.
#[derive(Default)]
pub struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    /// Hands each line that `bytes` complete to `take`, without its end and without NUL. Lines end
    /// with LF; a CR anywhere ends them as well, for no server puts one elsewhere.
    pub fn split(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        for &byte in bytes {
            match byte {
                b'\n' | b'\r' => {
                    if !self.begun.is_empty() {
                        take(&self.begun);
                    }
                    self.begun.clear();
                }
                0 => {}
                byte if self.begun.len() < LONGEST => self.begun.push(byte),
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Vec<u8>> {
        let mut lines = Lines::default();
        let mut all = Vec::new();
        chunks.iter().for_each(|chunk| lines.split(chunk, |line| all.push(line.to_vec())));
        all
    }

    #[test]
    fn every_split_gives_the_same_lines() {
        let input = b"PING :a\r\n\r\n:b PRIVMSG #c :\xc3\xa9\n\0NOTICE d\r\nnot complete";
        let whole = split(&[input]);
        assert_eq!(whole, [&b"PING :a"[..], b":b PRIVMSG #c :\xc3\xa9", b"NOTICE d"]);
        for at in 0..=input.len() {
            let (first, second) = input.split_at(at);
            assert_eq!(split(&[first, second]), whole, "cut at {at}");
        }
    }

    #[test]
    fn a_line_without_end_takes_bounded_memory() {
        let mut lines = Lines::default();
        for _ in 0..100 {
            lines.split(&[b'x'; 4096], |_| panic!("it has no end"));
        }
        assert!(lines.begun.capacity() <= 2 * LONGEST);
        let mut length = 0;
        lines.split(b"\nnext\n", |line| length = line.len());
        assert_eq!(length, 4, "the next line is whole");
    }
}

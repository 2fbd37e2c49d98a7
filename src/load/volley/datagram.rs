//! What a datagram of the load generator looks like: its number, then bytes that belong to it.
//!
//! ```text
//!   0               8                           size
//!   +---------------+---------------------------+
//!   | number, big-  | the client's seeded       |
//!   | endian, u64   | stream from there on      |
//!   +---------------+---------------------------+
//! ```

use std::net::IpAddr;

use crate::load::work::Stream;

/// Bytes of the number, and so of the shortest datagram.
pub const NUMBER: usize = size_of::<u64>();

/// The longest datagram that an address of this kind takes: what 16 bits of length leave, less
/// the headers that are counted in it (RFC 768, RFC 8200 §3).
pub fn longest(address: IpAddr) -> usize {
    match address {
        IpAddr::V4(_) => 65_535 - 20 - 8,
        IpAddr::V6(_) => 65_535 - 8,
    }
}

/// Datagrams of one size.
pub struct Form<'a> {
    /// What is in them behind the number.
    pub stream: &'a Stream,
    /// Bytes of each, [`NUMBER`] at least.
    pub size: usize,
}

impl Form<'_> {
    /// Writes the datagram `number` of `client` into `buffer`.
    pub fn write<'b>(&self, client: usize, number: u64, buffer: &'b mut [u8]) -> &'b [u8] {
        let datagram = &mut buffer[..self.size];
        datagram[..NUMBER].copy_from_slice(&number.to_be_bytes());
        datagram[NUMBER..].copy_from_slice(self.rest(client, number));
        datagram
    }

    /// The number in front of what came; `None` if it is too short to have one.
    pub fn number(came: &[u8]) -> Option<u64> {
        Some(u64::from_be_bytes(*came.first_chunk()?))
    }

    /// Whether what came with `number` in front is right behind that.
    pub fn is_right(&self, client: usize, number: u64, came: &[u8]) -> bool {
        came.len() == self.size && came[NUMBER..] == *self.rest(client, number)
    }

    /// Whether what is wrong may still be the answer to `number`: most of it is. Of another one
    /// nearly every byte differs, so this tells a damaged number from damage behind it.
    pub fn is_mostly_right(&self, client: usize, number: u64, came: &[u8]) -> bool {
        let rest = &came[NUMBER..];
        let same = rest.iter().zip(self.rest(client, number)).filter(|(a, b)| a == b).count();
        2 * same >= rest.len().min(self.size - NUMBER)
    }

    /// What is wrong with an answer, and the first place of it. So many datagrams were `begun`.
    pub fn diagnose(&self, client: usize, begun: u64, came: &[u8]) -> (u64, String) {
        let Some(number) = Self::number(came) else {
            return (0, format!("{} came, and a number alone has {NUMBER}", bytes(came.len())));
        };
        if number >= begun {
            return (0, format!("it has the number {number}, which was not sent yet"));
        }
        let due = self.rest(client, number);
        let rest = &came[NUMBER..];
        let differing = rest.iter().zip(due).filter(|(came, due)| came != due).count();
        let first = rest.iter().zip(due).position(|(came, due)| came != due);
        match first {
            Some(at) => {
                let (came, due) = (rest[at], due[at]);
                let corrupted = bytes(differing);
                let here = format!("0x{came:02x} came where 0x{due:02x} was due");
                let at = (NUMBER + at) as u64;
                (at, format!("{corrupted} of datagram {number} corrupted ({here})"))
            }
            None => {
                let at = came.len().min(self.size) as u64;
                let (came, sent) = (bytes(came.len()), self.size);
                (at, format!("{came} of datagram {number} came, and {sent} were sent"))
            }
        }
    }

    fn rest(&self, client: usize, number: u64) -> &[u8] {
        let length = self.size - NUMBER;
        &self.stream.piece(client, number.wrapping_mul(length as u64))[..length]
    }
}

fn bytes(n: usize) -> String {
    if n == 1 { "1 byte".into() } else { format!("{n} bytes") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_told_from_its_neighbours_and_from_other_clients() {
        let stream = Stream::seeded(1);
        for size in [9, 64, 65_507, 65_527] {
            let form = Form { stream: &stream, size };
            let mut buffer = vec![0; size];
            let datagram = form.write(3, 17, &mut buffer).to_vec();
            assert_eq!(datagram.len(), size);
            assert_eq!(Form::number(&datagram), Some(17));
            assert!(form.is_right(3, 17, &datagram));
            assert!(!form.is_right(4, 17, &datagram) && !form.is_right(3, 18, &datagram));
            assert!(!form.is_right(3, 17, &datagram[..size - 1]));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let stream = Stream::seeded(1);
        let form = Form { stream: &stream, size: 64 };
        let mut buffer = [0; 80];
        let right = form.write(0, 5, &mut buffer).to_vec();
        let told = |came: &[u8]| form.diagnose(0, 6, came);
        let mut flipped = right.clone();
        flipped[20] ^= 1;
        let (at, detail) = told(&flipped);
        assert_eq!(at, 20);
        assert!(detail.starts_with("1 byte of datagram 5 corrupted (0x"), "{detail}");
        assert!(form.is_mostly_right(0, 5, &flipped));
        assert_eq!(
            told(&right[..40]),
            (40, "40 bytes of datagram 5 came, and 64 were sent".into())
        );
        assert!(told(&[&right[..], b"!"].concat()).1.starts_with("65 bytes of datagram 5"));
        assert!(told(&right[..3]).1.starts_with("3 bytes came"));
        assert!(told(&[0xff; 64]).1.contains("was not sent yet"));
        let mut renumbered = right.clone();
        renumbered[7] = 4;
        assert!(!form.is_mostly_right(0, 4, &renumbered));
    }
}

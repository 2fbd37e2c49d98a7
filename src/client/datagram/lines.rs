//! Standard input, line by line, for somebody who may not sleep in `read`.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};

use crate::client::{CHUNK, Error};

/// What was read and not yet taken.
///
/// Not std's reader of lines: that one cannot say whether another line is in its buffer, where poll
/// does not see it.
pub struct Lines {
    input: File,
    buffer: Vec<u8>,
    /// Where the next line begins.
    start: usize,
    taken: u64,
    ended: bool,
}

impl Lines {
    /// Nothing is read yet.
    pub fn of_stdin() -> Result<Lines, Error> {
        let input = io::stdin().as_fd().try_clone_to_owned();
        let input = File::from(input.map_err(|error| Error::Local("standard input", error))?);
        Ok(Lines { input, buffer: Vec::new(), start: 0, taken: 0, ended: false })
    }

    /// For `poll`, until the input has ended.
    pub fn input(&self) -> Option<BorrowedFd<'_>> {
        (!self.ended).then(|| self.input.as_fd())
    }

    /// Whether all was read; lines may be left to take.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Reads once.
    pub fn read(&mut self) -> Result<(), Error> {
        self.buffer.drain(..self.start);
        self.start = 0;
        let before = self.buffer.len();
        self.buffer.resize(before + CHUNK, 0);
        let read = self.input.read(&mut self.buffer[before..]);
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => self.ended = true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::Local("standard input", error)),
        }
        Ok(())
    }

    /// The next line with its end, which the last one may lack. Fails if it has more than `limit`
    /// bytes, whether or not its end was read.
    pub fn next(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Error> {
        let rest = &self.buffer[self.start..];
        let end = rest.iter().position(|&byte| byte == b'\n').map(|at| at + 1);
        if end.unwrap_or(rest.len()) > limit {
            return Err(Error::TooLong(format!("line {}", self.taken + 1), limit));
        }
        let line = match end {
            Some(end) => rest[..end].to_vec(),
            None if self.ended && !rest.is_empty() => rest.to_vec(),
            None => return Ok(None),
        };
        self.start += line.len();
        self.taken += 1;
        Ok(Some(line))
    }
}

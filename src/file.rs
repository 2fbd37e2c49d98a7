//! Files on their way to a peer: read without waiting for the disk, or sent by the kernel from where
//! they lie.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::fcntl::{PosixFadviseAdvice, posix_fadvise};
use rustix::fs::sendfile;
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use rustix::net::{SendFlags, send};

/// What is sent of a file before others get their turns. With less, a fast peer costs a system call
/// for each piece; a megabyte takes a tenth of a millisecond.
const PIECE: u64 = 1024 * 1024;

/// What is fetched ahead when something was not there: a disk is slow to begin and quick to go on.
const AHEAD: u64 = 8 * 1024 * 1024;

/// A part of a file.
#[derive(Debug)]
pub struct Excerpt {
    file: Arc<File>,
    offset: u64,
    length: u64,
}

impl Excerpt {
    /// `most` bytes at `offset`, or as many of them as are sent at once.
    pub fn new(file: Arc<File>, offset: u64, most: u64) -> Excerpt {
        Excerpt { file, offset, length: most.min(PIECE) }
    }

    /// Bytes that were not sent yet.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Fails with [`WouldBlock`](io::ErrorKind::WouldBlock) where sending would wait for the disk.
    /// The first and the last byte stand for all: files are fetched in one go.
    pub fn is_fetched(&self) -> io::Result<()> {
        for offset in [self.offset, self.offset + self.length - 1] {
            read_at(&self.file, &mut [0], offset, true)?;
        }
        Ok(())
    }

    /// Sends what the socket takes, and waits where that does. Fails where the file has ended.
    pub fn send(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let sent = sendfile(socket, &self.file, Some(&mut self.offset), self.length as usize)?;
        self.length -= sent as u64;
        match sent {
            0 => Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the file became shorter while it was sent",
            )),
            _ => Ok(sent),
        }
    }
}

/// Sends what goes before a part of a file: both may leave in one segment.
pub fn before_more(socket: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    match bytes {
        [] => Ok(0),
        _ => Ok(send(socket, bytes, SendFlags::MORE)?),
    }
}

/// Reads what a file has at `offset`, as pread(2). Where nobody may wait, what the disk would have to
/// be asked for is asked for, and fails with [`WouldBlock`](io::ErrorKind::WouldBlock).
pub fn read_at(file: &File, into: &mut [u8], offset: u64, at_once: bool) -> io::Result<usize> {
    if !at_once {
        return file.read_at(into, offset);
    }
    match preadv2(file, &mut [IoSliceMut::new(into)], offset, ReadWriteFlags::NOWAIT) {
        Err(Errno::AGAIN) => {
            posix_fadvise(
                file,
                offset as i64,
                AHEAD.max(into.len() as u64) as i64,
                PosixFadviseAdvice::POSIX_FADV_WILLNEED,
            )?;
            Err(io::ErrorKind::WouldBlock.into())
        }
        // Not every file system can tell.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => file.read_at(into, offset),
        outcome => Ok(outcome?),
    }
}

//! Memory to read into.

use crate::session::LINE;

/// Zeroed bytes that begin on a cache line.
///
/// malloc puts a large block 16 bytes into a page, and what the kernel copies from begins with one.
/// On an AMD EPYC its `rep movsb` then takes twice as long: 64 KiB messages cost 2.3 times the CPU.
#[derive(Default)]
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
}

impl Buffer {
    pub fn new(length: usize) -> Buffer {
        let mut memory = vec![0; length + LINE];
        let start = memory.as_ptr().align_offset(LINE);
        memory.truncate(start + length);
        Buffer { memory, start }
    }

    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..]
    }
}

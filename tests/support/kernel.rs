//! A process under a kernel that is as unkind as it may be (tests/peers/kernel.c), and what that has
//! told it.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use super::run::{Scratch, by};

/// What the kernel tells that need not be so, as kernel.c counts it.
#[derive(Clone, Copy, Debug)]
pub enum Lie {
    Short,
    Again,
    Interrupted,
    News,
    Refused,
}

/// A kernel for one process.
pub struct Kernel {
    seed: u64,
    tally: Scratch,
}

impl Kernel {
    /// What it does follows from `seed`; when, from how the threads come along.
    pub fn new(seed: u64) -> Kernel {
        let tally = Scratch::file("tally");
        File::create(tally.path()).expect("there is space").set_len(64).expect("there is space");
        Kernel { seed, tally }
    }

    /// The same command under this kernel, without a log.
    pub fn under(&self, command: Command) -> Command {
        static LIBRARY: OnceLock<Scratch> = OnceLock::new();
        let library = LIBRARY.get_or_init(build);
        // See there why.
        let ignoring = r#"trap "" SEGV BUS; exec "$0" "$@""#;
        let mut shell = by(&["sh", "-c", ignoring], &command);
        shell
            .stderr(Stdio::null())
            .env("LD_PRELOAD", library.path())
            .env("FAKE_KERNEL", self.seed.to_string())
            .env("FAKE_KERNEL_TALLY", self.tally.path());
        shell
    }

    /// How often it has told that.
    pub fn told(&self, lie: Lie) -> u64 {
        let mut count = [0; 8];
        let tally = File::open(self.tally.path()).expect("it was made");
        tally.read_exact_at(&mut count, 8 * lie as u64).expect("it was made as long");
        u64::from_ne_bytes(count)
    }
}

fn build() -> Scratch {
    let library = Scratch::file("kernel.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/kernel.c");
    let mut cc = Command::new("cc");
    cc.args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o"]);
    let built = cc.arg(library.path()).arg(source).status().expect("rustc links with cc, too");
    assert!(built.success() && fs::metadata(library.path()).is_ok(), "it can be compiled");
    library
}

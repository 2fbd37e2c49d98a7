//! Ctrl-C, for commands that have something to do or to say even then.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::process;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::{flag, low_level};
use socklab::engine::ignored_at_start;
use socklab::failure::cause;
use socklab::load::watch::Watch;

use super::{Failure, INTERRUPTED};

/// Lets the first SIGINT, SIGTERM or SIGHUP stop the measurement, so that what was measured is reported
/// and what was changed is put back. A second one ends the process at once; servers it has started end
/// with it. SIGHUP stays ignored where it is, as nohup(1) has it.
pub fn stop_on_ctrl_c(watch: &Arc<Watch>) -> Result<(), Failure> {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        if signal == SIGHUP && ignored_at_start(SIGHUP) {
            continue;
        }
        let armed = Arc::new(AtomicBool::new(false));
        // In this order: the first signal arms what the second one finds armed.
        flag::register_conditional_shutdown(signal, INTERRUPTED.into(), armed.clone())
            .and_then(|_| flag::register(signal, armed))
            .and_then(|_| flag::register(signal, watch.stop.clone()))
            .map_err(|error| format!("cannot prepare for Ctrl-C: {error}"))?;
    }
    Ok(())
}

/// Becomes readable with the first SIGINT or SIGTERM; a second one ends the process at once.
pub fn readable() -> Result<UnixStream, Failure> {
    let prepared = || -> io::Result<UnixStream> {
        let (reader, writer) = UnixStream::pair()?;
        writer.set_nonblocking(true)?;
        let armed = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // In this order: the first signal arms what the second one finds armed.
            flag::register_conditional_shutdown(signal, INTERRUPTED.into(), armed.clone())?;
            flag::register(signal, armed.clone())?;
            low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(reader)
    };
    prepared().map_err(|error| format!("cannot prepare for Ctrl-C: {}", cause(&error)).into())
}

/// Ends the process with the first SIGINT or SIGTERM, wherever it stands, after a last `word`. For
/// commands that may be killed at any time.
pub fn end_with(word: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let mut interrupt = readable()?;
    let waiting = move || {
        // It cannot fail: this process has the other end, too.
        if matches!(interrupt.read(&mut [0]), Ok(1)) {
            word();
            process::exit(INTERRUPTED.into());
        }
    };
    thread::Builder::new()
        .name("interrupt".into())
        .spawn(waiting)
        .map_err(|error| format!("cannot prepare for Ctrl-C: {}", cause(&error)))?;
    Ok(())
}

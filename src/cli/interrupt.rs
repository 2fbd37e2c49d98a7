//! Ctrl-C, for commands that have something to report even then.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use socklab::load::watch::Watch;

use super::{Failure, INTERRUPTED};

/// Lets the first SIGINT or SIGTERM stop the measurement, so that what was measured is reported. A
/// second one ends the process at once; servers it has started end with it.
pub fn stop_on_ctrl_c(watch: &Arc<Watch>) -> Result<(), Failure> {
    for signal in [SIGINT, SIGTERM] {
        let armed = Arc::new(AtomicBool::new(false));
        // In this order: the first signal arms what the second one finds armed.
        flag::register_conditional_shutdown(signal, INTERRUPTED.into(), armed.clone())
            .and_then(|_| flag::register(signal, armed))
            .and_then(|_| flag::register(signal, watch.stop.clone()))
            .map_err(|error| format!("cannot prepare for Ctrl-C: {error}"))?;
    }
    Ok(())
}

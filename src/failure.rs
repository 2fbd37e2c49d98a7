//! How failures are told: one line that says what was attempted, why it failed, and what to do.

use std::io;

/// An error as its system call names it, without the number.
pub fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    match text.split_at_checked(1) {
        Some((first, rest)) => first.to_lowercase() + rest,
        None => text.into(),
    }
}

/// Why `host` has no address.
pub fn unresolved(host: &str, error: &io::Error) -> String {
    let advice = match host.rsplit_once(':') {
        Some((_, port)) if port.parse::<u16>().is_ok() => "the port is given with --port",
        _ => "check --host",
    };
    format!("cannot find the address of {host:?}: {}; {advice}", cause(error))
}

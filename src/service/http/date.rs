//! The date of answers (RFC 9110, 6.6.1), composed once a second.

use std::cell::Cell;
use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Bytes of `Sun, 06 Nov 1994 08:49:37 GMT`.
pub const LENGTH: usize = 29;

thread_local! {
    static LAST: Cell<(u64, [u8; LENGTH])> = const { Cell::new((0, [0; LENGTH])) };
}

/// The present second, as a date.
pub fn now() -> [u8; LENGTH] {
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    LAST.with(|last| {
        let (known, mut date) = last.get();
        if known != second {
            date = of(UNIX_EPOCH + Duration::from_secs(second));
            last.set((second, date));
        }
        date
    })
}

/// A time as a date, to the second.
pub fn of(time: SystemTime) -> [u8; LENGTH] {
    let mut text = Vec::with_capacity(LENGTH);
    // The format has four digits for the year.
    let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    let _ = write!(text, "{}", httpdate::HttpDate::from(time.clamp(UNIX_EPOCH, last)));
    text.try_into().unwrap_or([b' '; LENGTH])
}

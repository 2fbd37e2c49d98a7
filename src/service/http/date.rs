//! The date of answers (RFC 9110, 6.6.1), composed once a second.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// A time as a date, to the second.
pub fn of(time: SystemTime) -> HttpDate {
    // The format has four digits for the year.
    let last = UNIX_EPOCH + Duration::from_secs(253_402_300_799);
    HttpDate::from(time.clamp(UNIX_EPOCH, last))
}

/// Bytes of `Sun, 06 Nov 1994 08:49:37 GMT`.
const LENGTH: usize = 29;

thread_local! {
    static LAST: Cell<(u64, [u8; LENGTH])> = const { Cell::new((0, [0; LENGTH])) };
}

/// The present second, as a date.
pub fn now() -> [u8; LENGTH] {
    let second = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    LAST.with(|last| {
        let (known, mut date) = last.get();
        if known != second {
            let text = of(UNIX_EPOCH + Duration::from_secs(second)).to_string();
            date.copy_from_slice(text.as_bytes());
            last.set((second, date));
        }
        date
    })
}

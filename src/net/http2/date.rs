//! The `Date` of answers (RFC 9110 section 6.6.1), written once a second.

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use actix_web::http::header::{HeaderValue, HttpDate, TryIntoHeaderValue as _};

thread_local! {
    static WRITTEN: RefCell<Option<(u64, HeaderValue)>> = const { RefCell::new(None) };
}

/// The date of now; `None` if this machine has none that can be written.
pub(super) fn now() -> Option<HeaderValue> {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).ok()?.as_secs();
    WRITTEN.with_borrow_mut(|written| match written {
        Some((of, value)) if *of == second => Some(value.clone()),
        _ => {
            let value = HttpDate::from(now).try_into_value().ok()?;
            *written = Some((second, value.clone()));
            Some(value)
        }
    })
}

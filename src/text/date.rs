//! Dates as people and files write them.

use jiff::{civil::DateTime, tz::TimeZone};

use crate::base::Timestamp;

/// Characters of a date at most; what is longer is no date and is not worth showing whole.
const MAX_DATE_CHARS: usize = 60;

/// A moment from text: `2014-12-12`, `2014-12-12 09:30`, `2014-12-12T09:30:00Z`,
/// `2014-12-12 09:30:00 +0100` (Jekyll); years 0001 to 9999.
///
/// Without an offset it is the time in `zone`; without a time it is the start of that day there.
/// The last moment that can be stored is 9999-12-30T22:00:00Z.
///
/// # Errors
/// A sentence that says what was read and how to write it.
pub fn parse(text: &str, zone: &TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("the date is empty; write it like 2014-12-12 or 2014-12-12 09:30".to_owned());
    }
    if text.chars().count() > MAX_DATE_CHARS {
        return Err(
            "the date is too long; write it like 2014-12-12 or 2014-12-12 09:30".to_owned(),
        );
    }
    let wrong = || {
        format!(
            "“{}” is not a date; write it like 2014-12-12 or 2014-12-12 09:30 (years 0001 to 9999)",
            text.escape_debug()
        )
    };
    // Four digits and a hyphen: no signed or six-digit years, no week dates, no bare times.
    let bytes = text.as_bytes();
    let has_year =
        bytes.len() >= 10 && bytes[..4].iter().all(u8::is_ascii_digit) && bytes[4] == b'-';
    if !has_year || text.starts_with("0000") || text.contains('[') {
        return Err(wrong());
    }
    let joined = join_offset(text);
    if let Ok(moment) = joined.parse::<jiff::Timestamp>() {
        return Ok(moment.into());
    }
    // An offset that was not understood must not be dropped without a word.
    let time = joined.get(10..).unwrap_or_default();
    if time.contains(['+', '-', 'Z', 'z']) {
        return Err(wrong());
    }
    let civil: DateTime = joined.parse().map_err(|_| wrong())?;
    let moment = civil.to_zoned(zone.clone()).map_err(|_| {
        format!("the date “{text}” is too far away; the last one that can be stored is 9999-12-30")
    })?;
    Ok(moment.timestamp().into())
}

/// The moment as a form shows it and [`parse`] reads it, in `zone`: `2014-12-12 09:30`.
pub fn for_form(at: Timestamp, zone: &TimeZone) -> String {
    at.to_jiff()
        .to_zoned(zone.clone())
        .strftime("%Y-%m-%d %H:%M")
        .to_string()
}

/// Puts an offset that stands by itself (`09:30:00 +0100`, `09:30:00 UTC`) where RFC 3339 has it.
fn join_offset(text: &str) -> String {
    match text.rsplit_once(' ') {
        Some((moment, "UTC" | "utc" | "GMT")) => format!("{}Z", moment.trim_end()),
        Some((moment, offset)) if offset.starts_with(['+', '-', 'Z', 'z']) => {
            format!("{}{offset}", moment.trim_end())
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("a valid rule")
    }

    #[test]
    fn dates_of_every_generator_are_read() {
        for (text, expected) in [
            ("2014-12-12", "2014-12-11T23:00:00Z"),
            (" 2014-12-12 ", "2014-12-11T23:00:00Z"),
            ("2014-12-12 09:30", "2014-12-12T08:30:00Z"),
            ("2014-07-12 09:30", "2014-07-12T07:30:00Z"),
            ("2014-12-12T09:30:00", "2014-12-12T08:30:00Z"),
            ("2014-12-12T09:30:00Z", "2014-12-12T09:30:00Z"),
            ("2014-12-12T09:30:00.25+02:00", "2014-12-12T07:30:00Z"),
            ("2014-12-12 09:30:00 +0100", "2014-12-12T08:30:00Z"),
            ("2014-12-12 09:30:00 -0800", "2014-12-12T17:30:00Z"),
            ("2014-12-12 09:30:00 UTC", "2014-12-12T09:30:00Z"),
            ("2014-12-12 09:30 +0100", "2014-12-12T08:30:00Z"),
            ("1600-02-29", "1600-02-28T23:00:00Z"),
            ("9999-12-30", "9999-12-29T23:00:00Z"),
            ("0001-01-02", "0001-01-01T23:00:00Z"),
        ] {
            let read = parse(text, &berlin()).map(Timestamp::rfc3339);
            assert_eq!(read.as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused_with_a_sentence_that_says_how_to_write_one() {
        for text in [
            "",
            "tomorrow",
            "12.12.2014",
            "2014",
            "2014-13-01",
            "2014-02-30",
            "2014-12-12 25:00",
            "0000-01-01",
            "-0001-01-01",
            "2014-12-12 09:30 +99:99",
            "2014-12-12T09:30[Europe/Berlin]",
            "2014-12-12 \u{202e}09:30",
            "２０１４-12-12",
            &"9".repeat(10_000),
        ] {
            let problem = parse(text, &berlin()).expect_err(text);
            assert!(problem.contains("2014-12-12 09:30"), "{problem}");
            assert!(problem.len() < 400, "{problem}");
            assert!(!problem.contains('\u{202e}'), "{problem}");
        }
        assert!(parse("9999-12-31", &berlin()).is_err());
    }

    #[test]
    fn what_a_form_shows_is_read_back_to_the_minute() {
        for seconds in [
            0_i64,
            1_418_373_000,
            1_752_300_000,
            -11_670_000_000,
            253_000_000_020,
        ] {
            let at = Timestamp(seconds - seconds.rem_euclid(60));
            assert_eq!(parse(&for_form(at, &berlin()), &berlin()), Ok(at));
        }
    }
}

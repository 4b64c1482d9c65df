//! A moment in the past, as people write it.

use jiff::{
    Span, Timestamp as Instant, Zoned,
    civil::{DateTime, Time},
    tz::{AmbiguousOffset, TimeZone},
};

use crate::base::Timestamp;

/// What can be written.
const FORMS: &str =
    "\"2026-11-27 14:02\", \"14:02\" of today, \"2026-11-27T14:02:00+01:00\" or \"10 minutes ago\"";

/// Reads a moment; a time without a zone is one on the clock of this machine.
///
/// # Errors
/// In words, with what can be written instead.
pub(super) fn parse(text: &str) -> Result<Timestamp, String> {
    let zone = TimeZone::system();
    read(text.trim(), &Instant::now().to_zoned(zone)).map(Timestamp::from)
}

/// A moment on the clock of this machine, to the second.
pub(super) fn exactly(moment: Timestamp) -> String {
    let here = moment.to_jiff().to_zoned(TimeZone::system());
    here.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment of the calendar of the whole world: `2026-11-27 14:02:07 UTC`.
pub(super) fn in_utc(moment: Timestamp) -> String {
    moment.rfc3339().replace('T', " ").replace('Z', " UTC")
}

fn read(text: &str, now: &Zoned) -> Result<Instant, String> {
    if let Ok(moment) = text.parse::<Instant>() {
        return Ok(moment);
    }
    let wrong = || format!("{text:?} is no moment; write one such as {FORMS}");
    if let Some(ago) = text.strip_suffix(" ago") {
        let span: Span = ago.parse().map_err(|_| wrong())?;
        let then = now.checked_sub(span.abs()).map_err(|_| wrong())?;
        return Ok(then.timestamp());
    }
    let padded = with_two_digits(text);
    let civil = padded
        .parse::<DateTime>()
        .or_else(|_| {
            padded
                .parse::<Time>()
                .map(|time| DateTime::from_parts(now.date(), time))
        })
        .map_err(|_| wrong())?;
    let ambiguous = now.time_zone().to_ambiguous_zoned(civil);
    match ambiguous.offset() {
        AmbiguousOffset::Unambiguous { .. } => {}
        AmbiguousOffset::Gap { .. } => {
            return Err(format!(
                "{civil} was never on the clock of this machine: it was set forward that day"
            ));
        }
        AmbiguousOffset::Fold { before, after } => {
            return Err(format!(
                "{civil} was twice on the clock of this machine: write {civil}{before} for the first time, or \
                 {civil}{after} for the second one"
            ));
        }
    }
    let moment = ambiguous.compatible().map_err(|_| wrong())?;
    Ok(moment.timestamp())
}

/// The same with a zero before an hour of one digit: `9:05`, `2026-11-27 9:05`.
fn with_two_digits(text: &str) -> String {
    let hour = text.find(':').map(|colon| {
        text[..colon]
            .trim_end_matches(|c: char| c.is_ascii_digit())
            .len()
    });
    match hour {
        Some(hour) if text[hour..].find(':') == Some(1) => {
            format!("{}0{}", &text[..hour], &text[hour..])
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::read;

    #[test]
    fn a_moment_is_read_as_people_write_it() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let now: jiff::Timestamp = "2026-11-27T14:30:20Z".parse().unwrap();
        let now = now.to_zoned(zone);
        for (text, wanted) in [
            ("2026-11-27 14:02", "2026-11-27T13:02:00Z"),
            ("2026-11-27T14:02:07", "2026-11-27T13:02:07Z"),
            ("2026-07-01 14:02", "2026-07-01T12:02:00Z"),
            ("2026-11-27", "2026-11-26T23:00:00Z"),
            ("14:02", "2026-11-27T13:02:00Z"),
            ("9:05", "2026-11-27T08:05:00Z"),
            ("2026-11-27 9:05", "2026-11-27T08:05:00Z"),
            ("2026-11-27T9:05", "2026-11-27T08:05:00Z"),
            ("2026-11-27T14:02:00+05:00", "2026-11-27T09:02:00Z"),
            ("2026-11-27T14:02:00Z", "2026-11-27T14:02:00Z"),
            ("2026-11-27 14:02Z", "2026-11-27T14:02:00Z"),
            ("2026-10-25T02:30:00+02:00", "2026-10-25T00:30:00Z"),
            ("10 minutes ago", "2026-11-27T14:20:20Z"),
            ("1 minute ago", "2026-11-27T14:29:20Z"),
            ("2 hours ago", "2026-11-27T12:30:20Z"),
            ("1 day ago", "2026-11-26T14:30:20Z"),
            ("90s ago", "2026-11-27T14:28:50Z"),
            ("1 hour 30 minutes ago", "2026-11-27T13:00:20Z"),
        ] {
            assert_eq!(
                read(text, &now).map(|t| t.to_string()),
                Ok(wanted.into()),
                "{text}"
            );
        }
        for (text, word) in [
            ("", "10 minutes ago"),
            ("yesterday", "2026-11-27 14:02"),
            ("ago", "14:02"),
            ("some time ago", "14:02"),
            ("2026-13-01", "14:02"),
            ("25:00", "14:02"),
            ("2026-03-29 02:30", "set forward"),
            ("2026-10-25 02:30", "2026-10-25T02:30:00+02"),
            ("9999999999 years ago", "14:02"),
        ] {
            let told = read(text, &now).unwrap_err();
            assert!(told.contains(word), "{text}: {told}");
        }
    }
}

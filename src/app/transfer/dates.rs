//! Dates and addresses that are in a file's name or path.

use jiff::tz::TimeZone;

use crate::{base::Timestamp, text::date};

/// `2014-12-12-title` as Jekyll and Zola name files: the date and the rest.
pub(super) fn split_dated_name(stem: &str) -> Option<(Timestamp, &str)> {
    let (day, rest) = stem.split_at_checked(10)?;
    let rest = rest.strip_prefix(['-', '_', ' '])?;
    let is_day = day.bytes().enumerate().all(|(i, b)| {
        if i == 4 || i == 7 {
            b == b'-'
        } else {
            b.is_ascii_digit()
        }
    });
    if !is_day || rest.is_empty() {
        return None;
    }
    date::parse(day, &TimeZone::UTC).ok().map(|at| (at, rest))
}

/// The date that an address begins with: `/2014/12/12/title`.
pub(super) fn date_of_path(path: &str) -> Option<Timestamp> {
    let mut parts = path.trim_start_matches('/').split('/');
    let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
    let is_number =
        |text: &str, digits| text.len() == digits && text.bytes().all(|b| b.is_ascii_digit());
    if !is_number(year, 4) || !is_number(month, 2) || !is_number(day, 2) {
        return None;
    }
    date::parse(&format!("{year}-{month}-{day}"), &TimeZone::UTC).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_from_names_and_paths_and_from_nothing_else() {
        let day = Some(Timestamp(1_418_342_400));
        assert_eq!(split_dated_name("2014-12-12-hello").map(|(at, _)| at), day);
        assert_eq!(
            split_dated_name("2014-12-12-hello").map(|(_, rest)| rest),
            Some("hello")
        );
        for name in [
            "2014-13-12-hello",
            "2014-12-12",
            "2014-12-12-",
            "hello",
            "日本語日本語日本語",
            "20141212-hello",
        ] {
            assert!(split_dated_name(name).is_none(), "{name}");
        }
        assert_eq!(date_of_path("/2014/12/12/1.0-Timeline"), day);
        assert!(date_of_path("/2014/12/31st/x").is_none());
        assert!(date_of_path("/about").is_none());
    }
}

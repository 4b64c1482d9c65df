//! When somebody who was asked too often wants to be asked again.

use crate::base::Timestamp;

/// A `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date.
pub(super) fn retry_at(text: &str, now: Timestamp) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Timestamp(now.0 + i64::from(seconds)));
    }
    Timestamp::of_http_date(text)
}

#[cfg(test)]
mod tests {
    use super::retry_at;
    use crate::base::Timestamp;

    #[test]
    fn a_retry_after_is_seconds_or_a_date_and_what_is_neither_is_nothing() {
        let now = Timestamp(1_000);
        for (text, expected) in [
            ("120", Some(1_120)),
            (" 0 ", Some(1_000)),
            ("Fri, 31 Dec 1999 23:59:59 GMT", Some(946_684_799)),
            ("-1", None),
            ("soon", None),
            ("", None),
            ("99999999999", None),
        ] {
            assert_eq!(retry_at(text, now), expected.map(Timestamp), "{text:?}");
        }
    }
}

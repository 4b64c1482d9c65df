//! Conditional requests: what a visitor has already is not sent again (RFC 9110 section 13).

use std::time::{Duration, SystemTime};

use actix_web::{
    HttpMessage,
    http::header::{
        self, EntityTag, Header, HttpDate, IfMatch, IfModifiedSince, IfNoneMatch, IfRange,
        IfUnmodifiedSince,
    },
};

/// A modification time tells two versions apart only if it is older than this (RFC 9110 section 8.8.2.2).
const STRONG_AFTER: Duration = Duration::from_secs(1);

/// What tells one version of a file from another.
#[derive(Clone, Debug)]
pub(super) struct Validators {
    /// A strong entity tag.
    pub(super) etag: EntityTag,
    /// When it was changed last, in whole seconds.
    pub(super) modified: HttpDate,
}

/// What the conditions of a request come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They hold, or there are none.
    Send,
    /// 304: the visitor has it.
    NotModified,
    /// 412: it is not the version that was meant.
    Failed,
}

/// Evaluates the conditions of a GET in the order of RFC 9110 section 13.2.2.
pub(super) fn verdict(request: &impl HttpMessage, ours: &Validators) -> Verdict {
    let headers = request.headers();
    if headers.contains_key(header::IF_MATCH) {
        let holds = match IfMatch::parse(request) {
            Ok(IfMatch::Any) => true,
            Ok(IfMatch::Items(tags)) => tags.iter().any(|tag| tag.strong_eq(&ours.etag)),
            Err(_) => false,
        };
        if !holds {
            return Verdict::Failed;
        }
    } else if let Ok(IfUnmodifiedSince(limit)) = IfUnmodifiedSince::parse(request)
        && seconds(ours.modified) > seconds(limit)
    {
        return Verdict::Failed;
    }
    if headers.contains_key(header::IF_NONE_MATCH) {
        let has_it = match IfNoneMatch::parse(request) {
            Ok(IfNoneMatch::Any) => true,
            Ok(IfNoneMatch::Items(tags)) => tags.iter().any(|tag| tag.weak_eq(&ours.etag)),
            Err(_) => false,
        };
        if has_it {
            return Verdict::NotModified;
        }
    } else if let Ok(IfModifiedSince(since)) = IfModifiedSince::parse(request)
        && seconds(ours.modified) <= seconds(since)
    {
        return Verdict::NotModified;
    }
    Verdict::Send
}

/// Whether a `Range` may be heeded: there is no `If-Range`, or the visitor has a part of this very version
/// (RFC 9110 section 13.1.5).
pub(super) fn range_counts(request: &impl HttpMessage, ours: &Validators) -> bool {
    if !request.headers().contains_key(header::IF_RANGE) {
        return true;
    }
    match IfRange::parse(request) {
        Ok(IfRange::EntityTag(tag)) => tag.strong_eq(&ours.etag),
        Ok(IfRange::Date(date)) => {
            let age = SystemTime::now().duration_since(ours.modified.into());
            seconds(date) == seconds(ours.modified) && age.is_ok_and(|age| age > STRONG_AFTER)
        }
        Err(_) => false,
    }
}

/// Whole seconds since 1970; a header has no more.
fn seconds(date: HttpDate) -> u64 {
    SystemTime::from(date)
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use actix_web::{
        http::header::{EntityTag, HeaderName, HeaderValue},
        test::TestRequest,
    };
    use proptest::prelude::*;

    use super::{
        Validators,
        Verdict::{self, Failed, NotModified, Send},
        range_counts, verdict,
    };

    /// Changed at 1994-11-06T08:49:37Z, the date of the standard's examples.
    fn ours() -> Validators {
        Validators {
            etag: EntityTag::new_strong("one".into()),
            modified: (SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)).into(),
        }
    }

    const THEN: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sunday, 06-Nov-94 08:49:38 GMT";

    #[test]
    fn conditions_are_weighed_in_the_order_of_the_standard() {
        let table: [(&[(&str, &str)], Verdict); 21] = [
            (&[], Send),
            (&[("If-None-Match", "\"one\"")], NotModified),
            (&[("If-None-Match", "W/\"one\"")], NotModified),
            (&[("If-None-Match", "\"two\", \"one\"")], NotModified),
            (&[("If-None-Match", "*")], NotModified),
            (&[("If-None-Match", "\"two\"")], Send),
            (&[("If-None-Match", "one")], Send),
            (&[("If-Modified-Since", THEN)], NotModified),
            (&[("If-Modified-Since", AFTER)], NotModified),
            (&[("If-Modified-Since", BEFORE)], Send),
            (&[("If-Modified-Since", "yesterday")], Send),
            // The tag decides where there is one.
            (
                &[("If-None-Match", "\"two\""), ("If-Modified-Since", AFTER)],
                Send,
            ),
            (&[("If-Match", "\"one\"")], Send),
            (&[("If-Match", "*")], Send),
            (&[("If-Match", "W/\"one\"")], Failed),
            (&[("If-Match", "\"two\"")], Failed),
            (&[("If-Unmodified-Since", THEN)], Send),
            (&[("If-Unmodified-Since", BEFORE)], Failed),
            (
                &[("If-Match", "\"one\""), ("If-Unmodified-Since", BEFORE)],
                Send,
            ),
            (
                &[("If-Match", "\"two\""), ("If-None-Match", "\"one\"")],
                Failed,
            ),
            (
                &[("If-Match", "\"one\""), ("If-None-Match", "\"one\"")],
                NotModified,
            ),
        ];
        for (headers, expected) in table {
            let request = headers
                .iter()
                .fold(TestRequest::get(), |r, &h| r.insert_header(h));
            let found = verdict(&request.to_http_request(), &ours());
            assert_eq!(found, expected, "{headers:?}");
        }
    }

    #[test]
    fn a_part_is_continued_only_of_the_same_version() {
        for (given, expected) in [
            (None, true),
            (Some("\"one\""), true),
            (Some("W/\"one\""), false),
            (Some("\"two\""), false),
            (Some(THEN), true),
            (Some(BEFORE), false),
            (Some(AFTER), false),
            (Some("nonsense"), false),
        ] {
            let mut request = TestRequest::get();
            if let Some(value) = given {
                request = request.insert_header(("If-Range", value));
            }
            let found = range_counts(&request.to_http_request(), &ours());
            assert_eq!(found, expected, "{given:?}");
        }
    }

    #[test]
    fn a_date_of_this_second_continues_nothing() {
        let now = SystemTime::now();
        let ours = Validators {
            modified: now.into(),
            ..ours()
        };
        let request = TestRequest::get().insert_header(("If-Range", ours.modified.to_string()));
        assert!(!range_counts(&request.to_http_request(), &ours));
    }

    proptest! {
        #[test]
        fn conditions_that_make_no_sense_do_no_harm(
            name in "if-(none-)?match|if-range|if-(un)?modified-since",
            value in proptest::collection::vec(any::<u8>(), 0..60),
            tags in "((W/)?\"(one|two)?\"?[, ]{0,2}){0,4}",
        ) {
            for value in [&value[..], tags.as_bytes()] {
                let Ok(value) = HeaderValue::from_bytes(value) else { continue };
                let name = HeaderName::try_from(name.as_str()).unwrap();
                let request = TestRequest::get().insert_header((name.clone(), value)).to_http_request();
                let found = verdict(&request, &ours());
                prop_assert!(name != "if-range" || found == Send);
                range_counts(&request, &ours());
            }
        }
    }
}

//! How long browsers may keep a file without asking (RFC 9111 section 5.2.2).

use std::collections::BTreeMap;

use actix_web::http::header::HeaderValue;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use serde::{Deserialize, Deserializer, de::Error as _};

/// Kept, and asked about at each use: a file may change at any time.
const ASK: HeaderValue = HeaderValue::from_static("public, no-cache");
/// RFC 9111 section 1.2.2 lets caches stop counting at 2³¹ seconds; nobody needs more than a year.
const LONGEST_S: i64 = 366 * 24 * 3600;

/// Patterns of paths and what `Cache-Control` is for them. A `*` stands for anything; the longest pattern that
/// matches counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct CacheRules(Vec<(String, HeaderValue)>);

impl CacheRules {
    /// `Cache-Control` for a path such as `/assets/app.js`.
    pub(super) fn of(&self, path: &str) -> HeaderValue {
        let rule = self.0.iter().find(|(pattern, _)| matches(pattern, path));
        rule.map_or(ASK, |(_, value)| value.clone())
    }
}

impl<'de> Deserialize<'de> for CacheRules {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut rules = BTreeMap::<String, String>::deserialize(from)?
            .into_iter()
            .map(|(pattern, time)| Ok((pattern, parse(&time).map_err(D::Error::custom)?)))
            .collect::<Result<Vec<_>, D::Error>>()?;
        rules.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
        Ok(Self(rules))
    }
}

fn parse(time: &str) -> Result<HeaderValue, String> {
    let text = match time.trim() {
        "never" => "no-store".to_owned(),
        "ask" => return Ok(ASK),
        // Its name changes when it does (RFC 8246).
        "forever" => "public, max-age=31536000, immutable".to_owned(),
        other => {
            let seconds = seconds(other).ok_or_else(|| {
                format!(
                    "cache: {time:?} is no time; write \"1 hour\", \"30 days\", \"forever\" (for files whose \
                     name changes with them), \"ask\" or \"never\""
                )
            })?;
            format!("public, max-age={seconds}")
        }
    };
    HeaderValue::try_from(text).map_err(|e| e.to_string())
}

fn seconds(text: &str) -> Option<i64> {
    let span: Span = text.parse().ok()?;
    let time: SignedDuration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .ok()
        .or_else(|| {
            // Years and months are of no fixed length, and nobody counts here.
            let days = i64::from(span.get_years()) * 365
                + i64::from(span.get_months()) * 30
                + i64::from(span.get_weeks()) * 7
                + i64::from(span.get_days());
            Some(SignedDuration::from_hours(days * 24))
        })?;
    (0..=LONGEST_S)
        .contains(&time.as_secs())
        .then_some(time.as_secs())
}

/// Whether a path is of a pattern: `/assets/*`, `*.woff2`.
fn matches(pattern: &str, path: &str) -> bool {
    let mut pieces = pattern.split('*');
    let first = pieces.next().unwrap_or_default();
    let Some(mut rest) = path.strip_prefix(first) else {
        return false;
    };
    let mut last = None;
    for piece in pieces {
        if let Some(piece) = last.replace(piece) {
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
    }
    match last {
        Some(end) => rest.ends_with(end),
        None => rest.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{CacheRules, LONGEST_S, matches, seconds};

    /// The same, as slow as it is plain.
    fn is_match(pattern: &[u8], path: &[u8]) -> bool {
        match (pattern, path) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=path.len()).any(|at| is_match(rest, &path[at..])),
            ([a, pattern @ ..], [b, path @ ..]) => a == b && is_match(pattern, path),
            _ => false,
        }
    }

    #[test]
    fn a_star_stands_for_anything() {
        for (pattern, path, expected) in [
            ("*", "/a", true),
            ("/assets/*", "/assets/a/b.js", true),
            ("/assets/*", "/asset", false),
            ("*.js", "/a/b.js", true),
            ("*.js", "/a/b.json", false),
            ("/a/*/c", "/a/b/c", true),
            ("/a/*/c", "/a/c", false),
            ("*a*b", "/xaxb", true),
            ("*a*b", "/b", false),
            ("/a", "/a", true),
            ("/a", "/ab", false),
            ("", "/a", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn times_are_written_as_people_say_them_and_the_longest_pattern_counts() {
        let text = "\"*\" = \"1 hour\"\n\"/assets/*\" = \"forever\"\n\"*.html\" = \"ask\"\n\
                    \"*.json\" = \"never\"\n\"*.png\" = \"30 days\"\n\"*.jpeg\" = \"1 year\"";
        let rules: CacheRules = toml::from_str(text).unwrap();
        for (path, expected) in [
            ("/a.txt", "public, max-age=3600"),
            ("/a.html", "public, no-cache"),
            ("/a.json", "no-store"),
            ("/a.png", "public, max-age=2592000"),
            ("/a.jpeg", "public, max-age=31536000"),
            ("/assets/a.png", "public, max-age=31536000, immutable"),
        ] {
            assert_eq!(rules.of(path), expected, "{path}");
        }
        for bad in ["soon", "", "-1 hour", "1000 years", "3600"] {
            let text = format!("\"*\" = {bad:?}");
            let message = toml::from_str::<CacheRules>(&text).unwrap_err().to_string();
            assert!(message.contains("is no time"), "{bad:?} gave {message}");
        }
    }

    proptest! {
        #[test]
        fn patterns_match_what_they_say(pattern in "[/ab*]{0,8}", path in "[/ab]{0,10}") {
            prop_assert_eq!(matches(&pattern, &path), is_match(pattern.as_bytes(), path.as_bytes()));
        }

        #[test]
        fn times_are_none_or_within_a_year(text in "(-?[0-9]{1,20} ?(y|years?|mo|w|days?|h|hours?|m|s|ns)?,? ?){0,3}|.*") {
            prop_assert!(seconds(&text).is_none_or(|time| (0..=LONGEST_S).contains(&time)));
        }
    }
}

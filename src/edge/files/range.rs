//! Parts of a file: the `Range` header (RFC 9110 section 14).

use std::ops::Range;

/// More ranges in one request are nobody's honest wish (RFC 9110 section 14.2 lets us ignore them).
const MAX_RANGES: usize = 16;

/// What a `Range` header asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Asked {
    /// The whole: there is no such header, or one that is ignored.
    Whole,
    /// These bytes, in this order; at least one range, none empty.
    Parts(Vec<Range<u64>>),
    /// Nothing that the file has: 416.
    Unsatisfiable,
}

impl Asked {
    /// Parses `bytes=0-99,-5` for a file of `length` bytes.
    ///
    /// What is no valid list of byte ranges is ignored, as are lists that ask for more bytes than the whole
    /// has: they are made to burden the server (RFC 9110 section 17.15).
    pub(super) fn parse(header: &str, length: u64) -> Self {
        let Some(parts) = parse_list(header, length) else {
            return Self::Whole;
        };
        let asked: u64 = parts.iter().map(|part| part.end - part.start).sum();
        if parts.is_empty() {
            Self::Unsatisfiable
        } else if parts.len() > 1 && asked > length {
            Self::Whole
        } else {
            Self::Parts(parts)
        }
    }
}

/// The satisfiable ranges; `None` if the header is to be ignored.
fn parse_list(header: &str, length: u64) -> Option<Vec<Range<u64>>> {
    let (unit, list) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") || length == 0 {
        return None;
    }
    let mut parts = Vec::new();
    // A recipient ignores a reasonable number of empty elements (RFC 9110 section 5.6.1.2).
    let elements = list.split(',').map(|part| part.trim_matches([' ', '\t']));
    let mut count = 0;
    for element in elements.filter(|part| !part.is_empty()) {
        count += 1;
        if count > MAX_RANGES {
            return None;
        }
        parts.extend(parse_one(element, length)?);
    }
    (count > 0).then_some(parts)
}

/// `Some(None)` if it is valid and beyond the end.
#[allow(clippy::option_option)] // invalid, unsatisfiable, a range
fn parse_one(text: &str, length: u64) -> Option<Option<Range<u64>>> {
    let (first, last) = text.split_once('-')?;
    let range = if first.is_empty() {
        let count = number(last)?;
        length.saturating_sub(count)..length
    } else {
        let first = number(first)?;
        let last = if last.is_empty() {
            u64::MAX
        } else {
            number(last)?
        };
        if last < first {
            return None;
        }
        first..last.saturating_add(1).min(length)
    };
    Some((range.start < range.end).then_some(range))
}

/// Digits alone; what is larger than any file is as good as the largest number.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Asked::{self, Parts, Unsatisfiable, Whole};

    #[test]
    #[allow(clippy::single_range_in_vec_init)] // one part is a list of one range
    fn ranges_are_what_the_standard_says() {
        for (header, length, expected) in [
            ("bytes=0-499", 10_000, Parts(vec![0..500])),
            ("bytes=500-999", 10_000, Parts(vec![500..1000])),
            ("bytes=-500", 10_000, Parts(vec![9500..10_000])),
            ("bytes=9500-", 10_000, Parts(vec![9500..10_000])),
            ("bytes=0-0,-1", 10_000, Parts(vec![0..1, 9999..10_000])),
            ("bytes= 0-0, -1", 10_000, Parts(vec![0..1, 9999..10_000])),
            ("Bytes=0-0", 10, Parts(vec![0..1])),
            ("bytes=0-99999", 10, Parts(vec![0..10])),
            ("bytes=-99999", 10, Parts(vec![0..10])),
            ("bytes=,0-0,", 10, Parts(vec![0..1])),
            ("bytes=5-,20-30", 10, Parts(vec![5..10])),
            ("bytes=0-99999999999999999999999", 10, Parts(vec![0..10])),
            ("bytes=10-", 10, Unsatisfiable),
            ("bytes=-0", 10, Unsatisfiable),
            ("bytes=99999999999999999999999-", 10, Unsatisfiable),
            ("bytes=20-30,40-50", 10, Unsatisfiable),
            ("bytes=0-", 0, Whole),
            ("bytes=", 10, Whole),
            ("bytes", 10, Whole),
            ("bytes=a-b", 10, Whole),
            ("bytes=5-2", 10, Whole),
            ("bytes=--1", 10, Whole),
            ("bytes=1", 10, Whole),
            ("bytes=+1-2", 10, Whole),
            ("items=0-1", 10, Whole),
            ("bytes=0-9,0-9", 10, Whole),
        ] {
            assert_eq!(
                Asked::parse(header, length),
                expected,
                "{header} of {length}"
            );
        }
        let many = format!("bytes={}", "0-0,".repeat(17));
        assert_eq!(Asked::parse(&many, 100), Whole);
    }

    proptest! {
        #[test]
        fn parts_lie_within_the_file_and_are_never_more_than_it(
            header in "bytes=([0-9]{0,3}-[0-9]{0,3},?){0,20}", length in 0u64..500,
        ) {
            if let Parts(parts) = Asked::parse(&header, length) {
                prop_assert!(parts.iter().all(|part| part.start < part.end && part.end <= length));
                prop_assert!(parts.iter().map(|part| part.end - part.start).sum::<u64>() <= length);
            }
        }
    }
}

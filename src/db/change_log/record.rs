//! The content of a row of the log: the statements of a change, in bytes.
//!
//! The form: a byte that says whether brotli made the rest smaller; then for each statement the number of its text
//! (8 bytes), whether it is a guard (1 byte), how many values it has, and these: a byte that says what comes, and
//! that. Numbers of a changing length have seven bits in each byte, the lowest first (LEB128).

use brotlic::{CompressionMode, Quality, WindowSize};

use crate::{
    base::{Error, Result},
    db::change::{MAX_CHANGE_BYTES, Value},
};

const PLAIN: u8 = 0;
const BROTLI: u8 = 1;
/// Brotli's quality 4 makes of a post and its HTML a third, in less time than a card takes for one page.
const QUALITY: u8 = 4;
/// Brotli's window: all of a usual post, and memory that a small board has.
const WINDOW_BITS: u8 = 18;
/// Less than this does not become smaller.
const WORTH_IT_BYTES: usize = 64;
/// The most bytes of all statements: what a change may have, and numbers and lengths.
const MOST_BYTES: usize = 4 * MAX_CHANGE_BYTES;

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const TEXT: u8 = 2;
const BLOB: u8 = 3;

/// A statement of a change, as the log has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    /// The number of its text.
    pub(super) sql: i64,
    /// Whether it changes one row for certain.
    pub(super) is_guard: bool,
    /// Its values, in order.
    pub(super) values: Vec<Value>,
}

/// The content of a row.
pub(super) fn encode<'a>(
    statements: impl Iterator<Item = (i64, bool, &'a [Value])>,
) -> Result<Vec<u8>> {
    let mut bytes = vec![PLAIN];
    for (sql, is_guard, values) in statements {
        bytes.extend_from_slice(&sql.to_le_bytes());
        bytes.push(u8::from(is_guard));
        put_number(&mut bytes, values.len() as u64);
        for value in values {
            put_value(&mut bytes, value);
        }
    }
    if bytes.len() < WORTH_IT_BYTES {
        return Ok(bytes);
    }
    // What does not become smaller does not fit, and stays as it is.
    let mut smaller = vec![0; bytes.len()];
    let quality = Quality::new(QUALITY).map_err(Error::internal)?;
    let window = WindowSize::new(WINDOW_BITS).map_err(Error::internal)?;
    let mode = CompressionMode::Text;
    match brotlic::compress(&bytes[1..], &mut smaller[1..], quality, window, mode) {
        Ok(written) => {
            smaller[0] = BROTLI;
            smaller.truncate(written + 1);
            Ok(smaller)
        }
        Err(_) => Ok(bytes),
    }
}

/// The statements of a content.
///
/// # Errors
/// [`Error::Damaged`] if it is not one of [`encode`].
pub(super) fn decode(content: &[u8]) -> Result<Vec<Kept>> {
    let damaged = || Error::Damaged("a row of the log of changes is damaged".into());
    let plain = match content.split_first() {
        Some((&PLAIN, rest)) => rest.to_vec(),
        Some((&BROTLI, rest)) => decompress(rest).ok_or_else(damaged)?,
        _ => return Err(damaged()),
    };
    statements(&plain).ok_or_else(damaged)
}

/// However much it would become: no more than a change may have.
fn decompress(bytes: &[u8]) -> Option<Vec<u8>> {
    // Most are small: the room for the largest is not asked for each of them.
    for room in [16 * 1024, 256 * 1024, MOST_BYTES] {
        let mut plain = vec![0; room];
        if let Ok(written) = brotlic::decompress(bytes, &mut plain) {
            plain.truncate(written);
            return Some(plain);
        }
    }
    None
}

fn statements(mut bytes: &[u8]) -> Option<Vec<Kept>> {
    let mut statements = Vec::new();
    while !bytes.is_empty() {
        let sql = i64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?);
        let is_guard = take(&mut bytes, 1)?[0] != 0;
        let count = take_number(&mut bytes)?;
        // Each takes a byte or more, so that this asks for no more memory than there are bytes.
        if count > bytes.len() {
            return None;
        }
        let values = (0..count).map(|_| take_value(&mut bytes));
        statements.push(Kept {
            sql,
            is_guard,
            values: values.collect::<Option<_>>()?,
        });
    }
    Some(statements)
}

fn put_value(bytes: &mut Vec<u8>, value: &Value) {
    let (kind, content) = match value {
        Value::Null => return bytes.push(NULL),
        Value::Integer(number) => {
            bytes.push(INTEGER);
            // The sign goes to the lowest bit, so that small numbers are short.
            let folded = (number << 1) ^ (number >> 63);
            return put_number(bytes, u64::from_le_bytes(folded.to_le_bytes()));
        }
        Value::Text(text) => (TEXT, text.as_bytes()),
        Value::Blob(blob) => (BLOB, &blob[..]),
    };
    bytes.push(kind);
    put_number(bytes, content.len() as u64);
    bytes.extend_from_slice(content);
}

fn take_value(bytes: &mut &[u8]) -> Option<Value> {
    Some(match take(bytes, 1)?[0] {
        NULL => Value::Null,
        INTEGER => {
            let folded = take_whole_number(bytes)?;
            let number = i64::from_le_bytes((folded >> 1).to_le_bytes());
            Value::Integer(if folded & 1 == 0 { number } else { !number })
        }
        TEXT => {
            let length = take_number(bytes)?;
            Value::Text(String::from_utf8(take(bytes, length)?.to_vec()).ok()?)
        }
        BLOB => {
            let length = take_number(bytes)?;
            Value::Blob(take(bytes, length)?.to_vec())
        }
        _ => return None,
    })
}

fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

fn take_number(bytes: &mut &[u8]) -> Option<usize> {
    usize::try_from(take_whole_number(bytes)?).ok()
}

fn take_whole_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = take(bytes, 1)?[0];
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<i64>().prop_map(Value::Integer),
            (-300i64..300).prop_map(Value::Integer),
            "\\PC{0,300}".prop_map(Value::Text),
            vec(any::<u8>(), 0..300).prop_map(Value::Blob),
        ]
    }

    proptest! {
        #[test]
        fn a_change_comes_back_as_it_was(all in vec((any::<i64>(), any::<bool>(), vec(value(), 0..12)), 0..8)) {
            let of = all.iter().map(|(sql, guard, values)| (*sql, *guard, &values[..]));
            let bytes = encode(of).unwrap();
            let back: Vec<_> = decode(&bytes).unwrap().into_iter().map(|k| (k.sql, k.is_guard, k.values)).collect();
            prop_assert_eq!(back, all);
        }

        #[test]
        fn whatever_is_read_there_are_words_and_no_panic(bytes in vec(any::<u8>(), 0..400), first in 0u8..3) {
            let _ = decode(&bytes);
            let _ = decode(&[&[first], &bytes[..]].concat());
        }
    }

    #[test]
    fn the_ends_of_numbers_and_large_texts_come_back_and_what_grows_without_end_does_not() {
        let values = [i64::MIN, i64::MAX, 0, -1, 1].map(Value::Integer);
        let bytes = encode([(i64::MIN, true, &values[..])].into_iter()).unwrap();
        assert_eq!(decode(&bytes).unwrap()[0].values, values);
        let large = [Value::Text("words ".repeat(100_000))];
        let bytes = encode([(1, false, &large[..])].into_iter()).unwrap();
        assert!(bytes.len() < 2000, "{}", bytes.len());
        assert_eq!(decode(&bytes).unwrap()[0].values, large);
        let endless = [Value::Text("x".repeat(5 * MAX_CHANGE_BYTES))];
        let bytes = encode([(1, false, &endless[..])].into_iter()).unwrap();
        assert!(decode(&bytes).is_err());
    }
}

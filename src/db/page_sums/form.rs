//! The form of the files with the sums of pages: `site.db-sums2`, and `site.db-sums` of programs before.
//!
//! What notices damage may be damaged itself. So each entry has a sum of its own, and the header is there twice, each with
//! one: a bit that flips in them says nothing about the database.
//!
//! `site.db-sums2` has [`HEADER_BYTES`] of header, then 16 bytes for each page: six of its sum, six of the one before, and
//! four that prove both. An entry of zeros says that nothing is known. It has a name of its own because in an upgrade an
//! older program may still write to its own file for a while.

use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt as _,
};

use crate::db::wal::{add_up, is_page_size};

/// What the file begins with.
const MAGIC: &[u8; 8] = b"WSTDSUM2";
/// The same in programs before.
const OLD_MAGIC: &[u8; 8] = b"WSTDSUM1";
/// Bytes of a header, which is there twice.
const COPY: usize = 64;
/// Where its own sum is.
const SUM_AT: usize = 56;
/// Where it has the size of a page; the first ones of before have 0 there.
pub(super) const PAGE_BYTES_AT: usize = 44;
/// Bytes before the first entry.
pub(super) const HEADER_BYTES: u64 = 2 * COPY as u64;
/// The same in programs before.
const OLD_HEADER_BYTES: u64 = COPY as u64;
/// Bytes for each page.
pub(super) const ENTRY: usize = 16;
/// The same, as places in files are counted.
pub(super) const ENTRY_BYTES: u64 = ENTRY as u64;
/// The largest sum that is kept.
#[cfg(test)]
const LARGEST: u64 = (1 << 48) - 1;

/// Which of both files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `site.db-sums2`
    New,
    /// `site.db-sums`
    Old,
}

/// What a database file looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Looks(pub(super) [u64; 4]);

/// How much of the log that was written back last is in the database. What is noted of it are the discriminants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// All of it.
    All = 0,
    /// Nobody knows: that has begun, and did not end.
    UnderWay = 1,
    /// Some: the rest is in the log, because somebody was reading. Programs before noted that as all.
    Part = 2,
}

/// What the sums say of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) looks: Looks,
    pub(super) written: Written,
    /// None in sums of before this was noted.
    pub(super) page_bytes: Option<usize>,
}

/// What stands where a header should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing was ever written there.
    Nothing,
    Header(Header),
    Damaged,
}

impl Found {
    /// The header, if there is one that can be believed.
    pub(super) fn header(self) -> Option<Header> {
        match self {
            Self::Header(header) => Some(header),
            Self::Nothing | Self::Damaged => None,
        }
    }
}

/// What is known of a page: its sum, and the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Unknown,
    Known(u64, u64),
    Damaged,
}

/// What is kept of a sum, 48 bits; never 0, which means that it is not known. Both halves of the first word are in it: a
/// bit that flips may change nothing but its highest one.
pub(super) fn kept_of(sum: u64) -> u64 {
    let (first, second) = (sum >> 32, sum & 0xffff_ffff);
    (((first ^ first >> 16) & 0xffff) << 32 | second).max(1)
}

/// Where what is known of a page stands.
pub(super) fn offset(form: Form, page: u32) -> u64 {
    let header = match form {
        Form::New => HEADER_BYTES,
        Form::Old => OLD_HEADER_BYTES,
    };
    header + u64::from(page.saturating_sub(1)) * ENTRY_BYTES
}

/// What is written for a page.
pub(super) fn entry(page: u32, now: u64, before: u64) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    if now == 0 {
        return entry;
    }
    entry[..6].copy_from_slice(&now.to_le_bytes()[..6]);
    entry[6..12].copy_from_slice(&before.to_le_bytes()[..6]);
    let proof = proof(page, &entry);
    entry[12..].copy_from_slice(&proof.to_le_bytes());
    entry
}

fn proof(page: u32, entry: &[u8; ENTRY]) -> u32 {
    let mut proved = *entry;
    proved[12..].fill(0);
    let (a, b) = add_up(&proved, false, (page, !page));
    a.rotate_left(16) ^ b
}

/// Reads what [`entry`] has written, or a program before.
pub(super) fn read_entry(form: Form, page: u32, bytes: &[u8; ENTRY]) -> Entry {
    let (now, before) = match form {
        Form::Old => (number(bytes, 0), number(bytes, 1)),
        Form::New => {
            let part = |from: usize| {
                let mut number = [0; 8];
                number[..6].copy_from_slice(&bytes[from..from + 6]);
                u64::from_le_bytes(number)
            };
            (part(0), part(6))
        }
    };
    if form == Form::New && *bytes != [0; ENTRY] && entry(page, now, before) != *bytes {
        return Entry::Damaged;
    }
    let kept = |sum: u64| if sum == 0 { 0 } else { kept_of(sum) };
    match now {
        0 => Entry::Unknown,
        now => Entry::Known(kept(now), kept(before)),
    }
}

/// What is written as header.
pub(super) fn header_bytes(header: &Header) -> Vec<u8> {
    let mut copy = [0; COPY];
    copy[..8].copy_from_slice(MAGIC);
    for (n, number) in header.looks.0.iter().enumerate() {
        copy[8 + 8 * n..16 + 8 * n].copy_from_slice(&number.to_le_bytes());
    }
    copy[40] = header.written as u8;
    let page_bytes = header
        .page_bytes
        .and_then(|bytes| u32::try_from(bytes).ok());
    copy[PAGE_BYTES_AT..PAGE_BYTES_AT + 4].copy_from_slice(&page_bytes.unwrap_or(0).to_le_bytes());
    let sum = header_sum(&copy);
    copy[SUM_AT..].copy_from_slice(&sum.to_le_bytes());
    copy.repeat(2)
}

fn header_sum(copy: &[u8]) -> u64 {
    let (a, b) = add_up(&copy[..SUM_AT], false, (1, 2));
    u64::from(a) << 32 | u64::from(b)
}

/// The header of a file.
pub(super) fn read_header(form: Form, file: &File) -> io::Result<Found> {
    let mut bytes = [0; 2 * COPY];
    let wanted = match form {
        Form::New => &mut bytes[..],
        Form::Old => &mut bytes[..COPY],
    };
    match file.read_exact_at(wanted, 0) {
        Ok(()) => {}
        Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Ok(Found::Nothing),
        Err(e) => return Err(e),
    }
    let copies = match form {
        Form::Old => return Ok(old_header(&bytes[..COPY])),
        Form::New => bytes.chunks_exact(COPY),
    };
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(Found::Nothing);
    }
    let is_sound =
        |copy: &&[u8]| copy[..8] == *MAGIC && header_sum(copy) == number(copy, SUM_AT / 8);
    let mut sound = copies.filter(is_sound);
    Ok(sound
        .next()
        .map_or(Found::Damaged, |copy| Found::Header(parsed(copy))))
}

fn old_header(bytes: &[u8]) -> Found {
    if bytes[..8] == *OLD_MAGIC {
        Found::Header(parsed(bytes))
    } else {
        Found::Nothing
    }
}

fn parsed(copy: &[u8]) -> Header {
    let page_bytes = &copy[PAGE_BYTES_AT..PAGE_BYTES_AT + 4];
    let page_bytes = page_bytes
        .iter()
        .rev()
        .fold(0, |n, byte| n << 8 | usize::from(*byte));
    Header {
        looks: Looks([1, 2, 3, 4].map(|n| number(copy, n))),
        written: match copy[40] {
            1 => Written::UnderWay,
            2 => Written::Part,
            _ => Written::All,
        },
        page_bytes: Some(page_bytes).filter(|bytes| is_page_size(*bytes)),
    }
}

fn number(bytes: &[u8], n: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[8 * n..8 * n + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bit_that_flips_in_an_entry_or_in_one_of_the_headers_is_known_as_that() {
        for (page, now, before) in [(1, 5, 0), (7, LARGEST, LARGEST), (u32::MAX, 1, 0x8000_0000)] {
            let whole = entry(page, now, before);
            assert_eq!(
                read_entry(Form::New, page, &whole),
                Entry::Known(now, before)
            );
            for bit in 0..128 {
                let mut flipped = whole;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(
                    read_entry(Form::New, page, &flipped),
                    Entry::Damaged,
                    "{page} {bit}"
                );
            }
            let of_another = read_entry(Form::New, page - 1, &whole);
            assert_eq!(of_another, Entry::Damaged, "of another page");
        }
        assert_eq!(read_entry(Form::New, 3, &[0; 16]), Entry::Unknown);
        for bit in 0..128 {
            let mut flipped = [0; 16];
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_ne!(read_entry(Form::New, 3, &flipped), Entry::Unknown, "{bit}");
        }
        let header = Header {
            looks: Looks([3, 1 << 40, 77, u64::MAX]),
            written: Written::UnderWay,
            page_bytes: Some(1024),
        };
        let (file, whole) = (tempfile::tempfile().unwrap(), header_bytes(&header));
        assert_eq!(read_header(Form::New, &file).unwrap(), Found::Nothing);
        for bit in 0..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            file.write_all_at(&flipped, 0).unwrap();
            assert_eq!(
                read_header(Form::New, &file).unwrap(),
                Found::Header(header),
                "{bit}"
            );
            // The other one as well.
            flipped[(bit / 8 + COPY) % (2 * COPY)] ^= 1 << (bit % 8);
            file.write_all_at(&flipped, 0).unwrap();
            assert_eq!(
                read_header(Form::New, &file).unwrap(),
                Found::Damaged,
                "{bit}"
            );
        }
        file.write_all_at(&[0; 2 * COPY], 0).unwrap();
        assert_eq!(read_header(Form::New, &file).unwrap(), Found::Nothing);
    }
}

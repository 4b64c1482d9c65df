//! The pages of a database file, read without `SQLite` (<https://www.sqlite.org/fileformat2.html>).

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use rusqlite::types::Value;

/// What a page begins with: an inner page of a table, and a leaf (1.6).
pub(super) const TABLE_INNER: u8 = 5;
pub(super) const TABLE_LEAF: u8 = 13;
/// Where the file's own header ends on the first page.
pub(super) const FILE_HEADER_BYTES: usize = 100;
/// Pages that are looked at to find out how large one is.
const SAMPLE: u64 = 2000;

/// A database file with all of its pages.
pub(super) struct Pages {
    file: File,
    /// Bytes of one.
    pub(super) page_bytes: usize,
    /// How many there are.
    pub(super) count: u32,
}

/// A row as it lies on a leaf.
pub(super) struct Cell<'a> {
    pub(super) id: i64,
    /// Bytes of all of it.
    length: usize,
    local: &'a [u8],
    /// The page where it goes on, or 0.
    pub(super) overflow: u32,
}

impl Pages {
    /// Of a file whose pages have so many bytes.
    pub(super) fn open(path: &Path, page_bytes: usize) -> io::Result<Self> {
        let file = File::open(path)?;
        let count = file.metadata()?.len() / page_bytes as u64;
        Ok(Self {
            file,
            page_bytes,
            count: u32::try_from(count).unwrap_or(u32::MAX),
        })
    }

    /// A page, from 1.
    pub(super) fn page(&self, number: u32) -> io::Result<Vec<u8>> {
        let mut page = vec![0; self.page_bytes];
        let at = u64::from(number.saturating_sub(1)) * self.page_bytes as u64;
        self.file.read_exact_at(&mut page, at)?;
        Ok(page)
    }

    /// Whether there is a page of this number.
    pub(super) fn has(&self, number: u32) -> bool {
        (1..=self.count).contains(&number)
    }

    /// The rows on a leaf of a table that add up, each with its id and its columns; none for other pages.
    pub(super) fn rows(&self, number: u32) -> Vec<(i64, Vec<Value>)> {
        let Ok(page) = self.page(number) else {
            return Vec::new();
        };
        let rows = cells(number, &page);
        let rows = rows.iter();
        rows.filter_map(|cell| Some((cell.id, values(&self.whole(cell)?)?)))
            .collect()
    }

    /// All bytes of a row, from the leaf and the pages behind it.
    fn whole(&self, cell: &Cell<'_>) -> Option<Vec<u8>> {
        // No row has more than the file.
        if (cell.length / self.page_bytes) as u64 > u64::from(self.count) {
            return None;
        }
        let mut bytes = cell.local.to_vec();
        let mut next = cell.overflow;
        while bytes.len() < cell.length {
            if !self.has(next) {
                return None;
            }
            let page = self.page(next).ok()?;
            let count = (cell.length - bytes.len()).min(self.page_bytes - 4);
            bytes.extend(&page[4..4 + count]);
            next = four(&page, 0);
        }
        Some(bytes)
    }
}

/// How many bytes a page has, of a file whose first page may be another's: the size with which most of it reads as
/// pages, and `said` if it reads no better with any other.
///
/// # Errors
/// What the disk says.
pub(super) fn find_page_bytes(path: &Path, said: usize) -> io::Result<usize> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let reads = |page_bytes: usize| {
        let count = length / page_bytes as u64;
        let step = usize::try_from(count / SAMPLE).unwrap_or(1).max(1);
        let mut page = vec![0; page_bytes];
        let pages = (1..count).step_by(step);
        let is_one = |number: &u64| {
            let read = file.read_exact_at(&mut page, number * page_bytes as u64);
            read.is_ok() && is_tree(&page)
        };
        let found = pages.filter(is_one).count();
        found * step * page_bytes
    };
    let sizes = (9..=16).map(|bits| 1usize << bits);
    let best = sizes.map(|size| (reads(size), size == said, size)).max();
    Ok(best
        .filter(|(read, ..)| *read > 0)
        .map_or(said, |(.., size)| size))
}

/// Whether it looks like a page of a tree with something on it, and of no larger or smaller size: what is put on a page
/// is put at its end first (1.6).
fn is_tree(page: &[u8]) -> bool {
    let head = match page[0] {
        2 | TABLE_INNER => 12,
        10 | TABLE_LEAF => 8,
        _ => return false,
    };
    let count = two(page, 3);
    let begin = if page.len() == 65536 && two(page, 5) == 0 {
        65536
    } else {
        two(page, 5)
    };
    let mut cells = (0..count).map(|n| two(page, head + 2 * n));
    let list_ends = head + 2 * count;
    count > 0
        && list_ends <= begin
        && begin < page.len()
        && cells.clone().all(|at| (begin..page.len()).contains(&at))
        && cells.any(|at| at >= page.len() / 2)
}

/// Where the head of a page begins that leads to rows or has some.
pub(super) fn head_of(page: u32) -> usize {
    if page == 1 { FILE_HEADER_BYTES } else { 0 }
}

/// The rows on a leaf of a table; none for other pages.
pub(super) fn cells(page: u32, content: &[u8]) -> Vec<Cell<'_>> {
    let start = head_of(page);
    if content[start] != TABLE_LEAF {
        return Vec::new();
    }
    // The most of a row that lies on the leaf itself, and the least when the rest is elsewhere (1.6).
    let page_bytes = content.len();
    let (max_local, min_local) = (page_bytes - 35, (page_bytes - 12) * 32 / 255 - 23);
    let cell = |n: usize| {
        let (length, at) = varint(content, two(content, start + 8 + 2 * n))?;
        let (id, at) = varint(content, at)?;
        let length = usize::try_from(length).ok()?;
        if length <= max_local {
            return Some(Cell {
                id,
                length,
                local: content.get(at..at + length)?,
                overflow: 0,
            });
        }
        let some = min_local + (length - min_local) % (page_bytes - 4);
        let local = if some <= max_local { some } else { min_local };
        content.get(at + local..at + local + 4)?;
        Some(Cell {
            id,
            length,
            local: &content[at..at + local],
            overflow: four(content, at + local),
        })
    };
    (0..two(content, start + 3)).filter_map(cell).collect()
}

/// The columns of a row (2.1); `None` if it does not add up.
fn values(row: &[u8]) -> Option<Vec<Value>> {
    let (header, mut at) = varint(row, 0)?;
    let header = usize::try_from(header).ok()?;
    let (mut values, mut body) = (Vec::new(), header);
    while at < header {
        let (kind, next) = varint(row, at)?;
        at = next;
        let length = match kind {
            0 | 8 | 9 => 0,
            1..=4 => usize::try_from(kind).ok()?,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let bytes = row.get(body..body.checked_add(length)?)?;
        body += length;
        values.push(match kind {
            0 => Value::Null,
            8 | 9 => Value::Integer(kind - 8),
            1..=6 => Value::Integer(integer(bytes)),
            7 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            _ if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
        });
    }
    (body == row.len()).then_some(values)
}

fn integer(bytes: &[u8]) -> i64 {
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let start = -i64::from(negative);
    let add = |number: i64, byte: &u8| (number << 8) | i64::from(*byte);
    bytes.iter().fold(start, add)
}

/// A number of variable length, and where the next byte is.
fn varint(bytes: &[u8], at: usize) -> Option<(i64, usize)> {
    let mut number = 0i64;
    for n in 0..9 {
        let byte = *bytes.get(at + n)?;
        if n == 8 {
            return Some((number << 8 | i64::from(byte), at + 9));
        }
        number = number << 7 | i64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((number, at + n + 1));
        }
    }
    None
}

/// Two bytes as a number; 0 behind the end.
pub(super) fn two(bytes: &[u8], at: usize) -> usize {
    let two = bytes.get(at..at + 2);
    two.map_or(0, |two| usize::from(two[0]) << 8 | usize::from(two[1]))
}

/// Four bytes as a number; 0 behind the end.
pub(super) fn four(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..at + 4);
    four.map_or(0, |four| {
        u32::from_be_bytes([four[0], four[1], four[2], four[3]])
    })
}

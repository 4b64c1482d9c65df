//! Where the first page of a database file says what (<https://www.sqlite.org/fileformat2.html>, 1.3).

/// The size of a page, in two bytes; 1 stands for 64 KiB (1.3.2).
pub(super) const PAGE_SIZE_AT: u64 = 16;
/// The first page of the list of free ones, in four bytes, and behind it how many there are (1.5).
pub(super) const FREE_LIST_AT: usize = 32;

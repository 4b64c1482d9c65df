//! Calls of a generator's templates in the text: `{{< figure >}}`, `{% post_url x %}`.

use std::ops::Range;

/// A template's call in the text, outside of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) range: Range<usize>,
    /// For a call that only names another file (`ref`, `relref`, `post_url`, `link`): that name.
    pub(super) target: Option<String>,
}

/// Finds `{{< … >}}`, `{{% … %}}`, `{{ … }}` and `{% … %}` outside of code, each within a paragraph.
///
/// `code` is in the order of the text.
pub(super) fn find_calls(text: &str, code: &[Range<usize>]) -> Vec<Call> {
    let mut calls = Vec::new();
    let mut from = 0;
    for paragraph in text.split_inclusive("\n\n") {
        let end = from + paragraph.len();
        find_in_paragraph(&text[..end], from, code, &mut calls);
        from = end;
    }
    calls
}

fn find_in_paragraph(text: &str, from: usize, code: &[Range<usize>], calls: &mut Vec<Call>) {
    // What is not found once is not looked for again: a text of braces alone takes no longer.
    let (mut has_braces, mut has_percents) = (true, true);
    let mut at = from;
    while let Some(found) = text[at..].find('{') {
        let start = at + found;
        at = start + 1;
        let (close, is_open) = match text.as_bytes().get(at) {
            Some(b'{') => ("}}", &mut has_braces),
            Some(b'%') => ("%}", &mut has_percents),
            _ => continue,
        };
        let Some(length) = is_open.then(|| text[start + 2..].find(close)).flatten() else {
            *is_open = false;
            continue;
        };
        let end = start + 2 + length + 2;
        at = end;
        if is_in(code, start) {
            continue;
        }
        let inner = text[start + 2..end - 2].trim_matches(['<', '>', '%', ' ', '-', '\n']);
        let target = ["relref ", "ref ", "post_url ", "link "]
            .iter()
            .find_map(|word| inner.strip_prefix(word))
            .map(|name| name.trim().trim_matches(['"', '\'', '`']).to_owned());
        calls.push(Call {
            range: start..end,
            target,
        });
    }
}

fn is_in(ranges: &[Range<usize>], at: usize) -> bool {
    let after = ranges.partition_point(|range| range.start <= at);
    after > 0 && ranges[after - 1].contains(&at)
}

#[cfg(test)]
mod tests {
    use super::{super::links::find, *};

    #[test]
    fn template_calls_are_found_outside_of_code() {
        let text = "a {{< ref \"x.md\" >}} b {% post_url 2014-01-01-y %} `{{ no }}` {{ img(src=1) }}\n\
                    {{< figure\n  src=\"p.png\" >}} {% a {{ open\n\n}} not closed in its paragraph {{ b }}";
        let found: Vec<_> = find_calls(text, &find(text).code)
            .into_iter()
            .map(|call| (&text[call.range], call.target))
            .collect();
        assert_eq!(
            found,
            [
                ("{{< ref \"x.md\" >}}", Some("x.md".into())),
                ("{% post_url 2014-01-01-y %}", Some("2014-01-01-y".into())),
                ("{{ img(src=1) }}", None),
                ("{{< figure\n  src=\"p.png\" >}}", None),
                ("{{ b }}", None),
            ]
        );
    }
}

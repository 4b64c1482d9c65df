//! The last wall: whatever was written before, only allowed HTML leaves.
//!
//! The writer already leaves out what is not allowed, and says so. This reads the finished HTML as
//! a browser would and drops what the writer might have missed.

use std::{
    borrow::Cow,
    collections::{HashMap, HashSet},
    sync::LazyLock,
};

use ammonia::{Builder, UrlRelative};

use super::{rules, url};
use crate::text::attributes::attributes;

/// The rules as ammonia wants them; made once, because they are a few hundred small allocations.
static CLEANER: LazyLock<Builder<'static>> = LazyLock::new(cleaner);

/// HTML without anything that is not in [`rules`]. The HTML must not be nested deeply.
pub(super) fn sanitise(html: &str) -> String {
    without_doubled_ids(CLEANER.clean(html).to_string())
}

/// Drops ids that stand a second time. The writer gives each id once, but reading misnested HTML as a
/// browser does copies links and emphasis into every part of a table that they were cut into (HTML
/// Living Standard section 13.2.6.4.7, the adoption agency algorithm).
fn without_doubled_ids(html: String) -> String {
    let mut seen = HashSet::new();
    let doubled: Vec<_> = attributes(&html)
        .filter(|attribute| attribute.name == "id" && !seen.insert(attribute.value))
        .map(|attribute| attribute.at)
        .collect();
    if doubled.is_empty() {
        return html;
    }
    let (mut out, mut from) = (String::with_capacity(html.len()), 0);
    for range in doubled {
        out.push_str(&html[from..range.start]);
        from = range.end;
    }
    out.push_str(&html[from..]);
    out
}

fn cleaner() -> Builder<'static> {
    let mut tags: HashSet<&str> = rules::ELEMENTS.iter().map(|element| element.name).collect();
    tags.insert("input");
    let mut attributes: HashMap<&str, HashSet<&str>> = rules::ELEMENTS
        .iter()
        .map(|element| (element.name, element.attributes.iter().copied().collect()))
        .collect();
    // What only our own renderer writes.
    attributes.insert("input", HashSet::from(["checked", "disabled"]));
    for (name, own) in [
        ("pre", "tabindex"),
        ("div", "tabindex"),
        ("img", "loading"),
        ("img", "decoding"),
    ] {
        attributes.entry(name).or_default().insert(own);
    }
    let checkbox = HashMap::from([("type", HashSet::from(["checkbox"]))]);
    let mut builder = Builder::empty();
    builder
        .tags(tags)
        .clean_content_tags(rules::DROPPED_WITH_CONTENT.iter().copied().collect())
        .tag_attributes(attributes)
        .tag_attribute_values(HashMap::from([("input", checkbox)]))
        .generic_attributes(rules::GLOBAL_ATTRIBUTES.iter().copied().collect())
        .generic_attribute_prefixes(HashSet::from(["aria-"]))
        .url_schemes(url::SCHEMES.iter().copied().chain(["data"]).collect())
        .url_relative(UrlRelative::PassThrough)
        .link_rel(None)
        .strip_comments(true)
        .attribute_filter(filter);
    builder
}

/// Drops addresses that the general list of schemes lets through: `data:` that is not an image.
fn filter<'v>(element: &str, attribute: &str, value: &'v str) -> Option<Cow<'v, str>> {
    let is_address = rules::ADDRESS_ATTRIBUTES.contains(&attribute);
    (!is_address || url::check(element, value).is_ok()).then_some(Cow::Borrowed(value))
}

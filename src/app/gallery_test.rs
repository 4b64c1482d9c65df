//! Every page, rendered with usual and with extreme content, and what must hold for all of them.
//!
//! With `WEBSTEAD_GALLERY=DIR` the pages and their assets are also written there, to be looked at.

mod backups;
mod doctor;
mod editing;
mod names;
mod public;
mod samples;

use std::{collections::HashSet, fs, path::Path};

use askama::Template;

use self::{
    backups::backup_pages,
    editing::editing_pages,
    public::public_pages,
    samples::{edit, sign_in},
};
use crate::assets;

/// The name of a page in the gallery, and its HTML.
type Rendered = (&'static str, String);

fn every_page() -> Vec<Rendered> {
    [public_pages(), editing_pages(), backup_pages()].concat()
}

/// The values of an attribute in a page.
fn attribute<'a>(html: &'a str, name: &str) -> Vec<&'a str> {
    html.split(&format!(" {name}=\""))
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect()
}

#[test]
fn a_page_has_one_first_heading_and_unique_ids_and_its_references_lead_somewhere() {
    for (name, html) in every_page() {
        assert_eq!(html.matches("<h1").count(), 1, "{name}: first headings");
        let ids = attribute(&html, "id");
        let unique: HashSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "{name}: {ids:?}");
        let references = ["for", "aria-describedby", "aria-labelledby"];
        for id in references.iter().flat_map(|r| attribute(&html, r)) {
            assert!(unique.contains(id), "{name}: nothing has the id {id}");
        }
    }
}

#[test]
fn a_page_needs_no_inline_style_or_script_and_what_people_type_stays_text() {
    for (name, html) in every_page() {
        assert!(
            !html.contains("<script>") && !html.contains("<style"),
            "{name}"
        );
        assert!(!html.contains("<b style"), "{name}: markup got through");
        // `style='x'` of the hostile text may be there as text, where its quotes are escaped.
        assert!(
            !html.contains("style=\"") && !html.contains("style='"),
            "{name}"
        );
        for handler in ["onclick=", "onload=", "onsubmit=", "javascript:"] {
            assert!(!html.contains(handler), "{name}: {handler}");
        }
    }
}

#[test]
fn every_asset_that_a_page_names_exists() {
    for (name, html) in every_page() {
        let named = ["href", "src"]
            .into_iter()
            .flat_map(|a| attribute(&html, a));
        for address in named.filter_map(|a| a.strip_prefix("/assets/")) {
            assert!(assets::find(address).is_some(), "{name}: {address}");
        }
    }
    assert!(assets::named("img/favicon.ico").is_some());
    assert!(assets::named("img/apple-touch-icon.png").is_some());
}

#[test]
fn visitors_get_neither_the_editors_styles_nor_its_scripts() {
    let (_, html) = &public_pages()[0];
    assert!(!html.contains("/css/admin.") && !html.contains("<script"));
    assert!(html.contains("rel=\"canonical\" href=\"https://example.org/\""));
    for (name, html) in editing_pages() {
        assert!(
            html.contains("noindex") && !html.contains("og:title"),
            "{name}"
        );
    }
}

#[test]
fn a_right_to_left_language_turns_the_page() {
    let pages = public_pages();
    let (_, html) = pages
        .iter()
        .find(|(name, _)| *name == "post-rtl")
        .expect("the page");
    assert!(html.contains("<html lang=\"he\" dir=\"rtl\">"));
}

#[test]
fn the_text_in_the_editor_is_exactly_what_was_typed() {
    let page = edit("", "\n\n  two empty lines first\n")
        .render()
        .expect("it renders");
    // HTML drops one line break after the tag (WHATWG 13.2.6.4.7), so the template writes one.
    let text = page
        .split("id=\"_markdown\"")
        .nth(1)
        .and_then(|rest| rest.split_once('>'));
    let (_, text) = text.expect("the field");
    assert!(
        text.starts_with("\n\n\n  two empty lines first\n</textarea>"),
        "{text:.80}"
    );
}

#[test]
fn a_form_comes_back_filled_in_and_with_the_message_beside_its_field() {
    let page = sign_in(None, None).render().expect("it renders");
    assert!(page.contains("id=\"_name\" name=\"name\" value=\"ada\""));
    let pages = editing_pages();
    let (_, page) = pages
        .iter()
        .find(|(name, _)| *name == "settings")
        .expect("the page");
    assert!(page.contains("aria-invalid=\"true\" aria-describedby=\"_time_zone-error\">"));
    assert!(page.contains("name=\"time_zone\" value=\"Mars/Olympus\""));
    assert!(page.contains("id=\"_time_zone-error\">“Mars/Olympus” is not"));
}

#[test]
fn the_gallery_is_written_where_it_is_asked_for() {
    let Some(folder) = std::env::var_os("WEBSTEAD_GALLERY") else {
        return;
    };
    let folder = Path::new(&folder);
    for (name, html) in every_page() {
        for address in ["href", "src"]
            .into_iter()
            .flat_map(|a| attribute(&html, a))
        {
            let asset = address.strip_prefix("/assets/").and_then(assets::find);
            if let Some(asset) = asset {
                let file = folder.join(&address[1..]);
                fs::create_dir_all(file.parent().expect("a folder")).expect("made");
                fs::write(file, &asset.bytes).expect("written");
            }
        }
        fs::write(folder.join(format!("{name}.html")), html).expect("written");
    }
}

//! What a page says about itself: its own address, what is gone, how a tag is written, what robots may read.

use reqwest::StatusCode;

use crate::site::{Site, between};

#[test]
fn a_page_says_the_one_address_by_which_it_should_be_known() {
    let (site, editor) = Site::with_owner();
    for number in 0..25 {
        let title = format!("Post {number}");
        site.publish(&editor, &[("title", &title), ("tags", "Große Fahrt")]);
    }
    let visitor = site.client();
    let canonical = |path: &str| {
        let html = site.text(&visitor, path).1;
        let found = between(&html, "rel=\"canonical\" href=\"", "\"").to_owned();
        assert!(
            html.contains(&format!("property=\"og:url\" content=\"{found}\"")),
            "{html}"
        );
        found.strip_prefix(&site.base).unwrap().to_owned()
    };
    let tag = "/tags/grosse-fahrt";
    let year = jiff::Zoned::now()
        .with_time_zone(jiff::tz::TimeZone::UTC)
        .year();
    for (path, expected) in [
        ("/", "/"),
        ("/?utm_source=x", "/"),
        ("/%70ost-1", "/post-1"),
        (tag, tag),
        ("/tags/gr%6Fsse-fahrt", tag),
        (
            &format!("/archive/{year}?x=y"),
            &*format!("/archive/{year}"),
        ),
        ("/help", "/help/welcome"),
        ("/help/we%6Ccome", "/help/welcome"),
    ] {
        assert_eq!(canonical(path), expected, "{path}");
    }
    for list in ["/", tag] {
        let html = site.text(&visitor, list).1;
        let older = between(&html, "rel=\"next\" href=\"", "\"").to_owned();
        assert!(older.starts_with(&format!("{list}?before=")), "{older}");
        assert_eq!(canonical(&older), older);
        let html = site.text(&visitor, &older).1;
        let newer = between(&html, "rel=\"prev\" href=\"", "\"").to_owned();
        assert_eq!(canonical(&newer), newer);
    }
}

#[test]
fn what_was_never_published_is_not_found_and_what_was_is_gone() {
    let (site, editor) = Site::with_owner();
    let visitor = site.client();
    for (title, action, expected) in [("Draft", "save", 404), ("Post", "publish", 410)] {
        let edit = site.save_new(&editor, &[("title", title), ("markdown", "x")], action);
        let answer = site.post(&editor, &format!("{edit}/trash")).send().unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        let path = format!("/{}", title.to_lowercase());
        assert_eq!(site.text(&visitor, &path).0, expected, "{title}");
        assert_eq!(site.text(&editor, &path).0, 410, "{title} for an editor");
    }
}

#[test]
fn the_post_that_is_saved_last_says_how_its_tags_are_written() {
    let (site, editor) = Site::with_owner();
    let edit = site.publish(&editor, &[("title", "One"), ("tags", "sqlite")]);
    site.publish(&editor, &[("title", "Two"), ("tags", "sqlite")]);
    let form = [("title", "One"), ("tags", "SQLite"), ("revision", "1")];
    let answer = site.post(&editor, &edit).form(&form).send().unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    for path in ["/one", "/two", "/tags", "/tags/sqlite"] {
        let html = site.text(&site.client(), path).1;
        assert!(html.contains(">SQLite<"), "{path}: {html}");
    }
}

#[test]
fn robots_stay_out_of_the_programs_own_pages_and_of_nothing_that_only_begins_like_them() {
    let site = Site::start();
    let robots = site.text(&site.client(), "/robots.txt").1;
    let rules: Vec<&str> = robots
        .lines()
        .filter_map(|line| line.strip_prefix("Disallow: "))
        .collect();
    // As RFC 9309 section 2.2.2 and 2.2.3 say: from the beginning, and $ is the end.
    let is_shut_out = |path: &str| {
        rules.iter().any(|rule| match rule.strip_suffix('$') {
            Some(whole) => whole == path,
            None => path.starts_with(rule),
        })
    };
    for path in ["/admin", "/admin/posts/new", "/admin?q=x", "/sign-in"] {
        assert!(is_shut_out(path), "{path}");
    }
    for path in ["/", "/administration", "/admin-guide", "/sign-in-sheet"] {
        assert!(!is_shut_out(path), "{path}");
    }
}

//! Writing and reading posts and pages.

use reqwest::StatusCode;

use crate::site::{Site, between};

#[test]
fn a_draft_is_seen_by_editors_only_until_it_is_published_and_after_it_is_unpublished() {
    let (site, editor) = Site::with_owner();
    let visitor = site.client();
    let edit = site.save_new(
        &editor,
        &[("title", "Hello"), ("markdown", "some *text*")],
        "save",
    );
    assert_eq!(site.text(&visitor, "/hello").0, 404);
    assert_eq!(site.text(&editor, "/hello").0, 200);
    let save = |action: &str, revision: &str| {
        let form = [
            ("title", "Hello"),
            ("markdown", "some *text*"),
            ("revision", revision),
            ("action", action),
        ];
        site.post(&editor, &edit)
            .form(&form)
            .send()
            .unwrap()
            .status()
    };
    assert_eq!(save("publish", "1"), StatusCode::SEE_OTHER);
    let (status, html) = site.text(&visitor, "/hello");
    assert_eq!(status, 200);
    assert!(html.contains("some <em>text</em>"), "{html}");
    assert_eq!(save("unpublish", "2"), StatusCode::SEE_OTHER);
    assert_eq!(site.text(&visitor, "/hello").0, 404);
    assert!(!site.text(&visitor, "/").1.contains("Hello"));
}

#[test]
fn the_date_of_a_draft_is_kept_until_it_is_published_and_when_it_is_unpublished() {
    let (site, editor) = Site::with_owner();
    let edit = site.save_new(
        &editor,
        &[("title", "Hello"), ("published", "2014-12-12 09:30")],
        "save",
    );
    let shown = || {
        let html = site.text(&editor, &edit).1;
        between(&html, "name=\"published\" value=\"", "\"").to_owned()
    };
    let save = |action: &str, revision: &str, published: &str| {
        let form = [
            ("title", "Hello"),
            ("published", published),
            ("revision", revision),
            ("action", action),
        ];
        let answer = site.post(&editor, &edit).form(&form).send().unwrap();
        assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    };
    assert_eq!(shown(), "2014-12-12 09:30");
    save("save", "1", &shown());
    assert_eq!(shown(), "2014-12-12 09:30");
    save("publish", "2", &shown());
    let html = site.text(&site.client(), "/hello").1;
    assert!(html.contains("datetime=\"2014-12-12T09:30:00Z\""), "{html}");
    save("unpublish", "3", &shown());
    assert_eq!(shown(), "2014-12-12 09:30");
    save("publish", "4", &shown());
    assert_eq!(shown(), "2014-12-12 09:30");
    // What was emptied is the moment of publishing again.
    save("unpublish", "5", &shown());
    save("save", "6", "");
    assert_eq!(shown(), "");
    save("publish", "7", "");
    assert!(!shown().starts_with("2014"), "{}", shown());
}

#[test]
fn a_changed_address_redirects_from_the_old_ones_for_ever() {
    let (site, editor) = Site::with_owner();
    let edit = site.publish(
        &editor,
        &[("title", "Post"), ("address", "/one"), ("markdown", "x")],
    );
    for (revision, address) in [("1", "/two"), ("2", "/ünïcode path")] {
        let form = [
            ("title", "Post"),
            ("address", address),
            ("markdown", "x"),
            ("revision", revision),
            ("action", "save"),
        ];
        let answer = site.post(&editor, &edit).form(&form).send().unwrap();
        assert_eq!(
            answer.status(),
            StatusCode::SEE_OTHER,
            "{}",
            answer.text().unwrap()
        );
    }
    let site = site.restart();
    let visitor = site.client();
    for old in ["/one", "/two"] {
        let answer = site.get(&visitor, old);
        assert_eq!(answer.status(), StatusCode::MOVED_PERMANENTLY);
        assert_eq!(answer.headers()["location"], "/%C3%BCn%C3%AFcode%20path");
    }
    assert_eq!(site.text(&visitor, "/%C3%BCn%C3%AFcode%20path").0, 200);
}

#[test]
fn two_posts_cannot_share_an_address_and_what_was_written_comes_back() {
    let (site, editor) = Site::with_owner();
    site.publish(
        &editor,
        &[("title", "First"), ("address", "/same"), ("markdown", "x")],
    );
    let form = [
        ("title", "Second"),
        ("address", "/same"),
        ("markdown", "my long text"),
        ("action", "publish"),
    ];
    let answer = site
        .post(&editor, "/admin/posts")
        .form(&form)
        .send()
        .unwrap();
    assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let html = answer.text().unwrap();
    assert!(
        html.contains("“First” has or had this address") && html.contains("my long text"),
        "{html}"
    );
    // One that is made from the title finds a free one by itself.
    site.publish(&editor, &[("title", "Same"), ("markdown", "x")]);
    assert_eq!(site.text(&editor, "/same-2").0, 200);
}

#[test]
fn deleting_has_an_undo_and_deleting_for_ever_frees_the_address() {
    let (site, editor) = Site::with_owner();
    let visitor = site.client();
    let edit = site.publish(
        &editor,
        &[("title", "Post"), ("markdown", "x"), ("tags", "t")],
    );
    let do_it = |what: &str| {
        site.post(&editor, &format!("{edit}/{what}"))
            .send()
            .unwrap()
    };
    assert_eq!(
        do_it("delete").status(),
        StatusCode::UNPROCESSABLE_ENTITY,
        "only from the trash"
    );
    let answer = do_it("trash");
    let list = answer.headers()["location"].to_str().unwrap().to_owned();
    let html = site.text(&editor, &list).1;
    assert!(
        html.contains(&format!("action=\"{edit}/restore\"")),
        "there is an undo: {html}"
    );
    assert_eq!(site.text(&visitor, "/post").0, 410);
    assert_eq!(site.text(&visitor, "/tags/t").0, 404);
    assert_eq!(do_it("restore").status(), StatusCode::SEE_OTHER);
    assert_eq!(site.text(&visitor, "/post").0, 200);
    assert_eq!(site.text(&visitor, "/tags/t").0, 200);
    do_it("trash");
    assert!(site.text(&editor, "/admin/trash").1.contains("Post"));
    assert_eq!(do_it("delete").status(), StatusCode::SEE_OTHER);
    assert_eq!(site.text(&visitor, "/post").0, 404);
    site.publish(
        &editor,
        &[("title", "New"), ("address", "/post"), ("markdown", "x")],
    );
}

#[test]
fn walking_through_a_list_in_either_direction_meets_every_post_once() {
    let (site, editor) = Site::with_owner();
    for number in 0..25 {
        let title = format!("Post number {number:02}!");
        // Five at a time on the same second, so that ties are walked too.
        let published = format!("2020-01-{:02} 10:00", number / 5 + 1);
        site.publish(
            &editor,
            &[
                ("title", &title),
                ("tags", "all"),
                ("published", &published),
                ("markdown", "x"),
            ],
        );
    }
    let visitor = site.client();
    for list in ["/", "/tags/all"] {
        let (mut seen, mut path, mut last) = (Vec::new(), list.to_owned(), String::new());
        while !path.is_empty() {
            let html = site.text(&visitor, &path).1;
            seen.extend(titles(&html));
            last = path;
            path = link_of(&html, "next");
        }
        let mut back = titles(&site.text(&visitor, &last).1);
        let mut path = link_of(&site.text(&visitor, &last).1, "prev");
        while !path.is_empty() {
            let html = site.text(&visitor, &path).1;
            back.splice(0..0, titles(&html));
            path = link_of(&html, "prev");
        }
        let mut sorted = seen.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!((seen.len(), sorted.len()), (25, 25), "{list}: {seen:?}");
        assert_eq!(seen, back, "{list}");
    }
    assert!(site.text(&visitor, "/archive").1.contains("/archive/2020"));
    assert_eq!(titles(&site.text(&visitor, "/archive/2020").1).len(), 25);
    assert_eq!(site.text(&visitor, "/archive/2021").0, 404);
}

fn titles(html: &str) -> Vec<String> {
    html.match_indices("Post number ")
        .map(|(at, _)| html[at..at + 14].to_owned())
        .collect()
}

/// Where the link with this `rel` leads; empty if there is none.
fn link_of(html: &str, rel: &str) -> String {
    let start = format!("rel=\"{rel}\" href=\"");
    if html.contains(&start) {
        between(html, &start, "\"").to_owned()
    } else {
        String::new()
    }
}

#[test]
fn a_search_finds_titles_and_takes_wildcards_as_they_are() {
    let (site, editor) = Site::with_owner();
    for title in ["100% wool", "1000 sheep", "a_b", "axb"] {
        site.publish(&editor, &[("title", title), ("markdown", "x")]);
    }
    let found = |query: &str| {
        let html = site
            .get(&editor, &format!("/admin?q={query}"))
            .text()
            .unwrap();
        ["100% wool", "1000 sheep", "a_b", "axb"]
            .iter()
            .filter(|title| html.contains(&format!(">{title}<")))
            .count()
    };
    assert_eq!(found("100"), 2);
    assert_eq!(found("100%25"), 1);
    assert_eq!(found("a_b"), 1);
    assert_eq!(found("WOOL"), 1);
}

#[test]
fn a_search_in_any_script_minds_no_capitals_and_goes_on_over_screens() {
    let (site, editor) = Site::with_owner();
    for number in 0..120 {
        let title = match number % 2 {
            0 => format!("Über Äpfel {number:03}!"),
            _ => format!("Other {number:03}!"),
        };
        site.save_new(&editor, &[("title", &title)], "save");
    }
    site.save_new(&editor, &[("title", "ΟΔΥΣΣΕΙΑ ИВАН")], "save");
    for (query, count) in [("über", 60), ("ÄPFEL", 60), ("οδυ", 1), ("иван", 1)] {
        let asked = serde_urlencoded::to_string([("q", query)]).unwrap();
        let (mut path, mut seen) = (format!("/admin?{asked}"), Vec::new());
        while !path.is_empty() {
            let html = site.text(&editor, &path).1;
            let rows = html.split("class=\"row-title\"").skip(1);
            seen.extend(rows.map(|row| between(row, ">", "<").to_owned()));
            path = link_of(&html, "next").replace("&#38;", "&");
        }
        assert_eq!(seen.len(), count, "{query}");
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count, "{query}: none twice");
    }
}

#[test]
fn an_entry_of_the_feed_keeps_its_id_when_address_title_and_host_change() {
    let (site, editor) = Site::with_owner();
    let edit = site.publish(&editor, &[("title", "Post"), ("markdown", "x")]);
    site.publish(&editor, &[("title", "Another"), ("markdown", "x")]);
    let old_http = site.client_builder().http1_only().build().unwrap();
    let ids = |host: &str| {
        let answer = old_http
            .get(site.url("/feed.xml"))
            .header("Host", host)
            .send();
        let feed: atom_syndication::Feed = answer.unwrap().text().unwrap().parse().unwrap();
        assert!(feed.links()[0].href().contains(host), "{feed:?}");
        let entries = feed.entries().iter();
        let mut ids: Vec<_> = entries.map(|entry| entry.id().to_owned()).collect();
        ids.sort();
        ids.push(feed.id().to_owned());
        ids
    };
    let before = ids("one.example");
    assert!(before.iter().all(|id| id.starts_with("urn:uuid:")));
    assert!(before[0] != before[1] && before[1] != before[2]);
    let form = [
        ("title", "Renamed"),
        ("address", "/elsewhere"),
        ("revision", "1"),
    ];
    let answer = site.post(&editor, &edit).form(&form).send().unwrap();
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(ids("two.example"), before);
}

#[test]
fn pages_are_in_the_menu_and_posts_in_feed_sitemap_and_beside_each_other() {
    let (site, editor) = Site::with_owner();
    site.publish(
        &editor,
        &[("kind", "page"), ("title", "About us"), ("markdown", "x")],
    );
    site.publish(
        &editor,
        &[
            ("title", "Older & <b>"),
            ("published", "2020-01-01 10:00"),
            ("markdown", "x"),
        ],
    );
    site.publish(
        &editor,
        &[
            ("title", "Newer"),
            ("published", "2021-01-01 10:00"),
            ("markdown", "x"),
            ("authors", "Ada; Grace"),
        ],
    );
    let visitor = site.client();
    let html = site.text(&visitor, "/newer").1;
    assert!(
        html.contains("href=\"/about-us\"") && html.contains("href=\"/older-b\""),
        "{html}"
    );
    let feed: atom_syndication::Feed = site.text(&visitor, "/feed.xml").1.parse().unwrap();
    let titles: Vec<_> = feed
        .entries()
        .iter()
        .map(|entry| entry.title().as_str())
        .collect();
    assert_eq!(titles, ["Newer", "Older & <b>"]);
    assert_eq!(feed.entries()[0].authors().len(), 2);
    let index = site.text(&visitor, "/sitemap.xml").1;
    for part in [
        "/sitemap-pages.xml",
        "/sitemap-2021-1.xml",
        "/sitemap-2020-1.xml",
    ] {
        assert!(index.contains(part), "{index}");
        assert_eq!(site.text(&visitor, part).0, 200);
    }
    assert!(
        site.text(&visitor, "/sitemap-2020-1.xml")
            .1
            .contains("/older-b</loc>")
    );
}

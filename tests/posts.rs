//! Writing and reading posts and pages.

use reqwest::{StatusCode, blocking::Client};

use crate::site::{OWNER, PASSWORD, Site, between};

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
fn of_two_editors_the_second_to_save_sees_both_texts_and_decides() {
    let (site, first) = Site::with_owner();
    let second = site.sign_in(OWNER, PASSWORD);
    let edit = site.publish(
        &first,
        &[("title", "Post"), ("markdown", "line one\nline two")],
    );
    let save = |client: &Client, text: &str, action: &str, theirs: &str| {
        let form = [
            ("title", "Post"),
            ("markdown", text),
            ("revision", "1"),
            ("their_revision", theirs),
            ("action", action),
        ];
        site.post(client, &edit).form(&form).send().unwrap()
    };
    assert_eq!(
        save(&first, "line one\nline of Ada", "save", "0").status(),
        StatusCode::SEE_OTHER
    );
    let answer = save(&second, "line one\nline of Grace", "save", "0");
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let html = answer.text().unwrap();
    for expected in [
        "line of Ada",
        "line of Grace",
        "name=\"their_revision\" value=\"2\"",
        "save-mine",
    ] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
    assert!(
        site.text(&first, "/post").1.contains("line of Ada"),
        "nothing was overwritten"
    );
    // A third save in between is a conflict again, not lost.
    let form = [
        ("title", "Post"),
        ("markdown", "a third"),
        ("revision", "2"),
        ("action", "save"),
    ];
    assert_eq!(
        site.post(&first, &edit)
            .form(&form)
            .send()
            .unwrap()
            .status(),
        StatusCode::SEE_OTHER
    );
    assert_eq!(
        save(&second, "line of Grace", "save-mine", "2").status(),
        StatusCode::CONFLICT
    );
    assert_eq!(
        save(&second, "line of Grace", "save-mine", "3").status(),
        StatusCode::SEE_OTHER
    );
    assert!(site.text(&first, "/post").1.contains("line of Grace"));
}

#[test]
fn a_conflict_names_every_field_that_differs_and_no_other() {
    let (site, first) = Site::with_owner();
    let second = site.sign_in(OWNER, PASSWORD);
    let opened = [
        ("title", "Post"),
        ("address", "/post"),
        ("tags", "one, two"),
        ("published", "2014-12-12 09:30"),
        ("authors", "Ada"),
        ("description", "Short"),
        ("kind", "post"),
        ("markdown", "the text"),
    ];
    let cases = [
        ("Title", "title", "Other"),
        ("Address", "address", "/other"),
        ("Tags", "tags", "one, three"),
        ("Date", "published", "2015-01-01 00:00"),
        ("By", "authors", "Grace"),
        ("Description", "description", "Longer"),
        ("Kind", "kind", "page"),
    ];
    for (number, (label, field, theirs)) in cases.into_iter().enumerate() {
        let address = format!("/post-{number}");
        let form_of = |changed: &'static str, value: &'static str| {
            let mut form: Vec<(&str, String)> = opened
                .iter()
                .map(|(name, kept)| match *name {
                    name if name == changed => (name, value.to_owned()),
                    "address" => ("address", address.clone()),
                    name => (name, (*kept).to_owned()),
                })
                .collect();
            form.extend([("revision", "1".to_owned()), ("action", "save".to_owned())]);
            form
        };
        let new = form_of("", "");
        let new: Vec<_> = new.iter().map(|(name, value)| (*name, &**value)).collect();
        let edit = site.publish(&first, &new[..opened.len()]);
        let save = |client: &Client, form: &[(&str, String)]| {
            site.post(client, &edit).form(form).send().unwrap()
        };
        let answer = save(&first, &form_of(field, theirs));
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "{label}");
        let answer = save(&second, &form_of("", ""));
        assert_eq!(answer.status(), StatusCode::CONFLICT, "{label}");
        let html = answer.text().unwrap();
        let rows: Vec<&str> = html.split("<tr><th scope=\"row\">").skip(1).collect();
        assert_eq!(rows.len(), 1, "{label}: {rows:?}");
        assert!(rows[0].starts_with(&format!("{label}<")), "{}", rows[0]);
        assert!(rows[0].contains(&format!(">{theirs}<")), "{}", rows[0]);
    }
}

#[test]
fn a_form_that_is_sent_twice_makes_one_post_and_no_conflict_with_oneself() {
    let (site, editor) = Site::with_owner();
    let html = site.text(&editor, "/admin/posts/new").1;
    let new_id = between(&html, "name=\"new_id\" value=\"", "\"").to_owned();
    let edit = format!("/admin/posts/{new_id}");
    let send = |path: &str, revision: &str, text: &str, action: &str| {
        let form = [
            ("new_id", new_id.as_str()),
            ("title", "Twice"),
            ("tags", "one, two"),
            ("markdown", text),
            ("revision", revision),
            ("action", action),
        ];
        let answer = site.post(&editor, path).form(&form).send().unwrap();
        let location = answer.headers().get("location").cloned();
        let location = location.map(|l| l.to_str().unwrap().to_owned());
        (answer.status(), location, answer.text().unwrap())
    };
    // A form that comes back with a message, or as a preview, keeps its id.
    let html = send("/admin/posts", "0", "first", "preview").2;
    assert!(html.contains(&format!("name=\"new_id\" value=\"{new_id}\"")));
    for _ in 0..2 {
        let (status, location, html) = send("/admin/posts", "0", "first", "publish");
        assert_eq!(status, StatusCode::SEE_OTHER, "{html}");
        assert_eq!(location, Some(format!("{edit}?done=published")));
    }
    assert_eq!(site.text(&editor, "/twice-2").0, 404);
    // Its answer was lost, and the text was written on in the same form.
    let (status, _, html) = send("/admin/posts", "0", "written on", "save");
    assert_eq!(status, StatusCode::SEE_OTHER, "{html}");
    assert!(site.text(&editor, "/twice").1.contains("written on"));
    let html = site.text(&editor, &edit).1;
    let revision = between(&html, "name=\"revision\" value=\"", "\"").to_owned();
    for _ in 0..2 {
        let (status, location, html) = send(&edit, &revision, "changed", "save");
        assert_eq!(status, StatusCode::SEE_OTHER, "{html}");
        assert_eq!(location, Some(format!("{edit}?done=saved")));
    }
    // What somebody has saved since then is not overwritten by the old form.
    let (status, _, html) = send("/admin/posts", "0", "first", "publish");
    assert_eq!(status, StatusCode::CONFLICT, "{html}");
    assert!(site.text(&editor, "/twice").1.contains("changed"));
}

#[test]
fn first_saves_at_one_moment_make_one_post() {
    let (site, editor) = Site::with_owner();
    let html = site.text(&editor, "/admin/posts/new").1;
    let new_id = between(&html, "name=\"new_id\" value=\"", "\"");
    let form = [
        ("new_id", new_id),
        ("title", "Twice"),
        ("markdown", "x"),
        ("action", "publish"),
    ];
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let answer = site.post(&editor, "/admin/posts").form(&form);
                assert_eq!(answer.send().unwrap().status(), StatusCode::SEE_OTHER);
            });
        }
    });
    assert_eq!(site.text(&editor, "/twice").0, 200);
    assert_eq!(site.text(&editor, "/twice-2").0, 404);
}

#[test]
fn an_id_that_was_not_made_here_is_not_taken_for_a_new_post() {
    let (site, editor) = Site::with_owner();
    for id in ["9223372036854775807", "0", "-1", "x", ""] {
        let title = format!("Post {id}");
        let fields = [("new_id", id), ("title", title.as_str())];
        let edit = site.save_new(&editor, &fields, "save");
        assert_ne!(edit, format!("/admin/posts/{id}"));
    }
}

#[test]
fn a_save_that_meets_the_trash_overwrites_nothing_that_was_saved_before_the_trash() {
    let (site, first) = Site::with_owner();
    let second = site.sign_in(OWNER, PASSWORD);
    for saves_before in [false, true] {
        let title = format!("Post {saves_before}");
        let edit = site.publish(&first, &[("title", &title), ("markdown", "opened by both")]);
        let save = |client: &Client, text: &str, revision: &str| {
            let form = [
                ("title", title.as_str()),
                ("markdown", text),
                ("revision", revision),
                ("action", "save"),
            ];
            site.post(client, &edit).form(&form).send().unwrap()
        };
        if saves_before {
            assert_eq!(save(&first, "of Ada", "1").status(), StatusCode::SEE_OTHER);
        }
        let go = |what: &str| {
            let answer = site.post(&first, &format!("{edit}/{what}")).send().unwrap();
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        };
        go("trash");
        let answer = save(&second, "of Grace", "1");
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let html = answer.text().unwrap();
        assert!(html.contains("of Grace"), "{html}");
        let revision = between(&html, "name=\"revision\" value=\"", "\"").to_owned();
        // Sent once more while it is still in the trash: the same answer.
        let html = save(&second, "of Grace", &revision).text().unwrap();
        assert_eq!(between(&html, "name=\"revision\" value=\"", "\""), revision);
        go("restore");
        let answer = save(&second, "of Grace", &revision);
        if saves_before {
            assert_eq!(answer.status(), StatusCode::CONFLICT);
            assert!(answer.text().unwrap().contains("of Ada"));
        } else {
            assert_eq!(answer.status(), StatusCode::SEE_OTHER);
        }
    }
}

#[test]
fn a_new_post_keeps_its_id_when_the_session_ends_before_its_first_save() {
    let (site, first) = Site::with_owner();
    let second = site.sign_in(OWNER, PASSWORD);
    let html = site.text(&first, "/admin/posts/new").1;
    let hidden = format!(
        "name=\"new_id\" value=\"{}\"",
        between(&html, "name=\"new_id\" value=\"", "\"")
    );
    let new_id = between(&hidden, "value=\"", "\"");
    site.post(&second, "/admin/sessions/revoke-others")
        .send()
        .unwrap();
    let form = [("title", "Post"), ("new_id", new_id), ("action", "save")];
    let answer = site.post(&first, "/admin/posts").form(&form).send();
    let html = answer.unwrap().text().unwrap();
    let kept = html_unescape(between(&html, "name=\"kept_form\" value=\"", "\""));
    let form = [
        ("name", OWNER),
        ("password", PASSWORD),
        ("return_to", "/admin/posts"),
        ("kept_form", kept.as_str()),
    ];
    let answer = site.post(&first, "/sign-in").form(&form).send().unwrap();
    let html = answer.text().unwrap();
    assert!(html.contains(&hidden), "{hidden} is not in {html}");
}

#[test]
fn a_session_that_ends_while_somebody_writes_loses_nothing() {
    let (site, first) = Site::with_owner();
    let second = site.sign_in(OWNER, PASSWORD);
    let edit = site.publish(&first, &[("title", "Post"), ("markdown", "old")]);
    site.post(&second, "/admin/sessions/revoke-others")
        .send()
        .unwrap();
    let form = [
        ("title", "Post"),
        ("markdown", "hours of \"work\" & more"),
        ("revision", "1"),
        ("action", "save"),
    ];
    let answer = site.post(&first, &edit).form(&form).send().unwrap();
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let html = answer.text().unwrap();
    let kept = html_unescape(between(&html, "name=\"kept_form\" value=\"", "\""));
    assert!(kept.contains("hours+of"), "{kept}");
    let form = [
        ("name", OWNER),
        ("password", PASSWORD),
        ("return_to", edit.as_str()),
        ("kept_form", kept.as_str()),
    ];
    let answer = site.post(&first, "/sign-in").form(&form).send().unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let html = answer.text().unwrap();
    assert!(
        html.contains("hours of &#34;work&#34; &#38; more"),
        "{html}"
    );
    assert!(html.contains(&format!("action=\"{edit}\"")), "{html}");
    assert_eq!(
        site.get(&first, "/admin").status(),
        StatusCode::OK,
        "and the session is there again"
    );
}

fn html_unescape(text: &str) -> String {
    text.replace("&#38;", "&")
        .replace("&amp;", "&")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
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
            path = link_of(&html, "?before=");
        }
        let mut back = titles(&site.text(&visitor, &last).1);
        let mut path = link_of(&site.text(&visitor, &last).1, "?after=");
        while !path.is_empty() {
            let html = site.text(&visitor, &path).1;
            back.splice(0..0, titles(&html));
            path = link_of(&html, "?after=");
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

fn link_of(html: &str, mark: &str) -> String {
    let Some(at) = html.find(mark) else {
        return String::new();
    };
    let start = html[..at].rfind('"').unwrap() + 1;
    html[start..start + html[start..].find('"').unwrap()].to_owned()
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

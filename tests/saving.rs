//! Saving when something comes in between: somebody else, the trash, a lost answer, the end of a session.

use reqwest::{StatusCode, blocking::Client};

use crate::site::{OWNER, PASSWORD, Site, between};

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

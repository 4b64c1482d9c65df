//! Every page, judged from outside: by the Nu HTML Checker and by axe.

use std::fs;

use reqwest::blocking::Client;

use crate::{
    site::{OWNER, PASSWORD, Site},
    tools::{Browser, Look, html_errors, is_there, node_modules},
};

const KITCHEN_SINK: &str = r#"Intro with *emphasis*, **strong**, ~~gone~~, `code`, a [link](/about), a footnote[^1]
and another[^2] and the first again[^1].

# A first heading
## A second & a <b>bold</b> one
## A second & a <b>bold</b> one
#### A jump

> A quote
> > in a quote

> [!NOTE]
> A note.

> [!WARNING]
> A warning.

- [x] done
- [ ] open
  1. nested
  2. list

| left | centre | right |
|:-----|:------:|------:|
| 1    | `2`    | 3     |

| another | table |
|---|---|
| x | y |

```rust
/// Doc comment
fn main() -> Result<(), String> { let x = 42; println!("{x}"); Ok(()) } // end
```

```diff
+ added
- removed
```

```
no language
```

![A picture](data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==)

<details><summary>More</summary><p>Hidden <kbd>Ctrl</kbd></p></details>
<figure><img src="/favicon.svg"><figcaption>Caption</figcaption></figure>
<progress value="3" max="10"></progress>
<center><font color="red">old</font></center>
<table border=1 align=center><tr><td bgcolor=red>x</table>
<div style="color:red" id="_main">styled</div><p>unclosed

***

Term with `<html>` & ampersand.

[^1]: The first note.
[^2]: The second, with a list:

    - item
"#;

/// A site with something on every page; the paths of its public pages, and of its editors' pages.
fn full_site() -> (Site, Client, Vec<String>, Vec<String>) {
    let (site, editor) = Site::with_owner();
    let edit = site.publish(
        &editor,
        &[
            ("title", "Kitchen <sink> & more"),
            ("markdown", KITCHEN_SINK),
            ("tags", "One, Two & three"),
            ("authors", "Ada; Grace"),
        ],
    );
    site.publish(
        &editor,
        &[
            ("title", "Another"),
            ("markdown", "x"),
            ("published", "2019-05-05 10:00"),
            ("tags", "One"),
        ],
    );
    site.publish(
        &editor,
        &[
            ("title", "שלום עולם"),
            ("markdown", "שלום"),
            ("published", "2019-05-06 10:00"),
        ],
    );
    site.publish(
        &editor,
        &[("kind", "page"), ("title", "About"), ("markdown", "x")],
    );
    let gone = site.publish(&editor, &[("title", "Gone"), ("markdown", "x")]);
    site.post(&editor, &format!("{gone}/trash")).send().unwrap();
    let draft = site.save_new(&editor, &[("title", "A draft"), ("markdown", "x")], "save");
    let thrown = site.save_new(
        &editor,
        &[("title", "Thrown away"), ("markdown", "x")],
        "save",
    );
    site.post(&editor, &format!("{thrown}/trash"))
        .send()
        .unwrap();
    let mut public: Vec<String> = [
        "/",
        "/kitchen-sink-more",
        "/another",
        "/about",
        "/tags",
        "/tags/one",
        "/archive",
        "/archive/2019",
        "/sign-in",
        "/not-there",
        "/gone",
        "/help",
    ]
    .map(str::to_owned)
    .into();
    let help = site.text(&editor, "/help").1;
    for part in help.split("href=\"/help/").skip(1) {
        public.push(format!("/help/{}", &part[..part.find('"').unwrap()]));
    }
    let private = [
        "/admin".to_owned(),
        "/admin?q=none".into(),
        "/admin/posts/new".into(),
        "/admin/posts/new?kind=page".into(),
        edit,
        draft,
        "/a-draft".into(),
        "/admin/trash".into(),
        "/admin/account".into(),
        "/admin/settings".into(),
        "/admin/name".into(),
        "/admin/name/progress".into(),
        "/admin/name/https-only".into(),
        "/admin/name/dns?provider=rfc2136".into(),
        "/admin/name/router".into(),
        "/admin/hosts".into(),
        "/admin/disk".into(),
        "/admin/traffic".into(),
        "/admin/backups".into(),
        "/admin/backups/place".into(),
        "/admin/backups/place?kind=s3".into(),
        "/admin/backups/place?kind=sftp".into(),
        "/admin/doctor".into(),
        "/admin/traffic?q=nothing-like-this".into(),
        "/admin/hosts/new/files".into(),
        "/admin/hosts/new/proxy".into(),
        format!(
            "/admin?done=trashed&id={}",
            thrown.rsplit('/').next().unwrap()
        ),
    ];
    // So that there is something to see.
    site.post(&editor, "/admin/doctor").send().unwrap();
    (site, editor, public, private.into())
}

#[test]
fn the_html_checker_finds_no_error_on_any_page() {
    let (site, editor, public, private) = full_site();
    let visitor = site.client();
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    let mut keep = |name: &str, html: String| {
        let path = dir.path().join(format!(
            "{:02}{}.html",
            files.len(),
            name.replace(['/', '?', '=', '&'], "_")
        ));
        fs::write(&path, html).unwrap();
        files.push(path);
    };
    for path in &public {
        keep(path, site.text(&visitor, path).1);
    }
    for path in public.iter().take(3).chain(&private) {
        keep(path, site.text(&editor, path).1);
    }
    let bad = site
        .post(&editor, "/admin/posts")
        .form(&[("title", ""), ("markdown", "x"), ("published", "no")])
        .send()
        .unwrap();
    keep("problems", bad.text().unwrap());
    let bad = site
        .post(&editor, "/admin/name")
        .form(&[("domain", "a b"), ("contact", "ada"), ("authority", "x")])
        .send()
        .unwrap();
    keep("name-problems", bad.text().unwrap());
    let looked = site
        .post(&editor, "/admin/name")
        .form(&[("domain", "name.test"), ("www", "bare"), ("action", "look")])
        .send()
        .unwrap();
    keep("name-looked-at", looked.text().unwrap());
    let edit = site.publish(&editor, &[("title", "Twice"), ("markdown", "one")]);
    let stale = [
        ("title", "Twice"),
        ("markdown", "two"),
        ("revision", "0"),
        ("action", "save"),
    ];
    keep(
        "conflict",
        site.post(&editor, &edit)
            .form(&stale)
            .send()
            .unwrap()
            .text()
            .unwrap(),
    );
    let preview = [
        ("title", "Twice"),
        ("markdown", KITCHEN_SINK),
        ("revision", "1"),
        ("action", "preview"),
    ];
    keep(
        "preview",
        site.post(&editor, &edit)
            .form(&preview)
            .send()
            .unwrap()
            .text()
            .unwrap(),
    );
    keep(
        "kept",
        site.post(&visitor, &edit)
            .form(&stale)
            .send()
            .unwrap()
            .text()
            .unwrap(),
    );
    keep(
        "refused",
        visitor
            .post(site.url("/sign-in"))
            .send()
            .unwrap()
            .text()
            .unwrap(),
    );
    let fresh = Site::start();
    let stranger = fresh.client();
    keep("fresh", fresh.text(&stranger, "/").1);
    keep(
        "setup",
        fresh.text(&stranger, fresh.setup_path.as_ref().unwrap()).1,
    );
    if let Some(errors) = html_errors(&files) {
        assert!(errors.is_empty(), "{errors}");
        let wrong = dir.path().join("wrong.html");
        fs::write(&wrong, "<p>no doctype, no title</div>").unwrap();
        let errors = html_errors(&[wrong]).unwrap_or_default();
        assert!(!errors.is_empty(), "the checker sees nothing");
    }
}

#[test]
fn axe_finds_no_violation_on_any_page_in_light_and_dark_on_phone_and_desktop() {
    let axe = node_modules().join("axe-core/axe.min.js");
    if !is_there("axe (npm: axe-core)", axe.is_file()) {
        return;
    }
    let axe = fs::read_to_string(axe).unwrap();
    let (site, editor, public, private) = full_site();
    let mut found = Vec::new();
    for (is_dark, width) in [(false, 1280), (true, 390), (true, 1280), (false, 390)] {
        let Some(browser) = Browser::start(Look {
            is_dark,
            width,
            scripts: true,
        }) else {
            return;
        };
        browser.open(&site.url("/"));
        let look =
            browser.run("return [innerWidth, matchMedia('(prefers-color-scheme: dark)').matches]");
        assert_eq!(
            look,
            serde_json::json!([width, is_dark]),
            "the browser looks as asked"
        );
        judge_setup(&axe, &browser, &mut found);
        for path in &public {
            judge(&axe, &browser, &site, path, &mut found);
        }
        browser.open(&site.url("/sign-in"));
        sign_in(&browser, "nobody");
        browser.wait_for("document.querySelector('.notice.bad, .field-error')");
        judge_shown(&axe, &browser, "sign-in with an error", &mut found);
        sign_in(&browser, OWNER);
        browser.wait_for("location.pathname == '/admin'");
        for path in public.iter().take(2).chain(&private) {
            judge(&axe, &browser, &site, path, &mut found);
        }
        judge_writing(&axe, &browser, &site, &editor, &mut found);
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

fn sign_in(browser: &Browser, name: &str) {
    browser.fill("[name=name]", name);
    browser.fill("[name=password]", PASSWORD);
    browser.click("main form button");
}

/// The editor when something is wrong: a field, a conflict, the end of the session. Signs out.
fn judge_writing(
    axe: &str,
    browser: &Browser,
    site: &Site,
    editor: &Client,
    found: &mut Vec<String>,
) {
    browser.open(&site.url("/admin/posts/new"));
    browser.accept_dialog();
    browser.fill("[name=markdown]", "a text without a title");
    browser.click("button[value=publish]");
    browser.wait_for_text("Give it a title");
    judge_shown(axe, browser, "a form with an error", found);

    let edit = site.publish(
        editor,
        &[
            ("title", "Twice"),
            ("markdown", "as it was"),
            ("tags", "One"),
        ],
    );
    browser.open(&site.url(&edit));
    browser.accept_dialog();
    browser.fill("[name=markdown]", "of this window");
    let theirs = [
        ("title", "Of another"),
        ("markdown", "of another"),
        ("revision", "1"),
    ];
    site.post(editor, &edit).form(&theirs).send().unwrap();
    browser.click("button[value=save]");
    browser.wait_for_text("Somebody saved this while you were writing");
    judge_shown(axe, browser, "a conflict", found);

    browser.delete_cookies();
    browser.click("button[value=save-mine]");
    browser.wait_for("document.querySelector('[name=kept_form]')");
    judge_shown(axe, browser, "sign-in with a kept form", found);
    sign_in(browser, OWNER);
    browser.wait_for_text("nothing was lost");
    judge_shown(axe, browser, "a kept form", found);
}

fn judge_setup(axe: &str, browser: &Browser, found: &mut Vec<String>) {
    let fresh = Site::start();
    judge(axe, browser, &fresh, "/", found);
    judge(
        axe,
        browser,
        &fresh,
        fresh.setup_path.as_ref().unwrap(),
        found,
    );
}

fn judge(axe: &str, browser: &Browser, site: &Site, path: &str, found: &mut Vec<String>) {
    browser.open(&site.url(path));
    browser.accept_dialog();
    judge_shown(axe, browser, path, found);
}

/// Judges the page that is open, whatever led there.
fn judge_shown(axe: &str, browser: &Browser, path: &str, found: &mut Vec<String>) {
    let overflow = browser
        .run("return document.documentElement.scrollWidth - document.documentElement.clientWidth");
    if overflow.as_i64().unwrap_or(0) > 0 {
        found.push(format!("{path} is {overflow} pixels wider than the window"));
    }
    browser.run(&format!("{axe}; return 0"));
    let violations = browser.run_async(
        "const done = arguments[arguments.length - 1];\
         document.querySelectorAll('details').forEach(d => d.open = true);\
         axe.run().then(r => done(r.passes.length < 5 ? ['axe judged nothing'] : r.violations.map(v => v.id + ': ' + v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | '))), e => done(['axe failed: ' + e]))",
    );
    for violation in violations.as_array().unwrap() {
        found.push(format!("{path}: {}", violation.as_str().unwrap()));
    }
}

//! The main things that a person does, in a real browser.

use crate::{
    site::{OWNER, PASSWORD, Site},
    tools::{Browser, DESKTOP, Look},
};

/// What the editor's scripts add to its page.
const MADE_BY_SCRIPTS: [&str; 2] = [".marks button", ".pane-tabs button"];

fn set_up(browser: &Browser, site: &Site) {
    browser.open(&site.url(site.setup_path.as_ref().unwrap()));
    browser.fill("[name=site_title]", "My site");
    browser.fill("[name=display_name]", "Ada");
    browser.fill("[name=name]", OWNER);
    browser.fill("[name=password]", PASSWORD);
    browser.click("main form button");
    browser.wait_for_text("Everything");
}

#[test]
fn a_person_sets_the_site_up_writes_with_a_live_preview_publishes_and_takes_a_deletion_back() {
    let Some(browser) = Browser::start(DESKTOP) else {
        return;
    };
    let site = Site::start();
    set_up(&browser, &site);
    browser.open(&site.url("/admin/posts/new"));
    browser.fill("[name=title]", "My first post");
    for made in MADE_BY_SCRIPTS {
        assert!(browser.has(made), "{made} is there with scripts");
    }
    browser.type_into("[name=markdown]", "Some *lively* text");
    browser.wait_for("[...document.querySelectorAll('em')].some(e => e.textContent == 'lively')");
    browser.click("button[value=publish]");
    browser.wait_for_text("visitors can see it now");
    let edit = browser.url();
    browser.open(&site.url("/my-first-post"));
    browser.wait_for_text("lively");
    browser.open(&edit);
    browser.click("form[action$='/trash'] button");
    browser.wait_for_text("in the trash");
    browser.click("form[action$='/restore'] button");
    browser.wait_for_text("It is back");
    assert_eq!(site.text(&site.client(), "/my-first-post").0, 200);
}

#[test]
fn two_windows_on_one_post_lose_nothing() {
    let Some(browser) = Browser::start(DESKTOP) else {
        return;
    };
    let (site, editor) = Site::with_owner();
    let edit = site.publish(&editor, &[("title", "Post"), ("markdown", "as it was")]);
    browser.open(&site.url("/sign-in"));
    browser.fill("[name=name]", OWNER);
    browser.fill("[name=password]", PASSWORD);
    browser.click("main form button");
    browser.wait_for("location.pathname == '/admin'");
    browser.open(&site.url(&edit));
    let first = browser.new_window();
    browser.open(&site.url(&edit));
    browser.fill("[name=markdown]", "from the second window");
    browser.click("button[value=save]");
    browser.wait_for_text("Saved.");
    browser.switch_to(first);
    browser.fill("[name=markdown]", "from the first window");
    browser.click("button[value=save]");
    browser.wait_for_text("Somebody saved this while you were writing");
    browser.wait_for_text("from the second window");
    browser.click("button[value=save-mine]");
    browser.wait_for_text("Saved.");
    assert!(
        site.text(&site.client(), "/post")
            .1
            .contains("from the first window")
    );
}

#[test]
fn a_session_that_ends_in_the_middle_of_a_sentence_gives_the_sentence_back() {
    let Some(browser) = Browser::start(DESKTOP) else {
        return;
    };
    let site = Site::start();
    set_up(&browser, &site);
    browser.open(&site.url("/admin/posts/new"));
    browser.fill("[name=title]", "Interrupted");
    browser.fill("[name=markdown]", "in the middle of a sen");
    browser.delete_cookies();
    browser.click("button[value=publish]");
    browser.wait_for("document.querySelector('[name=password]')");
    browser.fill("[name=name]", OWNER);
    browser.fill("[name=password]", PASSWORD);
    browser.click("main form button");
    browser.wait_for("document.querySelector('[name=markdown]')");
    browser.wait_for("document.querySelector('[name=markdown]').value == 'in the middle of a sen'");
    browser.click("button[value=publish]");
    browser.wait_for_text("visitors can see it now");
    assert_eq!(site.text(&site.client(), "/interrupted").0, 200);
}

#[test]
fn unsaved_text_is_offered_back_after_the_window_was_closed() {
    let Some(browser) = Browser::start(DESKTOP) else {
        return;
    };
    let site = Site::start();
    set_up(&browser, &site);
    browser.open(&site.url("/admin/posts/new"));
    browser.fill("[name=markdown]", "never saved, never lost");
    browser.wait_for("Object.keys(localStorage).length > 0");
    let _first = browser.new_window();
    browser.open(&site.url("/admin/posts/new"));
    browser.wait_for_text("Bring it back");
    browser.run("[...document.querySelectorAll('button')].find(b => b.textContent.includes('Bring it back')).click()");
    browser
        .wait_for("document.querySelector('[name=markdown]').value == 'never saved, never lost'");
}

#[test]
fn what_is_saved_is_not_offered_as_unsaved_whatever_the_title_looked_like() {
    let Some(browser) = Browser::start(DESKTOP) else {
        return;
    };
    let site = Site::start();
    set_up(&browser, &site);
    let write = || {
        browser.open(&site.url("/admin/posts/new"));
        browser.fill("[name=title]", " Two   words ");
        browser.fill("[name=markdown]", "the text");
        browser.wait_for("Object.keys(localStorage).length > 0");
    };
    write();
    // The text of the first window is put aside, under a key of its own.
    let _first = browser.new_window();
    write();
    browser.wait_for("Object.keys(localStorage).some(name => /new-post:\\d+$/.test(name))");
    browser.click("button[value=save]");
    browser.wait_for_text("Saved.");
    browser.wait_for("document.querySelector('.pane-tabs')");
    assert!(!browser.has(".notice.warning"), "{}", browser.text());
    assert_eq!(
        browser.run("return Object.keys(localStorage)"),
        serde_json::json!([])
    );
}

#[test]
fn everything_works_without_scripts() {
    let Some(browser) = Browser::start(Look {
        scripts: false,
        ..DESKTOP
    }) else {
        return;
    };
    let site = Site::start();
    set_up(&browser, &site);
    browser.open(&site.url("/admin/posts/new"));
    browser.fill("[name=title]", "No scripts");
    browser.fill("[name=markdown]", "plain *old* form");
    browser.click("button[value=preview]");
    browser.wait_for_text("plain old form");
    browser.click("button[value=publish]");
    browser.wait_for_text("visitors can see it now");
    browser.click("form[action$='/trash'] button");
    browser.wait_for_text("in the trash");
    browser.click("form[action$='/restore'] button");
    browser.wait_for_text("It is back");
    browser.open(&site.url("/admin/posts/new"));
    for made in MADE_BY_SCRIPTS {
        assert!(!browser.has(made), "{made} is of no use without scripts");
    }
}

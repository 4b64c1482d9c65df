//! The router, seen and asked by the owner in the browser: a real router in a network namespace (see `router.rs`).

use std::fs;

use crate::{router::Home, site::PASSWORD, waiting::wait_until};

#[test]
fn in_the_browser_the_owner_sees_the_router_consents_and_takes_it_back() {
    let Some(mut home) = Home::build("e", "11.22.33.44", "") else {
        return;
    };
    let site = home.serve();
    home.set_up(PASSWORD);
    let has = |page: &str, words: &[&str]| {
        for word in words {
            assert!(page.contains(word), "{word} is missing: {page}");
        }
    };
    let page = home.browse("/admin/name/router", None);
    has(&page, &["It is not asked to open anything", "Look now"]);
    home.browse("/admin/name/router/look", Some(&[]));
    let page = home.browse("/admin/name/router", None);
    has(
        &page,
        &[
            "The router is 192.168.77.1",
            "It speaks UPnP, PCP and NAT-PMP",
            "The internet knows it as 11.22.33.44",
            "Its port 443 is closed",
        ],
    );
    let refused = home.browse("/admin/name/router", Some(&[("password", "a guess")]));
    has(&refused, &["422", "This is not your password"]);
    assert!(!home.passes_on().contains("dnat"), "nobody has consented");

    let asked = home.browse("/admin/name/router", Some(&[("password", PASSWORD)]));
    has(&asked, &["/admin/name/router?done=open"]);
    wait_until("both ports lead here", || {
        let rules = home.passes_on();
        rules.contains("192.168.77.20:8443") && rules.contains("192.168.77.20:8080")
    });
    assert_eq!(home.visit("https://11.22.33.44/"), "200", "{}", home.log());
    wait_until("the page says so", || {
        let page = home.browse("/admin/name/router", None);
        page.contains("Port 80 to port 8080") && page.contains("over UPnP")
    });
    // What was seen before contradicts that, and is not shown beside it.
    let page = home.browse("/admin/name/router", None);
    has(
        &page,
        &["Port 443 to port 8443", "granted", "before the last change"],
    );
    assert!(!page.contains("is closed"), "{page}");
    let refused = home.says(&["router", "close"]);
    assert!(refused.contains("take it back in the browser"), "{refused}");

    // A restart knows of it; a no of the file counts more.
    drop(site);
    let site = home.serve();
    wait_until("it is asked", || {
        home.browse("/admin/name/router", None)
            .contains("It is asked to pass visitors on")
    });
    home.set(false);
    site.signal("HUP");
    wait_until("both are closed", || !home.passes_on().contains("dnat"));
    let page = home.browse("/admin/name/router", None);
    has(&page, &["set in webstead.toml"]);
    fs::write(home.data().join("webstead.toml"), "").unwrap();
    site.signal("HUP");
    wait_until("they are open again", || {
        home.passes_on().contains("192.168.77.20:8080")
    });
    let closed = home.browse("/admin/name/router/close", Some(&[]));
    has(&closed, &["/admin/name/router?done=closed"]);
    wait_until("both are closed", || !home.passes_on().contains("dnat"));
    let after = "/admin/name/router?done=closed";
    wait_until("the page says so", || {
        let page = home.browse(after, None);
        page.contains("What the router was asked to open is closed") && !page.contains("granted")
    });

    // A router that is away cannot close, and nobody says that it has.
    home.browse("/admin/name/router", Some(&[("password", PASSWORD)]));
    wait_until("they are open once more", || {
        let page = home.browse("/admin/name/router", None);
        page.contains("Port 80 to port 8080") && !page.contains("being asked")
    });
    home.falls_silent();
    home.browse("/admin/name/router/close", Some(&[]));
    wait_until("it is tried", || {
        home.browse(after, None).contains("Not closed yet")
    });
    let page = home.browse(after, None);
    has(
        &page,
        &["told to close", "may still be open", "It is tried again"],
    );
    assert!(!page.contains("asked to open is closed"), "{page}");
}

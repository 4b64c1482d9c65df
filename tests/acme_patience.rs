//! How an authority is treated with whom something goes wrong: not asked too often, and at once when that helps.

use std::time::Duration;

use tempfile::TempDir;

use crate::{
    ari::Ari,
    certificates::{await_certificate, set, shown},
    faketime::Clock,
    pebble::{Options, Pebble},
    site::Site,
    waiting::until,
};

/// The keeper looks every five seconds.
const A_LOOK: Duration = Duration::from_secs(7);

fn quiet() -> Options {
    // Every order counts here.
    Options {
        refused_nonces: 0,
        ..Options::default()
    }
}

#[test]
fn with_a_clock_that_is_hours_behind_or_days_ahead_nothing_is_ordered_before_it_is_right() {
    let dir = TempDir::new().unwrap();
    let Some(clock) = Clock::saying("-3h") else {
        return;
    };
    let site = Site::start_with(&dir.path().join("data"), &clock.environment());
    let Some(pebble) = Pebble::start(&site, quiet()) else {
        return;
    };
    let ari = Ari::start(&pebble);
    let settings = ari.settings(&pebble);
    set(&site, &format!("domain = \"a.test\"\n{settings}"));
    until(&site, "the owner is told", || {
        site.log().contains("hours behind that of the authority")
    });
    let orders = || ari.said(|said| said.orders.len());
    assert_eq!(orders(), 0);
    clock.set("+0d");
    let first = await_certificate(&site, &pebble, "a.test");

    // It works, and a clock that is set wrongly takes nothing away; a new name waits.
    clock.set("+40d");
    let both = format!("domain = \"a.test\"\nalso = [\"b.test\"]\n{settings}");
    set(&site, &both);
    until(&site, "the owner is told", || {
        site.log().contains("days ahead of that of the authority")
    });
    assert_eq!(shown(&site, "a.test", &pebble.root()).unwrap(), first);
    assert_eq!(orders(), 1);
    clock.set("+0d");
    await_certificate(&site, &pebble, "b.test");

    // So little is no reason to wait, also where a certificate seems to begin later.
    clock.set("-50m");
    set(&site, &both.replace("b.test\"", "b.test\", \"c.test\""));
    await_certificate(&site, &pebble, "c.test");
    std::thread::sleep(A_LOOK);
    assert_eq!(orders(), 3, "{}", site.log());
}

#[test]
fn closed_doors_cost_few_looks_of_the_authority_also_over_a_restart() {
    let dir = TempDir::new().unwrap();
    let Some(clock) = Clock::saying("+0d") else {
        return;
    };
    let data = dir.path().join("data");
    let mut site = Site::start_with(&data, &clock.environment());
    let Some(pebble) = Pebble::start(&site, quiet()) else {
        return;
    };
    let ari = Ari::start(&pebble);
    let lead = "{\"host\": \"away.test\", \"addresses\": [\"127.0.0.2\"]}";
    pebble.tell_dns("add-a", lead);
    let settings = format!("domain = \"away.test\"\n{}", ari.settings(&pebble));
    set(&site, &settings);
    let orders = || ari.said(|said| said.orders.len());
    let look = |site: &Site, minutes: u32, expected: usize| {
        clock.set(&format!("+{minutes}m"));
        if expected > orders() {
            until(site, "tried", || orders() >= expected);
        }
        std::thread::sleep(A_LOOK);
        assert_eq!(orders(), expected, "{minutes} minutes: {}", site.log());
    };
    // Both doors once, then one after the other; and four looks are enough for an hour.
    for (minutes, expected) in [(0, 2), (3, 3), (15, 4), (40, 4)] {
        look(&site, minutes, expected);
    }
    assert!(site.stop().success());
    drop(site);
    let site = Site::start_with(&data, &clock.environment());
    for (minutes, expected) in [(50, 4), (80, 5)] {
        look(&site, minutes, expected);
    }
    // Something was changed: it is tried at once.
    set(&site, &format!("{settings}contact = \"ada@away.test\"\n"));
    until(&site, "tried", || orders() > 5);
}

#[test]
fn a_certificate_is_renewed_in_time_even_if_its_authority_is_away_and_has_forgotten_everything() {
    let site = Site::start();
    // A life of half a minute: what takes months otherwise.
    let options = Options {
        validity_s: 40,
        ..Options::default()
    };
    let Some(mut pebble) = Pebble::start(&site, options) else {
        return;
    };
    set(
        &site,
        &format!("domain = \"site.test\"\n{}", pebble.settings()),
    );
    let first = await_certificate(&site, &pebble, "site.test");
    until(&site, "renewed by itself", || {
        shown(&site, "site.test", &pebble.root()).is_ok_and(|other| other != first)
    });
    let root = pebble.root();
    pebble.stop();
    until(&site, "a failure in words", || {
        site.log().contains("cannot be reached")
    });
    assert!(
        shown(&site, "site.test", &root).is_ok(),
        "the old one is shown meanwhile"
    );
    pebble.start_again();
    await_certificate(&site, &pebble, "site.test");
    let accounts = site.data().join("tls/acme").read_dir().unwrap().count();
    assert!(accounts >= 2, "the lost account is kept aside");
    // Once more, while there is something to tell the authority about the account that it has forgotten.
    pebble.stop();
    pebble.start_again();
    let other = format!(
        "domain = \"site.test\"\n{}contact = \"ada@site.test\"\n",
        pebble.settings()
    );
    set(&site, &other);
    await_certificate(&site, &pebble, "site.test");
}

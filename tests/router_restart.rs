//! A router that is switched off and on, and knows nothing more (see `router.rs`).

use std::{fs, thread, time::Duration};

use crate::{
    router::Home,
    waiting::{wait_until, wait_within},
};

#[test]
fn a_router_that_starts_anew_is_asked_again_within_a_minute_or_so() {
    // One that tells its seconds, one that does not, and one that is away for a while. And while they are waited for, one
    // that grants little.
    thread::scope(|scope| {
        scope.spawn(is_away);
        scope.spawn(grants_little);
        scope.spawn(|| starts_anew("y", ""));
        scope.spawn(|| starts_anew("z", "enable_natpmp=no"));
    });
}

fn starts_anew(name: &str, settings: &str) {
    let Some(mut home) = Home::build(name, "11.22.33.44", settings) else {
        return;
    };
    home.set(true);
    let _site = home.serve();
    within(Duration::from_secs(30), &home);
    // It has counted some seconds, as routers have.
    thread::sleep(Duration::from_secs(20));
    let mut daemon = home.daemon.take().unwrap();
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    let home = home.with_daemon(settings);
    assert!(!home.passes_on().contains("dnat"), "it knows nothing more");
    // It is asked each minute, and asked again within seconds.
    within(Duration::from_secs(80), &home);
}

/// Behind a switch that stays on, so that nothing here says that it is back.
fn is_away() {
    let Some(home) = Home::connect("w", "11.22.33.44") else {
        return;
    };
    home.set(true);
    // It was asked for something before this machine started anew.
    let before = "{\"mapped\":[{\"external\":443,\"internal\":1,\"own\":\"192.168.77.20\",\
        \"router\":\"192.168.77.1\",\"protocol\":\"Upnp\",\"until\":1,\"nonce\":[0,0,0,0,0,0,0,0,0,0,0,0]}]}";
    fs::write(home.data().join("router.json"), before).unwrap();
    let _site = home.serve();
    // Two tries fail, and the next one after a failure that stays so would be two minutes later.
    thread::sleep(Duration::from_secs(75));
    let home = home.with_daemon("");
    within(Duration::from_secs(80), &home);
}

/// A lease of two minutes is renewed when one is over.
fn grants_little() {
    let settings = "enable_upnp=no\nmax_lifetime=121";
    let Some(home) = Home::build("s", "11.22.33.44", settings) else {
        return;
    };
    home.set(true);
    let _site = home.serve();
    within(Duration::from_secs(30), &home);
    let ends = || -> Vec<i64> {
        let text = fs::read_to_string(home.data().join("router.json")).unwrap();
        let kept: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mapped = kept["mapped"].as_array().unwrap().iter();
        mapped.map(|one| one["until"].as_i64().unwrap()).collect()
    };
    // Before a router is asked, an hour is written down, so that nothing that it grants is forgotten. What it granted follows.
    let are_granted = || {
        let now = jiff::Timestamp::now().as_second();
        ends().iter().filter(|end| **end <= now + 121).count() == 2
    };
    wait_until("both are written down as they are granted", are_granted);
    let first = ends();
    // The last minute has not begun yet: nothing has ended.
    let are_later = || {
        let mut both = ends().into_iter().zip(&first);
        both.all(|(end, first)| end - first >= 50)
    };
    wait_within(Duration::from_secs(90), are_later, || {
        format!("{:?} {first:?} {}", ends(), home.log())
    });
    within(Duration::ZERO, &home);
}

/// Both ports lead here within this time.
fn within(time: Duration, home: &Home) {
    let is_so = || {
        let rules = home.passes_on();
        rules.contains("192.168.77.20:8443") && rules.contains("192.168.77.20:8080")
    };
    wait_within(time, is_so, || {
        format!("{} {}", home.passes_on(), home.log())
    });
}

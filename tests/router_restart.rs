//! A router that is switched off and on, and knows nothing more (see `router.rs`).

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::router::Home;

#[test]
fn a_router_that_starts_anew_is_asked_again_within_a_minute_or_so() {
    // One that tells its seconds, and one that does not.
    thread::scope(|scope| {
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

/// Both ports lead here within this time.
fn within(time: Duration, home: &Home) {
    let deadline = Instant::now() + time;
    let is_so = || {
        let rules = home.passes_on();
        rules.contains("192.168.77.20:8443") && rules.contains("192.168.77.20:8080")
    };
    while !is_so() {
        assert!(
            Instant::now() < deadline,
            "{} {}",
            home.passes_on(),
            home.log()
        );
        thread::sleep(Duration::from_millis(200));
    }
}

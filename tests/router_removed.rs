//! `webstead uninstall` on a machine whose router has a port open for it (see `router.rs`): the real command, which
//! sees a service manager and folders of its own, so that nothing of this machine is taken away.

use std::{fs, process::Command};

use crate::{router::Home, waiting::wait_until};

/// Makes a machine in a mount namespace that looks as if Webstead were installed, and takes it away there. `systemctl`
/// writes down how it was called.
const TAKE_AWAY: &str = "set -e
mount -t tmpfs none /run; mkdir -p /run/systemd/system
mount -t tmpfs none /var/lib; cp -a \"$DATA\" /var/lib/webstead
mount -t tmpfs none /usr/local/bin; cp \"$PROGRAM\" /usr/local/bin/webstead
printf '#!/bin/sh\\necho \"$@\" >>\"$DATA.asked\"\\n' >/usr/local/bin/systemctl; chmod +x /usr/local/bin/systemctl
/usr/local/bin/webstead uninstall
test ! -e /usr/local/bin/webstead; test -e /var/lib/webstead/site.db; test ! -e /var/lib/webstead/router.json";

#[test]
fn uninstall_has_the_router_close_what_it_was_asked_to_open() {
    let Some(home) = Home::build("u", "11.22.33.44", "") else {
        return;
    };
    home.set(true);
    {
        let _site = home.serve();
        wait_until("both ports lead here", || {
            home.log().matches("passes its port").count() == 2
        });
    }
    assert!(home.passes_on().contains("192.168.77.20:8443"), "open");
    let place = format!("{}i", home.name);
    let output = Command::new("ip")
        .args(["netns", "exec", &place, "unshare", "--mount"])
        .args(["sh", "-c", TAKE_AWAY])
        .env("DATA", home.data())
        .env("PROGRAM", env!("CARGO_BIN_EXE_webstead"))
        .env_remove("STATE_DIRECTORY")
        .output()
        .unwrap();
    let both = [&*output.stdout, &*output.stderr].concat();
    let text = String::from_utf8_lossy(&both);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("have the router close"), "{text}");
    assert!(!home.passes_on().contains("dnat"), "{text}");
    let asked = fs::read_to_string(home.data().with_extension("asked")).unwrap();
    assert!(asked.contains("disable --now webstead.service"), "{asked}");
}

//! miniupnpd, a real router's daemon with the kernel's own NAT: what it is told, and a front for answers that other
//! routers give.

use std::{fs, path::Path};

/// Where the daemon lies.
pub(crate) const DAEMON: &str = "/usr/sbin/miniupnpd";

/// The interfaces of a router and the network at home.
pub(crate) struct Sides {
    pub(crate) outside: &'static str,
    pub(crate) inside: &'static str,
    /// With its length: `192.168.77.0/24`.
    pub(crate) network: &'static str,
}

/// Writes its settings (`conf`) and the kernel's empty table (`table`) into a folder; says what it logs when it listens.
pub(crate) fn write(folder: &Path, sides: &Sides, settings: &str) -> &'static str {
    let Sides {
        outside,
        inside,
        network,
    } = sides;
    let table = format!(
        "flush ruleset\ntable inet filter {{\n\
         chain forward {{ type filter hook forward priority 0; policy drop; ct state established,related accept; \
         meta l4proto ipv6-icmp accept; iifname {inside} accept; jump miniupnpd; }}\nchain miniupnpd {{ }}\n\
         chain prerouting {{ type nat hook prerouting priority -100; jump prerouting_miniupnpd; }}\n\
         chain postrouting {{ type nat hook postrouting priority 100; oifname {outside} meta nfproto ipv4 masquerade; \
         jump postrouting_miniupnpd; }}\n\
         chain prerouting_miniupnpd {{ }}\nchain postrouting_miniupnpd {{ }}\n}}\n"
    );
    fs::write(folder.join("table"), table).unwrap();
    // What is said twice is switched on for good.
    let is_asked_by_pcp = !settings.contains("enable_natpmp=no");
    let natpmp = if is_asked_by_pcp {
        "enable_natpmp=yes\n"
    } else {
        ""
    };
    let config = format!(
        "ext_ifname={outside}\nlistening_ip={inside}\nhttp_port=5000\n{natpmp}secure_mode=yes\nsystem_uptime=no\n\
         min_lifetime=120\nmax_lifetime=86400\nuuid=6ac386e2-9aa9-4dcb-b5af-29480e8ba62c\n{settings}\n\
         allow 1-65535 {network} 1-65535\ndeny 0-65535 0.0.0.0/0 0-65535\n"
    );
    fs::write(folder.join("conf"), config).unwrap();
    if is_asked_by_pcp {
        "NAT-PMP/PCP traffic on port"
    } else {
        "HTTP listening"
    }
}

/// A front of its web server, in Python: the port to listen on, the daemon's address, and what becomes of which words
/// (`old=>new`). miniupnpd does not tell a private address of its own, nor that its firewall is off; other routers do.
pub(crate) const FRONT: &str = r#"
import http.server, sys, urllib.error, urllib.request
port, to, *changes = sys.argv[1:]
class Front(http.server.BaseHTTPRequestHandler):
    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        left = ("host", "connection", "content-length")
        head = {k: v for k, v in self.headers.items() if k.lower() not in left}
        asked = urllib.request.Request("http://" + to + self.path, body or None, head, method=self.command)
        try:
            got = urllib.request.urlopen(asked, timeout=5)
        except urllib.error.HTTPError as refused:
            got = refused
        text = got.read().decode()
        for change in changes:
            text = text.replace(*change.split("=>"))
        said = text.encode()
        self.send_response_only(got.status)
        self.send_header("Content-Type", 'text/xml; charset="utf-8"')
        self.send_header("Content-Length", str(len(said)))
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(said)
        self.close_connection = True
    do_GET = do_POST = pass_on
http.server.ThreadingHTTPServer(("", int(port)), Front).serve_forever()
"#;

//! Somebody on the network who answers in the router's place or sends what no router does, and a router that leads
//! elsewhere (see `router.rs`).

use std::{
    fs,
    path::Path,
    process::{Child, Command, Stdio},
};

use crate::{router::Home, waiting::wait_until};

/// Answers each search with everything that is wrong; and says what was asked over HTTP, at every place that it names.
const STRANGER: &str = r#"
import http.server, socket, socketserver, struct, sys, threading
own, named, log = sys.argv[1], sys.argv[2], sys.argv[3]
class Asked(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        open(log, "a").write("asked " + self.path + "\n")
        self.send_error(404)
    do_POST = do_GET
for port in (5000, 80):
    server = socketserver.ThreadingTCPServer((own, port), Asked)
    threading.Thread(target=server.serve_forever, daemon=True).start()
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("", 1900))
s.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP,
             struct.pack("4s4s", socket.inet_aton("239.255.255.250"), socket.inet_aton(own)))
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.bind((own, 0))
def answer(location):
    return ("HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nLOCATION: "
            + location + "\r\n\r\n").encode()
open(log, "a").write("listens\n")
while True:
    _, who = s.recvfrom(9000)
    open(log, "a").write("searched\n")
    for text in (b"", b"\x00\xff" * 700, b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 9000, b"HTTP/1.1 200 OK\r\nLOCATION:" * 50,
                 answer("http://" + "a" * 1300), answer("http://%s:5000/root.xml" % named),
                 answer("http://192.168.77.1@%s:5000/root.xml" % named), answer("//%s/root.xml" % named),
                 answer("file:///etc/passwd"), answer("http://[::ffff:%s]:5000/" % named)):
        out.sendto(text, who)
"#;

/// A program in a namespace of the home; ended when dropped.
struct Stranger(Child);

impl Stranger {
    fn start(home: &Home, place: &str, own: &str, named: &str, log: &Path) -> Self {
        let child = Command::new("ip")
            .args(["netns", "exec", &format!("{}{place}", home.name)])
            .args(["python3", "-c", STRANGER, own, named])
            .arg(log)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let stranger = Self(child);
        wait_until("it listens", || said(log).contains("listens"));
        stranger
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn said(log: &Path) -> String {
    fs::read_to_string(log).unwrap_or_default()
}

#[test]
fn whatever_answers_a_search_no_other_machine_than_the_router_is_asked() {
    let Some(home) = Home::connect("h", "11.22.33.44") else {
        return;
    };
    home.set(false);
    {
        let _site = home.serve();
    }
    // At the router's own address somebody names another machine; then another machine names itself.
    let neighbour = "192.168.77.7";
    for (place, own) in [("r", "192.168.77.1"), ("i", neighbour)] {
        let (log, other) = (
            home.data().join(format!("{place}.log")),
            home.data().join("other.log"),
        );
        let _stranger = Stranger::start(&home, place, own, neighbour, &log);
        // Who is named listens too.
        let _named = (place == "r").then(|| Stranger::start(&home, "i", neighbour, own, &other));
        let seen = home.says(&["router"]);
        assert!(seen.contains("does not speak UPnP"), "{place}: {seen}");
        assert!(said(&log).contains("searched"), "{place}: it was met");
        for log in [&log, &other] {
            assert!(!said(log).contains("asked"), "{place}: {}", said(log));
        }
        assert!(seen.contains(neighbour), "it is named: {seen}");
    }
}

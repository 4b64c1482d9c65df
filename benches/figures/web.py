"""Files, new connections, large files, a program behind, and idle connections, against nginx and static-web-server.

All of them run on the first processor and the load comes from the second, so that none takes another's time. They
have the same certificate and serve the same files; the program behind is nginx's.
"""

import os
import re
import socket
import ssl
import statistics
import struct
import subprocess
import time

from common import BENCHES, UNVERIFIED, compare, free_port, get, h2load, need, p99, spread, stop, target, wait_for, wrk

IDLE = 5000
LARGE = 1 << 30


SWS = "2.44.1"


def measure(place, args):
    need("nginx", "wrk", "h2load", "taskset", "curl")
    if os.cpu_count() < 2:
        raise SystemExit("two processors are needed: one for the servers, one for the load")
    urls, post, process = start(place, args)
    os.sched_setaffinity(0, {1})
    rounds = args.rounds or 5
    nginx = {name: urls[name] for name in ["webstead", "nginx"]}
    for what, path in [("a file of 10 kB", "/small.html"), ("a post", post)]:
        for name, load in [("HTTP/1.1", wrk), ("HTTP/2", h2load)]:
            rates = turns(f"{what}, {name}", lambda url: load(url + path, args.seconds), urls, rounds, 1.0)
            latencies(f"{what}, {name}", path, urls, rates, args.seconds, rounds)
    # static-web-server ends these connections without saying so, and `wrk` takes that for an error.
    turns("new TLS 1.3 connections, one request on each",
          lambda url: wrk(url + "/small.html", args.seconds, headers=["Connection: close"]),
          nginx, rounds, 0.9)
    # By its number, with the name in the request only: `wrk` asks DNS, which need not know names of loopback.
    behind = {name: url.replace("localhost", "127.0.0.1") for name, url in nginx.items()}
    turns("a program behind, HTTP/1.1",
          lambda url: wrk(url + "/", args.seconds, headers=["Host: app.localhost"]), behind, rounds, 0.7)
    before = pss(process)
    turns("a file of 1 GiB", lambda url: download(url + "/large.bin"), urls, max(2, rounds // 2), 0.8, unit="MB/s")
    print(f"    memory of webstead before {before / 1024:.1f} MiB, afterwards {pss(process) / 1024:.1f} MiB")
    stop(process)
    idle(place, args)


def start_webstead(place, args, upstream):
    """The site, its port and its process, in front of a program that listens on `upstream`."""
    data = place.path / "blog"
    if not data.exists():
        place.blog(args.blog)
        public = data / "public"
        public.mkdir()
        (public / "small.html").write_bytes(os.urandom(5000).hex().encode())
        with open(public / "large.bin", "wb") as large:
            large.truncate(LARGE)
        (data / "webstead.toml").write_text(
            "[limits]\nconnections = 8192\nconnections_per_network = 8192\n[pages]\nper_second = 0\n"
            f'[hosts."app.localhost"]\nproxy = "http://127.0.0.1:{upstream}"\n')
    site = place.site(data, program=pinned(place))
    return site, site.port, site.process


def start(place, args):
    upstream, port = free_port(), free_port()
    site = start_webstead(place, args, upstream)[0]
    data = place.path / "blog"
    public = data / "public"
    # nginx serves the bytes of a post from the disk.
    path = "/" + re.search(rb'<h2[^>]*><a href="/([^"]+)"', site.get("/")[2])[1].decode()
    root = place.path / "root"
    root.mkdir()
    (root / "small.html").write_bytes((public / "small.html").read_bytes())
    with open(root / "large.bin", "wb") as large:
        large.truncate(LARGE)
    post = root / path.lstrip("/")
    post.parent.mkdir(parents=True, exist_ok=True)
    post.write_bytes(site.get(path)[2])
    conf = (BENCHES / "peer" / "nginx-web.conf").read_text()
    tls = data / "tls"
    for key, value in {"DIR": place.path, "PORT": port, "UPSTREAM": upstream, "ROOT": root,
                       "CERT": tls / "local-cert.pem", "KEY": tls / "local-key.pem"}.items():
        conf = conf.replace(f"@{key}@", str(value))
    (place.path / "nginx.conf").write_text(conf)
    place.start(["taskset", "-c", "0", "nginx", "-e", place.path / "nginx.log", "-c", place.path / "nginx.conf"])
    wait_for(port, "/small.html")
    other = free_port()
    place.start(["taskset", "-c", "0", static_web_server(), "--host", "127.0.0.1", "--port", other, "--root", root,
                 "--http2", "true", "--http2-tls-cert", tls / "local-cert.pem", "--http2-tls-key", tls / "local-key.pem",
                 "--threads-multiplier", "1", "--log-level", "error", "--cache-control-headers", "false"])
    wait_for(other, "/small.html")
    urls = {"webstead": site.url, "nginx": f"https://localhost:{port}", "static-web-server": f"https://localhost:{other}"}
    return urls, path, site.process


def static_web_server():
    """The path of static-web-server, which is built once, with HTTPS and without what is not measured."""
    folder = target().parent / "peers" / SWS
    program = folder / "bin" / "static-web-server"
    if not program.exists():
        subprocess.run(["cargo", "install", "static-web-server", "--version", SWS, "--locked", "--root", folder,
                        "--no-default-features", "--features", "http2-ring"], check=True)
    return program


def pinned(place):
    """The program on the first processor: it makes as many threads as it may use processors."""
    from common import path_of
    script = place.path / "pinned"
    script.write_text(f'#!/bin/sh\nexec taskset -c 0 {path_of("webstead")} "$@"\n')
    script.chmod(0o755)
    return script


def turns(what, load, urls, rounds, wanted, unit="requests/s", at_least=True, digits=0):
    """What each of the servers reaches; they take turns. What is wanted is against nginx."""
    for url in urls.values():
        load(url)
    reached = [{name: load(url) for name, url in urls.items()} for _ in range(rounds)]
    of = {name: [round[name] for round in reached] for name in urls}
    for peer in list(urls)[1:]:
        compare(what, of["webstead"], of[peer], wanted, at_least, unit, digits, names=("webstead", peer))
    return of


def latencies(what, path, urls, rates, seconds, rounds):
    """The slowest of 100 answers while all of them get as many requests, half of what the slowest one can do."""
    rate = min(statistics.median(of) for of in rates.values()) / 2
    http1 = what.endswith("HTTP/1.1")
    turns(f"{what}, {rate:,.0f} requests/s: 99 % of the answers within",
          lambda url: p99(url + path, seconds, rate, http1), urls, rounds, 1.0, "ms", at_least=False, digits=2)


def download(url):
    out = subprocess.run(["curl", "-sko", "/dev/null", "--http1.1", "-w", "%{size_download} %{speed_download}", url],
                         capture_output=True, text=True, check=True).stdout.split()
    if int(out[0]) != LARGE:
        raise SystemExit(f"{url} gave {out[0]} bytes")
    return float(out[1]) / 1e6


def pss(process):
    """Memory of a process in KiB; what is shared is counted in part (proc(5), smaps_rollup)."""
    text = open(f"/proc/{process.pid}/smaps_rollup").read()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M)[1])


def idle(place, args):
    """Memory of a connection that is kept open after an answer, and what a visitor beside them notices."""
    for what, ask, path in [("after a small answer", asked, "/robots.txt"), ("after 10 kB", asked, "/small.html"),
                            ("over HTTP/2 after 10 kB", asked_http2, "/small.html")]:
        # A new program each time: what was used once is used again.
        port, process = start_webstead(place, args, free_port())[1:]
        calm = [timed(port) for _ in range(50)]
        before = pss(process)
        held = [ask(port, path) for _ in range(IDLE)]
        time.sleep(2)
        each = (pss(process) - before) * 1024 / IDLE
        print(f"idle TLS connections, {IDLE} {what}: {each / 1000:.1f} kB each, target ≤ 25: "
              f"{'met' if each <= 25000 else 'MISSED'}")
        beside = [timed(port) for _ in range(50)]
        print(f"    a new visitor's answer: {spread([1000 * t for t in calm], 1)} ms alone, "
              f"{spread([1000 * t for t in beside], 1)} ms beside them", flush=True)
        for connection in held:
            connection.close()
        stop(process)


def asked(port, path):
    """A connection on which one answer was read to its end."""
    connection = UNVERIFIED.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")
    connection.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, body = answer.split(b"\r\n\r\n", 1)
    left = int(re.search(rb"(?i)content-length: (\d+)", head)[1]) - len(body)
    while left > 0:
        left -= len(connection.recv(65536))
    return connection


def asked_http2(port, path):
    """The same over HTTP/2 (RFC 9113)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    connection = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")
    # GET, https, the path and the host (RFC 7541): the indices 2, 7, 4 and 1 of the static table.
    head = b"\x82\x87\x04" + bytes([len(path)]) + path.encode() + b"\x41\x09localhost"
    settings, acknowledged, headers = frame(4, 0, 0), frame(4, 1, 0), frame(1, 5, 1, head)
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + acknowledged + headers)
    answer = b""
    while True:
        while len(answer) < 9 or len(answer) < 9 + int.from_bytes(answer[:3], "big"):
            answer += connection.recv(65536)
        length, kind, flags = int.from_bytes(answer[:3], "big"), answer[3], answer[4]
        if kind == 0 and flags & 1:
            return connection
        answer = answer[9 + length:]


def frame(kind, flags, stream, payload=b""):
    """A frame of HTTP/2 (RFC 9113 section 4.1)."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def timed(port):
    start = time.monotonic()
    get(port, "/")
    return time.monotonic() - start

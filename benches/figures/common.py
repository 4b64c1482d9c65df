"""What the figures share: building, starting sites, load, and how results are told."""

import http.client
import os
import pathlib
import platform
import re
import shutil
import signal
import socket
import ssl
import statistics
import subprocess
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCHES = ROOT / "benches"


def target():
    """The folder of the release build. $WEBSTEAD_BENCH_BIN names another that is built already."""
    if given := os.environ.get("WEBSTEAD_BENCH_BIN"):
        return pathlib.Path(given)
    return pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"


def path_of(name):
    return str(target() / name)


def build():
    if not os.environ.get("WEBSTEAD_BENCH_BIN"):
        subprocess.run(["cargo", "build", "--release", "--workspace"], cwd=ROOT, check=True)


def machine():
    """Says what was measured on: cores, kernel, processor."""
    model = re.search(r"model name\s*:\s*(.*)", open("/proc/cpuinfo").read())
    print(f"machine: {os.cpu_count()} cores, {model[1] if model else platform.machine()}, "
          f"Linux {platform.release()}, load {os.getloadavg()[0]:.1f} at the start")


def need(*programs):
    for name in programs:
        if not (shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")):
            raise SystemExit(f"{name} is needed for this figure; benches/README.md says where it is from")


class Workplace:
    """A folder on a real disk (not tmpfs) and the processes started in it; both end with the figure."""

    def __enter__(self):
        parent = os.environ.get("WEBSTEAD_BENCH_DIR", "/var/tmp")
        self.path = pathlib.Path(tempfile.mkdtemp(prefix="webstead-bench-", dir=parent))
        self.path.chmod(0o755)
        self.running = []
        return self

    def __exit__(self, *_):
        for process in reversed(self.running):
            stop(process)
        shutil.rmtree(self.path, ignore_errors=True)

    def start(self, command, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL)
        process = subprocess.Popen([str(part) for part in command], **options)
        self.running.append(process)
        return process

    def site(self, data, cache_mib=None, env=None, program=None):
        """Starts a site on a free port and returns it once it answers; `program` is another than the built one."""
        settings = data / "webstead.toml"
        if not settings.exists():
            # All load comes from one address.
            cache = "" if cache_mib is None else f"[cache]\nmax_mib = {cache_mib}\n"
            settings.write_text(f"[pages]\nper_second = 0\n{cache}")
        port = free_port()
        process = self.start([program or path_of("webstead"), "--data", data, "--https", f"127.0.0.1:{port}",
                              "--http", "127.0.0.1:0"], env={**os.environ, **(env or {})})
        wait_for(port)
        return Site(port, process)

    def seed(self, name, posts, *options):
        data = self.path / name
        subprocess.run([path_of("seed"), data, str(posts), *options], check=True)
        return data

    def blog(self, folder, name="blog"):
        """A site with the posts of a folder of Markdown, else with 390 seeded ones."""
        if not folder:
            return self.seed(name, 390)
        data = self.path / name
        done = subprocess.run([path_of("webstead"), "import", folder, "--data", data], capture_output=True, text=True)
        if done.returncode not in (0, 3):
            raise SystemExit(done.stderr)
        return data


class Site:
    def __init__(self, port, process):
        self.port, self.process = port, process
        self.url = f"https://localhost:{port}"

    def get(self, path, headers=None):
        return get(self.port, path, headers)


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# Loads no authorities: the certificate is the site's own, and it is this machine that is measured.
UNVERIFIED = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
UNVERIFIED.check_hostname, UNVERIFIED.verify_mode = False, ssl.CERT_NONE


class Browser:
    """One connection that stays until the server ends it, signed in after `sign_in`."""

    def __init__(self, port):
        self.port, self.connection, self.cookie = port, None, None

    def sign_in(self, name, password):
        self.cookie = self.post("/sign-in", name=name, password=password)[0]["Set-Cookie"].split(";")[0]
        return self

    def get(self, path):
        return self.ask("GET", path, 200)

    def post(self, path, **form):
        return self.ask("POST", path, 303, urllib.parse.urlencode(form))

    def ask(self, method, path, wanted, body=None):
        """(headers, text) of an answer, which has the status that is wanted."""
        if not self.connection:
            self.connection = http.client.HTTPSConnection("localhost", self.port, context=UNVERIFIED, timeout=300)
        headers = {"Sec-Fetch-Site": "same-origin"}
        if self.cookie:
            headers["Cookie"] = self.cookie
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        connection = self.connection
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        except (OSError, http.client.HTTPException):
            self.connection = None
            raise
        if answer.will_close:
            connection.close()
            self.connection = None
        assert answer.status == wanted, (answer.status, text[:200])
        return answer.headers, text


def add_owner(data, program=None):
    """Makes the account of the owner of a site; its name and password."""
    name, password = "owner", "a long enough password"
    subprocess.run([program or path_of("webstead"), "user", "add", name, "--role", "owner", "--password-stdin",
                    "--data", data], input=password + "\n", text=True, check=True, stdout=subprocess.DEVNULL)
    return name, password


def get(port, path, headers=None, source=None):
    """(status, headers, body) of a request of its own, from the address `source` if that is given."""
    connection = http.client.HTTPSConnection("localhost", port, context=UNVERIFIED, timeout=30,
                                             source_address=source and (source, 0))
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, answer.headers, body


def wait_for(port, path="/", seconds=60):
    """Waits until a request is answered."""
    end = time.monotonic() + seconds
    while True:
        try:
            return get(port, path)
        except OSError:
            if time.monotonic() > end:
                raise SystemExit(f"nothing answers on port {port}")
            time.sleep(0.001)


def urls(site):
    """Every path of the site's sitemaps."""
    index = site.get("/sitemap.xml")[2].decode()
    paths = []
    for part in re.findall(r"<loc>https://[^/]*(.*?)</loc>", index):
        paths += re.findall(r"<loc>https://[^/<]*(.*?)</loc>", site.get(part)[2].decode())
    return [path or "/" for path in paths]


def wrk(url, seconds, connections=64, threads=1, headers=(), script=None):
    """Requests per second over HTTP/1.1 keep-alive; any answer that is not 200 ends the measuring."""
    command = ["wrk", f"-t{threads}", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
    for header in headers:
        command += ["-H", header]
    if script:
        command += ["-s", str(script)]
    out = subprocess.run(command + [url], capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in out or "Socket errors" in out:
        raise SystemExit(f"errors while measuring {url}:\n{out}")
    return float(re.search(r"Requests/sec:\s*([\d.]+)", out)[1])


def another_query(place):
    """A script for `wrk` that asks for another query each time: requests for the same page share one rendering."""
    script = place.path / "another-query.lua"
    script.write_text("""local number = 0
request = function()
  number = number + 1
  return wrk.format("GET", wrk.path .. "?n=" .. number)
end
""")
    return script


def h2load(url, seconds, headers=()):
    """Requests per second over HTTP/2: 64 connections, one request at a time on each."""
    options = ["-m1", "--warm-up-time=1"]
    for header in headers:
        options += ["-H", header]
    out = run_h2load(url, seconds, options)
    return float(re.search(r"finished in .*?, ([\d.]+) req/s", out)[1])


def p99(url, seconds, rate, http1):
    """Milliseconds within which 99 % of the answers came to so many requests a second, on 64 connections."""
    with tempfile.NamedTemporaryFile("r") as log:
        options = [f"--rps={rate / 64:.1f}", f"--log-file={log.name}"] + ["--h1"] * http1
        run_h2load(url, seconds, options)
        # Of each request: time of its start, status, microseconds.
        took = sorted(int(line.split()[2]) for line in log)
    return took[int(len(took) * 0.99)] / 1000


def run_h2load(url, seconds, options):
    out = subprocess.run(["h2load", "-t1", "-c64", "-D", str(max(1, round(seconds))), *options, url],
                         capture_output=True, text=True, check=True).stdout
    if not re.search(r" 0 3xx, 0 4xx, 0 5xx", out):
        raise SystemExit(f"errors while measuring {url}:\n{out}")
    return out


def cpu_seconds(process):
    """Processor time that a process has used, in seconds: what does not depend on who else is busy."""
    fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def spread(values, digits=0):
    """`median (min–max)`"""
    return (f"{statistics.median(values):,.{digits}f} "
            f"({min(values):,.{digits}f}–{max(values):,.{digits}f})")


def compare(what, ours, theirs, target, at_least=True, unit="requests/s", digits=0, names=("webstead", "peer")):
    """Prints both sides and the ratio of each round: rounds are interleaved, so a ratio is of one moment."""
    ratios = [a / b for a, b in zip(ours, theirs)]
    middle = statistics.median(ratios)
    met = middle >= target if at_least else middle <= target
    print(f"{what}: ratio {spread(ratios, 2)}, target {'≥' if at_least else '≤'} {target}: "
          f"{'met' if met else 'MISSED'}\n"
          f"    {names[0]} {spread(ours, digits)} {unit}, {names[1]} {spread(theirs, digits)} {unit}, "
          f"{len(ratios)} rounds", flush=True)
    return middle

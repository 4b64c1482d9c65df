"""What reading and saving write to the card: 10,000 page views, and 1,000 saved posts of 4 kB, one after the other and
by eight clients at once. Counted by the kernel (`write_bytes` of /proc/PID/io: what is sent to the disk)."""

import http.client
import re
import subprocess
import threading
import urllib.parse

from common import UNVERIFIED, path_of, spread, stop

VIEWS, POSTS, BYTES, CLIENTS, TARGET = 10_000, 1_000, 4_000, 8, 4
NAME, PASSWORD = "owner", "a long enough password"


def written(site):
    """Bytes, by the kernel; what waits in its memory counts."""
    return int(re.search(r"^write_bytes: (\d+)", open(f"/proc/{site.process.pid}/io").read(), re.M)[1])


class Browser:
    """One connection that stays, signed in if asked."""

    def __init__(self, site, signs_in=False):
        self.connection = http.client.HTTPSConnection("localhost", site.port, context=UNVERIFIED, timeout=60)
        self.cookie = None
        if signs_in:
            answer = self.post("/sign-in", name=NAME, password=PASSWORD)
            self.cookie = answer.headers["Set-Cookie"].split(";")[0]

    def ask(self, method, path, body=None):
        headers = {"Sec-Fetch-Site": "same-origin"}
        if self.cookie:
            headers["Cookie"] = self.cookie
        if body:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        self.connection.request(method, path, body, headers)
        answer = self.connection.getresponse()
        answer.read()
        return answer

    def post(self, path, **form):
        answer = self.ask("POST", path, urllib.parse.urlencode(form))
        assert answer.status == 303, answer.status
        return answer


def save(browser, name, count):
    # No two alike, and no picture of a text that compresses well.
    for n in range(count):
        words = " ".join(f"word{(n * 7919 + i * 104729) % 99991}" for i in range(BYTES))[:BYTES]
        browser.post("/admin/posts", title=f"Post {name} {n}", markdown=words, tags="news", action="publish")


def measure(place, args):
    views, alone, together = [], [], []
    for number in range(args.rounds or 5):
        data = place.path / f"writes-{number}"
        site = place.site(data) if data.exists() else start(place, data)
        browser = Browser(site)
        before = written(site)
        count = VIEWS // 10 if args.quick else VIEWS
        for n in range(count):
            # Another query each time, so that not all of it comes from the cache.
            browser.ask("GET", f"/?{n}" if n % 2 else "/archive")
        views.append(written(site) - before)
        posts = POSTS // 10 if args.quick else POSTS
        before = written(site)
        save(Browser(site, True), "alone", posts)
        alone.append((written(site) - before) / (posts * BYTES))
        browsers = [Browser(site, True) for _ in range(CLIENTS)]
        before = written(site)
        threads = [threading.Thread(target=save, args=(each, n, posts // CLIENTS)) for n, each in enumerate(browsers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        together.append((written(site) - before) / (posts // CLIENTS * CLIENTS * BYTES))
        before = written(site)
        stop(site.process)
    print(f"{count} page views: {spread(views)} bytes written, target 0: {'met' if max(views) == 0 else 'MISSED'}")
    for what, ratios in [("one after the other", alone), (f"by {CLIENTS} clients", together)]:
        met = "met" if max(ratios) <= TARGET else "MISSED"
        print(f"{posts} posts of {BYTES} bytes saved {what}: {spread(ratios, 2)} times their size written, "
              f"target ≤ {TARGET}: {met}")


def start(place, data):
    data.mkdir()
    stop(place.site(data).process)
    subprocess.run([path_of("webstead"), "user", "add", NAME, "--role", "owner", "--password-stdin", "--data", data],
                   input=PASSWORD + "\n", text=True, check=True, stdout=subprocess.DEVNULL)
    return place.site(data)

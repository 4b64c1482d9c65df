"""What a site does for its visitors when far more is asked of it than it can do.

Pages that no cache has are asked for on 4 times, and on 64 times, as many connections as keep the site busy.
Beside them somebody reads a page that is kept. The server runs on the first processor, the load and the reader
on the second.
"""

import http.client
import os
import re
import subprocess
import threading
import time

from common import UNVERIFIED, another_query, compare, need, spread, urls
from web import pinned

BUSY = 64


def measure(place, args):
    need("wrk", "taskset")
    data = place.blog(args.blog)
    (data / "webstead.toml").write_text(
        "[limits]\nconnections = 8192\nconnections_per_network = 8192\n[pages]\nper_second = 0\n")
    site = place.site(data, program=pinned(place))
    path = sorted(urls(site))[0]
    script = another_query(place)
    site.get(path)
    os.sched_setaffinity(0, {1})
    # The handshakes alone take more than a second.
    seconds = max(10, round(args.seconds))
    for connections in [4 * BUSY, 64 * BUSY]:
        overload(site, path, connections, seconds, script, args.rounds or 5)


def overload(site, path, connections, seconds, script, rounds):
    peaks, goods, refusals, worst = [], [], [], []
    for _ in range(rounds):
        peaks.append(pages(site.url + path, seconds, BUSY, script)[0])
        reader = Reader(site.port, path)
        good, refused = pages(site.url + path, seconds, connections, script)
        times = reader.stop()
        goods.append(good)
        refusals.append(100 * refused)
        worst.append(1000 * times[int(len(times) * 0.99)])
    compare(f"pages that are made for {connections} connections", goods, peaks, 0.8, unit="pages/s",
            names=("these", f"for {BUSY} connections"))
    print(f"    {spread(refusals, 1)} % were told to come again\n"
          f"a page that is kept, beside them: 99 % within {spread(worst)} ms, target < 250: "
          f"{'met' if max(worst) < 250 else 'MISSED'}")


def pages(url, seconds, connections, script):
    """Good answers a second, and the share of the others."""
    out = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), url],
                         capture_output=True, text=True, check=True).stdout
    total, took = re.search(r"(\d+) requests in ([\d.]+)s", out).groups()
    other = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    other = int(other[1]) if other else 0
    return (int(total) - other) / float(took), other / max(1, int(total))


class Reader:
    """Reads a page again and again on one connection, and notes how long each answer takes."""

    def __init__(self, port, path):
        self.connection = http.client.HTTPSConnection("localhost", port, context=UNVERIFIED, timeout=30)
        self.path, self.times, self.goes_on = path, [], True
        self.thread = threading.Thread(target=self.read)
        self.thread.start()

    def read(self):
        while self.goes_on:
            start = time.monotonic()
            self.connection.request("GET", self.path)
            answer = self.connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SystemExit(f"a kept page was answered with {answer.status}")
            self.times.append(time.monotonic() - start)
            time.sleep(0.005)

    def stop(self):
        self.goes_on = False
        self.thread.join()
        return sorted(self.times)

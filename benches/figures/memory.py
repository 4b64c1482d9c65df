"""Memory (PSS) of a site with a real blog, idle and while every page of it is read; and how fast it starts."""

import re
import statistics
import time

from common import free_port, need, path_of, spread, stop, urls, wait_for, wrk

IDLE_MIB, LOADED_MIB, START_MS, STARTS = 16, 48, 100, 20


def pss(process):
    """MiB: memory of the process's own, and its share of what it shares."""
    rollup = open(f"/proc/{process.pid}/smaps_rollup").read()
    return int(re.search(r"^Pss:\s*(\d+)", rollup, re.M)[1]) / 1024


def threads(process):
    return int(re.search(r"^Threads:\s*(\d+)", open(f"/proc/{process.pid}/status").read(), re.M)[1])


def told(what, values, limit, unit):
    middle = statistics.median(values)
    print(f"{what}: {spread(values, 1)} {unit}, target ≤ {limit}: {'met' if middle <= limit else 'MISSED'}", flush=True)


def measure(place, args):
    need("wrk")
    data = place.blog(args.blog)
    starts(place, data)
    idle, first_light, loaded, after = [], [], [], []
    for _ in range(args.rounds or 3):
        site = place.site(data)
        time.sleep(2)
        idle.append(pss(site.process))
        paths = urls(site)
        script = place.path / "every-page.lua"
        script.write_text(LUA % ",\n".join(f'"{path}"' for path in paths))
        peaks = []
        for encoding in ["gzip, deflate, br", "identity"]:
            load = place.start(["wrk", "-t1", "-c64", f"-d{max(10, round(3 * args.seconds))}s", "-s", script,
                                "-H", f"Accept-Encoding: {encoding}", site.url])
            while load.poll() is None:
                peaks.append(pss(site.process))
                time.sleep(0.2)
        loaded.append(max(peaks))
        # The script again, this time for its check that every answer is 200.
        wrk(site.url, 1, script=script)
        time.sleep(3)
        after.append(pss(site.process))
        count = threads(site.process)
        stop(site.process)
    print(f"{len(paths)} addresses in the sitemap, {count} threads")
    told("idle", idle, IDLE_MIB, "MiB")
    told("64 connections reading every page, highest", loaded, LOADED_MIB, "MiB")
    print(f"three seconds later, connections closed: {spread(after, 1)} MiB")


def starts(place, data):
    took = []
    for _ in range(STARTS):
        port = free_port()
        started = time.monotonic()
        process = place.start([path_of("webstead"), "--data", data, "--https", f"127.0.0.1:{port}",
                               "--http", "127.0.0.1:0"])
        wait_for(port)
        took.append(1000 * (time.monotonic() - started))
        stop(process)
    told(f"start to first answer, {STARTS} starts", took, START_MS, "ms")


LUA = """-- Every address of the site in turn.
local paths = {%s}
local next_one = 0
request = function()
  next_one = next_one %% #paths + 1
  return wrk.format("GET", paths[next_one])
end
"""

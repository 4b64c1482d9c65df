"""Two builds of the program against each other, in turns: allocators, profiles, versions."""

import re
import time

from common import another_query, cpu_seconds, need, spread, stop, wrk
from memory import pss

PATH = "/posts/version-200"
POSTS = 390


def measure(place, args):
    need("wrk")
    if not args.programs:
        raise SystemExit("which two? benches/run programs --programs ONE OTHER")
    script = another_query(place)
    paths = {"cached": None, "rendered": 0, "rendered, br": 0}
    for what, cache_mib in paths.items():
        headers = ["Accept-Encoding: br"] if what.endswith("br") else []
        rates, processor, memory = ([], []), ([], []), ([], [])
        for round_ in range(args.rounds or 5):
            for side, program in enumerate(args.programs):
                data = place.path / f"site-{side}"
                if not data.exists():
                    place.seed(data.name, POSTS)
                site = place.site(data, cache_mib=cache_mib, program=program)
                url = site.url + PATH
                load = {"headers": headers, "script": script if cache_mib == 0 else None}
                wrk(url, 1, **load)
                before = cpu_seconds(site.process)
                rates[side].append(wrk(url, args.seconds, **load))
                used = cpu_seconds(site.process) - before
                processor[side].append(1e6 * used / (rates[side][-1] * args.seconds))
                memory[side].append(pss(site.process))
                stop(site.process)
                (data / "webstead.toml").unlink(missing_ok=True)
                time.sleep(0.2)
        ratios = [one / other for one, other in zip(*rates)]
        print(f"{what}: the first program answers {spread(ratios, 2)} times as many requests as the second")
        for side, program in enumerate(args.programs):
            print(f"    {re.sub('.*/', '', program)}: {spread(rates[side])} requests/s, {spread(processor[side])} µs of "
                  f"processor each, {spread(memory[side], 1)} MiB afterwards", flush=True)

"""What others notice while somebody holds connections with slow heads, slow bodies, ranges, or slow reading.

slowhttptest attacks in its four ways, one after the other. Before and beside it, one visitor after the other opens a
connection and asks for the first page. The server runs on the first processor, the attack and the visitors on the
second.
"""

import os
import shlex
import signal
import time

from common import compare, get, need, spread
from web import pinned

VISITORS = 200
MODES = {
    "slow heads": ["-H", "-i", "1"],
    "slow bodies": ["-B", "-i", "1"],
    "ranges": ["-R", "-a", "1", "-b", "3000"],
    "slow readers": ["-X", "-n", "1", "-z", "16", "-w", "8", "-y", "16", "-k", "3"],
}


def measure(place, args):
    need("slowhttptest", "taskset")
    data = place.blog(args.blog)
    (data / "webstead.toml").write_text("[pages]\nper_second = 0\n")
    site = place.site(data, program=pinned(place))
    os.sched_setaffinity(0, {1})
    for name, mode in MODES.items():
        calm, attacked, worst = [], [], []
        for _ in range(args.rounds or 5):
            times = visits(site.port)
            calm.append(middle(times))
            command = ["slowhttptest", *mode, "-c", "600", "-r", "300", "-l", "30", "-p", "5", "-u", site.url + "/archive"]
            # What is answered at once is asked again.
            attack = place.start(["sh", "-c", f"while {shlex.join(command)}; do :; done"], start_new_session=True)
            time.sleep(3)
            times = visits(site.port)
            if attack.poll() is not None:
                raise SystemExit(f"slowhttptest does not attack: {name}")
            os.killpg(attack.pid, signal.SIGTERM)
            attack.wait()
            attacked.append(middle(times))
            worst.append(1000 * times[int(len(times) * 0.99)])
            time.sleep(1)
        compare(f"{name}: a new visitor's answer", attacked, calm, 2.0, at_least=False, unit="ms", digits=2,
                names=("attacked", "calm"))
        print(f"    99 % of the visitors beside it have theirs within {spread(worst, 1)} ms")


def visits(port):
    """Seconds until each of some new visitors, who are not the attacker's neighbours, has an answer, sorted."""
    times = []
    for _ in range(VISITORS):
        start = time.monotonic()
        status, _, _ = get(port, "/", source="127.0.0.2")
        if status != 200:
            raise SystemExit(f"a visitor was answered with {status}")
        times.append(time.monotonic() - start)
        time.sleep(0.01)
    return sorted(times)


def middle(times):
    """The median in milliseconds."""
    return 1000 * times[len(times) // 2]

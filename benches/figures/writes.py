"""What reading and saving write to the card: 10,000 page views, and 1,000 saved posts of 4 kB, one after the other and
by eight clients at once. Counted by the kernel (`write_bytes` of /proc/PID/io: what is sent to the disk)."""

import re
import threading

from common import Browser, add_owner, spread, stop

VIEWS, POSTS, BYTES, CLIENTS, TARGET = 10_000, 1_000, 4_000, 8, 4


def written(site):
    """Bytes, by the kernel; what waits in its memory counts."""
    return int(re.search(r"^write_bytes: (\d+)", open(f"/proc/{site.process.pid}/io").read(), re.M)[1])


def save(browser, name, count):
    # No two alike, and no picture of a text that compresses well.
    for n in range(count):
        words = " ".join(f"word{(n * 7919 + i * 104729) % 99991}" for i in range(BYTES))[:BYTES]
        browser.post("/admin/posts", title=f"Post {name} {n}", markdown=words, tags="news", action="publish")


def measure(place, args):
    views, alone, together = [], [], []
    for number in range(args.rounds or 5):
        data = place.path / f"writes-{number}"
        site, owner = start(place, data)
        browser = Browser(site.port)
        before = written(site)
        count = VIEWS // 10 if args.quick else VIEWS
        for n in range(count):
            # Another query each time, so that not all of it comes from the cache.
            browser.get(f"/?{n}" if n % 2 else "/archive")
        views.append(written(site) - before)
        posts = POSTS // 10 if args.quick else POSTS
        before = written(site)
        save(Browser(site.port).sign_in(*owner), "alone", posts)
        alone.append((written(site) - before) / (posts * BYTES))
        browsers = [Browser(site.port).sign_in(*owner) for _ in range(CLIENTS)]
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
    """A new site, and its owner."""
    data.mkdir()
    stop(place.site(data).process)
    owner = add_owner(data)
    return place.site(data), owner

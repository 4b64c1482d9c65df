"""What reading and saving write to the card: 10,000 page views, and 1,000 saved posts of 4 kB, one after the other and
by eight clients at once. Counted by the kernel (`write_bytes` of /proc/PID/io: what is sent to the disk)."""

import random
import re
import subprocess
import threading

from common import Browser, add_owner, path_of, spread, stop

VIEWS, POSTS, BYTES, CLIENTS, TARGET = 10_000, 1_000, 4_000, 8, 4


def written(site):
    """Bytes, by the kernel; what waits in its memory counts."""
    return int(re.search(r"^write_bytes: (\d+)", open(f"/proc/{site.process.pid}/io").read(), re.M)[1])


def language():
    """5,000 made-up words, and how common each is (Zipf). A text of them compresses about as those of people do:
    brotli makes 0.4 of it at quality 10, which is what the site stores."""
    chance = random.Random(1)
    syllables = [c + v for c in "bdfgklmnprstvw" for v in "aeiou"] + ["an", "er", "in", "on", "st", "th"]
    words = ["".join(chance.choices(syllables, k=chance.choice((1, 2, 2, 3, 3, 4)))) for _ in range(5000)]
    return words, [1 / (n + 3) for n in range(len(words))]


WORDS, HOW_COMMON = language()


def text(*seed):
    words = random.Random(str(seed)).choices(WORDS, HOW_COMMON, k=BYTES // 3)
    return " ".join(words)[:BYTES]


def save(browser, name, count):
    """Saves so many posts; gives the addresses of their editors, and their texts."""
    saved = []
    for n in range(count):
        markdown = text(name, n)
        headers, _ = browser.post("/admin/posts", title=f"Post {name} {n}", markdown=markdown, tags="news",
                                  action="publish")
        saved.append((headers["Location"].split("?")[0], markdown))
    return saved


def edit(browser, saved):
    """Saves each once more, with another word in its middle."""
    for n, (path, markdown) in enumerate(saved):
        half = len(markdown) // 2
        browser.post(path, title=f"Post alone {n}", markdown=f"{markdown[:half]} changed{markdown[half + 8:]}",
                     tags="news", revision="1", action="publish", address=f"/post-alone-{n}")


WAYS = ["one after the other", f"by {CLIENTS} clients", "once more, one after the other"]


def measure(place, args):
    views, plain, logged = [], [], []
    count = VIEWS // 10 if args.quick else VIEWS
    posts = POSTS // 10 if args.quick else POSTS
    for number in range(args.rounds or 5):
        site, owner = start(place, place.path / f"writes-{number}")
        before = written(site)
        browser = Browser(site.port)
        for n in range(count):
            # Another query each time, so that not all of it comes from the cache.
            browser.get(f"/?{n}" if n % 2 else "/archive")
        views.append(written(site) - before)
        plain.append(saves(site, owner, posts))
        stop(site.process)
        site, owner = start(place, place.path / f"logged-{number}", backup=place.path / f"store-{number}")
        logged.append(saves(site, owner, posts))
        stop(site.process)
    print(f"{count} page views: {spread(views)} bytes written, target 0: {'met' if max(views) == 0 else 'MISSED'}")
    for kind, rounds in [("", plain), (", with the log of changes that a site with backups keeps", logged)]:
        for way, ratios in zip(WAYS, zip(*rounds)):
            met = "met" if max(ratios) <= TARGET else "MISSED"
            print(f"{posts} posts of {BYTES} bytes saved {way}{kind}: {spread(ratios, 2)} times their size written, "
                  f"target ≤ {TARGET}: {met}")


def saves(site, owner, posts):
    """What so many saves write, as a multiple of what was saved, in each of WAYS."""
    before = written(site)
    browser = Browser(site.port).sign_in(*owner)
    saved = save(browser, "alone", posts)
    alone = (written(site) - before) / (posts * BYTES)
    before = written(site)
    edit(browser, saved)
    edited = (written(site) - before) / (posts * BYTES)
    browsers = [Browser(site.port).sign_in(*owner) for _ in range(CLIENTS)]
    before = written(site)
    threads = [threading.Thread(target=save, args=(each, n, posts // CLIENTS)) for n, each in enumerate(browsers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = (written(site) - before) / (posts // CLIENTS * CLIENTS * BYTES)
    return alone, together, edited


def start(place, data, backup=None):
    """A new site, and its owner; one that has a backup keeps a log of changes from then on."""
    data.mkdir()
    stop(place.site(data).process)
    owner = add_owner(data)
    if backup:
        subprocess.run([path_of("webstead"), "backup", backup, "--data", data], check=True, capture_output=True)
    return place.site(data), owner

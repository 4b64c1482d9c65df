"""Upgrades under load: what readers and those who save notice of them, and of a migration of a large database.

The newer program is this source with one more migration, which rewrites every post: the worst there can be. It is built
in a copy of the source, so this takes as long as a build the first time.
"""

import http.client
import os
import pathlib
import re
import shutil
import subprocess
import threading
import time

from common import ROOT, Browser, add_owner, path_of

# So that the database has about 1 GB.
POSTS = 70_000
READERS = 4
MIGRATION = """ALTER TABLE posts ADD COLUMN reading_s INTEGER NOT NULL DEFAULT 0;
UPDATE posts SET reading_s = words / 4;
"""


def measure(place, args):
    newer = newer_program()
    program = place.path / "webstead"
    shutil.copy(path_of("webstead"), program)
    data = place.seed("site", 2_000 if args.quick else POSTS, "--plain")
    owner = add_owner(data, program)
    site = place.site(data, program=program)
    size = os.path.getsize(data / "site.db")
    print(f"the database has {size / 1e6:,.0f} MB; {READERS} readers and one who saves")
    visitors = Visitors(site.port, owner)
    calm = visitors.during(lambda: time.sleep(5 if args.quick else 30))
    rounds = args.rounds or 5

    def upgrades():
        for _ in range(rounds):
            upgrade(program, data, program)
            time.sleep(2)

    beside = visitors.during(upgrades)
    tell(f"{rounds} upgrades without a migration", beside, calm)
    took = []

    def migration():
        start = time.monotonic()
        print("    " + upgrade(program, data, newer))
        took.append(time.monotonic() - start)

    migrating = visitors.during(migration)
    tell(f"an upgrade that rewrites every post, {took[0]:.1f} s in all", migrating, calm)
    sound = subprocess.run([program, "check", "--data", data], capture_output=True, text=True)
    print(f"afterwards `webstead check`: {'all is well' if sound.returncode == 0 else sound.stdout + sound.stderr}")


def newer_program():
    """The path of a program with one more migration."""
    folder = ROOT / "target" / "next"
    source = folder / "source"
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    migrations = pathlib.PurePath("src", "db", "migrations.rs")
    text = (ROOT / migrations).read_text()
    number = text.count('include_str!("migrations/') + 1
    name = f"{number}_next.sql"
    wanted = {pathlib.PurePath(file): (ROOT / file).read_bytes() for file in files if (ROOT / file).is_file()}
    wanted[migrations] = text.replace("\n];", f'\n    include_str!("migrations/{name}"),\n];', 1).encode()
    wanted[migrations.with_suffix("") / name] = MIGRATION.encode()
    for file, content in wanted.items():
        # What is as it was is not built again.
        if not (source / file).is_file() or (source / file).read_bytes() != content:
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            (source / file).write_bytes(content)
    target = folder / "target"
    subprocess.run(["cargo", "build", "--release", "--locked"], cwd=source, check=True,
                   env={**os.environ, "CARGO_TARGET_DIR": str(target)})
    return target / "release" / "webstead"


def upgrade(program, data, newer):
    """Upgrades the running site; what was said of the database."""
    done = subprocess.run([program, "upgrade", newer, "--unsigned", "--data", data], capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(f"the upgrade failed:\n{done.stdout}{done.stderr}")
    return next((line.strip() for line in done.stdout.splitlines() if "schema" in line), "")


class Visitors:
    """Readers, and one who saves; each waits for an answer before the next request."""

    def __init__(self, port, owner):
        self.port, self.editor = port, Browser(port).sign_in(*owner)
        location = self.editor.post("/admin/posts", **form(0, action="publish"))[0]["Location"]
        self.post, self.number = re.search(r"/admin/posts/\d+", location)[0], 0
        self.look()

    def during(self, what):
        """(milliseconds of the readers' answers, of the saves), while `what` is done."""
        self.is_over, read, saved, failed = False, [], [], []
        readers = [Browser(self.port) for _ in range(READERS)]
        threads = [threading.Thread(target=self.repeat, args=(lambda b=b: b.get("/"), read, failed)) for b in readers]
        threads.append(threading.Thread(target=self.repeat, args=(self.save, saved, failed)))
        for thread in threads:
            thread.start()
        try:
            what()
        finally:
            self.is_over = True
            for thread in threads:
                thread.join()
        if failed:
            raise SystemExit(f"{len(failed)} requests failed, such as: {failed[:3]}")
        return sorted(read), sorted(saved)

    def repeat(self, once, times, failed):
        while not self.is_over:
            start = time.monotonic()
            try:
                once()
            except (OSError, http.client.HTTPException, AssertionError) as e:
                failed.append(repr(e))
            times.append(1000 * (time.monotonic() - start))
            time.sleep(0.003)

    def save(self):
        self.number += 1
        self.editor.post(self.post, revision=self.revision, **form(self.number, action="save"))
        self.look()

    def look(self):
        """Whether what was saved is there."""
        text = self.editor.get(self.post)[1]
        assert f"number {self.number}. " in text, "what was saved is not there"
        self.revision = re.search(r'name="revision" value="(\d+)"', text)[1]


def form(number, action):
    return {"title": "Counter", "markdown": f"number {number}. " + 400 * "few words. ", "action": action}


def tell(what, beside, calm):
    print(f"{what}: no request failed")
    for name, ours, theirs in [("reads", beside[0], calm[0]), ("saves", beside[1], calm[1])]:
        shares = [(0.5, "median"), (0.99, "99 %"), (0.999, "99.9 %"), (1, "longest")]
        line = "; ".join(f"{word} {at(ours, share):.1f} ms, else {at(theirs, share):.1f}" for share, word in shares)
        print(f"    {len(ours)} {name}, {len(theirs)} else: {line}", flush=True)


def at(times, share):
    return times[min(len(times) - 1, int(len(times) * share))]

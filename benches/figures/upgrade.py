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
import urllib.parse

from common import ROOT, UNVERIFIED, path_of

# So that the database has about 1 GB.
POSTS = 70_000
PASSWORD = "correct horse battery staple"
READERS = 4
MIGRATION = """ALTER TABLE posts ADD COLUMN reading_s INTEGER NOT NULL DEFAULT 0;
UPDATE posts SET reading_s = words / 4;
"""


def measure(place, args):
    newer = newer_program()
    program = place.path / "webstead"
    shutil.copy(path_of("webstead"), program)
    data = place.seed("site", 2_000 if args.quick else POSTS)
    subprocess.run([program, "user", "add", "owner", "--role", "owner", "--password-stdin", "--data", data],
                   input=PASSWORD + "\n", text=True, check=True, stdout=subprocess.DEVNULL)
    site = place.site(data, program=program)
    size = os.path.getsize(data / "site.db")
    print(f"the database has {size / 1e6:,.0f} MB; {READERS} readers and one who saves")
    visitors = Visitors(site.port)
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
    return next(line for line in done.stdout.splitlines() if line.startswith("database"))


class Visitors:
    """Readers, and one who saves; each waits for an answer before the next request."""

    def __init__(self, port):
        self.port = port
        self.cookie, self.post = self.begin()

    def during(self, what):
        """(milliseconds of the readers' answers, of the saves), while `what` is done."""
        self.is_over, read, saved, failed = False, [], [], []
        threads = [threading.Thread(target=self.repeat, args=(self.read, read, failed)) for _ in range(READERS)]
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
        connection = None
        while not self.is_over:
            start = time.monotonic()
            try:
                connection = once(connection)
            except (OSError, http.client.HTTPException, AssertionError) as e:
                failed.append(f"{once.__name__}: {e!r}")
                connection = None
            times.append(1000 * (time.monotonic() - start))
            time.sleep(0.003)

    def connect(self):
        return http.client.HTTPSConnection("localhost", self.port, context=UNVERIFIED, timeout=300)

    def ask(self, connection, method, path, form=None):
        """An answer, and the connection if another one may follow."""
        connection = connection or self.connect()
        headers = {"Origin": f"https://localhost:{self.port}"}
        if form is not None:
            headers |= {"Content-Type": "application/x-www-form-urlencoded"}
        if getattr(self, "cookie", None) and (form is not None or path.startswith("/admin")):
            headers |= {"Cookie": self.cookie}
        connection.request(method, path, body=form and urllib.parse.urlencode(form), headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        if answer.will_close:
            connection.close()
            connection = None
        return answer, text, connection

    def begin(self):
        answer = self.ask(None, "POST", "/sign-in", {"name": "owner", "password": PASSWORD})[0]
        assert answer.status == 303, answer.status
        self.cookie = answer.headers["Set-Cookie"].split(";")[0]
        answer, text, _ = self.ask(None, "POST", "/admin/posts", self.form(0, "publish"))
        assert answer.status == 303, (answer.status, text)
        post = re.search(r"/admin/posts/\d+", answer.headers["Location"])[0]
        self.number, self.revision = 0, re.search(r'name="revision" value="(\d+)"', self.ask(None, "GET", post)[1])[1]
        return self.cookie, post

    def form(self, number, action="save"):
        return {"title": "Counter", "markdown": f"number {number}. " + 400 * "few words. ", "action": action}

    def read(self, connection):
        answer, _, connection = self.ask(connection, "GET", "/")
        assert answer.status == 200, answer.status
        return connection

    def save(self, connection):
        """Saves, and looks whether it is there."""
        self.number += 1
        form = self.form(self.number) | {"revision": self.revision}
        answer, text, connection = self.ask(connection, "POST", self.post, form)
        assert answer.status == 303, (answer.status, text[:200])
        text, connection = self.ask(connection, "GET", self.post)[1:]
        assert f"number {self.number}. " in text, "what was saved is not there"
        self.revision = re.search(r'name="revision" value="(\d+)"', text)[1]
        return connection


def tell(what, beside, calm):
    print(f"{what}: no request failed")
    for name, ours, theirs in [("reads", beside[0], calm[0]), ("saves", beside[1], calm[1])]:
        shares = [(0.5, "median"), (0.99, "99 %"), (0.999, "99.9 %"), (1, "longest")]
        line = "; ".join(f"{word} {at(ours, share):.1f} ms, else {at(theirs, share):.1f}" for share, word in shares)
        print(f"    {len(ours)} {name}, {len(theirs)} else: {line}", flush=True)


def at(times, share):
    return times[min(len(times) - 1, int(len(times) * share))]

"""A backup of a site of 1 GB: the time of it against copying the same bytes, what readers notice, what a second one
costs."""

import os
import subprocess
import time

from common import compare, get, path_of

PICTURE = 2_000_000
TARGET_TIME = 2.0
TARGET_READERS = 1.5
MOST_WRITTEN = 64_000


def measure(place, args):
    pictures = 25 if args.quick else 500
    data = site_with_pictures(place, pictures)
    site = place.site(data)
    backed_up, copied, calm, beside = [], [], [], []
    for number in range(args.rounds or 5):
        store, copy = place.path / f"store-{number}", place.path / f"copy-{number}"
        os.sync()
        start = time.monotonic()
        subprocess.run(["cp", "-r", data, copy], check=True)
        subprocess.run(["sync", "-f", copy], check=True)
        copied.append(time.monotonic() - start)
        subprocess.run(["rm", "-r", copy], check=True)
        os.sync()
        start = time.monotonic()
        back_up(data, store)
        backed_up.append(time.monotonic() - start)

        calm.append(p99_while(site, None, args.seconds))
        subprocess.run(["rm", "-r", store], check=True)
        command = [path_of("webstead"), "backup", store, "--data", data, "--without-verify"]
        beside.append(p99_while(site, lambda: place.start(["nice", "-n", "19", *command]), args.seconds))
        before = size(store)
        process = back_up(data, store)
        written = size(store) - before
        if number + 1 < (args.rounds or 5):
            subprocess.run(["rm", "-r", store], check=True)
    compare("a backup", backed_up, copied, TARGET_TIME, at_least=False, unit="s", digits=2, names=("backup", "copy"))
    compare("99 % of a reader's answers beside it", beside, calm, TARGET_READERS, at_least=False, unit="ms", digits=2,
            names=("beside", "calm"))
    database, media = os.path.getsize(data / "site.db"), pictures * PICTURE
    met = "met" if written < MOST_WRITTEN else "MISSED"
    print(f"a backup of the unchanged site: {written} bytes more, target ≤ {MOST_WRITTEN}: {met}; {process} bytes read "
          f"of everything, where the database has {database} and the media {media}")


def site_with_pictures(place, pictures):
    blog, data = place.path / "blog", place.path / "data"
    blog.mkdir()
    for number in range(pictures):
        (blog / f"picture-{number}.jpg").write_bytes(os.urandom(PICTURE))
        text = "words of a post that say little. " * 200
        post = f"---\ntitle: Post {number}\ndate: 2024-01-01\n---\n![x](picture-{number}.jpg)\n\n{text}\n"
        (blog / f"post-{number}.md").write_text(post)
    subprocess.run([path_of("webstead"), "import", blog, "--data", data], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["rm", "-r", blog], check=True)
    return data


def back_up(data, store):
    """Makes a backup; bytes that it has read of everything (`rchar` of proc_pid_io(5))."""
    command = [path_of("webstead"), "backup", store, "--data", data, "--without-verify"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    read = 0
    while process.poll() is None:
        try:
            read = int(open(f"/proc/{process.pid}/io").readline().split()[1])
        except (OSError, IndexError):
            pass
        time.sleep(0.002)
    if process.returncode != 0:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return read


def p99_while(site, begin, seconds):
    """Milliseconds within which 99 % of a reader's answers came, until what `begin` has begun is done."""
    process = begin() if begin else None
    end, times = time.monotonic() + seconds, []
    while process.poll() is None if process else time.monotonic() < end:
        start = time.monotonic()
        status, _, _ = get(site.port, "/")
        if status != 200:
            raise SystemExit(f"a reader was answered with {status}")
        times.append(1000 * (time.monotonic() - start))
    if process and process.returncode != 0:
        raise SystemExit("the backup failed")
    return sorted(times)[int(len(times) * 0.99)]


def size(folder):
    return sum(os.path.getsize(os.path.join(at, name)) for at, _, names in os.walk(folder) for name in names)

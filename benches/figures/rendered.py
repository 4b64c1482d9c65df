"""A post that is rendered at every request, against nginx, Gunicorn and MariaDB rendering a like page."""

import getpass
import os
import sqlite3
import subprocess
import sys

from common import BENCHES, another_query, compare, free_port, get, need, path_of, wait_for, wrk

TARGET = 5
POSTS = 390
PATH = "/posts/version-200"


def measure(place, args):
    need("wrk", "nginx", "mariadbd", "mariadb", "mariadb-install-db", "openssl")
    data = place.seed("site", POSTS)
    # Nothing is kept, and every request asks for another query, because requests that wait for the same
    # page share one rendering: so every request is rendered.
    site = place.site(data, cache_mib=0)
    script = another_query(place)
    port = peer(place, data)
    ours, theirs = site.get(PATH)[2], get(port, PATH)[2]
    print(f"the page: {len(ours)} bytes here, {len(theirs)} there")
    peer_url = f"https://localhost:{port}{PATH}"
    for encoding, headers in [("", []), (", br", ["Accept-Encoding: br"])]:
        def load(url, seconds):
            return wrk(url, seconds, headers=headers, script=script)

        load(site.url + PATH, 1)
        load(peer_url, 1)
        rates = ([], [])
        for _ in range(args.rounds or 5):
            rates[0].append(load(site.url + PATH, args.seconds))
            rates[1].append(load(peer_url, args.seconds))
        note = " (compressed at every request; the peer compresses nothing)" if encoding else ""
        compare(f"rendered{encoding}{note}", *rates, TARGET, names=("webstead", "nginx + Gunicorn + MariaDB"))


def peer(place, data):
    """Starts the peer with the posts of the site; gives its port."""
    base = place.path
    socket, port = base / "mariadb.sock", free_port()
    user = getpass.getuser()
    as_root = [f"--user={user}"] if os.geteuid() == 0 else []
    database = base / "mariadb"
    subprocess.run(["mariadb-install-db", f"--datadir={database}", "--auth-root-authentication-method=socket",
                    f"--auth-root-socket-user={user}", "--skip-test-db", *as_root], check=True, capture_output=True)
    place.start(["mariadbd", "--no-defaults", f"--datadir={database}", f"--socket={socket}", "--skip-networking",
                 f"--pid-file={base}/mariadb.pid", *as_root], env=PATH_WITH_SBIN)
    client = ["mariadb", "--no-defaults", f"--socket={socket}", "-uroot"]
    for _ in range(200):
        if subprocess.run([*client, "-e", "SELECT 1"], capture_output=True).returncode == 0:
            break
        subprocess.run(["sleep", "0.1"])
    schema = (BENCHES / "peer/schema.sql").read_text()
    if user != "root":
        schema = f"CREATE USER {user}@localhost IDENTIFIED VIA unix_socket; GRANT ALL ON peer.* TO {user}@localhost;" + schema
    copied = f"CREATE DATABASE peer; USE peer; {schema} START TRANSACTION; {copy_of(data)} COMMIT;"
    subprocess.run(client, input=copied, text=True, check=True)

    python = virtual_environment()
    workers = 2 * (os.cpu_count() or 1) + 1
    place.start([python, "-m", "gunicorn", "--chdir", BENCHES / "peer", "-w", workers, "-b", f"unix:{base}/gunicorn.sock",
                 "--keep-alive", "75", "-k", "gthread", "--threads", "1", "app:app"],
                env={**os.environ, "PEER_SOCKET": str(socket), "PEER_USER": user})
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-subj", "/CN=localhost", "-days", "2", "-keyout", base / "peer.key", "-out", base / "peer.crt"],
                   check=True, capture_output=True)
    conf = (BENCHES / "peer/nginx.conf").read_text().replace("@DIR@", str(base)).replace("@PORT@", str(port))
    if os.geteuid() == 0:
        conf = f"user {user};\n" + conf
    (base / "nginx.conf").write_text(conf)
    place.start(["nginx", "-c", base / "nginx.conf", "-p", base], env=PATH_WITH_SBIN)
    wait_for(port, PATH)
    if (status := get(port, PATH)[0]) != 200:
        # Gunicorn may still be starting behind nginx.
        subprocess.run(["sleep", "3"])
        status = get(port, PATH)[0]
        if status != 200:
            raise SystemExit(f"the peer answers {status}")
    return port


PATH_WITH_SBIN = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}


def virtual_environment():
    """The peer's Python, with the versions in requirements.txt; kept between runs."""
    home = BENCHES.parent / "target" / "peer-python"
    if given := os.environ.get("WEBSTEAD_BENCH_PYTHON"):
        return given
    if not (home / "bin/gunicorn").exists():
        subprocess.run([sys.executable, "-m", "venv", home], check=True)
        subprocess.run([home / "bin/pip", "-q", "install", "-r", BENCHES / "peer/requirements.txt"], check=True)
    return home / "bin/python"


def copy_of(data):
    """The site's posts as statements for the peer."""
    site = sqlite3.connect(f"file:{data}/site.db?mode=ro", uri=True)
    # All have the same, and it is packed there.
    html = subprocess.run([path_of("seed"), "--html"], check=True, capture_output=True, text=True).stdout
    queries = [
        ("posts", "SELECT p.id, kind, a.path, title, excerpt, words, published_at, $html FROM posts p "
                  "JOIN addresses a ON a.post_id = p.id AND a.is_current = 1"),
        ("tags", "SELECT id, slug, name FROM tags"),
        ("post_tags", "SELECT post_id, tag_id, position FROM post_tags"),
        ("post_authors", "SELECT post_id, position, name FROM post_authors"),
        ("settings", "SELECT name, value FROM settings"),
    ]
    statements = []
    for table, query in queries:
        for row in site.execute(query, {"html": html}):
            statements.append(f"INSERT INTO {table} VALUES ({', '.join(map(literal, row))});")
    return "\n".join(statements)


def literal(value):
    if isinstance(value, int):
        return str(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"

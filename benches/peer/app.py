"""The peer of a rendered page: a small, honest blog on Flask, Jinja2 and MariaDB.

It does what Webstead does for a post and no more: the HTML is stored ready, templates are compiled once,
connections are kept open (one for each worker), settings and menu are kept in memory, and a page takes four
queries: the post, its authors and tags, and its neighbours.
"""

import datetime
import os

import flask
import pymysql

app = flask.Flask(__name__)
app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
_connection = None
_site = None


def connection():
    global _connection
    if _connection is None:
        _connection = pymysql.connect(unix_socket=os.environ["PEER_SOCKET"], user=os.environ["PEER_USER"],
                                      database="peer", charset="utf8mb4", autocommit=True)
    return _connection


def rows(sql, *values):
    with connection().cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall()


def site():
    global _site
    if _site is None:
        _site = dict(rows("SELECT name, value FROM settings"))
        _site["menu"] = rows("SELECT path, title FROM posts WHERE kind = 'page' ORDER BY title, id LIMIT 12")
    return _site


@app.template_filter("day")
def day(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%-d %B %Y")


@app.template_filter("rfc3339")
def rfc3339(seconds):
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@app.get("/<path:path>")
def post(path):
    found = rows("SELECT id, title, excerpt, words, published_at, html FROM posts WHERE path = %s", "/" + path)
    if not found:
        flask.abort(404)
    id, title, excerpt, words, published_at, html = found[0]
    tags = rows("SELECT t.slug, t.name FROM post_tags pt JOIN tags t ON t.id = pt.tag_id "
                "WHERE pt.post_id = %s ORDER BY pt.position", id)
    authors = rows("SELECT name FROM post_authors WHERE post_id = %s ORDER BY position", id)
    beside = rows(
        "(SELECT 'previous', path, title FROM posts WHERE kind = 'post' AND (published_at < %s OR "
        "(published_at = %s AND id < %s)) ORDER BY published_at DESC, id DESC LIMIT 1) UNION ALL "
        "(SELECT 'next', path, title FROM posts WHERE kind = 'post' AND (published_at > %s OR "
        "(published_at = %s AND id > %s)) ORDER BY published_at, id LIMIT 1)",
        published_at, published_at, id, published_at, published_at, id)
    return flask.render_template(
        "post.html", site=site(), title=title, excerpt=excerpt, minutes=-(-words // 238),
        published_at=published_at, html=html, tags=tags, authors=", ".join(name for name, in authors),
        beside={which: (path, title) for which, path, title in beside},
        base_url=f"https://{flask.request.host}", path="/" + path)

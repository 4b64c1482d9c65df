-- The whole database of a site, as it is today.
--
-- src/db/migrations/ leads here step by step; a test proves that both give the same database.
-- Rules (ARCHITECTURE.md, "The database"): STRICT tables, ids made by the program, no time and no
-- randomness in SQL. Times are whole seconds since 1970 (UTC), made and bound by the program.

-- People who can sign in.
CREATE TABLE users (
  id            INTEGER PRIMARY KEY,
  name          TEXT    NOT NULL UNIQUE,            -- what is typed to sign in; lower case
  display_name  TEXT    NOT NULL,                   -- what visitors see as the author
  password_hash TEXT    NOT NULL,                   -- argon2id, in PHC form
  role          TEXT    NOT NULL CHECK (role IN ('owner', 'editor')),
  created_at    INTEGER NOT NULL
) STRICT;

-- Who is signed in. When a session was last seen is kept in memory, not here.
CREATE TABLE sessions (
  id          INTEGER PRIMARY KEY,
  token_hash  BLOB    NOT NULL UNIQUE CHECK (length(token_hash) = 32),  -- SHA-256 of the cookie
  user_id     INTEGER NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  user_agent  TEXT    NOT NULL,
  created_at  INTEGER NOT NULL,
  expires_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id, id);

-- Settings that are edited in the browser, one row each.
CREATE TABLE settings (
  id    INTEGER PRIMARY KEY,
  name  TEXT NOT NULL UNIQUE,
  value TEXT NOT NULL
) STRICT;

-- Posts and pages. A draft has no published_at; what is in the trash has a trashed_at.
CREATE TABLE posts (
  id             INTEGER PRIMARY KEY,
  kind           TEXT    NOT NULL CHECK (kind IN ('post', 'page')),
  title          TEXT    NOT NULL,
  description    TEXT    NOT NULL,                  -- written by hand for lists and link previews; may be ''
  excerpt        TEXT    NOT NULL,                  -- the first words of the text; used where there is no description
  words          INTEGER NOT NULL,                  -- words in the text, for the reading time
  published_at   INTEGER,                           -- NULL: a draft
  draft_at       INTEGER,                           -- the date that a draft is published with; NULL: the moment of publishing
  created_at     INTEGER NOT NULL,
  updated_at     INTEGER NOT NULL,
  trashed_at     INTEGER,                           -- NULL: not in the trash
  revision       INTEGER NOT NULL,                  -- 1, 2, 3 …: what an editor's save is checked against
  import_key     TEXT,                              -- the file that it came from, from the root of the machine
  import_digest  TEXT,                              -- SHA-256 of what was imported, to see changes on either side
  import_revision INTEGER,                          -- the revision that the import made
  extra          TEXT    NOT NULL,                  -- front matter that is kept for export only; JSON object
  renderer       INTEGER NOT NULL,                  -- version of the Markdown renderer that made html
  markdown       TEXT    NOT NULL,
  html           TEXT,                              -- NULL: in packed, or too large to keep and rendered when it is read
  packed         BLOB                               -- if not NULL: both, compressed (src/text/packed.rs), and markdown is ''
) STRICT;
-- What visitors can list, read from its end: newest first, no drafts, nothing from the trash. With the title, so that a
-- year of the archive is read from here alone.
CREATE INDEX posts_live ON posts (kind, published_at, id, title, trashed_at)
  WHERE published_at IS NOT NULL AND trashed_at IS NULL;
-- What editors list, from its end.
CREATE INDEX posts_by_update ON posts (updated_at);
CREATE UNIQUE INDEX posts_imported ON posts (import_key) WHERE import_key IS NOT NULL;
CREATE INDEX posts_in_trash ON posts (trashed_at) WHERE trashed_at IS NOT NULL;

-- Every address that a post has ever had. The current one shows it; the others redirect to it for ever.
CREATE TABLE addresses (
  id         INTEGER PRIMARY KEY,
  path       TEXT    NOT NULL UNIQUE CHECK (substr(path, 1, 1) = '/'),  -- decoded, no slash at the end
  post_id    INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
  is_current INTEGER NOT NULL CHECK (is_current IN (0, 1))
) STRICT;
CREATE INDEX addresses_shown ON addresses (post_id, is_current, path);

-- The by-line: names as they are printed, in order. Not all of them are users.
CREATE TABLE post_authors (
  id       INTEGER PRIMARY KEY,
  post_id  INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
  position INTEGER NOT NULL,
  name     TEXT    NOT NULL,
  UNIQUE (post_id, position)
) STRICT;

CREATE TABLE tags (
  id   INTEGER PRIMARY KEY,
  slug TEXT NOT NULL UNIQUE,
  name TEXT NOT NULL
) STRICT;

-- Which post has which tag. listed_at repeats the post's published_at while visitors can see it,
-- so that a tag's page reads one short stretch of an index however many posts the tag has.
CREATE TABLE post_tags (
  id        INTEGER PRIMARY KEY,
  post_id   INTEGER NOT NULL REFERENCES posts (id) ON DELETE CASCADE,
  tag_id    INTEGER NOT NULL REFERENCES tags (id) ON DELETE CASCADE,
  position  INTEGER NOT NULL,
  listed_at INTEGER,                                -- NULL: visitors cannot see the post
  UNIQUE (post_id, tag_id)
) STRICT;
CREATE INDEX post_tags_listed ON post_tags (tag_id, listed_at, post_id)
  WHERE listed_at IS NOT NULL;

-- Uploaded and imported files. The bytes are in media/<hash>, written once and never changed.
CREATE TABLE media (
  id           INTEGER PRIMARY KEY,
  hash         TEXT    NOT NULL UNIQUE CHECK (length(hash) = 64),       -- SHA-256, lower-case hex
  name         TEXT    NOT NULL,
  content_type TEXT    NOT NULL,
  size_bytes   INTEGER NOT NULL,
  width        INTEGER,                                                  -- pixels; NULL: not an image
  height       INTEGER,
  import_key   TEXT,                                                     -- the file that it came from
  created_at   INTEGER NOT NULL
) STRICT;

-- Other hosts, set in the browser: what is served under a name. A name in webstead.toml wins over one here.
CREATE TABLE hosts (
  id         INTEGER PRIMARY KEY,
  name       TEXT    NOT NULL UNIQUE,               -- as requests have it: lower case, IDNA
  keys       TEXT    NOT NULL,                      -- JSON: what its table in webstead.toml would have
  revision   INTEGER NOT NULL,                      -- rises with every change
  updated_at INTEGER NOT NULL,
  removed_at INTEGER                                -- NULL: it is served
) STRICT;

-- An import on its way in: rows that nobody sees until one last change moves them to their tables.
CREATE TABLE staged_rows (
  id         INTEGER PRIMARY KEY,
  batch_id   INTEGER NOT NULL,
  into_table TEXT    NOT NULL,
  row        TEXT    NOT NULL                       -- JSON object, column to value
) STRICT;
CREATE INDEX staged_rows_by_batch ON staged_rows (batch_id, into_table, id);

-- Changes that were applied, so that one sent twice is applied once. Old ones are swept.
CREATE TABLE applied_changes (
  id INTEGER PRIMARY KEY
) STRICT;

-- What every change did, since the oldest backup that is kept: with it and a backup, the site can be brought back to any
-- moment in between. Without a row nothing is kept, because there is no backup that could use it.
CREATE TABLE change_log (
  id           INTEGER PRIMARY KEY,                 -- 1, 2, 3 …, in the order of the changes, without a gap
  change_id    INTEGER NOT NULL,                    -- the id of the change
  kind         TEXT    NOT NULL CHECK (kind IN ('change', 'upkeep', 'begin', 'restored', 'unknown')),
  at           INTEGER NOT NULL,                    -- when it was applied
  schema       INTEGER NOT NULL,                    -- the schema that it was written for
  bytes_before INTEGER NOT NULL,                    -- the sum of all contents before this one
  content      BLOB    NOT NULL                     -- its statements: numbers of change_log_sql, and their values
) STRICT;
-- What is no change. A row of a change is not in it.
CREATE INDEX change_log_marks ON change_log (id) WHERE kind NOT IN ('change', 'upkeep');

-- The texts of the statements, each once. The id is made of the text.
CREATE TABLE change_log_sql (
  id  INTEGER PRIMARY KEY,
  sql TEXT NOT NULL
) STRICT;

-- An older program that goes on beside this one writes without keeping it. Then it is known, at least, that something is
-- missing. This program makes the row of the log first.
CREATE TRIGGER change_log_unknown AFTER INSERT ON applied_changes
WHEN (SELECT change_id FROM change_log ORDER BY id DESC LIMIT 1) <> NEW.id
BEGIN
  INSERT INTO change_log (id, change_id, kind, at, schema, bytes_before, content)
  SELECT id + 1, NEW.id, 'unknown', at, schema, bytes_before + length(content), x''
  FROM change_log ORDER BY id DESC LIMIT 1;
END;

-- One row that is always true. A change checks what it assumes by setting it to the result of a
-- question; if the answer is no, the CHECK fails and the whole change is undone.
CREATE TABLE guard (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  ok INTEGER NOT NULL CHECK (ok = 1)
) STRICT;
INSERT INTO guard (id, ok) VALUES (1, 1);

-- Which older programs can work with this database. A migration that takes away what they need raises the number.
CREATE TABLE compatibility (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  oldest INTEGER NOT NULL                           -- the schema of the oldest program that can
) STRICT;
INSERT INTO compatibility (id, oldest) VALUES (1, 3);  -- 6 where a page has not 4096 bytes

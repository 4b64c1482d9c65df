-- Other hosts, set in the browser: what is served under a name. A name in webstead.toml wins over one here.
CREATE TABLE hosts (
  id         INTEGER PRIMARY KEY,
  name       TEXT    NOT NULL UNIQUE,               -- as requests have it: lower case, IDNA
  keys       TEXT    NOT NULL,                      -- JSON: what its table in webstead.toml would have
  revision   INTEGER NOT NULL,                      -- rises with every change
  updated_at INTEGER NOT NULL,
  removed_at INTEGER                                -- NULL: it is served
) STRICT;

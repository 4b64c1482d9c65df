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

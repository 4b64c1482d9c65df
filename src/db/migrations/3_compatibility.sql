-- Which older programs can work with this database. A migration that takes away what they need raises the number.
CREATE TABLE compatibility (
  id     INTEGER PRIMARY KEY CHECK (id = 1),
  oldest INTEGER NOT NULL                           -- the schema of the oldest program that can
) STRICT;
INSERT INTO compatibility (id, oldest) VALUES (1, 3);

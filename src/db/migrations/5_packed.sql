-- Text and HTML of a post, compressed together: a save writes a third of the bytes. Only programs that know the column
-- may have to read it, so it is filled where no other one can open the database (compatibility.oldest).
ALTER TABLE posts ADD COLUMN packed BLOB;

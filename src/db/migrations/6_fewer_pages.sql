-- What a save has to write for indexes. Two of them say what addresses_shown says, too. Those that begin with the
-- newest are turned round: SQLite reads them as well from their end, but where a row is always put before all others,
-- it shares the rows of three pages out anew with nearly every one.
DROP INDEX addresses_by_post;
DROP INDEX addresses_current;
DROP INDEX posts_live;
CREATE INDEX posts_live ON posts (kind, published_at, id, title, trashed_at)
  WHERE published_at IS NOT NULL AND trashed_at IS NULL;
DROP INDEX posts_by_update;
CREATE INDEX posts_by_update ON posts (updated_at, id);
DROP INDEX post_tags_listed;
CREATE INDEX post_tags_listed ON post_tags (tag_id, listed_at, post_id)
  WHERE listed_at IS NOT NULL;
-- New databases have smaller pages than programs before this one reckon with.
UPDATE compatibility SET oldest = 6 WHERE (SELECT page_size FROM pragma_page_size) <> 4096;

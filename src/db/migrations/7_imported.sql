-- What a save has to write for indexes, once more. A post that nobody imported is in no index of those that were:
-- databases that were made before this step have import_key UNIQUE in their table, too, and keep it, because only
-- writing every post anew could take it away. The list by update has the id in every row anyway.
CREATE UNIQUE INDEX posts_imported ON posts (import_key) WHERE import_key IS NOT NULL;
DROP INDEX posts_by_update;
CREATE INDEX posts_by_update ON posts (updated_at);

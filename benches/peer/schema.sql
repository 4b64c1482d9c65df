-- The peer's tables: what the same pages need, with the indexes that they need.
CREATE TABLE posts (
  id           BIGINT PRIMARY KEY,
  kind         VARCHAR(4) NOT NULL,
  path         VARCHAR(255) NOT NULL UNIQUE,
  title        VARCHAR(300) NOT NULL,
  excerpt      TEXT NOT NULL,
  words        INT NOT NULL,
  published_at BIGINT NOT NULL,
  html         MEDIUMTEXT NOT NULL,
  INDEX live (kind, published_at, id)
) CHARACTER SET utf8mb4;
CREATE TABLE tags (id BIGINT PRIMARY KEY, slug VARCHAR(100) NOT NULL UNIQUE, name VARCHAR(100) NOT NULL) CHARACTER SET utf8mb4;
CREATE TABLE post_tags (
  post_id BIGINT NOT NULL, tag_id BIGINT NOT NULL, position INT NOT NULL,
  PRIMARY KEY (post_id, position), INDEX by_tag (tag_id, post_id)
);
CREATE TABLE post_authors (
  post_id BIGINT NOT NULL, position INT NOT NULL, name VARCHAR(100) NOT NULL,
  PRIMARY KEY (post_id, position)
) CHARACTER SET utf8mb4;
CREATE TABLE settings (name VARCHAR(100) PRIMARY KEY, value TEXT NOT NULL) CHARACTER SET utf8mb4;

--
-- src/tools/demo/tables.sql: the two tables of the demo
--
-- The columns are those of test/data/*.copy.gz, in their order.
--

CREATE EXTENSION IF NOT EXISTS vecdb;

CREATE TABLE packages
(
	id			integer PRIMARY KEY,
	name		text NOT NULL UNIQUE,
	section		text NOT NULL,
	size_kb		integer NOT NULL,
	description	text NOT NULL,
	embedding	halfvec(384) NOT NULL
);
COMMENT ON TABLE packages IS 'packages of Debian 12, one per source package';
COMMENT ON COLUMN packages.embedding IS '"name: description" as all-MiniLM-L6-v2 understands it';

CREATE TABLE questions
(
	id			integer PRIMARY KEY,
	question	text NOT NULL UNIQUE,
	embedding	halfvec(384) NOT NULL,
	neighbours	integer[] NOT NULL
);
COMMENT ON TABLE questions IS 'questions in plain words';
COMMENT ON COLUMN questions.neighbours IS 'the 100 nearest packages by exact search, nearest first';

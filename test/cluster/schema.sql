--
-- test/cluster/schema.sql: tables and rows for statements/*.sql
--
-- Everything is made from row numbers by hash functions, so that rows are the
-- same wherever they are made.  Distances have no ties.
--

CREATE FUNCTION made(seed bigint, dimensions int) RETURNS real[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS
'SELECT array_agg(((hashint8extended($1 * 100 + k, 7) & 65535) / 65536.0)::real ORDER BY k)
	FROM generate_series(1, $2) k';

CREATE TABLE categories
(
	id			int PRIMARY KEY,
	name		text NOT NULL,
	parent		int
);

CREATE TABLE items
(
	id			bigint PRIMARY KEY,
	owner		int,
	category	int,
	title		text,
	price		numeric(10,2),
	stock		int,
	tags		text[],
	attrs		jsonb,
	created		timestamptz,
	code		uuid,
	embedding	vector(16),
	small		halfvec(8)
);

CREATE TABLE users
(
	id			int PRIMARY KEY,
	name		text NOT NULL,
	region		text,
	karma		int,
	joined		timestamptz DEFAULT '2024-06-01 12:00+00',
	taste		vector(16)
);

CREATE TABLE orders
(
	user_id		int,
	id			int,
	item_id		bigint,
	amount		numeric(10,2) CHECK (amount > 0),
	note		text,
	placed		timestamptz,
	PRIMARY KEY (user_id, id)
);

CREATE TABLE notes
(
	id			uuid PRIMARY KEY,
	item_id		bigint,
	body		text,
	sketch		halfvec(8)
);

CREATE TABLE words
(
	word		text PRIMARY KEY,
	uses		bigint NOT NULL DEFAULT 0,
	first_seen	date
);

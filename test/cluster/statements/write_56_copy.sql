-- COPY

COPY users (id, name, region) FROM STDIN;
901	copy one	north
902	copy two	\N
903	copy\tthree	south
\.

COPY users (id, name, karma) FROM STDIN (FORMAT csv);
904,"quoted, with comma",5
905,"a ""quote""",
\.

COPY items (id, embedding, small, tags) FROM STDIN;
3001	[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]	[1,2,3,4,5,6,7,8]	{a,b}
3002	[2,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]	\N	\N
3003	\N	[0,2,3,4,5,6,7,8]	{}
\.

COPY categories FROM STDIN (DELIMITER ';', NULL 'none');
60;sixty;none
61;sixty-one;60
\.

SELECT id, name, region, karma FROM users WHERE id > 900 ORDER BY id;

SELECT id, embedding, small, tags FROM items WHERE id > 3000 ORDER BY id;

SELECT * FROM categories WHERE id > 50 ORDER BY id;

-- sorted, as rows come from several groups
COPY users TO STDOUT;

COPY (SELECT id, name FROM users ORDER BY id) TO STDOUT (FORMAT csv, HEADER);

COPY (SELECT id, embedding FROM items WHERE id > 3000 ORDER BY id) TO STDOUT;

COPY orders (id, amount) TO STDOUT (FORMAT csv);

COPY users (id, name) FROM STDIN;
906	fine
901	double
907	fine
\.

COPY users (id, name) FROM STDIN;
908	fine
x	no number
\.

SELECT count(*) FROM users;

BEGIN;
COPY users (id, name) FROM STDIN;
910	ten
911	eleven
\.
SELECT count(*) FROM users;
ROLLBACK;

SELECT count(*) FROM users;

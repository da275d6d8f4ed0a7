--
-- src/tools/demo/answer.sql: eight questions, and the nearest packages
--
-- Ten are fetched for each, as an application would; four are shown.
--

SELECT format(E'\n  %s\n%s', q.question, string_agg(
		format('      %s  %s', rpad(a.name, 16),
			   CASE WHEN length(a.description) <= 54 THEN a.description
					ELSE left(a.description, 51) || '...' END),
		E'\n' ORDER BY a.distance))
FROM questions q,
	LATERAL (SELECT name, description, embedding <=> q.embedding AS distance,
					row_number() OVER (ORDER BY embedding <=> q.embedding) AS place
			 FROM (SELECT * FROM packages
				   ORDER BY embedding <=> q.embedding LIMIT 10) AS found) AS a
WHERE a.place <= 4
	AND q.question IN ('edit photos',
					   'play chess against the computer',
					   'recover deleted files',
					   'fly an airplane in a simulator',
					   'find out what takes up space on my disk',
					   'tune my guitar',
					   'recognize text in a scanned image',
					   'make the screen less blue in the evening')
GROUP BY q.id, q.question
ORDER BY q.id;

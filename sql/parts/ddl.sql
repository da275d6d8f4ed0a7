--
-- ddl: members of the cluster, and tables that become distributed
--

CREATE FUNCTION vecdb.create_cluster(host text DEFAULT NULL,
		port integer DEFAULT NULL) RETURNS uuid
	AS 'MODULE_PATHNAME', 'vecdb_create_cluster'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.create_cluster(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.create_cluster(text, integer) IS
	'makes this database group 1 of a new cluster; the address is that by which other nodes reach it';

CREATE FUNCTION vecdb.add_group(host text, port integer DEFAULT 5432)
	RETURNS integer
	AS 'MODULE_PATHNAME', 'vecdb_add_group'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.add_group(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.add_group(text, integer) IS
	'adds a server to the cluster as a new group and returns its number';

CREATE FUNCTION vecdb.add_host(group_id integer, host text,
		port integer DEFAULT 5432) RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_add_host'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.add_host(integer, text, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.add_host(integer, text, integer) IS
	'adds a standby, or another address, to a group';

CREATE FUNCTION vecdb.remove_host(host text, port integer DEFAULT 5432)
	RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_remove_host'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.remove_host(text, integer) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.remove_host(text, integer) IS
	'removes an address from its group, unless it is the only one';

CREATE FUNCTION vecdb.remove_group(group_id integer,
		force boolean DEFAULT false) RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_remove_group'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.remove_group(integer, boolean) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.remove_group(integer, boolean) IS
	'removes a group that owns no shards; with force, one that is lost and cannot be asked';

CREATE FUNCTION vecdb.drop_cluster(force boolean DEFAULT false)
	RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_drop_cluster'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
REVOKE ALL ON FUNCTION vecdb.drop_cluster(boolean) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.drop_cluster(boolean) IS
	'makes the last group of a cluster an ordinary database that keeps all tables and rows; with force, any group, which keeps the rows that it has';

CREATE FUNCTION vecdb.distribute_table("table" regclass,
		key text[] DEFAULT NULL, strategy text DEFAULT NULL,
		shard_count integer DEFAULT NULL, colocate_with regclass DEFAULT NULL,
		bounds text[] DEFAULT NULL, shard_function regprocedure DEFAULT NULL)
	RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_distribute_table'
	LANGUAGE C VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.distribute_table(regclass, text[], text, integer,
		regclass, text[], regprocedure) IS
	'spreads a table over the groups by its key, which is the primary key unless given; strategies are hash, range, list and custom';

CREATE FUNCTION vecdb.distribute_table("table" regclass, key text,
		strategy text DEFAULT NULL,
		shard_count integer DEFAULT NULL, colocate_with regclass DEFAULT NULL,
		bounds text[] DEFAULT NULL, shard_function regprocedure DEFAULT NULL)
	RETURNS void
	LANGUAGE SQL VOLATILE CALLED ON NULL INPUT PARALLEL UNSAFE
	BEGIN ATOMIC
		SELECT vecdb.distribute_table("table", ARRAY[key], strategy,
			shard_count, colocate_with, bounds, shard_function);
	END;
COMMENT ON FUNCTION vecdb.distribute_table(regclass, text, text, integer,
		regclass, text[], regprocedure) IS
	'spreads a table over the groups by one column';

CREATE FUNCTION vecdb.replicate_table("table" regclass) RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_replicate_table'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.replicate_table(regclass) IS
	'makes a table a reference table: all groups hold all its rows';

CREATE FUNCTION vecdb.undistribute_table("table" regclass) RETURNS void
	AS 'MODULE_PATHNAME', 'vecdb_undistribute_table'
	LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE;
COMMENT ON FUNCTION vecdb.undistribute_table(regclass) IS
	'makes a distributed or reference table an ordinary table of this node, with all rows';

-- What all groups answer to one question, or why one did not.
CREATE FUNCTION vecdb.ask_groups(sql text, OUT group_id integer,
		OUT answer text, OUT failure text)
	RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE
	SET search_path = pg_catalog
	AS $$
BEGIN
	FOR group_id IN SELECT g.group_id FROM vecdb.catalog_group g ORDER BY 1
	LOOP
		failure := NULL;
		BEGIN
			FOR answer IN SELECT a FROM vecdb.run_on_group(group_id, sql) a
			LOOP
				RETURN NEXT;
			END LOOP;
		EXCEPTION WHEN OTHERS THEN
			answer := NULL;
			failure := SQLERRM;
			RETURN NEXT;
		END;
	END LOOP;
END $$;
REVOKE ALL ON FUNCTION vecdb.ask_groups(text) FROM PUBLIC;
COMMENT ON FUNCTION vecdb.ask_groups(text) IS
	'runs a statement on each group and returns the rows, columns separated by |, or what went wrong there';

-- The questions; each group answers with one line that is to be the same in
-- all, or with lines that should not be.
CREATE FUNCTION vecdb.cluster_checks(OUT "check" text, OUT object text,
		OUT alike boolean, OUT sql text)
	RETURNS SETOF record
	LANGUAGE SQL STABLE PARALLEL UNSAFE
	SET search_path = pg_catalog
	AS $$
	SELECT 'catalog', 'vecdb.' || name, true,
		format('SELECT md5(coalesce(string_agg(t::text, '','''
			' ORDER BY t::text COLLATE "C"), '''')) FROM vecdb.%I t', name)
	FROM unnest('{catalog_cluster,catalog_group,catalog_host,catalog_colocation,catalog_shard,catalog_table}'::text[]) name
	UNION ALL
	SELECT 'catalog', 'shards of ' || colocation_id, false,
		format('SELECT %L WHERE %s <> (SELECT count(*) FROM vecdb.catalog_shard'
			' JOIN vecdb.catalog_group USING (group_id)'
			' WHERE colocation_id = %s AND shard < %s)',
			'not every shard has a group', shard_count, colocation_id,
			shard_count)
	FROM vecdb.catalog_colocation
	UNION ALL
	SELECT 'table', q.name, true,
		format('SELECT coalesce((SELECT md5(string_agg(concat_ws('' '', attname,'
			' format_type(atttypid, atttypmod), attnotnull, attidentity,'
			' attgenerated, pg_get_expr(adbin, adrelid)), '',''  ORDER BY attname'
			' COLLATE "C")) FROM pg_attribute LEFT JOIN pg_attrdef'
			' ON adrelid = attrelid AND adnum = attnum'
			' WHERE attrelid = to_regclass(%1$L) AND attnum > 0'
			' AND NOT attisdropped), ''missing'')'
			' || coalesce((SELECT md5(string_agg(pg_get_indexdef(indexrelid)'
			' || indisvalid, '','' ORDER BY pg_get_indexdef(indexrelid)'
			' COLLATE "C")) FROM pg_index WHERE indrelid = to_regclass(%1$L)), '''')'
			' || coalesce((SELECT md5(string_agg(conname'
			' || pg_get_constraintdef(oid), '','' ORDER BY conname COLLATE "C"))'
			' FROM pg_constraint WHERE conrelid = to_regclass(%1$L)'
			' AND contype <> ''n''), '''')', q.name)
	FROM (SELECT format('%I.%I', schema_name, table_name) AS name
		  FROM vecdb.catalog_table) q
	UNION ALL
	SELECT 'rows', q.name, false,
		format('SELECT count(*) || '' rows of shards that this group does not own'''
			' FROM ONLY %s WHERE vecdb.group_of(%L, %s)'
			' IS DISTINCT FROM vecdb.local_group() HAVING count(*) > 0',
			q.name, q.name, q.keys)
	FROM (SELECT format('%I.%I', schema_name, table_name) AS name,
			(SELECT string_agg(quote_ident(k), ', ' ORDER BY o)
			 FROM unnest(key_columns) WITH ORDINALITY u (k, o)) AS keys
		  FROM vecdb.catalog_table WHERE kind = 'd') q
	UNION ALL
	SELECT 'reference', q.name, true,
		format('SELECT count(*) || '' rows, ''  || coalesce(sum('
			'hashtextextended(t::text, 0)::numeric), 0) FROM ONLY %s t', q.name)
	FROM (SELECT format('%I.%I', schema_name, table_name) AS name
		  FROM vecdb.catalog_table WHERE kind = 'r') q
	UNION ALL
	SELECT 'transactions', 'prepared', false,
		format('SELECT ''prepared since '' || prepared || '': '' || gid'
			' FROM pg_prepared_xacts WHERE gid LIKE ''vecdb\_%%'''
			' AND database = current_database() AND prepared < now() - %L::interval',
			p.patience)
	FROM (SELECT 2 * current_setting('vecdb.recovery_interval')::interval
			+ '5s' AS patience) p
	UNION ALL
	SELECT 'transactions', 'commit records', false,
		format('SELECT ''not finished since '' || created || '': '' || gid'
			' FROM vecdb.catalog_commit WHERE created < now() - %L::interval',
			p.patience)
	FROM (SELECT 2 * current_setting('vecdb.recovery_interval')::interval
			+ '5s' AS patience) p
$$;
REVOKE ALL ON FUNCTION vecdb.cluster_checks() FROM PUBLIC;
COMMENT ON FUNCTION vecdb.cluster_checks() IS
	'the statements by which vecdb.check_cluster() looks at each group';

CREATE FUNCTION vecdb.check_cluster(OUT "check" text, OUT object text,
		OUT problem text)
	RETURNS SETOF record
	LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
	SET search_path = pg_catalog
	AS $$
DECLARE
	asked record;
	said record;
	first text;
BEGIN
	FOR asked IN SELECT * FROM vecdb.cluster_checks()
	LOOP
		"check" := asked."check";
		object := asked.object;
		IF asked."check" = 'reference' THEN
			-- copies are compared while nobody writes
			PERFORM vecdb.ask_groups(format('LOCK TABLE ONLY %s IN SHARE MODE',
				asked.object));
		END IF;
		first := NULL;
		FOR said IN SELECT * FROM vecdb.ask_groups(asked.sql)
		LOOP
			IF said.failure IS NOT NULL THEN
				problem := format('group %s: %s', said.group_id, said.failure);
				RETURN NEXT;
			ELSIF NOT asked.alike THEN
				problem := format('group %s: %s', said.group_id, said.answer);
				RETURN NEXT;
			ELSIF first IS NULL THEN
				first := said.answer;
			ELSIF first <> said.answer THEN
				problem := format('group %s differs from the first group (%s, %s)',
					said.group_id, said.answer, first);
				RETURN NEXT;
			END IF;
		END LOOP;
	END LOOP;
END $$;
REVOKE ALL ON FUNCTION vecdb.check_cluster() FROM PUBLIC;
COMMENT ON FUNCTION vecdb.check_cluster() IS
	'what does not hold in the cluster: catalogs and tables that differ, rows in the wrong group, copies of reference tables that differ, transactions that are left over';

-- hnsw: the access method and its operator classes

CREATE FUNCTION hnswhandler(internal) RETURNS index_am_handler
	AS 'MODULE_PATHNAME', 'vecdb_hnswhandler'
	LANGUAGE C VOLATILE PARALLEL UNSAFE;
COMMENT ON FUNCTION hnswhandler(internal) IS
	'handler of the access method hnsw';

CREATE ACCESS METHOD hnsw TYPE INDEX HANDLER hnswhandler;
COMMENT ON ACCESS METHOD hnsw IS
	'approximate nearest neighbours by a hierarchical navigable small world graph';

CREATE OPERATOR CLASS vector_l2_ops
	FOR TYPE vector USING hnsw AS
	OPERATOR 1 <-> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_l2_squared_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l2_ops USING hnsw IS
	'orders vector by Euclidean distance, ORDER BY column <-> value';
COMMENT ON OPERATOR FAMILY vector_l2_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS vector_ip_ops
	FOR TYPE vector USING hnsw AS
	OPERATOR 1 <#> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_negative_inner_product(vector, vector);
COMMENT ON OPERATOR CLASS vector_ip_ops USING hnsw IS
	'orders vector by negative inner product, ORDER BY column <#> value';
COMMENT ON OPERATOR FAMILY vector_ip_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS vector_cosine_ops
	FOR TYPE vector USING hnsw AS
	OPERATOR 1 <=> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 vector_negative_inner_product(vector, vector),
	FUNCTION 2 vector_norm(vector);
COMMENT ON OPERATOR CLASS vector_cosine_ops USING hnsw IS
	'orders vector by cosine distance, ORDER BY column <=> value';
COMMENT ON OPERATOR FAMILY vector_cosine_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS vector_l1_ops
	FOR TYPE vector USING hnsw AS
	OPERATOR 1 <+> (vector, vector) FOR ORDER BY float_ops,
	FUNCTION 1 l1_distance(vector, vector);
COMMENT ON OPERATOR CLASS vector_l1_ops USING hnsw IS
	'orders vector by taxicab distance, ORDER BY column <+> value';
COMMENT ON OPERATOR FAMILY vector_l1_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS halfvec_l2_ops
	FOR TYPE halfvec USING hnsw AS
	OPERATOR 1 <-> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_l2_squared_distance(halfvec, halfvec),
	FUNCTION 3 hnsw_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_l2_ops USING hnsw IS
	'orders halfvec by Euclidean distance, ORDER BY column <-> value';
COMMENT ON OPERATOR FAMILY halfvec_l2_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS halfvec_ip_ops
	FOR TYPE halfvec USING hnsw AS
	OPERATOR 1 <#> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
	FUNCTION 3 hnsw_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_ip_ops USING hnsw IS
	'orders halfvec by negative inner product, ORDER BY column <#> value';
COMMENT ON OPERATOR FAMILY halfvec_ip_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS halfvec_cosine_ops
	FOR TYPE halfvec USING hnsw AS
	OPERATOR 1 <=> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 halfvec_negative_inner_product(halfvec, halfvec),
	FUNCTION 2 l2_norm(halfvec),
	FUNCTION 3 hnsw_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_cosine_ops USING hnsw IS
	'orders halfvec by cosine distance, ORDER BY column <=> value';
COMMENT ON OPERATOR FAMILY halfvec_cosine_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS halfvec_l1_ops
	FOR TYPE halfvec USING hnsw AS
	OPERATOR 1 <+> (halfvec, halfvec) FOR ORDER BY float_ops,
	FUNCTION 1 l1_distance(halfvec, halfvec),
	FUNCTION 3 hnsw_halfvec_support(internal);
COMMENT ON OPERATOR CLASS halfvec_l1_ops USING hnsw IS
	'orders halfvec by taxicab distance, ORDER BY column <+> value';
COMMENT ON OPERATOR FAMILY halfvec_l1_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS bit_hamming_ops
	FOR TYPE bit USING hnsw AS
	OPERATOR 1 <~> (bit, bit) FOR ORDER BY float_ops,
	FUNCTION 1 hamming_distance(bit, bit),
	FUNCTION 3 hnsw_bit_support(internal);
COMMENT ON OPERATOR CLASS bit_hamming_ops USING hnsw IS
	'orders bit by Hamming distance, ORDER BY column <~> value';
COMMENT ON OPERATOR FAMILY bit_hamming_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS bit_jaccard_ops
	FOR TYPE bit USING hnsw AS
	OPERATOR 1 <%> (bit, bit) FOR ORDER BY float_ops,
	FUNCTION 1 jaccard_distance(bit, bit),
	FUNCTION 3 hnsw_bit_support(internal);
COMMENT ON OPERATOR CLASS bit_jaccard_ops USING hnsw IS
	'orders bit by Jaccard distance, ORDER BY column <%> value';
COMMENT ON OPERATOR FAMILY bit_jaccard_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS sparsevec_l2_ops
	FOR TYPE sparsevec USING hnsw AS
	OPERATOR 1 <-> (sparsevec, sparsevec) FOR ORDER BY float_ops,
	FUNCTION 1 sparsevec_l2_squared_distance(sparsevec, sparsevec),
	FUNCTION 3 hnsw_sparsevec_support(internal);
COMMENT ON OPERATOR CLASS sparsevec_l2_ops USING hnsw IS
	'orders sparsevec by Euclidean distance, ORDER BY column <-> value';
COMMENT ON OPERATOR FAMILY sparsevec_l2_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS sparsevec_ip_ops
	FOR TYPE sparsevec USING hnsw AS
	OPERATOR 1 <#> (sparsevec, sparsevec) FOR ORDER BY float_ops,
	FUNCTION 1 sparsevec_negative_inner_product(sparsevec, sparsevec),
	FUNCTION 3 hnsw_sparsevec_support(internal);
COMMENT ON OPERATOR CLASS sparsevec_ip_ops USING hnsw IS
	'orders sparsevec by negative inner product, ORDER BY column <#> value';
COMMENT ON OPERATOR FAMILY sparsevec_ip_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS sparsevec_cosine_ops
	FOR TYPE sparsevec USING hnsw AS
	OPERATOR 1 <=> (sparsevec, sparsevec) FOR ORDER BY float_ops,
	FUNCTION 1 sparsevec_negative_inner_product(sparsevec, sparsevec),
	FUNCTION 2 l2_norm(sparsevec),
	FUNCTION 3 hnsw_sparsevec_support(internal);
COMMENT ON OPERATOR CLASS sparsevec_cosine_ops USING hnsw IS
	'orders sparsevec by cosine distance, ORDER BY column <=> value';
COMMENT ON OPERATOR FAMILY sparsevec_cosine_ops USING hnsw IS
	'family of the operator class of the same name';

CREATE OPERATOR CLASS sparsevec_l1_ops
	FOR TYPE sparsevec USING hnsw AS
	OPERATOR 1 <+> (sparsevec, sparsevec) FOR ORDER BY float_ops,
	FUNCTION 1 l1_distance(sparsevec, sparsevec),
	FUNCTION 3 hnsw_sparsevec_support(internal);
COMMENT ON OPERATOR CLASS sparsevec_l1_ops USING hnsw IS
	'orders sparsevec by taxicab distance, ORDER BY column <+> value';
COMMENT ON OPERATOR FAMILY sparsevec_l1_ops USING hnsw IS
	'family of the operator class of the same name';

--
-- Verification
--

CREATE SCHEMA vecdb;
COMMENT ON SCHEMA vecdb IS
	'functions and views that watch and run vecdb';
GRANT USAGE ON SCHEMA vecdb TO PUBLIC;

CREATE FUNCTION vecdb.verify_index(index regclass,
		check_codes boolean DEFAULT true, check_heap boolean DEFAULT false)
	RETURNS TABLE (invariant integer, severity text, block bigint,
		item integer, problem text)
	AS 'MODULE_PATHNAME', 'vecdb_verify_index'
	LANGUAGE C VOLATILE STRICT PARALLEL RESTRICTED;
COMMENT ON FUNCTION vecdb.verify_index(regclass, boolean, boolean) IS
	'looks for damage in an hnsw index; no rows of severity error means that there is none';

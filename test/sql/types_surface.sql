--
-- types_surface: what the extension has, with which properties, and that all
-- of it is documented
--
\pset format unaligned
\pset tuples_only on

-- what is listed has no comment; types of arrays and rows are members from 17 on
SELECT pg_describe_object(classid, objid, 0) FROM pg_depend
WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'
	AND NOT (classid = 'pg_type'::regclass
			 AND (SELECT typelem <> 0 OR typrelid <> 0 FROM pg_type t WHERE t.oid = objid))
	AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'vecdb')
	AND coalesce(obj_description(objid, classid::regclass::name), '') = ''
ORDER BY 1;

-- the members that concern this room, by their types
CREATE TEMP VIEW of_types AS
SELECT oid AS type FROM pg_type
WHERE oid IN ('vector'::regtype, 'halfvec'::regtype, 'sparsevec'::regtype);
CREATE TEMP VIEW functions AS
SELECT p.* FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'vecdb')
	AND pronamespace <> coalesce(to_regnamespace('vecdb'), 0);

SELECT typname, typlen, typbyval, typcategory, typinput, typoutput, typreceive, typsend,
	typmodin, typmodout, typanalyze, typalign, typstorage, typsubscript
FROM pg_type WHERE oid IN (SELECT type FROM of_types)
	OR typelem IN (SELECT type FROM of_types)
ORDER BY typname COLLATE "C";

SELECT p.oid::regprocedure::text COLLATE "C", format_type(prorettype, NULL)
FROM functions p
WHERE prorettype <> 'index_am_handler'::regtype
ORDER BY 1;

-- all of them are strict, immutable and parallel safe, except
SELECT p.oid::regprocedure::text COLLATE "C", provolatile, proisstrict, proparallel
FROM functions p
WHERE (provolatile <> 'i' OR NOT proisstrict OR proparallel <> 's')
	AND prokind <> 'a' AND prorettype <> 'index_am_handler'::regtype
ORDER BY 1;

SELECT aggfnoid::regprocedure::text COLLATE "C", aggtransfn, aggfinalfn, aggcombinefn, aggtranstype::regtype,
	agginitval, proparallel
FROM pg_aggregate JOIN functions p ON p.oid = aggfnoid
ORDER BY 1;

SELECT o.oid::regoperator::text COLLATE "C", oprresult::regtype, oprcode::regprocedure,
	oprcom::regoperator, oprnegate::regoperator, oprrest, oprjoin, oprcanmerge, oprcanhash
FROM pg_operator o JOIN pg_depend d ON d.classid = 'pg_operator'::regclass AND d.objid = o.oid
WHERE d.deptype = 'e' AND d.refobjid = (SELECT oid FROM pg_extension WHERE extname = 'vecdb')
ORDER BY 1;

SELECT castsource::regtype::text COLLATE "C", casttarget::regtype::text COLLATE "C", castfunc::regproc, castcontext
FROM pg_cast WHERE castsource IN (SELECT type FROM of_types) OR casttarget IN (SELECT type FROM of_types)
ORDER BY 1, 2;

SELECT amname, opcname, opcintype::regtype::text, opcdefault, amvalidate(c.oid)
FROM pg_opclass c JOIN pg_am a ON a.oid = opcmethod
WHERE amname IN ('btree', 'hash') AND opcintype IN (SELECT type FROM of_types)
ORDER BY amname, opcname;

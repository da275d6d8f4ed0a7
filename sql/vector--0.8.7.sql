/* sql/vector--0.8.7.sql */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION vector" to load this file. \quit

-- Types, operators and access methods come from vecdb, which this extension
-- requires.  The version is the one of pgvector whose surface they have.

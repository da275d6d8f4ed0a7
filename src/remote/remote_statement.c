/*-------------------------------------------------------------------------
 *
 * remote_statement.c
 *	  Which statements a connection has prepared at the other node.
 *
 * Found by their text and the types of parameters.  The number is bounded; what
 * was not used for the longest time goes first.
 *
 * IDENTIFICATION
 *	  src/remote/remote_statement.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/hashfn.h"
#include "utils/memutils.h"

#include "remote_private.h"

static uint64 hash_statement(const VdbStatement *s);
static bool is_statement(const RemoteStatement *kept, const VdbStatement *s);
static Size types_size(const VdbStatement *s);
static void make_table(RemoteConnection *c);
static void drop_oldest(RemoteConnection *c);

/* remote_statement_find -- the name that it is prepared under, or NULL */
const char *
remote_statement_find(RemoteConnection *c, const VdbStatement *s)
{
	uint64		key = hash_statement(s);
	RemoteStatement *statement;

	if (c->statements_stale && c->statements)
	{
		remote_pipeline_command(c, "DEALLOCATE ALL", NULL, NULL);
		remote_statement_reset(c);
	}
	c->statements_stale = false;
	if (c->statements == NULL)
		return NULL;
	statement = hash_search(c->statements, &key, HASH_FIND, NULL);
	if (statement == NULL || !is_statement(statement, s))
		return NULL;
	dlist_move_head(&c->statement_order, &statement->node);
	return statement->name;
}

/*
 * remote_statement_add -- a new statement, which the caller prepares
 *
 * May queue the removal of an old one.
 */
RemoteStatement *
remote_statement_add(RemoteConnection *c, const VdbStatement *s)
{
	static uint64 number = 0;
	uint64		key = hash_statement(s);
	char	   *text = MemoryContextStrdup(remote_context(), s->sql);
	Oid		   *types = MemoryContextAlloc(remote_context(),
										   types_size(s) + 1);
	RemoteStatement *statement;
	bool		found;

	make_table(c);
	if (hash_get_num_entries(c->statements) >= REMOTE_STATEMENTS)
		drop_oldest(c);
	remote_statement_remove(c, key);	/* another one of this key */
	if (types_size(s) > 0)
		memcpy(types, s->param_types, types_size(s));
	statement = hash_search(c->statements, &key, HASH_ENTER, &found);
	statement->text = text;

	statement->types = types;
	statement->types_size = types_size(s);
	snprintf(statement->name, sizeof(statement->name), "vdb_" UINT64_FORMAT,
			 ++number);
	dlist_push_head(&c->statement_order, &statement->node);
	return statement;
}

/* remote_statement_remove -- forget a statement that could not be prepared */
void
remote_statement_remove(RemoteConnection *c, uint64 key)
{
	RemoteStatement *statement;

	if (c->statements == NULL)
		return;
	statement = hash_search(c->statements, &key, HASH_FIND, NULL);
	if (statement == NULL)
		return;
	dlist_delete(&statement->node);
	pfree(statement->text);
	pfree(statement->types);
	hash_search(c->statements, &key, HASH_REMOVE, NULL);
}

/* remote_statement_reset -- forget all */
void
remote_statement_reset(RemoteConnection *c)
{
	if (c->statements == NULL)
		return;
	while (!dlist_is_empty(&c->statement_order))
		remote_statement_remove(c, dlist_head_element(RemoteStatement, node,
													  &c->statement_order)->key);
}

/* remote_statement_count -- how many are kept */
int
remote_statement_count(RemoteConnection *c)
{
	return c->statements ? (int) hash_get_num_entries(c->statements) : 0;
}

/* A number for text and types, that is hardly ever the same for others */
static uint64
hash_statement(const VdbStatement *s)
{
	uint64		key = hash_bytes_extended((const unsigned char *) s->sql,
										  (int) strlen(s->sql), 0);

	if (types_size(s) > 0)
		key = hash_bytes_extended((const unsigned char *) s->param_types,
								  (int) types_size(s), key);
	return key;
}

/* Is it that one? */
static bool
is_statement(const RemoteStatement *kept, const VdbStatement *s)
{
	return strcmp(kept->text, s->sql) == 0 &&
		kept->types_size == types_size(s) &&
		(kept->types_size == 0 ||
		 memcmp(kept->types, s->param_types, kept->types_size) == 0);
}

/* Bytes of the types of parameters */
static Size
types_size(const VdbStatement *s)
{
	return s->param_types ? s->param_count * sizeof(Oid) : 0;
}

/* The table of a connection's statements, when the first is prepared */
static void
make_table(RemoteConnection *c)
{
	HASHCTL		control;

	if (c->statements)
		return;
	control.keysize = sizeof(uint64);
	control.entrysize = sizeof(RemoteStatement);
	control.hcxt = remote_context();
	c->statements = hash_create("vecdb remote statements", REMOTE_STATEMENTS,
								&control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Make room for another statement, here and at the other node */
static void
drop_oldest(RemoteConnection *c)
{
	RemoteStatement *oldest = dlist_tail_element(RemoteStatement, node,
												 &c->statement_order);
	char	   *sql = psprintf("DEALLOCATE %s", oldest->name);

	remote_statement_remove(c, oldest->key);
	remote_pipeline_command(c, sql, NULL, NULL);
	pfree(sql);
}

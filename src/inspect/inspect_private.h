/*-------------------------------------------------------------------------
 *
 * inspect_private.h
 *	  What the files of the inspect room share.
 *
 * IDENTIFICATION
 *	  src/inspect/inspect_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef INSPECT_PRIVATE_H
#define INSPECT_PRIVATE_H

#include "postgres.h"

#include "utils/relcache.h"

/* functions in inspect_index.c */
extern Relation inspect_open_index(Oid index_oid, const char *verb,
								   Relation *heap);
extern void inspect_close_index(Relation rel, Relation heap);

/* functions in inspect_explain.c */
extern void inspect_explain_init(void);

/* functions in inspect_recall.c */
extern void inspect_recall_init(void);

#endif							/* INSPECT_PRIVATE_H */

/*-------------------------------------------------------------------------
 *
 * recovery_private.h
 *	  What the files of the recovery room share.
 *
 * IDENTIFICATION
 *	  src/recovery/recovery_private.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef RECOVERY_PRIVATE_H
#define RECOVERY_PRIVATE_H

#include "nodes/pg_list.h"

#include "vecdb/recovery.h"

/* What a round of recovery did */
typedef struct RecoveryAction
{
	int			group;
	char	   *gid;			/* NULL: it is about the group as a whole */
	const char *what;
	char	   *why;			/* NULL: nothing went wrong */
} RecoveryAction;

/* functions in recovery_round.c */
extern bool recovery_round(List **actions);

#endif							/* RECOVERY_PRIVATE_H */

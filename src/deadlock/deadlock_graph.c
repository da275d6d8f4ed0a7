/*-------------------------------------------------------------------------
 *
 * deadlock_graph.c
 *	  Who waits for whom, over groups: cycles, and who has to give way.
 *
 * Parties are transactions, named by group and process of their coordinator.
 * The sessions that a coordinator has at groups are the same party as itself,
 * so that a transaction that waits for an answer of its session is blocked by
 * what blocks the session.
 *
 * A party may have several waits at once, since it may have sent something to
 * several groups; it needs all of them to end.  So each cycle is a deadlock.
 *
 * Nothing here depends on the node that computes it: with the same reports
 * all choose the same victim.
 *
 * IDENTIFICATION
 *	  src/deadlock/deadlock_graph.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "vecdb/catalog.h"

#include "deadlock_private.h"

/* Where the search for a cycle has been */
typedef enum PartyState
{
	PARTY_NEW,
	PARTY_ON_PATH,
	PARTY_DONE					/* no cycle can be reached from it */
} PartyState;

typedef struct GraphParty
{
	DeadlockParty party;
	PartyState	state;
	List	   *waits;			/* those that it waits in */
} GraphParty;

static DeadlockParty find_coordinator(const DeadlockReport *report, int group,
									  int pid);
static DeadlockParty find_preparer(const DeadlockReport *report,
								   const char *gid);
static bool is_same_wait(const DeadlockWait *a, const DeadlockWait *b);
static bool is_same_party(const DeadlockParty *a, const DeadlockParty *b);
static GraphParty *get_party(List **parties, const DeadlockParty *party);
static bool search(List **parties, GraphParty *from, List **path);
static const DeadlockOwner *find_owner(const DeadlockReport *report,
									   const DeadlockParty *party);
static bool is_younger(const DeadlockOwner *a, const DeadlockOwner *b);

/* deadlock_graph_resolve -- find out whose transactions wait and block */
void
deadlock_graph_resolve(DeadlockReport *report)
{
	ListCell   *lc;

	foreach(lc, report->waits)
	{
		DeadlockWait *wait = lfirst(lc);

		wait->waiter = find_coordinator(report, wait->group,
										wait->waiter_leader);
		if (wait->blocker_pid != 0)
			wait->blocker = find_coordinator(report, wait->group,
											 wait->blocker_pid);
		else
			wait->blocker = find_preparer(report, wait->gid);
	}
}

/* The coordinator that a process of a group works for, or the process itself */
static DeadlockParty
find_coordinator(const DeadlockReport *report, int group, int pid)
{
	DeadlockParty party = {group, pid};
	ListCell   *lc;

	foreach(lc, report->owners)
	{
		DeadlockOwner *owner = lfirst(lc);

		if (owner->session.group == group && owner->session.pid == pid)
			return owner->party;
	}
	return party;
}

/*
 * The coordinator that is committing a prepared transaction
 *
 * Its name says which process that was; that process is meant if it still has
 * the same transaction, which its 32 bits tell.
 */
static DeadlockParty
find_preparer(const DeadlockReport *report, const char *gid)
{
	const VdbCluster *cluster = vdb_catalog_cluster();
	DeadlockParty party = {0, 0};
	char		prefix[32];
	int			group;
	int			pid;
	unsigned long long xid;
	ListCell   *lc;

	if (gid == NULL || cluster == NULL)
		return party;
	snprintf(prefix, sizeof(prefix), "vecdb_%02x%02x%02x%02x_",
			 cluster->id.data[0], cluster->id.data[1], cluster->id.data[2],
			 cluster->id.data[3]);
	if (strncmp(gid, prefix, strlen(prefix)) != 0 ||
		sscanf(gid + strlen(prefix), "%d_%d_%llu_", &group, &pid, &xid) != 3)
		return party;
	foreach(lc, report->owners)
	{
		DeadlockOwner *owner = lfirst(lc);

		if (owner->party.group == group && owner->party.pid == pid &&
			owner->xid == (uint32) xid)
			return owner->party;
	}
	return party;
}

/*
 * deadlock_graph_confirm -- the waits that are in both of two reports
 *
 * The second was begun when the first was complete.  Who waited in both, and
 * has not begun to wait anew, waited all the time between; so there was a
 * moment at which all of these waits were.
 */
List *
deadlock_graph_confirm(const DeadlockReport *first,
					   const DeadlockReport *second)
{
	List	   *confirmed = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, second->waits)
	{
		foreach(lc2, first->waits)
		{
			if (is_same_wait(lfirst(lc), lfirst(lc2)))
			{
				confirmed = lappend(confirmed, lfirst(lc));
				break;
			}
		}
	}
	return confirmed;
}

static bool
is_same_wait(const DeadlockWait *a, const DeadlockWait *b)
{
	return a->group == b->group && a->waiter_pid == b->waiter_pid &&
		a->wait_id == b->wait_id && a->blocker_pid == b->blocker_pid &&
		is_same_party(&a->waiter, &b->waiter) &&
		is_same_party(&a->blocker, &b->blocker);
}

static bool
is_same_party(const DeadlockParty *a, const DeadlockParty *b)
{
	return a->group == b->group && a->pid == b->pid;
}

/*
 * deadlock_graph_cycle -- waits that form a cycle, in their order
 *
 * NIL if there is none.
 */
List *
deadlock_graph_cycle(List *waits)
{
	List	   *parties = NIL;
	List	   *path = NIL;
	ListCell   *lc;

	foreach(lc, waits)
	{
		DeadlockWait *wait = lfirst(lc);
		GraphParty *party = get_party(&parties, &wait->waiter);

		party->waits = lappend(party->waits, wait);
	}
	/* only those who wait can be in a cycle */
	foreach(lc, parties)
	{
		GraphParty *party = lfirst(lc);

		if (party->state == PARTY_NEW && search(&parties, party, &path))
			return path;
	}
	return NIL;
}

/* The entry of a party, a new one if there is none */
static GraphParty *
get_party(List **parties, const DeadlockParty *party)
{
	GraphParty *entry;
	ListCell   *lc;

	foreach(lc, *parties)
	{
		entry = lfirst(lc);
		if (is_same_party(&entry->party, party))
			return entry;
	}
	entry = palloc0(sizeof(GraphParty));
	entry->party = *party;
	*parties = lappend(*parties, entry);
	return entry;
}

/*
 * Is there a cycle that can be reached from a party?
 *
 * The path that led to it is in *path; if there is, that becomes the cycle.
 */
static bool
search(List **parties, GraphParty *from, List **path)
{
	ListCell   *lc;

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	from->state = PARTY_ON_PATH;
	foreach(lc, from->waits)
	{
		DeadlockWait *wait = lfirst(lc);
		GraphParty *to = get_party(parties, &wait->blocker);

		if (to->state == PARTY_DONE)
			continue;
		*path = lappend(*path, wait);
		if (to->state == PARTY_ON_PATH)
		{
			/* what led to the cycle is no part of it */
			while (!is_same_party(&((DeadlockWait *) linitial(*path))->waiter,
								  &to->party))
				*path = list_delete_first(*path);
			return true;
		}
		if (search(parties, to, path))
			return true;
		*path = list_delete_last(*path);
	}
	from->state = PARTY_DONE;
	return false;
}

/*
 * deadlock_graph_victim -- the wait of a cycle that is to end with an error
 *
 * That of the youngest transaction that has sessions at groups.  Of these
 * each cycle over groups has two at least.  NULL if the cycle has none.
 */
DeadlockWait *
deadlock_graph_victim(const DeadlockReport *report, List *cycle)
{
	DeadlockWait *victim = NULL;
	const DeadlockOwner *youngest = NULL;
	ListCell   *lc;

	foreach(lc, cycle)
	{
		DeadlockWait *wait = lfirst(lc);
		const DeadlockOwner *owner = find_owner(report, &wait->waiter);

		if (owner && (youngest == NULL || is_younger(owner, youngest)))
		{
			youngest = owner;
			victim = wait;
		}
	}
	return victim;
}

/* What is known of a coordinator, or NULL */
static const DeadlockOwner *
find_owner(const DeadlockReport *report, const DeadlockParty *party)
{
	ListCell   *lc;

	foreach(lc, report->owners)
	{
		DeadlockOwner *owner = lfirst(lc);

		if (is_same_party(&owner->party, party))
			return owner;
	}
	return NULL;
}

/* Has a begun after b?  Group and process decide where that is equal */
static bool
is_younger(const DeadlockOwner *a, const DeadlockOwner *b)
{
	if (a->started != b->started)
		return a->started > b->started;
	if (a->party.group != b->party.group)
		return a->party.group > b->party.group;
	return a->party.pid > b->party.pid;
}

/* deadlock_graph_without -- the waits that a party has no part in */
List *
deadlock_graph_without(List *waits, const DeadlockParty *party)
{
	List	   *rest = NIL;
	ListCell   *lc;

	foreach(lc, waits)
	{
		DeadlockWait *wait = lfirst(lc);

		if (!is_same_party(&wait->waiter, party) &&
			!is_same_party(&wait->blocker, party))
			rest = lappend(rest, wait);
	}
	return rest;
}

/* deadlock_graph_describe -- a cycle for the DETAIL of an error */
char *
deadlock_graph_describe(List *cycle)
{
	StringInfoData text;
	ListCell   *lc;

	initStringInfo(&text);
	foreach(lc, cycle)
	{
		DeadlockWait *wait = lfirst(lc);

		appendStringInfo(&text, "%sProcess %d of group %d waits in group %d for %s on %s",
						 text.len > 0 ? "\n" : "", wait->waiter.pid,
						 wait->waiter.group, wait->group, wait->mode,
						 wait->object);
		if (wait->relation)
			appendStringInfo(&text, " (\"%s\")", wait->relation);
		appendStringInfo(&text, "; blocked by process %d of group %d.",
						 wait->blocker.pid, wait->blocker.group);
	}
	return text.data;
}

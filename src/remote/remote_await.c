/*-------------------------------------------------------------------------
 *
 * remote_await.c
 *	  Waiting that cannot be interrupted and throws nothing.
 *
 * For the ends of transactions: what was sent has to be answered, or the
 * connection is closed.  The time is bounded.
 *
 * IDENTIFICATION
 *	  src/remote/remote_await.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>

#include "miscadmin.h"

#include "remote_private.h"

/* From one cancel to the next, while the other node goes on working */
#define REPEAT_MS 50

static bool is_clean(RemoteConnection *c);
static bool may_cancel(RemoteConnection *c);
static void wait_for_answers(List *connections, int timeout_ms);

/*
 * remote_pipeline_send -- send one command as a flight of its own
 *
 * Returns false when the connection is or gets lost.
 */
bool
remote_pipeline_send(RemoteConnection *c, const char *sql, const char *tag)
{
	MemoryContext context = CurrentMemoryContext;

	if (!c->ready || c->copy)
		return false;
	PG_TRY();
	{
		remote_pipeline_command(c, sql, NULL, tag);
		remote_pipeline_sync(c);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
		remote_pipeline_lost(c);
	}
	PG_END_TRY();
	return c->ready;
}

/*
 * remote_pipeline_await -- wait until connections have answered all
 *
 * If "cancel", what they work on for nobody is cancelled, again and again.
 * A connection that does not answer in REMOTE_CLEANUP_MS is closed.
 */
void
remote_pipeline_await(List *connections, bool cancel)
{
	TimestampTz began = GetCurrentTimestamp();
	TimestampTz asked = 0;
	ListCell   *lc;

	for (;;)
	{
		bool		clean = true;
		TimestampTz now = GetCurrentTimestamp();
		bool		ask = asked == 0 ||
		TimestampDifferenceExceeds(asked, now, REPEAT_MS);

		foreach(lc, connections)
		{
			RemoteConnection *c = lfirst(lc);

			remote_pipeline_absorb(c);
			if (c->cancel && remote_cancel_is_over(c->cancel))
			{
				remote_cancel_end(c->cancel);
				c->cancel = NULL;
			}
			if (is_clean(c))
				continue;
			clean = false;
			if (cancel && ask && may_cancel(c))
				c->cancel = remote_cancel_begin(c->pg);
		}
		if (ask)
			asked = now;
		if (clean)
			return;
		if (TimestampDifferenceExceeds(began, now, REMOTE_CLEANUP_MS))
			break;
		wait_for_answers(connections, cancel ? 2 : 20);
	}
	foreach(lc, connections)
	{
		if (!is_clean(lfirst(lc)))
			remote_pipeline_lost(lfirst(lc));
	}
}

/* Is nothing under way on a connection, or nothing left of it? */
static bool
is_clean(RemoteConnection *c)
{
	return c->pg == NULL || (dlist_is_empty(&c->steps) && c->cancel == NULL);
}

/* Does the other node work for nobody, without having been told? */
static bool
may_cancel(RemoteConnection *c)
{
	return c->cancel == NULL && !dlist_is_empty(&c->steps) &&
		dlist_head_element(RemoteStep, node, &c->steps)->request == NULL;
}

/* Wait until one of several connections has something, or a moment */
static void
wait_for_answers(List *connections, int timeout_ms)
{
	struct pollfd *fds = palloc(sizeof(struct pollfd) *
								list_length(connections));
	int			count = 0;
	ListCell   *lc;

	foreach(lc, connections)
	{
		RemoteConnection *c = lfirst(lc);

		if (c->pg == NULL || dlist_is_empty(&c->steps))
			continue;
		fds[count].fd = PQsocket(c->pg);
		fds[count].events = POLLIN | (c->unflushed ? POLLOUT : 0);
		fds[count++].revents = 0;
	}
	(void) poll(fds, count, timeout_ms);
	pfree(fds);
}

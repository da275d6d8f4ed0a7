/*-------------------------------------------------------------------------
 *
 * remote_cancel.c
 *	  Stop what other nodes do for us, without being stopped ourselves.
 *
 * libpq of PostgreSQL 17 can ask for a cancel without blocking.  Before, it
 * can only block until the other server has taken the request, which a stopped
 * server never does.  There a thread of its own does the waiting; it calls
 * PQcancel(), which is made to be called from anywhere, and nothing else.
 *
 * IDENTIFICATION
 *	  src/remote/remote_cancel.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "utils/memutils.h"

#include "remote_private.h"

#ifdef LIBPQ_HAS_ASYNC_CANCEL

typedef struct RemoteCancel
{
	PGcancelConn *request;
	PostgresPollingStatusType polling;
} RemoteCancel;

/* remote_cancel_begin -- ask to cancel what a connection does; NULL: cannot */
struct RemoteCancel *
remote_cancel_begin(PGconn *pg)
{
	RemoteCancel *cancel;
	PGcancelConn *request = PQcancelCreate(pg);

	if (request == NULL)
		return NULL;
	if (!PQcancelStart(request))
	{
		PQcancelFinish(request);
		return NULL;
	}
	cancel = MemoryContextAlloc(remote_context(), sizeof(RemoteCancel));
	cancel->request = request;
	cancel->polling = PGRES_POLLING_WRITING;
	return cancel;
}

/* remote_cancel_is_over -- has the other server taken the request? */
bool
remote_cancel_is_over(struct RemoteCancel *cancel)
{
	struct pollfd fd;

	while (cancel->polling == PGRES_POLLING_READING ||
		   cancel->polling == PGRES_POLLING_WRITING)
	{
		fd.fd = PQcancelSocket(cancel->request);
		fd.events = cancel->polling == PGRES_POLLING_READING ? POLLIN : POLLOUT;
		fd.revents = 0;
		if (poll(&fd, 1, 0) <= 0)
			return false;
		cancel->polling = PQcancelPoll(cancel->request);
	}
	return true;
}

/* remote_cancel_end -- forget a cancel, over or not */
void
remote_cancel_end(struct RemoteCancel *cancel)
{
	PQcancelFinish(cancel->request);
	pfree(cancel);
}

#else

/* Shared by backend and thread; the one who lets go last frees it */
typedef struct RemoteCancel
{
	PGcancel   *request;
	pthread_mutex_t mutex;
	bool		over;			/* the thread has finished */
	bool		forgotten;		/* the backend does not care any more */
} RemoteCancel;

static void *run_cancel(void *arg);
static void free_cancel(RemoteCancel *cancel);

/* remote_cancel_begin -- ask to cancel what a connection does; NULL: cannot */
struct RemoteCancel *
remote_cancel_begin(PGconn *pg)
{
	RemoteCancel *cancel;
	pthread_t	thread;
	sigset_t	all;
	sigset_t	old;
	int			rc;

	cancel = calloc(1, sizeof(RemoteCancel));
	if (cancel == NULL)
		return NULL;
	cancel->request = PQgetCancel(pg);
	if (cancel->request == NULL || pthread_mutex_init(&cancel->mutex, NULL) != 0)
	{
		PQfreeCancel(cancel->request);
		free(cancel);
		return NULL;
	}
	/* signals are for the backend */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	rc = pthread_create(&thread, NULL, run_cancel, cancel);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (rc != 0)
	{
		free_cancel(cancel);
		return NULL;
	}
	pthread_detach(thread);
	return cancel;
}

/* What the thread does: nothing of PostgreSQL's server may be called here */
static void *
run_cancel(void *arg)
{
	RemoteCancel *cancel = arg;
	char		error[256];
	bool		forgotten;

	(void) PQcancel(cancel->request, error, sizeof(error));
	pthread_mutex_lock(&cancel->mutex);
	cancel->over = true;
	forgotten = cancel->forgotten;
	pthread_mutex_unlock(&cancel->mutex);
	if (forgotten)
		free_cancel(cancel);
	return NULL;
}

/* remote_cancel_is_over -- has the other server taken the request? */
bool
remote_cancel_is_over(struct RemoteCancel *cancel)
{
	bool		over;

	pthread_mutex_lock(&cancel->mutex);
	over = cancel->over;
	pthread_mutex_unlock(&cancel->mutex);
	return over;
}

/* remote_cancel_end -- forget a cancel, over or not */
void
remote_cancel_end(struct RemoteCancel *cancel)
{
	bool		over;

	pthread_mutex_lock(&cancel->mutex);
	over = cancel->over;
	cancel->forgotten = true;
	pthread_mutex_unlock(&cancel->mutex);
	if (over)
		free_cancel(cancel);
}

static void
free_cancel(RemoteCancel *cancel)
{
	pthread_mutex_destroy(&cancel->mutex);
	PQfreeCancel(cancel->request);
	free(cancel);
}

#endif							/* LIBPQ_HAS_ASYNC_CANCEL */

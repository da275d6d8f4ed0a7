/*-------------------------------------------------------------------------
 *
 * lib_shared.c
 *	  Areas of the server's shared memory.
 *
 * IDENTIFICATION
 *	  src/lib/lib_shared.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/shmem.h"

#include "vecdb/lib_shared.h"

static VdbSharedArea *areas;

static shmem_request_hook_type previous_request_hook;
static shmem_startup_hook_type previous_startup_hook;

static Size area_size(const VdbSharedArea *area);
static void request_areas(void);
static void set_up_areas(void);

/* vdb_shared_register -- see vecdb/lib_shared.h */
void
vdb_shared_register(VdbSharedArea *area)
{
	if (areas == NULL)
	{
		previous_request_hook = shmem_request_hook;
		shmem_request_hook = request_areas;
		previous_startup_hook = shmem_startup_hook;
		shmem_startup_hook = set_up_areas;
	}
	area->next = areas;
	areas = area;
}

/* How large it is, now that MaxBackends is known */
static Size
area_size(const VdbSharedArea *area)
{
	return area->per_backend ? mul_size(area->size, MaxBackends) : area->size;
}

static void
request_areas(void)
{
	if (previous_request_hook)
		previous_request_hook();
	for (VdbSharedArea *area = areas; area; area = area->next)
	{
		RequestAddinShmemSpace(MAXALIGN(area_size(area)));
		if (area->has_lock)
			RequestNamedLWLockTranche(area->name, 1);
	}
}

static void
set_up_areas(void)
{
	if (previous_startup_hook)
		previous_startup_hook();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (VdbSharedArea *area = areas; area; area = area->next)
	{
		Size		size = area_size(area);
		bool		found;

		*area->memory = ShmemInitStruct(area->name, size, &found);
		if (found)
			continue;
		memset(*area->memory, 0, size);
		area->set_up(area->has_lock ?
					 &GetNamedLWLockTranche(area->name)->lock : NULL);
	}
	LWLockRelease(AddinShmemInitLock);
}

/*-------------------------------------------------------------------------
 *
 * clock.c
 *	  A clock that is wrong, for programs that this is preloaded into.
 *
 * The file named by CHAOS_CLOCK holds by how many seconds, as text; it is
 * mapped, so that writing it sets the clocks of programs that run.  Only the
 * time of day is wrong: intervals are measured with other clocks.
 *
 * libfaketime does much more, and Python's sleep() fails under it.
 *
 *-------------------------------------------------------------------------
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

/* how much of the file is looked at; "chaos" writes that much */
#define CLOCK_FILE_SIZE 16

static const char *mapped_text;

__attribute__((constructor))
static void
map_clock_file(void)
{
	const char *path = getenv("CHAOS_CLOCK");
	int			file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void	   *address;

	if (file < 0)
		return;
	address = mmap(NULL, CLOCK_FILE_SIZE, PROT_READ, MAP_SHARED, file, 0);
	if (address != MAP_FAILED)
		mapped_text = address;
	close(file);
}

/* by how many seconds it is wrong now */
static long
clock_error(void)
{
	return mapped_text ? atol(mapped_text) : 0;
}

int
clock_gettime(clockid_t clock, struct timespec *now)
{
	int			result = (int) syscall(SYS_clock_gettime, clock, now);

	if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
		now->tv_sec += clock_error();
	return result;
}

int
gettimeofday(struct timeval *now, void *zone)
{
	struct timespec exact;

	(void) zone;
	if (clock_gettime(CLOCK_REALTIME, &exact) != 0)
		return -1;
	now->tv_sec = exact.tv_sec;
	now->tv_usec = exact.tv_nsec / 1000;
	return 0;
}

time_t
time(time_t *now)
{
	struct timespec exact;

	clock_gettime(CLOCK_REALTIME, &exact);
	if (now)
		*now = exact.tv_sec;
	return exact.tv_sec;
}

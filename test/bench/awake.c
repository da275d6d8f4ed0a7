/*-------------------------------------------------------------------------
 *
 * awake.c
 *	  Keep the processors from going to sleep while latencies are measured.
 *
 * A client and its server take turns, so each waits half of the time.  A
 * virtual processor that waits is given back to the host, and to get it again
 * takes longer than a statement does: what is measured then is the host.  One
 * of these for each processor, at the idle scheduling policy, so that it gives
 * way at once to whoever has something to do.
 *
 * IDENTIFICATION
 *	  test/bench/awake.c
 *
 *-------------------------------------------------------------------------
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>

int
main(void)
{
	struct sched_param parameters = {0};

	/* not longer than the benchmark, however that ends */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sched_setscheduler(0, SCHED_IDLE, &parameters) != 0)
	{
		perror("awake: sched_setscheduler");
		return 1;
	}
	for (;;)
	{
#if defined(__x86_64__)
		__builtin_ia32_pause();
#elif defined(__aarch64__)
		__asm__ volatile ("yield");
#endif
	}
}

/*-------------------------------------------------------------------------
 *
 * kernels_init.c
 *	  First process of the emulated machine that runs the kernel test.
 *
 * Runs /kernels_test on the AVX-512 table, says on the console how it ended, and switches the
 * machine off.
 *
 * IDENTIFICATION
 *	  test/modules/kernels/kernels_init.c
 *
 *-------------------------------------------------------------------------
 */
#include <stdio.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

int
main(void)
{
	pid_t		child = fork();
	int			status = -1;

	if (child == 0)
	{
		execl("/kernels_test", "kernels_test", "--bochs",
			  "--table", "avx512", (char *) NULL);
		perror("could not run /kernels_test");
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0)
		perror("could not start the test");
	printf("kernels_test ended with status %d\n", status);
	fflush(stdout);

	/* the serial line must drain before power goes */
	sleep(1);
	reboot(RB_POWER_OFF);
	return 1;
}

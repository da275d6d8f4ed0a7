/*-------------------------------------------------------------------------
 *
 * kernels_test.c
 *	  Tests every kernel of every table that this processor can run.
 *
 * Usage: kernels_test [--all-floats] [--bochs] [--table NAME] [--seed SEED]
 *
 * Each part compares a table with definitions written in double precision or
 * in integers, on all short lengths and some long ones, with arrays that end
 * at a page which cannot be read and with arrays that start after one.  With
 * --all-floats the conversion to halves is tried on all 2^32 floats.  With
 * --bochs floats that lie halfway between two halves are left out: that
 * emulator (2.7) rounds them away from zero, which processors do not.
 *
 * No server is needed, so that the program can also be built for another
 * processor and run by an emulator.
 *
 * IDENTIFICATION
 *	  test/modules/kernels/kernels_test.c
 *
 *-------------------------------------------------------------------------
 */
#include "kernels_test.h"

#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PLACES 8
#define MESSAGES 20				/* failures that are told in full */

bool		bochs_halves;

static uint8 *places[PLACES];
static uint64 random_state;
static bool all_floats;
static const char *only_table;
static long passed;
static long failed;

/* what a fault is reported with */
static const char *current_kernel = "none";
static const char *current_table = "none";
static int	current_length;


/* Makes the guarded places; the pages around each are unreadable. */
static void
make_places(void)
{
	Size		page = sysconf(_SC_PAGESIZE);

	for (int i = 0; i < PLACES; i++)
	{
		uint8	   *start = mmap(NULL, PLACE_BYTES + 2 * page, PROT_NONE,
								 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (start == MAP_FAILED ||
			mprotect(start + page, PLACE_BYTES, PROT_READ | PROT_WRITE) != 0)
		{
			perror("could not map memory");
			exit(2);
		}
		places[i] = start + page;
	}
}

/* An array of that many bytes in the place of that number. */
void *
place(int number, Edge edge, Size bytes)
{
	if (number >= PLACES || bytes > PLACE_BYTES)
		abort();
	return places[number] + (edge == EDGE_END ? PLACE_BYTES - bytes : 0);
}

/* Says what a failure or fault from now on belongs to. */
void
now_testing(const char *kernel, const char *table, int length)
{
	current_kernel = kernel;
	current_table = table;
	current_length = length;
}

/* Counts one result, and tells about it if it is bad. */
void
check(bool good, const char *format,...)
{
	va_list		arguments;

	if (good)
	{
		passed++;
		return;
	}
	if (failed++ >= MESSAGES)
		return;
	printf("FAILED: %s, table %s, length %d: ",
		   current_kernel, current_table, current_length);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

/* A kernel has touched memory that is not its own. */
static void
report_fault(int signal_number)
{
	char		line[300];
	int			length;
	ssize_t		ignored;

	length = snprintf(line, sizeof(line),
					  "FAILED: %s, table %s, length %d: signal %d\n"
					  "%ld passed, %ld failed\n",
					  current_kernel, current_table, current_length,
					  signal_number, passed, failed + 1);
	ignored = write(STDOUT_FILENO, line, length);
	(void) ignored;
	_exit(1);
}

/* 64 random bits (the generator is splitmix64) */
uint64
random_bits(void)
{
	uint64		z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* A random integer from low to high, both possible. */
int
random_int(int low, int high)
{
	return low + (int) (random_bits() % (uint64) (high - low + 1));
}

/* A random float in [-1, 1). */
float
random_float(void)
{
	return (float) ((double) (random_bits() >> 40) / (1 << 23) - 1.0);
}

/* The length to test after this one; -1 after the last. */
int
next_length(int length)
{
	static const int long_ones[] = {
		191, 255, 256, 257, 333, 384, 511, 768, 1001, 1023, 1536, 2047,
		4099, 8191, 15999, 16000, -1
	};

	if (length < 130)
		return length + 1;
	for (int i = 0;; i++)
	{
		if (long_ones[i] > length || long_ones[i] < 0)
			return long_ones[i];
	}
}

/* Whether two results are the same number, infinity, or both NaN. */
bool
same_float(float x, float y)
{
	return x == y || (isnan(x) && isnan(y));
}

/* Runs all parts on one table, unless another one was asked for. */
static void
test_table(const VdbDistanceKernels *table, const char *remark)
{
	long		passed_before = passed;
	long		failed_before = failed;

	if (only_table != NULL && strcmp(only_table, table->name) != 0)
		return;
	test_floats(table);
	test_halves(table);
	test_integers(table);
	test_codes(table);
	if (all_floats)
		test_all_floats(table);
	printf("table %s%s: %ld passed, %ld failed\n", table->name, remark,
		   passed - passed_before, failed - failed_before);
}

/* Reads the command line. */
static void
read_options(int argc, char **argv)
{
	random_state = (uint64) time(NULL) << 16 ^ (uint64) getpid();
	for (int i = 1; i < argc; i++)
	{
		if (strcmp(argv[i], "--all-floats") == 0)
			all_floats = true;
		else if (strcmp(argv[i], "--bochs") == 0)
			bochs_halves = true;
		else if (strcmp(argv[i], "--table") == 0 && i + 1 < argc)
			only_table = argv[++i];
		else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
			random_state = strtoull(argv[++i], NULL, 0);
		else
		{
			fprintf(stderr, "unknown option \"%s\"\n", argv[i]);
			exit(2);
		}
	}
}

int
main(int argc, char **argv)
{
	static const char *const names[] = {"scalar", "avx2", "avx512", "neon"};

	read_options(argc, argv);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %llu\n", (unsigned long long) random_state);

	make_places();
	signal(SIGSEGV, report_fault);
	signal(SIGBUS, report_fault);
	signal(SIGILL, report_fault);

	for (Size i = 0; i < sizeof(names) / sizeof(names[0]); i++)
	{
		const VdbDistanceKernels *table = vdb_distance_find(names[i]);

		if (table == NULL)
			printf("table %s: not available here\n", names[i]);
		else
			test_table(table, "");
	}
#ifdef DISTANCE_X86
	if (vdb_distance_find("avx512") == &distance_avx512_popcnt)
		test_table(&distance_avx512, " without vpopcntdq");
#endif
	test_sparse();
	now_testing("vdb_distance_find", "none", 0);
	check(vdb_distance_find("auto") == NULL, "\"auto\" is no table");
	check(vdb_distance_find("scalar") == &distance_scalar, "wrong table");
	check(distance_best() == vdb_distance_find(distance_best()->name),
		  "the best table is not found by its name");

	if (only_table != NULL && vdb_distance_find(only_table) == NULL)
		check(false, "table %s cannot be tested here", only_table);

	printf("%ld passed, %ld failed\n", passed, failed);
	return failed == 0 ? 0 : 1;
}

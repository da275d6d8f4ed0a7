/*-------------------------------------------------------------------------
 *
 * distance_sum_template.h
 *	  Template of a kernel that sums something over two arrays.
 *
 * To be included once per kernel, after the lanes of an instruction set have
 * been defined (distance_kernels_template.h says what they are), with these
 * parameters, which are undefined again at the end:
 *
 *	  SUM_NAME		name of the function to be made
 *	  SUM_A, SUM_B	element types of the arrays: float, VdbHalf or int8
 *	  SUM_STEP(sum, x, y)	the sum after one more pair of lanes x and y;
 *					pairs of zeros must leave it as it is
 *
 * Four sums run side by side, because one addition takes about four cycles
 * and a processor can start one or two in each.
 *
 * IDENTIFICATION
 *	  src/distance/distance_sum_template.h
 *
 *-------------------------------------------------------------------------
 */
#define SUM_PASTE_(a, b) a##b
#define SUM_PASTE(a, b) SUM_PASTE_(a, b)
#define LOAD_A SUM_PASTE(lanes_load_, SUM_A)
#define LOAD_B SUM_PASTE(lanes_load_, SUM_B)
#define LOAD_A_TAIL SUM_PASTE(lanes_load_tail_, SUM_A)
#define LOAD_B_TAIL SUM_PASTE(lanes_load_tail_, SUM_B)

/* The sum over dim pairs; see the field of this name in distance.h. */
KERNEL float
SUM_NAME(int dim, const SUM_A *a, const SUM_B *b)
{
	Lanes		sum0 = lanes_zero();
	Lanes		sum1 = lanes_zero();
	Lanes		sum2 = lanes_zero();
	Lanes		sum3 = lanes_zero();
	int			i = 0;

	for (; dim - i >= 4 * LANES; i += 4 * LANES)
	{
		const SUM_A *x = a + i;
		const SUM_B *y = b + i;

		sum0 = SUM_STEP(sum0, LOAD_A(x), LOAD_B(y));
		sum1 = SUM_STEP(sum1, LOAD_A(x + LANES), LOAD_B(y + LANES));
		sum2 = SUM_STEP(sum2, LOAD_A(x + 2 * LANES), LOAD_B(y + 2 * LANES));
		sum3 = SUM_STEP(sum3, LOAD_A(x + 3 * LANES), LOAD_B(y + 3 * LANES));
	}
	for (; dim - i >= LANES; i += LANES)
		sum0 = SUM_STEP(sum0, LOAD_A(a + i), LOAD_B(b + i));
	if (i < dim)
		sum1 = SUM_STEP(sum1, LOAD_A_TAIL(a + i, dim - i),
						LOAD_B_TAIL(b + i, dim - i));

	return lanes_sum(lanes_add(lanes_add(sum0, sum1), lanes_add(sum2, sum3)));
}

#undef SUM_NAME
#undef SUM_A
#undef SUM_B
#undef SUM_STEP
#undef SUM_PASTE_
#undef SUM_PASTE
#undef LOAD_A
#undef LOAD_B
#undef LOAD_A_TAIL
#undef LOAD_B_TAIL

/*-------------------------------------------------------------------------
 *
 * distance_cosine_template.h
 *	  Template of the kernel that sums a.b, a.a and b.b in one pass.
 *
 * To be included after the lanes of an instruction set, with parameters
 * that are undefined again at the end:
 *
 *	  COSINE_NAME	name of the function to be made
 *	  COSINE_TYPE	element type: float or VdbHalf
 *
 * IDENTIFICATION
 *	  src/distance/distance_cosine_template.h
 *
 *-------------------------------------------------------------------------
 */
#define COSINE_PASTE_(a, b) a##b
#define COSINE_PASTE(a, b) COSINE_PASTE_(a, b)
#define LOAD COSINE_PASTE(lanes_load_, COSINE_TYPE)
#define LOAD_TAIL COSINE_PASTE(lanes_load_tail_, COSINE_TYPE)

/* Adds the products of one pair of lanes to the three sums. */
#define COSINE_STEP(n, x, y) \
	do { \
		Lanes x_ = (x); \
		Lanes y_ = (y); \
		ab##n = lanes_fma(x_, y_, ab##n); \
		aa##n = lanes_fma(x_, x_, aa##n); \
		bb##n = lanes_fma(y_, y_, bb##n); \
	} while (0)

/* The three sums; see the field of this name in distance.h. */
KERNEL void
COSINE_NAME(int dim, const COSINE_TYPE *a, const COSINE_TYPE *b,
			float *ab, float *aa, float *bb)
{
	Lanes		ab0 = lanes_zero();
	Lanes		aa0 = lanes_zero();
	Lanes		bb0 = lanes_zero();
	Lanes		ab1 = lanes_zero();
	Lanes		aa1 = lanes_zero();
	Lanes		bb1 = lanes_zero();
	Lanes		ab2 = lanes_zero();
	Lanes		aa2 = lanes_zero();
	Lanes		bb2 = lanes_zero();
	Lanes		ab3 = lanes_zero();
	Lanes		aa3 = lanes_zero();
	Lanes		bb3 = lanes_zero();
	int			i = 0;

	for (; dim - i >= 4 * LANES; i += 4 * LANES)
	{
		COSINE_STEP(0, LOAD(a + i), LOAD(b + i));
		COSINE_STEP(1, LOAD(a + i + LANES), LOAD(b + i + LANES));
		COSINE_STEP(2, LOAD(a + i + 2 * LANES), LOAD(b + i + 2 * LANES));
		COSINE_STEP(3, LOAD(a + i + 3 * LANES), LOAD(b + i + 3 * LANES));
	}
	for (; dim - i >= LANES; i += LANES)
		COSINE_STEP(0, LOAD(a + i), LOAD(b + i));
	if (i < dim)
		COSINE_STEP(1, LOAD_TAIL(a + i, dim - i), LOAD_TAIL(b + i, dim - i));

	*ab = lanes_sum(lanes_add(lanes_add(ab0, ab1), lanes_add(ab2, ab3)));
	*aa = lanes_sum(lanes_add(lanes_add(aa0, aa1), lanes_add(aa2, aa3)));
	*bb = lanes_sum(lanes_add(lanes_add(bb0, bb1), lanes_add(bb2, bb3)));
}

#undef COSINE_STEP
#undef COSINE_NAME
#undef COSINE_TYPE
#undef COSINE_PASTE_
#undef COSINE_PASTE
#undef LOAD
#undef LOAD_TAIL

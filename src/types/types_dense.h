/*-------------------------------------------------------------------------
 *
 * types_dense.h
 *	  Template of a dense vector type: vector and halfvec.
 *
 * A C file defines the parameters below and includes this file once.  It
 * then has all that the two types have in common: input and output, casts
 * to and from arrays, arithmetic, distances, comparison, hashing, and the
 * start and end of their averages.
 *
 * Parameters, all undefined again at the end:
 *
 *	  DENSE_NAME			name of the SQL type, a bare word
 *	  DENSE_TYPE			C struct with vl_len_, dim, unused and x[]
 *	  DENSE_ELEMENT			C type of an element
 *	  DENSE_MAX_DIM			most dimensions
 *	  DENSE_TO_FLOAT(e)		float value of an element, exact
 *	  DENSE_FROM_FLOAT(f)	nearest element, infinite when out of range
 *	  DENSE_NARROW(f)		the same, but an error when a finite f is out
 *							of range
 *	  DENSE_READ(buf)		an element from a StringInfo
 *	  DENSE_WRITE(buf, e)	an element to a StringInfo, room being made
 *	  DENSE_KERNEL(name)	the kernel vdb_distance has for the elements
 *
 * Defined here for the C file to use as well:
 *
 *	  DENSE_FUNCTION(name)	vecdb_TYPE_name, called from SQL
 *	  DENSE_ROOM(name)		types_TYPE_name, for the other files of the room
 *	  DENSE_STRING			the SQL name as a string
 *	  DENSE_SIZE(dim)		bytes of a value
 *
 * IDENTIFICATION
 *	  src/types/types_dense.h
 *
 *-------------------------------------------------------------------------
 */
#if !defined(DENSE_NAME) || !defined(DENSE_TYPE) || \
	!defined(DENSE_ELEMENT) || !defined(DENSE_MAX_DIM) || \
	!defined(DENSE_TO_FLOAT) || !defined(DENSE_FROM_FLOAT) || \
	!defined(DENSE_NARROW) || !defined(DENSE_READ) || \
	!defined(DENSE_WRITE) || !defined(DENSE_KERNEL)
#error "types_dense.h needs all of its parameters"
#endif

#define DENSE_PASTE(a, b)	a##b
#define DENSE_JOIN(a, b)	DENSE_PASTE(a, b)
#define DENSE_FUNCTION(name) \
	DENSE_JOIN(DENSE_JOIN(vecdb_, DENSE_NAME), _##name)
#define DENSE_ROOM(name) \
	DENSE_JOIN(DENSE_JOIN(types_, DENSE_NAME), _##name)
#define DENSE_STRING		CppAsString2(DENSE_NAME)
#define DENSE_SIZE(dim) \
	(offsetof(DENSE_TYPE, x) + sizeof(DENSE_ELEMENT) * (Size) (dim))

#include "types_dense_io.h"
#include "types_dense_math.h"
#include "types_dense_order.h"

#undef DENSE_NAME
#undef DENSE_TYPE
#undef DENSE_ELEMENT
#undef DENSE_MAX_DIM
#undef DENSE_TO_FLOAT
#undef DENSE_FROM_FLOAT
#undef DENSE_NARROW
#undef DENSE_READ
#undef DENSE_WRITE
#undef DENSE_KERNEL
#undef DENSE_PASTE
#undef DENSE_JOIN
#undef DENSE_FUNCTION
#undef DENSE_ROOM
#undef DENSE_STRING
#undef DENSE_SIZE

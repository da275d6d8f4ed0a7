/*-------------------------------------------------------------------------
 *
 * types_text.c
 *	  Reading literals: what vector, halfvec and sparsevec have in common.
 *
 * Numbers are what C's strtof accepts, and every number becomes the float
 * nearest to it.  Most numbers in practice are short decimals, which
 * read_plain_decimal() converts without calling strtof; the result is the
 * same to the last bit.
 *
 * IDENTIFICATION
 *	  src/types/types_text.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <float.h>
#include <limits.h>

#include "port/pg_bitutils.h"
#include "utils/array.h"

#include "types_private.h"

static bool read_plain_decimal(TypesScanner *scanner, float *value);
static const char *read_digits(const TypesScanner *scanner, const char *at,
							   uint64 *mantissa);
static inline bool read_eight_digits(const char *at, uint64 *digits);
static const char *read_exponent(const TypesScanner *scanner, const char *at,
								 int *exponent);

/* A decimal with a mantissa below this fits a double exactly. */
#define MAX_EXACT_MANTISSA	(UINT64CONST(1) << 53)

/* Eight more digits keep what is below this below that */
#define MAX_BEFORE_EIGHT	90000000

/* Powers of ten up to this one are exact in a double. */
#define MAX_EXACT_POWER		22

/* Characters that types_scan_run() may look at to read a number */
#define LONGEST_USUAL		24

static const double powers[MAX_EXACT_POWER + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11,
	1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22
};

static const uint64 whole_powers[] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000
};

#ifndef WORDS_BIGENDIAN
/* What to take from each of eight characters to make 0 to 9 of digits */
#define EACH_BYTE			(~UINT64CONST(0) / 255)

/*
 * join_digits -- the number that eight bytes of 0 to 9 are
 *
 * All at once: digits are joined to pairs, those to fours, and those to eight.
 * The first digit is in the lowest byte.
 */
static inline uint64
join_digits(uint64 x)
{
	x = (x * 10 + (x >> 8)) & UINT64CONST(0x00FF00FF00FF00FF);
	x = (x * 100 + (x >> 16)) & UINT64CONST(0x0000FFFF0000FFFF);
	return (x * 10000 + (x >> 32)) & UINT64CONST(0x00000000FFFFFFFF);
}

/*
 * mark_others -- the highest bit of the first byte that is no digit
 *
 * Of eight characters of which the exclusive or with '0' has been taken, which
 * makes 0 to 9 of digits and more of all else.  Bytes behind that one may be
 * marked wrongly; 0 if all are digits.
 */
static inline uint64
mark_others(uint64 x)
{
	return ((x + EACH_BYTE * (0x80 - 10)) | x) & (EACH_BYTE * 0x80);
}

/*
 * read_up_to_eight -- how many of eight characters are digits, up to the first
 * that is none, and the number that they are
 */
static inline int
read_up_to_eight(const char *at, uint64 *digits)
{
	uint64		x;
	uint64		others;
	int			count;

	memcpy(&x, at, sizeof(x));
	x ^= EACH_BYTE * '0';
	others = mark_others(x);
	count = others == 0 ? 8 : pg_rightmost_one_pos64(others) / 8;

	/* the digits move up, and zeros come before them; in two steps, for 64 */
	*digits = join_digits(count == 8 ? x : x << (8 * (7 - count)) << 8);
	return count;
}
#endif

/*
 * is_half_way -- is a double in the middle between two floats?
 *
 * Rounding a decimal to a double and that to a float goes wrong only there.
 */
static inline bool
is_half_way(double exact)
{
	uint64		bits;

	memcpy(&bits, &exact, sizeof(bits));
	return (bits & UINT64CONST(0x1FFFFFFF)) == UINT64CONST(0x10000000);
}

/*
 * is_space -- the white space of PostgreSQL's own scanner, in any locale
 */
static inline bool
is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/*
 * skip_spaces -- go to the next character that means something
 */
static inline void
skip_spaces(TypesScanner *scanner)
{
	while (is_space(*scanner->at))
		scanner->at++;
}

/*
 * types_scan_begin -- start to read a literal
 */
void
types_scan_begin(TypesScanner *scanner, const char *type_name,
				 const char *literal)
{
	scanner->type_name = type_name;
	scanner->literal = literal;
	scanner->at = literal;
	scanner->end = literal + strlen(literal);
	scanner->token = literal;
	scanner->is_underflow = false;
}

/*
 * types_scan_end -- nothing but white space may follow
 */
void
types_scan_end(TypesScanner *scanner, const char *detail)
{
	skip_spaces(scanner);
	if (*scanner->at != '\0')
		types_report_syntax(scanner, detail);
}

/*
 * types_scan_char -- read this character if it is the next one
 */
bool
types_scan_char(TypesScanner *scanner, char wanted)
{
	skip_spaces(scanner);
	if (*scanner->at != wanted)
		return false;
	scanner->at++;
	return true;
}

/*
 * types_scan_count -- how many elements the rest of the literal can have
 *
 * One more than there are commas.  A literal that turns out to be valid has
 * exactly as many elements, so that room for them can be made at once.
 */
int
types_scan_count(const TypesScanner *scanner)
{
	const uint64 low_bits = ~UINT64CONST(0) / 255;
	const uint64 commas = low_bits * ',';
	const char *at = scanner->at;
	int			count = 1;

	/* eight at a time, for they are a tenth of a literal */
	for (; scanner->end - at >= sizeof(uint64); at += sizeof(uint64))
	{
		uint64		bytes;
		uint64		others;

		memcpy(&bytes, at, sizeof(bytes));
		bytes ^= commas;
		/* the low bit of each byte that is not a comma */
		others = (((bytes & (low_bits * 0x7F)) + low_bits * 0x7F) | bytes) >> 7;
		count += ((~others & low_bits) * low_bits) >> 56;
	}
	for (; at < scanner->end; at++)
		count += *at == ',';
	return count;
}

/*
 * types_scan_run -- read numbers as long as they are of the usual kind
 *
 * That is one digit, a point, up to 16 digits, and a comma, which is read too;
 * a minus may come before, and a blank before that.  Puts up to "room" numbers
 * into "values" and returns how many there were.  What comes next is for
 * types_scan_float(), which reads these numbers too, and makes the same of
 * them, but takes several times as long.
 *
 * The number of digits and the sign are as good as random, and so nothing
 * here branches on them.
 */
int
types_scan_run(TypesScanner *scanner, float *values, int room)
{
	int			count = 0;
#ifndef WORDS_BIGENDIAN
	const char *at = scanner->at;

	while (count < room && FLT_EVAL_METHOD == 0 &&
		   scanner->end - at >= LONGEST_USUAL)
	{
		const char *number = at + (*at == ' ');
		uint32		sign = (*number == '-');
		uint64		mantissa;
		uint64		more;
		uint64		bits;
		int			digits;
		int			more_digits;
		double		exact;
		float		value;
		uint32		value_bits;

		number += sign;
		mantissa = (unsigned char) (*number - '0');
		if (mantissa > 9 || number[1] != '.')
			break;
		number += 2;
		digits = read_up_to_eight(number, &bits);
		more_digits = read_up_to_eight(number + 8, &more);
		more_digits = digits == 8 ? more_digits : 0;
		more = digits == 8 ? more : 0;
		mantissa = mantissa * whole_powers[digits] + bits;
		mantissa = mantissa * whole_powers[more_digits] + more;
		digits += more_digits;
		if (number[digits] != ',' || mantissa >= MAX_EXACT_MANTISSA)
			break;

		exact = (double) mantissa / powers[digits];
		if (is_half_way(exact))
			break;
		value = (float) exact;
		memcpy(&value_bits, &value, sizeof(value_bits));
		value_bits |= sign << 31;
		memcpy(&values[count++], &value_bits, sizeof(value_bits));
		at = number + digits + 1;
	}
	scanner->at = at;
#endif
	return count;
}

/*
 * types_scan_float -- read a number
 *
 * May return an infinity or NaN when the literal says so in words; a number
 * too large for a float is an error here.  One too small becomes zero or
 * denormal; is_underflow tells when it became zero.
 */
float
types_scan_float(TypesScanner *scanner)
{
	char	   *strtof_end;
	float		value;

	skip_spaces(scanner);
	scanner->token = scanner->at;
	scanner->is_underflow = false;

	if (read_plain_decimal(scanner, &value))
		return value;

	/* PostgreSQL keeps LC_NUMERIC at C, so the point is a point */
	errno = 0;
	value = strtof(scanner->at, &strtof_end);
	if (strtof_end == scanner->at)
		types_report_syntax(scanner, NULL);
	scanner->at = strtof_end;

	if (errno == ERANGE)
	{
		if (isinf(value))
			types_report_range(scanner);
		scanner->is_underflow = (value == 0);
	}
	return value;
}

/*
 * types_scan_integer -- read a whole number
 *
 * What does not fit is brought to the nearest end of the range, which is out
 * of the bounds of anything that is counted here.
 */
int32
types_scan_integer(TypesScanner *scanner)
{
	char	   *end;
	long		value;

	value = strtol(scanner->at, &end, 10);
	if (end == scanner->at)
		types_report_syntax(scanner, NULL);
	scanner->at = end;

	/* one more than the least, so that the caller may subtract one */
	if (value > INT_MAX)
		return INT_MAX;
	if (value < INT_MIN + 1)
		return INT_MIN + 1;
	return (int32) value;
}

/*
 * read_plain_decimal -- convert a short decimal number
 *
 * Returns false, having done nothing, for anything that needs more care; the
 * caller then asks strtof.
 *
 * Mantissa and power of ten are exact in a double, so one multiplication or
 * division yields the double nearest to the decimal.  Rounding that to float
 * is rounding twice, which can go wrong in one case only: when the double
 * lies exactly half way between two floats while the decimal does not.
 */
static bool
read_plain_decimal(TypesScanner *scanner, float *value)
{
	const char *text = scanner->at;
	bool		is_negative = (*text == '-');
	const char *at = (*text == '-' || *text == '+') ? &text[1] : text;
	const char *point;
	const char *first = at;
	uint64		mantissa = 0;
	int			exponent = 0;
	double		exact;

	/* where doubles are computed with more bits the reasoning fails */
	if (FLT_EVAL_METHOD != 0)
		return false;

	at = point = read_digits(scanner, at, &mantissa);
	if (*at == '.')
	{
		at = read_digits(scanner, at + 1, &mantissa);
		exponent = -(int) (at - point - 1);
	}
	if (at == first || (at == first + 1 && *first == '.') ||
		mantissa >= MAX_EXACT_MANTISSA)
		return false;
	if (*at == 'e' || *at == 'E')
		at = read_exponent(scanner, at + 1, &exponent);
	if (at == NULL ||
		!(*at == ',' || *at == ']' || *at == '}' || *at == '\0' || is_space(*at)))
		return false;

	if (mantissa == 0)
	{
		*value = is_negative ? -0.0f : 0.0f;
		scanner->at = at;
		return true;
	}

	if (exponent < -MAX_EXACT_POWER || exponent > MAX_EXACT_POWER)
		return false;
	exact = (exponent < 0) ? (double) mantissa / powers[-exponent] :
		(double) mantissa * powers[exponent];
	if (is_half_way(exact))
		return false;
	*value = (float) (is_negative ? -exact : exact);
	scanner->at = at;
	return true;
}

/*
 * read_digits -- append decimal digits to a mantissa
 *
 * A mantissa that grows too large stays at MAX_EXACT_MANTISSA or above.
 */
static const char *
read_digits(const TypesScanner *scanner, const char *at, uint64 *mantissa)
{
	uint64		eight;

	/* a single digit before the point is the rule, and not worth the attempt */
	if (scanner->end - at >= 8 && at[1] != '.' &&
		*mantissa < MAX_BEFORE_EIGHT && read_eight_digits(at, &eight))
	{
		*mantissa = *mantissa * 100000000 + eight;
		at += 8;
	}
	for (; *at >= '0' && *at <= '9'; at++)
	{
		if (*mantissa < MAX_EXACT_MANTISSA)
			*mantissa = *mantissa * 10 + (uint64) (*at - '0');
	}
	return at;
}

/*
 * read_eight_digits -- the number that eight characters are, if all are digits
 */
static inline bool
read_eight_digits(const char *at, uint64 *digits)
{
#ifdef WORDS_BIGENDIAN
	return false;
#else
	uint64		x;

	memcpy(&x, at, sizeof(x));
	x ^= EACH_BYTE * '0';
	*digits = join_digits(x);
	return mark_others(x) == 0;
#endif
}

/*
 * read_exponent -- add what stands behind the letter e to an exponent
 *
 * Returns NULL when that is not a number of at most three digits.
 */
static const char *
read_exponent(const TypesScanner *scanner, const char *at, int *exponent)
{
	bool		is_negative = (*at == '-');
	uint64		digits = 0;
	const char *first;

	if (*at == '-' || *at == '+')
		at++;
	first = at;
	at = read_digits(scanner, at, &digits);
	if (at == first || at - first > 3)
		return NULL;
	*exponent += is_negative ? -(int) digits : (int) digits;
	return at;
}

/*
 * types_report_syntax -- the literal is not one; "detail" may be NULL
 */
void
types_report_syntax(const TypesScanner *scanner, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
			 errmsg("invalid input syntax for type %s: \"%s\"",
					scanner->type_name, scanner->literal),
			 detail ? errdetail("%s", detail) : 0));
	pg_unreachable();
}

/*
 * types_report_range -- the number read last does not fit the type
 */
void
types_report_range(const TypesScanner *scanner)
{
	ereport(ERROR,
			(errcode(ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE),
			 errmsg("\"%.*s\" is out of range for type %s",
					(int) (scanner->at - scanner->token), scanner->token,
					scanner->type_name)));
	pg_unreachable();
}

/*
 * types_read_typmod -- the number of dimensions in parentheses
 *
 * The type modifier of all three types is the number of dimensions itself,
 * or -1 when there is none.
 */
int32
types_read_typmod(ArrayType *modifiers, const char *type_name, int max_dim)
{
	int			count;
	int32	   *values = ArrayGetIntegerTypmods(modifiers, &count);

	if (count != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid type modifier")));
	if (values[0] < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type %s must be at least 1",
						type_name)));
	if (values[0] > max_dim)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("dimensions for type %s cannot exceed %d",
						type_name, max_dim)));
	return values[0];
}

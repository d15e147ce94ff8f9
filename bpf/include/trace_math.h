/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Arithmetic of the tracer: buckets, percentiles, guest clocks.  Pure, without includes; the same
 * code runs in BPF, in twctl and in unit tests.  After trace.h.
 */
#ifndef TIMEWARP_TRACE_MATH_H
#define TIMEWARP_TRACE_MATH_H

#define TRACE_INLINE static inline __attribute__((always_inline, unused))

/* Without branches: in BPF, each one doubles the ways that the verifier goes */
static const unsigned char trace_log2_of[64] __attribute__((unused)) = {
	0, 47, 1, 56, 48, 27, 2, 60, 57, 49, 41, 37, 28, 16, 3, 61,
	54, 58, 35, 52, 50, 42, 21, 44, 38, 32, 29, 23, 17, 11, 4, 62,
	46, 55, 26, 59, 40, 36, 15, 53, 34, 51, 20, 43, 31, 22, 10, 45,
	25, 39, 14, 33, 19, 30, 9, 24, 13, 18, 8, 12, 7, 6, 5, 63,
};

/* The number of the highest bit set; 0 for 0 */
TRACE_INLINE unsigned int trace_log2(unsigned long long v)
{
	v |= v >> 1;
	v |= v >> 2;
	v |= v >> 4;
	v |= v >> 8;
	v |= v >> 16;
	v |= v >> 32;
	return trace_log2_of[v * 0x03f79d71b4cb0a89ULL >> 58];
}

/*
 * Which bucket a value falls in.
 * linear > 0: buckets of that width, the last one takes the rest.
 * linear = 0: 0 to 3 exactly, then four buckets to each power of two, so that a bucket is never wider
 * than a quarter of what it holds; the last one starts at 1.75 * 2^42 ns (over two hours).
 */
TRACE_INLINE unsigned int trace_bucket(unsigned long long v, unsigned long long linear)
{
	unsigned long long i;
	unsigned int e;

	if (linear) {
		i = v / linear;
	} else if (v < 4) {
		i = v;
	} else {
		e = trace_log2(v);
		i = (e - 1) * 4 + ((v >> (e - 2)) & 3);
	}
	return i < TRACE_NR_BUCKETS ? i : TRACE_NR_BUCKETS - 1;
}

/*
 * The same for linear = 0, quicker, by a table: the first half for the values up to it, the second for
 * 256 times as much, as what a bucket holds has its three highest bits in common.  What is beyond both
 * (262 us) is rare.
 */
#define TRACE_BUCKET_HALF 1024
#define TRACE_BUCKET_TABLE (2 * TRACE_BUCKET_HALF)

TRACE_INLINE unsigned int trace_bucket_by(const volatile unsigned char *table, unsigned long long v)
{
	unsigned long long i;

	if (v >= TRACE_BUCKET_HALF << 8)
		return trace_bucket(v, 0);
	i = v < TRACE_BUCKET_HALF ? v : TRACE_BUCKET_HALF + (v >> 8);
	/* For the verifier, which has no other way to know: the compiler would leave the mask out */
	asm("" : "+r"(i));
	return table[i & (TRACE_BUCKET_TABLE - 1)];
}

TRACE_INLINE void trace_bucket_fill(unsigned char *table)
{
	unsigned int v;

	for (v = 0; v < TRACE_BUCKET_HALF; v++) {
		table[v] = trace_bucket(v, 0);
		table[TRACE_BUCKET_HALF + v] = trace_bucket((unsigned long long)v << 8, 0);
	}
}

/* The least value of a bucket */
TRACE_INLINE unsigned long long trace_bucket_low(unsigned int i, unsigned long long linear)
{
	if (linear)
		return i * linear;
	if (i < 4)
		return i;
	return (4ULL + (i & 3)) << (i / 4 - 1);
}

/* How many ticks were skipped: periods of which a deadline moved on beyond the one it was due */
TRACE_INLINE unsigned long long trace_skipped(long long old_ns, long long new_ns, long long period_ns)
{
	if (period_ns <= 0 || new_ns - old_ns <= period_ns)
		return 0;
	return (unsigned long long)(new_ns - old_ns - period_ns) / (unsigned long long)period_ns;
}

/* (a * b) >> shift of 128 bits, for shift in 1 to 63 */
TRACE_INLINE unsigned long long trace_mul_shr(unsigned long long a, unsigned long long b,
					      unsigned int shift)
{
	unsigned long long a0 = a & 0xffffffff, a1 = a >> 32, b0 = b & 0xffffffff, b1 = b >> 32;
	unsigned long long p00 = a0 * b0, p01 = a0 * b1, p10 = a1 * b0;
	unsigned long long mid = (p00 >> 32) + (p01 & 0xffffffff) + (p10 & 0xffffffff);
	unsigned long long lo = (mid << 32) | (p00 & 0xffffffff);
	unsigned long long hi = a1 * b1 + (p01 >> 32) + (p10 >> 32) + (mid >> 32);

	return (hi << (64 - (shift & 63))) | (lo >> (shift & 63));
}

/* The guest's own formula for kvmclock: ns for TSC ticks since the page's timestamp */
TRACE_INLINE long long trace_pvclock_ns(long long ticks, unsigned int mul, int shift)
{
	unsigned long long t = ticks < 0 ? -ticks : ticks;

	t = shift < 0 ? t >> (-shift & 63) : t << (shift & 63);
	t = trace_mul_shr(t, mul, 32);
	return ticks < 0 ? -(long long)t : (long long)t;
}

/* Ticks to ns; saturates where the product would not fit (beyond some hours) */
TRACE_INLINE long long trace_ticks_to_ns(long long ticks, unsigned int khz)
{
	unsigned long long t = ticks < 0 ? -ticks : ticks, ns;

	if (!khz)
		return 0;
	if (t >> 43)
		ns = t / khz * 1000000;
	else
		ns = t * 1000000 / khz;
	return ticks < 0 ? -(long long)ns : (long long)ns;
}

/*
 * trace_percentile - the value that so many per mille of a histogram's values do not exceed
 *
 * As if the values of a bucket were spread over it evenly, as far as least and greatest let them be: off
 * by a quarter (log2) or a bucket (linear) at most, and never outside what there was.
 */
TRACE_INLINE unsigned long long trace_percentile(const struct trace_hist *h, unsigned int per_mille,
						 unsigned long long linear)
{
	unsigned long long rank, seen = 0, n, lo, hi;
	unsigned int i;

	if (!h->count)
		return 0;
	rank = h->count / 1000 * per_mille + (h->count % 1000 * per_mille + 999) / 1000;
	if (!rank)
		rank = 1;
	for (i = 0; i < TRACE_NR_BUCKETS - 1 && seen + h->bucket[i] < rank; i++)
		seen += h->bucket[i];
	n = h->bucket[i];
	rank -= seen;
	lo = trace_bucket_low(i, linear);
	hi = i < TRACE_NR_BUCKETS - 1 ? trace_bucket_low(i + 1, linear) - 1 : h->max;
	if (lo < h->min && h->min <= h->max)
		lo = h->min;
	if (hi > h->max)
		hi = h->max;
	if (!n || rank >= n || hi <= lo)
		return hi;
	/* so that the product below has room */
	for (; n >> 31; n >>= 1)
		rank >>= 1;
	return lo + (hi - lo) / n * rank + (hi - lo) % n * rank / n;
}

#endif /* TIMEWARP_TRACE_MATH_H */

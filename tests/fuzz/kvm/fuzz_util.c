// SPDX-License-Identifier: GPL-2.0
/* What the fuzzer's two programs share. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "kvm_fuzz.h"

uint64_t fuzz_number(struct fuzz_rng *r)
{
	uint64_t n = 1ULL << fuzz_below(r, 64);

	switch (fuzz_below(r, 8)) {
	case 0: return 0;
	case 1: return ~0ULL;
	case 2: return n;
	case 3: return n - 1;
	case 4: return -n;
	case 5: return fuzz_below(r, 1000);
	case 6: return fuzz_below(r, 1000000000);
	default: return fuzz_next(r);
	}
}

void fuzz_sleep_us(unsigned int us)
{
	struct timespec ts = { us / 1000000, us % 1000000 * 1000L };

	nanosleep(&ts, NULL);
}

void fuzz_count(struct fuzz_shared *sh, unsigned int op, const char *name, bool worked)
{
	struct fuzz_count *c = &sh->op[op];

	if (!c->name[0])
		strncpy(c->name, name, sizeof(c->name) - 1);
	__atomic_fetch_add(&c->tried, 1, __ATOMIC_RELAXED);
	if (worked)
		__atomic_fetch_add(&c->worked, 1, __ATOMIC_RELAXED);
	else if (errno > 0 && errno < FUZZ_ERRNOS)
		__atomic_fetch_add(&c->failed[errno], 1, __ATOMIC_RELAXED);
}

// SPDX-License-Identifier: GPL-2.0
/* What a dry run finds wrong with an answer, as the kernel would. */
#include "dry/timeline.h"

#include "tap.h"

/* Whether an answer to a call at guest time 1000 has bits that do not go with the rest of it */
static bool wrong_bits(uint64_t flags, uint64_t leap_ns, uint64_t next_guest_ns)
{
	struct tw_dry d = {
		.view = { .guest_ns = 1000 },
		.answer = { .factor_num = 1, .factor_den = 1, .flags = flags, .leap_ns = leap_ns, .next_guest_ns = next_guest_ns },
	};

	return tw_dry_wrong(&d) & 1 << TW_CRIME_BITS;
}

static void bits_go_with_the_rest_as_in_the_kernel(void **state)
{
	(void)state;
	assert_false(wrong_bits(0, 0, 0));
	assert_false(wrong_bits(KVM_TIMEWARP_HOLD, 0, 0));
	assert_true(wrong_bits(1ULL << 40, 0, 0));
	/* past timers: with a leap, or with one that there may be if all are idle */
	assert_true(wrong_bits(KVM_TIMEWARP_PAST_TIMERS, 0, 0));
	assert_false(wrong_bits(KVM_TIMEWARP_PAST_TIMERS, 2000, 0));
	assert_false(wrong_bits(KVM_TIMEWARP_PAST_TIMERS | KVM_TIMEWARP_IF_IDLE, 0, 0));
	/* a stop to come: later than now, and where time does not stand already */
	assert_true(wrong_bits(KVM_TIMEWARP_HOLD_NEXT, 0, 1000));
	assert_false(wrong_bits(KVM_TIMEWARP_HOLD_NEXT, 0, 1001));
	assert_true(wrong_bits(KVM_TIMEWARP_HOLD_NEXT | KVM_TIMEWARP_HOLD, 0, 1001));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bits_go_with_the_rest_as_in_the_kernel),
	};

	return RUN_TAP(tests);
}

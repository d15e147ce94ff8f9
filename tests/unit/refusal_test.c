// SPDX-License-Identifier: GPL-2.0
/* What twctl says of a refusal, of the kernel's hook or of a policy. */
#include "tap.h"

#include <errno.h>
#include <string.h>

#include "policy_priv.h"
#include "timewarp.h"

static struct tw_err e;

static void each_refusal_of_the_kernel_has_its_own_sentence(void **state)
{
	static const int codes[] = { EBADF, ENOTTY, EOPNOTSUPP, EACCES, ENODEV, ETIMEDOUT, ENXIO, ETIME, EXDEV, ENOENT, EINTR, ENOMEM };
	char said[ARRAY_SIZE(codes)][sizeof(e.fact)];
	size_t i, k;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		tw_fail(&e, TW_FAILED, "cannot");
		assert_true(tw_explain_code(&e, codes[i]));
		assert_true(*e.fact && *e.cure && e.code == codes[i]);
		strcpy(said[i], e.fact);
		/* ENOLINK is ENOENT: that it is gone */
		for (k = 0; k < i; k++)
			assert_string_not_equal(said[k], said[i]);
	}
	/* what the kernel never says is the policy's */
	assert_false(tw_explain_code(&e, EINVAL));
	assert_false(tw_explain_code(&e, EIO));
}

static void a_policy_that_refuses_is_named_with_what_it_was_given(void **state)
{
	struct timewarp_when when[2] = { { TIMEWARP_AFTER_GUEST, 5 }, { TIMEWARP_NEVER, 0 } };
	struct tw_param v[] = {
		{ .name = "from", .type = TW_PARAM_WHEN, .offset = 0, .size = sizeof(when[0]) },
		{ .name = "until", .type = TW_PARAM_WHEN, .offset = sizeof(when[0]), .size = sizeof(when[0]) },
	};
	struct tw_params params = { .v = v, .n = 2 };
	struct tw_refused r = { .title = "until", .params = &params, .data = when, .size = sizeof(when) };

	(void)state;
	tw_fail(&e, TW_FAILED, "cannot");
	assert_int_equal(tw_explain_refusal(&e, EINVAL, &r), TW_REFUSED);
	assert_string_equal(e.fact, "the policy refuses (Invalid argument): its parameter 'until' is never");
	assert_string_equal(e.cure, "say when, such as --param until=30d");

	r.live = true;
	r.given = "factor=3 span=1h";
	tw_explain_refusal(&e, EINVAL, &r);
	assert_string_equal(e.fact, "the policy refuses what it was given (Invalid argument): factor=3 span=1h; its parameter 'until' is never");
	assert_string_equal(e.cure, "say when, such as until=30d");

	when[1].kind = TIMEWARP_AFTER_HOST;
	tw_explain_refusal(&e, EIO, &r);
	assert_string_equal(e.fact, "the policy refuses what it was given (Input/output error): factor=3 span=1h");
	assert_non_null(strstr(e.cure, "the old values are in force again"));

	/* where its values cannot be seen, nothing is said of them */
	when[1].kind = TIMEWARP_NEVER;
	r.data = NULL;
	r.given = NULL;
	r.live = false;
	tw_explain_refusal(&e, EIO, &r);
	assert_string_equal(e.fact, "the policy refuses (Input/output error)");
	assert_string_equal(e.cure, "see its parameters, their defaults and ranges: twctl policy inspect until");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refusal_of_the_kernel_has_its_own_sentence),
		cmocka_unit_test(a_policy_that_refuses_is_named_with_what_it_was_given),
	};

	return RUN_TAP(tests);
}

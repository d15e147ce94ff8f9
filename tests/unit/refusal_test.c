// SPDX-License-Identifier: GPL-2.0
/* What twctl says of a refusal, of the kernel's hook or of a policy. */
#include "tap.h"

#include <bpf/btf.h>
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

/* As clang writes it for TIMEWARP_REFUSAL(): tags of the licence */
static struct btf *types_with(const char *tag)
{
	struct btf *btf = btf__new_empty();
	int id = btf__add_int(btf, "char", 1, BTF_INT_SIGNED);

	id = btf__add_array(btf, id, id, 4);
	id = btf__add_var(btf, "LICENSE", BTF_VAR_GLOBAL_ALLOCATED, id);
	assert_true(btf__add_decl_tag(btf, "timewarp.summary=refusal1=no reason", id, -1) > 0);
	assert_true(btf__add_decl_tag(btf, tag, id, -1) > 0);
	return btf;
}

static void a_policy_that_refuses_is_named_with_what_it_was_given(void **state)
{
	struct tw_refused r = { .title = "until" };

	(void)state;
	tw_fail(&e, TW_FAILED, "cannot");
	assert_int_equal(tw_explain_refusal(&e, EIO, &r), TW_REFUSED);
	assert_string_equal(e.fact, "the policy refuses (Input/output error)");
	assert_string_equal(e.cure, "see its parameters, their defaults and ranges: twctl policy inspect until");

	r.live = true;
	r.given = "factor=3 span=1h";
	tw_explain_refusal(&e, EIO, &r);
	assert_string_equal(e.fact, "the policy refuses what it was given (Input/output error): factor=3 span=1h");
	assert_non_null(strstr(e.cure, "the old values are in force again"));
}

static void a_policy_says_why_in_its_own_words(void **state)
{
	struct btf *btf = types_with("timewarp.refusal1=the office is closed");
	struct tw_refused r = { .title = "office", .btf = btf };

	(void)state;
	tw_fail(&e, TW_FAILED, "cannot");
	assert_int_equal(tw_explain_refusal(&e, TIMEWARP_REFUSAL_FIRST + 1, &r), TW_REFUSED);
	assert_string_equal(e.fact, "the policy refuses: the office is closed");
	assert_int_equal(e.code, 0);
	r.given = "monday=never";
	tw_explain_refusal(&e, TIMEWARP_REFUSAL_FIRST + 1, &r);
	assert_string_equal(e.fact, "the policy refuses what it was given, monday=never: the office is closed");

	/* one that it has no words for, an error of Linux, a policy that cannot be seen */
	r.given = NULL;
	tw_explain_refusal(&e, TIMEWARP_REFUSAL_FIRST + 11, &r);
	assert_string_equal(e.fact, "the policy refuses: reason 11, for which its object has no words");
	assert_int_equal(e.code, 0);
	tw_explain_refusal(&e, EINVAL, &r);
	assert_string_equal(e.fact, "the policy refuses (Invalid argument)");
	r.btf = NULL;
	tw_explain_refusal(&e, TIMEWARP_REFUSAL_FIRST + 1, &r);
	assert_string_equal(e.fact, "the policy refuses: reason 1, for which its object has no words");
	btf__free(btf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_refusal_of_the_kernel_has_its_own_sentence),
		cmocka_unit_test(a_policy_that_refuses_is_named_with_what_it_was_given),
		cmocka_unit_test(a_policy_says_why_in_its_own_words),
	};

	return RUN_TAP(tests);
}

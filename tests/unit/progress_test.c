// SPDX-License-Identifier: GPL-2.0
/* An attachment in the foreground tells where a guest is that jumps: the first time, and each time after it. */
#include "tap.h"

#include <string.h>

#include "attached.h"

#define SECOND_NS 1000000000ULL

static uint64_t now_ns = 1000 * SECOND_NS;
static bool done;		/* as the policy that is attached has it */
static unsigned int told;

uint64_t __wrap_tw_now_ns(void);
int __wrap_tw_state_read(const char *dir, struct tw_state *st, struct tw_err *e);
int __wrap_tw_live_open(struct tw_live *l, const struct tw_state *st, struct tw_err *e);
bool __wrap_tw_live_is_done(const struct tw_live *l);
void __wrap_tw_live_close(struct tw_live *l);
int __wrap_tw_fprintf(FILE *f, const char *fmt, ...);

uint64_t __wrap_tw_now_ns(void)
{
	return now_ns;
}

int __wrap_tw_state_read(const char *dir, struct tw_state *st, struct tw_err *e)
{
	(void)dir, (void)e;
	memset(st, 0, sizeof(*st));
	st->attached = true;
	return 0;
}

int __wrap_tw_live_open(struct tw_live *l, const struct tw_state *st, struct tw_err *e)
{
	(void)st, (void)e;
	memset(l, 0, sizeof(*l));
	return 0;
}

bool __wrap_tw_live_is_done(const struct tw_live *l)
{
	(void)l;
	return done;
}

void __wrap_tw_live_close(struct tw_live *l)
{
	(void)l;
}

int __wrap_tw_fprintf(FILE *f, const char *fmt, ...)
{
	assert_ptr_equal(f, stderr);
	assert_non_null(strstr(fmt, "is at"));
	told++;
	return 0;
}

/* How often it is told in so many seconds; it is asked twice a second */
static unsigned int told_in(struct attachment *a, unsigned int seconds)
{
	unsigned int i;

	for (told = 0, i = 0; i < 2 * seconds; i++) {
		tw_tell_progress(a);
		now_ns += SECOND_NS / 2;
	}
	return told;
}

static struct tw_args args;
static struct tw_vm vm = { .id = "4711-9", .dir = "nowhere" };

static struct attachment begin(const char *policy)
{
	struct attachment a = { .args = &args, .t.vm = &vm, .name = "4711-9" };

	strcpy(a.policy, policy);
	done = args.json = false;
	return a;
}

/* as twctl has it, once the policy has told so */
static void arrive(struct attachment *a)
{
	a->done = done = true;
}

static void test_once(void **unused)
{
	struct attachment a = begin("jump");

	(void)unused;
	assert_int_equal(told_in(&a, 4), 0);
	assert_int_equal(told_in(&a, 16), 3);
	arrive(&a);
	assert_int_equal(told_in(&a, 20), 0);
	a = begin("constant");
	assert_int_equal(told_in(&a, 20), 0);
	a = begin("jump");
	args.json = true;
	assert_int_equal(told_in(&a, 20), 0);
}

/* Another jump, by set, which has the policy begin anew; and by swap, with another policy in between */
static void test_again(void **unused)
{
	struct attachment a = begin("jump");

	(void)unused;
	told_in(&a, 7);
	arrive(&a);
	told_in(&a, 7);
	done = false;
	assert_in_range(told_in(&a, 20), 3, 4);
	arrive(&a);
	told_in(&a, 7);
	strcpy(a.policy, "constant");
	assert_int_equal(told_in(&a, 20), 0);
	strcpy(a.policy, "jump");
	done = false;
	assert_int_equal(told_in(&a, 4), 0);
	assert_int_equal(told_in(&a, 16), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_once),
		cmocka_unit_test(test_again),
	};

	return RUN_TAP(tests);
}

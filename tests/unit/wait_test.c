// SPDX-License-Identifier: GPL-2.0
/* twctl wait --event: of what a policy tells, the next; whichever policy there is by then, and whether or not anybody listens. */
#include "tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proc.h"
#include "readiness.h"
#include "twctl.h"

extern const struct tw_verb tw_verb_wait;

/* A policy, as it stands at the looks from one on */
struct part {
	unsigned int look;
	unsigned int policy;		/* another number: it was swapped in; 0: none is attached */
	uint64_t told;
	bool done;
};

static const struct part *script;
static unsigned int looks, tells;	/* a bit for each kind */
static char said[200];
static struct tw_vm vm = { .id = "4711-9", .dir = "nowhere" };

static const struct part *at(void)
{
	const struct part *p = script;

	while (p[1].look && p[1].look <= looks)
		p++;
	return p;
}

int __wrap_tw_host_require(unsigned int needs, struct tw_err *e);
int __wrap_tw_target_find(const struct tw_args *args, const char *doing, struct tw_target *t, struct tw_err *e);
int __wrap_tw_target_attached(struct tw_target *t, const char *doing, struct tw_err *e);
void __wrap_tw_target_close(struct tw_target *t);
int __wrap_tw_state_read(const char *dir, struct tw_state *st, struct tw_err *e);
int64_t __wrap_tw_dates_ahead_ns(const struct tw_vm *of);
int __wrap_tw_live_open(struct tw_live *l, const struct tw_state *st, struct tw_err *e);
void __wrap_tw_live_let_go(struct tw_live *l);
bool __wrap_tw_live_is_current(const struct tw_live *l);
void __wrap_tw_live_close(struct tw_live *l);
bool __wrap_tw_live_tells(const struct tw_live *l, unsigned int kind);
uint64_t __wrap_tw_live_told(const struct tw_live *l, unsigned int kind);
bool __wrap_tw_live_is_done(const struct tw_live *l);
int __wrap_tw_fprintf(FILE *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

int __wrap_tw_host_require(unsigned int needs, struct tw_err *e)
{
	(void)needs, (void)e;
	return 0;
}

int __wrap_tw_target_find(const struct tw_args *args, const char *doing, struct tw_target *t, struct tw_err *e)
{
	(void)args, (void)doing, (void)e;
	memset(t, 0, sizeof(*t));
	t->vm = &vm;
	return 0;
}

int __wrap_tw_target_attached(struct tw_target *t, const char *doing, struct tw_err *e)
{
	(void)doing;
	return tw_state_read(NULL, &t->st, e);
}

void __wrap_tw_target_close(struct tw_target *t)
{
	(void)t;
}

int __wrap_tw_state_read(const char *dir, struct tw_state *st, struct tw_err *e)
{
	(void)dir, (void)e;
	memset(st, 0, sizeof(*st));
	looks++;
	st->attached = at()->policy;
	st->link_id = 5;
	snprintf(st->policy, sizeof(st->policy), "policy%u", at()->policy);
	return 0;
}

int64_t __wrap_tw_dates_ahead_ns(const struct tw_vm *of)
{
	(void)of;
	return 0;
}

int __wrap_tw_live_open(struct tw_live *l, const struct tw_state *st, struct tw_err *e)
{
	(void)st, (void)e;
	memset(l, 0, sizeof(*l));
	l->map_id = at()->policy;
	return 0;
}

void __wrap_tw_live_let_go(struct tw_live *l)
{
	(void)l;
}

bool __wrap_tw_live_is_current(const struct tw_live *l)
{
	return l->map_id == at()->policy;
}

void __wrap_tw_live_close(struct tw_live *l)
{
	(void)l;
}

bool __wrap_tw_live_tells(const struct tw_live *l, unsigned int kind)
{
	(void)l;
	return tells & 1 << kind;
}

uint64_t __wrap_tw_live_told(const struct tw_live *l, unsigned int kind)
{
	(void)l;
	return tells & 1 << kind ? at()->told : 0;
}

bool __wrap_tw_live_is_done(const struct tw_live *l)
{
	(void)l;
	return at()->done;
}

int __wrap_tw_fprintf(FILE *f, const char *fmt, ...)
{
	va_list ap;

	assert_ptr_equal(f, stdout);
	va_start(ap, fmt);
	vsnprintf(said, sizeof(said), fmt, ap);
	va_end(ap);
	return 0;
}

/* How it ends; *said says what it has said */
static int wait_for(const char *event, const struct part *of)
{
	struct tw_args args = { .verb = "wait", .vm = "4711-9", .event = event, .timeout = "2s" };
	struct tw_err e = { 0 };
	int status;

	script = of;
	looks = 0;
	*said = 0;
	status = tw_verb_wait.run(&args, &e);
	tw_err_free(&e);
	return status;
}

#define TOLD(count, number) ((uint64_t)(count) << 32 | (number))

static void the_next_that_it_tells(void **state)
{
	const struct part steps[] = { { 1, 1, TOLD(3, 2), false }, { 4, 1, TOLD(4, 3), false }, { 0 } };
	const struct part same[] = { { 1, 1, TOLD(1, 7), false }, { 4, 1, TOLD(2, 7), false }, { 0 } };
	const struct part round[] = { { 1, 1, TOLD(~0U, 7), false }, { 4, 1, TOLD(0, 8), false }, { 0 } };

	(void)state;
	tells = 1 << TIMEWARP_EVENT_STEP;
	assert_int_equal(wait_for("step", steps), 0);
	assert_non_null(strstr(said, "policy1 tells: step 3, guest at "));
	assert_int_equal(looks, 4);
	/* with the same number again; and when their count begins anew */
	assert_int_equal(wait_for("step", same), 0);
	assert_int_equal(looks, 4);
	assert_int_equal(wait_for("step", round), 0);
	assert_non_null(strstr(said, "step 8,"));
	tells = 1 << TIMEWARP_EVENT_LEAPS;
	assert_int_equal(wait_for("leaps-ms", steps), 0);
	assert_non_null(strstr(said, "policy1 tells: leaps-ms 3,"));
	tells = 1;
	assert_int_equal(wait_for("event", steps), 0);
	assert_non_null(strstr(said, "policy1 tells: event 3,"));
}

static void what_was_told_before_does_not_count(void **state)
{
	const struct part told[] = { { 1, 1, TOLD(3, 2), false }, { 0 } };
	const struct part done[] = { { 1, 1, 0, true }, { 0 } };

	(void)state;
	tells = 1 << TIMEWARP_EVENT_STEP;
	assert_int_equal(wait_for("step", told), TW_THRESHOLD);
	/* but that it is done does, as with --done */
	tells = 1 << TIMEWARP_EVENT_DONE;
	assert_int_equal(wait_for("done", done), 0);
	assert_non_null(strstr(said, "the policy is done, guest at "));
}

static void of_one_that_is_swapped_in_all_counts(void **state)
{
	const struct part swapped[] = { { 1, 1, TOLD(3, 2), false }, { 3, 2, TOLD(0, 0), false }, { 5, 2, TOLD(3, 9), false }, { 0 } };
	const struct part gone[] = { { 1, 1, TOLD(3, 2), false }, { 4, 0, 0, false }, { 0 } };

	(void)state;
	tells = 1 << TIMEWARP_EVENT_STEP;
	assert_int_equal(wait_for("step", swapped), 0);
	assert_non_null(strstr(said, "policy2 tells: step 9,"));
	assert_int_equal(wait_for("step", gone), TW_FAILED);
}

static void what_never_comes_is_refused(void **state)
{
	const struct part steps[] = { { 1, 1, TOLD(3, 2), false }, { 0 } };

	(void)state;
	tells = 1 << TIMEWARP_EVENT_STEP;
	assert_int_equal(wait_for("leaps-ms", steps), TW_USAGE);
	assert_int_equal(wait_for("done", steps), TW_USAGE);
	assert_int_equal(wait_for("steps", steps), TW_USAGE);
	assert_int_equal(wait_for("", steps), TW_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_next_that_it_tells),
		cmocka_unit_test(what_was_told_before_does_not_count),
		cmocka_unit_test(of_one_that_is_swapped_in_all_counts),
		cmocka_unit_test(what_never_comes_is_refused),
	};
	struct tw_proc self;

	if (!tw_proc_read(getpid(), &self))
		return 1;
	vm.pid = getpid();
	vm.start = self.start;
	return RUN_TAP(tests);
}

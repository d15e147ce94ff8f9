// SPDX-License-Identifier: GPL-2.0
/* The lines of twctl stat and top: what an interval holds, how it is sorted, and that it fits. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "rows.h"

static struct tw_row row_of(int pid, const char *name)
{
	struct tw_row r = { .info.pid = pid };

	strcpy(r.info.name, name);
	return r;
}

static struct trace_stats *source(struct tw_row *r, unsigned int s)
{
	r->stats[s] = calloc(1, sizeof(*r->stats[s]));
	assert_non_null(r->stats[s]);
	return r->stats[s];
}

static void free_row(struct tw_row *r)
{
	int i;

	for (i = 0; i < TRACE_NR_SOURCES; i++)
		free(r->stats[i]);
}

static void intervals(void **state)
{
	struct tw_row old = row_of(7, "7-9"), now = old, other = row_of(8, "8-9");
	struct tw_rows before = { &old, 1 }, none = { NULL, 0 };
	struct tw_lines lines = { 0 };
	struct trace_stats *s;

	(void)state;
	s = source(&old, TRACE_PIT);
	s->delivered = 100;
	s->lost_pending = 2;
	s->backlog_max = 9;
	old.clocks.tsc.back = 3;
	s = source(&now, TRACE_PIT);
	s->delivered = 150;
	s->lost_pending = 3;
	s->coalesced = 4;
	s->backlog = 5;
	s->backlog_max = 9;
	source(&now, TRACE_XEN)->delivered = 1;
	now.clocks.tsc.back = 4;
	now.clocks.kvmclock.forward = 6;

	tw_lines_add(&lines, &now, &before, 2, 0);
	assert_int_equal(lines.n, 2);
	assert_int_equal(lines.v[0].source, TRACE_PIT);
	assert_int_equal(lines.v[0].stats->delivered, 50);
	assert_int_equal(tw_stats_lost(lines.v[0].stats), 5);
	assert_int_equal(lines.v[0].stats->backlog, 5);
	assert_int_equal(lines.v[0].stats->backlog_max, 9);
	assert_int_equal(lines.v[0].jumps, 7);
	assert_int_equal(lines.v[1].source, TRACE_XEN);
	assert_int_equal(lines.v[1].stats->delivered, 1);
	tw_lines_free(&lines);

	tw_lines_add(&lines, &now, &none, 0, 0);
	assert_int_equal(lines.v[0].stats->delivered, 150);
	assert_int_equal(lines.v[0].jumps, 10);
	assert_true(lines.v[0].seconds > 0);
	/* A VM without a tick has a line, too */
	tw_lines_add(&lines, &other, &before, 2, 0);
	assert_int_equal(lines.n, 3);
	assert_int_equal(lines.v[2].source, -1);
	assert_int_equal(lines.v[2].jumps, 0);
	tw_lines_free(&lines);
	free_row(&old);
	free_row(&now);
}

/* Four VMs, each the worst in something */
static void orders(void **state)
{
	static const struct {
		enum tw_order order;
		const char *expect;
	} rows[] = {
		{ TW_BY_WORST, "1302" }, { TW_BY_LOST, "1023" }, { TW_BY_OWED, "3012" },
		{ TW_BY_JUMPS, "0123" }, { TW_BY_MAX, "2013" }, { TW_BY_P99, "2013" },
		{ TW_BY_AVG, "2013" }, { TW_BY_RATE, "0123" }, { TW_BY_NAME, "0123" },
	};
	struct tw_row r[4] = { row_of(10, "10-4"), row_of(11, "11-4"), row_of(12, "12-4"),
			       row_of(13, "13-4") };
	struct trace_stats *s[4];
	struct trace_hist *late;
	struct tw_rows none = { NULL, 0 };
	struct tw_lines lines = { 0 };
	size_t i, k;

	(void)state;
	for (i = 0; i < 4; i++)
		s[i] = source(&r[i], TRACE_DEADLINE);
	r[0].clocks.kvmclock.back = 2;
	s[0]->delivered = 9;
	s[1]->dropped = 5;
	late = &s[2]->late[TRACE_TOTAL];
	late->count = late->bucket[TRACE_NR_BUCKETS / 2] = 1;
	late->sum = late->min = late->max = 70000;
	s[3]->backlog = 1;
	for (i = 4; i-- > 0;)
		tw_lines_add(&lines, &r[i], &none, 1, 0);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		char got[5] = "";

		tw_lines_sort(&lines, rows[i].order);
		for (k = 0; k < 4; k++)
			got[k] = '0' + lines.v[k].row->info.pid - 10;
		assert_string_equal(got, rows[i].expect);
	}
	assert_int_equal(ARRAY_SIZE(rows), TW_NR_ORDERS);
	tw_lines_free(&lines);
	for (i = 0; i < 4; i++)
		free_row(&r[i]);
}

/* A million events a second for thirty years, and a day late: 80 columns, and under its head */
static void fits(void **state)
{
	struct tw_row r = row_of(1, "4194303-1048575");
	struct tw_rows none = { NULL, 0 };
	struct tw_lines lines = { 0 };
	const unsigned long long many = 1000000000000000;
	char head[TW_ROW_MAX], text[TW_ROW_MAX];
	struct trace_stats *s;
	size_t i;

	(void)state;
	s = source(&r, TRACE_PERIODIC);
	s->delivered = s->dropped = s->reinjected = s->backlog = s->backlog_max = many;
	s->late[TRACE_TOTAL].count = 1;
	s->late[TRACE_TOTAL].sum = s->late[TRACE_TOTAL].max = 86400000000000;
	s->late[TRACE_TOTAL].bucket[TRACE_NR_BUCKETS - 1] = 1;
	r.clocks.tsc.back = many;
	source(&r, TRACE_ONESHOT);
	tw_lines_add(&lines, &r, &none, 1, 0);
	tw_rows_head(head, sizeof(head), TW_ROW_VM);
	assert_true(strlen(head) <= 80);
	for (i = 0; i < lines.n; i++) {
		tw_line_format(text, sizeof(text), &lines.v[i], r.info.name, TW_ROW_VM);
		assert_int_equal(strlen(text), strlen(head));
	}
	tw_lines_free(&lines);
	free_row(&r);
}

/* A VM that another thread than the first made: KVM's name for it and its tracer's PID are that thread's, list's is not */
static void made_by_a_thread(void **state)
{
	struct tw_vm vm = { .pid = 2392, .id = "2589-4" };
	struct tw_tracer t = { .vms = { .v = &vm, .n = 1 }, .opts = { .sources = ~0U, .vcpu = -1 } };
	struct trace_stats stats = { .delivered = 1000 };
	struct tw_unit units[] = {
		{ .info = { .pid = 2589, .name = "2589-4", .vcpu = -1 } },
		{ .info = { .pid = 2589, .name = "2589-4", .vcpu = 0 } },
	};
	struct tw_snapshot none = { 0 }, some = { .v = units, .n = 2 };
	struct tw_rows first, before, now;
	struct tw_lines lines = { 0 };

	(void)state;
	tw_rows_collect(&t, &none, &first);
	assert_int_equal(first.n, 1);
	units[1].stats[TRACE_PERIODIC] = &stats;
	tw_rows_collect(&t, &some, &before);
	stats.delivered = 1100;
	tw_rows_collect(&t, &some, &now);
	assert_int_equal(before.n, 1);
	assert_int_equal(now.n, 1);
	assert_string_equal(now.v[0].info.name, "2589-4");
	assert_non_null(now.v[0].stats[TRACE_PERIODIC]);
	/* of the interval, not since the start */
	tw_lines_add(&lines, &now.v[0], &before, 1, 0);
	assert_int_equal(lines.n, 1);
	assert_int_equal(lines.v[0].stats->delivered, 100);
	tw_lines_free(&lines);
	tw_rows_free(&first);
	tw_rows_free(&before);
	tw_rows_free(&now);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(intervals),
		cmocka_unit_test(orders),
		cmocka_unit_test(fits),
		cmocka_unit_test(made_by_a_thread),
	};

	return RUN_TAP(tests);
}

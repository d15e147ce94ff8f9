// SPDX-License-Identifier: GPL-2.0
/* What leaves for other programs: metrics that add up and name VMs, and a trace that is valid when twctl is killed. */
#include "tap.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "metrics.h"
#include "perfetto.h"
#include "text.h"
#include "trace_math.h"

static struct tw_known web = { .id = "7-9", .found = true, .name = "we\"b\n\\", .uuid = "12345678-1234-1234-1234-123456789abc" };
static struct tw_known dead = { .id = "8-9", .found = true, .name = "dead" };

static struct tw_known quiet = { .id = "9-9", .found = true, .name = "quiet" };

static char *metrics(const struct tw_rows *rows)
{
	struct tw_known *v[] = { &web, &dead, &quiet };
	struct tw_roster roster = { .v = v, .n = 3, .scanned = true };
	struct tw_warp warp[] = { { "7-9", false, { 3, 1 } }, { "9-9", true, { 1, 3 } } };
	struct tw_warps warps = { warp, 2 };
	struct tw_metrics m = { .rows = rows, .roster = &roster, .warps = &warps, .events_lost = 5, .units_lost = 6 };
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	tw_metrics_write(f, &m);
	fclose(f);
	return text;
}

static void has(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("there is no %s in:\n%s", line, text);
}

static void prometheus(void **state)
{
	static const char label[] = "{vm=\"7-9\",name=\"we\\\"b\\\\x0a\\\\\",uuid=\"12345678-1234-1234-1234-123456789abc\"";
	struct tw_row row[2] = { { .info.name = "7-9" }, { .info.name = "8-9", .gone = true } };
	struct tw_rows rows = { row, 2 };
	struct trace_stats *s = calloc(1, sizeof(*s));
	struct trace_hist *late = &s->late[TRACE_TOTAL];
	char *text, *line, *rest, want[512], last[128] = "", heads[4096] = "";

	(void)state;
	late->bucket[trace_bucket(500, 0)] = 1;
	late->bucket[trace_bucket(3000000, 0)] = 2;
	late->bucket[trace_bucket(60000000000, 0)] = 3;
	late->count = 6;
	late->sum = 2000000000;
	s->delivered = 6;
	s->dropped = 4;
	row[0].stats[TRACE_PIT] = row[1].stats[TRACE_PIT] = s;
	web.shares = (struct tw_shares){ .vcpus = 2, .stats = true, .span_ns = 4000000000, .run_ns = 1000000000,
					 .steal_ns = 500000000, .halt_ns = 2000000000, .other_ns = 500000000 };
	text = metrics(&rows);
	snprintf(want, sizeof(want), "timewarp_ticks_lost_total%s,source=\"pit\"} 4\n", label);
	has(text, want);
	snprintf(want, sizeof(want), "timewarp_tick_late_seconds_bucket%s,source=\"pit\",le=\"1.024e-06\"} 1\n", label);
	has(text, want);
	snprintf(want, sizeof(want), "timewarp_tick_late_seconds_bucket%s,source=\"pit\",le=\"0.002097152\"} 1\n", label);
	has(text, want);
	snprintf(want, sizeof(want), "timewarp_tick_late_seconds_bucket%s,source=\"pit\",le=\"0.004194304\"} 3\n", label);
	has(text, want);
	snprintf(want, sizeof(want), "timewarp_tick_late_seconds_bucket%s,source=\"pit\",le=\"17.1798692\"} 3\n", label);
	has(text, want);
	snprintf(want, sizeof(want), "timewarp_tick_late_seconds_bucket%s,source=\"pit\",le=\"+Inf\"} 6\n", label);
	has(text, want);
	snprintf(want, sizeof(want), "timewarp_tick_late_seconds_count%s,source=\"pit\"} 6\n", label);
	has(text, want);
	snprintf(want, sizeof(want), "timewarp_vcpu_seconds_total%s,state=\"other\"} 0.500000000\n", label);
	has(text, want);
	has(text, "timewarp_not_counted_total{what=\"event\"} 5\n");
	has(text, "timewarp_not_counted_total{what=\"unit\"} 6\n");
	/* also of a VM that nothing was seen of */
	snprintf(want, sizeof(want), "timewarp_vm_attached%s} 0\n", label);
	has(text, want);
	snprintf(want, sizeof(want), "timewarp_vm_factor%s} 1\n", label);
	has(text, want);
	has(text, "timewarp_vm_attached{vm=\"9-9\",name=\"quiet\",uuid=\"\"} 1\n");
	has(text, "timewarp_vm_factor{vm=\"9-9\",name=\"quiet\",uuid=\"\"} 0.333333333333\n");
	assert_null(strstr(text, "8-9"));
	/* a family's samples stand together, behind its head, which comes once */
	for (rest = text; (line = strsep(&rest, "\n"));) {
		char name[128];

		if (sscanf(line, "# TYPE %100s", name) == 1) {
			strcat(name, " ");
			assert_null(strstr(heads, name));
			strcat(heads, name);
			name[strlen(name) - 1] = 0;
			strcpy(last, name);
		} else if (*line && *line != '#') {
			assert_int_equal(strncmp(line, last, strlen(last)), 0);
		}
	}
	free(text);
	free(s);
}

/* Whether a strict reader takes it */
static bool is_json(const char *text)
{
	FILE *p = popen("perl -MJSON::PP -0777 -ne 'eval { decode_json($_) } or die'", "w");

	fputs(text, p);
	return pclose(p) == 0;
}

static void perfetto(void **state)
{
	static struct tw_perfetto p;
	struct tw_unit vcpu = { .id = 3, .info = { .pid = 7, .vcpu = 1, .name = "7-9" } }, vm = { .id = 4 };
	char file[] = "/tmp/export_test.XXXXXX", *text, *cut;
	struct trace_event ev = { .host_ns = 5000000, .a = 1000, .b = 2000, .c = 3000 };
	int kind, i;

	(void)state;
	vm.info = vcpu.info;
	vm.info.vcpu = -1;
	close(mkstemp(file));
	tw_perfetto_begin(&p, fopen(file, "w"));
	for (kind = 0; kind < TRACE_NR_KINDS; kind++) {
		ev.kind = kind;
		strcpy(ev.text, kind == TRACE_EV_EXIT ? "\"},\x1b[2J" : "");
		tw_perfetto_event(&p, kind & 1 ? &vcpu : &vm, &web, &ev);
	}
	assert_int_equal(tw_perfetto_flush(&p), 0);
	/* killed here, the array lacks its end and nothing else */
	text = tw_read_file(file, NULL);
	assert_false(is_json(text));
	cut = tw_asprintf("%s]", text);
	assert_true(is_json(cut));
	has(cut, "\"name\":\"process_name\",\"pid\":7,\"tid\":2,\"args\":{\"name\":\"we\\\"b\\u000a\\\\ (7-9)\"");
	has(cut, "\"ph\":\"X\",\"name\":\"oneshot late\",\"pid\":7,\"tid\":2,\"ts\":4994.000,\"dur\":6.000");
	free(cut);
	free(text);
	/* or anywhere else */
	ev.kind = TRACE_EV_DELIVERED;
	for (i = 0; i < 20000; i++)
		tw_perfetto_event(&p, &vcpu, &web, &ev);
	text = tw_read_file(file, NULL);
	assert_true(strlen(text) > 1000000);
	cut = tw_asprintf("%s]", text);
	assert_true(is_json(cut));
	free(cut);
	free(text);
	assert_int_equal(tw_perfetto_end(&p), 0);
	text = tw_read_file(file, NULL);
	assert_true(is_json(text));
	free(text);
	unlink(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prometheus),
		cmocka_unit_test(perfetto),
	};

	return RUN_TAP(tests);
}

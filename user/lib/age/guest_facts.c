// SPDX-License-Identifier: GPL-2.0
/* What guest.sh prints, into values and events. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "age/source.h"
#include "text.h"

#define FIELDS_MAX 6
#define SERIES_MAX 2000		/* a guest that makes up names does not fill the host's disk */

static const struct tw_series_kind kinds[] = {
#define KIND_MEMORY 0
	{ "B", false, 1, "memory in use" },
#define KIND_AVAILABLE 1
	{ "B", false, -1, "memory that can be had" },
#define KIND_SWAP 2
	{ "B", false, 1, "swap in use" },
#define KIND_FS 3
	{ "B", false, 1, "file system in use" },
#define KIND_INODES 4
	{ "inodes", false, 1, "inodes in use" },
#define KIND_RSS 5
	{ "B", false, 1, "resident memory of all processes of that name" },
#define KIND_THREADS 6
	{ "threads", false, 1, "threads of all processes of that name" },
#define KIND_FILES 7
	{ "descriptors", false, 1, "open descriptors of all processes of that name" },
#define KIND_DIRECTORY 8
	{ "B", false, 1, "size on disk" },
#define KIND_LOAD 9
	{ "", false, 1, "load of 15 minutes" },
};

static double parse(const char *text)
{
	char *end;
	double v = strtod(text, &end);

	return end != text && !*end && v >= 0 && v < 1e18 ? v : NAN;
}

static void value(struct tw_recorder *rec, int kind, double limit, double v, const char *fmt, const char *name)
{
	char full[256];

	if (!isfinite(v) || (json_object_size(rec->series) >= SERIES_MAX))
		return;
	snprintf(full, sizeof(full), fmt, name);
	tw_record_value(rec, full, &kinds[kind], limit, v);
}

static void memory(char **f, struct tw_recorder *rec)
{
	double used = parse(f[1]), available = parse(f[2]), swap = parse(f[4]);

	value(rec, KIND_MEMORY, (used + available) * 1024, used * 1024, "guest.memory.used%s", "");
	value(rec, KIND_AVAILABLE, NAN, available * 1024, "guest.memory.available%s", "");
	if (swap > 0)
		value(rec, KIND_SWAP, swap * 1024, parse(f[3]) * 1024, "guest.swap.used%s", "");
}

static void zone(const char *name, double t, struct tw_sources *s, struct tw_recorder *rec)
{
	if (s->zone && !strcmp(s->zone, name))
		return;
	/* a name, not a path or rule of the guest's choice */
	if (strlen(name) > 64 || strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/_+-") !=
	    strlen(name) || *name == '/')
		return;
	free(s->zone);
	s->zone = tw_strdup(name);
	tw_record_zone(rec, name, t, t + 20 * 365.25 * 86400);
}

/* One JSON object of journalctl's */
static void journal(const char *text, struct tw_recorder *rec)
{
	static const char *const severity[] = { "failure", "failure", "failure", "error", "warning" };
	json_error_t error;
	json_t *o = json_loads(text, 0, &error);
	const char *who = json_string_value(json_object_get(o, "SYSLOG_IDENTIFIER"));
	const char *what = json_string_value(json_object_get(o, "MESSAGE"));
	const char *when = json_string_value(json_object_get(o, "__REALTIME_TIMESTAMP"));
	const char *how = json_string_value(json_object_get(o, "PRIORITY"));
	double t = when ? parse(when) / 1e6 : NAN;

	if (what && isfinite(t) && t < 1e11 && how && *how >= '0' && *how <= '4' && !how[1])
		tw_record_event(rec, t, severity[*how - '0'], who ? who : "journal", what);
	json_decref(o);
}

static void timer(char **f, double t, struct tw_recorder *rec)
{
	double tolerance = parse(f[3]), last = parse(f[2]);

	if (!strchr(f[4], '|') && tw_record_job(rec, f[1], f[4], isfinite(tolerance) ? tolerance : 60) &&
	    isfinite(last) && last > 0 && last <= t + 60)
		tw_record_ran(rec, f[1], last);
}

static void failed(char **f, double t, struct tw_sources *s, json_t *now, struct tw_recorder *rec)
{
	json_object_set_new(now, f[1], json_true());
	if (!json_object_get(s->failed, f[1]))
		tw_record_event(rec, t, "failure", f[1], f[2]);
}

static void fact(char **f, int n, double t, struct tw_sources *s, json_t *now, struct tw_recorder *rec)
{
	switch (f[0][1] ? 0 : f[0][0]) {
	case 'm':
		if (n == 5)
			memory(f, rec);
		break;
	case 'l':
		if (n == 2)
			value(rec, KIND_LOAD, NAN, parse(f[1]), "guest.load%s", "");
		break;
	case 'f':
		if (n == 4)
			value(rec, KIND_FS, parse(f[3]) * 1024, parse(f[2]) * 1024, "guest.fs.%s.used", f[1]);
		break;
	case 'i':
		if (n == 4)
			value(rec, KIND_INODES, parse(f[3]), parse(f[2]), "guest.fs.%s.inodes", f[1]);
		break;
	case 'p':
		if (n == 4) {
			value(rec, KIND_RSS, NAN, parse(f[2]) * 1024, "guest.proc.%s.rss", f[1]);
			value(rec, KIND_THREADS, NAN, parse(f[3]), "guest.proc.%s.threads", f[1]);
		}
		break;
	case 'o':
		if (n == 3)
			value(rec, KIND_FILES, NAN, parse(f[2]), "guest.proc.%s.fds", f[1]);
		break;
	case 'd':
		if (n == 3)
			value(rec, KIND_DIRECTORY, NAN, parse(f[2]) * 1024, "guest.dir.%s", f[1]);
		break;
	case 'z':
		if (n == 2)
			zone(f[1], t, s, rec);
		break;
	case 'u':
		if (n == 3)
			failed(f, t, s, now, rec);
		break;
	case 't':
		if (n == 5)
			timer(f, t, rec);
		break;
	case 'c':
		if (n == 3 && isfinite(parse(f[2])))
			tw_record_expiry(rec, t, f[1], parse(f[2]));
		break;
	}
}

void tw_guest_facts(char *text, double t, struct tw_sources *s, struct tw_recorder *rec)
{
	json_t *now = json_object();
	char *line, *next, *f[FIELDS_MAX] = { 0 };

	for (line = text; line && *line; line = next) {
		int n = 0;

		next = strchr(line, '\n');
		if (next)
			*next++ = 0;
		if (!strncmp(line, "j\t", 2)) {
			journal(line + 2, rec);
			continue;
		}
		while (n < FIELDS_MAX && line) {
			f[n++] = line;
			line = strchr(line, '\t');
			if (line)
				*line++ = 0;
		}
		fact(f, n, t, s, now, rec);
	}
	json_decref(s->failed);
	s->failed = now;
}

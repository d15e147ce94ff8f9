// SPDX-License-Identifier: GPL-2.0
/* What QEMU's monitor, its process, KVM and the timeline know of a guest. */
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "age/source.h"
#include "kvmstat.h"
#include "proc.h"
#include "state.h"
#include "text.h"

#define ANSWER_MS 5000
/* A thousand bytes a mapping, of which QEMU has hundreds */
#define SMAPS_MAX (16 << 20)

static void counter(struct tw_recorder *rec, const char *name, const char *unit, const char *title,
		    int worse, double v)
{
	tw_record_value(rec, name, &(struct tw_series_kind){ unit, true, worse, title }, NAN, v);
}

static void gauge(struct tw_recorder *rec, const char *name, const char *unit, const char *title, int worse,
		  double limit, double v)
{
	tw_record_value(rec, name, &(struct tw_series_kind){ unit, false, worse, title }, limit, v);
}

static double number_of(json_t *o, const char *key)
{
	json_t *v = json_object_get(o, key);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

/* To be freed. QEMU has a path for a device with a name, as libvirt's have: /machine/peripheral/NAME/virtio-backend */
static char *name_of(json_t *o)
{
	static const char named[] = "/machine/peripheral/";
	const char *name = json_string_value(json_object_get(o, "device"));
	char *copy;

	if (!name || !*name)
		name = json_string_value(json_object_get(o, "qdev"));
	if (!name || !*name)
		return tw_strdup("disk");
	if (strncmp(name, named, strlen(named)))
		return tw_strdup(name);
	copy = tw_strdup(name + strlen(named));
	copy[strcspn(copy, "/")] = 0;
	return copy;
}

static void sample_blocks(struct tw_sources *s, struct tw_recorder *rec)
{
	json_t *list = tw_talk_ask(&s->monitor, "query-blockstats", NULL, ANSWER_MS), *o, *stats, *image;
	char name[160], *disk;
	size_t i;

	json_array_foreach(list, i, o) {
		stats = json_object_get(o, "stats");
		disk = name_of(o);
		snprintf(name, sizeof(name), "qemu.block.%.100s.written", disk);
		counter(rec, name, "B", "written to the disk", 1, number_of(stats, "wr_bytes"));
		snprintf(name, sizeof(name), "qemu.block.%.100s.read", disk);
		counter(rec, name, "B", "read from the disk", 1, number_of(stats, "rd_bytes"));
		snprintf(name, sizeof(name), "qemu.block.%.100s.failed", disk);
		counter(rec, name, "requests", "requests that failed", 1,
			number_of(stats, "failed_wr_operations") + number_of(stats, "failed_rd_operations"));
		free(disk);
	}
	json_decref(list);
	list = tw_talk_ask(&s->monitor, "query-block", NULL, ANSWER_MS);
	json_array_foreach(list, i, o) {
		image = json_object_get(json_object_get(o, "inserted"), "image");
		disk = name_of(o);
		snprintf(name, sizeof(name), "qemu.block.%.100s.image", disk);
		free(disk);
		/* which is bounded by the disk's size: what fills it, the guest's own file systems tell */
		gauge(rec, name, "B", "what the image takes on the host", 0, NAN, number_of(image, "actual-size"));
	}
	json_decref(list);
}

/* The balloon's path, among devices with an id or without; NULL if there is none */
static char *find_balloon(struct tw_sources *s)
{
	static const char *const folders[] = { "/machine/peripheral", "/machine/peripheral-anon" };
	char *path = NULL;
	size_t i, k;
	json_t *o;

	for (i = 0; !path && i < 2; i++) {
		json_t *list = tw_talk_ask(&s->monitor, "qom-list", json_pack("{s:s}", "path", folders[i]),
					   ANSWER_MS);

		json_array_foreach(list, k, o) {
			const char *type = json_string_value(json_object_get(o, "type"));
			const char *name = json_string_value(json_object_get(o, "name"));

			if (type && name && !strncmp(type, "child<virtio-balloon", 20) && !path)
				path = tw_asprintf("%s/%s", folders[i], name);
		}
		json_decref(list);
	}
	return path;
}

/*
 * Has the guest say its figures once, now: what enables the polling asks at once. By an interval of its own it
 * would be asked again and again, in guest time, and an idle guest be woken for each.
 */
static void ask_balloon(struct tw_sources *s, const char *path)
{
	static const int intervals_s[] = { 0, 1 << 30 };
	size_t i;

	for (i = 0; i < 2; i++)
		json_decref(tw_talk_ask(&s->monitor, "qom-set",
					json_pack("{s:s, s:s, s:i}", "path", path, "property",
						  "guest-stats-polling-interval", "value", intervals_s[i]),
					ANSWER_MS));
}

/* What it said last, should it not have answered yet; one that a sample ago was asked in vain, will not */
static void read_balloon(struct tw_sources *s, const char *path, struct tw_recorder *rec)
{
	json_t *o = json_pack("{s:s, s:s}", "path", path, "property", "guest-stats"), *stats;

	o = tw_talk_ask(&s->monitor, "qom-get", o, ANSWER_MS);
	stats = json_object_get(o, "stats");
	if (number_of(o, "last-update") > 0) {
		/* all ones is what the guest did not say */
		double free_now = number_of(stats, "stat-available-memory");
		double faults = number_of(stats, "stat-major-faults");

		gauge(rec, "balloon.available", "B", "memory that can be had, by the balloon", -1, NAN,
		      free_now < 1e18 ? free_now : NAN);
		counter(rec, "balloon.major-faults", "faults", "pages read back from disk", 1,
			faults < 1e18 ? faults : NAN);
	} else if (s->samples > 1) {
		tw_record_missing(rec, "balloon", "the guest does not answer it: its driver, virtio_balloon, is not loaded");
	}
	json_decref(o);
}

void tw_sample_monitor(struct tw_sources *s, struct tw_recorder *rec)
{
	char *balloon;

	if (!tw_talk_is_open(&s->monitor))
		return;
	balloon = find_balloon(s);
	if (balloon)
		ask_balloon(s, balloon);
	else
		tw_record_missing(rec, "balloon", "the VM has no virtio-balloon");
	/* it answers meanwhile */
	sample_blocks(s, rec);
	if (balloon)
		read_balloon(s, balloon, rec);
	free(balloon);
}

static double count_entries(const char *path)
{
	DIR *d = opendir(path);
	double n = -2;		/* itself and its parent */

	if (!d)
		return NAN;
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* What is resident of a process's largest mapping, in kB: of QEMU's, that is the guest's memory */
static double largest_rss(int pid)
{
	double size = 0, largest = 0, rss = 0, v;
	size_t len;
	char *text = tw_proc_text(pid, "smaps", SMAPS_MAX, &len), *rest = text, *line;

	while (rest && (line = strsep(&rest, "\n"))) {
		if (sscanf(line, "Size: %lf kB", &v) == 1)
			size = v;
		if (sscanf(line, "Rss: %lf kB", &v) != 1 || size <= largest)
			continue;
		largest = size;
		rss = v;
	}
	if (!text)
		rss = NAN;
	free(text);
	return rss;
}

static void sample_process(const struct tw_vm *vm, struct tw_recorder *rec)
{
	char path[64], *text, *at;

	snprintf(path, sizeof(path), "/proc/%d/status", vm->pid);
	text = tw_read_file(path, NULL);
	at = text ? strstr(text, "\nVmRSS:") : NULL;
	if (at)
		gauge(rec, "qemu.rss", "B", "resident memory of QEMU, without the guest's", 1, NAN,
		      (strtod(at + 7, NULL) - largest_rss(vm->pid)) * 1024);
	free(text);
	snprintf(path, sizeof(path), "/proc/%d/fd", vm->pid);
	gauge(rec, "qemu.fds", "descriptors", "open descriptors of QEMU", 1, NAN, count_entries(path));
}

static void sample_kvm(const struct tw_vm *vm, struct tw_recorder *rec)
{
	static const struct {
		const char *stat, *series, *unit, *title;
	} rows[] = {
		{ "exits", "kvm.exits", "exits", "exits of the guest" },
		{ "halt_exits", "kvm.halts", "halts", "how often a vCPU went idle" },
		{ "io_exits", "kvm.io", "exits", "port accesses that left the guest" },
		{ "mmio_exits", "kvm.mmio", "exits", "memory-mapped accesses that left the guest" },
	};
	struct tw_kvmstats stats;
	uint64_t sum;
	size_t i;

	tw_kvmstats_open(vm, &stats);
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (tw_kvmstats_sum(&stats, rows[i].stat, &sum))
			counter(rec, rows[i].series, rows[i].unit, rows[i].title, 1, sum);
	tw_kvmstats_free(&stats);
}

void tw_sample_host(struct tw_sources *s, struct tw_recorder *rec)
{
	struct tw_err e = { 0 };
	struct tw_state st;

	sample_process(s->vm, rec);
	sample_kvm(s->vm, rec);
	if (s->vm->dir && !tw_state_read(s->vm->dir, &st, &e)) {
		counter(rec, "timewarp.lost-ticks", "ticks", "ticks that KVM could not deliver", 1, st.lost_ticks);
		counter(rec, "timewarp.leaps", "leaps", "leaps of guest time", 0, st.leaps);
	}
	tw_err_free(&e);
}

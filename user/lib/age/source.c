// SPDX-License-Identifier: GPL-2.0
/* Connecting to sources, and asking all of them. */
#include "age/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proc.h"
#include "text.h"

#define OPEN_MS 5000
#define ANSWER_MS 5000
#define SCRIPT_MS 60000
#define LATE_MAX 3		/* then the agent is given up */

extern const char tw_guest_script[];

/* Through libvirt where it holds the sockets; false with t->why filled, if there is anything to connect to */
static bool open_talk(const struct tw_sources *s, struct tw_talk *t, bool agent)
{
	const char *path = agent ? s->channels.agent : s->channels.monitor;

	*t = (struct tw_talk){ .fd = -1 };
	if (s->channels.domain && (!agent || s->channels.has_agent))
		return tw_talk_open_domain(t, s->channels.domain, agent, OPEN_MS);
	return path && tw_talk_open(t, path, agent, OPEN_MS);
}

static void connect_to(const struct tw_sources *s, struct tw_talk *t, bool agent, const char *source, const char *none,
		       struct tw_recorder *rec)
{
	if (open_talk(s, t, agent))
		return;
	tw_record_missing(rec, source, *t->why ? t->why : none);
	tw_talk_close(t);
}

void tw_sources_open(struct tw_sources *s, const struct tw_vm *vm, struct tw_recorder *rec)
{
	size_t len = 0;
	char *argv = tw_read_cmdline(vm->pid, &len);

	*s = (struct tw_sources){ .vm = vm, .failed = json_object(), .try_at = 2 };
	if (argv)
		tw_channels_find(argv, len, &s->channels);
	free(argv);
	connect_to(s, &s->monitor, false, "QEMU's monitor",
		   "QEMU's command line names no QMP socket: -qmp unix:PATH,server=on,wait=off", rec);
	connect_to(s, &s->agent, true, "guest agent",
		   "QEMU's command line has no virtserialport of name org.qemu.guest_agent.0", rec);
}

void tw_sources_close(struct tw_sources *s)
{
	tw_talk_close(&s->monitor);
	tw_talk_close(&s->agent);
	tw_channels_free(&s->channels);
	json_decref(s->failed);
	free(s->zone);
}

double tw_sources_time(struct tw_sources *s)
{
	json_t *ns = tw_talk_ask(&s->agent, "guest-get-time", NULL, ANSWER_MS);
	double t = json_number_value(ns) / 1e9;

	json_decref(ns);
	return t > 0 && t < 1e11 ? t : 0;
}

/*
 * One that was not there, or was given up, is tried again with each second, fourth, eighth... sample: its guest may
 * have booted since, and one that never answers costs no more than a few waits in a year.
 */
static bool find_agent(struct tw_sources *s, double t, struct tw_recorder *rec)
{
	if (tw_talk_is_open(&s->agent))
		return true;
	if (s->samples < s->try_at)
		return false;
	s->try_at = 2 * s->samples;
	if (!open_talk(s, &s->agent, true)) {
		tw_talk_close(&s->agent);
		return false;
	}
	s->late = 0;
	tw_record_event(rec, t, "note", "guest agent", "answers from now on");
	return true;
}

static void sample_agent(struct tw_sources *s, double t, struct tw_recorder *rec)
{
	char since[24], *text;

	s->samples++;
	if (!find_agent(s, t, rec))
		return;
	snprintf(since, sizeof(since), "%.0f", s->last ? s->last : t);
	text = tw_talk_exec(&s->agent, tw_guest_script, since, SCRIPT_MS);
	if (text) {
		s->late = 0;
		tw_guest_facts(text, t, s, rec);
		free(text);
		return;
	}
	tw_record_event(rec, t, "warning", "guest agent", s->agent.why);
	if (++s->late < LATE_MAX)
		return;
	tw_record_missing(rec, "guest agent", s->agent.why);
	tw_talk_close(&s->agent);
	s->try_at = s->samples + 1;
}

void tw_sources_sample(struct tw_sources *s, double t, struct tw_recorder *rec)
{
	sample_agent(s, t, rec);
	tw_sample_monitor(s, rec);
	tw_sample_host(s, rec);
	s->last = t;
}

/* SPDX-License-Identifier: GPL-2.0 */
/* What the tracer's numbers are called. */
#ifndef TW_TRACE_NAMES_H
#define TW_TRACE_NAMES_H

#include <stddef.h>
#include <stdint.h>

#include "trace.h"

const char *tw_source_name(unsigned int source);
const char *tw_part_name(unsigned int part);
const char *tw_cause_name(unsigned int cause);
const char *tw_kind_name(unsigned int kind);
const char *tw_loss_name(unsigned int loss);
/* What a TRACE_EV_SEGMENT did to the timeline */
const char *tw_change_name(const struct trace_event *ev);

/* What a program of bpf/trace shows, for people: "Xen's timers" */
const char *tw_subject_name(const char *program);

/* The number of a source's name; -1 if there is no such */
int tw_source_parse(const char *name);

/* What happens to ticks that cannot be delivered, in QEMU's words, or "-" */
const char *tw_lost_policy(unsigned int source, const struct trace_stats *s);

/* ns in at most 6 characters: "123ns", "12.3us", "1.23ms", "4.5s" */
const char *tw_short_ns(char *buf, size_t size, uint64_t ns);
/* A count in at most width characters: "12345", "123k", "12M" */
const char *tw_short_count(char *buf, size_t size, uint64_t n, int width);

#endif /* TW_TRACE_NAMES_H */

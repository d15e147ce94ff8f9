// SPDX-License-Identifier: GPL-2.0
/*
 * libFuzzer target for all that reads text from outside: the first byte picks a parser, the rest is
 * its input.  What parses must hold to its promises.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diagnose.h"
#include "json.h"
#include "parse.h"
#include "proc.h"
#include "qemu/cmdline.h"
#include "state.h"
#include "text.h"
#include "vm.h"
#include "when.h"

static void check(int good)
{
	if (!good)
		abort();
}

static void fuzz_factor(const char *text)
{
	struct timewarp_factor f;
	const char *why;
	char buf[48];

	if (tw_parse_factor(text, &f, &why))
		return;
	check(f.num && f.den);
	check((unsigned __int128)f.num <= (unsigned __int128)f.den * TIMEWARP_FACTOR_LIMIT);
	check((unsigned __int128)f.num * TIMEWARP_FACTOR_LIMIT >= f.den);
	check(strlen(tw_format_factor(buf, sizeof(buf), f.num, f.den)) < 20);
}

static void fuzz_numbers(const char *text)
{
	const char *why;
	char buf[48];
	uint64_t u;
	int64_t s;

	if (!tw_parse_duration(text, &u, &why)) {
		check(u <= INT64_MAX);
		tw_format_span(buf, sizeof(buf), u);
	}
	if (!tw_parse_u64(text, &u, &why))
		check(u == strtoull(text, NULL, 10));
	if (!tw_parse_s64(text, &s, &why))
		check(s == strtoll(text, NULL, 10));
}

/* What a date or a schedule parses to is printed as what parses to the same, to the millisecond */
static void fuzz_when(const char *text)
{
	const struct tw_epoch epoch = { 1767225600000000000, 1767225600000000000 };
	struct timewarp_schedule s, again;
	struct timewarp_when w, w2;
	const char *why;
	char buf[2048];
	uint64_t ns;

	if (!tw_parse_date(text, &ns, &why) && ns < 9214646399000000000) {
		check(!tw_parse_date(tw_format_date(buf, sizeof(buf), ns), &ns, &why));
		check(ns % 1000000 == 0);
	}
	if (!tw_parse_when(text, epoch, &w, &why)) {
		check(w.ns <= INT64_MAX && w.kind <= TIMEWARP_AFTER_HOST);
		tw_format_when(buf, sizeof(buf), epoch, &w);
		if (w.kind != TIMEWARP_AT_GUEST && w.kind != TIMEWARP_AT_HOST) {
			check(!tw_parse_when(buf, epoch, &w2, &why));
			check(!memcmp(&w, &w2, sizeof(w)));
		}
	}
	if (!tw_parse_schedule(text, epoch, &s, &why)) {
		check(s.n && s.n <= TIMEWARP_PIECES && !s.piece[s.n - 1].end.kind);
		check(strlen(tw_format_schedule(buf, sizeof(buf), epoch, &s)) < sizeof(buf) - 1);
		check(!tw_parse_schedule(buf, epoch, &again, &why) && again.n == s.n);
	}
	/* from a policy's map anything may come */
	memset(&s, *text, sizeof(s));
	tw_format_schedule(buf, sizeof(buf), epoch, &s);
}

static void fuzz_text(const char *text)
{
	struct tw_json j = { 0 };
	struct tw_state st;
	struct tw_proc p;
	const char *why;
	char cell[20];
	char *out = NULL;
	size_t size;

	j.f = open_memstream(&out, &size);
	tw_json_open(&j, NULL, '{');
	tw_json_str(&j, "text", text);
	tw_json_close(&j, '}');
	tw_json_end(&j);
	fclose(j.f);
	check(strchr(out, '\n') == out + size - 1);
	free(out);
	check(strlen(TW_QUOTE(text)) < TW_QUOTE_MAX);
	check(strlen(tw_printable(cell, sizeof(cell), text)) < sizeof(cell));
	tw_state_parse(text, &st, &why);
	if (tw_proc_parse_stat(text, &p))
		check(strlen(p.comm) < sizeof(p.comm));
}

static void fuzz_names(const char *text, size_t len)
{
	struct tw_vm vm = { .pid = 1, .fd = 2, .id = "1-2" };
	struct tw_facts facts = { .is_qemu = true };
	struct tw_finding found[TW_FINDINGS_MAX];
	struct tw_selector sel;
	char named[4096];
	const char *why;

	tw_qemu_names(text, len, &vm.names);
	tw_qemu_time_parse(text, len, &facts.q);
	check(tw_diagnose(&facts, found) < TW_FINDINGS_MAX);
	if (!tw_selector_parse(text, &sel, &why))
		tw_selector_matches(&sel, &vm);
	/* A prefix takes any name for what it is, one of digits, too, which would be a PID. */
	if (vm.names.name && *vm.names.name && strlen(vm.names.name) < sizeof(named) - 5) {
		snprintf(named, sizeof(named), "name:%s", vm.names.name);
		check(!tw_selector_parse(named, &sel, &why));
		check(tw_selector_matches(&sel, &vm));
	}
	tw_guest_names_free(&vm.names);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text;

	if (!size)
		return 0;
	text = malloc(size);
	memcpy(text, data + 1, size - 1);
	text[size - 1] = 0;
	switch (data[0] % 5) {
	case 0:
		fuzz_factor(text);
		break;
	case 1:
		fuzz_numbers(text);
		break;
	case 2:
		fuzz_text(text);
		break;
	case 3:
		fuzz_when(text);
		break;
	default:
		fuzz_names(text, size - 1);
	}
	free(text);
	return 0;
}

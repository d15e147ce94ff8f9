// SPDX-License-Identifier: GPL-2.0
#include "state.h"

#include <errno.h>
#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "parse.h"
#include "text.h"

enum type { U32, S32, U64, S64, BOOL, RATIO, TEXT };

struct field {
	const char *key;
	enum type type;
	bool required;
	size_t offset;
	size_t size;
};

#define FIELD(key, type, required, member)						\
	{ key, type, required, offsetof(struct tw_state, member),			\
	  sizeof(((struct tw_state *)0)->member) }

static const struct field fields[] = {
	FIELD("abi", U32, true, abi),
	FIELD("attached", BOOL, true, attached),
	FIELD("id", U32, true, id),
	FIELD("policy", TEXT, true, policy),
	FIELD("link_id", U32, true, link_id),
	FIELD("tsc_mode", TEXT, true, tsc_mode),
	FIELD("factor_asked", RATIO, true, asked),
	FIELD("factor_force", RATIO, true, force),
	FIELD("factor_min", RATIO, false, min),
	FIELD("factor_max", RATIO, false, max),
	FIELD("since_host_ns", U64, true, since_host_ns),
	FIELD("host_ns", U64, true, host_ns),
	FIELD("guest_ns", U64, true, guest_ns),
	FIELD("lead_ns", S64, false, lead_ns),
	FIELD("host_tsc", U64, false, host_tsc),
	FIELD("guest_tsc", U64, false, guest_tsc),
	FIELD("seq", U64, false, seq),
	FIELD("tsc_ratio", U64, false, tsc_ratio),
	FIELD("tsc_frac_bits", U32, false, tsc_frac_bits),
	FIELD("tsc_offset", S64, false, tsc_offset),
	FIELD("pv_tsc", U64, false, pv_tsc),
	FIELD("pv_ns", U64, false, pv_ns),
	FIELD("pv_mul", U32, false, pv_mul),
	FIELD("pv_shift", S32, false, pv_shift),
	FIELD("kvmclock_offset", S64, false, kvmclock_offset),
	FIELD("mono_ahead_ns", S64, false, mono_ahead_ns),
	FIELD("wall_ahead_ns", S64, false, wall_ahead_ns),
	FIELD("held_last_ns", U64, false, held_last_ns),
	FIELD("held_max_ns", U64, false, held_max_ns),
	FIELD("decisions", U64, false, decisions),
	FIELD("changes", U64, false, changes),
	FIELD("clamps", U64, false, clamps),
	FIELD("floors", U64, false, floors),
	FIELD("lost_ticks", U64, false, lost_ticks),
	FIELD("held", BOOL, false, held),
	FIELD("leaps", U64, false, leaps),
	FIELD("leapt_ns", U64, false, leapt_ns),
	FIELD("exit_kind", U32, false, exit_kind),
	FIELD("exit_code", S32, false, exit_code),
	FIELD("exit_reason", TEXT, false, exit_reason),
	FIELD("exit_message", TEXT, false, exit_message),
};

#define NR_FIELDS (sizeof(fields) / sizeof(*fields))

static int read_ratio(const char *value, struct timewarp_factor *f, const char **why)
{
	const char *slash = strchr(value, '/');
	uint64_t num, den;
	char first[24];

	*why = "not a ratio";
	if (!slash || (size_t)(slash - value) >= sizeof(first))
		return -1;
	memcpy(first, value, slash - value);
	first[slash - value] = 0;
	if (tw_parse_u64(first, &num, why) || tw_parse_u64(slash + 1, &den, why))
		return -1;
	f->num = num;
	f->den = den;
	return 0;
}

static int read_field(const struct field *f, const char *value, struct tw_state *st,
		      const char **why)
{
	void *to = (char *)st + f->offset;
	uint64_t u;
	int64_t s;

	switch (f->type) {
	case TEXT:
		snprintf(to, f->size, "%s", value);
		return 0;
	case RATIO:
		return read_ratio(value, to, why);
	case S32:
	case S64:
		if (tw_parse_s64(value, &s, why))
			return -1;
		if (f->type == S64)
			*(int64_t *)to = s;
		else
			*(int *)to = s;
		return 0;
	default:
		break;
	}
	if (tw_parse_u64(value, &u, why))
		return -1;
	if (f->type == U64)
		*(uint64_t *)to = u;
	else if (f->type == BOOL)
		*(bool *)to = u;
	else
		*(unsigned int *)to = u;
	return 0;
}

static const struct field *find_field(const char *key, size_t len)
{
	size_t i;

	for (i = 0; i < NR_FIELDS; i++)
		if (strlen(fields[i].key) == len && !strncmp(fields[i].key, key, len))
			return &fields[i];
	return NULL;
}

static int parse_line(char *line, struct tw_state *st, bool *seen, const char **why)
{
	size_t key = strcspn(line, " ");
	const struct field *f = find_field(line, key);

	if (!f)
		return 0;
	seen[f - fields] = true;
	return read_field(f, line[key] ? line + key + 1 : "", st, why);
}

int tw_state_parse(const char *text, struct tw_state *st, const char **why)
{
	bool seen[NR_FIELDS] = { false };
	char *copy = tw_strdup(text), *rest = copy, *line;
	int ret = 0;
	size_t i;

	memset(st, 0, sizeof(*st));
	while (!ret && (line = strsep(&rest, "\n")))
		ret = parse_line(line, st, seen, why);
	free(copy);
	for (i = 0; !ret && i < NR_FIELDS; i++)
		if (fields[i].required && !seen[i]) {
			*why = "a key is missing";
			ret = -1;
		}
	return ret;
}

/* The VM's directory, out of KVM's, which is there */
static bool has_gone(const char *dir)
{
	char *parent = tw_asprintf("%.*s", (int)(strrchr(dir, '/') - dir), dir);
	bool gone = access(dir, F_OK) && !access(parent, F_OK);

	free(parent);
	return gone;
}

static int fail_read(const char *dir, const char *path, int code, struct tw_err *e)
{
	bool gone = code == ENOENT && has_gone(dir);

	tw_fail(e, gone ? TW_NO_VM : code == ENOENT ? TW_UNSUPPORTED : TW_FAILED, "cannot read %s", path);
	e->code = code;
	tw_fact(e, "%s", gone ? "the VM has gone" : strerror(code));
	return gone ? tw_cure(e, "see what there is: twctl list") : e->status;
}

int tw_state_read(const char *dir, struct tw_state *st, struct tw_err *e)
{
	const char *why;
	char *path, *text;
	int ret;

	path = tw_asprintf("%s/timewarp", dir);
	text = tw_read_file(path, NULL);
	if (!text) {
		fail_read(dir, path, errno, e);
		free(path);
		return e->status;
	}
	ret = tw_state_parse(text, st, &why);
	free(text);
	if (ret) {
		tw_fail(e, TW_UNSUPPORTED, "cannot understand %s", path);
		tw_fact(e, "%s", why);
		tw_cure(e, "install twctl and the modules of one version");
	}
	free(path);
	return ret ? e->status : 0;
}

const char *tw_exit_kind_name(unsigned int kind)
{
	static const char *const names[] = {
		[KVM_TIMEWARP_EXIT_NONE] = "none",
		[KVM_TIMEWARP_EXIT_UNREG] = "detached",
		[KVM_TIMEWARP_EXIT_VM_GONE] = "vm-gone",
		[KVM_TIMEWARP_EXIT_EJECTED] = "ejected",
		[KVM_TIMEWARP_EXIT_DISABLED] = "disabled",
		[KVM_TIMEWARP_EXIT_HOST] = "host",
	};

	return kind < sizeof(names) / sizeof(*names) ? names[kind] : "unknown";
}

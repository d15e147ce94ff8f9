// SPDX-License-Identifier: GPL-2.0
#include "params.h"

#include <bpf/btf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host.h"
#include "parse.h"
#include "text.h"
#include "timewarp.h"

typedef __int128 s128;

static const char *type_name(const struct btf *btf, const struct btf_type *t)
{
	return btf__name_by_offset(btf, t->name_off);
}

static const struct btf_type *resolve(const struct btf *btf, unsigned int id)
{
	const struct btf_type *t = btf__type_by_id(btf, id);

	while (t && (btf_is_mod(t) || btf_is_typedef(t)))
		t = btf__type_by_id(btf, t->type);
	return t;
}

static bool classify_struct(const char *name, size_t size, enum tw_param_type *type)
{
	static const struct {
		const char *name;
		size_t size;
		enum tw_param_type type;
	} structs[] = {
		{ "timewarp_factor", sizeof(struct timewarp_factor), TW_PARAM_FACTOR },
		{ "timewarp_when", sizeof(struct timewarp_when), TW_PARAM_WHEN },
		{ "timewarp_schedule", sizeof(struct timewarp_schedule), TW_PARAM_SCHEDULE },
	};
	size_t i;

	for (i = 0; i < sizeof(structs) / sizeof(*structs); i++)
		if (!strcmp(name, structs[i].name)) {
			*type = structs[i].type;
			return size == structs[i].size;
		}
	return false;
}

/* Which kind of parameter a variable's type makes; false if none */
static bool classify(const struct btf *btf, unsigned int type_id, enum tw_param_type *type)
{
	const struct btf_type *t = resolve(btf, type_id);

	if (!t)
		return false;
	if (btf_is_int(t)) {
		unsigned int encoding = btf_int_encoding(t);

		*type = encoding & BTF_INT_BOOL ? TW_PARAM_BOOL :
			encoding & BTF_INT_SIGNED ? TW_PARAM_SIGNED : TW_PARAM_UNSIGNED;
		return t->size <= 8;
	}
	if (btf_is_struct(t))
		return classify_struct(type_name(btf, t), t->size, type);
	if (btf_is_array(t)) {
		const struct btf_type *elem = resolve(btf, btf_array(t)->type);

		*type = TW_PARAM_TEXT;
		return elem && btf_is_int(elem) && elem->size == 1;
	}
	return false;
}

static void take_tag(struct tw_param *p, const char *tag)
{
	static const struct {
		const char *key;
		size_t offset;
	} keys[] = {
		{ "min=", offsetof(struct tw_param, min) },
		{ "max=", offsetof(struct tw_param, max) },
		{ "unit=", offsetof(struct tw_param, unit) },
		{ "help=", offsetof(struct tw_param, help) },
	};
	size_t i, len;

	if (strncmp(tag, TIMEWARP_TAG_PREFIX, strlen(TIMEWARP_TAG_PREFIX)))
		return;
	tag += strlen(TIMEWARP_TAG_PREFIX);
	for (i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		len = strlen(keys[i].key);
		if (!strncmp(tag, keys[i].key, len))
			*(const char **)((char *)p + keys[i].offset) = tag + len;
	}
}

static void read_tags(const struct btf *btf, unsigned int var_id, struct tw_param *p)
{
	unsigned int id, n = btf__type_cnt(btf);

	for (id = 1; id < n; id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);

		if (btf_is_decl_tag(t) && t->type == var_id)
			take_tag(p, type_name(btf, t));
	}
}

static void read_var(const struct btf *btf, const struct btf_var_secinfo *info, bool counter,
		     struct tw_params *params)
{
	const struct btf_type *var = btf__type_by_id(btf, info->type);
	struct tw_param p = {
		.name = type_name(btf, var),
		.unit = "",
		.help = "",
		.offset = info->offset,
		.size = info->size,
		.counter = counter,
	};

	if (!classify(btf, var->type, &p.type))
		return;
	read_tags(btf, info->type, &p);
	params->v = tw_grow(params->v, params->n + 1, sizeof(p));
	params->v[params->n++] = p;
}

void tw_params_read(const struct btf *btf, const char *section, struct tw_params *params)
{
	const struct btf_type *sec;
	int id, i;

	memset(params, 0, sizeof(*params));
	id = btf__find_by_name_kind(btf, section, BTF_KIND_DATASEC);
	if (id < 0)
		return;
	sec = btf__type_by_id(btf, id);
	for (i = 0; i < btf_vlen(sec); i++)
		read_var(btf, &btf_var_secinfos(sec)[i], !strcmp(section, TIMEWARP_COUNTERS_SECTION), params);
}

const char *tw_btf_tag(const struct btf *btf, const char *key)
{
	size_t prefix = strlen(TIMEWARP_TAG_PREFIX), len = strlen(key);
	unsigned int id, n = btf__type_cnt(btf);

	for (id = 1; id < n; id++) {
		const struct btf_type *t = btf__type_by_id(btf, id);
		const char *tag = btf_is_decl_tag(t) ? type_name(btf, t) : "";

		if (!strncmp(tag, TIMEWARP_TAG_PREFIX, prefix) &&
		    !strncmp(tag + prefix, key, len))
			return tag + prefix + len;
	}
	return NULL;
}

void tw_params_free(struct tw_params *params)
{
	free(params->v);
	memset(params, 0, sizeof(*params));
}

static char *list_names(const struct tw_params *params)
{
	char *list = tw_strdup("");
	size_t i;

	for (i = 0; i < params->n; i++) {
		char *longer = tw_asprintf("%s%s%s", list, i ? ", " : "", params->v[i].name);

		free(list);
		list = longer;
	}
	return list;
}

static const struct tw_param *find_param(const struct tw_params *params, const char *assignment,
					 struct tw_err *e)
{
	size_t len = strcspn(assignment, "="), i;
	char *names;

	tw_fail(e, TW_USAGE, "cannot set %s", TW_QUOTE(assignment));
	if (!assignment[len] || !len) {
		tw_fact(e, "a parameter is written name=value");
		tw_cure(e, "see twctl help set");
		return NULL;
	}
	for (i = 0; i < params->n; i++)
		if (strlen(params->v[i].name) == len &&
		    !strncmp(params->v[i].name, assignment, len))
			return &params->v[i];
	tw_fact(e, "the policy has no such parameter");
	names = list_names(params);
	tw_cure(e, params->n ? "it has: %s" : "it has none%s", names);
	free(names);
	return NULL;
}

/* A bound as the C preprocessor left it: digits, perhaps with a suffix such as ULL */
static bool read_literal(const char *text, s128 *value)
{
	const char *why;
	char digits[24];
	size_t len = strspn(text, "-0123456789");
	uint64_t u;
	int64_t s;

	if (!len || len >= sizeof(digits) || text[len + strspn(text + len, "uUlL")])
		return false;
	memcpy(digits, text, len);
	digits[len] = 0;
	if (!tw_parse_u64(digits, &u, &why))
		*value = u;
	else if (!tw_parse_s64(digits, &s, &why))
		*value = s;
	else
		return false;
	return true;
}

static bool is_duration(const struct tw_param *p)
{
	return !strcmp(p->unit, "ns");
}

const char *tw_param_bound(const struct tw_param *p, const char *literal, char *buf, size_t size)
{
	s128 value;

	if (is_duration(p) && read_literal(literal, &value) && value <= INT64_MAX)
		return tw_format_duration(buf, size, value);
	snprintf(buf, size, "%.*s%s", (int)strspn(literal, "-0123456789"), literal,
		 is_duration(p) ? "ns" : "");
	return buf;
}

/* What its type holds */
static void type_range(const struct tw_param *p, s128 *lo, s128 *hi)
{
	unsigned int bits = p->size * 8;
	bool negative = p->type == TW_PARAM_SIGNED;

	*lo = negative ? -((s128)1 << (bits - 1)) : 0;
	*hi = ((s128)1 << (bits - negative)) - 1;
}

bool tw_param_range(const struct tw_param *p, uint64_t *lo, uint64_t *hi)
{
	s128 least, most;

	if (p->type != TW_PARAM_UNSIGNED && p->type != TW_PARAM_SIGNED && p->type != TW_PARAM_BOOL)
		return false;
	type_range(p, &least, &most);
	if ((p->min && !read_literal(p->min, &least)) || (p->max && !read_literal(p->max, &most)) || least > most)
		return false;
	*lo = least;
	*hi = most;
	return true;
}

static int check_range(const struct tw_param *p, s128 value, struct tw_err *e)
{
	char min[TW_DURATION_MAX], max[TW_DURATION_MAX];
	s128 lo, hi;

	type_range(p, &lo, &hi);
	if (p->min && !read_literal(p->min, &lo))
		return tw_fact(e, "its lower bound %s is no literal", TW_QUOTE(p->min));
	if (p->max && !read_literal(p->max, &hi))
		return tw_fact(e, "its upper bound %s is no literal", TW_QUOTE(p->max));
	if (value >= lo && value <= hi)
		return TW_OK;
	tw_fact(e, "it is outside its range");
	return tw_cure(e, "%s takes %s to %s%s%s", p->name,
		       p->min ? tw_param_bound(p, p->min, min, sizeof(min)) : "the least",
		       p->max ? tw_param_bound(p, p->max, max, sizeof(max)) : "the most its type holds",
		       is_duration(p) ? "" : " ", is_duration(p) ? "" : p->unit);
}

/* Little endian, as the kernel that this is for */
static void store(const struct tw_param *p, void *data, uint64_t value)
{
	memcpy((char *)data + p->offset, &value, p->size);
}

static int assign_number(const struct tw_param *p, const char *text, void *data, struct tw_err *e)
{
	const char *why;
	s128 value;
	uint64_t u;
	int64_t s;
	int ret;

	if (is_duration(p) && p->type == TW_PARAM_SIGNED) {
		ret = tw_parse_signed_duration(text, &s, &why);
		value = s;
	} else if (is_duration(p)) {
		ret = tw_parse_duration(text, &u, &why);
		value = u;
	} else if (p->type == TW_PARAM_SIGNED) {
		ret = tw_parse_s64(text, &s, &why);
		value = s;
	} else {
		ret = tw_parse_u64(text, &u, &why);
		value = u;
	}
	if (ret) {
		tw_fact(e, "%s is %s", TW_QUOTE(text), why);
		return tw_cure(e, "%s: %s", p->name, *p->help ? p->help : "a number");
	}
	ret = check_range(p, value, e);
	if (!ret)
		store(p, data, value);
	return ret;
}

static int assign_bool(const struct tw_param *p, const char *text, void *data, struct tw_err *e)
{
	static const char *const yes[] = { "1", "yes", "true", "on" };
	static const char *const no[] = { "0", "no", "false", "off" };
	size_t i;

	for (i = 0; i < 4; i++) {
		if (strcmp(text, yes[i]) && strcmp(text, no[i]))
			continue;
		store(p, data, !strcmp(text, yes[i]));
		return TW_OK;
	}
	tw_fact(e, "%s is neither yes nor no", TW_QUOTE(text));
	return tw_cure(e, "%s: %s", p->name, p->help);
}

static int assign_factor(const struct tw_param *p, const char *text, void *data, struct tw_err *e)
{
	struct timewarp_factor f;
	const char *why;

	if (tw_parse_factor(text, &f, &why)) {
		tw_fact(e, "%s is %s", TW_QUOTE(text), why);
		return tw_cure(e, "give a factor from 1/10000 to 10000");
	}
	memcpy((char *)data + p->offset, &f, sizeof(f));
	return TW_OK;
}

struct tw_epoch tw_epoch_now(int64_t ahead_ns)
{
	int64_t host_ns = tw_host_epoch_ns();

	return (struct tw_epoch) { .host_ns = host_ns, .guest_ns = host_ns + ahead_ns };
}

void tw_params_epoch(struct tw_params *params, struct tw_epoch epoch)
{
	size_t i;

	for (i = 0; i < params->n; i++)
		params->v[i].epoch = epoch;
}

static bool has_date(const struct tw_param *p, const char *data)
{
	struct timewarp_schedule s = { 0 };
	struct timewarp_when when;
	size_t i;

	if (p->type == TW_PARAM_WHEN) {
		memcpy(&when, data + p->offset, sizeof(when));
		return when.kind == TIMEWARP_AT_GUEST;
	}
	if (p->type == TW_PARAM_SCHEDULE)
		memcpy(&s, data + p->offset, sizeof(s));
	for (i = 0; i < s.n && i < TIMEWARP_PIECES; i++)
		if (s.piece[i].end.kind == TIMEWARP_AT_GUEST)
			return true;
	return false;
}

bool tw_params_have_date(const struct tw_params *params, const void *data, size_t size)
{
	size_t i;

	for (i = 0; i < params->n && data; i++) {
		const struct tw_param *p = &params->v[i];

		if (p->offset <= size && p->size <= size - p->offset && has_date(p, data))
			return true;
	}
	return false;
}

static int assign_when(const struct tw_param *p, const char *text, void *data, struct tw_err *e)
{
	struct timewarp_when when;
	const char *why;

	if (tw_parse_when(text, p->epoch, &when, &why)) {
		tw_fact(e, "%s is %s", TW_QUOTE(text), why);
		return tw_cure(e, "%s: %s, such as 2038-01-19T03:14:07 or 30d", p->name, p->help);
	}
	memcpy((char *)data + p->offset, &when, sizeof(when));
	return TW_OK;
}

static int assign_schedule(const struct tw_param *p, const char *text, void *data,
			   struct tw_err *e)
{
	struct timewarp_schedule s;
	const char *why;

	if (tw_parse_schedule(text, p->epoch, &s, &why)) {
		tw_fact(e, "%s is %s", TW_QUOTE(text), why);
		return tw_cure(e, "%s: %s", p->name, p->help);
	}
	memcpy((char *)data + p->offset, &s, sizeof(s));
	return TW_OK;
}

static int assign_text(const struct tw_param *p, const char *text, void *data, struct tw_err *e)
{
	size_t len = strlen(text);

	if (len >= p->size) {
		tw_fact(e, "it is longer than %zu characters", p->size - 1);
		return tw_cure(e, "%s: %s", p->name, p->help);
	}
	memset((char *)data + p->offset, 0, p->size);
	memcpy((char *)data + p->offset, text, len);
	return TW_OK;
}

int tw_params_assign(const struct tw_params *params, const char *assignment, void *data,
		     size_t size, struct tw_err *e)
{
	const struct tw_param *p = find_param(params, assignment, e);
	const char *text = strchr(assignment, '=');

	if (!p)
		return e->status;
	text++;
	if (p->offset > size || p->size > size - p->offset)
		return tw_fact(e, "the policy's data section is shorter than its BTF says");
	switch (p->type) {
	case TW_PARAM_BOOL:
		return assign_bool(p, text, data, e);
	case TW_PARAM_FACTOR:
		return assign_factor(p, text, data, e);
	case TW_PARAM_WHEN:
		return assign_when(p, text, data, e);
	case TW_PARAM_SCHEDULE:
		return assign_schedule(p, text, data, e);
	case TW_PARAM_TEXT:
		return assign_text(p, text, data, e);
	default:
		return assign_number(p, text, data, e);
	}
}

static void format_number(const struct tw_param *p, const void *from, bool plain, char *buf, size_t room)
{
	bool sign = p->counter && p->type == TW_PARAM_SIGNED && !plain;
	unsigned int shift = 64 - p->size * 8;
	uint64_t u = 0;
	int64_t s;

	memcpy(&u, from, p->size);
	s = p->type == TW_PARAM_SIGNED ? (int64_t)(u << shift) >> shift : (int64_t)u;
	if (sign && s > 0 && room > 1) {
		*buf++ = '+';
		room--;
	}
	if (p->type == TW_PARAM_BOOL)
		snprintf(buf, room, "%s", u ? "yes" : "no");
	else if (is_duration(p) && !plain && (p->type == TW_PARAM_SIGNED || u <= INT64_MAX))
		tw_format_duration(buf, room, s);
	else if (p->type == TW_PARAM_SIGNED)
		snprintf(buf, room, "%" PRId64 "%s", s, is_duration(p) ? "ns" : "");
	else
		snprintf(buf, room, "%" PRIu64 "%s", u, is_duration(p) ? "ns" : "");
}

static const char *format(const struct tw_param *p, const void *data, size_t size, bool plain, char *buf,
			  size_t room)
{
	const char *from = (const char *)data + p->offset;
	struct timewarp_schedule schedule;
	struct timewarp_when when;
	struct timewarp_factor f;

	snprintf(buf, room, "?");
	if (p->offset > size || p->size > size - p->offset)
		return buf;
	switch (p->type) {
	case TW_PARAM_FACTOR:
		memcpy(&f, from, sizeof(f));
		snprintf(buf, room, f.den == 1 ? "%llu" : "%llu/%llu", f.num, f.den);
		break;
	case TW_PARAM_WHEN:
		memcpy(&when, from, sizeof(when));
		tw_format_when(buf, room, p->epoch, &when);
		break;
	case TW_PARAM_SCHEDULE:
		memcpy(&schedule, from, sizeof(schedule));
		tw_format_schedule(buf, room, p->epoch, &schedule);
		break;
	case TW_PARAM_TEXT:
		snprintf(buf, room, "%.*s", (int)p->size, from);
		break;
	default:
		format_number(p, from, plain, buf, room);
	}
	return buf;
}

const char *tw_param_format(const struct tw_param *p, const void *data, size_t size, char *buf,
			    size_t room)
{
	return format(p, data, size, false, buf, room);
}

const char *tw_param_plain(const struct tw_param *p, const void *data, size_t size, char *buf,
			   size_t room)
{
	return format(p, data, size, true, buf, room);
}

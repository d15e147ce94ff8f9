// SPDX-License-Identifier: GPL-2.0
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

/* The value of a key, or NULL; the file is one "key value" a line. */
static const char *find(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text && *text) {
		if (!strncmp(text, key, len) && text[len] == ' ')
			return text + len + 1;
		text = strchr(text, '\n');
		if (text)
			text++;
	}
	return NULL;
}

static const char *need(struct model *m, const char *text, const char *key)
{
	const char *val = find(text, key);

	if (!val && !m->missing[0])
		snprintf(m->missing, sizeof(m->missing), "%s", key);
	return val ? val : "0";
}

static uint64_t num(struct model *m, const char *text, const char *key)
{
	return strtoull(need(m, text, key), NULL, 10);
}

static int64_t snum(struct model *m, const char *text, const char *key)
{
	return strtoll(need(m, text, key), NULL, 10);
}

/* False when there is no such file: stock modules, or no debugfs. */
bool model_read(struct model *m, const char *path)
{
	char text[8192];
	size_t len;
	FILE *f;

	memset(m, 0, sizeof(*m));
	f = fopen(path, "r");
	if (!f)
		return false;
	len = fread(text, 1, sizeof(text) - 1, f);
	fclose(f);
	text[len] = 0;

	m->attached = num(m, text, "attached");
	sscanf(need(m, text, "tsc_mode"), "%15s", m->mode);
	sscanf(need(m, text, "factor_force"), "%" SCNu64 "/%" SCNu64,
	       &m->force_num, &m->force_den);
	m->host_ns = num(m, text, "host_ns");
	m->guest_ns = num(m, text, "guest_ns");
	m->host_tsc = num(m, text, "host_tsc");
	m->guest_tsc = num(m, text, "guest_tsc");
	m->seq = num(m, text, "seq");
	m->ratio = num(m, text, "tsc_ratio");
	m->frac = num(m, text, "tsc_frac_bits");
	m->offset = snum(m, text, "tsc_offset");
	m->pv_tsc = num(m, text, "pv_tsc");
	m->pv_ns = num(m, text, "pv_ns");
	m->mul = num(m, text, "pv_mul");
	m->shift = snum(m, text, "pv_shift");
	m->kvmclock_offset = snum(m, text, "kvmclock_offset");
	m->changes = num(m, text, "changes");
	m->clamps = num(m, text, "clamps");
	m->lost_ticks = num(m, text, "lost_ticks");
	m->valid = m->ratio && m->mul;
	return true;
}

/* Nothing that the formulas use has changed between the two readings. */
bool model_same_segment(const struct model *a, const struct model *b)
{
	return a->valid == b->valid && a->attached == b->attached &&
	       a->seq == b->seq && a->ratio == b->ratio && a->frac == b->frac &&
	       a->offset == b->offset && a->pv_tsc == b->pv_tsc &&
	       a->pv_ns == b->pv_ns && a->mul == b->mul && a->shift == b->shift &&
	       a->kvmclock_offset == b->kvmclock_offset;
}

uint64_t model_tsc(const struct model *m, uint64_t host_tsc)
{
	return (uint64_t)(((unsigned __int128)host_tsc * m->ratio) >> m->frac) +
	       m->offset;
}

uint64_t pv_scale(uint64_t delta, uint32_t mul, int8_t shift)
{
	/* Like the guest's 64-bit shift: bits shifted out on the left are gone. */
	if (shift < 0)
		delta >>= -shift;
	else
		delta <<= shift;
	return (uint64_t)(((unsigned __int128)delta * mul) >> 32);
}

uint64_t model_guest_ns(const struct model *m, uint64_t guest_tsc)
{
	if (guest_tsc < m->pv_tsc)
		return m->pv_ns - pv_scale(m->pv_tsc - guest_tsc, m->mul, m->shift);
	return m->pv_ns + pv_scale(guest_tsc - m->pv_tsc, m->mul, m->shift);
}

uint64_t model_kvmclock(const struct model *m, uint64_t guest_tsc)
{
	return model_guest_ns(m, guest_tsc) + m->kvmclock_offset;
}

// SPDX-License-Identifier: GPL-2.0
#include "looks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "session/lock.h"
#include "text.h"

/* One that follows another sooner is not kept */
#define APART_NS 30000000000ULL
/* A file of another version's is none */
#define MAGIC 0x74776c31

/* Of an attachment: the last look that was kept, and the one before it */
struct past {
	uint32_t magic;
	uint32_t link_id;
	char id[32];
	uint64_t since_host_ns;
	struct tw_rate_look older, newer;
};

static bool is_recent(const struct tw_rate_look *look, uint64_t now_ns)
{
	return look->host_ns && look->host_ns < now_ns && now_ns - look->host_ns <= TW_LOOKS_SPAN_NS;
}

static bool is_of(const struct past *p, const char *id, const struct tw_state *st)
{
	return p->magic == MAGIC && p->link_id == st->link_id && p->since_host_ns == st->since_host_ns &&
	       !strncmp(p->id, id, sizeof(p->id));
}

/* Where it is kept, or else where it may be: in the place of one that is of no use any more, or at the end */
static size_t find(const struct past *p, size_t n, const char *id, const struct tw_state *st)
{
	size_t i, place = n;

	for (i = 0; i < n; i++) {
		if (is_of(&p[i], id, st))
			return i;
		if (place == n && (p[i].magic != MAGIC || !is_recent(&p[i].newer, st->host_ns)))
			place = i;
	}
	return place;
}

/* Where that fails, the next look tells of a longer time */
static bool keep(int fd, size_t at, struct past *p, const struct tw_rate_look *now)
{
	p->older = p->newer;
	p->newer = *now;
	return pwrite(fd, p, sizeof(*p), at * sizeof(*p)) == sizeof(*p);
}

static bool exchange(int fd, const char *id, const struct tw_state *st, const struct tw_rate_look *now, bool keeps,
		     struct tw_rate_look *from)
{
	struct past p = { .magic = MAGIC, .link_id = st->link_id, .since_host_ns = st->since_host_ns };
	size_t len = 0, at;
	char *text = tw_read_fd(fd, &len);
	const struct past *all = (const struct past *)text;

	snprintf(p.id, sizeof(p.id), "%s", id);
	at = find(all, len / sizeof(p), id, st);
	if (at < len / sizeof(p) && is_of(&all[at], id, st))
		p = all[at];
	free(text);
	*from = is_recent(&p.older, now->host_ns) ? p.older : p.newer;
	if (keeps && (!is_recent(&p.newer, now->host_ns) || now->host_ns - p.newer.host_ns >= APART_NS))
		keep(fd, at, &p, now);
	return is_recent(from, now->host_ns);
}

bool tw_looks_from(const char *id, const struct tw_state *st, const struct tw_rate_look *now, bool keeps,
		   struct tw_rate_look *from)
{
	char *path = tw_asprintf("%s/looks", tw_run_dir);
	int fd = tw_run_open(path);
	/* who holds it is another look, and soon through: it is not waited for */
	bool known = fd >= 0 && !flock(fd, LOCK_EX | LOCK_NB) && exchange(fd, id, st, now, keeps, from);

	if (fd >= 0)
		close(fd);
	free(path);
	return known && now->host_ns - st->since_host_ns > TW_LOOKS_SPAN_NS;
}

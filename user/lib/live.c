// SPDX-License-Identifier: GPL-2.0
/* Policies that are attached, by whichever process: from the link's ID to its parameters. */
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "group.h"
#include "kick.h"
#include "policy_priv.h"
#include "qemu/probes.h"
#include "text.h"

#define MAX_MAPS 64
/* at two a millisecond */
#define KICK_TRIES 4000

/* fdinfo tells it to old headers and new; 0 if the link has lost its map */
unsigned int tw_link_map_id(int link_fd)
{
	unsigned int id = 0;
	char path[48];
	char *text, *s;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", link_fd);
	text = tw_read_file(path, NULL);
	s = text ? strstr(text, "\nmap_id:") : NULL;
	if (s)
		id = strtoul(s + 8, NULL, 10);
	free(text);
	return id;
}

int tw_link_map(int link_fd)
{
	unsigned int id = tw_link_map_id(link_fd);

	return id ? bpf_map_get_fd_by_id(id) : -ENOLINK;
}

bool tw_link_defunct(int link_fd)
{
	char path[48];
	char *text;
	bool ops;

	/* Other links, as of probes on a VMM, never have a map */
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", link_fd);
	text = tw_read_file(path, NULL);
	ops = text && strstr(text, "link_type:\tstruct_ops");
	free(text);
	return ops && !tw_link_map_id(link_fd);
}

/* The ops table as the kernel shows it: functions as program IDs, data members as given */
static char *read_ops_fd(int fd)
{
	struct bpf_map_info info = { 0 };
	unsigned int len = sizeof(info), zero = 0;
	char *value = NULL;

	if (!bpf_map_get_info_by_fd(fd, &info, &len)) {
		value = tw_grow(NULL, info.value_size, 1);
		if (bpf_map_lookup_elem(fd, &zero, value)) {
			free(value);
			value = NULL;
		}
	}
	return value;
}

static char *read_ops(unsigned int map_id)
{
	int fd = bpf_map_get_fd_by_id(map_id);
	char *value = fd < 0 ? NULL : read_ops_fd(fd);

	if (fd >= 0)
		close(fd);
	return value;
}

int tw_ops_vm_fd(int map_fd)
{
	long at = tw_ops_offset("vm_fd");
	char *value = read_ops_fd(map_fd);
	int fd = -EINVAL;

	if (value && at >= 0)
		memcpy(&fd, value + at, sizeof(fd));
	free(value);
	return fd;
}

/* The contents of an array map of one element; NULL if they cannot be read */
static void *read_section(int fd, size_t size)
{
	void *data = tw_grow(NULL, size, 1);
	unsigned int zero = 0;

	if (!bpf_map_lookup_elem(fd, &zero, data))
		return data;
	free(data);
	return NULL;
}

/* A variable among those that note what it tells; 0 if it is not there */
static uint64_t told(const char *section, long at)
{
	uint64_t value = 0;

	if (section && at >= 0)
		memcpy(&value, section + at, sizeof(value));
	return value;
}

bool tw_live_is_done(const struct tw_live *l)
{
	/* not shared by mmap(): libbpf lets that be where all variables of a section are static */
	char *section = l->told_fd < 0 ? NULL : read_section(l->told_fd, l->told_size);
	uint64_t done = told(section, l->told_at[TIMEWARP_EVENT_DONE]);
	/* built before there were tasks: it has told so ever */
	uint64_t task = l->task_at < 0 ? done : told(section, l->task_at);

	free(section);
	return done && done == task;
}

bool tw_live_tells(const struct tw_live *l, unsigned int kind)
{
	return l->told_fd >= 0 && l->told_at[kind] >= 0;
}

uint64_t tw_live_told(const struct tw_live *l, unsigned int kind)
{
	char *section = l->told_fd < 0 ? NULL : read_section(l->told_fd, l->told_size);
	uint64_t value = told(section, l->told_at[kind]);

	free(section);
	return value;
}

void tw_live_recount(struct tw_live *l)
{
	unsigned int zero = 0;

	if (l->counts)
		bpf_map_lookup_elem(l->counts_fd, &zero, l->counts);
}

/* Where a variable of 64 bits lies in the section that a map holds; -1 if it does not */
static long find_var(const struct btf *btf, unsigned int section, const char *name, size_t size)
{
	const struct btf_type *t = section ? btf__type_by_id(btf, section) : NULL;
	const struct btf_var_secinfo *var;
	const struct btf_type *v;
	int i;

	if (!t || !btf_is_datasec(t))
		return -1;
	for (i = 0, var = btf_var_secinfos(t); i < btf_vlen(t); i++, var++) {
		v = btf__type_by_id(btf, var->type);
		if (v && var->size == sizeof(__u64) && var->offset + sizeof(__u64) <= size &&
		    !strcmp(btf__name_by_offset(btf, v->name_off), name))
			return var->offset;
	}
	return -1;
}

/* Whether it is the section in which the policy notes what it tells, and where */
static bool find_told(struct tw_live *l, const struct bpf_map_info *info)
{
	static const char *const names[TW_EVENT_KINDS] = {
		TIMEWARP_OTHER_VAR, [TIMEWARP_EVENT_DONE] = TIMEWARP_DONE_VAR,
		[TIMEWARP_EVENT_STEP] = TIMEWARP_STEP_VAR, [TIMEWARP_EVENT_LEAPS] = TIMEWARP_LEAPS_VAR,
	};
	bool found = false;
	unsigned int i;

	for (i = 0; i < TW_EVENT_KINDS; i++) {
		l->told_at[i] = find_var(l->btf, info->btf_value_type_id, names[i], info->value_size);
		found |= l->told_at[i] >= 0;
	}
	l->task_at = find_var(l->btf, info->btf_value_type_id, TIMEWARP_TASK_VAR, info->value_size);
	l->told_size = info->value_size;
	return found;
}

/* Takes what is behind the sections of parameters and of counters */
static void take_map(struct tw_live *l, unsigned int map_id)
{
	struct bpf_map_info info = { 0 };
	unsigned int len = sizeof(info);
	int fd = bpf_map_get_fd_by_id(map_id);

	if (fd < 0)
		return;
	if (bpf_map_get_info_by_fd(fd, &info, &len))
		info.name[0] = 0;
	if (!strcmp(info.name, TIMEWARP_PARAMS_SECTION) && l->data_fd < 0) {
		l->data_fd = fd;
		l->data = read_section(fd, info.value_size);
		l->old = read_section(fd, info.value_size);
		l->size = l->data && l->old ? info.value_size : 0;
		return;
	}
	if (!strcmp(info.name, TIMEWARP_COUNTERS_SECTION) && !l->counts) {
		l->counts_fd = fd;
		l->counts_size = info.value_size;
		l->counts = read_section(fd, l->counts_size);
		return;
	}
	if (info.type == BPF_MAP_TYPE_RINGBUF && !strcmp(info.name, TIMEWARP_EVENTS_MAP) && l->events_fd < 0) {
		l->events_fd = fd;
		return;
	}
	if (l->told_fd < 0 && find_told(l, &info)) {
		l->told_fd = fd;
		return;
	}
	/* each object has one; that of a VM alone is not used */
	if (!strcmp(info.name, TIMEWARP_GROUP_SECTION) && !l->group &&
	    info.value_size == sizeof(*l->group)) {
		l->group = tw_group_map(fd);
		if (l->group && !l->group->first) {
			tw_group_unmap(l->group);
			l->group = NULL;
		}
	}
	close(fd);
}

static int read_prog(struct tw_live *l, int fd)
{
	unsigned int ids[MAX_MAPS], i, len;
	struct bpf_prog_info info = { 0 };

	info.nr_map_ids = MAX_MAPS;
	info.map_ids = (unsigned long)ids;
	len = sizeof(info);
	if (bpf_prog_get_info_by_fd(fd, &info, &len))
		return -errno;
	l->btf = btf__load_from_kernel_by_id(info.btf_id);
	if (!l->btf)
		return -errno;
	tw_params_read(l->btf, TIMEWARP_PARAMS_SECTION, &l->params);
	tw_params_epoch(&l->params, tw_epoch_now(0));
	tw_params_read(l->btf, TIMEWARP_COUNTERS_SECTION, &l->counters);
	for (i = 0; i < info.nr_map_ids && i < MAX_MAPS; i++)
		take_map(l, ids[i]);
	return 0;
}

static int read_live(struct tw_live *l)
{
	long decide = tw_ops_offset("decide"), mode = tw_ops_offset("tsc_mode");
	unsigned long prog_id;
	char *ops;
	int fd, ret;

	l->map_id = tw_link_map_id(l->link_fd);
	ops = read_ops(l->map_id);
	if (!ops || decide < 0 || mode < 0) {
		free(ops);
		return -ENOLINK;
	}
	memcpy(&prog_id, ops + decide, sizeof(prog_id));
	memcpy(&l->tsc_mode, ops + mode, sizeof(l->tsc_mode));
	free(ops);
	fd = bpf_prog_get_fd_by_id(prog_id);
	if (fd < 0)
		return fd;
	ret = read_prog(l, fd);
	close(fd);
	return ret;
}

/* The errors of a look-up by link ID */
static int explain_link(int code, struct tw_err *e)
{
	e->code = code;
	if (code == ENOENT || code == ENOLINK) {
		e->status = TW_NO_VM;
		tw_kind(e, "not-attached");
		tw_fact(e, "it was detached meanwhile");
		return tw_cure(e, "see what there is: twctl status");
	}
	tw_fact(e, "%s", strerror(code));
	return tw_cure(e, code == EPERM ? "run twctl as root" : "see twctl probe");
}

int tw_live_open(struct tw_live *l, const struct tw_state *st, struct tw_err *e)
{
	int ret;

	memset(l, 0, sizeof(*l));
	l->data_fd = -1;
	l->counts_fd = -1;
	l->events_fd = -1;
	l->told_fd = -1;
	snprintf(l->policy, sizeof(l->policy), "%s", st->policy);
	l->link_id = st->link_id;
	l->link_fd = bpf_link_get_fd_by_id(st->link_id);
	ret = l->link_fd < 0 ? l->link_fd : read_live(l);
	if (!ret)
		return TW_OK;
	tw_live_close(l);
	tw_fail(e, TW_FAILED, "cannot reach policy %s through its link %u", st->policy,
		st->link_id);
	return explain_link(-ret, e);
}

void tw_live_let_go(struct tw_live *l)
{
	if (l->link_fd >= 0)
		close(l->link_fd);
	l->link_fd = -1;
}

bool tw_live_is_current(const struct tw_live *l)
{
	int fd = l->link_fd < 0 ? bpf_link_get_fd_by_id(l->link_id) : l->link_fd;
	bool current = fd >= 0 && tw_link_map_id(fd) == l->map_id;

	if (fd >= 0 && l->link_fd < 0)
		close(fd);
	return current;
}

void tw_live_close(struct tw_live *l)
{
	tw_params_free(&l->params);
	tw_params_free(&l->counters);
	btf__free(l->btf);
	tw_group_unmap(l->group);
	free(l->data);
	free(l->old);
	free(l->counts);
	free(l->given);
	if (l->data_fd >= 0)
		close(l->data_fd);
	if (l->counts_fd >= 0)
		close(l->counts_fd);
	if (l->events_fd >= 0)
		close(l->events_fd);
	if (l->told_fd >= 0)
		close(l->told_fd);
	if (l->link_fd >= 0)
		close(l->link_fd);
	memset(l, 0, sizeof(*l));
	l->data_fd = -1;
	l->counts_fd = -1;
	l->events_fd = -1;
	l->told_fd = -1;
	l->link_fd = -1;
}

/* The same for all VMs of a group: who leads it may be busy with a plan, or be another by then */
static int kick_group(const volatile struct timewarp_group *group, bool *loaded)
{
	struct timespec pause = { .tv_nsec = 500000 };
	unsigned int id, tries;
	int err = -ENOENT;

	*loaded = true;
	for (tries = 0; tries < KICK_TRIES; tries++) {
		id = tw_group_leader(group);
		if (!id)
			return -ENOENT;
		err = tw_kick(id, loaded);
		if (!*loaded || (err != -EAGAIN && err != -ENOENT))
			break;
		nanosleep(&pause, NULL);
	}
	return err || tw_group_wait(group) ? err : -ETIMEDOUT;
}

int tw_live_assign(struct tw_live *l, const char *assignment, struct tw_err *e)
{
	char *before = l->given;

	if (tw_params_assign(&l->params, assignment, l->data, l->size, e))
		return e->status;
	l->given = before ? tw_asprintf("%s %s", before, assignment) : tw_strdup(assignment);
	free(before);
	return TW_OK;
}

static int explain_kick(const struct tw_live *l, int code, bool loaded, struct tw_err *e)
{
	struct tw_refused r = { .title = l->policy, .given = l->given, .btf = l->btf, .live = true };

	e->code = code;
	if (loaded && code == ENOENT)
		return explain_link(code, e);
	if (!loaded) {
		tw_fact(e, "the program that tells the kernel does not load: %s",
			*tw_bpf_last_warning() ? tw_bpf_last_warning() : strerror(code));
		return tw_cure(e, "see twctl probe");
	}
	return tw_explain_code(e, code) ? e->status : tw_explain_refusal(e, code, &r);
}

int tw_live_update(struct tw_live *l, unsigned int id, struct tw_err *e)
{
	unsigned int zero = 0;
	bool loaded;
	int err;

	tw_fail(e, TW_FAILED, "cannot change the policy's parameters");
	err = bpf_map_update_elem(l->data_fd, &zero, l->data, BPF_EXIST);
	if (err) {
		e->code = -err;
		tw_fact(e, "%s", strerror(-err));
		return tw_cure(e, "run twctl as root");
	}
	err = l->group ? kick_group(l->group, &loaded) : tw_kick(id, &loaded);
	if (!err) {
		memcpy(l->old, l->data, l->size);
		tw_vmm_wake_all();
		return TW_OK;
	}
	explain_kick(l, -err, loaded, e);
	memcpy(l->data, l->old, l->size);
	bpf_map_update_elem(l->data_fd, &zero, l->data, BPF_EXIST);
	return e->status;
}

int tw_link_detach(int link_fd)
{
	return bpf_link_detach(link_fd);
}

int tw_live_detach(const struct tw_state *st, struct tw_err *e)
{
	int fd = bpf_link_get_fd_by_id(st->link_id);
	int err = fd < 0 ? fd : tw_link_detach(fd);

	if (fd >= 0)
		close(fd);
	if (!err)
		return TW_OK;
	tw_fail(e, TW_FAILED, "cannot detach %s", st->policy);
	return explain_link(-err, e);
}

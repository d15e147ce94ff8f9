// SPDX-License-Identifier: GPL-2.0
/* Naming a VM: no system calls here, so that unit tests reach all of it. */
#include "vm.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "parse.h"

static bool all_digits(const char *s)
{
	return *s && s[strspn(s, "0123456789")] == 0;
}

static bool looks_like_id(const char *s)
{
	size_t n = strspn(s, "0123456789");

	return n && s[n] == '-' && all_digits(s + n + 1);
}

static bool read_pid(const char *s, pid_t *pid)
{
	const char *why;
	uint64_t v;

	if (tw_parse_u64(s, &v, &why) || v > INT_MAX)
		return false;
	*pid = v;
	return true;
}

static int parse_prefixed(const char *text, struct tw_selector *sel, const char **why)
{
	if (!strncmp(text, "pid:", 4)) {
		sel->text = text + 4;
		sel->pid = read_pid(sel->text, &sel->pid_value);
		*why = "not a PID";
		return sel->pid ? 1 : -1;
	}
	if (!strncmp(text, "name:", 5)) {
		sel->text = text + 5;
		sel->name = *sel->text;
		*why = "an empty name";
		return sel->name ? 1 : -1;
	}
	if (!strncmp(text, "uuid:", 5)) {
		sel->text = text + 5;
		sel->uuid = tw_uuid_normalize(sel->text, sel->uuid_value);
		*why = "not a UUID";
		return sel->uuid ? 1 : -1;
	}
	if (!strncmp(text, "id:", 3)) {
		sel->text = text + 3;
		sel->id = looks_like_id(sel->text);
		*why = "not of the form PID-FD";
		return sel->id ? 1 : -1;
	}
	return 0;
}

int tw_selector_parse(const char *text, struct tw_selector *sel, const char **why)
{
	int ret;

	memset(sel, 0, sizeof(*sel));
	sel->text = text;
	*why = "empty";
	if (!*text)
		return -1;
	ret = parse_prefixed(text, sel, why);
	if (ret)
		return ret < 0 ? -1 : 0;
	/* A guest may be called anything: were digits a name, too, it could pass for any PID */
	if (all_digits(text)) {
		sel->pid = read_pid(text, &sel->pid_value);
		*why = "not a PID";
		return sel->pid ? 0 : -1;
	}
	sel->name = true;
	sel->uuid = tw_uuid_normalize(text, sel->uuid_value);
	sel->id = looks_like_id(text);
	return 0;
}

bool tw_selector_matches(const struct tw_selector *sel, const struct tw_vm *vm)
{
	if (sel->pid && sel->pid_value == vm->pid)
		return true;
	if (sel->id && !strcmp(sel->text, vm->id))
		return true;
	if (sel->name && vm->names.name && !strcmp(sel->text, vm->names.name))
		return true;
	return sel->uuid && vm->names.uuid && !strcmp(sel->uuid_value, vm->names.uuid);
}

const char *tw_vm_title(const struct tw_vm *vm)
{
	return vm->names.name ? vm->names.name : vm->comm;
}

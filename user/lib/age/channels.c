// SPDX-License-Identifier: GPL-2.0
/* QEMU's sockets, by its command line. */
#include <stdlib.h>
#include <string.h>

#include "age/source.h"
#include "text.h"

/* The value of @key in a comma list of QEMU's, where a doubled comma is one; NULL if it is not there */
static char *value_of(const char *list, const char *key)
{
	size_t len = strlen(key);
	char *v, *to;

	while (list) {
		const char *end = list;

		while (*end && (*end != ',' || end[1] == ','))
			end += *end == ',' ? 2 : 1;
		if (!strncmp(list, key, len) && list[len] == '=') {
			v = to = tw_strdup(list + len + 1);
			for (list += len + 1; list < end; list++) {
				*to++ = *list;
				list += *list == ',';
			}
			*to = 0;
			return v;
		}
		list = *end ? end + 1 : NULL;
	}
	return NULL;
}

static bool has(const char *list, const char *key, const char *value)
{
	char *v = value_of(list, key);
	bool is = v && !strcmp(v, value);

	free(v);
	return is;
}

/* Where the socket chardev @id is; NULL if there is none of that name */
static char *path_of(const char *argv, size_t len, const char *id)
{
	struct tw_qemu_option o;

	tw_qemu_walk_start(&o, argv, len);
	while (tw_qemu_walk(&o))
		if (!strcmp(o.option, "chardev") && o.arg && !strncmp(o.arg, "socket,", 7) && has(o.arg, "id", id))
			return value_of(o.arg, "path");
	return NULL;
}

static char *path_by(const char *argv, size_t len, const char *list)
{
	char *id = value_of(list, "chardev"), *path = id ? path_of(argv, len, id) : NULL;

	free(id);
	return path;
}

/* The agent's port, as a list or, which libvirt writes, as JSON */
static bool is_agents(const char *device)
{
	static const char name[] = "org.qemu.guest_agent.0";
	json_error_t error;
	json_t *o = *device == '{' ? json_loads(device, 0, &error) : NULL;
	const char *named = json_string_value(json_object_get(o, "name"));
	bool is = o ? named && !strcmp(named, name) : has(device, "name", name);

	json_decref(o);
	return is;
}

/* The monitor of a domain of libvirt's has this name, by whatever it is reached */
static bool is_libvirts(const struct tw_qemu_option *o)
{
	return !strcmp(o->option, "mon") && has(o->arg, "chardev", "charmonitor");
}

void tw_channels_find(const char *argv, size_t len, struct tw_channels *c)
{
	struct tw_qemu_option o;
	const char *uuid = NULL;
	char *list;
	bool libvirt = false;

	*c = (struct tw_channels){ 0 };
	tw_qemu_walk_start(&o, argv, len);
	while (tw_qemu_walk(&o)) {
		if (!o.arg)
			continue;
		if (!c->monitor && !strcmp(o.option, "qmp") && !strncmp(o.arg, "unix:", 5)) {
			/* the path is the first value, and has no name: it gets one */
			list = tw_asprintf("path=%s", o.arg + 5);
			c->monitor = value_of(list, "path");
			free(list);
		} else if (!c->monitor && !strcmp(o.option, "mon") && has(o.arg, "mode", "control")) {
			c->monitor = path_by(argv, len, o.arg);
		} else if (!c->agent && !strcmp(o.option, "device") && is_agents(o.arg)) {
			c->agent = path_by(argv, len, o.arg);
			c->has_agent = true;
		}
		libvirt |= is_libvirts(&o);
		if (!strcmp(o.option, "uuid"))
			uuid = o.arg;
	}
	if (libvirt && uuid)
		c->domain = tw_strdup(uuid);
}

void tw_channels_free(struct tw_channels *c)
{
	free(c->monitor);
	free(c->agent);
	free(c->domain);
	*c = (struct tw_channels){ 0 };
}

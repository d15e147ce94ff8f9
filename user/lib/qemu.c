// SPDX-License-Identifier: GPL-2.0
#include "qemu.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

/* QEMU's options without an argument (7.2 to 10.0); every other one swallows the next word */
static const char *const flags[] = {
	"S", "alt-grab", "ctrl-grab", "daemonize", "enable-fips", "enable-kvm",
	"enable-sync-profile", "full-screen", "h", "help", "mem-prealloc", "no-acpi",
	"no-fd-bootchk", "no-frame", "no-hpet", "no-quit", "no-reboot", "no-shutdown",
	"no-user-config", "nodefaults", "nodefconfig", "nographic", "old-param",
	"only-migratable", "portrait", "preconfig", "s", "semihosting", "singlestep", "snapshot",
	"usb", "version", "win2k-hack",
};

static bool takes_argument(const char *option)
{
	size_t i;

	for (i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (!strcmp(flags[i], option))
			return false;
	return true;
}

/* Copies one value of a "key=value,..." list up to its comma; ",," stands for one comma */
static const char *copy_value(const char *s, char *to)
{
	while (*s) {
		if (*s == ',') {
			if (s[1] != ',')
				break;
			s++;
		}
		*to++ = *s++;
	}
	*to = 0;
	return *s == ',' ? s + 1 : s;
}

static bool key_is(const char *s, size_t len, const char *key)
{
	return strlen(key) == len && !strncmp(s, key, len);
}

/* -name VALUE: "foo", "guest=foo,debug-threads=on"; the last one counts, as in QEMU */
static void read_name(const char *arg, struct tw_guest_names *names)
{
	char *value = tw_grow(NULL, strlen(arg) + 1, 1);
	bool first = true;

	while (*arg) {
		size_t key = strcspn(arg, "=,");
		bool implied = first && arg[key] != '=';
		bool guest = implied || (arg[key] == '=' && key_is(arg, key, "guest"));

		if (arg[key] == '=')
			arg += key + 1;
		arg = copy_value(arg, value);
		if (guest) {
			free(names->name);
			names->name = *value ? tw_strdup(value) : NULL;
		}
		first = false;
	}
	free(value);
}

static void read_uuid(const char *arg, struct tw_guest_names *names)
{
	char uuid[37];

	free(names->uuid);
	names->uuid = tw_uuid_normalize(arg, uuid) ? tw_strdup(uuid) : NULL;
}

/* The next word of argv, NULL at its end.  The last one may lack its NUL: the kernel cuts at 4 KB
 * in places, and a process may have written over its own command line.
 */
static const char *next_word(const char **argv, const char *end)
{
	const char *word = *argv;
	size_t room = end - word;
	size_t len;

	if (!room)
		return NULL;
	len = strnlen(word, room);
	if (len == room)
		return NULL;
	*argv = word + len + 1;
	return word;
}

void tw_qemu_walk_start(struct tw_qemu_option *o, const char *argv, size_t len)
{
	memset(o, 0, sizeof(*o));
	o->next = argv;
	o->end = argv + len;
	next_word(&o->next, o->end);	/* the program */
}

bool tw_qemu_walk(struct tw_qemu_option *o)
{
	const char *word;

	while ((word = next_word(&o->next, o->end))) {
		if (*word != '-')
			continue;	/* a disk image */
		o->option = word + (word[1] == '-' ? 2 : 1);
		o->arg = NULL;
		if (!takes_argument(o->option))
			return true;
		o->arg = next_word(&o->next, o->end);
		return o->arg != NULL;
	}
	return false;
}

void tw_qemu_names(const char *argv, size_t len, struct tw_guest_names *names)
{
	struct tw_qemu_option o;

	names->name = NULL;
	names->uuid = NULL;
	tw_qemu_walk_start(&o, argv, len);
	while (tw_qemu_walk(&o)) {
		if (!strcmp(o.option, "name"))
			read_name(o.arg, names);
		else if (!strcmp(o.option, "uuid"))
			read_uuid(o.arg, names);
	}
}

void tw_guest_names_free(struct tw_guest_names *names)
{
	free(names->name);
	free(names->uuid);
	names->name = NULL;
	names->uuid = NULL;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

bool tw_uuid_normalize(const char *text, char uuid[37])
{
	bool dashes = strlen(text) == 36;
	int i;

	if (!dashes && strlen(text) != 32)
		return false;
	for (i = 0; i < 36; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash) {
			if (dashes && *text++ != '-')
				return false;
			uuid[i] = '-';
			continue;
		}
		if (!is_hex(*text))
			return false;
		uuid[i] = tolower((unsigned char)*text++);
	}
	uuid[36] = 0;
	return true;
}

bool tw_is_qemu(const char *program, const char *comm)
{
	const char *slash = strrchr(program, '/');

	return strstr(slash ? slash : program, "qemu") || !strncmp(comm, "qemu", 4) ||
	       !strcmp(comm, "kvm");
}

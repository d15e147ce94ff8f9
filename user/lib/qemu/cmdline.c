// SPDX-License-Identifier: GPL-2.0
#include "qemu/cmdline.h"

#include <ctype.h>
#include <stdio.h>
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

/* One "key=value" of a comma list; a word alone has the value "on", as QEMU reads it */
struct pair {
	char key[64], value[64];
};

/* The next pair of @s, or false at its end; what is too long is cut: no word of ours is */
static bool next_pair(const char **s, struct pair *p)
{
	char *to = p->key;
	size_t n = 0;

	if (!**s)
		return false;
	strcpy(p->value, "on");
	while (**s) {
		if (**s == ',') {
			if ((*s)[1] != ',')
				break;
			(*s)++;
		} else if (**s == '=' && to == p->key) {
			to[n] = 0;
			to = p->value;
			n = 0;
			(*s)++;
			continue;
		}
		if (n + 1 < sizeof(p->key))
			to[n++] = **s;
		(*s)++;
	}
	to[n] = 0;
	if (**s)
		(*s)++;
	return true;
}

static bool is_on(const char *value)
{
	return !strcmp(value, "on") || !strcmp(value, "yes") || !strcmp(value, "true") ||
	       !strcmp(value, "y");
}

static void read_property(const struct pair *p, struct tw_qemu_time *t)
{
	if (!strcmp(p->key, "hpet"))
		t->hpet = is_on(p->value);
	else if (!strcmp(p->key, "acpi"))
		t->acpi_pm = strcmp(p->value, "off") != 0;
	else if (!strcmp(p->key, "pit"))
		t->pit = strcmp(p->value, "off") != 0;
	else if (!strcmp(p->key, "rtc"))
		t->rtc = is_on(p->value);
	else if (!strcmp(p->key, "kernel-irqchip") || !strcmp(p->key, "kernel_irqchip"))
		t->irqchip = !strcmp(p->value, "split") ? TW_IRQCHIP_SPLIT :
			     is_on(p->value) ? TW_IRQCHIP_KERNEL : TW_IRQCHIP_USER;
}

/* "q35", "pc-i440fx-7.2", "microvm" */
static void read_type(const char *type, struct tw_qemu_time *t)
{
	t->microvm = !strcmp(type, "microvm");
	t->itco = !strcmp(type, "q35") || !strncmp(type, "pc-q35-", 7);
}

static void read_machine(const char *arg, struct tw_qemu_time *t)
{
	size_t first = strcspn(arg, ",=");
	bool bare = arg[first] != '=';
	struct pair p;

	for (; next_pair(&arg, &p); bare = false) {
		if (bare || !strcmp(p.key, "type"))
			read_type(bare ? p.key : p.value, t);
		else
			read_property(&p, t);
	}
}

static void read_rtc(const char *arg, struct tw_qemu_time *t)
{
	struct pair p;

	while (next_pair(&arg, &p)) {
		if (!strcmp(p.key, "driftfix")) {
			t->rtc_slew = !strcmp(p.value, "slew");
		} else if (!strcmp(p.key, "clock")) {
			t->rtc_clock_vm = !strcmp(p.value, "vm");
		} else if (!strcmp(p.key, "base")) {
			t->rtc_localtime = !strcmp(p.value, "localtime");
			t->rtc_fixed = !t->rtc_localtime && strcmp(p.value, "utc");
			snprintf(t->rtc_base, sizeof(t->rtc_base), "%.31s", p.value);
		}
	}
}

/* -global DRIVER.PROPERTY=VALUE */
static void read_global(const char *arg, struct tw_qemu_time *t)
{
	struct pair p;

	if (!next_pair(&arg, &p))
		return;
	if (!strcmp(p.key, "kvm-pit.lost_tick_policy"))
		t->pit_discard = !strcmp(p.value, "discard");
	else if (!strcmp(p.key, "mc146818rtc.lost_tick_policy"))
		t->rtc_slew = !strcmp(p.value, "slew");
	else if (!strcmp(p.key, "ICH9-LPC.enable_tco"))
		t->no_itco = !is_on(p.value);
}

static void read_cpu_flag(const char *name, const char *value, struct tw_qemu_time *t)
{
	char flag[64];
	bool on = is_on(value);
	size_t i;

	/* hv_time and hv-time are one */
	for (i = 0; name[i] && i + 1 < sizeof(flag); i++)
		flag[i] = name[i] == '_' ? '-' : name[i];
	flag[i] = 0;
	if (!strcmp(flag, "kvmclock") || !strcmp(flag, "kvm"))
		t->kvmclock = on;
	else if (!strcmp(flag, "hv-time"))
		t->hv_time = on;
	else if (!strcmp(flag, "hv-stimer"))
		t->hv_stimer = on;
	else if (!strcmp(flag, "hv-passthrough"))
		t->hv_time = t->hv_stimer = on;
	else if (!strcmp(flag, "invtsc"))
		t->invtsc = on;
	else if (!strcmp(flag, "tsc-frequency"))
		snprintf(t->tsc_frequency, sizeof(t->tsc_frequency), "%.23s", value);
}

static void read_cpu(const char *arg, struct tw_qemu_time *t)
{
	struct pair p;

	/* the last -cpu stands alone */
	t->kvmclock = true;
	t->hv_time = t->hv_stimer = t->invtsc = false;
	*t->tsc_frequency = 0;
	next_pair(&arg, &p);	/* the model */
	while (next_pair(&arg, &p)) {
		if (*p.key == '+')
			read_cpu_flag(p.key + 1, "on", t);
		else if (*p.key == '-')
			read_cpu_flag(p.key + 1, "off", t);
		else
			read_cpu_flag(p.key, p.value, t);
	}
}

static void read_accel(const char *arg, struct tw_qemu_time *t)
{
	struct pair p;

	for (; next_pair(&arg, &p); ) {
		if (!strcmp(p.key, "xen-version"))
			t->xen = true;
		else
			read_property(&p, t);
	}
}

static void read_device(const char *arg, struct tw_qemu_time *t)
{
	t->agent |= strstr(arg, "org.qemu.guest_agent") != NULL;
	t->shares |= strstr(arg, "virtio-9p") || strstr(arg, "vhost-user-fs");
	t->watchdog |= strstr(arg, "i6300esb") || strstr(arg, "ib700") || strstr(arg, "diag288");
}

static void read_option(const char *option, const char *arg, struct tw_qemu_time *t)
{
	if (!strcmp(option, "machine") || !strcmp(option, "M"))
		read_machine(arg, t);
	else if (!strcmp(option, "accel"))
		read_accel(arg, t);
	else if (!strcmp(option, "rtc"))
		read_rtc(arg, t);
	else if (!strcmp(option, "global"))
		read_global(arg, t);
	else if (!strcmp(option, "cpu"))
		read_cpu(arg, t);
	else if (!strcmp(option, "netdev"))
		t->network = true;
	else if (!strcmp(option, "nic") || !strcmp(option, "net"))
		t->network = strcmp(arg, "none") != 0;
	else if (!strcmp(option, "object"))
		t->iothread |= strstr(arg, "iothread") != NULL;
	else if (!strcmp(option, "virtfs"))
		t->shares = true;
	else if (!strcmp(option, "watchdog"))
		t->watchdog = true;
	else if (!strcmp(option, "device") || !strcmp(option, "chardev"))
		read_device(arg, t);
}

void tw_qemu_time_parse(const char *argv, size_t len, struct tw_qemu_time *t)
{
	struct tw_qemu_option o;
	bool nodefaults = false, net = false;

	memset(t, 0, sizeof(*t));
	t->hpet = t->acpi_pm = t->pit = t->kvmclock = true;
	tw_qemu_walk_start(&o, argv, len);
	while (tw_qemu_walk(&o)) {
		if (!strcmp(o.option, "no-hpet"))
			t->hpet = false;
		else if (!strcmp(o.option, "no-acpi"))
			t->acpi_pm = false;
		else if (!strcmp(o.option, "nodefaults"))
			nodefaults = true;
		else if (!strcmp(o.option, "incoming") || !strcmp(o.option, "loadvm"))
			t->incoming = true;
		else if (o.arg)
			read_option(o.option, o.arg, t);
		net |= !strcmp(o.option, "nic") || !strcmp(o.option, "net") ||
		       !strcmp(o.option, "netdev");
	}
	/* QEMU adds a user-mode network where nothing is said of one */
	if (!net && !nodefaults)
		t->network = true;
	/* with KVM, a microvm has an RTC where it is told to; it has neither of the others, whatever it is told */
	if (t->microvm)
		t->hpet = t->acpi_pm = false;
	else
		t->rtc = true;
	t->itco &= !t->no_itco;
}

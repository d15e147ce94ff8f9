// SPDX-License-Identifier: GPL-2.0
#include "command.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "qemu/cmdline.h"
#include "text.h"

static void add(struct tw_words *w, char *word)
{
	w->v = tw_grow(w->v, w->n + 2, sizeof(*w->v));
	w->v[w->n++] = word;
	w->v[w->n] = NULL;
}

void tw_words_add(struct tw_words *w, const char *fmt, ...)
{
	char *word = NULL;
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(&word, fmt, ap) < 0)
		abort();
	va_end(ap);
	add(w, word);
}

void tw_words_free(struct tw_words *w)
{
	size_t i;

	for (i = 0; i < w->n; i++)
		free(w->v[i]);
	free(w->v);
	memset(w, 0, sizeof(*w));
}

static bool is_plain(const char *word)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789%+,-./:=@_";

	return *word && !word[strspn(word, plain)];
}

char *tw_words_shell(const struct tw_words *w)
{
	size_t len = 1, i;
	char *text, *to;
	const char *at;

	/* at the worst each character is a quote */
	for (i = 0; i < w->n; i++)
		len += 4 * strlen(w->v[i]) + 3;
	to = text = tw_grow(NULL, len, 1);
	for (i = 0; i < w->n; i++) {
		bool plain = is_plain(w->v[i]);

		if (i)
			*to++ = ' ';
		if (!plain)
			*to++ = '\'';
		for (at = w->v[i]; *at; at++)
			to += sprintf(to, *at == '\'' ? "'\\''" : "%c", *at);
		if (!plain)
			*to++ = '\'';
	}
	*to = 0;
	return text;
}

/* As a value in a list of QEMU's, where a comma is written twice; to be freed */
static char *value_of(const char *text)
{
	char *value = tw_grow(NULL, 2 * strlen(text) + 1, 1), *to = value;

	for (; *text; text++) {
		if (*text == ',')
			*to++ = ',';
		*to++ = *text;
	}
	*to = 0;
	return value;
}

static void add_two(struct tw_words *w, const char *option, const char *argument)
{
	tw_words_add(w, "%s", option);
	tw_words_add(w, "%s", argument);
}

void tw_command_image(const struct tw_image *i, struct tw_words *w)
{
	char *path = value_of(i->path), *folder = value_of(i->folder), *name = value_of(i->name);

	tw_words_add(w, "qemu-system-x86_64");
	tw_words_add(w, "-name");
	tw_words_add(w, "guest=%s,debug-threads=on", name);
	add_two(w, "-no-user-config", "-nodefaults");
	add_two(w, "-display", "none");
	add_two(w, "-machine", "q35,accel=kvm");
	add_two(w, "-cpu", "host");
	tw_words_add(w, "-smp");
	tw_words_add(w, "%" PRIu64, i->cpus);
	tw_words_add(w, "-m");
	tw_words_add(w, "%" PRIu64, i->memory_mib);
	tw_words_add(w, "-drive");
	tw_words_add(w, "if=none,id=disk,file=%s,format=%s,discard=unmap%s", path, i->format,
		     i->snapshot ? ",snapshot=on" : "");
	add_two(w, "-device", "virtio-blk-pci,drive=disk");
	tw_words_add(w, "-netdev");
	if (i->ssh)
		tw_words_add(w, "user,id=net,hostfwd=tcp:127.0.0.1:%" PRIu64 "-:22", i->ssh);
	else
		tw_words_add(w, "user,id=net");
	add_two(w, "-device", "virtio-net-pci,netdev=net");
	add_two(w, "-device", "virtio-balloon-pci,id=balloon,free-page-reporting=on");
	add_two(w, "-device", "virtio-rng-pci");
	/* Ctrl-C is ours, and not the guest's */
	add_two(w, "-chardev", i->silent ? "null,id=console" : "stdio,id=console,signal=on");
	add_two(w, "-serial", "chardev:console");
	add_two(w, "-device", "virtio-serial-pci");
	tw_words_add(w, "-chardev");
	tw_words_add(w, "socket,id=agent,path=%s/agent,server=on,wait=off", folder);
	add_two(w, "-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0");
	tw_words_add(w, "-qmp");
	tw_words_add(w, "unix:%s/monitor,server=on,wait=off", folder);
	free(path);
	free(folder);
	free(name);
}

char *tw_command_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = tw_strdup(slash ? slash + 1 : path), *dot = strrchr(name, '.');

	if (dot && dot != name)
		*dot = 0;
	if (!*name) {
		free(name);
		name = tw_strdup("guest");
	}
	return name;
}

/* Whether a list of QEMU's sets a key */
static bool sets(const char *list, const char *key)
{
	size_t len = strlen(key);

	for (; list; list = strchr(list, ',')) {
		list += *list == ',';
		if (!strncmp(list, key, len) && list[len] == '=')
			return true;
	}
	return false;
}

/* Whether a list of QEMU's has a word */
static bool says(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (; list; list = strchr(list, ',')) {
		list += *list == ',';
		if (!strncmp(list, word, len) && strchr(",", list[len]))
			return true;
	}
	return false;
}

struct found {
	bool stopped, daemonize, base, clock, hosts;
};

static void look(const struct tw_words *w, struct found *f)
{
	struct tw_qemu_option o;
	char *argv = tw_strdup("");
	size_t len = 0, i;

	for (i = 0; i < w->n; i++) {
		size_t more = strlen(w->v[i]) + 1;

		argv = tw_grow(argv, len + more, 1);
		memcpy(argv + len, w->v[i], more);
		len += more;
	}
	memset(f, 0, sizeof(*f));
	tw_qemu_walk_start(&o, argv, len);
	while (tw_qemu_walk(&o)) {
		f->stopped |= !strcmp(o.option, "S");
		f->daemonize |= !strcmp(o.option, "daemonize");
		if (strcmp(o.option, "rtc"))
			continue;
		f->base |= sets(o.arg, "base");
		f->clock |= sets(o.arg, "clock");
		f->hosts |= sets(o.arg, "clock") && !says(o.arg, "clock=vm");
	}
	free(argv);
}

static int refuse(struct tw_err *e, const char *fact, const char *cure)
{
	tw_fail(e, TW_USAGE, "cannot run QEMU like that");
	tw_fact(e, "%s", fact);
	return tw_cure(e, "%s", cure);
}

static void add_date(const struct tw_command_start *s, const struct found *f, struct tw_words *w)
{
	time_t t = s->date_ns / 1000000000;
	char text[32];
	struct tm tm;

	gmtime_r(&t, &tm);
	strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
	tw_words_add(w, "-rtc");
	tw_words_add(w, "base=%s%s", text, f->clock ? "" : ",clock=vm");
}

int tw_command_start(const struct tw_command_start *s, struct tw_words *w, struct tw_err *e)
{
	struct found f;

	look(w, &f);
	if (f.daemonize)
		return refuse(e, "with -daemonize there would be nothing to wait for", "leave out -daemonize");
	if (f.stopped)
		return refuse(e, "with -S it is not to be let go",
			      "leave out -S; or start it without twctl run, and twctl attach");
	if (s->date && f.base)
		return refuse(e, "the date is given twice, by --date and by QEMU's -rtc base=",
			      "leave out base=, or --date");
	if (s->date && f.hosts)
		return refuse(e, "an RTC by the host's clock would be as far ahead of --date as that is of today",
			      "leave out clock=, or make it clock=vm");
	if (s->name) {
		char *name = value_of(s->name);

		tw_words_add(w, "-name");
		tw_words_add(w, "guest=%s,debug-threads=on", name);
		free(name);
	}
	if (s->date)
		add_date(s, &f, w);
	tw_words_add(w, "-S");
	tw_words_add(w, "-chardev");
	tw_words_add(w, "socket,id=twctl-run,fd=%d", s->monitor);
	add_two(w, "-mon", "chardev=twctl-run,mode=control");
	return TW_OK;
}

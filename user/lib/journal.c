// SPDX-License-Identifier: GPL-2.0
#include "journal.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "parse.h"
#include "print.h"
#include "text.h"

const char *tw_journal_path = "/dev/log";

/* Not syslog(3), which waits where a journal that hangs has its socket full: detach gets through */
static void send_line(const char *line)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", tw_journal_path);
	if (fd < 0)
		return;
	sendto(fd, line, strlen(line), MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to));
	close(fd);
}

void tw_journal(int priority, const char *fmt, ...)
{
	char *line = NULL, date[32];
	time_t now = time(NULL);
	struct tm tm;
	size_t len;
	va_list ap;
	FILE *f = open_memstream(&line, &len);

	if (!f)
		return;
	localtime_r(&now, &tm);
	strftime(date, sizeof(date), "%b %e %T", &tm);
	tw_fprintf(f, "<%d>%s twctl[%d]: ", LOG_DAEMON | priority, date, (int)getpid());
	va_start(ap, fmt);
	tw_vfprintf(f, fmt, ap);
	va_end(ap);
	if (!fclose(f))
		send_line(line);
	free(line);
}

static void write_state(FILE *f, const struct tw_state *st)
{
	char factor[48];

	if (!st || !st->attached)
		tw_fprintf(f, "the host's rate");
	else
		tw_fprintf(f, "%s at factor %s", st->policy,
			   tw_format_factor(factor, sizeof(factor), st->asked.num, st->asked.den));
}

static void write_user(FILE *f, uid_t uid)
{
	const struct passwd *user = getpwuid(uid);

	tw_fprintf(f, "%u", uid);
	if (user)
		tw_fprintf(f, " (%s)", user->pw_name);
}

/* Who has logged in stays so through su and sudo */
static void write_who(FILE *f)
{
	char text[16];
	uid_t login = tw_read_line("/proc/self/loginuid", text, sizeof(text)) ? strtoul(text, NULL, 10) : (uid_t)-1;

	tw_fprintf(f, "user ");
	write_user(f, getuid());
	if (login == (uid_t)-1 || login == getuid())
		return;
	tw_fprintf(f, ", logged in as ");
	write_user(f, login);
}

void tw_journal_change(const struct tw_change *c)
{
	const struct tw_guest_names *names = &c->vm->names;
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	tw_fprintf(f, "%s of VM %s (UUID %s): from ", c->verb, c->vm->id, names->uuid ? names->uuid : "-");
	write_state(f, c->before);
	tw_fprintf(f, " to ");
	write_state(f, c->after);
	if (c->given && *c->given)
		tw_fprintf(f, ", given %s", c->given);
	tw_fprintf(f, "; by ");
	write_who(f);
	/* last: whatever its owner calls it, it stands behind all that is told of it */
	tw_fprintf(f, "; its name is %s", TW_QUOTE(tw_vm_title(c->vm)));
	if (!fclose(f))
		tw_journal(LOG_NOTICE, "%s", text);
	free(text);
}

// SPDX-License-Identifier: GPL-2.0
#include "notify.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "print.h"

static void send_to(const char *at, const char *text)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = strlen(at);
	int fd;

	/* systemd's may also be one of a VM's (vsock:), which a host has not */
	if ((*at != '/' && *at != '@') || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, at, len);
	if (*at == '@')
		*to.sun_path = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&to, offsetof(struct sockaddr_un, sun_path) + len);
	close(fd);
}

void tw_notify_ready(const char *fmt, ...)
{
	const char *at = getenv("NOTIFY_SOCKET");
	char *text = NULL;
	size_t size;
	va_list ap;
	FILE *f = at ? open_memstream(&text, &size) : NULL;

	if (!f)
		return;
	tw_fprintf(f, "READY=1\nSTATUS=");
	va_start(ap, fmt);
	tw_vfprintf(f, fmt, ap);
	va_end(ap);
	if (!fclose(f))
		send_to(at, text);
	free(text);
	unsetenv("NOTIFY_SOCKET");
}

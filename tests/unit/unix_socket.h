/* SPDX-License-Identifier: GPL-2.0 */
/* A socket of a file's name, for what a test answers to whoever connects. */
#ifndef UNIX_SOCKET_H
#define UNIX_SOCKET_H

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tap.h"

/* Listens there, in the place of what was there */
static int listen_at(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	unlink(path);
	strcpy(a.sun_path, path);
	assert_false(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	assert_false(listen(fd, 1));
	return fd;
}

#endif /* UNIX_SOCKET_H */

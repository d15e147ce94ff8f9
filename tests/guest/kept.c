// SPDX-License-Identifier: GPL-2.0
/*
 * kept ADDRESS PORT IDLE_S INTERVAL_S PROBES - a TCP connection that is idle, and that the kernel keeps alive
 *
 * Prints "up" once it stands. If it ends by itself: "ended", why, and after how many seconds. When stdin ends it sends a
 * word, which the other end is to send back: "alive".
 */
#include "clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

static void keep(int fd, int option, const char *value)
{
	int n = atoi(value);

	if (setsockopt(fd, IPPROTO_TCP, option, &n, sizeof(n)))
		exit(2);
}

static int ended(int fd, uint64_t since_ns)
{
	int err = 0;
	socklen_t len = sizeof(err);

	getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
	printf("ended: %s after %.1f s\n", err ? strerror(err) : "closed", (clock_ns(CLOCK_MONOTONIC) - since_ns) / 1e9);
	return 1;
}

int main(int argc, char **argv)
{
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	struct sockaddr_in to = { .sin_family = AF_INET };
	uint64_t since_ns;
	char word[8];

	if (argc != 6 || fd < 0 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	to.sin_port = htons(atoi(argv[2]));
	if (setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)))
		return 2;
	keep(fd, TCP_KEEPIDLE, argv[3]);
	keep(fd, TCP_KEEPINTVL, argv[4]);
	keep(fd, TCP_KEEPCNT, argv[5]);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		perror("connect");
		return 2;
	}
	since_ns = clock_ns(CLOCK_MONOTONIC);
	puts("up");
	fflush(stdout);
	for (;;) {
		struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = 0, .events = POLLIN } };

		poll(fds, 2, -1);
		if (fds[0].revents)
			return ended(fd, since_ns);
		if (fds[1].revents)
			break;
	}
	if (write(fd, "word\n", 5) != 5 || read(fd, word, sizeof(word)) != 5)
		return ended(fd, since_ns);
	puts("alive");
	return 0;
}

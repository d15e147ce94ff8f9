// SPDX-License-Identifier: GPL-2.0
/*
 * owd serve PORT                      answers for ever
 * owd ask ADDRESS PORT COUNT GAP_MS   asks COUNT times, waiting GAP_MS after each
 *
 * Two guests exchange timestamps of CLOCK_REALTIME by UDP. For each answer it prints, in ns, when it was
 * asked, when that arrived, when it was answered, and when that arrived; "lost" for one that has not
 * come within two seconds.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct stamps {
	uint64_t nr, asked, came, answered;
};

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static int serve(int fd, int port)
{
	struct sockaddr_in me = { .sin_family = AF_INET, .sin_port = htons(port) }, from;
	struct stamps s;

	if (bind(fd, (struct sockaddr *)&me, sizeof(me)))
		return 1;
	for (;;) {
		socklen_t len = sizeof(from);

		if (recvfrom(fd, &s, sizeof(s), 0, (struct sockaddr *)&from, &len) != sizeof(s))
			continue;
		s.came = now();
		s.answered = now();
		sendto(fd, &s, sizeof(s), 0, (struct sockaddr *)&from, len);
	}
}

static int ask(int fd, const char *address, int port, int count, int gap_ms)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct timespec gap = { gap_ms / 1000, gap_ms % 1000 * 1000000L };
	struct timeval wait = { .tv_sec = 2 };
	struct stamps s, r;
	int i;

	if (!inet_aton(address, &to.sin_addr) || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		return 1;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	for (i = 0; i < count; i++) {
		s = (struct stamps){ .nr = i, .asked = now() };
		send(fd, &s, sizeof(s), 0);
		do {
			r.nr = -1;
			if (recv(fd, &r, sizeof(r), 0) < 0)
				break;
		} while (r.nr != s.nr);
		if (r.nr == s.nr)
			printf("%lu %lu %lu %lu\n", r.asked, r.came, r.answered, now());
		else
			printf("lost\n");
		nanosleep(&gap, NULL);
	}
	return 0;
}

int main(int argc, char **argv)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc == 3 && !strcmp(argv[1], "serve"))
		return serve(fd, atoi(argv[2]));
	if (argc == 6 && !strcmp(argv[1], "ask"))
		return ask(fd, argv[2], atoi(argv[3]), atoi(argv[4]), atoi(argv[5]));
	return 2;
}

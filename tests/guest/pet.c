// SPDX-License-Identifier: GPL-2.0
/*
 * pet SECONDS - a service and who watches over it, as systemd does with WatchdogSec=SECONDS
 *
 * A child says that it lives each half of it, by timers of its own. Its parent waits for that for SECONDS. Runs until
 * stdin ends; prints how often it was told so, and "killed" for each time that it would have ended the service.
 */
#include "clock.h"
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void arm(int fd, long s)
{
	struct itimerspec at = { .it_value.tv_sec = s };

	if (timerfd_settime(fd, 0, &at, NULL))
		exit(2);
}

static void live(int out, long half_s)
{
	struct timespec half = { .tv_sec = half_s };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (write(out, "x", 1) == 1)
		clock_nanosleep(CLOCK_MONOTONIC, 0, &half, NULL);
	exit(0);
}

int main(int argc, char **argv)
{
	long s = argc > 1 ? atol(argv[1]) : 0, pets = 0;
	int pet[2], timer = timerfd_create(CLOCK_MONOTONIC, 0);
	char buf[64];

	if (s < 2 || timer < 0 || pipe(pet))
		return 2;
	if (!fork())
		live(pet[1], s / 2);
	arm(timer, s);
	puts("up");
	fflush(stdout);
	for (;;) {
		struct pollfd fds[] = { { .fd = pet[0], .events = POLLIN }, { .fd = timer, .events = POLLIN },
					{ .fd = 0, .events = POLLIN } };

		poll(fds, 3, -1);
		if (fds[0].revents) {
			pets += read(pet[0], buf, sizeof(buf));
			arm(timer, s);
		} else if (fds[1].revents) {
			printf("killed at %lu\n", clock_ns(CLOCK_MONOTONIC));
			arm(timer, s);
		} else if (fds[2].revents) {
			break;
		}
	}
	printf("pets %ld\n", pets);
	return 0;
}

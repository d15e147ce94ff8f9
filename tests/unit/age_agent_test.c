// SPDX-License-Identifier: GPL-2.0
/* An agent that is not there when a life begins, that comes, and that is given up. */
#include "../../user/lib/age/source.c"

#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "age/recording.h"
#include "tap.h"

const char tw_guest_script[] = "true";

static char dir[] = "/tmp/age_agent.XXXXXX", path[64], file[64];

void tw_sample_monitor(struct tw_sources *s, struct tw_recorder *rec)
{
	(void)s;
	(void)rec;
}

void tw_sample_host(struct tw_sources *s, struct tw_recorder *rec)
{
	(void)s;
	(void)rec;
}

/* Answers to whatever comes as an agent does whose script prints a load of 0.25; with @dumb the script is refused */
static pid_t serve(bool dumb)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	char line[65536], *id;
	pid_t pid;
	FILE *f;

	unlink(path);
	strcpy(a.sun_path, path);
	assert_false(bind(fd, (struct sockaddr *)&a, sizeof(a)));
	assert_false(listen(fd, 1));
	pid = fork();
	if (pid) {
		close(fd);
		return pid;
	}
	alarm(60);
	f = fdopen(accept(fd, NULL, NULL), "r+");
	setvbuf(f, NULL, _IONBF, 0);
	while (fgets(line, sizeof(line), f)) {
		id = strstr(line, "\"id\":");
		if (strstr(line, "guest-sync-delimited"))
			fprintf(f, "\xff{\"return\":%d}\n", id ? atoi(id + 5) : 0);
		else if (dumb)
			fprintf(f, "{\"error\":{\"desc\":\"guest-exec is disabled\"}}\n");
		else if (strstr(line, "guest-exec-status"))
			fprintf(f, "{\"return\":{\"exited\":true,\"exitcode\":0,\"out-data\":\"bAkwLjI1Cg==\"}}\n");
		else
			fprintf(f, "{\"return\":{\"pid\":7}}\n");
	}
	_exit(0);
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
}

static void begin(struct tw_sources *s, struct tw_recorder *rec)
{
	struct tw_err e = { 0 };

	unlink(path);
	unlink(file);
	*s = (struct tw_sources){ .failed = json_object(), .try_at = 2, .monitor.fd = -1, .agent.fd = -1 };
	s->channels.agent = strdup(path);
	assert_int_equal(tw_recorder_open(file, false, rec, &e), TW_OK);
	tw_record_run(rec, "v", "skip-idle", 1);
}

static void sample(struct tw_sources *s, struct tw_recorder *rec, int n)
{
	while (n--) {
		double t = 1798761600 + s->samples * 3600.0;

		tw_sources_sample(s, t, rec);
		tw_record_sample(rec, t, 0);
	}
}

static void finish(struct tw_sources *s, struct tw_recorder *rec, struct tw_recording *r)
{
	struct tw_err e = { 0 };

	tw_sources_close(s);
	assert_int_equal(tw_recorder_close(rec, file, &e), TW_OK);
	assert_int_equal(tw_recording_read(file, r, &e), TW_OK);
}

static void an_agent_that_comes_later_is_found(void **state)
{
	struct tw_sources s;
	struct tw_recorder rec;
	struct tw_recording r;
	pid_t pid;

	(void)state;
	begin(&s, &rec);
	sample(&s, &rec, 3);
	assert_int_equal(s.agent.fd, -1);
	pid = serve(false);
	sample(&s, &rec, 2);
	finish(&s, &rec, &r);
	end(pid);
	assert_int_equal(r.n_series, 1);
	assert_string_equal(r.series[0].name, "guest.load");
	assert_int_equal(r.series[0].n, 2);
	assert_true(r.n_events == 1 && !strcmp(r.events[0].text, "answers from now on"));
	tw_recording_free(&r);
}

static void one_that_never_comes_costs_few_tries(void **state)
{
	struct tw_sources s;
	struct tw_recorder rec;
	struct tw_recording r;

	(void)state;
	begin(&s, &rec);
	sample(&s, &rec, 1000);
	/* the last was with the 512th */
	assert_int_equal(s.try_at, 1024);
	finish(&s, &rec, &r);
	tw_recording_free(&r);
}

static void one_that_is_given_up_is_tried_again(void **state)
{
	struct tw_sources s;
	struct tw_recorder rec;
	struct tw_recording r;
	pid_t pid;

	(void)state;
	begin(&s, &rec);
	pid = serve(true);
	sample(&s, &rec, 1);
	sample(&s, &rec, LATE_MAX);
	assert_int_equal(s.agent.fd, -1);
	end(pid);
	pid = serve(false);
	sample(&s, &rec, 1);
	assert_true(s.agent.fd >= 0);
	finish(&s, &rec, &r);
	end(pid);
	assert_true(r.n_missing == 1 && !strcmp(r.missing[0].why, "guest-exec is disabled"));
	assert_true(r.n_series == 1 && r.series[0].n == 1);
	tw_recording_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_agent_that_comes_later_is_found),
		cmocka_unit_test(one_that_never_comes_costs_few_tries),
		cmocka_unit_test(one_that_is_given_up_is_tried_again),
	};
	int failed;

	if (!mkdtemp(dir))
		return 99;
	snprintf(path, sizeof(path), "%s/agent", dir);
	snprintf(file, sizeof(file), "%s/recording", dir);
	failed = RUN_TAP(tests);
	unlink(file);
	unlink(path);
	rmdir(dir);
	return failed;
}

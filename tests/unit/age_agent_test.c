// SPDX-License-Identifier: GPL-2.0
/* An agent that is not there when a life begins, that comes, that is given up, and that libvirt holds. */
#include "../../user/lib/age/source.c"

#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "age/recording.h"
#include "tap.h"
#include "unix_socket.h"

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
	int fd = listen_at(path);
	char line[65536], *id;
	pid_t pid;
	FILE *f;

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

/* A virsh that writes down what it is told, and does @script */
static void make_virsh(const char *script)
{
	char name[128];
	FILE *f;

	snprintf(name, sizeof(name), "%s/virsh", dir);
	f = fopen(name, "w");
	fprintf(f, "#!/bin/sh\nPATH=/usr/bin:/bin\necho \"$*\" >>%s/asked\n%s\n", dir, script);
	fchmod(fileno(f), 0755);
	fclose(f);
}

static void begin_domain(struct tw_sources *s, struct tw_recorder *rec)
{
	begin(s, rec);
	s->channels.domain = strdup("4711-uuid");
	s->channels.has_agent = true;
	connect_to(s, &s->monitor, false, "QEMU's monitor", "none", rec);
	connect_to(s, &s->agent, true, "guest agent", "none", rec);
}

static void a_domain_is_asked_through_libvirt(void **state)
{
	char name[128], *asked;
	struct tw_sources s;
	struct tw_recorder rec;
	struct tw_recording r;
	json_t *o;

	(void)state;
	make_virsh("case \"$*\" in\n"
		   "*guest-get-time*) echo '{\"return\":1798761600000000000}' ;;\n"
		   "*guest-exec-status*) echo '{\"return\":{\"exited\":true,\"exitcode\":0,\"out-data\":\"bAkwLjI1Cg==\"}}' ;;\n"
		   "*'\"guest-exec\"'*) echo '{\"return\":{\"pid\":7}}' ;;\n"
		   "*qemu-monitor-command*query-n*) echo '{\"return\":{\"n\":7},\"id\":\"libvirt-9\"}' ;;\n"
		   "*) echo '{\"return\":{}}' ;; esac");
	begin_domain(&s, &rec);
	assert_true(tw_talk_is_open(&s.monitor) && tw_talk_is_open(&s.agent));
	assert_true(tw_sources_time(&s) == 1798761600);
	o = tw_talk_ask(&s.monitor, "query-n", NULL, 5000);
	assert_int_equal(json_integer_value(json_object_get(o, "n")), 7);
	json_decref(o);
	sample(&s, &rec, 2);
	finish(&s, &rec, &r);
	assert_true(r.n_missing == 0 && r.n_series == 1 && r.series[0].n == 2);
	tw_recording_free(&r);
	snprintf(name, sizeof(name), "%s/asked", dir);
	asked = tw_read_file(name, NULL);
	assert_non_null(strstr(asked, "-q qemu-agent-command 4711-uuid {\"execute\":\"guest-ping\"} --timeout 5\n"));
	assert_non_null(strstr(asked, "-q qemu-monitor-command 4711-uuid {\"execute\":\"query-status\"}\n"));
	free(asked);
	unlink(name);
}

/* Under valgrind posix_spawn() succeeds, and its child exits with 127 */
static bool spawn_tells(void)
{
	char *const argv[] = { "none", NULL };
	pid_t pid;

	if (posix_spawn(&pid, "/nowhere/none", NULL, NULL, argv, NULL))
		return true;
	waitpid(pid, NULL, 0);
	return false;
}

static void what_libvirt_says_is_why(void **state)
{
	static const struct {
		const char *script, *why;
	} cases[] = {
		{ "echo 'error: Guest agent is not responding: QEMU guest agent is not connected' >&2; exit 1",
		  "Guest agent is not responding: QEMU guest agent is not connected" },
		{ "echo '{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"not found\"}}'", "not found" },
		{ "exit 1", "virsh failed and said nothing" },
		{ "echo hello", "the answer is no JSON object" },
		{ "exec sleep 60", "no answer in time" },
	};
	struct tw_talk t;
	char name[128];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		bool waits = strstr(cases[i].script, "sleep");

		make_virsh(cases[i].script);
		/* to start a shell may take a busy machine long */
		assert_false(tw_talk_open_domain(&t, "x", true, waits ? 100 : 20000));
		assert_string_equal(t.why, cases[i].why);
		tw_talk_close(&t);
	}
	snprintf(name, sizeof(name), "%s/virsh", dir);
	unlink(name);
	snprintf(name, sizeof(name), "%s/asked", dir);
	unlink(name);
	assert_false(tw_talk_open_domain(&t, "x", false, 20000));
	assert_string_equal(t.why, spawn_tells() ? "it is libvirt's, and virsh cannot be run: No such file or directory" :
						   "virsh failed and said nothing");
	tw_talk_close(&t);
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* From here on a signal comes each few milliseconds, which is not for whoever waits */
static void disturb(bool on)
{
	const struct sigaction sa = { .sa_handler = on_alarm };
	const struct itimerval each = { { 0, 3000 }, { 0, 3000 } }, never = { 0 };

	sigaction(SIGALRM, &sa, NULL);
	setitimer(ITIMER_REAL, on ? &each : &never, NULL);
}

/* A monitor that takes a while to say anything */
static pid_t slow_monitor(int fd)
{
	char line[256];
	pid_t pid = fork();
	FILE *f;

	if (pid)
		return pid;
	f = fdopen(fd, "r+");
	setvbuf(f, NULL, _IONBF, 0);
	usleep(100000);
	fprintf(f, "{\"QMP\":{}}\n");
	if (fgets(line, sizeof(line), f)) {
		usleep(100000);
		fprintf(f, "{\"return\":{},\"id\":1}\n");
	}
	_exit(0);
}

static void a_signal_is_not_the_end_of_patience(void **state)
{
	struct tw_talk t;
	char name[128];
	int ends[2];
	pid_t pid;
	bool open;

	(void)state;
	make_virsh("sleep 0.2; echo '{\"return\":{}}'");
	disturb(true);
	open = tw_talk_open_domain(&t, "x", true, 20000);
	disturb(false);
	assert_string_equal(t.why, "");
	assert_true(open);
	tw_talk_close(&t);
	snprintf(name, sizeof(name), "%s/virsh", dir);
	unlink(name);
	snprintf(name, sizeof(name), "%s/asked", dir);
	unlink(name);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	pid = slow_monitor(ends[1]);
	close(ends[1]);
	disturb(true);
	open = tw_talk_adopt(&t, ends[0], 20000);
	disturb(false);
	assert_string_equal(t.why, "");
	assert_true(open);
	tw_talk_close(&t);
	end(pid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_agent_that_comes_later_is_found),
		cmocka_unit_test(one_that_never_comes_costs_few_tries),
		cmocka_unit_test(one_that_is_given_up_is_tried_again),
		cmocka_unit_test(a_domain_is_asked_through_libvirt),
		cmocka_unit_test(what_libvirt_says_is_why),
		cmocka_unit_test(a_signal_is_not_the_end_of_patience),
	};
	char *paths;
	int failed;

	if (!mkdtemp(dir))
		return 99;
	snprintf(path, sizeof(path), "%s/agent", dir);
	snprintf(file, sizeof(file), "%s/recording", dir);
	/* no virsh but ours */
	paths = tw_asprintf("%s:/nowhere", dir);
	setenv("PATH", paths, 1);
	free(paths);
	failed = RUN_TAP(tests);
	unlink(file);
	unlink(path);
	rmdir(dir);
	return failed;
}

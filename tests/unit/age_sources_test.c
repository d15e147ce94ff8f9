// SPDX-License-Identifier: GPL-2.0
/*
 * Where samples come from: QEMU's sockets by its command line; talk with a monitor and with agents that
 * are late, lie, and die; what a guest's script says; and recordings as they are written.
 */
#include "tap.h"
#include "unix_socket.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "age/recording.h"
#include "age/source.h"
#include "judge/jobs.h"
#include "text.h"

static char dir[] = "/tmp/age_sources.XXXXXX", path[64], file[64];

#define CHANNELS(words, c) tw_channels_find(words, sizeof(words), c)

static void sockets_by_the_command_line(void **state)
{
	struct tw_channels c;

	(void)state;
	CHANNELS("qemu\0-qmp\0unix:/run/a.sock,server=on,wait=off", &c);
	assert_string_equal(c.monitor, "/run/a.sock");
	assert_null(c.agent);
	tw_channels_free(&c);
	CHANNELS("qemu\0-qmp\0unix:/run/a,,b.sock,server=on", &c);
	assert_string_equal(c.monitor, "/run/a,b.sock");
	tw_channels_free(&c);
	/* as libvirt has it, with a comma in a path */
	CHANNELS("qemu\0-name\0guest=x,path=/no\0-chardev\0socket,id=m,path=/v/my,,vm/mon.sock,server=on\0"
		 "-mon\0chardev=m,id=monitor,mode=control\0-chardev\0socket,id=ga,path=/v/ga.sock\0"
		 "-device\0virtserialport,bus=b.0,chardev=ga,id=c0,name=org.qemu.guest_agent.0", &c);
	assert_string_equal(c.monitor, "/v/my,vm/mon.sock");
	assert_string_equal(c.agent, "/v/ga.sock");
	assert_null(c.domain);
	tw_channels_free(&c);
	/* libvirt's own, which it passes as descriptors */
	CHANNELS("qemu\0-uuid\0006b1c\0-chardev\0socket,id=charmonitor,fd=27,server=on,wait=off\0"
		 "-mon\0chardev=charmonitor,id=monitor,mode=control\0-chardev\0socket,id=charchannel0,fd=26,server=on\0"
		 "-device\0{\"driver\":\"virtserialport\",\"name\":\"org.qemu.guest_agent.0\"}", &c);
	assert_string_equal(c.domain, "6b1c");
	assert_true(c.has_agent);
	tw_channels_free(&c);
	/* human monitors, files, names that are only like it */
	CHANNELS("qemu\0-mon\0chardev=m\0-chardev\0file,id=ga,path=/f\0-device\0"
		 "virtserialport,chardev=ga,name=org.qemu.guest_agent.0\0-qmp\0stdio", &c);
	assert_null(c.monitor);
	assert_null(c.agent);
	tw_channels_free(&c);
}

/* A server in a process of its own: sends @hello, and to each line, kept in path.asked, its answer; "%d" there is the line's id */
static pid_t serve(const char *hello, const char *const *answers)
{
	int fd = listen_at(path), c;
	char line[65536], *id;
	FILE *f, *asked;
	pid_t pid;

	pid = fork();
	if (pid) {
		close(fd);
		return pid;
	}
	alarm(60);
	c = accept(fd, NULL, NULL);
	f = fdopen(c, "r+");
	setvbuf(f, NULL, _IONBF, 0);
	dprintf(c, "%s", hello);
	snprintf(line, sizeof(line), "%s.asked", path);
	asked = fopen(line, "w");
	while (fgets(line, sizeof(line), f)) {
		fputs(line, asked);
		fflush(asked);
		if (!*answers)
			break;
		id = strstr(line, "\"id\":");
		if (!strcmp(*answers, "late"))
			poll(NULL, 0, 1500), dprintf(c, "{\"return\":\"of another time\"}\n");
		else if (strcmp(*answers, "never"))
			dprintf(c, *answers, id ? atoi(id + 5) : 0);
		answers++;
	}
	_exit(0);
}

static void done(pid_t pid, struct tw_talk *t)
{
	tw_talk_close(t);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void monitor_answers(void **state)
{
	static const char *const answers[] = {
		"{\"return\":{},\"id\":%d}\n",
		"{\"event\":\"RTC_CHANGE\",\"data\":{}}\n{\"return\":{\"n\":7},\"id\":%d}\n",
		"{\"error\":{\"class\":\"CommandNotFound\",\"desc\":\"not found\"},\"id\":%d}\n",
		"{\"return\":1,\"id\":0}\n{\"return\":2,\"id\":%d}\n",
		"{\"id\":%d}\n", "no JSON\n", NULL,
	};
	pid_t pid = serve("{\"QMP\":{\"version\":{}}}\n", answers);
	struct tw_talk t;
	json_t *o;

	(void)state;
	assert_true(tw_talk_open(&t, path, false, 5000));
	o = tw_talk_ask(&t, "query-a", NULL, 5000);
	assert_int_equal(json_integer_value(json_object_get(o, "n")), 7);
	json_decref(o);
	assert_null(tw_talk_ask(&t, "query-b", json_object(), 5000));
	assert_string_equal(t.why, "not found");
	o = tw_talk_ask(&t, "query-c", NULL, 5000);	/* the answer to something else is passed over */
	assert_int_equal(json_integer_value(o), 2);
	json_decref(o);
	assert_null(tw_talk_ask(&t, "query-d", NULL, 5000));
	assert_string_equal(t.why, "the answer holds no result");
	assert_null(tw_talk_ask(&t, "query-e", NULL, 5000));
	assert_string_equal(t.why, "the answer is no JSON object");
	assert_null(tw_talk_ask(&t, "query-f", NULL, 5000));
	assert_string_equal(t.why, "the other end has closed it");
	done(pid, &t);
}

static void put(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void a_socket_is_adopted_and_drained(void **state)
{
	struct tw_talk t;
	int ends[2];
	json_t *o;

	(void)state;
	assert_false(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
	put(ends[1], "{\"QMP\":{}}\n{\"return\":{},\"id\":1}\n");
	assert_true(tw_talk_adopt(&t, ends[0], 5000));
	/* events that nobody waits for, the last of them half */
	put(ends[1], "{\"event\":\"A\"}\n{\"event\":");
	assert_true(tw_talk_drain(&t));
	assert_true(tw_talk_drain(&t));
	put(ends[1], "\"B\"}\n{\"return\":7,\"id\":2}\n");
	o = tw_talk_ask(&t, "quit", NULL, 5000);
	assert_int_equal(json_integer_value(o), 7);
	json_decref(o);
	close(ends[1]);
	assert_false(tw_talk_drain(&t));
	tw_talk_close(&t);
	assert_false(tw_talk_drain(&t));
}

/* Synchronized: 0xff, then the id that was asked for */
#define SYNCED "\xff{\"return\":%d}\n"

static void agent_is_synchronized_first(void **state)
{
	static const char *const answers[] = { "garbage{\"return\":5}\n\xff{\"return\":-1}\n" SYNCED,
					       "{\"return\":1000000000}\n", NULL };
	pid_t pid = serve("half an answer of last ti", answers);
	struct tw_talk t;
	json_t *o;

	(void)state;
	assert_true(tw_talk_open(&t, path, true, 5000));
	o = tw_talk_ask(&t, "guest-get-time", NULL, 5000);
	assert_int_equal(json_integer_value(o), 1000000000);
	json_decref(o);
	done(pid, &t);
}

static void agent_that_is_late_is_not_misunderstood_later(void **state)
{
	static const char *const answers[] = { SYNCED, "late", SYNCED, "{\"return\":3}\n", NULL };
	pid_t pid = serve("", answers);
	struct tw_talk t;
	json_t *o;

	(void)state;
	assert_true(tw_talk_open(&t, path, true, 5000));
	assert_null(tw_talk_ask(&t, "guest-get-time", NULL, 200));
	assert_string_equal(t.why, "no answer in time");
	o = tw_talk_ask(&t, "guest-get-time", NULL, 5000);
	assert_int_equal(json_integer_value(o), 3);
	json_decref(o);
	done(pid, &t);
}

static void agent_that_hangs_does_not_hang_us(void **state)
{
	static const char *const answers[] = { "never", "never", NULL };
	pid_t pid = serve("", answers);
	struct tw_talk t;

	(void)state;
	assert_false(tw_talk_open(&t, path, true, 200));
	assert_string_equal(t.why, "no answer in time");
	done(pid, &t);
}

static void programs_run_in_the_guest(void **state)
{
	static const char *const answers[] = {
		SYNCED, "{\"return\":{\"pid\":12}}\n", "{\"return\":{\"exited\":false}}\n",
		"{\"return\":{\"exited\":true,\"exitcode\":0,\"out-data\":\"bQkxCTIJMwk0CgDDpA==\"}}\n",
		"{\"return\":{}}\n", NULL,
	};
	pid_t pid = serve("", answers);
	char name[128], *asked, *out;
	struct tw_talk t;

	(void)state;
	assert_true(tw_talk_open(&t, path, true, 5000));
	out = tw_talk_exec(&t, "echo a", "1", 5000);
	assert_string_equal(out, "m\t1\t2\t3\t4\n \xc3\xa4");
	free(out);
	assert_null(tw_talk_exec(&t, "echo ab", "1", 5000));
	assert_string_equal(t.why, "the agent named no process");
	/* the script comes as input, as arguments are logged */
	snprintf(name, sizeof(name), "%s.asked", path);
	asked = tw_read_file(name, NULL);
	assert_non_null(asked);
	assert_non_null(strstr(asked, "\"arg\":[\"-s\",\"--\",\"1\"],\"input-data\":\"ZWNobyBh\""));
	assert_non_null(strstr(asked, "\"input-data\":\"ZWNobyBhYg==\""));
	free(asked);
	unlink(name);
	done(pid, &t);
}

static void no_socket_no_talk(void **state)
{
	struct tw_talk t;

	(void)state;
	assert_false(tw_talk_open(&t, "/nosuch/socket", true, 100));
	assert_string_equal(t.why, "No such file or directory");
	tw_talk_close(&t);
}

static void record(const char *const *facts, size_t n, struct tw_recording *r)
{
	struct tw_sources s = { .failed = json_object() };
	struct tw_recorder rec;
	struct tw_err e = { 0 };
	size_t i;

	unlink(file);
	assert_int_equal(tw_recorder_open(file, false, &rec, &e), TW_OK);
	tw_record_run(&rec, "v\xff", "skip-idle", 21600);
	for (i = 0; i < n; i++) {
		char *copy = strdup(facts[i]);
		double t = 1798761600 + i * 21600.0;

		tw_guest_facts(copy, t, &s, &rec);
		tw_record_sample(&rec, t, i);
		free(copy);
	}
	tw_record_missing(&rec, "x", "y");
	tw_record_missing(&rec, "x", "y");
	tw_record_end(&rec, 1798761600 + n * 21600.0, "span");
	assert_int_equal(tw_recorder_close(&rec, file, &e), TW_OK);
	json_decref(s.failed);
	free(s.zone);
	assert_int_equal(tw_recording_read(file, r, &e), TW_OK);
}

static const struct tw_series *series(const struct tw_recording *r, const char *name)
{
	size_t i;

	for (i = 0; i < r->n_series; i++)
		if (!strcmp(r->series[i].name, name))
			return &r->series[i];
	fail_msg("there is no series %s", name);
	return NULL;
}

static void facts_of_a_guest(void **state)
{
	static const char *const facts[] = {
		"m\t100\t900\t0\t0\nl\t0.25\nf\t/\t10\t100\ni\t/\t5\t50\np\tnginx: worker\t7\t2\no\tnginx: worker\t9\n"
		"d\t/var/log\t12\nz\tEurope/Berlin\nt\tlogrotate.timer\t@\t3660\t*-*-* 00:00:00\n"
		"t\tfstrim.timer\t1798675200\t60\tMon *-*-* 00:00:00\nt\todd.timer\t5\t60\t*-*-* 00/2:00:00\n"
		"c\tcertificate /x.pem\t1800000000\nu\tbad.service\tfailed\n"
		"j\t{\"PRIORITY\":\"3\",\"SYSLOG_IDENTIFIER\":\"cron\",\"MESSAGE\":\"died\",\"__REALTIME_TIMESTAMP\":\"1798761600000000\"}\n",
		"m\t110\t890\t0\t0\nt\tlogrotate.timer\t1798758000\t3660\t*-*-* 00:00:00\nu\tbad.service\tfailed\nu\tnew.service\tfailed\n",
	};
	struct tw_recording r;

	(void)state;
	record(facts, 2, &r);
	assert_true(series(&r, "guest.memory.used")->y[1] == 110 * 1024.0);
	assert_true(series(&r, "guest.memory.used")->limit == 1000 * 1024.0 && series(&r, "guest.memory.available")->worse < 0);
	assert_true(series(&r, "guest.fs./.used")->limit == 100 * 1024.0 && series(&r, "guest.fs./.inodes")->limit == 50);
	assert_true(series(&r, "guest.proc.nginx: worker.rss")->y[0] == 7 * 1024.0);
	assert_true(series(&r, "guest.proc.nginx: worker.fds")->y[0] == 9 && series(&r, "guest.load")->y[0] == 0.25);
	assert_int_equal(r.n_jobs, 2);
	assert_true(r.jobs[0].n == 1 && r.jobs[0].ran[0] == 1798758000 && r.jobs[0].calendar.tolerance == 3660);
	assert_true(r.jobs[1].n == 1 && r.jobs[1].calendar.rule == TW_RULE_WEEKLY && r.jobs[1].calendar.day == 1);
	/* a unit that stays failed is told once */
	assert_int_equal(r.n_events, 3);
	assert_true(r.n_expiring == 1 && r.expiring[0].seen[0].ends == 1800000000 && r.n_missing == 1);
	assert_true(r.zone.n >= 40 && tw_zone_east(&r.zone, 1798761600) == 3600 &&
		    tw_zone_east(&r.zone, 1798761600 + 182 * 86400.0) == 7200);
	tw_recording_free(&r);
}

static void a_guest_that_lies_is_passed_over(void **state)
{
	static const char *const facts[] = {
		"", "\n\n\t\n", "m\nm\t\t\t\t\nm\t1\t2\t3\nm\t-1\tnan\tinf\t1e999\nm\tx\ty\tz\tw\n",
		"f\t/\t1\nf\t\t\t\nz\t../../etc/shadow x\nz\t/etc/passwd\nz\t:foo\nt\ta\tb\tc\td\nt\t\t\t\t\n"
		"t\tq.timer\t9999999999\t60\t*-*-* 00:00:00\nt\tr.timer\t1\t60\t*-*-* 99:00:00\n",
		"j\t\nj\t{}\nj\t[]\nj\t{\"PRIORITY\":\"9\",\"MESSAGE\":\"x\",\"__REALTIME_TIMESTAMP\":\"1\"}\n"
		"j\t{\"PRIORITY\":\"3\",\"MESSAGE\":\"x\",\"__REALTIME_TIMESTAMP\":\"1e40\"}\nj\t{\"MESSAGE\":[1,2]}\n",
		"u\t\xff\xfe\t\x01\nc\tx\tnever\nc\n\xff\np\t\xff\t1\t1\np\t\"\t1\t1\n",
	};
	struct tw_recording r;

	(void)state;
	record(facts, ARRAY_SIZE(facts), &r);
	assert_true(r.n_expiring == 0 && r.zone.n == 0 && r.samples == ARRAY_SIZE(facts));
	assert_true(r.n_jobs == 1 && r.jobs[0].n == 0);
	tw_recording_free(&r);
}

/* What was interrupted, in the middle of a line, is gone on with */
static void a_recording_is_resumed(void **state)
{
	static const struct tw_series_kind kind = { "B", false, 1, NULL };
	struct tw_recorder rec;
	struct tw_recording r;
	struct tw_err e = { 0 };
	FILE *f;

	(void)state;
	unlink(file);
	assert_int_equal(tw_recorder_open(file, false, &rec, &e), TW_OK);
	tw_record_run(&rec, "v", "p", 1);
	tw_record_value(&rec, "a", &kind, NAN, 1);
	tw_record_sample(&rec, 100, 7);
	assert_int_equal(tw_recorder_close(&rec, file, &e), TW_OK);
	f = fopen(file, "a");
	fputs("{\"type\":\"sam", f);
	fclose(f);
	assert_int_equal(tw_recorder_open(file, false, &rec, &e), TW_FAILED);
	assert_non_null(strstr(e.cure, "--resume"));
	tw_recorder_close(&rec, file, &e);
	assert_int_equal(tw_recorder_open(file, true, &rec, &e), TW_OK);
	tw_record_value(&rec, "a", &kind, NAN, 2);
	tw_record_sample(&rec, 200, 5);
	assert_int_equal(tw_recorder_close(&rec, file, &e), TW_OK);
	assert_int_equal(tw_recording_read(file, &r, &e), TW_OK);
	assert_true(r.n_series == 1 && r.series[0].n == 2 && !r.cut && r.host_seconds == 12);
	tw_recording_free(&r);
}

/* /dev/full takes nothing */
static void a_full_disk_is_told(void **state)
{
	struct tw_recorder rec;
	struct tw_err e = { 0 };

	(void)state;
	unlink(file);
	assert_int_equal(tw_recorder_open(file, false, &rec, &e), TW_OK);
	fclose(rec.f);
	rec.f = fopen("/dev/full", "w");
	tw_record_run(&rec, "v", "p", 1);
	assert_true(rec.failed);
	assert_int_equal(tw_recorder_close(&rec, file, &e), TW_FAILED);
	assert_string_equal(e.fact, "No space left on device");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sockets_by_the_command_line),
		cmocka_unit_test(monitor_answers),
		cmocka_unit_test(a_socket_is_adopted_and_drained),
		cmocka_unit_test(agent_is_synchronized_first),
		cmocka_unit_test(agent_that_is_late_is_not_misunderstood_later),
		cmocka_unit_test(agent_that_hangs_does_not_hang_us),
		cmocka_unit_test(programs_run_in_the_guest),
		cmocka_unit_test(no_socket_no_talk),
		cmocka_unit_test(facts_of_a_guest),
		cmocka_unit_test(a_guest_that_lies_is_passed_over),
		cmocka_unit_test(a_recording_is_resumed),
		cmocka_unit_test(a_full_disk_is_told),
	};
	int failed;

	if (!mkdtemp(dir))
		return 1;
	snprintf(path, sizeof(path), "%s/socket", dir);
	snprintf(file, sizeof(file), "%s/recording", dir);
	signal(SIGPIPE, SIG_IGN);
	failed = RUN_TAP(tests);
	unlink(path);
	unlink(file);
	rmdir(dir);
	return failed;
}

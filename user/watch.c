// SPDX-License-Identifier: GPL-2.0
/* What the verbs trace, hist and stat have in common. */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "parse.h"
#include "tracer.h"
#include "twctl.h"
#include "world.h"

volatile int tw_stop;

/*
 * That SIGINT is ignored means '&' in a script: Ctrl-C there, which the terminal sends to all, is for the script. Who
 * ends it by kill -INT is meant.
 */
static bool in_background;

static void see_background(void)
{
	struct sigaction was;

	if (!sigaction(SIGINT, NULL, &was) && was.sa_handler == SIG_IGN)
		in_background = true;
}

bool tw_signal_counts(int sig, int code)
{
	return sig != SIGINT || !in_background || code != SI_KERNEL;
}

static void on_signal(int sig, siginfo_t *info, void *unused)
{
	(void)unused;
	if (tw_signal_counts(sig, info->si_code))
		tw_stop = 1;
}

void tw_catch_stop(void)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };

	see_background();
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	/* A reader that has had enough, such as head, ends it too */
	signal(SIGPIPE, SIG_DFL);
}

int tw_signal_fd(const char *doing, int sig, int flags, struct tw_err *e)
{
	struct sigaction hup;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, sig);
	see_background();
	/* nohup */
	if (sigaction(SIGHUP, NULL, &hup) || hup.sa_handler != SIG_IGN)
		sigaddset(&set, SIGHUP);
	fd = signalfd(-1, &set, SFD_CLOEXEC | flags);
	if (fd >= 0) {
		sigprocmask(SIG_BLOCK, &set, NULL);
		return fd;
	}
	tw_fail(e, TW_FAILED, "cannot %s", doing);
	e->code = errno;
	tw_fact(e, "signals cannot be waited for: %s", strerror(errno));
	tw_cure(e, "look at the limit of open files");
	return -1;
}

bool tw_signal_read(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct signalfd_siginfo info;

	while (poll(&p, 1, 0) > 0 && read(fd, &info, sizeof(info)) == sizeof(info))
		if (tw_signal_counts(info.ssi_signo, info.ssi_code))
			return true;
	return false;
}

uint64_t tw_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

void tw_sleep_until(uint64_t ns)
{
	struct timespec ts = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	while (!tw_stop && clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL) == EINTR)
		;
}

int tw_args_duration(const char *doing, const char *option, const char *text, uint64_t *ns,
		     struct tw_err *e)
{
	const char *why;
	uint64_t n;

	*ns = 0;
	if (!text)
		return TW_OK;
	if (!tw_parse_u64(text, &n, &why) && n < 1000000000) {
		*ns = n * 1000000000;
		why = "not above zero";
	} else if (!tw_parse_duration(text, ns, &why)) {
		why = "not above zero";
	}
	if (*ns)
		return TW_OK;
	tw_fail(e, TW_USAGE, "cannot %s", doing);
	tw_fact(e, "%s %s is %s", option, TW_QUOTE(text), why);
	return tw_cure(e, "write a time with its unit: 500us, 1s, 2m");
}

int tw_args_count(const char *doing, const char *option, const char *text, uint64_t *n,
		  struct tw_err *e)
{
	const char *why;
	uint64_t v = 0;

	if (!text)
		return TW_OK;
	if (!tw_parse_u64(text, &v, &why) && !v)
		why = "not above zero";
	if (v) {
		*n = v;
		return TW_OK;
	}
	tw_fail(e, TW_USAGE, "cannot %s", doing);
	tw_fact(e, "%s %s is %s", option, TW_QUOTE(text), why);
	return tw_cure(e, "write a whole number above zero: 10");
}

/* The operand, where there is one, or the option: one of the two */
static int one_of(const char *doing, const char *option, const char *named, const char *operand,
		  const char **text, struct tw_err *e)
{
	*text = named ? named : operand;
	if (!named || !operand)
		return TW_OK;
	tw_fail(e, TW_USAGE, "cannot %s", doing);
	tw_fact(e, "%s %s is given, and %s, too", option, TW_QUOTE(named), TW_QUOTE(operand));
	return tw_cure(e, "leave one of them out");
}

bool tw_is_interval(const char *word)
{
	const char *why;
	uint64_t n;

	return !tw_parse_u64(word, &n, &why) || !tw_parse_duration(word, &n, &why);
}

int tw_args_interval(const struct tw_args *args, const char *verb, uint64_t *every,
		     uint64_t *times, struct tw_err *e)
{
	const struct tw_strings *o = &args->operands;
	const char *interval, *count;

	*times = UINT64_MAX;
	if (one_of(verb, "--every", args->every, o->n ? o->v[0] : NULL, &interval, e) ||
	    one_of(verb, "--count", args->count, o->n > 1 ? o->v[1] : NULL, &count, e) ||
	    tw_args_duration(verb, "interval", interval, every, e) ||
	    tw_args_count(verb, "count", count, times, e))
		return e->status;
	if (!interval)
		*every = 1000000000;
	return TW_OK;
}

static int parse_sources(const struct tw_args *args, const char *doing, uint32_t *set,
			 struct tw_err *e)
{
	size_t i;

	*set = args->sources.n ? 0 : UINT32_MAX;
	for (i = 0; i < args->sources.n; i++) {
		int n = tw_source_parse(args->sources.v[i]);

		if (n < 0) {
			tw_fail(e, TW_USAGE, "cannot %s", doing);
			tw_fact(e, "there is no source %s", TW_QUOTE(args->sources.v[i]));
			return tw_cure(e, "use: oneshot, periodic, deadline, pit, rtc, irq0, stimer, "
				       "xen, hvtimer");
		}
		*set |= 1U << n;
	}
	return TW_OK;
}

int tw_args_tracer(const struct tw_args *args, const char *doing, struct tw_tracer_opts *o,
		   struct tw_err *e)
{
	const char *why;
	uint64_t n;

	memset(o, 0, sizeof(*o));
	o->doing = doing;
	o->vms = &args->vms;
	o->vcpu = -1;
	if (args->vcpu) {
		if (tw_parse_u64(args->vcpu, &n, &why) || n > INT_MAX) {
			tw_fail(e, TW_USAGE, "cannot %s", doing);
			tw_fact(e, "%s is no number of a vCPU", TW_QUOTE(args->vcpu));
			return tw_cure(e, "count from 0: --vcpu 1");
		}
		o->vcpu = n;
	}
	if (parse_sources(args, doing, &o->sources, e) ||
	    tw_args_duration(doing, "--jump", args->jump, &o->jump_ns, e))
		return e->status;
	if (!args->jump)
		o->jump_ns = 1000;
	return TW_OK;
}

void tw_json_shares(struct tw_json *j, const struct tw_shares *s)
{
	tw_json_open(j, "cpu", '{');
	tw_json_int(j, "vcpus", s->vcpus);
	if (s->span_ns) {
		tw_json_u64(j, "span_ns", s->span_ns);
		tw_json_u64(j, "run_ns", s->run_ns);
		tw_json_u64(j, "steal_ns", s->steal_ns);
		tw_json_u64(j, "other_ns", s->other_ns);
	}
	if (s->span_ns && s->stats) {
		tw_json_u64(j, "halt_ns", s->halt_ns);
		tw_json_u64(j, "halt_poll_success_ns", s->poll_ok_ns);
		tw_json_u64(j, "halt_poll_fail_ns", s->poll_vain_ns);
	}
	tw_json_close(j, '}');
}

void tw_tell_start(const struct tw_tracer *t)
{
	size_t i, n = t->nr_wanted ? t->nr_wanted : t->vms.n;

	for (i = 0; i < t->missing.n; i++)
		tw_fprintf(stderr, "%s%s", i ? ", " : "twctl: this kernel has no place for: ", t->missing.v[i]);
	if (t->missing.n)
		tw_fprintf(stderr, "\n");
	tw_fprintf(stderr, "twctl: watching %zu VM%s%s\n", n, n == 1 ? "" : "s",
		   t->nr_wanted ? "" : ", and those to come");
}

int tw_watch(const struct tw_tracer_opts *opts, tw_watch_fn watch, void *arg, struct tw_err *e)
{
	struct tw_tracer t;
	int status;

	tw_catch_stop();
	status = tw_tracer_start(&t, opts, e);
	if (!status) {
		tw_tell_start(&t);
		status = watch(&t, arg, e);
	}
	tw_tracer_stop(&t);
	return status;
}

int tw_tell_end(const struct tw_tracer *t, bool all_gone, struct tw_err *e)
{
	uint64_t events, units;

	fflush(stdout);
	tw_tracer_losses(t, &events, &units);
	if (events || units)
		tw_fprintf(stderr, "twctl: %llu events and %llu vCPUs or sources were too many to "
			   "keep\n", (unsigned long long)events, (unsigned long long)units);
	if (!all_gone)
		return TW_OK;
	tw_fail(e, TW_NO_VM, "cannot %s any longer", t->opts.doing);
	tw_fact(e, "%s%s gone", t->nr_wanted == 1 ? t->wanted[0]->id : "all VMs named",
		t->nr_wanted == 1 ? " has" : " have");
	return tw_cure(e, "what was seen until then stands above; twctl list shows what there is");
}

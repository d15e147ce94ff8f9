// SPDX-License-Identifier: GPL-2.0
/*
 * drive - what "twctl policy check" links a policy with: it plays the kernel
 *
 *	drive DECISIONS SEED [words]
 *
 * A VM's timeline is kept as the kernel keeps it (arch/x86/kvm/timewarp.c), and the policy is asked
 * as the kernel asks: at attach, at a swap, when parameters have changed, and at the times that it
 * asked for, late by a random span or a little early. Each run has its own random parameters, the first
 * the defaults. What the kernel would clamp, or eject for, is reported with how to come to it.
 *
 * Prints one line for each kind of crime, and a last one with sums; with "words" the same for programs: a word and numbers,
 * which user/lib/author.c reads. Status 0 without crimes, 5 with.
 */
#define TIMEWARP_CHECK 1
#include "timewarp.bpf.h"

#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define RUN 200				/* decisions of one attachment */
#define MAX_BAD 16			/* in a row: the kernel ejects */
#define MAX_DECIDE_NS 20000000ULL
#define SECOND 1000000000ULL

extern struct kvm_timewarp_ops *tw_check_ops;
extern const struct tw_check_param *const __start_tw_params[] __attribute__((weak));
extern const struct tw_check_param *const __stop_tw_params[] __attribute__((weak));

__u64 tw_check_now_ns;
unsigned long tw_check_told;

/* Shared by all attachments, each of which is a process: a policy starts with fresh variables */
static struct {
	unsigned long decisions, runs, refused, kept, told, crimes;
	unsigned long count[16];	/* of each kind of crime */
	__u64 rng;
} *sum;
static unsigned long row;		/* bad answers in a row */

static struct timewarp {
	__u64 host_ns, guest_ns, num, den;
	__u64 next_host, next_guest, next_late, next_idle;
	__u64 lost_ticks, floors, asked_ns;
	__u64 idle_ns;			/* all vCPUs are halted since */
	bool held;
	__u64 stop_ns;			/* guest time at which it will be, or 0 */
	__u32 event;
} tl;

static bool words;
static char history[512];		/* how the run at hand came about */
static sigjmp_buf undone;

static __u64 rnd(void)
{
	__u64 x = sum->rng;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	sum->rng = x;
	return x * 2685821657736338717ULL;
}

__u32 bpf_get_prandom_u32(void)
{
	return rnd() >> 32;
}

__u64 kvm_timewarp_host_tsc(void)
{
	return tl.host_ns;
}

int kvm_timewarp_ask(__u32 id)
{
	(void)id;
	return 0;
}

__u64 kvm_timewarp_mul_div(__u64 a, __u64 b, __u64 c)
{
	unsigned __int128 q = c ? (unsigned __int128)a * b / c : 0;

	return !c || q > ~0ULL ? ~0ULL : (__u64)q;
}

/* Any size is as likely as any other */
static __u64 rnd_size(__u64 lo, __u64 hi)
{
	__u64 v = rnd() >> (rnd() % 64);

	switch (rnd() % 8) {
	case 0:
		return lo;
	case 1:
		return hi;
	default:
		return hi - lo == ~0ULL ? v : lo + v % (hi - lo + 1);
	}
}

/* ---- parameters */

static void rnd_factor(struct timewarp_factor *f)
{
	__u64 limit = TIMEWARP_FACTOR_LIMIT;

	switch (rnd() % 4) {
	case 0:
		*f = (struct timewarp_factor){ 1, 1 + rnd() % limit };
		break;
	case 1:
		*f = (struct timewarp_factor){ 1 + rnd() % limit, 1 };
		break;
	case 2:	/* many digits */
		f->den = limit * limit;
		f->num = f->den / limit + rnd() % (f->den * 100);
		break;
	default:
		f->den = 1 + rnd() % 1000;
		f->num = 1 + rnd() % (f->den * 50);
	}
}

static void rnd_when(struct timewarp_when *w)
{
	w->kind = TIMEWARP_AT_GUEST + rnd() % 4;
	w->ns = rnd_size(1, rnd() % 4 ? 100 * SECOND : 3650 * 86400 * SECOND);
	if (w->kind == TIMEWARP_AT_GUEST)
		w->ns += tl.guest_ns;
	if (w->kind == TIMEWARP_AT_HOST)
		w->ns += tl.host_ns;
}

static void rnd_schedule(struct timewarp_schedule *s)
{
	__u64 i;

	memset(s, 0, sizeof(*s));
	s->n = 1 + rnd() % TIMEWARP_PIECES;
	for (i = 0; i < s->n; i++) {
		rnd_factor(&s->piece[i].factor);
		if (i + 1 < s->n)
			rnd_when(&s->piece[i].end);
	}
}

static void rnd_param(const struct tw_check_param *p)
{
	union {
		struct timewarp_factor f;
		struct timewarp_when w;
		struct timewarp_schedule s;
		__u64 n;
	} v;

	memset(&v, 0, sizeof(v));
	switch (p->kind) {
	case TW_CHECK_FACTOR:
		rnd_factor(&v.f);
		break;
	case TW_CHECK_WHEN:
		rnd_when(&v.w);
		break;
	case TW_CHECK_SCHEDULE:
		rnd_schedule(&v.s);
		break;
	default:
		v.n = rnd_size(p->lo, p->hi);
	}
	memcpy((void *)p->value, &v, p->size);
}

static int nr_params(void)
{
	return __start_tw_params ? __stop_tw_params - __start_tw_params : 0;
}

static void note(const char *fmt, unsigned long long a, unsigned long long b, const char *name)
{
	size_t len = strlen(history);

	snprintf(history + len, sizeof(history) - len, fmt, name, a, b);
}

static void note_param(const struct tw_check_param *p)
{
	__u64 v[2] = { 0, 0 };

	memcpy(v, (const void *)p->value, p->size < sizeof(v) ? p->size : sizeof(v));
	if (p->kind == TW_CHECK_NUMBER)
		note(" %s=%llu", v[0], 0, p->name);
	else if (p->kind == TW_CHECK_FACTOR)
		note(" %s=%llu/%llu", v[0], v[1], p->name);
	else if (p->kind == TW_CHECK_WHEN)
		note(" %s={%llu ns, kind %llu}", v[0], v[1], p->name);
	else
		note(" %s={%llu pieces}", v[0], 0, p->name);
}

/* ---- crimes */

enum { ZERO, RANGE, PAST, BACK, FAR, BITS, START, CODE, SLOW, CRASH, HANG, EJECT, REFUSED, NR_CRIMES };

static const char *const crimes[NR_CRIMES] = {
	[ZERO] = "a factor with a zero in it",
	[RANGE] = "a factor outside 1/10000 to 10000",
	[PAST] = "asks to be called at a time that has passed",
	[BACK] = "leaps to a guest time that has passed, or too far back",
	[FAR] = "leaps further than half an hour at once",
	[BITS] = "answers with bits that there are not, or do not go with the rest",
	[START] = "wants to go on more than a second from now",
	[CODE] = "returns what is neither 0 nor a negative errno",
	[SLOW] = "takes longer than 20 ms to decide",
	[CRASH] = "divides by zero, or touches memory that it has no business with",
	[HANG] = "does not come to an end",
	[EJECT] = "gives 16 unusable answers in a row: the kernel ejects it",
	[REFUSED] = "refuses to be attached with its defaults",
};

static const char *const crime_words[NR_CRIMES] = {
	[ZERO] = "zero", [RANGE] = "range", [PAST] = "past", [BACK] = "back", [FAR] = "far", [BITS] = "bits",
	[START] = "start", [CODE] = "code", [SLOW] = "slow", [CRASH] = "crash", [HANG] = "hang", [EJECT] = "eject",
	[REFUSED] = "refused",
};

static void crime(int which, const struct kvm_timewarp_view *in, const struct kvm_timewarp_answer *out)
{
	sum->crimes++;
	if (sum->count[which]++)
		return;
	if (words) {
		printf("crime %s %u %llu %llu %llu %llu %llu %llu%s\n", crime_words[which], in->event, in->host_ns,
		       in->guest_ns, out->factor_num, out->factor_den, out->next_host_ns, out->next_guest_ns, history);
		return;
	}
	printf("crime: %s;%s; event %u at host_ns %llu, guest_ns %llu, answer %llu/%llu, "
	       "next_host_ns %llu, next_guest_ns %llu\n", crimes[which], history, in->event,
	       in->host_ns, in->guest_ns, out->factor_num, out->factor_den, out->next_host_ns,
	       out->next_guest_ns);
}

static void on_signal(int sig)
{
	siglongjmp(undone, sig);
}

static __u64 wall_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * SECOND + ts.tv_nsec;
}

/* ---- the kernel's part */

static bool rate_ok(const struct kvm_timewarp_answer *c)
{
	unsigned __int128 num = c->factor_num, den = c->factor_den;

	return num <= den * TIMEWARP_FACTOR_LIMIT && num * TIMEWARP_FACTOR_LIMIT >= den;
}

static bool may_go_back(__u64 ns)
{
	return tw_check_ops->flags & KVM_TIMEWARP_F_BACKWARD && ns <= TIMEWARP_MAX_LEAP_NS;
}

/* At an attach, the guest may be one that has not run yet */
static __u64 leap_max(const struct kvm_timewarp_view *in)
{
	return in->event == KVM_TIMEWARP_ATTACH ? TIMEWARP_MAX_START_NS : TIMEWARP_MAX_LEAP_NS;
}

/* Returns false if the answer is one of those that add up to an ejection */
static bool judge(const struct kvm_timewarp_view *in, const struct kvm_timewarp_answer *out)
{
	__u64 known = KVM_TIMEWARP_HOLD | KVM_TIMEWARP_IF_IDLE;
	bool fine = true;

	if (!out->factor_num || !out->factor_den) {
		crime(ZERO, in, out);
		fine = false;
	} else if (!rate_ok(out)) {
		crime(RANGE, in, out);
		fine = false;
	}
	if ((out->next_host_ns && out->next_host_ns <= in->host_ns) ||
	    (out->next_guest_ns && out->next_guest_ns <= in->guest_ns)) {
		crime(PAST, in, out);
		fine = false;
	}
	if (out->leap_ns && out->leap_ns < in->guest_ns && !may_go_back(in->guest_ns - out->leap_ns)) {
		crime(BACK, in, out);
		fine = false;
	} else if (out->leap_ns > in->guest_ns &&
		   out->leap_ns - in->guest_ns > leap_max(in)) {
		crime(FAR, in, out);
		fine = false;
	}
	if (out->next_guest_ns > in->guest_ns && !(out->flags & KVM_TIMEWARP_HOLD))
		known |= KVM_TIMEWARP_HOLD_NEXT;
	if (out->flags & KVM_TIMEWARP_IF_IDLE)
		known |= KVM_TIMEWARP_PAST_TIMERS;
	if (out->flags & ~known) {
		crime(BITS, in, out);
		fine = false;
	}
	/* the host's TSC ticks once a nanosecond here */
	if (out->start_tsc > in->host_tsc && out->start_tsc - in->host_tsc > SECOND) {
		crime(START, in, out);
		fine = false;
	}
	return fine;
}

/* When the next timer is due: soon, late, just now, or none is armed */
static __u64 rnd_timer(void)
{
	return rnd() % 8 ? tl.guest_ns + rnd_size(0, 86400 * SECOND) : ~0ULL;
}

/* A leap that is for idle vCPUs alone may come too late, or end at a timer that has been armed since */
static void leap(const struct kvm_timewarp_view *in, const struct kvm_timewarp_answer *out)
{
	__u64 to = out->leap_ns;

	if (to && to < tl.guest_ns && may_go_back(tl.guest_ns - to))
		tl.guest_ns = to;
	if (to <= tl.guest_ns || to - tl.guest_ns > TIMEWARP_MAX_LEAP_NS)
		return;
	if (out->flags & KVM_TIMEWARP_IF_IDLE) {
		if (!tl.idle_ns || rnd() % 4 == 0)
			return;
		if (to > in->next_timer_ns && !(out->flags & KVM_TIMEWARP_PAST_TIMERS))
			to = in->next_timer_ns;
	}
	tl.guest_ns = to > tl.guest_ns ? to : tl.guest_ns;
}

/* One decision; returns what decide() did, or 1 if the attachment is over */
static int decide(__u32 event)
{
	int (*fn)(unsigned long long *) = (int (*)(unsigned long long *))tw_check_ops->decide;
	struct kvm_timewarp_view in = { .event = event, .id = 1, .nr_vcpus = 1 + rnd() % 8,
		.host_tsc = tl.host_ns,
		.host_ns = tl.host_ns, .guest_ns = tl.guest_ns,
		.factor_num = tl.num, .factor_den = tl.den,
		.lost_ticks = tl.lost_ticks, .floors = tl.floors,
		.halted_ns = rnd_size(0, tl.host_ns - tl.asked_ns),
		.idle_ns = tl.idle_ns, .next_timer_ns = rnd_timer(),
		.state = (tl.held ? KVM_TIMEWARP_HELD : 0) | (rnd() % 2 ? KVM_TIMEWARP_TELLS : 0) |
			(rnd() % 2 ? KVM_TIMEWARP_ONE_SHOT : 0) };
	struct kvm_timewarp_view view;
	struct kvm_timewarp_answer out = { .factor_num = tl.num, .factor_den = tl.den };
	unsigned long long args[2] = { (unsigned long long)&view, (unsigned long long)&out };
	__u64 start, took;
	int r, sig;

	in.starved_ns = rnd_size(0, tl.host_ns - tl.asked_ns - in.halted_ns);
	in.late_ns = event == KVM_TIMEWARP_LATE ? tl.next_late + rnd_size(0, SECOND) :
		     rnd_size(0, tl.next_late ? tl.next_late - 1 : SECOND);
	tl.asked_ns = tl.host_ns;
	tl.next_late = 0;
	view = in;
	sum->decisions++;
	tw_check_now_ns = tl.host_ns;
	sig = sigsetjmp(undone, 1);
	if (sig) {
		crime(sig == SIGALRM ? HANG : CRASH, &in, &out);
		return 1;
	}
	alarm(5);
	start = wall_ns();
	r = fn(args);
	took = wall_ns() - start;
	alarm(0);
	if (took > MAX_DECIDE_NS)
		crime(SLOW, &in, &out);
	if (r > 0 || r < -4095) {
		crime(CODE, &in, &out);
		return -EINVAL;
	}
	if (r) {
		sum->kept++;
		row = 0;
		return r;
	}
	if (judge(&in, &out)) {
		row = 0;
	} else if (++row >= MAX_BAD) {
		crime(EJECT, &in, &out);
		return 1;
	}
	if (out.factor_num && out.factor_den && rate_ok(&out)) {
		tl.num = out.factor_num;
		tl.den = out.factor_den;
	}
	tl.next_host = out.next_host_ns;
	tl.next_guest = out.next_guest_ns;
	tl.next_late = out.next_late_ns;
	tl.next_idle = out.next_idle_ns;
	leap(&in, &out);
	tl.held = out.flags & KVM_TIMEWARP_HOLD;
	tl.stop_ns = !tl.held && out.flags & KVM_TIMEWARP_HOLD_NEXT ? out.next_guest_ns : 0;
	return 0;
}

static void let_pass(__u64 host_ns)
{
	__u64 guest = kvm_timewarp_mul_div(host_ns, tl.num, tl.den);

	tl.host_ns += host_ns;
	if (!tl.held)
		tl.guest_ns += guest == ~0ULL ? 0 : guest;
	if (tl.stop_ns && tl.guest_ns >= tl.stop_ns) {
		tl.guest_ns = tl.stop_ns;
		tl.held = true;
		tl.stop_ns = 0;
	}
	if (rnd() % 4 == 0) {
		tl.lost_ticks += rnd_size(0, 10000);
		tl.floors += rnd_size(0, 10000);
	}
}

/* Lets time pass until the alarm, or for a while if there is none; false if there is no need to ask */
static bool wait_for_alarm(void)
{
	__u64 delay = ~0ULL, d, halted = tl.idle_ns && rnd() % 2 ? tl.idle_ns : 0;

	if (tl.next_host) {
		delay = tl.next_host > tl.host_ns ? tl.next_host - tl.host_ns : 0;
		tl.event = KVM_TIMEWARP_HOST_TIME;
	}
	tl.idle_ns = 0;
	if (tl.next_guest && !tl.held) {
		d = tl.next_guest > tl.guest_ns ?
			kvm_timewarp_mul_div(tl.next_guest - tl.guest_ns, tl.den, tl.num) : 0;
		if (d < delay) {
			delay = d;
			tl.event = KVM_TIMEWARP_GUEST_TIME;
		}
	}
	if (tl.next_late && !tl.held && rnd() % 8 == 0) {
		d = rnd_size(0, SECOND);
		delay = d < delay ? d : delay;
		tl.event = KVM_TIMEWARP_LATE;
	}
	/* that they have halted is told once, and what the policy does about it wakes nobody */
	if (tl.next_idle && !tl.held && !halted && rnd() % 4) {
		d = tl.next_idle + rnd() % (10 * TIMEWARP_MIN_INTERVAL_NS);
		if (d < delay) {
			delay = d;
			tl.idle_ns = d;
			tl.event = KVM_TIMEWARP_IDLE;
		}
	}
	if (delay == ~0ULL)
		return false;
	if (delay < TIMEWARP_MIN_INTERVAL_NS)
		delay = TIMEWARP_MIN_INTERVAL_NS;
	switch (rnd() % 4) {
	case 0:	/* on time */
		break;
	case 1:	/* the host's clock is disciplined: early */
		delay -= delay / 10000;
		break;
	case 2:	/* some microseconds late */
		delay += rnd() % 100000;
		break;
	default:	/* the host was busy, or suspended */
		delay += rnd() % (rnd() % 16 ? 20 * TIMEWARP_MIN_INTERVAL_NS : 3600 * SECOND);
	}
	/* the timeline holds 292 years; nobody waits so long here */
	if (kvm_timewarp_mul_div(delay, tl.num, tl.den) > (1ULL << 62) || tl.guest_ns >> 62 ||
	    tl.host_ns >> 62)
		return false;
	if (halted)
		tl.idle_ns = halted + delay;
	let_pass(delay);
	return true;
}

static void attach(bool defaults)
{
	int i, r, n = nr_params();
	__u32 event = rnd() % 8 ? KVM_TIMEWARP_ATTACH : KVM_TIMEWARP_SWAP;

	memset(&tl, 0, sizeof(tl));
	sum->runs++;
	row = 0;
	tl.num = tl.den = 1;
	tl.host_ns = rnd() % 2 ? 60 * SECOND : rnd_size(SECOND, 86400 * 365 * SECOND);
	tl.asked_ns = tl.host_ns;
	/* at its first attachment it equals the host's, and later it is ahead by what there was */
	tl.guest_ns = tl.host_ns + (rnd() % 2 ? 0 : rnd() % (1000 * SECOND));
	snprintf(history, sizeof(history), defaults ? " with its defaults" : " with");
	for (i = 0; i < n && !defaults; i++) {
		rnd_param(__start_tw_params[i]);
		note_param(__start_tw_params[i]);
	}
	r = decide(event);
	if (r) {
		sum->refused += r < 0;
		/* with a moment or a schedule to be told, there is nothing to do by default */
		for (i = 0; i < n; i++)
			if (__start_tw_params[i]->kind >= TW_CHECK_WHEN)
				return;
		if (defaults && r < 0)
			crime(REFUSED, &(struct kvm_timewarp_view){ .event = event },
			      &(struct kvm_timewarp_answer){ 0 });
		return;
	}
	for (i = 0; i < RUN; i++) {
		if (n && rnd() % 40 == 0) {
			let_pass(1 + rnd() % (10 * SECOND));
			rnd_param(__start_tw_params[rnd() % n]);
			r = decide(KVM_TIMEWARP_PARAMS);
			/* a policy that refuses a change is left alone, as it was */
			if (r)
				return;
		} else if (wait_for_alarm()) {
			if (decide(tl.event) == 1)
				return;
		} else if (!n) {
			return;
		}
	}
}

/* False if the machine gives no process to run it in: then nothing is known of the policy */
static bool fork_attach(bool defaults)
{
	static const struct kvm_timewarp_view no_view;
	static const struct kvm_timewarp_answer no_answer;
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		attach(defaults);
		sum->told += tw_check_told;
		fflush(stdout);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("drive: no process to run the policy in");
		return false;
	}
	/* It has ended the process, or in a way that no handler sees */
	if (status) {
		snprintf(history, sizeof(history), " with parameters that went with it");
		crime(CRASH, &no_view, &no_answer);
	}
	return true;
}

int main(int argc, char **argv)
{
	unsigned long want = argc > 1 ? strtoul(argv[1], NULL, 10) : 10000;
	unsigned long runs = 0;
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = SA_NODEFER | SA_ONSTACK };
	/* for a policy that has used up its own */
	static char stack[65536];
	stack_t alt = { .ss_sp = stack, .ss_size = sizeof(stack) };
	bool ran;

	sum = mmap(NULL, sizeof(*sum), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sum == MAP_FAILED)
		return 1;
	words = argc > 3;
	sum->rng = (argc > 2 ? strtoull(argv[2], NULL, 10) : 1) * 0x9e3779b97f4a7c15ULL | 1;
	sigaltstack(&alt, NULL);
	sigaction(SIGALRM, &sa, NULL);
	sigaction(SIGFPE, &sa, NULL);
	sigaction(SIGSEGV, &sa, NULL);
	sigaction(SIGBUS, &sa, NULL);
	sigaction(SIGILL, &sa, NULL);
	ran = fork_attach(true);
	while (ran && sum->decisions < want && runs++ < want / 10 && sum->count[HANG] < 2)
		ran = fork_attach(false);
	if (!ran)
		return 1;
	printf(words ? "sums %lu %lu %lu %lu %lu %lu\n" :
	       "decisions %lu, attachments %lu, refused %lu, segments kept %lu, events told %lu, crimes %lu\n", sum->decisions, sum->runs, sum->refused, sum->kept, sum->told,
	       sum->crimes);
	return sum->crimes ? 5 : 0;
}

// SPDX-License-Identifier: GPL-2.0
/*
 * old64 PERIOD COUNT, old32 PERIOD COUNT - a daemon as they used to be written
 *
 * Has a job every PERIOD seconds of CLOCK_REALTIME, COUNT times: it asks every half second for the
 * time, does the job when that has come, and says when it did. Time is a long, as time_t was: 32 bits in
 * old32, which is a program for i386 and asks the kernel with the system calls of such. When the time it
 * sees goes back it says so, and when two periods have passed without a job it ends, with status 1.
 *
 * It brings what it needs of libc along: there is none for i386 here.
 */
#ifdef __i386__
#define NR_WRITE 4
#define NR_TIME 13
#define NR_NANOSLEEP 162
#define NR_EXIT 1
static long call(long nr, long a, long b, long c)
{
	long r;

	asm volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c) : "memory");
	return r;
}
asm(".globl _start; _start: mov %esp, %eax; and $-16, %esp; sub $12, %esp; push %eax; call begin");
#else
#define NR_WRITE 1
#define NR_TIME 201
#define NR_NANOSLEEP 35
#define NR_EXIT 60
static long call(long nr, long a, long b, long c)
{
	long r;

	asm volatile("syscall" : "=a"(r) : "a"(nr), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
	return r;
}
asm(".globl _start; _start: mov %rsp, %rdi; and $-16, %rsp; call begin");
#endif

typedef long old_time_t;

static void say(const char *what, long number)
{
	unsigned long n = number < 0 ? 0 - (unsigned long)number : (unsigned long)number;
	char line[64], digits[24];
	int at = 0, d = 0;

	while (*what)
		line[at++] = *what++;
	if (number < 0)
		line[at++] = '-';
	do
		digits[d++] = '0' + n % 10;
	while (n /= 10);
	while (d)
		line[at++] = digits[--d];
	line[at++] = '\n';
	call(NR_WRITE, 1, (long)line, at);
}

static long number(const char *s)
{
	long n = 0;

	while (*s)
		n = n * 10 + *s++ - '0';
	return n;
}

__attribute__((used, noreturn)) void begin(long *stack)
{
	char **argv = (char **)(stack + 1);
	long period = stack[0] > 1 ? number(argv[1]) : 10, count = stack[0] > 2 ? number(argv[2]) : 10;
	struct { long sec, nsec; } half = { 0, 500000000 };
	old_time_t now, next, last;
	long idle = 0;

	last = call(NR_TIME, 0, 0, 0);
	next = last + period;
	while (count && idle < 4 * period) {
		call(NR_NANOSLEEP, (long)&half, 0, 0);
		now = call(NR_TIME, 0, 0, 0);
		if (now < last)
			say("the time has gone back to ", now);
		last = now;
		idle++;
		if (now < next)
			continue;
		say("ran at ", now);
		next += period;
		count--;
		idle = 0;
	}
	call(NR_EXIT, count ? 1 : 0, 0, 0);
	__builtin_unreachable();
}

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The tiny VMM of the directed tests: a VM of a few megabytes, vCPUs that run the C functions of
 * tinyguest.c in 64-bit mode, TAP, twctl and the state file.  What fails here ends the test: it
 * is the bench that is broken then, not what is being tested.
 */
#ifndef TINYVM_H
#define TINYVM_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tinyguest.h"

#define TINY_MAX_VCPUS 64

/* What a VM is made with */
enum tiny_flags {
	TINY_HYPERV = 1,	/* the CPUID of Hyper-V, its synthetic interrupt controller */
	TINY_WAIT_SIPI = 2,	/* vCPUs but the first wait for the guest to start them */
};

struct tiny_vcpu {
	struct tiny *vm;
	int index, fd;
	struct kvm_run *run;
	pthread_t thread;
	pid_t tid;
	bool running;
	volatile bool stop, done;
	volatile uint64_t start_at;	/* host TSC before which its thread spins, or 0 */
	volatile uint64_t returns;	/* of KVM_RUN, whatever for */
	volatile int last_errno;
};

struct tiny {
	int kvm, fd;
	unsigned int nr, flags;
	char *mem;
	struct tiny_vcpu vcpu[TINY_MAX_VCPUS];
};

/* mem_at: where guest memory shall lie in this process, or NULL */
void tiny_create(struct tiny *vm, unsigned int nr, unsigned int flags, void *mem_at);
/* One vCPU more, with its CPUID and registers */
void tiny_add_vcpu(struct tiny *vm);
void tiny_destroy(struct tiny *vm);
struct guest_area *tiny_area(struct tiny *vm, unsigned int vcpu);
/* A thread that runs @fn of tinyguest.c with @arg */
void tiny_start(struct tiny *vm, unsigned int vcpu, guest_fn *fn, uint64_t arg);
/* The thread leaves KVM_RUN and ends; the vCPU can be started anew */
void tiny_stop(struct tiny *vm, unsigned int vcpu);
/* As if a guest had asked for its kvmclock page, or Hyper-V's TSC page */
void tiny_set_kvmclock(struct tiny *vm, unsigned int vcpu);
void tiny_set_hv_page(struct tiny *vm);

uint64_t tiny_get_msr(struct tiny *vm, unsigned int vcpu, uint32_t msr);
int tiny_try_set_msr(struct tiny *vm, unsigned int vcpu, uint32_t msr, uint64_t value);
void tiny_set_msr(struct tiny *vm, unsigned int vcpu, uint32_t msr, uint64_t value);
/* LAPIC timer in TSC-deadline mode, software-enabled */
void tiny_deadline_mode(struct tiny *vm, unsigned int vcpu);

/* The parts, for who wants to go on when one fails: -1 and errno */
void tiny_fill_memory(char *mem);
int tiny_set_cpuid(int kvm, int fd, int index, bool hyperv);
int tiny_set_regs(int fd, int index, guest_fn *fn);

/* ioctl() that must work */
int need_ioctl(int fd, unsigned long nr, void *arg, const char *name);
#define IOCTL(fd, nr, arg) need_ioctl(fd, nr, (void *)(arg), #nr)

/* ---- TAP */

bool ok(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void bail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));
int tap_end(void);

/* ---- twctl and the state file */

/* twctl with these arguments; its status, 124 if it did not end within a minute. What it says is in tw_said(). */
int twctl(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
const char *tw_said(void);
/* The same in the background; its PID */
pid_t twctl_start(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A key's value in the state file of a VM of process @pid; NULL if there is none. fd -1: the first VM. */
const char *state_text(pid_t pid, int fd, const char *key);
uint64_t state_num(pid_t pid, int fd, const char *key);
/* Waits until a key has this value */
bool state_becomes(pid_t pid, int fd, const char *key, const char *value, double seconds);
/* The state file, opened */
int state_open(pid_t pid, int fd);

/* ---- time, files */

double now(void);
void sleep_ms(double ms);
static inline uint64_t rdtsc_host(void)
{
	uint32_t lo, hi;

	__asm__ volatile("lfence; rdtsc; lfence" : "=a"(lo), "=d"(hi) : : "memory");
	return lo | (uint64_t)hi << 32;
}
void put(const char *path, const char *text);

#define MSR_TSC			0x10
#define MSR_TSC_ADJUST		0x3b
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_KVMCLOCK		0x4b564d01
#define MSR_HV_OS_ID		0x40000000
#define MSR_HV_REF_COUNT	0x40000020
#define MSR_HV_REF_TSC		0x40000021

#endif

/* SPDX-License-Identifier: GPL-2.0 */
/* The bare VMM of tests/vmm as a child of ours: what it has checked, and the figures that it gives. */
#ifndef TW_BARE_H
#define TW_BARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "command.h"
#include "err.h"

enum tw_bare_figure {
	TW_BARE_READINGS,		/* of clocks */
	TW_BARE_TIMERS,			/* that have fired */
	TW_BARE_APART_NS,		/* kvmclock from the timeline at the same TSC */
	TW_BARE_LINE_NS,		/* ... from one line through all changes */
	TW_BARE_RATE_PPM,		/* guest time from the factor in force */
	TW_BARE_LATE_NS,		/* the latest timer, in guest time */
	TW_BARE_TSC_READ_NS,		/* what a reading costs */
	TW_BARE_KVMCLOCK_READ_NS,
	TW_BARE_NR_FIGURES,
};

struct tw_bare {
	pid_t pid;			/* 0: not started, or it has ended */
	int in, out;			/* its standard input and what it prints; -1 */
	int status;			/* as waitpid() has it, once it has ended */
	char dir[96];			/* in KVM's debugfs; empty until it is up */
	unsigned int checks;
	struct tw_words failed;		/* those of them that do not hold, and why it gave up */
	double figure[TW_BARE_NR_FIGURES];	/* negative: none */
};

/* Where it is: beside twctl in the tree that built it, else in ../libexec/timewarp; to be freed; NULL with the error filled */
char *tw_bare_find(struct tw_err *e);

/**
 * tw_bare_start - start it
 * @b: result, to be closed, errors included
 * @command: with --hold, its guest does not run before tw_bare_go()
 *
 * It ends when we do, and hears no Ctrl-C of ours.
 *
 * Return: whether it runs; errno is set
 */
bool tw_bare_start(struct tw_bare *b, const struct tw_words *command);

/* Whether its VM is there, with its place in debugfs known */
bool tw_bare_is_up(struct tw_bare *b);

void tw_bare_go(const struct tw_bare *b);

/* What "--until -" waits for */
void tw_bare_enough(struct tw_bare *b);

bool tw_bare_has_ended(struct tw_bare *b);

/* Whether it came to its end and all that it has checked holds; fills in what it printed */
bool tw_bare_judge(struct tw_bare *b);

/* Ends it, if it is still there */
void tw_bare_close(struct tw_bare *b);

/**
 * tw_child - fork a child that ends when we do
 * @sig: what it is sent then
 * @out: its standard output and error; left alone where negative
 *
 * It is in a process group of its own, and blocks no signal.
 *
 * Return: as fork()
 */
pid_t tw_child(int sig, int out);

/* A file of no name, of which a child has its standard output; -1 with errno set */
int tw_output_file(void);

/* All that stands in it, to be freed */
char *tw_output_text(int fd);

#endif /* TW_BARE_H */

/* SPDX-License-Identifier: GPL-2.0 */
/*
 * QEMU's monitor (QMP) and the guest's agent: JSON over a Unix socket, or through libvirt.
 *
 * The agent is the guest's: it may hang, lie and talk without end. Each question has its deadline, each
 * answer a bound, and whoever is late is asked to begin anew before the next question.
 */
#ifndef TW_AGE_TALK_H
#define TW_AGE_TALK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct tw_talk {
	int fd;			/* -1: not open, or of a domain */
	char *domain;		/* libvirt's, which is asked in the place of a socket; or NULL */
	bool agent, stale;	/* stale: an answer may still come that nobody waits for */
	unsigned int asked;
	char *buf;		/* of what has come */
	size_t len;
	char why[160];		/* what went wrong */
};

/**
 * tw_talk_open - connect, and agree on how to talk
 * @t: result, to be closed, errors included
 * @path: the socket
 * @agent: whether it is an agent's, else QMP's
 * @timeout_ms: host time for that
 *
 * Return: false with t->why filled
 */
bool tw_talk_open(struct tw_talk *t, const char *path, bool agent, int timeout_ms);

/* The same of a domain of libvirt's, by its UUID or name */
bool tw_talk_open_domain(struct tw_talk *t, const char *domain, bool agent, int timeout_ms);

static inline bool tw_talk_is_open(const struct tw_talk *t)
{
	return t->fd >= 0 || t->domain;
}

/* The same with a socket that is connected to QMP; it is closed by tw_talk_close() */
bool tw_talk_adopt(struct tw_talk *t, int fd, int timeout_ms);

/* Throws away what QMP says without having been asked; false if the other end has gone */
bool tw_talk_drain(struct tw_talk *t);

void tw_talk_close(struct tw_talk *t);

/**
 * tw_talk_ask - ask, and wait for the answer
 * @t: the socket
 * @command: such as "query-status"
 * @arguments: taken over; NULL for none
 * @timeout_ms: host time for the answer
 *
 * Return: what it returned, to be freed with json_decref(); NULL with t->why filled
 */
json_t *tw_talk_ask(struct tw_talk *t, const char *command, json_t *arguments, int timeout_ms);

/**
 * tw_talk_exec - run a program in the guest, through its agent
 * @t: an agent
 * @script: for /bin/sh
 * @argument: its $1
 * @timeout_ms: host time until it must have ended
 *
 * Return: its output, with a NUL byte behind it, to be freed; NULL with t->why filled
 */
char *tw_talk_exec(struct tw_talk *t, const char *script, const char *argument, int timeout_ms);

#endif /* TW_AGE_TALK_H */
